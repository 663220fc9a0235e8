//! Which remote a tunnel packet comes from: the tables of (local address, peer address, kind, VNI or key), one for each
//! address family of the underlay.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::quality::RandomState;
use wire::checksum::Sum;
use wire::ip::Protocol;

use crate::description::{Domain, Encapsulation, Remote};
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

    /// The sum of the pseudo-header of a UDP datagram of this length.
    fn pseudo_header(source: Self, destination: Self, length: u16) -> Sum;
}

impl Family for Ipv4Addr {
    /// Our address in the upper half, the peer's in the lower.
    type Pair = u64;

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
    /// Whether its packets have a UDP checksum; over IPv6 those without are then refused (RFC 8200 section 8.1).
    pub has_checksum: bool,
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
    remotes: HashMap<Tunnel<A>, Origin, RandomState>,
    /// Our addresses with what comes to them, from whomever: asked only about packets that belong to no remote.
    expected: HashSet<(A, Wrapping), RandomState>,
    /// Our addresses with the kind of tunnel that comes to them.
    vxlan: Box<[(A, u16)]>,
    gre: Box<[A]>,
}

impl<A: Family> TunnelTable<A> {
    fn new(domains: &[Domain], remotes: &[Remote]) -> Self {
        let mut table = HashMap::default();
        for remote in remotes {
            if let (Some(local), Some(peer)) = (A::of(remote.local), A::of(remote.address)) {
                let (id, domain, has_checksum) = (remote.id, remote.domain, remote.udp_checksum);
                let origin = Origin { remote: id, domain, has_checksum };
                table.insert(Tunnel::new(local, peer, remote.encapsulation), origin);
            }
        }
        let of_domains = domains
            .iter()
            .flat_map(|domain| domain.locals.iter().map(|local| (*local, domain.encapsulation)));
        let of_remotes = remotes.iter().map(|remote| (remote.local, remote.encapsulation));
        let (mut expected, mut vxlan, mut gre) = (HashSet::default(), Vec::new(), Vec::new());
        for (local, encapsulation) in of_domains.chain(of_remotes) {
            let Some(local) = A::of(local) else { continue };
            expected.insert((local, encapsulation.into()));
            match encapsulation {
                Encapsulation::Vxlan { port, .. } => vxlan.push((local, port)),
                Encapsulation::Gre { .. } => gre.push(local),
            }
        }
        vxlan.sort_unstable();
        vxlan.dedup();
        gre.sort_unstable();
        gre.dedup();
        Self { remotes: table, expected, vxlan: vxlan.into(), gre: gre.into() }
    }

    /// Whether VXLAN comes to this address and UDP port.
    #[inline]
    #[must_use]
    pub fn takes_vxlan(&self, local: A, port: u16) -> bool {
        // One or two entries in practice.
        self.vxlan.contains(&(local, port))
    }

    /// Whether GRE comes to this address.
    #[inline]
    #[must_use]
    pub fn takes_gre(&self, local: A) -> bool {
        self.gre.contains(&local)
    }

    /// The remote that a packet comes from.
    #[inline]
    #[must_use]
    pub fn lookup(&self, tunnel: Tunnel<A>) -> Option<Origin> {
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
