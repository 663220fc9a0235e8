//! Checks of remotes and of the tunnels that they make.

use std::collections::HashMap;
use std::net::IpAddr;

use forward::limits::MAX_REMOTES;
use forward::tables::Encapsulation;
use wire::{Vni, gre};

use super::domain::{check_checksum, check_encapsulation, missing_vni, unusable};
use super::fault::{Fault, RefusalKind, Subject};
use super::{group, liveness, udp};
use crate::config::{Config, PortRole, RemoteConfig, VniConfig};

/// What a packet on the underlay shows of the VNI it belongs to. No two VNIs may have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Tunnel {
    /// Our underlay address, or a group that we take packets from.
    local: IpAddr,
    /// The peer's, or a group that we flood to.
    address: IpAddr,
    /// The headers between.
    encapsulation: Encapsulation,
}

impl Tunnel {
    /// The tunnels between a VNI and a remote: to our address, and to the group that the VNI takes packets from.
    fn between(vni: &VniConfig, remote: &RemoteConfig) -> Vec<Self> {
        let address = remote.address;
        // A remote that is wrapped in another way names its one port itself.
        let further = if remote.encapsulation.is_none() { &*vni.tunnel.further_ports } else { &[] };
        let ours = remote.encapsulation_in(vni).on_wire(vni.vni);
        let ours = Self::at_ports(vni.local.towards(address), address, ours, further);
        let group = vni.mcast_group.filter(|group| group.is_ipv4() == address.is_ipv4());
        ours.chain(Self::at_ports(
            group,
            address,
            vni.encapsulation.on_wire(vni.vni),
            &vni.tunnel.further_ports,
        ))
        .collect()
    }

    /// The tunnels through which a VNI floods to its group: the members know the VNI by them.
    fn to_group(vni: &VniConfig) -> Vec<Self> {
        let Some(group) = vni.mcast_group else { return Vec::new() };
        let encapsulation = vni.encapsulation.on_wire(vni.vni);
        Self::at_ports(vni.local.towards(group), group, encapsulation, &vni.tunnel.further_ports).collect()
    }

    /// One for each UDP port; none without an address of ours, nor where a header names the VNI, so that no other can have
    /// the same.
    fn at_ports(
        local: Option<IpAddr>,
        address: IpAddr,
        encapsulation: Encapsulation,
        further: &[u16],
    ) -> impl Iterator<Item = Self> {
        let local = local.filter(|_| !matches!(encapsulation, Encapsulation::Vxlan { .. }));
        local.into_iter().flat_map(move |local| {
            let encapsulations = encapsulation.at_ports(further);
            encapsulations.map(move |encapsulation| Self { local, address, encapsulation })
        })
    }

    /// The same with GRE keys cut to what NVGRE sees of them.
    fn subnet(&self) -> Option<Self> {
        let subnet = match self.encapsulation {
            Encapsulation::Gre { key: Some(key) } => gre::nvgre_split(key).0,
            Encapsulation::Nvgre { subnet } => subnet,
            _ => return None,
        };
        Some(Self { encapsulation: Encapsulation::Nvgre { subnet }, ..*self })
    }

    /// Whether packets of one can be taken for those of the other.
    fn overlaps(&self, other: &Self) -> bool {
        let is_nvgre = |tunnel: &Self| matches!(tunnel.encapsulation, Encapsulation::Nvgre { .. });
        self == other
            || (is_nvgre(self) || is_nvgre(other))
                && self.subnet().is_some()
                && self.subnet() == other.subnet()
    }
}

pub(super) fn check_all(config: &Config, faults: &mut Vec<Fault>) {
    if let Some(beyond) = config.remotes.iter().nth(MAX_REMOTES) {
        faults.push(limit(config, beyond));
    }
    for remote in &config.remotes {
        check_alone(config, remote, faults);
    }
    faults.extend(collisions(config));
    let uplink = config.ports.iter().any(|port| port.role == PortRole::Uplink);
    if let Some(remote) = config.remotes.iter().next()
        && !uplink
    {
        let what = "there are remotes but no uplink: frames to them go nowhere";
        let remedy = "add a port with role = \"uplink\"";
        let subject = Subject::Remote(remote.vni, remote.address);
        faults.push(Fault::error(RefusalKind::NotFound, subject, what, remedy).warning());
    }
}

/// Checks a remote that has just been put into a configuration that was right.
pub(super) fn check_set(config: &Config, remote: &RemoteConfig, faults: &mut Vec<Fault>) {
    if config.remotes.len() > MAX_REMOTES {
        faults.push(limit(config, remote));
    }
    check_alone(config, remote, faults);
    group::check_remote(config, remote, faults);
    udp::check_set(config, &Subject::Remote(remote.vni, remote.address), faults);
    let Some(vni) = config.vnis.get(&remote.vni) else { return };
    let tunnels = Tunnel::between(vni, remote);
    if tunnels.is_empty() {
        return;
    }
    let others = config.vnis.iter().filter(|other| other.vni != remote.vni);
    let twin = others.filter_map(|other| {
        let twins = Tunnel::between(other, config.remotes.get(&(other.vni, remote.address))?);
        let shared = tunnels.iter().find(|tunnel| twins.iter().any(|twin| twin.overlaps(tunnel)))?;
        Some(collision(shared, other.vni, remote.vni))
    });
    faults.extend(twin.take(1));
}

/// Checks the remotes of a VNI whose tunnels have just changed.
pub(super) fn check_vni(config: &Config, vni: &VniConfig, faults: &mut Vec<Fault>) {
    for remote in config.remotes.in_vni(vni.vni) {
        check_alone(config, remote, faults);
    }
    faults.extend(collisions(config));
}

fn limit(config: &Config, remote: &RemoteConfig) -> Fault {
    Fault::error(
        RefusalKind::LimitReached,
        Subject::Remote(remote.vni, remote.address),
        format!("{} remotes are configured, {MAX_REMOTES} are possible", config.remotes.len()),
        "remove some; a peer counts once in each VNI",
    )
}

fn check_alone(config: &Config, remote: &RemoteConfig, faults: &mut Vec<Fault>) {
    let subject = || Subject::Remote(remote.vni, remote.address);
    let trouble = unusable(remote.address);
    if let Some(trouble) = trouble {
        let remedy = if remote.address.is_multicast() {
            "name each peer; frames are replicated to all of them"
        } else {
            "use the underlay address of the peer"
        };
        let what = format!("{} cannot be a remote: {trouble}", remote.address);
        faults.push(Fault::invalid(subject(), "address", what, remedy));
    }
    if let Some(wish) = remote.liveness {
        liveness::check(wish, &subject(), faults);
    }
    if let Some(wish) = remote.encapsulation {
        check_encapsulation(wish, &subject(), faults);
    }
    let Some(vni) = config.vnis.get(&remote.vni) else {
        faults.push(missing_vni(config, remote.vni, subject()));
        return;
    };
    check_checksum(remote.udp_checksum, remote.encapsulation_in(vni), subject(), faults);
    let local = vni.local.towards(remote.address);
    if local == Some(remote.address) {
        faults.push(Fault::invalid(
            subject(),
            "address",
            format!("remote {} is the local address of VNI {}", remote.address, remote.vni),
            "remove it: a switch is no peer of its own",
        ));
    } else if trouble.is_none() && local.is_none() {
        let RemoteConfig { address, vni: number, .. } = remote;
        let (family, other, example) = match address {
            IpAddr::V4(_) => ("IPv4", "IPv6", "192.0.2.1"),
            IpAddr::V6(_) => ("IPv6", "IPv4", "2001:db8::1"),
        };
        let what = format!(
            "remote {address} is {family}, but VNI {number} has only the local address {}",
            vni.local
        );
        let remedy = format!(
            "add ours of {family} to it, as in local = [\"{}\", \"{example}\"], or use an {other} address of the peer",
            vni.local
        );
        faults.push(Fault::invalid(subject(), "address", what, remedy).with(Subject::Vni(vni.vni)));
    }
}

/// Tunnels that two VNIs share.
fn collisions(config: &Config) -> Vec<Fault> {
    let of_remotes = config.remotes.iter().filter_map(|remote| {
        let vni = config.vnis.get(&remote.vni)?;
        Some((vni.vni, Tunnel::between(vni, remote)))
    });
    let of_groups = config.vnis.iter().map(|vni| (vni.vni, Tunnel::to_group(vni)));
    // By the tunnel, and by what NVGRE sees of it: few share that, and then all are looked at.
    let mut owners: HashMap<Tunnel, Vec<(Tunnel, Vni)>> = HashMap::new();
    let mut faults = Vec::new();
    for (vni, tunnels) in of_remotes.chain(of_groups) {
        let shared = tunnels.iter().find_map(|tunnel| {
            let alike = owners.get(&tunnel.subnet().unwrap_or(*tunnel))?;
            let (_, owner) = alike.iter().find(|(other, owner)| *owner != vni && other.overlaps(tunnel))?;
            Some((tunnel, *owner))
        });
        if let Some((tunnel, owner)) = shared {
            faults.push(collision(tunnel, owner, vni));
            continue;
        }
        for tunnel in tunnels {
            owners.entry(tunnel.subnet().unwrap_or(tunnel)).or_default().push((tunnel, vni));
        }
    }
    faults
}

fn collision(tunnel: &Tunnel, first: Vni, second: Vni) -> Fault {
    let Tunnel { local, address, encapsulation } = tunnel;
    let between = format!("between {local} and {address}");
    let (what, remedy) = match encapsulation {
        Encapsulation::Gre { key: None } => (
            format!("VNIs {first} and {second} both use GRE without a key {between}"),
            "give one of them a key: without one, a pair of addresses carries one VNI",
        ),
        Encapsulation::Gre { key: Some(key) } => (
            format!("VNIs {first} and {second} both use GRE key {key} {between}"),
            "give one of them another key",
        ),
        Encapsulation::Nvgre { subnet } => (
            format!("VNIs {first} and {second} both use GRE keys of subnet {subnet} {between}"),
            "give one of them another key",
        ),
        Encapsulation::GreInUdp { port, .. } => (
            format!("VNIs {first} and {second} both use one GRE key in UDP to port {port} {between}"),
            "give one of them another key or UDP port",
        ),
        Encapsulation::Vxlan { .. } => {
            (format!("VNIs {first} and {second} look the same {between}"), "remove one of them")
        }
    };
    let subject = |vni| {
        if address.is_multicast() { Subject::Vni(vni) } else { Subject::Remote(vni, *address) }
    };
    Fault::invalid(subject(second), "key", what, remedy).with(subject(first))
}
