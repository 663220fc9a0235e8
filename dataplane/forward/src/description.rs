//! What the published tables are made of: ports, bridge domains and remotes as the control thread describes them.

use std::net::IpAddr;
use std::sync::Arc;

use wire::ip::Protocol;
use wire::{Mac, Vni};

use crate::entropy::SourcePorts;
use crate::extended::Sequence;
use crate::flood::{Flooding, StormLimit};
use crate::ids::{DomainId, PortId, RemoteId};
use crate::marking::Marking;

/// What a port faces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The underlay: encapsulated frames.
    Uplink,
    /// A workload in this bridge domain: plain frames.
    Access(DomainId),
    /// Workloads in several bridge domains, told apart by a VLAN tag: those of [`crate::tables::TablesParts::trunks`].
    Trunk,
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
    /// NVGRE (RFC 7637): GRE whose key is the subnet and eight bits of the flow.
    Nvgre {
        /// The virtual subnet identifier.
        subnet: Vni,
    },
    /// GRE in UDP (RFC 8086), whose source port spreads flows.
    GreInUdp {
        /// The key, if one is sent and expected.
        key: Option<u32>,
        /// UDP destination port, 4754 by default.
        port: u16,
    },
}

impl Encapsulation {
    /// The same at another UDP port, if it has one.
    #[must_use]
    pub const fn at_port(self, port: u16) -> Self {
        match self {
            Self::Vxlan { vni, .. } => Self::Vxlan { vni, port },
            Self::GreInUdp { key, .. } => Self::GreInUdp { key, port },
            Self::Gre { .. } | Self::Nvgre { .. } => self,
        }
    }

    /// The IP protocol that carries it.
    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::Vxlan { .. } | Self::GreInUdp { .. } => Protocol::UDP,
            Self::Gre { .. } | Self::Nvgre { .. } => Protocol::GRE,
        }
    }

    /// Whether frames with a VLAN tag can be inside. NVGRE has none: who encapsulates must not send them, who decapsulates
    /// must drop them (RFC 7637 section 3.2).
    pub(crate) const fn carries_tags(self) -> bool {
        !matches!(self, Self::Nvgre { .. })
    }

    /// Itself, and the same at further UDP ports if it has one.
    pub fn at_ports(self, further: &[u16]) -> impl Iterator<Item = Self> {
        let further = if matches!(self, Self::Vxlan { .. } | Self::GreInUdp { .. }) { further } else { &[] };
        std::iter::once(self).chain(further.iter().map(move |port| self.at_port(*port)))
    }
}

/// What becomes of frames of workloads that have a VLAN tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum InnerTags {
    /// They are carried as they are, though to and from no remote over NVGRE.
    #[default]
    Carried,
    /// They are dropped, as RFC 7348 section 6.1 has it.
    Dropped,
}

/// What tunnel packets to and from a remote have that they mostly have not.
#[derive(Clone, Debug, Default)]
pub struct TunnelOptions {
    /// UDP ports beside that of the encapsulation that its packets may come to.
    pub further_ports: Vec<u16>,
    /// UDP source ports of packets to it.
    pub source_ports: SourcePorts,
    /// Bits among [`wire::vxlan::RESERVED`] that VXLAN packets from it may have set.
    pub reserved_bits: u64,
    /// Whether GRE packets to it have a checksum; those from it are verified if they have one.
    pub gre_checksum: bool,
    /// The sequence numbers of GRE packets to it; those from it are taken in any order.
    pub gre_sequence: Option<Arc<Sequence>>,
}

impl TunnelOptions {
    /// Whether packets of this encapsulation to the remote have what mostly they have not.
    pub(crate) fn extend(&self, encapsulation: Encapsulation) -> bool {
        match encapsulation {
            Encapsulation::Vxlan { .. } => self.source_ports != SourcePorts::DYNAMIC,
            Encapsulation::Gre { .. } => self.gre_checksum || self.gre_sequence.is_some(),
            Encapsulation::Nvgre { .. } | Encapsulation::GreInUdp { .. } => true,
        }
    }
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
        /// Largest packet that the way is known to take, in bytes; the uplink's own MTU counts too.
        mtu: u16,
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
    /// What outer headers say beside addresses.
    pub marking: Marking,
    /// Whether VXLAN packets to it have a UDP checksum; over IPv6 those from it must have one then.
    pub udp_checksum: bool,
    /// What its packets have that most have not.
    pub options: TunnelOptions,
    /// The way there.
    pub path: Path,
    /// How many of its frames are flooded.
    pub storm_limit: StormLimit,
}

/// What is done about the maximum segment size that TCP connections of a domain agree upon (RFC 9293 section 3.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MssClamp {
    /// Nothing.
    #[default]
    Off,
    /// Lowered to what the path to the remote takes.
    Path,
    /// Lowered to this many bytes.
    Bytes(u16),
}

/// What is known of the multicast listeners of a domain that snoops.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    /// Whether a router asks by IGMP who listens. Without one nobody can be known to, and all is flooded.
    pub has_igmp_querier: bool,
    /// The same of MLD.
    pub has_mld_querier: bool,
    /// Access ports behind which there are multicast routers, which get all of it.
    pub routers: Vec<PortId>,
    /// Access ports behind which somebody listens, by group.
    pub groups: Vec<(IpAddr, Vec<PortId>)>,
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
    /// Who listens to which multicast group; none if the domain does not snoop.
    pub snooping: Option<Listeners>,
    /// An underlay group that the domain floods to and takes packets of its remotes from. The remote that stands for it
    /// has it as its address.
    pub mcast_group: Option<IpAddr>,
    /// Access ports of the domain.
    pub ports: Vec<PortId>,
    /// Remotes that get flooded frames.
    pub remotes: Vec<RemoteId>,
    /// Our underlay addresses for this domain, known also when it has no remote.
    pub locals: Vec<IpAddr>,
    /// How its frames come wrapped, known also when it has no remote.
    pub encapsulation: Encapsulation,
    /// UDP ports beside that of the encapsulation that its packets may come to.
    pub further_ports: Vec<u16>,
    /// What becomes of frames that have a VLAN tag.
    pub inner_tags: InnerTags,
    /// Whether the maximum segment size of TCP is lowered.
    pub mss_clamp: MssClamp,
}
