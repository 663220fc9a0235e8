//! Network devices as the kernel describes them.

use std::collections::HashMap;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use wire::Mac;

/// A network device of our namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index, which outlives a rename and is never zero.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address; `None` when it has none of six octets.
    pub mac: Option<Mac>,
    /// Largest packet in bytes, link-layer header not included.
    pub mtu: u32,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// The lower layer is there: a cable, the other end of a veth (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// Up, with carrier and not dormant: it can carry packets (`IFF_RUNNING`, RFC 2863's operational state).
    pub running: bool,
    /// It is a loopback.
    pub loopback: bool,
    /// The driver's kind, such as `veth`, `dummy` or `vxlan`; `None` for most hardware.
    pub kind: Option<String>,
    /// Receive queues that the device was made with: an upper bound of those in use (`ethtool -l`).
    pub rx_queues: u32,
    /// Transmit queues that the device was made with.
    pub tx_queues: u32,
    /// The device's other half: the far end of a veth, the device below a VLAN. As of the last notification about this
    /// device; moving the far end to another namespace alone causes none.
    pub peer: Option<Peer>,
}

/// What a device is tied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Index of that device in its namespace.
    pub ifindex: u32,
    /// Our identifier of its namespace (`ip netns list-id`); `None` when it is our own.
    pub namespace: Option<i32>,
}

impl Link {
    /// `None` for a message that does not describe a device in full: those of a bridge about its ports, and those of
    /// wireless drivers about themselves.
    fn from_message(message: &LinkMessage) -> Option<Self> {
        if message.header.interface_family != AddressFamily::Unspec {
            return None;
        }
        let flags = message.header.flags;
        let mut link = Self {
            ifindex: message.header.index,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp),
            running: flags.contains(LinkFlags::Up | LinkFlags::Running),
            loopback: flags.contains(LinkFlags::Loopback),
            kind: None,
            rx_queues: 1,
            tx_queues: 1,
            peer: None,
        };
        let mut namespace = None;
        let mut peer = None;
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::Wireless(_) => return None,
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(octets) => link.mac = octets.as_slice().try_into().ok().map(Mac),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::NumRxQueues(queues) => link.rx_queues = *queues,
                LinkAttribute::NumTxQueues(queues) => link.tx_queues = *queues,
                LinkAttribute::Link(ifindex) if *ifindex != 0 => peer = Some(*ifindex),
                LinkAttribute::LinkNetNsId(id) => namespace = Some(*id),
                LinkAttribute::LinkInfo(infos) => {
                    link.kind = infos.iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(kind.to_string()),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        link.peer = peer.map(|ifindex| Peer { ifindex, namespace });
        (!link.name.is_empty()).then_some(link)
    }
}

/// All devices of the namespace.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: HashMap<u32, Link>,
    names: HashMap<String, u32>,
}

impl Links {
    pub(super) fn by_name(&self, name: &str) -> Option<&Link> {
        self.links.get(self.names.get(name)?)
    }

    pub(super) fn by_index(&self, ifindex: u32) -> Option<&Link> {
        self.links.get(&ifindex)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// Takes in a description; whether anything that we keep differs.
    pub(super) fn update(&mut self, message: &LinkMessage) -> bool {
        let Some(link) = Link::from_message(message) else { return false };
        let changed = self.links.get(&link.ifindex) != Some(&link);
        if changed {
            self.forget(link.ifindex);
        }
        // Also when nothing changed: notifications from before the tables were read replay old names over new ones.
        self.names.insert(link.name.clone(), link.ifindex);
        self.links.insert(link.ifindex, link);
        changed
    }

    /// Takes in a removal; the index of the device that is gone. A port that leaves a bridge is not.
    pub(super) fn remove(&mut self, message: &LinkMessage) -> Option<u32> {
        let own = message.header.interface_family == AddressFamily::Unspec;
        (own && self.forget(message.header.index)).then_some(message.header.index)
    }

    fn forget(&mut self, ifindex: u32) -> bool {
        let Some(link) = self.links.remove(&ifindex) else { return false };
        // Another device may have taken the name since.
        if self.names.get(&link.name) == Some(&ifindex) {
            self.names.remove(&link.name);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(ifindex: u32, name: &str) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = ifindex;
        message.attributes.push(LinkAttribute::IfName(name.into()));
        message
    }

    #[test]
    fn names_survive_a_replay_of_notifications_from_before_the_dump() {
        let mut links = Links::default();
        // What the dump said: 1 was renamed from a to b, then 2 to a.
        assert!(links.update(&message(1, "b")));
        assert!(links.update(&message(2, "a")));
        // What was queued before it.
        assert!(links.update(&message(1, "a")));
        assert!(links.update(&message(1, "b")));
        assert!(!links.update(&message(2, "a")));
        assert_eq!(links.by_name("a").map(|link| link.ifindex), Some(2));
        assert_eq!(links.by_name("b").map(|link| link.ifindex), Some(1));
        // A removal must not take the name from its new holder.
        assert!(links.update(&message(3, "a")));
        assert_eq!(links.remove(&message(2, "a")), Some(2));
        assert_eq!(links.by_name("a").map(|link| link.ifindex), Some(3));
        assert_eq!(links.remove(&message(2, "a")), None);
    }

    #[test]
    fn what_does_not_describe_a_device_in_full_changes_nothing() {
        let mut links = Links::default();
        assert!(links.update(&message(1, "a")));
        let mut port = message(1, "a");
        port.header.interface_family = AddressFamily::Bridge;
        port.attributes.push(LinkAttribute::Mtu(9000));
        assert!(!links.update(&port));
        assert_eq!(links.remove(&port), None);
        assert_eq!(links.by_name("a").map(|link| link.mtu), Some(0));
        assert!(!links.update(&message(2, "")));
    }
}
