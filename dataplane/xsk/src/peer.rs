//! The other end of a veth pair, usually in a workload's network namespace: turns NAPI on there, without which the kernel
//! drops what is burst to it, and has written into frames there what is left to the device by default: VLAN tags, which no
//! XDP program would see, and checksums, which only that of the outermost packet is told to be unfinished.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netdev::{self, CHECKSUMS_LEFT, GRO, TAGS_LEFT, TAGS_TAKEN};

/// What is wanted of the other end of a veth pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// GRO, and with it NAPI.
    Napi,
    /// Frames with nothing left to the device: VLAN tags are in them, and checksums are finished.
    Whole,
}

impl Wish {
    /// The words in which `ethtool -K` takes it.
    const fn by_hand(self) -> &'static str {
        match self {
            Self::Napi => "gro on",
            Self::Whole => {
                "txvlan off tx-vlan-stag-hw-insert off tx-checksum-ip-generic off tx-checksum-sctp off"
            }
        }
    }

    /// What the other end does not do that is asked.
    const fn deed(self) -> &'static str {
        match self {
            Self::Napi => "turn on GRO",
            Self::Whole => "write VLAN tags and finished checksums into frames",
        }
    }

    fn grant(self, ifindex: u32) -> io::Result<()> {
        match self {
            // Off first: the kernel's veth makes our end a target of redirects only when GRO comes on while the other end
            // is up. If it came on before that, turning it on again would change nothing.
            Self::Napi => {
                netdev::set_features(ifindex, &[GRO], false)?;
                netdev::set_features(ifindex, &[GRO], true)
            }
            Self::Whole => {
                let offloads = [TAGS_LEFT, CHECKSUMS_LEFT].concat();
                if netdev::active_features(ifindex, &offloads)?.is_empty() {
                    return Ok(());
                }
                netdev::set_features(ifindex, &offloads, false)?;
                let left = netdev::active_features(ifindex, &offloads)?;
                if left.is_empty() { Ok(()) } else { Err(io::Error::other(left.join(" and ") + " stay on")) }
            }
        }
    }
}

/// Why the other end of a veth pair is not as it is wanted.
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
        "the network namespace {} cannot be entered: {source}; that needs CAP_SYS_ADMIN, or use \
         `ethtool -K DEVICE {}` there",
        namespace.display(), wish.by_hand()
    )]
    Entry {
        /// Its path.
        namespace: PathBuf,
        /// What was wanted.
        wish: Wish,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The other end is in another namespace than was said.
    #[error("the other end of {device} is not in the network namespace {}", namespace.display())]
    Elsewhere {
        /// The device on our side.
        device: String,
        /// Where the other end was expected.
        namespace: PathBuf,
    },
    /// The other end is in another namespace, which was not said.
    #[error(
        "the other end of {device} is in another network namespace, and perhaps does not {}; set the port's `namespace`, or \
         use `ethtool -K DEVICE {}` there", wish.deed(), wish.by_hand()
    )]
    Unknown {
        /// The device on our side.
        device: String,
        /// What was wanted.
        wish: Wish,
    },
    /// The other end refused, or no thread could be had.
    #[error("the other end of {device} does not {}: {source}", wish.deed())]
    Refused {
        /// The device on our side.
        device: String,
        /// What was wanted.
        wish: Wish,
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
    Pair::of(ifindex)?.within(namespace, Wish::Napi)
}

/// Sees to it that frames which come from a device have their VLAN tags in them. The other end of a veth, which leaves tags
/// beside the frame and checksums unfinished by default, is told to do neither: in the namespace of this path as
/// [`enable_peer_napi`] does it, or else in the calling thread's. Of other devices it only tells; theirs are the host's to
/// configure.
///
/// # Errors
///
/// [`TagsError`], why tags may not be seen, nor checksums be finished.
pub fn see_tags(ifindex: u32, namespace: Option<&Path>) -> Result<(), TagsError> {
    let pair = match Pair::of(ifindex) {
        Ok(pair) => pair,
        Err(PeerError::NoPeer { .. }) => return see_own_tags(ifindex),
        Err(error) => return Err(error.into()),
    };
    match namespace {
        Some(namespace) => pair.within(namespace, Wish::Whole)?,
        None => pair.here(Wish::Whole)?,
    };
    Ok(())
}

/// Why VLAN tags may be missing in frames that come from a device.
#[derive(Debug, thiserror::Error)]
pub enum TagsError {
    /// The other end of the veth cannot be told.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The device takes them out.
    #[error(
        "device {device} takes VLAN tags out of frames; turn that off with `ethtool -K {device} rxvlan off`"
    )]
    Taken {
        /// The device.
        device: String,
    },
    /// The device does not tell.
    #[error("the features of device {device} cannot be read: {source}")]
    Features {
        /// The device.
        device: String,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl TagsError {
    /// Whether there is no such device any more.
    #[must_use]
    pub fn is_of_no_device(&self) -> bool {
        matches!(self, Self::Features { source, .. } if source.raw_os_error() == Some(libc::ENODEV))
    }
}

fn see_own_tags(ifindex: u32) -> Result<(), TagsError> {
    let device = netdev::name(ifindex);
    match netdev::active_features(ifindex, &TAGS_TAKEN) {
        Ok(taken) if taken.is_empty() => Ok(()),
        Ok(_) => Err(TagsError::Taken { device }),
        Err(source) => Err(TagsError::Features { device, source }),
    }
}

/// Our end of a veth pair, and where the other one is.
struct Pair {
    ifindex: u32,
    device: String,
    /// The other one's index in its namespace.
    peer: u32,
    /// The number of that namespace in ours; none if it is ours.
    namespace: Option<i32>,
}

impl Pair {
    fn of(ifindex: u32) -> Result<Self, PeerError> {
        let ours = netdev::link(ifindex).unwrap_or_default();
        let (device, namespace) = (ours.name, ours.other_namespace);
        match ours.other_end.filter(|_| ours.is_veth) {
            Some(peer) => Ok(Self { ifindex, device, peer, namespace }),
            None => Err(PeerError::NoPeer { device }),
        }
    }

    /// The other end's name, where it is the calling thread that is in its namespace.
    fn other_end(&self) -> Option<String> {
        let there = netdev::link(self.peer).unwrap_or_default();
        (there.is_veth && there.other_end == Some(self.ifindex)).then_some(there.name)
    }

    /// Whether the other end may be in a namespace. Indices are of a namespace, and another veth there may have the same ones.
    fn may_be_in(&self, namespace: &File) -> bool {
        match self.namespace {
            // What is no namespace cannot be entered either, which says more.
            Some(number) => netdev::namespace_number(namespace).map_or(true, |known| known == Some(number)),
            None => {
                let identity = |file: io::Result<Metadata>| file.map(|data| (data.dev(), data.ino())).ok();
                identity(namespace.metadata()) == identity(std::fs::metadata("/proc/thread-self/ns/net"))
            }
        }
    }

    fn refused(&self, wish: Wish) -> impl Fn(io::Error) -> PeerError + use<> {
        let device = self.device.clone();
        move |source| PeerError::Refused { device: device.clone(), wish, source }
    }

    /// Does it in the calling thread's namespace.
    fn here(&self, wish: Wish) -> Result<String, PeerError> {
        let name = if self.namespace.is_none() { self.other_end() } else { None };
        let name = name.ok_or_else(|| PeerError::Unknown { device: self.device.clone(), wish })?;
        wish.grant(self.peer).map(|()| name).map_err(self.refused(wish))
    }

    /// Does it in a namespace.
    fn within(&self, namespace: &Path, wish: Wish) -> Result<String, PeerError> {
        let file = File::open(namespace)
            .map_err(|source| PeerError::NoNamespace { namespace: namespace.to_owned(), source })?;
        let may_be_there = self.may_be_in(&file);
        let enter = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map_err(|errno| {
                PeerError::Entry { namespace: namespace.to_owned(), wish, source: errno.into() }
            })?;
            let Some(name) = self.other_end().filter(|_| may_be_there) else {
                let device = self.device.clone();
                return Err(PeerError::Elsewhere { device, namespace: namespace.to_owned() });
            };
            wish.grant(self.peer).map(|()| name).map_err(self.refused(wish))
        };
        thread::scope(|scope| {
            let inside = thread::Builder::new().name("workload-netns".to_owned()).spawn_scoped(scope, enter);
            let result = inside.map_err(self.refused(wish))?.join();
            let panicked = || io::Error::other("the thread that entered panicked");
            result.unwrap_or_else(|_| Err(self.refused(wish)(panicked())))
        })
    }
}
