//! The published tables: immutable once built, shared by all workers, replaced as a whole by the control thread.
//! Everything a worker looks up beside the forwarding database is here, in the shape in which it is looked up.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;
use wire::Mac;

pub use crate::consistency::Inconsistency;
use crate::consistency::check;
pub use crate::description::{
    Domain, Encapsulation, InnerTags, Listeners, MssClamp, Path, Port, Remote, Role, TunnelOptions,
};
use crate::fdb::{Fdb, Key, Limits};
use crate::flood::{self, FloodLists};
pub use crate::group::Group;
use crate::group::Groups;
use crate::guard::Held;
use crate::ids::{DomainId, GroupId, PortId, RemoteId};
use crate::link::Place;
use crate::listeners::Audiences;
use crate::protection::{Protection, Shield};
use crate::proxy::Claimed;
use crate::remote::Egress;
use crate::snoop::Audience;
use crate::trunk::Lanes;
pub use crate::trunk::Trunk;
use crate::trunk::Trunks;
use crate::trust::Trust;
use crate::tunnel::Tunnels;
use crate::verdict::DropReason;

/// What [`Tables::build`] takes, in any order; indices need not be consecutive.
#[derive(Clone, Debug)]
pub struct TablesParts {
    /// Grows with every publication.
    pub version: u64,
    /// Ports.
    pub ports: Vec<Port>,
    /// The VLANs of those that are trunks.
    pub trunks: BTreeMap<PortId, Trunk>,
    /// Bridge domains.
    pub domains: Vec<Domain>,
    /// Remotes.
    pub remotes: Vec<Remote>,
    /// Groups of remotes.
    pub groups: Vec<Group>,
    /// Neighbours of the proxies.
    pub neighbours: Arc<Neighbours>,
    /// Who may send what.
    pub protection: Protection,
    /// The forwarding database, as it is to be seen with these tables.
    pub fdb: Arc<Fdb>,
}

impl TablesParts {
    /// Nothing but the forwarding database.
    #[must_use]
    pub fn empty(version: u64, fdb: Arc<Fdb>) -> Self {
        Self {
            version,
            ports: Vec::new(),
            trunks: BTreeMap::new(),
            domains: Vec::new(),
            remotes: Vec::new(),
            groups: Vec::new(),
            neighbours: Arc::default(),
            protection: Protection::default(),
            fdb,
        }
    }
}

/// What a neighbour entry says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// The Ethernet address.
    pub mac: Mac,
    /// What else there is to say of it.
    pub flags: NeighbourFlags,
    /// Whether messages seen on the wire may not change it.
    pub fixed: bool,
}

/// What an advertisement says of a neighbour beside its address (RFC 4861 section 4.4). ARP knows nothing of it and is
/// answered the same way whatever it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NeighbourFlags {
    /// R: the neighbour is a router.
    pub is_router: bool,
    /// O: the address is the neighbour's alone. Without it others may have the address too (anycast).
    pub overrides: bool,
}

impl Default for NeighbourFlags {
    /// Those of a host.
    fn default() -> Self {
        Self { is_router: false, overrides: true }
    }
}

/// The neighbours of all domains: who has which protocol address.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    entries: HashMap<(DomainId, IpAddr), Neighbour, RandomState>,
}

impl Neighbours {
    /// The neighbour with this address.
    #[must_use]
    pub fn lookup(&self, domain: DomainId, address: IpAddr) -> Option<Neighbour> {
        self.entries.get(&(domain, address)).copied()
    }
}

impl FromIterator<(DomainId, IpAddr, Neighbour)> for Neighbours {
    fn from_iter<T: IntoIterator<Item = (DomainId, IpAddr, Neighbour)>>(entries: T) -> Self {
        Self { entries: entries.into_iter().map(|(domain, address, to)| ((domain, address), to)).collect() }
    }
}

/// The tables.
#[derive(Debug)]
pub struct Tables {
    version: u64,
    ports: Box<[Option<Port>]>,
    domains: Box<[Option<Domain>]>,
    remotes: Box<[Option<Egress>]>,
    groups: Groups,
    tunnels: Tunnels,
    own: OwnAddresses,
    trunks: Trunks,
    flood_lists: FloodLists,
    clamps: bool,
    shield: Shield,
    audiences: Audiences,
    neighbours: Arc<Neighbours>,
    fdb: Arc<Fdb>,
}

impl Tables {
    /// Builds the tables.
    ///
    /// # Errors
    /// Everything that contradicts something else. Nothing that is built can lead a frame to a port or a remote of
    /// another domain, or through a port that does not exist.
    pub fn build(parts: TablesParts) -> Result<Self, Vec<Inconsistency>> {
        let faults = check(&parts);
        if !faults.is_empty() {
            return Err(faults);
        }
        let TablesParts { version, ports, trunks, domains, remotes, groups, neighbours, protection, fdb } =
            parts;
        let groups = Groups::new(groups);
        let own = OwnAddresses::new(ports.iter().map(|port| port.mac));
        let tunnels = Tunnels::new(&domains, &remotes);
        let trunks = Trunks::new(&trunks);
        let by_id: HashMap<PortId, &Port> = ports.iter().map(|port| (port.id, port)).collect();
        let flood_lists = FloodLists::new(&domains, &by_id);
        let shield = Shield::new(protection, &domains, &remotes);
        let audiences = Audiences::new(&domains, &by_id);
        let ports = dense(ports, |port| usize::from(port.id.0));
        let egress = remotes.into_iter().map(|remote| {
            let mtu = match remote.path {
                Path::Resolved { uplink, .. } | Path::Withdrawn { uplink, .. } => {
                    at(&ports, usize::from(uplink.0)).map_or(0, |port| port.mtu)
                }
                Path::NoRoute | Path::Unresolved => 0,
            };
            Egress::new(remote, mtu)
        });
        let remotes = dense(egress.collect(), |egress: &Egress| egress.id().0 as usize);
        let clamps = domains.iter().any(|domain| domain.mss_clamp != MssClamp::Off);
        let domains = dense(domains, |domain| usize::from(domain.id.0));
        Ok(Self {
            version,
            ports,
            domains,
            remotes,
            groups,
            tunnels,
            own,
            trunks,
            flood_lists,
            clamps,
            shield,
            audiences,
            neighbours,
            fdb,
        })
    }

    /// Grows with every publication.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// A port.
    #[inline]
    #[must_use]
    pub fn port(&self, id: PortId) -> Option<&Port> {
        at(&self.ports, usize::from(id.0))
    }

    /// A bridge domain.
    #[inline]
    #[must_use]
    pub fn domain(&self, id: DomainId) -> Option<&Domain> {
        at(&self.domains, usize::from(id.0))
    }

    /// A remote and the way there.
    #[inline]
    #[must_use]
    pub fn remote(&self, id: RemoteId) -> Option<&Egress> {
        at(&self.remotes, id.0 as usize)
    }

    /// A group of remotes.
    #[inline]
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id)
    }

    /// The groups of a domain of which one member each gets flooded frames.
    #[must_use]
    pub fn flood_groups(&self, domain: DomainId) -> &[GroupId] {
        self.groups.flooding(domain)
    }

    /// All ports, by index.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().flatten()
    }

    /// All bridge domains, by index.
    pub fn domains(&self) -> impl Iterator<Item = &Domain> {
        self.domains.iter().flatten()
    }

    /// All remotes, by index.
    pub fn remotes(&self) -> impl Iterator<Item = &Egress> {
        self.remotes.iter().flatten()
    }

    /// Which packets belong to which remote.
    #[must_use]
    pub const fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    /// Whether an address is that of one of our ports.
    #[inline]
    #[must_use]
    pub fn is_own(&self, mac: Mac) -> bool {
        self.own.may_contain(mac) && self.own.contains(mac)
    }

    /// The ports that a frame of this kind is flooded to, the one it came from perhaps among them; `isolated` if that is
    /// an isolated one.
    #[must_use]
    pub fn flood_ports(&self, domain: DomainId, kind: flood::Kind, isolated: bool) -> &[PortId] {
        self.flood_lists.ports(domain, kind, isolated)
    }

    /// Whether any domain lowers the maximum segment size of TCP.
    #[must_use]
    pub const fn clamps(&self) -> bool {
        self.clamps
    }

    /// What frames of a port are trusted with.
    #[must_use]
    pub fn trust(&self, port: PortId) -> Trust<'_> {
        self.shield.trust(port)
    }

    /// The addresses that an access port or trunk is held to in one of its domains, if it is.
    #[must_use]
    pub fn held(&self, port: PortId, domain: DomainId) -> Option<Held<'_>> {
        self.shield.held(port, domain)
    }

    /// The VLANs of a port, if it is a trunk.
    #[inline]
    pub(crate) fn trunk(&self, port: PortId) -> Option<&Lanes> {
        self.trunks.get(port)
    }

    /// Whether a source address may come from a place: not if it is bound to a port, and not to this one.
    #[must_use]
    pub fn admits(&self, source: Key, from: Place) -> bool {
        self.shield.admits(source, from)
    }

    /// Whether a protocol address may be said to be at a place: not if it is bound to a port, and not to this one.
    ///
    /// # Errors
    /// `SPOOFED_SOURCE`; `IPV6_HEADER_CHAIN` if the address cannot be read, where some are bound.
    pub fn check_claim(&self, domain: DomainId, claimed: Claimed, from: Place) -> Result<(), DropReason> {
        self.shield.check_claim(domain, claimed, from)
    }

    /// Whether a place is a remote that is known not to answer.
    #[must_use]
    pub fn is_withdrawn(&self, place: Place) -> bool {
        let Place::Remote(remote) = place else { return false };
        self.remote(remote).is_some_and(|egress| matches!(egress.remote().path, Path::Withdrawn { .. }))
    }

    /// How much may be learned from a place in a domain.
    #[must_use]
    pub fn limits(&self, domain: DomainId, place: Place) -> Limits {
        self.shield.limits(domain, place)
    }

    /// The ports of a multicast audience, the one that the frame came from perhaps among them; none if everybody is to
    /// get it.
    pub(crate) fn audience(&self, domain: DomainId, audience: Audience, isolated: bool) -> Option<&[PortId]> {
        self.audiences.ports(domain, audience, isolated)
    }

    /// The neighbours of the proxies.
    #[must_use]
    pub fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// The forwarding database.
    #[inline]
    #[must_use]
    pub fn fdb(&self) -> &Fdb {
        &self.fdb
    }
}

#[inline]
fn at<T>(rows: &[Option<T>], index: usize) -> Option<&T> {
    rows.get(index)?.as_ref()
}

/// Rows at their index. The indices have been checked.
pub(crate) fn dense<T>(rows: Vec<T>, index: impl Fn(&T) -> usize) -> Box<[Option<T>]> {
    let length = rows.iter().map(|row| index(row) + 1).max().unwrap_or_default();
    let mut dense: Vec<Option<T>> = std::iter::repeat_with(|| None).take(length).collect();
    for row in rows {
        let index = index(&row);
        if let Some(place) = dense.get_mut(index) {
            *place = Some(row);
        }
    }
    dense.into()
}

/// The Ethernet addresses of our ports. A filter of one bit per hash answers nearly every question.
#[derive(Debug)]
struct OwnAddresses {
    filter: Box<[u64; 64]>,
    sorted: Box<[Mac]>,
}

impl OwnAddresses {
    fn new(addresses: impl Iterator<Item = Mac>) -> Self {
        let mut sorted: Vec<Mac> = addresses.collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut filter = Box::new([0; 64]);
        for mac in &sorted {
            let (word, bit) = Self::place(*mac);
            filter[word] |= bit;
        }
        Self { filter, sorted: sorted.into() }
    }

    /// Word and bit of the filter: the last bits differ most, in random addresses and in those of one maker.
    #[inline]
    const fn place(mac: Mac) -> (usize, u64) {
        let bits = mac.to_u64();
        ((bits >> 6) as usize & 63, 1 << (bits & 63))
    }

    #[inline]
    fn may_contain(&self, mac: Mac) -> bool {
        let (word, bit) = Self::place(mac);
        self.filter[word] & bit != 0
    }

    #[inline(never)]
    fn contains(&self, mac: Mac) -> bool {
        self.sorted.binary_search(&mac).is_ok()
    }
}
