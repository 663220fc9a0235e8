//! Who may send what, as the control thread describes it: what each access port may claim to be, and how much may be
//! learned from whom. All of it can be left out, and then nothing is checked.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use foldhash::quality::RandomState;
use wire::Mac;

use crate::description::{Domain, Encapsulation, Remote};
use crate::fdb::{Key, Limits};
use crate::guard::{self, Held};
use crate::ids::{DomainId, PortId, RemoteId};
use crate::link::Place;
use crate::proxy::Claimed;
use crate::trust::Trust;
use crate::verdict::DropReason;

/// What protects the switch from those that it serves.
#[derive(Clone, Debug, Default)]
pub struct Protection {
    /// What frames from an access port are held against. A port that is not here is believed everything.
    pub guards: BTreeMap<PortId, Guard>,
    /// What belongs to ports of a domain by their bindings, whether or not the ports are there.
    pub claims: Claims,
    /// How much may be learned.
    pub limits: LearningLimits,
}

/// Addresses that are bound in a domain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Claims {
    /// Nobody else in the domain may send from these.
    pub macs: BTreeSet<(DomainId, Mac)>,
    /// Nobody else in the domain may say to have these, by ARP or neighbour discovery.
    pub addresses: BTreeSet<(DomainId, IpAddr)>,
}

/// What frames from an access port are held against.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Guard {
    /// Whether the workload may act as infrastructure: as a router, a DHCP server, or the end of a tunnel.
    pub trusted: bool,
    /// Whether a source address must be bound to the port, or be at it by an entry that was written, not learned (as
    /// `bridge link set dev DEV locked on` has it).
    pub locked: bool,
    /// The addresses that it may use; with none, any.
    pub bindings: Vec<Binding>,
}

impl Guard {
    /// Whether an Ethernet address is bound to the port.
    #[must_use]
    pub fn binds(&self, mac: Mac) -> bool {
        self.bindings.iter().any(|binding| binding.mac == mac)
    }
}

/// An Ethernet address that a workload may send from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The address.
    pub mac: Mac,
    /// The protocol addresses that go with it; with none, any. With any, also the IPv6 link-local address that is made
    /// from the Ethernet address (RFC 4291 appendix A).
    pub addresses: Vec<IpAddr>,
}

impl Binding {
    /// Whether a protocol address is among those that it names, or made from its Ethernet address with them.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.claimed().any(|claimed| claimed == address)
    }

    /// What nobody else may say to have: the protocol addresses, and the link-local one with them.
    pub fn claimed(&self) -> impl Iterator<Item = IpAddr> {
        let link_local = (!self.addresses.is_empty()).then(|| IpAddr::V6(guard::link_local(self.mac)));
        self.addresses.iter().copied().chain(link_local)
    }
}

/// Most learned entries; what is not here has no limit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LearningLimits {
    /// Behind a port.
    pub ports: BTreeMap<PortId, u32>,
    /// Behind a remote.
    pub remotes: BTreeMap<RemoteId, u32>,
    /// In a bridge domain.
    pub domains: BTreeMap<DomainId, u32>,
}

impl LearningLimits {
    /// How much may be learned at a place, if there is a limit.
    #[must_use]
    pub fn at(&self, place: Place) -> Option<u32> {
        match place {
            Place::Port(port) => self.ports.get(&port).copied(),
            Place::Remote(remote) => self.remotes.get(&remote).copied(),
            Place::Group(_) => None,
        }
    }
}

/// [`Protection`] in the shape in which it is looked up.
#[derive(Debug, Default)]
pub(crate) struct Shield {
    guards: Box<[Option<Guard>]>,
    macs: HashSet<Key, RandomState>,
    addresses: HashSet<(DomainId, IpAddr), RandomState>,
    /// Domains with an IPv6 address among these.
    with_ipv6: HashSet<DomainId, RandomState>,
    /// UDP destination ports of our tunnels.
    overlay_ports: Box<[u16]>,
    /// By index, as far as there is any limit.
    ports: Box<[u32]>,
    remotes: Box<[u32]>,
    domains: Box<[u32]>,
}

impl Shield {
    pub(crate) fn new(protection: Protection, domains: &[Domain], remotes: &[Remote]) -> Self {
        let Protection { guards, claims, limits } = protection;
        let length = guards.last_key_value().map_or(0, |(port, _)| usize::from(port.0) + 1);
        let mut dense = vec![None; length];
        for (port, guard) in guards {
            if let Some(place) = dense.get_mut(usize::from(port.0)) {
                *place = Some(guard);
            }
        }
        let of_ipv6 = claims.addresses.iter().filter(|(_, address)| address.is_ipv6());
        let LearningLimits { ports: of_ports, remotes: of_remotes, domains: of_domains } = limits;
        Self {
            guards: dense.into(),
            with_ipv6: of_ipv6.map(|(domain, _)| *domain).collect(),
            macs: claims.macs.into_iter().map(|(domain, mac)| Key::new(domain, mac)).collect(),
            addresses: claims.addresses.into_iter().collect(),
            overlay_ports: overlay_ports(domains, remotes),
            ports: by_index(of_ports.into_iter().map(|(port, limit)| (port.0.into(), limit))),
            remotes: by_index(of_remotes.into_iter().map(|(remote, limit)| (remote.0, limit))),
            domains: by_index(of_domains.into_iter().map(|(domain, limit)| (domain.0.into(), limit))),
        }
    }

    fn guard(&self, port: PortId) -> Option<&Guard> {
        self.guards.get(usize::from(port.0))?.as_ref()
    }

    /// What frames of a port are trusted with.
    pub(crate) fn trust(&self, port: PortId) -> Trust<'_> {
        match self.guard(port) {
            Some(guard) if !guard.trusted => Trust::of_workload(&self.overlay_ports),
            _ => Trust::FULL,
        }
    }

    /// The addresses that an access port or trunk is held to in one of its domains, if it is.
    pub(crate) fn held(&self, port: PortId, domain: DomainId) -> Option<Held<'_>> {
        let guard = self.guard(port).filter(|guard| guard.locked || !guard.bindings.is_empty())?;
        Some(Held { port, domain, guard })
    }

    /// Whether a source address may come from a place, as far as bindings of other places go.
    pub(crate) fn admits(&self, source: Key, from: Place) -> bool {
        if !self.macs.contains(&source) {
            return true;
        }
        let Place::Port(port) = from else { return false };
        self.guard(port).is_some_and(|guard| guard.binds(source.mac()))
    }

    /// Whether a place may say what a message says, as far as bindings of other places go.
    ///
    /// # Errors
    /// `SPOOFED_SOURCE`; `IPV6_HEADER_CHAIN` if nobody can tell what it says.
    pub(crate) fn check_claim(
        &self,
        domain: DomainId,
        claimed: Claimed,
        from: Place,
    ) -> Result<(), DropReason> {
        match claimed {
            Claimed::Address(address) if !self.admits_address(domain, address, from) => {
                Err(DropReason::SpoofedSource)
            }
            Claimed::Anything if self.with_ipv6.contains(&domain) => Err(DropReason::Ipv6HeaderChain),
            Claimed::Address(_) | Claimed::Anything => Ok(()),
        }
    }

    /// Whether a place may say that a protocol address is there.
    fn admits_address(&self, domain: DomainId, address: IpAddr, from: Place) -> bool {
        if !self.addresses.contains(&(domain, address)) {
            return true;
        }
        let Place::Port(port) = from else { return false };
        let bindings = self.guard(port).map_or(&[][..], |guard| &guard.bindings);
        bindings.iter().any(|binding| binding.has(address))
    }

    /// How much may be learned from a place in a domain.
    pub(crate) fn limits(&self, domain: DomainId, place: Place) -> Limits {
        let place = match place {
            Place::Port(port) => self.ports.get(usize::from(port.0)),
            Place::Remote(remote) => self.remotes.get(remote.0 as usize),
            // Nothing is learned to be behind a group.
            Place::Group(_) => None,
        };
        let or_none = |limit: Option<&u32>| limit.copied().unwrap_or(u32::MAX);
        Limits { place: or_none(place), domain: or_none(self.domains.get(usize::from(domain.0))) }
    }
}

/// The UDP ports of tunnels, whoever is at the other end.
fn overlay_ports(domains: &[Domain], remotes: &[Remote]) -> Box<[u16]> {
    let of_domains = domains.iter().map(|domain| (domain.encapsulation, &domain.further_ports));
    let of_remotes = remotes.iter().map(|remote| (remote.encapsulation, &remote.options.further_ports));
    let mut ports: Vec<u16> = of_domains
        .chain(of_remotes)
        .flat_map(|(encapsulation, further)| encapsulation.at_ports(further))
        .filter_map(|encapsulation| match encapsulation {
            Encapsulation::Vxlan { port, .. } | Encapsulation::GreInUdp { port, .. } => Some(port),
            Encapsulation::Gre { .. } | Encapsulation::Nvgre { .. } => None,
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports.into()
}

/// Limits at their index.
fn by_index(limits: impl Iterator<Item = (u32, u32)>) -> Box<[u32]> {
    let mut dense = Vec::new();
    for (index, limit) in limits {
        let index = index as usize;
        if dense.len() <= index {
            dense.resize(index + 1, u32::MAX);
        }
        dense[index] = limit;
    }
    dense.into()
}
