//! The other end of a veth pair, in a workload's network namespace: turns NAPI on there, without which the kernel drops
//! what is burst to it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netdev;

/// Why NAPI could not be turned on at the other end of a veth pair.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The device is no veth.
    #[error("{device} is no veth and has no other end")]
    NoPeer {
        /// Its name.
        device: String,
    },
    /// There is no such namespace, or it cannot be opened.
    #[error(
        "the network namespace {} cannot be opened: {source}; `ip netns list` shows those with names",
        namespace.display()
    )]
    NoNamespace {
        /// Where it was looked for.
        namespace: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The process may not enter the namespace, or the path names no network namespace.
    #[error(
        "the network namespace {} cannot be entered: {source}; that needs CAP_SYS_ADMIN, or turn it on there with \
         `ethtool -K DEVICE gro on`",
        namespace.display()
    )]
    Entry {
        /// Its path.
        namespace: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The other end is in another namespace.
    #[error("the other end of {device} is not in the network namespace {}", namespace.display())]
    Elsewhere {
        /// The device on our side.
        device: String,
        /// Where the other end was expected.
        namespace: PathBuf,
    },
    /// The other end refused, or no thread could be had.
    #[error("the other end of {device} does not turn on GRO: {source}")]
    Refused {
        /// The device on our side.
        device: String,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Turns on GRO, and with it NAPI, at the other end of a veth pair, which is in the network namespace of this path
/// (`/run/netns/NAME`, `/proc/PID/ns/net`). To be called when [`crate::Steering::probe_burst`] finds it missing, and again when
/// the other end has come up: before that it has no effect. Says how the device there is called. A thread of its own enters the
/// namespace and ends in it; the calling thread stays where it is.
///
/// # Errors
///
/// [`PeerError`]; then nothing was changed.
pub fn enable_peer_napi(ifindex: u32, namespace: &Path) -> Result<String, PeerError> {
    let ours = netdev::link(ifindex).unwrap_or_default();
    let device = ours.name;
    let Some(peer) = ours.other_end.filter(|_| ours.is_veth) else {
        return Err(PeerError::NoPeer { device });
    };
    let file = File::open(namespace)
        .map_err(|source| PeerError::NoNamespace { namespace: namespace.to_owned(), source })?;
    let enter = || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| PeerError::Entry { namespace: namespace.to_owned(), source: errno.into() })?;
        let there = netdev::link(peer).unwrap_or_default();
        // Indices are of a namespace: only a veth that points back is the other end.
        if !(there.is_veth && there.other_end == Some(ifindex)) {
            return Err(PeerError::Elsewhere { device: device.clone(), namespace: namespace.to_owned() });
        }
        let refused = |source| PeerError::Refused { device: device.clone(), source };
        // Off first: the kernel's veth makes our end a target of redirects only when GRO comes on while the other end is up.
        // If it came on before that, turning it on again would change nothing.
        netdev::set_gro(peer, false)
            .and_then(|()| netdev::set_gro(peer, true))
            .map(|()| there.name)
            .map_err(refused)
    };
    thread::scope(|scope| {
        let refused = |source| PeerError::Refused { device: device.clone(), source };
        let inside = thread::Builder::new().name("workload-netns".to_owned()).spawn_scoped(scope, enter);
        let result = inside.map_err(refused)?.join();
        result.unwrap_or_else(|_| Err(refused(io::Error::other("the thread that entered panicked"))))
    })
}
