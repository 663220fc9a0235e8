//! From the mutable truth to what is published: tables for the pipeline, wiring for the workers, rules for the XDP
//! program.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use forward::flood::{Flooding, StormLimit};
use forward::ids::PortId;
use forward::link::Place;
use forward::tables::{
    Domain, Neighbour, NeighbourFlags, Neighbours, Path, Port, Remote, Role, Tables, TablesParts,
    TunnelOptions,
};
use wire::{Mac, Vni};
use xsk::{Mode, Unsuitable, UplinkRules};

use super::port::OpenPort;
use super::state::State;
use crate::config::{
    FdbDestination, FloodConfig, Keyed, PortRole, RemoteConfig, TransmitWish, TunnelConfig, VniConfig,
};
use crate::publish::{Published, Wiring};

const fn flooding(config: FloodConfig) -> Flooding {
    Flooding { unknown_unicast: config.unicast, multicast: config.multicast, broadcast: config.broadcast }
}

impl State {
    /// Builds and publishes everything, and waits for nobody.
    pub(super) fn publish(&mut self) {
        self.set_rules();
        self.number_tunnels();
        self.join_groups();
        let pairs: Vec<(IpAddr, IpAddr)> = self.pairs();
        self.paths.require(&mut self.underlay, &pairs);
        let groups = self.group_rows();
        self.path_mtus.retain(|pair| pairs.binary_search(&pair).is_ok());
        let protection = self.protection();
        let members = self.members();
        let parts = TablesParts {
            version: self.version + 1,
            ports: self.ports.values().filter_map(|port| self.port_row(port)).collect(),
            trunks: self.trunk_rows(),
            domains: self
                .config
                .vnis
                .iter()
                .filter_map(|vni| self.domain_row(vni, members.get(&vni.vni)))
                .collect(),
            remotes: self
                .config
                .remotes
                .iter()
                .filter_map(|remote| self.remote_row(remote))
                .chain(self.config.vnis.iter().filter_map(|vni| self.mcast_group_row(vni)))
                .collect(),
            groups,
            neighbours: Arc::new(self.neighbour_rows()),
            protection,
            fdb: Arc::clone(&self.fdb),
        };
        let wiring = self.wiring();
        match Tables::build(parts) {
            Ok(tables) => {
                self.version += 1;
                self.fleet.publish(Published { version: self.version, tables, wiring });
            }
            // The configuration has been judged before, so this is a defect; the last good tables stay.
            Err(faults) => {
                for fault in faults {
                    tracing::error!(%fault, "new tables are refused; the previous ones stay in force");
                }
            }
        }
    }

    /// Our address and the peer's, of every remote, in order.
    fn pairs(&self) -> Vec<(IpAddr, IpAddr)> {
        let pairs: BTreeSet<(IpAddr, IpAddr)> = self
            .config
            .remotes
            .iter()
            .filter_map(|remote| {
                Some((self.config.local_towards(remote.vni, remote.address)?, remote.address))
            })
            .collect();
        pairs.into_iter().collect()
    }

    fn port_row(&self, port: &OpenPort) -> Option<Port> {
        let link = self.underlay.link_by_index(port.ifindex)?;
        let role = match self.role(port) {
            PortRole::Uplink => Role::Uplink,
            PortRole::Access { vni } => Role::Access(self.domain_id(*vni)?),
            PortRole::Trunk(_) => Role::Trunk,
        };
        let policy = self.config.ports.get(&port.config.name).unwrap_or(&port.config).policy;
        Some(Port {
            id: port.id,
            role,
            mac: link.mac.unwrap_or(Mac::ZERO),
            mtu: u16::try_from(self.usable_mtu(port, link)).unwrap_or(u16::MAX),
            flooding: flooding(policy.flood),
            isolated: policy.isolated,
            storm_limit: StormLimit::frames_per_second(policy.storm_limit),
        })
    }

    fn domain_row(&self, vni: &VniConfig, members: Option<&Vec<PortId>>) -> Option<Domain> {
        let remotes = self
            .config
            .remotes
            .in_vni(vni.vni)
            .filter(|remote| {
                remote.flood
                    && vni.mcast_group.is_none()
                    && !self.is_flooded_by_group(remote.vni, remote.address)
            })
            .filter(|remote| !self.liveness.is_down(remote.vni, remote.address));
        let group = vni.mcast_group.and_then(|group| self.remote_id(vni.vni, group));
        Some(Domain {
            id: self.domain_id(vni.vni)?,
            vni: vni.vni,
            learning: vni.learning,
            arp_proxy: vni.arp_proxy,
            nd_proxy: vni.nd_proxy,
            ageing: vni.ageing,
            flooding: flooding(vni.flood),
            snooping: vni.mcast_snooping.then(|| self.mdb.listeners(vni.vni, self.now())),
            mcast_group: vni.mcast_group,
            ports: members.cloned().unwrap_or_default(),
            remotes: remotes
                .filter_map(|remote| self.remote_id(remote.vni, remote.address))
                .chain(group)
                .collect(),
            locals: vni.local.iter().collect(),
            encapsulation: vni.encapsulation.on_wire(vni.vni),
            further_ports: vni.tunnel.further_ports.clone(),
            inner_tags: vni.inner_tags,
            mss_clamp: vni.mss_clamp.into(),
        })
    }

    fn remote_row(&self, remote: &RemoteConfig) -> Option<Remote> {
        let vni = self.config.vnis.get(&remote.vni)?;
        let local = vni.local.towards(remote.address)?;
        Some(Remote {
            id: self.remote_id(remote.vni, remote.address)?,
            domain: self.domain_id(remote.vni)?,
            encapsulation: remote.encapsulation_in(vni).on_wire(remote.vni),
            local,
            address: remote.address,
            marking: vni.marking,
            udp_checksum: remote.udp_checksum_in(vni),
            options: self.tunnel_options(vni, remote),
            path: match self.path(local, remote.address) {
                Path::Resolved { uplink, source, next_hop, .. }
                    if self.liveness.is_down(remote.vni, remote.address) =>
                {
                    Path::Withdrawn { uplink, source, next_hop }
                }
                Path::Resolved { uplink, source, next_hop, mtu } => {
                    let measured = self.liveness.narrowed(remote.vni, remote.address).unwrap_or(u16::MAX);
                    Path::Resolved { uplink, source, next_hop, mtu: mtu.min(measured) }
                }
                path => path,
            },
            storm_limit: StormLimit::frames_per_second(remote.storm_limit),
        })
    }

    /// What tunnel packets of a remote have that most have not.
    pub(super) fn tunnel_options(&self, vni: &VniConfig, remote: &RemoteConfig) -> TunnelOptions {
        let TunnelConfig { further_ports, source_ports, reserved_bits, gre_checksum, .. } = &vni.tunnel;
        // A remote that is wrapped in another way names its one port itself.
        let further_ports = if remote.encapsulation.is_none() { further_ports.clone() } else { Vec::new() };
        TunnelOptions {
            further_ports,
            source_ports: *source_ports,
            reserved_bits: *reserved_bits,
            gre_checksum: *gre_checksum,
            gre_sequence: self.sequences.get(&remote.key()).cloned(),
        }
    }

    /// Gives every remote whose GRE packets are numbered its sequence, which goes on as long as they are.
    fn number_tunnels(&mut self) {
        let Self { config, sequences, .. } = self;
        let numbered =
            |remote: &&RemoteConfig| config.vnis.get(&remote.vni).is_some_and(|vni| vni.tunnel.gre_sequence);
        let keys: BTreeSet<(Vni, IpAddr)> = config.remotes.iter().filter(numbered).map(Keyed::key).collect();
        sequences.retain(|key, _| keys.contains(key));
        for key in keys {
            sequences.entry(key).or_default();
        }
    }

    /// The way to a peer as the pipeline has it.
    pub(super) fn path(&self, local: IpAddr, remote: IpAddr) -> Path {
        let told = self.path_mtus.told((local, remote)).map(|told| told.mtu);
        self.paths
            .way(local, remote)
            .map_or(Path::NoRoute, |way| way.path(told, |ifindex| self.uplink(ifindex)))
    }

    /// The open uplink on a device, and its Ethernet address.
    pub(super) fn uplink(&self, ifindex: u32) -> Option<(PortId, Mac)> {
        let port = self
            .ports
            .values()
            .find(|port| port.ifindex == ifindex && port.config.role == PortRole::Uplink)?;
        let mac = self.underlay.link_by_index(ifindex)?.mac?;
        Some((port.id, mac))
    }

    /// Learned neighbours, and the configured ones, which have the last word.
    fn neighbour_rows(&self) -> Neighbours {
        let learned = self.book.iter().map(|(vni, address, seen)| {
            (vni, address, Neighbour { mac: seen.mac, flags: seen.flags, fixed: false })
        });
        let fixed = self.config.neighbours.iter().map(|neighbour| {
            let flags = NeighbourFlags { is_router: neighbour.router, ..NeighbourFlags::default() };
            (neighbour.vni, neighbour.address, Neighbour { mac: neighbour.mac, flags, fixed: true })
        });
        learned
            .chain(fixed)
            .filter_map(|(vni, address, neighbour)| Some((self.domain_id(vni)?, address, neighbour)))
            .collect()
    }

    /// Which workers own which ports; ports whose device is down have nobody.
    fn wiring(&self) -> Wiring {
        let mut wiring = Wiring::default();
        for port in self.ports.values() {
            let running = self.underlay.link_by_index(port.ifindex).is_some_and(|link| link.running);
            for queue in port.queues.iter().filter(|_| running) {
                wiring.add(port.id, queue.worker);
            }
            if self.burst_refusal(port).is_none() {
                wiring.set_burst(port.id, port.config.transmit == TransmitWish::Burst);
            }
            if self.longest_sent(port) > u32::from(self.burst_longest) {
                wiring.bind_to_owners(port.id);
            }
        }
        wiring
    }

    /// Why frames do not leave a port by burst.
    pub(super) fn burst_refusal(&self, port: &OpenPort) -> Option<String> {
        if port.config.transmit == TransmitWish::Ring {
            return Some("transmit = \"ring\" is configured".to_owned());
        }
        if port.mode == Mode::ZeroCopy {
            return Some("a zero-copy port sends from its ring without copying".to_owned());
        }
        if let Some(why) = &self.burst_unsupported {
            return Some(why.clone());
        }
        if let Some(why) = self.refused_bursts.reason() {
            return Some(why.to_owned());
        }
        if port.config.transmit == TransmitWish::Auto && port.queues.len() > 1 {
            return Some(
                "the device has several queues, over which ring and burst would not keep flows in order"
                    .to_owned(),
            );
        }
        let unsuitable = port.burst.as_ref().err()?;
        Some(match port.napi_refusal() {
            Some(why) if *unsuitable == Unsuitable::PeerWithoutNapi => {
                format!("the other end of the veth runs no NAPI, and it cannot be turned on: {why}")
            }
            _ => unsuitable.to_string(),
        })
    }

    /// What the XDP program takes from uplinks.
    fn set_rules(&mut self) {
        let mut rules = UplinkRules::default();
        let of_vnis =
            self.config.vnis.iter().flat_map(|vni| vni.local.iter().map(|local| (local, vni.encapsulation)));
        let further = self.config.vnis.iter().filter(|vni| vni.encapsulation.udp_port().is_some());
        let further = further.flat_map(|vni| &vni.tunnel.further_ports);
        let of_remotes = self.config.remotes.iter().filter_map(|remote| {
            Some((self.config.local_towards(remote.vni, remote.address)?, remote.encapsulation?))
        });
        let mut addresses = BTreeSet::new();
        let mut udp_ports: BTreeSet<u16> = further.copied().collect();
        let of_groups = self.config.vnis.iter().filter_map(|vni| Some((vni.mcast_group?, vni.encapsulation)));
        for (local, encapsulation) in of_vnis.chain(of_remotes).chain(of_groups) {
            addresses.insert(local);
            match encapsulation.udp_port() {
                Some(port) => drop(udp_ports.insert(port)),
                None => rules.gre = true,
            }
        }
        // Whoever is no peer of any VNI need not be looked at any further.
        let peers: BTreeSet<IpAddr> = self.config.remotes.iter().map(|remote| remote.address).collect();
        rules.peers = Some(peers.into_iter().collect());
        rules.addresses = addresses.into_iter().collect();
        rules.udp_ports = udp_ports.into_iter().collect();
        if self.rules.as_ref() == Some(&rules) {
            return;
        }
        match self.steering.set_rules(&rules) {
            Ok(()) => self.rules = Some(rules),
            Err(error) => tracing::error!(%error, "the XDP program keeps its previous rules"),
        }
    }

    /// Where a configured entry points to.
    pub(super) fn place(&self, vni: Vni, destination: &FdbDestination) -> Option<Place> {
        match destination {
            FdbDestination::Port(name) => self.port_id(name).map(Place::Port),
            FdbDestination::Remote(address) => self.remote_id(vni, *address).map(Place::Remote),
            FdbDestination::Group(name) => self.group_id(vni, name).map(Place::Group),
        }
    }
}
