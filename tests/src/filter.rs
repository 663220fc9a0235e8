//! tcpdump filters for what is inside tunnel packets on an IPv4 underlay, told by byte offsets so that the count does
//! not depend on a decoder.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::topology::Encapsulation;

/// The tunnel packets of one VNI.
#[derive(Clone, Copy, Debug)]
pub struct Tunnel {
    encapsulation: Encapsulation,
    vni: u32,
}

impl Tunnel {
    /// VXLAN packets to port 4789 with this VNI.
    #[must_use]
    pub const fn vxlan(vni: u32) -> Self {
        Self { encapsulation: Encapsulation::Vxlan, vni }
    }

    /// GRE packets with an Ethernet payload and this key.
    #[must_use]
    pub const fn gre(key: u32) -> Self {
        Self { encapsulation: Encapsulation::Gre, vni: key }
    }

    /// All of them.
    #[must_use]
    pub fn all(self) -> String {
        let vni = self.vni;
        match self.encapsulation {
            Encapsulation::Vxlan => format!("(udp dst port 4789 and udp[12:4] >> 8 = {vni})"),
            Encapsulation::Gre => format!("(ip proto 47 and ip[20:4] = 0x20006558 and ip[24:4] = {vni})"),
        }
    }

    /// Those that carry ARP requests for `target`.
    #[must_use]
    pub fn arp_requests(self, target: Ipv4Addr) -> String {
        let target = u32::from(target);
        let (kind, operation, address) = (self.inner(12, 2), self.inner(20, 2), self.inner(38, 4));
        format!("{} and {kind} = 0x0806 and {operation} = 1 and {address} = {target}", self.all())
    }

    /// Those that carry neighbour solicitations to everybody who might have `target`.
    #[must_use]
    pub fn solicitations(self, target: Ipv6Addr) -> String {
        let octets = target.octets();
        let words = octets.as_chunks::<4>().0.iter().zip([62, 66, 70, 74]);
        let target = words.map(|(word, at)| format!("{} = {}", self.inner(at, 4), u32::from_be_bytes(*word)));
        let target: Vec<String> = target.collect();
        let [group, kind, protocol, message] =
            [(0, 2), (12, 2), (20, 1), (54, 1)].map(|(at, length)| self.inner(at, length));
        format!(
            "{} and {group} = 0x3333 and {kind} = 0x86dd and {protocol} = 58 and {message} = 135 and {}",
            self.all(),
            target.join(" and ")
        )
    }

    /// Those that carry frames to an Ethernet address.
    #[must_use]
    pub fn to(self, mac: &str) -> String {
        let octets: Vec<&str> = mac.split(':').collect();
        let (high, low) = (octets[..4].concat(), octets[4..].concat());
        let (first, second) = (self.inner(0, 4), self.inner(4, 2));
        format!("{} and {first} = 0x{high} and {second} = 0x{low}", self.all())
    }

    /// Those that carry IPv4 UDP datagrams to a port, without IP options.
    #[must_use]
    pub fn udp(self, port: u16) -> String {
        let (kind, protocol, destination) = (self.inner(12, 2), self.inner(23, 1), self.inner(36, 2));
        format!("{} and {kind} = 0x0800 and {protocol} = 17 and {destination} = {port}", self.all())
    }

    /// A field of the inner frame.
    fn inner(self, offset: u32, length: u32) -> String {
        match self.encapsulation {
            // UDP and VXLAN headers are 8 bytes each.
            Encapsulation::Vxlan => format!("udp[{}:{length}]", 16 + offset),
            // An IPv4 header without options, then GRE with a key.
            Encapsulation::Gre => format!("ip[{}:{length}]", 28 + offset),
        }
    }
}
