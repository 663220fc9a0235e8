//! Checks of static forwarding entries and static neighbours.

use wire::Mac;

use super::domain::{missing_vni, unusable};
use super::fault::{Fault, RefusalKind, Subject};
use crate::config::{Config, FdbConfig, FdbDestination, NeighbourConfig, PortRole, owner};

pub(super) fn check_all(config: &Config, faults: &mut Vec<Fault>) {
    for entry in &config.fdb {
        check_fdb(config, entry, faults);
    }
    for neighbour in &config.neighbours {
        check_neighbour(config, neighbour, faults);
    }
}

pub(super) fn check_fdb(config: &Config, entry: &FdbConfig, faults: &mut Vec<Fault>) {
    let subject = || Subject::Fdb(entry.vni, entry.mac);
    check_mac(entry.mac, subject(), faults);
    check_owner(&entry.owner, subject(), faults);
    if !config.vnis.contains(&entry.vni) {
        faults.push(missing_vni(config, entry.vni, subject()));
        return;
    }
    match &entry.destination {
        FdbDestination::Port(name) => faults.extend(check_port(config, entry, name)),
        FdbDestination::Group(name) if config.groups.contains(&(entry.vni, name.clone())) => {}
        FdbDestination::Group(name) => {
            let what = format!(
                "FDB entry {} points to group {name}, which VNI {} does not have",
                entry.mac, entry.vni
            );
            let remedy = format!("add group {name} to VNI {} first, or name one of its groups", entry.vni);
            let fault = Fault::error(RefusalKind::NotFound, subject(), what, remedy);
            faults.push(fault.at("group").with(Subject::Group(entry.vni, name.clone())));
        }
        FdbDestination::Remote(address) if config.remotes.contains(&(entry.vni, *address)) => {}
        FdbDestination::Remote(address) => {
            let what = format!(
                "FDB entry {} points to {address}, which is no remote of VNI {}",
                entry.mac, entry.vni
            );
            let remedy =
                format!("add remote {address} to VNI {} first, or name one of its remotes", entry.vni);
            let fault = Fault::error(RefusalKind::NotFound, subject(), what, remedy);
            faults.push(fault.at("remote").with(Subject::Remote(entry.vni, *address)));
        }
    }
}

fn check_port(config: &Config, entry: &FdbConfig, name: &str) -> Option<Fault> {
    let FdbConfig { vni, mac, .. } = entry;
    let subject = Subject::Fdb(*vni, *mac);
    let port = Subject::Port(name.to_owned());
    match config.ports.get(name).map(|port| &port.role) {
        None => {
            let what = format!("FDB entry {mac} points to port {name}, which does not exist");
            let remedy = "add the port first, or name one of the VNI's ports";
            Some(Fault::error(RefusalKind::NotFound, subject, what, remedy).at("port").with(port))
        }
        Some(PortRole::Uplink) => {
            let what = format!("FDB entry {mac} points to port {name}, which is an uplink");
            Some(Fault::invalid(subject, "port", what, "name the remote behind it instead").with(port))
        }
        Some(PortRole::Access { vni: other }) if other != vni => {
            let what = format!("FDB entry {mac} of VNI {vni} points to port {name}, which is in VNI {other}");
            let remedy = format!("name a port of VNI {vni}, or put the entry into VNI {other}");
            Some(Fault::invalid(subject, "port", what, remedy).with(port))
        }
        Some(role @ PortRole::Trunk(_)) if !role.is_in(*vni) => {
            let what = format!("FDB entry {mac} points to port {name}, which has no VLAN for VNI {vni}");
            let remedy = format!("name a port of VNI {vni}, or give the trunk a VLAN for it");
            Some(Fault::invalid(subject, "port", what, remedy).with(port))
        }
        Some(PortRole::Access { .. } | PortRole::Trunk(_)) => None,
    }
}

pub(super) fn check_neighbour(config: &Config, neighbour: &NeighbourConfig, faults: &mut Vec<Fault>) {
    let subject = || Subject::Neighbour(neighbour.vni, neighbour.address);
    check_mac(neighbour.mac, subject(), faults);
    check_owner(&neighbour.owner, subject(), faults);
    if let Some(trouble) = unusable(neighbour.address) {
        faults.push(Fault::invalid(
            subject(),
            "address",
            format!("{} cannot be a neighbour: {trouble}", neighbour.address),
            "use the address of one workload",
        ));
    }
    if neighbour.router && neighbour.address.is_ipv4() {
        faults.push(Fault::invalid(
            subject(),
            "router",
            format!("{} is an IPv4 neighbour, and ARP does not tell routers from hosts", neighbour.address),
            "leave `router` out",
        ));
    }
    if !config.vnis.contains(&neighbour.vni) {
        faults.push(missing_vni(config, neighbour.vni, subject()));
    }
}

/// Longest name of an owner or a group, in bytes.
const OWNER_BYTES: usize = 63;

/// Whether a text can be the name of an owner or a group.
pub(super) fn is_name(text: &str) -> bool {
    let ordinary = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:@".contains(&byte);
    !text.is_empty() && text.len() <= OWNER_BYTES && text.bytes().all(ordinary)
}

/// Why nothing can be written in this name, and what to do about it.
pub(super) fn unusable_owner(owner: &str) -> Option<(String, String)> {
    if owner == owner::LEARNED {
        let what = format!("\"{owner}\" is the owner of what is seen on the wire");
        Some((what, "choose another name for the owner".to_owned()))
    } else if !is_name(owner) {
        let what = format!("\"{}\" cannot be the name of an owner", owner.escape_debug());
        Some((what, format!("use 1 to {OWNER_BYTES} letters, digits and . _ - : @")))
    } else {
        None
    }
}

fn check_owner(owner: &str, subject: Subject, faults: &mut Vec<Fault>) {
    if let Some((what, remedy)) = unusable_owner(owner) {
        faults.push(Fault::invalid(subject, "owner", what, remedy));
    }
}

fn check_mac(mac: Mac, subject: Subject, faults: &mut Vec<Fault>) {
    let trouble = if mac.is_zero() {
        "is no address of a device"
    } else if mac.is_multicast() {
        "is a multicast address"
    } else if mac == wire::bfd::VTEP_MAC {
        "is where every switch takes BFD packets (RFC 8971)"
    } else {
        return;
    };
    let what = format!("{mac} {trouble}");
    faults.push(Fault::invalid(
        subject,
        "mac",
        what,
        "use the address of one workload, such as 02:00:00:00:00:01",
    ));
}
