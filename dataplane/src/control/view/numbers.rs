//! Counters, the balance of frames, and where the chunks are.

use std::time::Duration;

use api::{Balance, BurstCosts, Chunks, Drop, PortStats, StatsReply, StatusReply, WorkerStats};
use forward::counters::{Counters, PortCounts};
use forward::ids::PortId;
use forward::tables::Path;
use forward::verdict::DropReason;
use xsk::Statistics;

use super::super::port::OpenPort;
use super::super::protection::STRANGERS;
use super::super::state::State;
use crate::config::{PortConfig, PortRole};
use crate::worker::Reading;

/// Time for the workers to write their gauges once more before they are read.
const GAUGE: Duration = Duration::from_micros(200);

impl State {
    /// What all workers have counted for an index, since the process started.
    fn raw_counts(&self, port: PortId) -> PortCounts {
        let mut sum = PortCounts::default();
        for (_, counters, _) in self.fleet.observe() {
            sum += &counters.port(port);
        }
        sum
    }

    /// What was counted for a port since it got its index.
    pub(in crate::control) fn counts(&self, port: PortId) -> PortCounts {
        let mut counts = self.raw_counts(port);
        if let Some(before) = self.baselines.get(&port) {
            counts.received.frames -= before.received.frames;
            counts.received.bytes -= before.received.bytes;
            counts.transmitted.frames -= before.transmitted.frames;
            counts.transmitted.bytes -= before.transmitted.bytes;
            counts.copies -= before.copies;
            counts.proxied -= before.proxied;
            counts.unlearned -= before.unlearned;
            counts.fragmented -= before.fragmented;
            counts.too_big_told -= before.too_big_told;
            for (count, before) in counts.drops.iter_mut().zip(before.drops) {
                *count -= before;
            }
        }
        counts
    }

    /// Notes what an index has counted for its previous owner.
    pub(in crate::control) fn set_baseline(&mut self, port: PortId) {
        let counts = self.raw_counts(port);
        self.baselines.insert(port, counts);
    }

    /// What one worker has counted over all ports.
    fn worker_counts(&self, counters: &Counters) -> PortCounts {
        let mut sum = PortCounts::default();
        for port in self.baselines.keys() {
            sum += &counters.port(*port);
        }
        sum
    }

    /// Each worker's share of the balance.
    fn balances(&self) -> Vec<Balance> {
        let balance = |(_, counters, gauges): (_, &Counters, Reading)| {
            let counts = self.worker_counts(counters);
            Balance {
                rx: counts.received.frames,
                copies: counts.copies,
                tx: counts.transmitted.frames,
                dropped: counts.dropped(),
                taken: counts.taken(),
                in_flight: gauges.staged + gauges.crossing,
            }
        };
        self.fleet.observe().map(balance).collect()
    }

    fn workers(&self, balances: &[Balance], buckets: bool) -> Vec<WorkerStats> {
        let observed = self.fleet.observe().zip(self.measured()).zip(balances);
        let workers = (0u32..).zip(observed).map(|(worker, (((config, _, gauges), measured), balance))| {
            let Balance { rx, copies, tx, dropped, taken, in_flight } = *balance;
            let (residence, batches, cost) = measured.view(buckets);
            WorkerStats {
                worker,
                cpu: config.cpu,
                rx,
                copies,
                tx,
                dropped,
                taken,
                in_flight,
                handed_over: gauges.handed_over,
                lost_events: gauges.lost_events,
                failed_flushes: gauges.failed_flushes,
                bursts: gauges.bursts,
                flushes: gauges.flushes,
                burst: (gauges.threshold != 0).then_some(BurstCosts {
                    threshold: gauges.threshold,
                    ring_ns: gauges.costs.ring,
                    call_ns: gauges.costs.call,
                    frame_ns: gauges.costs.frame,
                }),
                residence,
                batches,
                cost,
            }
        });
        workers.collect()
    }

    fn sum(balances: &[Balance]) -> Balance {
        let mut sum = Balance::default();
        for balance in balances {
            sum.rx += balance.rx;
            sum.copies += balance.copies;
            sum.tx += balance.tx;
            sum.dropped += balance.dropped;
            sum.taken += balance.taken;
            sum.in_flight += balance.in_flight;
        }
        sum
    }

    fn chunks(&self) -> Chunks {
        let mut chunks = Chunks { total: u64::from(self.umem.chunks()), ..Chunks::default() };
        for (_, _, gauges) in self.fleet.observe() {
            chunks.free += gauges.free;
            chunks.rings += gauges.homecoming + gauges.crossing;
            chunks.flight += gauges.staged - gauges.jumbo_staged;
        }
        chunks.rings += u64::from(self.umem.held());
        chunks.rings = chunks.rings.saturating_sub(self.jumbo_chunks().rings);
        chunks
    }

    /// Where the chunks of jumbo memory are. No ring shared with the kernel has any.
    fn jumbo_chunks(&self) -> Chunks {
        let total = self.jumbo.as_ref().map_or(0, |jumbo| u64::from(jumbo.chunks()));
        let (mut chunks, mut arrived) = (Chunks { total, ..Chunks::default() }, 0);
        for (_, _, gauges) in self.fleet.observe() {
            chunks.free += gauges.jumbo_free;
            chunks.rings += gauges.jumbo_departed;
            arrived += gauges.jumbo_arrived;
            chunks.flight += gauges.jumbo_staged;
        }
        chunks.rings = chunks.rings.saturating_sub(arrived);
        chunks
    }

    fn ports_up(&self) -> usize {
        self.ports.values().filter(|port| self.is_running(port)).count()
    }

    fn remotes_reachable(&self) -> usize {
        let pairs = self.config.remotes.iter().filter_map(|remote| {
            Some((self.config.local_towards(remote.vni, remote.address)?, remote.address))
        });
        let is_ready = |(local, remote)| matches!(self.path(local, remote), Path::Resolved { .. });
        pairs.filter(|pair| is_ready(*pair)).count()
    }

    /// The daemon in one line, as `systemctl status` shows it.
    pub(in crate::control) fn summary(&self) -> String {
        format!(
            "{} of {} ports up, {} of {} remotes reachable",
            self.ports_up(),
            self.config.ports.len(),
            self.remotes_reachable(),
            self.config.remotes.len()
        )
    }

    /// The daemon as a whole.
    pub(in crate::control) fn status_view(&self) -> StatusReply {
        self.fleet.wake();
        std::thread::sleep(GAUGE);
        let balances = self.balances();
        let degraded = self
            .ports
            .iter()
            .flat_map(|(name, port)| {
                let reasons = port.degraded.iter().cloned().chain(port.shortage());
                reasons.map(move |why| format!("port {name}: {why}"))
            })
            .chain(self.ports.iter().filter_map(|(name, port)| {
                let why = self.cramped(port, self.underlay.link_by_index(port.ifindex)?)?;
                Some(format!("port {name}: {why}"))
            }))
            .chain(self.closed.iter().map(|(name, closed)| format!("port {name} is down: {}", closed.why)))
            .chain(self.config.vnis.iter().filter_map(|vni| self.absent_local(vni)))
            .chain(self.routers.refusals().map(|(family, why)| {
                format!("path MTUs over {family} are not learned from ICMP: no raw socket: {why}")
            }))
            .chain(self.hindrance_sentences());
        StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime: u64::from(self.now()),
            socket: self.config.daemon.socket.display().to_string(),
            config: self.origin.file.as_ref().map(|path| path.display().to_string()),
            workers: balances.len() as u64,
            ports: self.config.ports.len() as u64,
            ports_up: self.ports_up() as u64,
            vnis: self.config.vnis.len() as u64,
            remotes: self.config.remotes.len() as u64,
            remotes_reachable: self.remotes_reachable() as u64,
            fdb_entries: self.fdb.len() as u64,
            neighbours: (self.config.neighbours.len() + self.book.len()) as u64,
            chunks: self.chunks(),
            jumbo_chunks: self.jumbo_chunks(),
            balance: Self::sum(&balances),
            degraded: degraded.collect(),
        }
    }

    /// Counters of the workers and of one port or all.
    pub(in crate::control) fn stats_view(&self, name: Option<&str>, buckets: bool) -> StatsReply {
        self.fleet.wake();
        std::thread::sleep(GAUGE);
        let balances = self.balances();
        let ports = self.named(name).map(|config| {
            let counts = self.port_id(&config.name).map(|id| self.counts(id)).unwrap_or_default();
            PortStats {
                ifname: config.name.clone(),
                rx_packets: counts.received.frames,
                rx_bytes: counts.received.bytes,
                tx_packets: counts.transmitted.frames,
                tx_bytes: counts.transmitted.bytes,
                dropped: counts.dropped(),
                kernel_dropped: self.kernel_dropped(&config.name),
                to_kernel: self.to_kernel(&config.name),
                fragmented: counts.fragmented,
                too_big_told: counts.too_big_told,
            }
        });
        StatsReply {
            balance: Self::sum(&balances),
            chunks: self.chunks(),
            jumbo_chunks: self.jumbo_chunks(),
            ports: ports.collect(),
            workers: self.workers(&balances, buckets),
            path_mtu: self.path_mtus.counts,
        }
    }

    /// Reasons and their counts, of one port or all; with `all` also those that are zero.
    pub(in crate::control) fn drops_view(&self, name: Option<&str>, all: bool) -> Vec<Drop> {
        let mut drops = Vec::new();
        for config in self.named(name) {
            let counts = self.port_id(&config.name).map(|id| self.counts(id)).unwrap_or_default();
            let ours = DropReason::ALL
                .iter()
                .map(|reason| (reason.name(), reason.help(), counts.drops_for(*reason)));
            let kernels =
                self.ports.get(&config.name).map(|port| self.kernel_drops(port)).unwrap_or_default();
            let reasons = ours.chain(kernels).filter(|(_, _, count)| all || *count != 0);
            drops.extend(reasons.map(|(reason, help, count)| Drop {
                reason: reason.to_owned(),
                help: help.to_owned(),
                count,
                port: Some(config.name.clone()),
            }));
        }
        drops
    }

    /// Frames that the kernel could not give to us since the port was opened. They were never received, so the balance
    /// does not know them.
    fn kernel_drops(&self, port: &OpenPort) -> Vec<(&'static str, &'static str, u64)> {
        let mut sum = Statistics::default();
        for queue in &port.queues {
            if let Ok(Some(statistics)) = queue.statistics.read() {
                sum.rx_ring_full += statistics.rx_ring_full;
                sum.rx_dropped += statistics.rx_dropped;
            }
        }
        let steered = self.steering.counters(port.id.0).unwrap_or_default();
        // From an uplink such frames go on to the kernel.
        let strays = match port.config.role {
            PortRole::Uplink => 0,
            PortRole::Access { .. } | PortRole::Trunk(_) => steered.no_socket,
        };
        vec![
            (
                "RX_RING_FULL",
                "The kernel found the port's receive ring full: its worker was too slow.",
                sum.rx_ring_full,
            ),
            (
                "RX_DROPPED",
                "The kernel had no chunk for the frame, or the frame is longer than the port takes.",
                sum.rx_dropped,
            ),
            ("NO_SOCKET", "The frame came to a queue of the device that no socket serves.", strays),
            (STRANGERS.0, STRANGERS.1, steered.strangers),
        ]
    }

    /// How many frames those are.
    pub(super) fn kernel_dropped(&self, name: &str) -> u64 {
        let drops = self.ports.get(name).map(|port| self.kernel_drops(port)).unwrap_or_default();
        drops.iter().map(|(_, _, count)| count).sum()
    }

    /// Frames that an uplink has left to the host since it was opened.
    pub(super) fn to_kernel(&self, name: &str) -> Option<u64> {
        let port = self.ports.get(name).filter(|port| port.config.role == PortRole::Uplink)?;
        let steered = self.steering.counters(port.id.0).ok()?;
        Some(steered.to_kernel + steered.no_socket)
    }

    /// Configured ports, all or the one of this name.
    pub(super) fn named(&self, name: Option<&str>) -> impl Iterator<Item = &PortConfig> {
        self.config.ports.iter().filter(move |port| name.is_none_or(|name| port.name == name))
    }
}
