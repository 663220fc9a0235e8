//! NAPI at the other end of a port's veth, in the workload's network namespace, where the configuration names that.
//!
//! It is turned on when the port opens, which it does anew with every new device, and whenever it is found missing later:
//! the other end may be moved into its namespace only then. It stays on when the daemon ends: it does no harm, the workload
//! may have come to rely on it, and the next daemon bursts from its first frame on.

use xsk::Unsuitable;

use super::port::OpenPort;
use super::state::State;
use crate::config::TransmitWish;

impl State {
    /// Looks which ports can be burst to, and turns NAPI on wherever it is to be and is not.
    pub(super) fn turn_on_napi(&mut self) {
        let Self { ports, steering, .. } = self;
        for port in ports.values_mut() {
            if port.config.transmit == TransmitWish::Ring {
                continue;
            }
            port.burst = steering.probe_burst(port.ifindex);
            if port.burst == Err(Unsuitable::PeerWithoutNapi) && port.turn_on_napi() {
                port.burst = steering.probe_burst(port.ifindex);
            }
        }
    }
}

impl OpenPort {
    /// Says whether it was turned on.
    fn turn_on_napi(&mut self) -> bool {
        let Some(namespace) = self.config.namespace_path() else { return false };
        let outcome = xsk::enable_peer_napi(self.ifindex, &namespace).map_err(|error| error.to_string());
        let (port, namespace) = (&self.config.name, namespace.display());
        // Said once, not at every attempt: while the other end is down there are several.
        if self.napi.as_ref() != Some(&outcome) {
            match &outcome {
                Ok(device) => {
                    tracing::info!(port, %namespace, device, "NAPI turned on at the workload's end");
                }
                Err(why) => {
                    tracing::warn!(port, %namespace, why, "NAPI cannot be turned on at the workload's end");
                }
            }
        }
        self.napi.insert(outcome).is_ok()
    }

    /// Why NAPI could not be turned on although it was to be.
    pub(super) fn napi_refusal(&self) -> Option<&str> {
        self.napi.as_ref()?.as_ref().err().map(String::as_str)
    }
}
