//! The kernel's neighbour tables (ARP and IPv6 neighbour discovery), and when to ask it to resolve.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use wire::Mac;

/// The kernel is asked about one neighbour at most this often: it sends its own probes a second apart.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// A neighbour: a device's index and the address behind it.
pub type NeighbourKey = (u32, IpAddr);

/// What the kernel knows of a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// Its Ethernet address is known.
    Resolved(Mac),
    /// It is unknown, or being asked for: see [`Underlay::resolve`](super::Underlay::resolve).
    Unresolved,
    /// The kernel has asked and nobody has answered.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    state: NeighbourState,
    mac: Option<Mac>,
}

impl Entry {
    fn view(self) -> Neighbour {
        match (self.state, self.mac) {
            (
                NeighbourState::Reachable
                | NeighbourState::Stale
                | NeighbourState::Delay
                | NeighbourState::Probe
                | NeighbourState::Permanent
                | NeighbourState::Noarp,
                Some(mac),
            ) => Neighbour::Resolved(mac),
            (NeighbourState::Failed, _) => Neighbour::Failed,
            _ => Neighbour::Unresolved,
        }
    }
}

/// The neighbours of the namespace, IPv4 and IPv6.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    entries: HashMap<NeighbourKey, Entry>,
}

impl Neighbours {
    pub(super) fn view(&self, key: NeighbourKey) -> Neighbour {
        self.entries.get(&key).map_or(Neighbour::Unresolved, |entry| entry.view())
    }

    /// Whether the kernel's opinion is fresh, or not its own: then it need not be asked.
    pub(super) fn is_settled(&self, key: NeighbourKey) -> bool {
        self.entries.get(&key).is_some_and(|entry| {
            matches!(
                entry.state,
                NeighbourState::Reachable | NeighbourState::Permanent | NeighbourState::Noarp
            )
        })
    }

    /// Takes in an entry; whether the view of it differs.
    pub(super) fn update(&mut self, message: &NeighbourMessage) -> bool {
        let Some((key, entry)) = parse(message) else { return false };
        let before = self.view(key);
        self.entries.insert(key, entry);
        before != entry.view()
    }

    /// Takes in a removal; whether the view of it differs.
    pub(super) fn remove(&mut self, message: &NeighbourMessage) -> bool {
        let Some((key, _)) = parse(message) else { return false };
        self.entries.remove(&key).is_some_and(|entry| entry.view() != Neighbour::Unresolved)
    }

    /// Forgets the neighbours behind a device that is gone; whether there were any.
    pub(super) fn remove_link(&mut self, gone: u32) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(ifindex, _), _| *ifindex != gone);
        self.entries.len() < before
    }
}

/// `None` for what is no neighbour: a bridge's forwarding entry.
fn parse(message: &NeighbourMessage) -> Option<(NeighbourKey, Entry)> {
    let header = &message.header;
    if !matches!(header.family, AddressFamily::Inet | AddressFamily::Inet6) {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(value)) => {
                address = Some(IpAddr::V4(*value));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(value)) => {
                address = Some(IpAddr::V6(*value));
            }
            NeighbourAttribute::LinkLayerAddress(octets) => mac = octets.as_slice().try_into().ok().map(Mac),
            _ => {}
        }
    }
    Some(((header.ifindex, address?), Entry { state: header.state, mac }))
}

/// A message about one neighbour.
pub(super) fn message(key: NeighbourKey, flags: NeighbourFlags) -> NeighbourMessage {
    let (ifindex, address) = key;
    let mut message = NeighbourMessage::default();
    message.header.family = super::route::family(address);
    message.header.ifindex = ifindex;
    message.header.flags = flags;
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    message
}

/// Whether an answer of the kernel says that the entry was made by hand.
pub(super) fn is_permanent(message: &NeighbourMessage) -> bool {
    matches!(message.header.state, NeighbourState::Permanent | NeighbourState::Noarp)
}

/// When the kernel was last asked about each neighbour.
#[derive(Debug, Default)]
pub(super) struct Asked {
    last: HashMap<NeighbourKey, Instant>,
}

impl Asked {
    /// Whether it is time to ask again; if so, that is noted.
    pub(super) fn is_due(&mut self, key: NeighbourKey, now: Instant) -> bool {
        let due = self.last.get(&key).is_none_or(|last| now.duration_since(*last) >= ASK_INTERVAL);
        if due {
            self.last.insert(key, now);
        }
        due
    }

    /// Forgets what no longer holds anything back.
    pub(super) fn expire(&mut self, now: Instant) {
        self.last.retain(|_, last| now.duration_since(*last) < ASK_INTERVAL);
    }
}
