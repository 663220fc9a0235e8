//! An operator in memory: it applies changes to a [`Config`] and shows what that says, as if every device worked.
//! Tests of the protocol, here and of the client, stand on it; no part of the daemon does.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::{
    Balance, Bucket, Chunks, Distribution, EntryKind, EntryState, PortState, Refusal, ReloadReply,
    RemoteState, StatsReply, StatusReply, TransmitPath, TransmitWish, XdpMode,
};
use wire::{Mac, Vni};

use crate::config::{
    Change, Config, EncapsulationConfig, FdbDestination, GreKey, PortConfig, PortRole, VniConfig,
};
use crate::control::verbs::{FdbFilter, Operator, Page};

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
    fn entries(&self) -> impl Iterator<Item = ((Vni, Mac), &FdbDestination, EntryState)> {
        let fixed = self
            .config
            .fdb
            .iter()
            .map(|entry| ((entry.vni, entry.mac), &entry.destination, EntryState::Permanent));
        let fluid = self.learned.iter().map(|(key, place)| (*key, place, EntryState::Reachable));
        fixed.chain(fluid)
    }

    fn port(&self, port: &PortConfig) -> api::Port {
        let vni = match port.role {
            PortRole::Uplink => None,
            PortRole::Access { vni } => Some(vni.value()),
        };
        api::Port {
            ifname: port.name.clone(),
            device: port.device.clone(),
            role: if vni.is_some() { api::PortRole::Access } else { api::PortRole::Uplink },
            vni,
            mode: Some(XdpMode::Native),
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
            rx_packets: self.frames,
            rx_bytes: self.frames * 64,
            tx_packets: 0,
            tx_bytes: 0,
            dropped: self.frames / 5,
        }
    }

    fn vni(&self, vni: &VniConfig) -> api::Vni {
        let (encap, udp_port, key) = wrapping(vni.encapsulation);
        let inside = |port: &&PortConfig| port.role == PortRole::Access { vni: vni.vni };
        api::Vni {
            vni: vni.vni.value(),
            local: vni.local,
            encap,
            udp_port,
            key,
            learning: vni.learning,
            ageing: vni.ageing,
            arp_proxy: vni.arp_proxy,
            nd_proxy: vni.nd_proxy,
            ttl: vni.ttl,
            ports: self.config.ports.iter().filter(inside).map(|port| port.name.clone()).collect(),
            remotes: self.config.remotes.in_vni(vni.vni).map(|remote| remote.address).collect(),
        }
    }

    /// One value as often as there were frames since the last flush.
    fn distribution(&self, value: u64, buckets: bool) -> Distribution {
        let count = self.frames - self.flushed;
        let buckets = buckets.then(|| vec![Bucket { value, count }]);
        let max = value;
        Distribution { count, mean: value, p50: value, p90: value, p99: value, p999: value, max, buckets }
    }

    fn ports_count(&self) -> u64 {
        self.config.ports.len() as u64
    }
}

fn wrapping(encapsulation: EncapsulationConfig) -> (api::Encapsulation, Option<u16>, Option<String>) {
    match encapsulation {
        EncapsulationConfig::Vxlan { port } => (api::Encapsulation::Vxlan, Some(port), None),
        EncapsulationConfig::Gre { key } => {
            let key = match key {
                GreKey::Vni => "vni".to_owned(),
                GreKey::Absent => "none".to_owned(),
                GreKey::Number(number) => number.to_string(),
            };
            (api::Encapsulation::Gre, None, Some(key))
        }
    }
}

fn matches(filter: &FdbFilter, (vni, mac): (Vni, Mac), place: &FdbDestination, state: EntryState) -> bool {
    let kind = if state == EntryState::Permanent { EntryKind::Static } else { EntryKind::Dynamic };
    filter.vni.is_none_or(|wanted| wanted == vni)
        && filter.mac.is_none_or(|wanted| wanted == mac)
        && filter.kind.is_none_or(|wanted| wanted == kind)
        && filter.port.as_ref().is_none_or(|wanted| *place == FdbDestination::Port(wanted.clone()))
        && filter.remote.is_none_or(|wanted| *place == FdbDestination::Remote(wanted))
}

fn fdb_entry((vni, mac): (Vni, Mac), place: &FdbDestination, state: EntryState) -> api::FdbEntry {
    let (ifname, dst) = match place {
        FdbDestination::Port(name) => (Some(name.clone()), None),
        FdbDestination::Remote(address) => (None, Some(*address)),
    };
    let learned = state == EntryState::Reachable;
    api::FdbEntry {
        mac,
        vni: vni.value(),
        ifname,
        dst,
        state,
        flags: Vec::new(),
        age: learned.then_some(3),
        owner: if learned { "learned" } else { "control" }.into(),
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

    fn reload(&mut self) -> Result<ReloadReply, Refusal> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(ReloadReply { changes: 0, restart: vec!["daemon.socket".into()] }),
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
            neighbours: (self.config.neighbours.len() + self.seen.len()) as u64,
            chunks: stats.chunks,
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
            page.offer(self.vni(config));
        }
    }

    fn remotes(&mut self, vni: Option<Vni>, page: &mut Page<api::Remote>) {
        for remote in self.config.remotes.iter().filter(|remote| vni.is_none_or(|vni| vni == remote.vni)) {
            let Some(domain) = self.config.vnis.get(&remote.vni) else { continue };
            let (encap, udp_port, key) = wrapping(remote.encapsulation.unwrap_or(domain.encapsulation));
            page.offer(api::Remote {
                dst: remote.address,
                vni: remote.vni.value(),
                encap,
                udp_port,
                key,
                local: domain.local,
                state: RemoteState::Reachable,
                dev: Some("uplink0".into()),
                lladdr: Some(Mac([2, 0, 0, 0, 0, 0xfe])),
                flood: remote.flood,
            });
        }
    }

    fn fdb(&mut self, filter: &FdbFilter, page: &mut Page<api::FdbEntry>) {
        for (key, place, state) in self.entries() {
            if matches(filter, key, place, state) && page.wants(&(key.0.value(), key.1)) {
                page.offer(fdb_entry(key, place, state));
            }
        }
    }

    fn fdb_flush(&mut self, filter: &FdbFilter) -> u64 {
        let doomed: Vec<_> = self
            .entries()
            .filter(|(key, place, state)| matches(filter, *key, place, *state))
            .map(|(key, _, _)| key)
            .collect();
        for key in &doomed {
            self.learned.remove(key);
            self.config.fdb.remove(key);
        }
        doomed.len() as u64
    }

    fn neighbours(&mut self, vni: Option<Vni>, page: &mut Page<api::Neighbour>) {
        let fixed = self
            .config
            .neighbours
            .iter()
            .map(|entry| (entry.vni, entry.address, entry.mac, true, entry.router));
        let fluid = self.seen.iter().map(|((vni, address), mac)| (*vni, *address, *mac, false, false));
        for (domain, dst, lladdr, permanent, router) in fixed.chain(fluid) {
            if vni.is_none_or(|vni| vni == domain) {
                page.offer(api::Neighbour {
                    dst,
                    lladdr,
                    vni: domain.value(),
                    state: if permanent { EntryState::Permanent } else { EntryState::Reachable },
                    flags: router.then(|| "router".to_owned()).into_iter().collect(),
                    age: (!permanent).then_some(4),
                    owner: if permanent { "control" } else { "learned" }.into(),
                });
            }
        }
    }

    fn neighbours_flush(&mut self, vni: Option<Vni>) -> u64 {
        let before = self.seen.len();
        self.seen.retain(|(domain, _), _| vni.is_some_and(|vni| vni != *domain));
        (before - self.seen.len()) as u64
    }

    fn stats(&mut self, port: Option<&str>, buckets: bool) -> StatsReply {
        let received = self.frames * self.ports_count();
        let dropped = self.frames / 5 * self.ports_count();
        let ports = self.config.ports.iter().filter(|config| port.is_none_or(|port| port == config.name));
        StatsReply {
            balance: Balance { rx: received, copies: 0, tx: received - dropped, dropped, in_flight: 0 },
            chunks: Chunks { free: 12_000, rings: 4_384, flight: 0, total: 16_384 },
            workers: vec![api::WorkerStats {
                worker: 0,
                cpu: Some(1),
                rx: received,
                copies: 0,
                tx: received - dropped,
                dropped,
                in_flight: 0,
                handed_over: 0,
                bursts: 0,
                flushes: self.frames,
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
                })
                .collect(),
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
            entry: crate::config::FdbConfig {
                vni: vni(100),
                mac: Mac([2, 0, 0, 0, 0, 2]),
                destination: FdbDestination::Remote(address("192.0.2.2")),
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
