//! Which remote a tunnel packet comes from: the table of (local address, peer address, kind, VNI or key).

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use foldhash::quality::RandomState;

use crate::description::{Domain, Encapsulation, Remote};
use crate::ids::{DomainId, RemoteId};
use crate::verdict::DropReason;

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
pub struct Tunnel {
    /// Our address in the upper half, the peer's in the lower.
    addresses: u64,
    wrapping: Wrapping,
}

impl Tunnel {
    /// The tunnel between our address and a peer's.
    #[must_use]
    pub fn new(local: Ipv4Addr, peer: Ipv4Addr, encapsulation: Encapsulation) -> Self {
        let addresses = u64::from(local.to_bits()) << 32 | u64::from(peer.to_bits());
        Self { addresses, wrapping: encapsulation.into() }
    }
}

/// Whom a tunnel packet came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The peer.
    pub remote: RemoteId,
    /// The bridge domain that the inner frame belongs to.
    pub domain: DomainId,
}

/// What tunnel packets we take, and from whom.
#[derive(Debug)]
pub struct TunnelTable {
    remotes: HashMap<Tunnel, Origin, RandomState>,
    /// Our addresses with what comes to them, from whomever: asked only about packets that belong to no remote.
    expected: HashSet<(Ipv4Addr, Wrapping), RandomState>,
    /// Our addresses with the kind of tunnel that comes to them.
    vxlan: Box<[(Ipv4Addr, u16)]>,
    gre: Box<[Ipv4Addr]>,
}

impl TunnelTable {
    /// The table of these remotes. Domains add what they expect even without a remote.
    pub(crate) fn new(domains: &[Domain], remotes: &[Remote]) -> Self {
        let mut table = HashMap::with_capacity_and_hasher(remotes.len(), RandomState::default());
        for remote in remotes {
            if let (IpAddr::V4(local), IpAddr::V4(peer)) = (remote.local, remote.address) {
                let origin = Origin { remote: remote.id, domain: remote.domain };
                table.insert(Tunnel::new(local, peer, remote.encapsulation), origin);
            }
        }
        let of_domains = domains.iter().map(|domain| (domain.local, domain.encapsulation));
        let of_remotes = remotes.iter().map(|remote| (remote.local, remote.encapsulation));
        let (mut expected, mut vxlan, mut gre) = (HashSet::default(), Vec::new(), Vec::new());
        for (local, encapsulation) in of_domains.chain(of_remotes) {
            let IpAddr::V4(local) = local else { continue };
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
    #[must_use]
    pub fn takes_vxlan(&self, local: Ipv4Addr, port: u16) -> bool {
        // One or two entries in practice.
        self.vxlan.contains(&(local, port))
    }

    /// Whether GRE comes to this address.
    #[must_use]
    pub fn takes_gre(&self, local: Ipv4Addr) -> bool {
        self.gre.contains(&local)
    }

    /// The remote that a packet comes from.
    #[must_use]
    pub fn lookup(&self, tunnel: Tunnel) -> Option<Origin> {
        self.remotes.get(&tunnel).copied()
    }

    /// Why a packet belongs to no remote.
    #[must_use]
    pub fn refusal(&self, tunnel: Tunnel) -> DropReason {
        let local = Ipv4Addr::from_bits((tunnel.addresses >> 32) as u32);
        if self.expected.contains(&(local, tunnel.wrapping)) {
            DropReason::PeerNotAllowed
        } else {
            DropReason::VxlanVniNotFound
        }
    }
}
