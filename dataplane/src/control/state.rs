//! The mutable truth: what is configured, what is open, what has been learned about the way to each peer, and what of
//! all that is published. Owned by the control thread alone.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use forward::counters::PortCounts;
use forward::extended::Sequence;
use forward::fdb::{Fdb, Kind};
use forward::ids::{DomainId, GroupId, PortId, RemoteId};
use forward::limits::{MAX_DOMAINS, MAX_GROUPS, MAX_PORTS, MAX_REMOTES};
use forward::link::Place;
use wire::{Mac, Vni};
use xsk::{Chunk, Steering, SteeringConfig, Umem};

use super::alarm::Alarms;
use super::book::Book;
use super::bursts::RefusedBursts;
use super::groups::Groups;
use super::hindrance::Hindrances;
use super::ids::Registry;
use super::joined::Joined;
use super::liveness::Liveness;
use super::mdb::Mdb;
use super::moves::Moves;
use super::path_mtu::PathMtus;
use super::paths::Paths;
use super::port::{Closed, LeavingPort, OpenPort};
use super::protection::{Enforced, Refusals};
use super::provenance::Provenance;
use super::trunks::Lanes;
use super::view::measurements::Measured;
use crate::config::{Config, Keyed, Origin, PortConfig, TransmitWish};
use crate::fleet::Fleet;
use crate::publish::Published;
use crate::underlay::{RouterMessages, Underlay};
use crate::worker::Remains;
use crate::worker::bell::Bell;

/// Forwarding entries that fit, beside those that are written, before the database must grow.
pub(super) const FDB_CAPACITY: usize = 4096;

/// Why nothing is burst when every port was configured to use rings.
const RINGS_ALONE: &str = "every port had transmit = \"ring\" at the start, so that frame memory lies where bursts cannot read it; restart vtepd to burst";

/// The daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Netlink.
    #[error("the underlay cannot be followed: {0}")]
    Underlay(#[from] crate::underlay::Error),
    /// Frame memory or the XDP program.
    #[error("{0}")]
    Xsk(#[from] xsk::Error),
    /// A worker.
    #[error("{0}")]
    Fleet(#[from] crate::fleet::StartError),
    /// The control socket, or a file descriptor of the control thread.
    #[error("{what}: {source}")]
    Host {
        /// What was tried.
        what: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The control socket is taken.
    #[error("{0}")]
    Socket(String),
    /// The empty tables were refused: a defect of this program.
    #[error("the first tables are inconsistent: {0}")]
    Tables(String),
}

/// Indices of everything that workers know by index.
pub(super) struct Ids {
    pub(super) ports: Registry<String>,
    pub(super) domains: Registry<Vni>,
    pub(super) remotes: Registry<(Vni, IpAddr)>,
    pub(super) groups: Registry<(Vni, String)>,
}

impl Ids {
    /// None are taken. VNIs begin with 1: domain 0 is never allocated.
    fn new() -> Self {
        let limit = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            ports: Registry::new(0, limit(MAX_PORTS)),
            domains: Registry::new(1, limit(MAX_DOMAINS)),
            remotes: Registry::new(0, limit(MAX_REMOTES)),
            groups: Registry::new(0, limit(MAX_GROUPS)),
        }
    }
}

/// What has changed since it was last acted upon.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stale {
    /// Ports must be opened or closed.
    pub(super) ports: bool,
    /// The static entries of the FDB must be compared with the configuration.
    pub(super) entries: bool,
    /// Tables must be built and published, and the rules of the XDP program set.
    pub(super) tables: bool,
}

/// The mutable truth.
pub struct State {
    /// The desired state. What takes a restart to change, such as `umem`, is as it runs.
    pub(super) config: Config,
    /// The configuration as the file last said it, without what of that was refused.
    pub(super) loaded: Config,
    pub(super) origin: Origin,
    pub(super) ids: Ids,
    /// Open ports, by name.
    pub(super) ports: BTreeMap<String, OpenPort>,
    /// Configured ports that are not open.
    pub(super) closed: BTreeMap<String, Closed>,
    pub(super) paths: Paths,
    /// What keeps packets from remotes, as it was last told.
    pub(super) hindrances: Hindrances,
    pub(super) groups: Groups,
    pub(super) liveness: Liveness,
    pub(super) path_mtus: PathMtus,
    pub(super) routers: RouterMessages,
    pub(super) book: Book,
    pub(super) moves: Moves,
    pub(super) mdb: Mdb,
    pub(super) joined: Joined,
    pub(super) underlay: Underlay,
    pub(super) steering: Steering,
    pub(super) umem: Arc<Umem>,
    /// Memory for frames that take several chunks, unless there are to be none.
    pub(super) jumbo: Option<Arc<Umem>>,
    pub(super) fleet: Fleet,
    pub(super) fdb: Arc<Fdb>,
    /// Written entries as they stand in the FDB.
    pub(super) installed: BTreeMap<(Vni, Mac), (Place, Kind)>,
    /// Those of them that age.
    pub(super) sticky: BTreeSet<(Vni, Mac)>,
    pub(super) provenance: Provenance,
    /// What each port index had counted when its present owner got it.
    pub(super) baselines: BTreeMap<PortId, PortCounts>,
    /// What each worker had measured when that was last flushed; empty if never.
    pub(super) flushed: Vec<Measured>,
    pub(super) version: u64,
    pub(super) alarms: Alarms,
    pub(super) refusals: Refusals,
    pub(super) enforced: Enforced,
    /// Bytes of the longest frame that every worker that can burst can burst.
    pub(super) burst_longest: u16,
    /// Why no worker can burst.
    pub(super) burst_unsupported: Option<String>,
    pub(super) refused_bursts: RefusedBursts,
    pub(super) rules: Option<xsk::UplinkRules>,
    /// Sequence numbers of remotes whose GRE packets have them.
    pub(super) sequences: BTreeMap<(Vni, IpAddr), Arc<Sequence>>,
    /// The VLANs of trunks, as they were last published.
    pub(super) lanes: Lanes,
    pub(super) stale: Stale,
}

/// Loads the XDP program and makes frame memory. With nobody to burst to, memory that a program can read is of no use, and
/// large pages are.
fn load(config: &Config) -> Result<(Steering, Arc<Umem>, Vec<Chunk>), xsk::Error> {
    let sizes = SteeringConfig { chunks: config.umem.chunks, chunk_size: config.umem.chunk_size };
    let by_ring = |port: &PortConfig| port.transmit == TransmitWish::Ring;
    if !config.ports.is_empty() && config.ports.iter().all(by_ring) {
        Steering::load_for_rings(&sizes)
    } else {
        Steering::load(&sizes)
    }
}

/// Says what cannot be had of bursts where they were asked for.
fn tell_limits(steering: &Steering, burst_unsupported: Option<&str>) {
    match (burst_unsupported, steering.uncounted_drops()) {
        _ if !steering.bursts() => {}
        (Some(why), _) => tracing::warn!(why, "frames leave by rings only"),
        (None, Some(why)) => {
            tracing::warn!(why, "frames that devices do not take from a burst count as sent");
        }
        (None, None) => {}
    }
}

impl State {
    /// Makes frame memory, loads the XDP program and starts the workers. No port is open yet.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: Config, origin: Origin, bell: &Bell) -> Result<Self, StartError> {
        let underlay = Underlay::open()?;
        let (steering, umem, chunks) = load(&config)?;
        let workers = u32::try_from(config.workers.len().max(1)).unwrap_or(u32::MAX);
        let jumbo_chunks = config.umem.jumbo_chunks.saturating_mul(workers);
        let jumbo = (jumbo_chunks != 0).then(|| Umem::jumbo(jumbo_chunks)).transpose()?;
        let random = RandomState::new();
        let advise = |address, bytes| {
            xsk::advise_large_pages(address, bytes);
        };
        let seed = [random.hash_one(0), random.hash_one(1)];
        let fdb = Arc::new(Fdb::advised(config.fdb.len() + FDB_CAPACITY, seed, advise));
        let first = Published::empty(1, Arc::clone(&fdb))
            .map_err(|faults| StartError::Tables(format!("{faults:?}")))?;
        let mut burst_unsupported = (!steering.bursts()).then(|| RINGS_ALONE.to_owned());
        let jumbo_umem = jumbo.as_ref().map(|(umem, _)| Arc::clone(umem));
        let mut burst_longest = u16::MAX;
        let fleet = Fleet::start(&config.workers, &umem, chunks, jumbo, bell, first, |worker| {
            let burst = steering.bursts().then(|| steering.burst(worker))?;
            let burst = burst.map_err(|error| burst_unsupported = Some(error.to_string())).ok()?;
            burst_longest = burst_longest.min(burst.longest());
            Some(burst)
        })?;
        // After the workers, which would inherit it.
        super::cpus::keep_off(&config.workers);
        tell_limits(&steering, burst_unsupported.as_deref());
        let mut provenance = Provenance::new();
        config.fdb.iter().for_each(|entry| provenance.fdb_written(entry.key(), 0, None));
        for neighbour in &config.neighbours {
            provenance.neighbour_written(neighbour.key(), 0, None);
        }
        Ok(Self {
            loaded: config.clone(),
            config,
            origin,
            ids: Ids::new(),
            ports: BTreeMap::new(),
            closed: BTreeMap::new(),
            paths: Paths::default(),
            hindrances: Hindrances::default(),
            groups: Groups::default(),
            liveness: Liveness::default(),
            path_mtus: PathMtus::default(),
            routers: RouterMessages::open(),
            book: Book::default(),
            moves: Moves::default(),
            mdb: Mdb::default(),
            joined: Joined::default(),
            underlay,
            steering,
            umem,
            jumbo: jumbo_umem,
            fleet,
            fdb,
            installed: BTreeMap::new(),
            sticky: BTreeSet::new(),
            provenance,
            baselines: BTreeMap::new(),
            flushed: Vec::new(),
            version: 1,
            alarms: Alarms::default(),
            refusals: Refusals::default(),
            enforced: Enforced::default(),
            burst_longest,
            burst_unsupported,
            refused_bursts: RefusedBursts::default(),
            rules: None,
            sequences: BTreeMap::new(),
            lanes: Lanes::new(),
            stale: Stale { ports: true, entries: true, tables: true },
        })
    }

    /// Seconds of frame time.
    pub(super) fn now(&self) -> u32 {
        u32::try_from(self.fleet.epoch().elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    pub(super) fn port_id(&self, name: &str) -> Option<PortId> {
        let index = self.ids.ports.index(&name.to_owned())?;
        u16::try_from(index).ok().map(PortId)
    }

    pub(super) fn domain_id(&self, vni: Vni) -> Option<DomainId> {
        let index = self.ids.domains.index(&vni)?;
        u16::try_from(index).ok().map(DomainId)
    }

    pub(super) fn remote_id(&self, vni: Vni, address: IpAddr) -> Option<RemoteId> {
        self.ids.remotes.index(&(vni, address)).map(RemoteId)
    }

    pub(super) fn vni(&self, domain: DomainId) -> Option<Vni> {
        self.ids.domains.key(u32::from(domain.0)).copied()
    }

    /// Brings indices in line with the configuration: new things get one, removed things lose theirs. Returns the
    /// places and domains that are gone; [`State::forget`] must follow once nobody uses them any more.
    pub(super) fn assign(&mut self) -> Gone {
        let Self { ids, config, .. } = self;
        let ports = ids.ports.retain(|name| config.ports.contains(name));
        let domains = ids.domains.retain(|vni| config.vnis.contains(vni));
        let mcast_group = |vni: &Vni| config.vnis.get(vni).and_then(|vni| vni.mcast_group);
        let remotes =
            ids.remotes.retain(|key| config.remotes.contains(key) || mcast_group(&key.0) == Some(key.1));
        let groups = ids.groups.retain(|key| config.groups.contains(key));
        let mut fresh = Vec::new();
        for port in config.ports.iter() {
            let known = ids.ports.index(&port.name).is_some();
            let claimed = report(ids.ports.claim(&port.name), "ports");
            fresh.extend(claimed.filter(|_| !known).and_then(|index| u16::try_from(index).ok()).map(PortId));
        }
        for vni in config.vnis.iter() {
            report(ids.domains.claim(&vni.vni), "VNIs");
            if let Some(group) = vni.mcast_group {
                report(ids.remotes.claim(&(vni.vni, group)), "remotes");
            }
        }
        for remote in config.remotes.iter() {
            report(ids.remotes.claim(&(remote.vni, remote.address)), "remotes");
        }
        for group in config.groups.iter() {
            report(ids.groups.claim(&group.key()), "groups");
        }
        for port in fresh {
            self.set_baseline(port);
        }
        Gone {
            lanes: self.leave_lanes(),
            ports: ports.into_iter().filter_map(|port| u16::try_from(port).ok()).map(PortId).collect(),
            domains: domains.into_iter().filter_map(|id| u16::try_from(id).ok()).map(DomainId).collect(),
            remotes: remotes.into_iter().map(RemoteId).collect(),
            groups: groups.into_iter().filter_map(|id| u16::try_from(id).ok()).map(GroupId).collect(),
        }
    }

    /// Removes every forwarding entry of places and domains that no published tables hold any more, and frees their
    /// indices.
    pub(super) fn forget(&mut self, gone: &Gone) {
        if gone.is_empty() {
            return;
        }
        if let Err(stuck) = self.fleet.settle() {
            // Indices of the gone stay retired: better to run out of them than to mix up two ports.
            tracing::error!(%stuck, "entries of removed ports, VNIs and remotes are kept for now");
            return;
        }
        self.moves.forget(|domain, home| {
            gone.domains.contains(&domain)
                || home.is_some_and(|home| gone.contains(home) || gone.has_left(home, domain))
        });
        let ids = &self.ids;
        self.mdb.forget(|vni, place| {
            let domain = ids.domains.index(&vni).and_then(|index| u16::try_from(index).ok());
            gone.contains(place) || domain.is_some_and(|domain| gone.has_left(place, DomainId(domain)))
        });
        // Published with what is next: until then they are answered for, if they are found elsewhere.
        self.stale.tables |= self.book.retain(|_, _, seen| !gone.contains(seen.place)) != 0;
        self.fdb.flush(|key, entry| {
            // What was written goes with its configuration, or stays with it.
            let left = entry.kind == Kind::Dynamic && gone.has_left(entry.place, key.domain());
            gone.domains.contains(&key.domain()) || gone.contains(entry.place) || left
        });
        self.ids.ports.reclaim();
        self.ids.domains.reclaim();
        self.ids.remotes.reclaim();
        self.ids.groups.reclaim();
    }
}

/// Indices whose owners are no longer configured.
#[derive(Debug, Default)]
pub(super) struct Gone {
    ports: BTreeSet<PortId>,
    domains: BTreeSet<DomainId>,
    remotes: BTreeSet<RemoteId>,
    groups: BTreeSet<GroupId>,
    /// Trunks that have left a domain.
    lanes: BTreeSet<(PortId, DomainId)>,
}

impl Gone {
    fn contains(&self, place: Place) -> bool {
        match place {
            Place::Port(port) => self.ports.contains(&port),
            Place::Remote(remote) => self.remotes.contains(&remote),
            Place::Group(group) => self.groups.contains(&group),
        }
    }

    fn is_empty(&self) -> bool {
        let Self { ports, domains, remotes, groups, lanes } = self;
        ports.is_empty() && domains.is_empty() && remotes.is_empty() && groups.is_empty() && lanes.is_empty()
    }

    /// Whether a place is in a domain no longer.
    fn has_left(&self, place: Place, domain: DomainId) -> bool {
        matches!(place, Place::Port(port) if self.lanes.contains(&(port, domain)))
    }
}

/// The limits are checked when a configuration is judged; this is the second line of defence.
fn report(claimed: Result<u32, super::ids::Exhausted>, what: &str) -> Option<u32> {
    claimed.inspect_err(|exhausted| tracing::error!(what, %exhausted, "one more cannot be served")).ok()
}

/// The end.
impl State {
    /// Detaches every program, lets the workers forward what was received, and ends them.
    pub(super) fn shut_down(mut self) {
        tracing::info!("stopping");
        let ports: Vec<OpenPort> = std::mem::take(&mut self.ports).into_values().collect();
        let (attachments, ports): (Vec<_>, Vec<_>) = ports.into_iter().map(OpenPort::detach).unzip();
        drop(attachments);
        let leaving: Vec<LeavingPort> = ports.into_iter().map(|port| port.leave(&self.fleet)).collect();
        for port in leaving {
            port.close(&self.fleet);
        }
        let remains = self.fleet.stop();
        let chunks = remains.into_iter().flat_map(Remains::into_chunks);
        let memories = [Some(&self.umem), self.jumbo.as_ref()];
        let is_ours = |chunk: &Chunk| memories.iter().flatten().any(|memory| chunk.umem() == memory.id());
        let free = chunks.filter(is_ours).count();
        let total = self.umem.chunks() + self.jumbo.as_ref().map_or(0, |jumbo| jumbo.chunks());
        let total = total as usize;
        if free == total {
            tracing::info!(chunks = total, "stopped; every chunk of frame memory is back");
        } else {
            tracing::error!(free, total, "stopped; chunks of frame memory are missing");
        }
    }
}
