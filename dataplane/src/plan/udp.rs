//! UDP ports of tunnels: the XDP program of an uplink takes a handful of different ones, and each carries one thing.

use std::collections::BTreeMap;

use xsk::MAX_UDP_PORTS;

use super::fault::{Fault, RefusalKind, Subject, some_of};
use crate::config::{Config, EncapsulationConfig, VniConfig};

/// A place that names a UDP port, and what the port carries there.
struct Naming {
    subject: Subject,
    port: u16,
    carries: &'static str,
}

fn naming(subject: &Subject, encapsulation: EncapsulationConfig, further: &[u16]) -> Vec<Naming> {
    let Some(first) = encapsulation.udp_port() else { return Vec::new() };
    let carries = encapsulation.name();
    let ports = std::iter::once(first).chain(further.iter().copied());
    ports.map(|port| Naming { subject: subject.clone(), port, carries }).collect()
}

fn of_vni(vni: &VniConfig) -> Vec<Naming> {
    naming(&Subject::Vni(vni.vni), vni.encapsulation, &vni.tunnel.further_ports)
}

/// Every place that names a UDP port, VNIs first.
fn named(config: &Config) -> impl Iterator<Item = Naming> {
    let remotes = config.remotes.iter().flat_map(|remote| {
        let subject = Subject::Remote(remote.vni, remote.address);
        remote.encapsulation.map(|wish| naming(&subject, wish, &[])).unwrap_or_default()
    });
    config.vnis.iter().flat_map(of_vni).chain(remotes)
}

/// Checks that there are not too many different ports, and that each carries one thing; the first that is one too many, or
/// carries another, is to blame.
pub(super) fn check_all(config: &Config, faults: &mut Vec<Fault>) {
    let mut ports: BTreeMap<u16, Naming> = BTreeMap::new();
    for naming in named(config) {
        match ports.get(&naming.port) {
            Some(first) if first.carries != naming.carries => {
                faults.push(carries_another(&naming, first));
                return;
            }
            Some(_) => {}
            None if ports.len() == MAX_UDP_PORTS => {
                let others: Vec<u16> = ports.keys().copied().collect();
                faults.push(one_too_many(naming.subject, naming.port, &others));
                return;
            }
            None => drop(ports.insert(naming.port, naming)),
        }
    }
}

/// Checks what a VNI or a remote has just named.
pub(super) fn check_set(config: &Config, subject: &Subject, faults: &mut Vec<Fault>) {
    let (own, others): (Vec<Naming>, Vec<Naming>) =
        named(config).partition(|naming| naming.subject == *subject);
    let mut ports: Vec<u16> = others.iter().map(|naming| naming.port).collect();
    ports.sort_unstable();
    ports.dedup();
    for naming in own {
        match others.iter().find(|other| other.port == naming.port) {
            Some(other) if other.carries != naming.carries => faults.push(carries_another(&naming, other)),
            Some(_) => {}
            None if ports.len() >= MAX_UDP_PORTS => {
                faults.push(one_too_many(subject.clone(), naming.port, &ports));
                return;
            }
            None => ports.push(naming.port),
        }
    }
}

fn one_too_many(subject: Subject, port: u16, others: &[u16]) -> Fault {
    let what = format!(
        "UDP port {port} is one too many: an uplink takes tunnels on {MAX_UDP_PORTS} different UDP ports, and there are {}",
        some_of(others.iter())
    );
    Fault::error(RefusalKind::LimitReached, subject, what, "use one of these ports").at("udp_port")
}

fn carries_another(naming: &Naming, first: &Naming) -> Fault {
    let Naming { subject, port, carries } = naming;
    let what = format!(
        "UDP port {port} carries {carries} for {subject} and {} for {}",
        first.carries, first.subject
    );
    Fault::invalid(subject.clone(), "udp_port", what, "give one of the two another port")
        .with(first.subject.clone())
}
