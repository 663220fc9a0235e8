//! Ports, VNIs and remotes.

use api::{
    Pages, Port, PortState, Queue, Remote, RemoteState, Tags, Transmit, TransmitPath, TransmitWish, Vni,
    XdpMode,
};
use forward::link::Place;
use forward::tables::Path;

use super::super::book::LEARNED_PER_VNI;
use super::super::paths::Way;
use super::super::port::{OpenPort, OpenQueue};
use super::super::state::State;
use super::super::verbs::{configured, guard, trunk};
use crate::config::{self, PortConfig, RemoteConfig};

impl State {
    /// Whether a port's device can carry frames.
    pub(in crate::control) fn is_running(&self, port: &OpenPort) -> bool {
        self.underlay.link_by_index(port.ifindex).is_some_and(|link| link.running)
    }

    /// Ports, all or the one of this name.
    pub(in crate::control) fn ports_view(&self, name: Option<&str>) -> Vec<Port> {
        self.named(name).map(|config| self.port_view(config)).collect()
    }

    fn port_view(&self, config: &PortConfig) -> Port {
        let open = self.ports.get(&config.name);
        let link = self.underlay.link(&config.device);
        let counts = self.port_id(&config.name).map(|id| self.counts(id)).unwrap_or_default();
        let mut degraded: Vec<String> = open.map(|port| port.degraded.clone()).unwrap_or_default();
        degraded.extend(self.closed.get(&config.name).map(|closed| closed.why.clone()));
        degraded.extend(open.and_then(OpenPort::napi_refusal).map(str::to_owned));
        degraded.extend(open.zip(link).and_then(|(open, link)| self.cramped(open, link)));
        degraded.extend(open.and_then(OpenPort::shortage));
        match link {
            Some(link) if open.is_some() && !link.up => {
                degraded.push(format!("device {0} is down; `ip link set {0} up`", link.name));
            }
            Some(link) if open.is_some() && !link.running => {
                degraded.push(format!("device {} has no carrier; look at its cable or far end", link.name));
            }
            _ => {}
        }
        let transmit = self.transmit_view(config, open);
        let uncounted = self.steering.uncounted_drops().filter(|_| transmit.active == TransmitPath::Burst);
        degraded.extend(uncounted.map(|why| {
            format!(
                "frames that the device does not take from a burst count as sent: {why}; counting them needs CAP_PERFMON and \
                 /sys/kernel/btf/vmlinux, or set `transmit = \"ring\"`"
            )
        }));
        let trunk::Shown { role, vni, vlans, native } = trunk::of(config);
        let tags = open.and_then(|port| port.tags.as_ref());
        let up = open.is_some_and(|port| self.is_running(port));
        Port {
            ifname: config.name.clone(),
            device: config.device.clone(),
            role,
            vni,
            vlans,
            native,
            tags: tags.map(|seen| Tags { seen: seen.is_ok(), reason: seen.as_ref().err().cloned() }),
            mode: open.map(|port| mode(port.mode)),
            pages: open.map(|port| pages(port.pages)),
            state: if up { PortState::Up } else { PortState::Down },
            address: link.and_then(|link| link.mac),
            mtu: link.map(|link| open.map_or(link.mtu, |open| self.usable_mtu(open, link))),
            ring_size: config.ring_size,
            queues: open.map(|port| port.queues.iter().map(queue).collect()).unwrap_or_default(),
            degraded,
            transmit,
            netns: config.namespace.clone(),
            netns_device: open.and_then(|port| port.napi.as_ref()?.as_ref().ok().cloned()),
            flood: config.policy.flood.unicast,
            mcast_flood: config.policy.flood.multicast,
            bcast_flood: config.policy.flood.broadcast,
            isolated: config.policy.isolated,
            fastleave: config.policy.fastleave,
            storm_limit: config.policy.storm_limit,
            guard: guard::of(config),
            learned: self.port_id(&config.name).map_or(0, |id| self.fdb.learned_at(Place::Port(id))),
            unlearned: counts.unlearned,
            rx_packets: counts.received.frames,
            rx_bytes: counts.received.bytes,
            tx_packets: counts.transmitted.frames,
            tx_bytes: counts.transmitted.bytes,
            dropped: counts.dropped(),
            kernel_dropped: self.kernel_dropped(&config.name),
            to_kernel: self.to_kernel(&config.name),
        }
    }

    fn transmit_view(&self, config: &PortConfig, open: Option<&OpenPort>) -> Transmit {
        let refusal = open.map(|port| self.burst_refusal(port));
        let burst = refusal.as_ref().is_some_and(Option::is_none);
        Transmit {
            configured: match config.transmit {
                config::TransmitWish::Auto => TransmitWish::Auto,
                config::TransmitWish::Ring => TransmitWish::Ring,
                config::TransmitWish::Burst => TransmitWish::Burst,
            },
            active: if burst { TransmitPath::Burst } else { TransmitPath::Ring },
            threshold: match config.transmit {
                config::TransmitWish::Auto if burst => self.least_threshold(),
                config::TransmitWish::Burst if burst => Some(1),
                _ => None,
            },
            reason: refusal.flatten(),
        }
    }

    /// The least number of frames that any worker bursts from.
    fn least_threshold(&self) -> Option<u32> {
        let thresholds = self.fleet.observe().map(|(_, _, gauges)| gauges.threshold);
        thresholds.filter(|threshold| *threshold != 0).min().and_then(|least| u32::try_from(least).ok())
    }

    /// VNIs, all or this one.
    pub(in crate::control) fn vnis_view(&self, only: Option<wire::Vni>) -> Vec<Vni> {
        let vnis = self.config.vnis.iter().filter(|vni| only.is_none_or(|only| vni.vni == only));
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let learned = |vni| configured::Learned {
            entries: self.domain_id(vni).map_or(0, |id| self.fdb.learned_in(id)),
            neighbours: number(self.book.learned_in(vni)),
            neighbour_limit: number(LEARNED_PER_VNI),
            neighbours_unlearned: self.book.unlearned_in(vni),
        };
        vnis.map(|vni| configured::vni(&self.config, vni, learned(vni.vni))).collect()
    }

    /// Remotes, all or those of one VNI.
    pub(in crate::control) fn remotes_view(&self, only: Option<wire::Vni>) -> Vec<Remote> {
        let remotes = self.config.remotes.iter().filter(|remote| only.is_none_or(|only| remote.vni == only));
        remotes.filter_map(|remote| self.remote_view(remote)).collect()
    }

    fn remote_view(&self, remote: &RemoteConfig) -> Option<Remote> {
        let vni = self.config.vnis.get(&remote.vni)?;
        let (encap, udp_port, key) = configured::wrapping(remote.encapsulation_in(vni));
        let local = vni.local.towards(remote.address)?;
        let way = self.paths.way(local, remote.address);
        let (ifindex, lladdr) = match way {
            None | Some(Way::None(_)) => (None, None),
            Some(Way::Unresolved { ifindex, .. }) => (Some(*ifindex), None),
            Some(Way::Ready { ifindex, mac, .. }) => (Some(*ifindex), Some(*mac)),
        };
        let state = match self.path(local, remote.address) {
            Path::Resolved { .. } | Path::Withdrawn { .. } => RemoteState::Reachable,
            Path::Unresolved => RemoteState::Unresolved,
            Path::NoRoute => RemoteState::NoRoute,
        };
        let link = ifindex.and_then(|ifindex| self.underlay.link_by_index(ifindex));
        Some(Remote {
            dst: remote.address,
            vni: remote.vni.value(),
            encap,
            udp_port,
            key,
            local,
            state,
            dev: link.map(|link| link.name.clone()),
            lladdr,
            degraded: self.hindrance(remote).into_iter().collect(),
            flood: remote.flood,
            udp_checksum: udp_port.map(|_| remote.udp_checksum_in(vni)),
            storm_limit: remote.storm_limit,
            liveness: self.liveness_view(remote.vni, remote.address),
            path_mtu: self.path_mtu_view(local, remote),
            learned: self
                .remote_id(remote.vni, remote.address)
                .map_or(0, |id| self.fdb.learned_at(Place::Remote(id))),
            learn_limit: remote.learn_limit,
        })
    }
}

const fn pages(pages: xsk::Pages) -> Pages {
    match pages {
        xsk::Pages::Base => Pages::Base,
        xsk::Pages::Transparent => Pages::Transparent,
        xsk::Pages::HugeTlb => Pages::HugeTlb,
    }
}

const fn mode(mode: xsk::Mode) -> XdpMode {
    match mode {
        xsk::Mode::Generic => XdpMode::Generic,
        xsk::Mode::Native => XdpMode::Native,
        xsk::Mode::ZeroCopy => XdpMode::ZeroCopy,
    }
}

fn queue(queue: &OpenQueue) -> Queue {
    let statistics = queue.statistics.read().ok().flatten().unwrap_or_default();
    Queue {
        queue: queue.index,
        worker: u32::from(queue.worker),
        rx_dropped: statistics.rx_dropped,
        rx_invalid_descs: statistics.rx_invalid_descriptors,
        tx_invalid_descs: statistics.tx_invalid_descriptors,
        rx_ring_full: statistics.rx_ring_full,
        rx_fill_ring_empty_descs: statistics.rx_fill_ring_empty,
        tx_ring_empty_descs: statistics.tx_ring_empty,
    }
}
