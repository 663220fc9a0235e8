//! An operator in memory: it applies changes to a [`Config`] and shows what that says, as if every device worked.
//! Tests of the protocol, here and of the client, stand on it; no part of the daemon does.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::{
    Balance, Bucket, Chunks, Distribution, EntryKind, EntryState, MemberState, Pages, PortState, Refusal,
    ReloadReply, RemoteState, ReplaceReply, StatsReply, StatusReply, TransmitPath, TransmitWish, XdpMode,
};
use wire::{Mac, Vni};

use crate::config::{
    Change, Config, EncapsulationConfig, FdbConfig, FdbDestination, FdbKind, GreKey, Keyed, NeighbourConfig,
    Owned, PortConfig, PortRole, Replacement, VniConfig, owner,
};
use crate::control::verbs::configured;
use crate::control::verbs::{FdbFilter, NeighbourFilter, Operator, Page, guard, trunk};
use crate::plan::Difference;

/// The desired state, and what a switch would have learned and counted.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// What was configured.
    pub(crate) config: Config,
    /// Learned forwarding entries.
    pub(crate) learned: BTreeMap<(Vni, Mac), FdbDestination>,
    /// Learned neighbours.
    pub(crate) seen: BTreeMap<(Vni, IpAddr), Mac>,
    /// Frames received on each port; a fifth of them dropped.
    pub(crate) frames: u64,
    /// Of these no measurement is left.
    pub(crate) flushed: u64,
    /// What [`Operator::reload`] answers.
    pub(crate) fault: Option<Refusal>,
}

impl Ledger {
    /// What is configured, and what was learned.
    fn entries(&self) -> impl Iterator<Item = FdbConfig> {
        let fluid = self.learned.iter().map(|((vni, mac), place)| FdbConfig {
            owner: owner::LEARNED.into(),
            ..FdbConfig::new(*vni, *mac, place.clone())
        });
        self.config.fdb.iter().cloned().chain(fluid)
    }

    fn port(&self, port: &PortConfig) -> api::Port {
        let trunk::Shown { role, vni, vlans, native } = trunk::of(port);
        api::Port {
            ifname: port.name.clone(),
            device: port.device.clone(),
            role,
            vni,
            vlans,
            native,
            tags: Some(api::Tags { seen: true, reason: None }),
            mode: Some(XdpMode::Native),
            pages: Some(Pages::Base),
            state: PortState::Up,
            address: Some(Mac([2, 0, 0, 0, 0, 0xff])),
            mtu: Some(1500),
            ring_size: port.ring_size,
            queues: vec![api::Queue { queue: 0, worker: 0, rx_dropped: 1, ..api::Queue::default() }],
            degraded: vec!["zero-copy was refused: Operation not supported".into()],
            transmit: api::Transmit {
                configured: TransmitWish::Auto,
                active: TransmitPath::Burst,
                threshold: Some(16),
                reason: None,
            },
            netns: port.namespace.clone(),
            netns_device: None,
            flood: port.policy.flood.unicast,
            mcast_flood: port.policy.flood.multicast,
            bcast_flood: port.policy.flood.broadcast,
            isolated: port.policy.isolated,
            fastleave: port.policy.fastleave,
            storm_limit: port.policy.storm_limit,
            guard: guard::of(port),
            learned: 1,
            unlearned: 0,
            rx_packets: self.frames,
            rx_bytes: self.frames * 64,
            tx_packets: 0,
            tx_bytes: 0,
            dropped: self.frames / 5,
            kernel_dropped: 1,
            to_kernel: None,
        }
    }

    /// One value as often as there were frames since the last flush.
    fn distribution(&self, value: u64, buckets: bool) -> Distribution {
        let count = self.frames - self.flushed;
        let buckets = buckets.then(|| vec![Bucket { value, count }]);
        let max = value;
        Distribution { count, mean: value, p50: value, p90: value, p99: value, p999: value, max, buckets }
    }

    fn neighbours_count(&self) -> u64 {
        (self.config.neighbours.len() + self.seen.len()) as u64
    }

    fn ports_count(&self) -> u64 {
        self.config.ports.len() as u64
    }
}

/// The version of everything that was configured.
pub(crate) const VERSION: u64 = 5;

fn kind(entry: &FdbConfig) -> EntryKind {
    match entry.kind {
        _ if entry.owner == owner::LEARNED => EntryKind::Dynamic,
        FdbKind::Static => EntryKind::Static,
        FdbKind::External => EntryKind::External,
        FdbKind::Sticky => EntryKind::Sticky,
    }
}

fn matches(filter: &FdbFilter, entry: &FdbConfig) -> bool {
    let place = &entry.destination;
    filter.vni.is_none_or(|wanted| wanted == entry.vni)
        && filter.mac.is_none_or(|wanted| wanted == entry.mac)
        && filter.kind.is_none_or(|wanted| wanted == kind(entry))
        && filter.port.as_ref().is_none_or(|wanted| *place == FdbDestination::Port(wanted.clone()))
        && filter.remote.is_none_or(|wanted| *place == FdbDestination::Remote(wanted))
        && filter.owner.as_ref().is_none_or(|wanted| *wanted == entry.owner)
}

fn fdb_entry(entry: &FdbConfig) -> api::FdbEntry {
    let (ifname, dst, group) = match &entry.destination {
        FdbDestination::Port(name) => (Some(name.clone()), None, None),
        FdbDestination::Remote(address) => (None, Some(*address), None),
        FdbDestination::Group(name) => (None, None, Some(name.clone())),
    };
    let learned = entry.owner == owner::LEARNED;
    api::FdbEntry {
        mac: entry.mac,
        vni: entry.vni.value(),
        ifname,
        dst,
        group,
        kind: kind(entry),
        state: if learned { EntryState::Reachable } else { EntryState::Permanent },
        flags: Vec::new(),
        age: 3,
        owner: entry.owner.clone(),
        version: if learned { 0 } else { VERSION },
        moves: 0,
        last_move: None,
        moved_from: None,
    }
}

fn counts<T: Owned>(difference: &Difference<T>) -> ReplaceReply {
    ReplaceReply {
        added: difference.added.len() as u64,
        changed: difference.changed.len() as u64,
        removed: difference.removed.len() as u64,
        unchanged: difference.unchanged as u64,
    }
}

impl Operator for Ledger {
    fn apply(&mut self, change: Change) -> Result<(), Refusal> {
        if let Change::RemoveFdb { vni, mac } = &change
            && self.learned.remove(&(*vni, *mac)).is_some()
        {
            return Ok(());
        }
        Ok(self.config.apply(&change)?)
    }

    fn replace_fdb(&mut self, wanted: &Replacement<FdbConfig>) -> Result<ReplaceReply, Refusal> {
        let difference = self.config.difference(wanted)?;
        let counts = counts(&difference);
        self.config.fdb.extend(difference.added.into_iter().chain(difference.changed));
        difference.removed.iter().for_each(|key| drop(self.config.fdb.remove(key)));
        Ok(counts)
    }

    fn replace_neighbours(&mut self, wanted: &Replacement<NeighbourConfig>) -> Result<ReplaceReply, Refusal> {
        let difference = self.config.difference(wanted)?;
        let counts = counts(&difference);
        self.config.neighbours.extend(difference.added.into_iter().chain(difference.changed));
        difference.removed.iter().for_each(|key| drop(self.config.neighbours.remove(key)));
        Ok(counts)
    }

    fn reload(&mut self) -> Result<ReloadReply, Refusal> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(ReloadReply { restart: vec!["daemon.socket".into()], ..ReloadReply::default() }),
        }
    }

    fn status(&mut self) -> StatusReply {
        let stats = self.stats(None, false);
        StatusReply {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime: 3723,
            socket: self.config.daemon.socket.display().to_string(),
            config: None,
            workers: 1,
            ports: self.ports_count(),
            ports_up: self.ports_count(),
            vnis: self.config.vnis.len() as u64,
            remotes: self.config.remotes.len() as u64,
            remotes_reachable: self.config.remotes.len() as u64,
            fdb_entries: (self.config.fdb.len() + self.learned.len()) as u64,
            neighbours: self.neighbours_count(),
            chunks: stats.chunks,
            jumbo_chunks: stats.jumbo_chunks,
            balance: stats.balance,
            degraded: vec!["port east: zero-copy was refused".into()],
        }
    }

    fn ports(&mut self, name: Option<&str>, page: &mut Page<api::Port>) {
        for port in self.config.ports.iter().filter(|port| name.is_none_or(|name| name == port.name)) {
            page.offer(self.port(port));
        }
    }

    fn vnis(&mut self, vni: Option<Vni>, page: &mut Page<api::Vni>) {
        for config in self.config.vnis.iter().filter(|config| vni.is_none_or(|vni| vni == config.vni)) {
            page.offer(configured::vni(
                &self.config,
                config,
                configured::Learned { entries: 1, ..Default::default() },
            ));
        }
    }

    fn remotes(&mut self, vni: Option<Vni>, page: &mut Page<api::Remote>) {
        for remote in self.config.remotes.iter().filter(|remote| vni.is_none_or(|vni| vni == remote.vni)) {
            let Some(domain) = self.config.vnis.get(&remote.vni) else { continue };
            let (encap, udp_port, key) = configured::wrapping(remote.encapsulation_in(domain));
            let Some(local) = domain.local.towards(remote.address) else { continue };
            page.offer(api::Remote {
                dst: remote.address,
                vni: remote.vni.value(),
                encap,
                udp_port,
                key,
                local,
                state: RemoteState::Reachable,
                dev: Some("uplink0".into()),
                lladdr: Some(Mac([2, 0, 0, 0, 0, 0xfe])),
                degraded: Vec::new(),
                flood: remote.flood,
                udp_checksum: udp_port.map(|_| remote.udp_checksum_in(domain)),
                storm_limit: remote.storm_limit,
                path_mtu: Some(api::PathMtu {
                    mtu: 1400,
                    inner: Some(1350),
                    source: api::MtuSource::Router,
                    router: Some("192.0.2.254".parse().unwrap()),
                    age: Some(12),
                    expires: Some(588),
                }),
                learned: 0,
                learn_limit: remote.learn_limit,
                liveness: None,
            });
        }
    }

    fn groups(&mut self, vni: Option<Vni>, page: &mut Page<api::Group>) {
        for group in self.config.groups.iter().filter(|group| vni.is_none_or(|vni| vni == group.vni)) {
            let members = group.members.iter().map(|member| api::GroupMember {
                dst: member.remote,
                weight: member.weight,
                backup: member.backup,
                state: if member.backup { MemberState::Standby } else { MemberState::Active },
                buckets: if member.backup { 0 } else { 128 },
            });
            page.offer(api::Group {
                name: group.name.clone(),
                vni: group.vni.value(),
                flood: group.flood,
                members: members.collect(),
            });
        }
    }

    fn fdb(&mut self, filter: &FdbFilter, page: &mut Page<api::FdbEntry>) {
        for entry in self.entries() {
            if matches(filter, &entry) && page.wants(&(entry.vni.value(), entry.mac)) {
                page.offer(fdb_entry(&entry));
            }
        }
    }

    fn fdb_flush(&mut self, filter: &FdbFilter) -> u64 {
        let doomed: Vec<_> =
            self.entries().filter(|entry| matches(filter, entry)).map(|entry| entry.key()).collect();
        for key in &doomed {
            self.learned.remove(key);
            self.config.fdb.remove(key);
        }
        doomed.len() as u64
    }

    fn neighbours(&mut self, filter: &NeighbourFilter, page: &mut Page<api::Neighbour>) {
        let fixed = self.config.neighbours.iter().cloned();
        let fluid = self.seen.iter().map(|((vni, address), mac)| NeighbourConfig {
            owner: owner::LEARNED.into(),
            ..NeighbourConfig::new(*vni, *address, *mac)
        });
        for entry in fixed.chain(fluid) {
            let permanent = entry.owner != owner::LEARNED;
            let neighbour = api::Neighbour {
                dst: entry.address,
                lladdr: entry.mac,
                vni: entry.vni.value(),
                state: if permanent { EntryState::Permanent } else { EntryState::Reachable },
                flags: entry.router.then(|| "router".to_owned()).into_iter().collect(),
                age: 4,
                owner: entry.owner,
                version: VERSION,
                moves: 0,
                last_move: None,
                moved_from: None,
            };
            if filter.admits(&neighbour) {
                page.offer(neighbour);
            }
        }
    }

    fn neighbours_flush(&mut self, filter: &NeighbourFilter) -> u64 {
        let before = self.neighbours_count();
        let is_meant = |vni: Vni, owner: &str| {
            filter.vni.is_none_or(|meant| meant == vni)
                && filter.owner.as_ref().is_none_or(|meant| meant == owner)
        };
        self.seen.retain(|(vni, _), _| !is_meant(*vni, owner::LEARNED));
        let doomed = self.config.neighbours.iter().filter(|it| is_meant(it.vni, &it.owner));
        for key in doomed.map(Keyed::key).collect::<Vec<_>>() {
            self.config.neighbours.remove(&key);
        }
        before - self.neighbours_count()
    }

    fn mdb(&mut self, vni: Option<Vni>, page: &mut Page<api::MdbEntry>) {
        for domain in self.config.vnis.iter().filter(|domain| vni.is_none_or(|vni| vni == domain.vni)) {
            page.offer(api::MdbEntry {
                vni: domain.vni.value(),
                kind: api::MdbKind::Querier,
                grp: Some(IpAddr::from([10, 0, 0, 1])),
                ifname: None,
                dst: Some(IpAddr::from([192, 0, 2, 2])),
                timer: 255,
            });
        }
    }

    fn stats(&mut self, port: Option<&str>, buckets: bool) -> StatsReply {
        let received = self.frames * self.ports_count();
        let dropped = self.frames / 5 * self.ports_count();
        let ports = self.config.ports.iter().filter(|config| port.is_none_or(|port| port == config.name));
        StatsReply {
            balance: Balance {
                rx: received,
                copies: 0,
                tx: received - dropped,
                dropped,
                taken: 0,
                in_flight: 0,
            },
            chunks: Chunks { free: 12_000, rings: 4_384, flight: 0, total: 16_384 },
            jumbo_chunks: Chunks { free: 1024, rings: 0, flight: 0, total: 1024 },
            workers: vec![api::WorkerStats {
                worker: 0,
                cpu: Some(1),
                rx: received,
                copies: 0,
                tx: received - dropped,
                dropped,
                taken: 0,
                in_flight: 0,
                handed_over: 0,
                lost_events: 0,
                failed_flushes: 0,
                bursts: 0,
                flushes: self.frames,
                burst: None,
                residence: self.distribution(4000, buckets),
                batches: self.distribution(16, buckets),
                cost: api::Cost { rounds: 1, frames: 16, receive: 320, ..api::Cost::default() },
            }],
            ports: ports
                .map(|config| self.port(config))
                .map(|port| api::PortStats {
                    ifname: port.ifname,
                    rx_packets: port.rx_packets,
                    rx_bytes: port.rx_bytes,
                    tx_packets: port.tx_packets,
                    tx_bytes: port.tx_bytes,
                    dropped: port.dropped,
                    kernel_dropped: port.kernel_dropped,
                    to_kernel: port.to_kernel,
                    fragmented: 0,
                    too_big_told: 0,
                })
                .collect(),
            path_mtu: api::PathMtuCounts { accepted: 1, foreign: 2, ..api::PathMtuCounts::default() },
        }
    }

    fn stats_flush(&mut self) {
        self.flushed = self.frames;
    }

    fn drops(&mut self, port: Option<&str>, all: bool, page: &mut Page<api::Drop>) {
        for config in self.config.ports.iter().filter(|config| port.is_none_or(|port| port == config.name)) {
            for (reason, count) in [("MAC_INVALID_SOURCE", self.frames / 5), ("PORT_DOWN", 0)] {
                if all || count > 0 {
                    page.offer(api::Drop {
                        reason: reason.into(),
                        help: "A sentence.".into(),
                        count,
                        port: Some(config.name.clone()),
                    });
                }
            }
        }
    }
}

/// A ledger with two ports and two VNIs, some entries of every kind, and a thousand frames seen.
pub(crate) fn sample() -> Ledger {
    let mut ledger = Ledger { frames: 1000, ..Ledger::default() };
    let vni = |number| Vni::new(number).unwrap();
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let mut second = VniConfig::new(vni(200), address("192.0.2.1"));
    second.encapsulation = EncapsulationConfig::Gre { key: GreKey::Number(77) };
    let changes = [
        Change::SetVni { vni: VniConfig::new(vni(100), address("192.0.2.1")), replace: false },
        Change::SetVni { vni: second, replace: false },
        Change::AddPort(PortConfig::new("uplink0", "uplink0", PortRole::Uplink)),
        Change::AddPort(PortConfig::new("east", "veth-east", PortRole::Access { vni: vni(100) })),
        Change::SetRemote {
            remote: crate::config::RemoteConfig::new(vni(100), address("192.0.2.2")),
            replace: false,
        },
        Change::SetFdb {
            entry: FdbConfig {
                owner: owner::CONTROL.into(),
                ..FdbConfig::new(
                    vni(100),
                    Mac([2, 0, 0, 0, 0, 2]),
                    FdbDestination::Remote(address("192.0.2.2")),
                )
            },
            replace: false,
        },
    ];
    for change in &changes {
        ledger.config.apply(change).unwrap();
    }
    ledger.learned.insert((vni(100), Mac([2, 0, 0, 0, 0, 1])), FdbDestination::Port("east".into()));
    ledger.seen.insert((vni(100), address("10.0.0.1")), Mac([2, 0, 0, 0, 0, 1]));
    ledger
}
