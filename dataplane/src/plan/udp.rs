//! The UDP ports of VXLAN: the XDP program of an uplink takes a handful of different ones.

use std::collections::BTreeSet;

use xsk::MAX_UDP_PORTS;

use super::fault::{Fault, RefusalKind, Subject, some_of};
use crate::config::{Config, EncapsulationConfig};

/// Every place that names a UDP port, VNIs first.
fn named(config: &Config) -> impl Iterator<Item = (Subject, u16)> {
    let vnis = config.vnis.iter().map(|vni| (Subject::Vni(vni.vni), Some(vni.encapsulation)));
    let remotes = config.remotes.iter();
    let remotes = remotes.map(|remote| (Subject::Remote(remote.vni, remote.address), remote.encapsulation));
    vnis.chain(remotes).filter_map(|(subject, wish)| match wish {
        Some(EncapsulationConfig::Vxlan { port }) => Some((subject, port)),
        Some(EncapsulationConfig::Gre { .. }) | None => None,
    })
}

/// Checks that there are not too many different ports; the first that is one too many is to blame.
pub(super) fn check_all(config: &Config, faults: &mut Vec<Fault>) {
    let mut ports = BTreeSet::new();
    for (subject, port) in named(config) {
        if ports.len() == MAX_UDP_PORTS && !ports.contains(&port) {
            faults.push(one_too_many(subject, port, &ports));
            return;
        }
        ports.insert(port);
    }
}

/// Checks what a subject has just named.
pub(super) fn check_set(
    config: &Config,
    subject: &Subject,
    wish: Option<EncapsulationConfig>,
    faults: &mut Vec<Fault>,
) {
    let Some(EncapsulationConfig::Vxlan { port }) = wish else { return };
    // Nearly always the first VNI has the same.
    if named(config).any(|(other, named)| named == port && other != *subject) {
        return;
    }
    let others: BTreeSet<u16> = named(config).map(|(_, port)| port).filter(|named| *named != port).collect();
    if others.len() >= MAX_UDP_PORTS {
        faults.push(one_too_many(subject.clone(), port, &others));
    }
}

fn one_too_many(subject: Subject, port: u16, others: &BTreeSet<u16>) -> Fault {
    let what = format!(
        "UDP port {port} is one too many: an uplink takes VXLAN on {MAX_UDP_PORTS} different ports, and there are {}",
        some_of(others.iter())
    );
    Fault::error(RefusalKind::LimitReached, subject, what, "use one of these ports").at("udp_port")
}
