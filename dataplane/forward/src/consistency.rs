//! Whether the parts of new tables agree with each other. Asked once per publication, so that the frame path need not
//! ask.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use wire::Vni;

use crate::description::{Encapsulation, Path, Role};
use crate::ids::{DomainId, PortId, RemoteId};
use crate::limits::{MAX_DOMAINS, MAX_PORTS, MAX_REMOTES};
use crate::tables::TablesParts;

/// A contradiction in what [`crate::tables::Tables::build`] was given.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
pub enum Inconsistency {
    #[error("port index {} is used twice or not below {MAX_PORTS}", .0.0)]
    PortIndex(PortId),
    #[error("domain index {} is used twice, zero or not below {MAX_DOMAINS}", .0.0)]
    DomainIndex(DomainId),
    #[error("remote index {} is used twice or not below {MAX_REMOTES}", .0.0)]
    RemoteIndex(RemoteId),
    #[error("VNI {0} belongs to two domains")]
    VniTwice(Vni),
    #[error("access port {} and domain {} do not name each other", .0.0, .1.0)]
    Membership(PortId, DomainId),
    #[error("remote {} belongs to domain {}, which does not exist", .0.0, .1.0)]
    RemoteDomain(RemoteId, DomainId),
    #[error("domain {} floods to remote {}, which is not its own", .0.0, .1.0)]
    FloodList(DomainId, RemoteId),
    #[error("the path of remote {} leads through port {}, which is no uplink", .0.0, .1.0)]
    PathUplink(RemoteId, PortId),
    #[error("remote {} needs an underlay other than IPv4", .0.0)]
    UnderlayFamily(RemoteId),
    #[error("remotes {} and {} cannot be told apart by their packets", .0.0, .1.0)]
    TunnelTwice(RemoteId, RemoteId),
}

/// Every contradiction.
pub(crate) fn check(parts: &TablesParts) -> Vec<Inconsistency> {
    let mut faults = Vec::new();
    check_ports(parts, &mut faults);
    check_domains(parts, &mut faults);
    check_remotes(parts, &mut faults);
    faults
}

fn check_ports(parts: &TablesParts, faults: &mut Vec<Inconsistency>) {
    let members: HashSet<(PortId, DomainId)> =
        parts.domains.iter().flat_map(|domain| domain.ports.iter().map(|port| (*port, domain.id))).collect();
    let mut seen = HashSet::new();
    for port in &parts.ports {
        if usize::from(port.id.0) >= MAX_PORTS || !seen.insert(port.id) {
            faults.push(Inconsistency::PortIndex(port.id));
        }
        if let Role::Access(domain) = port.role
            && !members.contains(&(port.id, domain))
        {
            faults.push(Inconsistency::Membership(port.id, domain));
        }
    }
}

fn check_domains(parts: &TablesParts, faults: &mut Vec<Inconsistency>) {
    let roles: HashMap<PortId, Role> = parts.ports.iter().map(|port| (port.id, port.role)).collect();
    let owners: HashMap<RemoteId, DomainId> =
        parts.remotes.iter().map(|remote| (remote.id, remote.domain)).collect();
    let (mut indices, mut vnis) = (HashSet::new(), HashSet::new());
    for domain in &parts.domains {
        let id = domain.id;
        if id.0 == 0 || usize::from(id.0) >= MAX_DOMAINS || !indices.insert(id) {
            faults.push(Inconsistency::DomainIndex(id));
        }
        if !vnis.insert(domain.vni) {
            faults.push(Inconsistency::VniTwice(domain.vni));
        }
        let strangers = domain.ports.iter().filter(|port| roles.get(port) != Some(&Role::Access(id)));
        faults.extend(strangers.map(|port| Inconsistency::Membership(*port, id)));
        let strangers = domain.remotes.iter().filter(|remote| owners.get(remote) != Some(&id));
        faults.extend(strangers.map(|remote| Inconsistency::FloodList(id, *remote)));
    }
}

fn check_remotes(parts: &TablesParts, faults: &mut Vec<Inconsistency>) {
    let domains: HashSet<DomainId> = parts.domains.iter().map(|domain| domain.id).collect();
    let uplinks: HashSet<PortId> =
        parts.ports.iter().filter(|port| port.role == Role::Uplink).map(|port| port.id).collect();
    let mut seen = HashSet::new();
    let mut tunnels: HashMap<(IpAddr, IpAddr, Encapsulation), RemoteId> = HashMap::new();
    for remote in &parts.remotes {
        let id = remote.id;
        if id.0 as usize >= MAX_REMOTES || !seen.insert(id) {
            faults.push(Inconsistency::RemoteIndex(id));
        }
        if !domains.contains(&remote.domain) {
            faults.push(Inconsistency::RemoteDomain(id, remote.domain));
        }
        if let Path::Resolved { uplink, .. } = remote.path
            && !uplinks.contains(&uplink)
        {
            faults.push(Inconsistency::PathUplink(id, uplink));
        }
        if !(remote.local.is_ipv4() && remote.address.is_ipv4()) {
            faults.push(Inconsistency::UnderlayFamily(id));
        }
        if let Some(other) = tunnels.insert((remote.local, remote.address, remote.encapsulation), id) {
            faults.push(Inconsistency::TunnelTwice(other, id));
        }
    }
}
