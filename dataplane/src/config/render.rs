//! From a configuration to a file that says the same: what differs from the defaults, in the order of the reference.

use std::fmt::Write;
use std::net::IpAddr;

use super::encapsulation::EncapsulationConfig;
use super::entry::FdbDestination;
use super::marking::{Tos, Ttl};
use super::model::{Config, PortRole, RemoteConfig, VniConfig};
use super::schema::Record;
use super::tables::{
    DaemonRow, FdbRow, GroupRow, NeighbourRow, PortRow, RemoteRow, UmemRow, VniRow, WorkerRow,
};
use super::tunnel::{Bits, UdpPorts};
use super::value::{Facing, NativeVlan, Placed, Seconds, Wrapping};

/// A text that [`super::parse`] reads as this configuration.
#[must_use]
pub fn render(config: &Config) -> String {
    let mut out = String::new();
    table(
        &mut out,
        &DaemonRow {
            socket: config.daemon.socket.clone().into(),
            socket_group: config.daemon.socket_group.clone().into(),
            log: config.daemon.log.clone().into(),
            log_target: config.daemon.log_target.into(),
        },
    );
    let umem = config.umem;
    table(
        &mut out,
        &UmemRow {
            chunks: umem.chunks.into(),
            chunk_size: umem.chunk_size.into(),
            jumbo_chunks: umem.jumbo_chunks.into(),
        },
    );
    for worker in &config.workers {
        table(&mut out, &WorkerRow { cpu: worker.cpu.into(), busy: worker.busy.into() });
    }
    ports(&mut out, config);
    for vni in &config.vnis {
        table(&mut out, &vni_row(config, vni));
    }
    for remote in config.remotes.iter().filter(|remote| !is_plain(config, remote)) {
        table(&mut out, &remote_row(remote));
    }
    groups(&mut out, config);
    entries(&mut out, config);
    out
}

fn table<R: Record>(out: &mut String, record: &R) {
    let values = record.write();
    if values.is_empty() && !R::MANY {
        return;
    }
    if !out.is_empty() {
        out.push('\n');
    }
    let (open, close) = if R::MANY { ("[[", "]]") } else { ("[", "]") };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{open}{}{close}", R::NAME);
    for (key, value) in values {
        let _ = writeln!(out, "{key} = {value}");
    }
}

fn ports(out: &mut String, config: &Config) {
    for port in &config.ports {
        let (role, vni) = match port.role {
            PortRole::Uplink => (Some(Facing::Uplink), None),
            PortRole::Access { vni } => (None, Some(vni)),
            PortRole::Trunk(_) => (None, None),
        };
        let trunk = port.role.trunk();
        let device = Some(port.device.clone()).filter(|device| *device != port.name);
        table(
            out,
            &PortRow {
                name: port.name.clone().into(),
                device: device.into(),
                role: role.into(),
                vni: vni.into(),
                vlans: trunk.map(|trunk| placed(&trunk.vlans)).into(),
                native: NativeVlan(trunk.and_then(|trunk| trunk.native)).into(),
                mode: port.mode.into(),
                require: port.require.into(),
                queues: port.queues.into(),
                ring_size: port.ring_size.into(),
                transmit: port.transmit.into(),
                namespace: port.namespace.clone().into(),
                flood: port.policy.flood.unicast.into(),
                mcast_flood: port.policy.flood.multicast.into(),
                bcast_flood: port.policy.flood.broadcast.into(),
                isolated: port.policy.isolated.into(),
                fastleave: port.policy.fastleave.into(),
                storm_limit: port.policy.storm_limit.into(),
                trusted: port.guard.trusted.into(),
                locked: port.guard.locked.into(),
                bind: placed(&port.guard.bind).into(),
                learn_limit: port.guard.learn_limit.into(),
            },
        );
    }
}

/// Whether a remote can be written in its VNI's `remotes`.
fn is_plain(config: &Config, remote: &RemoteConfig) -> bool {
    *remote == RemoteConfig::new(remote.vni, remote.address) && config.vnis.contains(&remote.vni)
}

/// Values without a place in a file.
fn placed<T: Clone>(values: &[T]) -> Vec<Placed<T>> {
    values.iter().map(|value| Placed { value: value.clone(), span: 0..0 }).collect()
}

/// How frames are wrapped, and the UDP port if it is not the registered one.
const fn split(encapsulation: EncapsulationConfig) -> (Wrapping, Option<u16>) {
    let (wrapping, registered) = match encapsulation {
        EncapsulationConfig::Vxlan { .. } => (Wrapping::Vxlan, EncapsulationConfig::UDP_PORT),
        EncapsulationConfig::Gre { .. } => (Wrapping::Gre, 0),
        EncapsulationConfig::Nvgre => (Wrapping::Nvgre, 0),
        EncapsulationConfig::GreUdp { .. } => (Wrapping::GreUdp, EncapsulationConfig::GRE_UDP_PORT),
    };
    match encapsulation.udp_port() {
        Some(port) if port != registered => (wrapping, Some(port)),
        _ => (wrapping, None),
    }
}

/// The UDP ports of a VNI, unless it has the registered one alone.
fn udp_ports(vni: &VniConfig) -> Option<UdpPorts> {
    let further = vni.tunnel.further_ports.clone();
    let (_, first) = split(vni.encapsulation);
    let first = first.or_else(|| vni.encapsulation.udp_port().filter(|_| !further.is_empty()))?;
    Some(UdpPorts { first, further })
}

fn vni_row(config: &Config, vni: &VniConfig) -> VniRow {
    let (wrapping, _) = split(vni.encapsulation);
    let plain = config.remotes.in_vni(vni.vni).filter(|remote| is_plain(config, remote));
    let remotes: Vec<IpAddr> = plain.map(|remote| remote.address).collect();
    VniRow {
        id: vni.vni.into(),
        local: vni.local.into(),
        encapsulation: wrapping.into(),
        udp_port: udp_ports(vni).into(),
        key: vni.encapsulation.key().unwrap_or_default().into(),
        learning: vni.learning.into(),
        ageing: Seconds(vni.ageing).into(),
        arp_proxy: vni.arp_proxy.into(),
        nd_proxy: vni.nd_proxy.into(),
        tos: Tos(vni.marking.tos).into(),
        ttl: Ttl(vni.marking.ttl).into(),
        df: vni.marking.df.into(),
        ecn: vni.marking.ecn.into(),
        udp_checksum: vni.udp_checksum.into(),
        mcast_snooping: vni.mcast_snooping.into(),
        mcast_group: vni.mcast_group.into(),
        move_limit: vni.move_limit.into(),
        flood: vni.flood.unicast.into(),
        mcast_flood: vni.flood.multicast.into(),
        bcast_flood: vni.flood.broadcast.into(),
        liveness: vni.liveness.into(),
        srcport: vni.tunnel.source_ports.into(),
        reserved_bits: Bits(vni.tunnel.reserved_bits).into(),
        gre_checksum: vni.tunnel.gre_checksum.into(),
        gre_sequence: vni.tunnel.gre_sequence.into(),
        inner_tags: vni.inner_tags.into(),
        mss_clamp: vni.mss_clamp.into(),
        learn_limit: vni.learn_limit.into(),
        remotes: placed(&remotes).into(),
    }
}

fn remote_row(remote: &RemoteConfig) -> RemoteRow {
    let (wrapping, udp_port) = match remote.encapsulation.map(split) {
        Some((wrapping, udp_port)) => (Some(wrapping), udp_port),
        None => (None, None),
    };
    let key = remote.encapsulation.and_then(EncapsulationConfig::key);
    RemoteRow {
        vni: remote.vni.into(),
        address: remote.address.into(),
        encapsulation: wrapping.into(),
        udp_port: udp_port.into(),
        key: key.into(),
        flood: remote.flood.into(),
        udp_checksum: remote.udp_checksum.into(),
        storm_limit: remote.storm_limit.into(),
        learn_limit: remote.learn_limit.into(),
        liveness: remote.liveness.into(),
    }
}

fn groups(out: &mut String, config: &Config) {
    for group in &config.groups {
        let members = group.members.iter().map(|member| Placed { value: *member, span: 0..0 });
        table(
            out,
            &GroupRow {
                vni: group.vni.into(),
                name: group.name.clone().into(),
                members: members.collect::<Vec<_>>().into(),
                flood: group.flood.into(),
            },
        );
    }
}

fn entries(out: &mut String, config: &Config) {
    for entry in &config.fdb {
        let (port, remote, group) = match &entry.destination {
            FdbDestination::Port(port) => (Some(port.clone()), None, None),
            FdbDestination::Remote(remote) => (None, Some(*remote), None),
            FdbDestination::Group(group) => (None, None, Some(group.clone())),
        };
        table(
            out,
            &FdbRow {
                vni: entry.vni.into(),
                mac: entry.mac.into(),
                port: port.into(),
                remote: remote.into(),
                group: group.into(),
                kind: entry.kind.into(),
                owner: entry.owner.clone().into(),
            },
        );
    }
    for neighbour in &config.neighbours {
        table(
            out,
            &NeighbourRow {
                vni: neighbour.vni.into(),
                address: neighbour.address.into(),
                mac: neighbour.mac.into(),
                router: neighbour.router.into(),
                owner: neighbour.owner.clone().into(),
            },
        );
    }
}
