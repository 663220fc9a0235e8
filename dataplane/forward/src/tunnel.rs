//! Which remote a tunnel packet comes from: the tables of (local address, peer address, kind, VNI or key), one for each
//! address family of the underlay.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::quality::RandomState;
use wire::checksum::Sum;
use wire::ip::Protocol;

use crate::description::{Domain, Encapsulation, InnerTags, Remote};
use crate::ids::{DomainId, RemoteId};
use crate::verdict::DropReason;

/// An address family of the underlay.
pub trait Family: Copy + Eq + Ord + Hash + Debug {
    /// Two addresses, in the shape in which they are compared fastest.
    type Pair: Copy + Eq + Hash + Debug;

    /// This address, if it is of the family.
    fn of(address: IpAddr) -> Option<Self>;

    /// Our address and a peer's.
    fn pair(local: Self, peer: Self) -> Self::Pair;

    /// Whether UDP datagrams must have a checksum unless configured otherwise (RFC 8200 section 8.1).
    const REQUIRES_CHECKSUM: bool;

    /// The sum of the pseudo-header of a UDP datagram of this length.
    fn pseudo_header(source: Self, destination: Self, length: u16) -> Sum;
}

impl Family for Ipv4Addr {
    /// Our address in the upper half, the peer's in the lower.
    type Pair = u64;

    const REQUIRES_CHECKSUM: bool = false;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    #[inline]
    fn pair(local: Self, peer: Self) -> u64 {
        u64::from(local.to_bits()) << 32 | u64::from(peer.to_bits())
    }

    #[inline]
    fn pseudo_header(source: Self, destination: Self, length: u16) -> Sum {
        Sum::of_pseudo_ipv4(source, destination, Protocol::UDP, length)
    }
}

impl Family for Ipv6Addr {
    type Pair = (u128, u128);

    const REQUIRES_CHECKSUM: bool = true;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        }
    }

    #[inline]
    fn pair(local: Self, peer: Self) -> (u128, u128) {
        (local.to_bits(), peer.to_bits())
    }

    #[inline]
    fn pseudo_header(source: Self, destination: Self, length: u16) -> Sum {
        Sum::of_pseudo_ipv6(source, destination, Protocol::UDP, length.into())
    }
}

/// An [`Encapsulation`] as one number: what tells tunnels between the same two addresses apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Wrapping(u64);

impl From<Encapsulation> for Wrapping {
    fn from(encapsulation: Encapsulation) -> Self {
        Self(match encapsulation {
            Encapsulation::Vxlan { vni, port } => 1 << 62 | u64::from(port) << 32 | u64::from(vni.value()),
            Encapsulation::Gre { key: Some(key) } => 2 << 62 | u64::from(key),
            Encapsulation::Gre { key: None } => 3 << 62,
            Encapsulation::Nvgre { subnet } => 1 << 61 | u64::from(subnet.value()),
            Encapsulation::GreInUdp { key, port } => {
                let key = key.map_or(0, |key| 1 << 48 | u64::from(key));
                1 << 60 | u64::from(port) << 32 | key
            }
        })
    }
}

/// Where a tunnel packet came from and to, and how it was wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tunnel<A: Family> {
    addresses: A::Pair,
    wrapping: Wrapping,
}

impl<A: Family> Tunnel<A> {
    /// The tunnel between our address and a peer's.
    #[inline]
    #[must_use]
    pub fn new(local: A, peer: A, encapsulation: Encapsulation) -> Self {
        Self { addresses: A::pair(local, peer), wrapping: encapsulation.into() }
    }
}

/// Whom a tunnel packet came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The peer.
    pub remote: RemoteId,
    /// The bridge domain that the inner frame belongs to.
    pub domain: DomainId,
    /// What becomes of its frames that have a VLAN tag.
    pub tags: InnerTags,
}

/// How packets of a remote have to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Whether those without a UDP checksum are refused.
    pub(crate) has_checksum: bool,
    /// Reserved bits of VXLAN that may be set.
    pub(crate) reserved_bits: u64,
}

/// What UDP datagrams to a port carry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Datagram {
    /// VXLAN.
    Vxlan,
    /// GRE.
    Gre,
}

/// What tunnel packets we take, and from whom.
#[derive(Debug)]
pub struct Tunnels {
    /// Over IPv4.
    pub v4: TunnelTable<Ipv4Addr>,
    /// Over IPv6.
    pub v6: TunnelTable<Ipv6Addr>,
}

impl Tunnels {
    /// The tables of these remotes. Domains add what they expect even without a remote.
    pub(crate) fn new(domains: &[Domain], remotes: &[Remote]) -> Self {
        Self { v4: TunnelTable::new(domains, remotes), v6: TunnelTable::new(domains, remotes) }
    }
}

/// The tunnels over one address family.
#[derive(Debug)]
pub struct TunnelTable<A: Family> {
    remotes: HashMap<Tunnel<A>, (Origin, Terms), RandomState>,
    /// Our addresses with what comes to them, from whomever: asked only about packets that belong to no remote.
    expected: HashSet<(A, Wrapping), RandomState>,
    /// Our addresses with the kind of tunnel that comes to them.
    datagrams: Box<[(A, u16, Datagram)]>,
    gre: Box<[A]>,
    nvgre: Box<[A]>,
}

impl<A: Family> TunnelTable<A> {
    fn new(domains: &[Domain], remotes: &[Remote]) -> Self {
        let of_domains = domains.iter().flat_map(|domain| {
            let ends = domain.locals.iter().copied().chain(domain.mcast_group);
            ends.map(|end| (end, domain.encapsulation, &domain.further_ports))
        });
        let of_remotes =
            remotes.iter().map(|remote| (remote.local, remote.encapsulation, &remote.options.further_ports));
        let (mut expected, mut datagrams) = (HashSet::default(), Vec::new());
        let (mut gre, mut nvgre) = (Vec::new(), Vec::new());
        for (local, encapsulation, further_ports) in of_domains.chain(of_remotes) {
            let Some(local) = A::of(local) else { continue };
            for encapsulation in encapsulation.at_ports(further_ports) {
                expected.insert((local, encapsulation.into()));
                match encapsulation {
                    Encapsulation::Vxlan { port, .. } => datagrams.push((local, port, Datagram::Vxlan)),
                    Encapsulation::GreInUdp { port, .. } => datagrams.push((local, port, Datagram::Gre)),
                    Encapsulation::Gre { .. } => gre.push(local),
                    Encapsulation::Nvgre { .. } => nvgre.push(local),
                }
            }
        }
        gre.extend(&nvgre);
        let (datagrams, gre, nvgre) = (distinct(datagrams), distinct(gre), distinct(nvgre));
        Self { remotes: Self::origins(domains, remotes), expected, datagrams, gre, nvgre }
    }

    fn origins(domains: &[Domain], remotes: &[Remote]) -> HashMap<Tunnel<A>, (Origin, Terms), RandomState> {
        let domains: HashMap<DomainId, &Domain> = domains.iter().map(|domain| (domain.id, domain)).collect();
        let mut origins = HashMap::default();
        // A group sends nothing.
        for remote in remotes.iter().filter(|remote| !remote.address.is_multicast()) {
            let domain = domains.get(&remote.domain).copied();
            let of_domain = domain.map(|domain| domain.inner_tags).unwrap_or_default();
            let has_checksum = remote.udp_checksum && A::REQUIRES_CHECKSUM;
            let terms = Terms { has_checksum, reserved_bits: remote.options.reserved_bits };
            for (end, encapsulation) in arrivals(remote, domain) {
                let (Some(end), Some(peer)) = (A::of(end), A::of(remote.address)) else { continue };
                let tags = if encapsulation.carries_tags() { of_domain } else { InnerTags::Dropped };
                let origin = Origin { remote: remote.id, domain: remote.domain, tags };
                origins.insert(Tunnel::new(end, peer, encapsulation), (origin, terms));
            }
        }
        origins
    }

    /// What datagrams to this address and UDP port carry, if they are ours.
    #[inline]
    pub(crate) fn datagram(&self, local: A, port: u16) -> Option<Datagram> {
        // One or two entries in practice.
        let found = self.datagrams.iter().find(|(address, number, _)| (*address, *number) == (local, port));
        found.map(|(_, _, kind)| *kind)
    }

    /// Whether NVGRE comes to this address.
    pub(crate) fn takes_nvgre(&self, local: A) -> bool {
        self.nvgre.contains(&local)
    }

    /// Whether GRE comes to this address.
    #[inline]
    #[must_use]
    pub fn takes_gre(&self, local: A) -> bool {
        self.gre.contains(&local)
    }

    /// The remote that a packet comes from, and how it has to come.
    #[inline]
    pub(crate) fn lookup(&self, tunnel: Tunnel<A>) -> Option<(Origin, Terms)> {
        self.remotes.get(&tunnel).copied()
    }

    /// Why a packet to this address of ours belongs to no remote.
    #[must_use]
    pub fn refusal(&self, local: A, encapsulation: Encapsulation) -> DropReason {
        if self.expected.contains(&(local, encapsulation.into())) {
            DropReason::PeerNotAllowed
        } else {
            DropReason::VxlanVniNotFound
        }
    }
}

/// The addresses that packets of a remote come to, with how they come wrapped: ours, and the group of its domain.
pub(crate) fn arrivals(
    remote: &Remote,
    domain: Option<&Domain>,
) -> impl Iterator<Item = (IpAddr, Encapsulation)> {
    let ours = remote.encapsulation.at_ports(&remote.options.further_ports);
    let group = domain.and_then(|domain| Some((domain, domain.mcast_group?)));
    let group = group.filter(|(_, group)| *group != remote.address).map(|(domain, group)| {
        let encapsulations = domain.encapsulation.at_ports(&domain.further_ports);
        encapsulations.map(move |encapsulation| (group, encapsulation))
    });
    ours.map(|encapsulation| (remote.local, encapsulation)).chain(group.into_iter().flatten())
}

/// Without repetitions.
fn distinct<T: Ord>(mut list: Vec<T>) -> Box<[T]> {
    list.sort_unstable();
    list.dedup();
    list.into()
}
