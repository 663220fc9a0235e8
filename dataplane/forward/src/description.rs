//! What the published tables are made of: ports, bridge domains and remotes as the control thread describes them.

use std::net::IpAddr;

use wire::{Mac, Vni};

use crate::flood::{Flooding, StormLimit};
use crate::ids::{DomainId, PortId, RemoteId};

/// What a port faces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The underlay: encapsulated frames.
    Uplink,
    /// A workload in this bridge domain: plain frames.
    Access(DomainId),
}

/// A port as the switch sees it.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its index.
    pub id: PortId,
    /// What it faces.
    pub role: Role,
    /// The device's own Ethernet address; never learned.
    pub mac: Mac,
    /// Largest packet (without the Ethernet header) that may leave, in bytes.
    pub mtu: u16,
    /// What is flooded to an access port.
    pub flooding: Flooding,
    /// Whether an access port neither sends to nor hears from others of which the same is true.
    pub isolated: bool,
    /// How many frames that come in here are flooded.
    pub storm_limit: StormLimit,
}

/// How frames to a remote are wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Encapsulation {
    /// VXLAN (RFC 7348).
    Vxlan {
        /// The identifier in the header.
        vni: Vni,
        /// UDP destination port, 4789 by default.
        port: u16,
    },
    /// GRE with an Ethernet payload (RFC 2784, RFC 2890).
    Gre {
        /// The key, if one is sent and expected.
        key: Option<u32>,
    },
}

/// The way to a remote through the underlay, as the kernel's routes and neighbours have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// Ready to send.
    Resolved {
        /// The uplink.
        uplink: PortId,
        /// The uplink's Ethernet address.
        source: Mac,
        /// The next hop's Ethernet address.
        next_hop: Mac,
    },
    /// The way is there, but the peer does not answer: frames are dropped as `VXLAN_NO_REMOTE`, and nothing but BFD packets
    /// is sent.
    Withdrawn {
        /// The uplink.
        uplink: PortId,
        /// The uplink's Ethernet address.
        source: Mac,
        /// The next hop's Ethernet address.
        next_hop: Mac,
    },
    /// No route through an uplink of ours: frames are dropped as `NO_ROUTE`.
    NoRoute,
    /// The next hop's Ethernet address is not known yet: frames are dropped as `NEIGHBOUR_UNRESOLVED`.
    Unresolved,
}

/// One peer VTEP in one bridge domain.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Its index.
    pub id: RemoteId,
    /// The bridge domain that its frames belong to.
    pub domain: DomainId,
    /// How frames are wrapped.
    pub encapsulation: Encapsulation,
    /// Our underlay address: outer source on the way out, outer destination on the way in.
    pub local: IpAddr,
    /// The peer's underlay address.
    pub address: IpAddr,
    /// Outer time to live or hop limit.
    pub ttl: u8,
    /// Whether VXLAN packets to it have a UDP checksum; over IPv6 those from it must have one then.
    pub udp_checksum: bool,
    /// The way there.
    pub path: Path,
    /// How many of its frames are flooded.
    pub storm_limit: StormLimit,
}

/// One bridge domain.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its index.
    pub id: DomainId,
    /// The VNI it stands for.
    pub vni: Vni,
    /// Whether source addresses are learned.
    pub learning: bool,
    /// Whether ARP requests from access ports are answered here.
    pub arp_proxy: bool,
    /// Whether neighbour solicitations from access ports are answered here.
    pub nd_proxy: bool,
    /// Seconds after which a learned entry that was not refreshed is forgotten; 0 keeps it for ever.
    pub ageing: u32,
    /// What is flooded at all.
    pub flooding: Flooding,
    /// Access ports of the domain.
    pub ports: Vec<PortId>,
    /// Remotes that get flooded frames.
    pub remotes: Vec<RemoteId>,
    /// Our underlay addresses for this domain, known also when it has no remote.
    pub locals: Vec<IpAddr>,
    /// How its frames come wrapped, known also when it has no remote.
    pub encapsulation: Encapsulation,
}
