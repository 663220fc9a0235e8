//! VLAN tags in frames from workloads. A veth's other end leaves them beside the frame by default (`txvlan on`), where no XDP
//! program sees them: the frame would count as untagged, and be of a trunk's native VLAN. So it is told to write them into
//! the frame, where it can be reached: in the namespace that is configured, or in our own. By the same way it is told to finish
//! checksums: nothing in a frame says which of those inside a tunnel of the workload's own are unfinished, so that they would
//! never be (those of TCP and UDP in the outermost packet are, by `wire::checksum`).
//!
//! It is done when a port opens, which it does anew with every new device, when links change, and from time to time, since
//! nobody tells when a workload turns it back. It stays so when the daemon ends, as NAPI does.

use xsk::{PeerError, TagsError};

use super::port::OpenPort;
use super::state::State;
use crate::config::PortRole;

/// Seconds between two looks at a port whose tags are seen.
const PERIOD: u32 = 60;

impl State {
    /// Has tags written into frames at every workload's end.
    pub(super) fn see_tags(&mut self) {
        for port in self.ports.values_mut() {
            port.see_tags();
        }
    }

    /// The same where it was not so, and now and then everywhere: `now` in seconds.
    pub(super) fn keep_tags_seen(&mut self, now: u32) {
        for port in self.ports.values_mut() {
            let awaited = port.config.namespace.is_some() && matches!(port.tags, Some(Err(_)));
            if awaited || now.is_multiple_of(PERIOD) {
                port.see_tags();
            }
        }
    }
}

impl OpenPort {
    fn see_tags(&mut self) {
        if self.config.role == PortRole::Uplink {
            return;
        }
        let namespace = self.config.namespace_path();
        let outcome = xsk::see_tags(self.ifindex, namespace.as_deref());
        // The device has just gone, and the port goes with it.
        if outcome.as_ref().is_err_and(TagsError::is_of_no_device) {
            return;
        }
        // Where nobody said which namespace it is, an access port is none the worse.
        let is_told = self.config.role.trunk().is_some()
            || !matches!(outcome, Err(TagsError::Peer(PeerError::Unknown { .. })));
        let outcome = outcome.map_err(|error| error.to_string());
        // Said once, not at every attempt.
        if self.tags.as_ref() != Some(&outcome)
            && let Err(why) = &outcome
            && is_told
        {
            let what =
                "VLAN tags may be hidden from vtepd, and checksums in a workload's tunnels be unfinished";
            tracing::warn!(port = self.config.name, why, "{what}");
        }
        self.tags = Some(outcome);
    }
}
