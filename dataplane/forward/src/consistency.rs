//! Whether the parts of new tables agree with each other. Asked once per publication, so that the frame path need not
//! ask.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use wire::{Vlan, Vni};

use crate::description::{Domain, Encapsulation, Path, Role};
use crate::group;
use crate::ids::{DomainId, GroupId, PortId, RemoteId};
use crate::limits::{GROUP_BUCKETS, MAX_DOMAINS, MAX_GROUPS, MAX_PORTS, MAX_REMOTES, MAX_TRUNK_VLANS};
use crate::tables::TablesParts;
use crate::trunk::{self, Trunk};
use crate::tunnel;

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
    #[error("access port or trunk {} and domain {} do not name each other", .0.0, .1.0)]
    Membership(PortId, DomainId),
    #[error("port {} is a trunk without VLANs, or has VLANs and is none", .0.0)]
    TrunkRole(PortId),
    #[error("trunk {} has {} VLANs of {MAX_TRUNK_VLANS} that are possible", .0.0, .1)]
    TrunkVlans(PortId, usize),
    #[error("trunk {} has two VLANs for domain {}", .0.0, .1.0)]
    TrunkDomain(PortId, DomainId),
    #[error("the native VLAN {} of trunk {} is none of its VLANs", .1, .0.0)]
    TrunkNative(PortId, Vlan),
    #[error("remote {} belongs to domain {}, which does not exist", .0.0, .1.0)]
    RemoteDomain(RemoteId, DomainId),
    #[error("domain {} floods to remote {}, which is not its own", .0.0, .1.0)]
    FloodList(DomainId, RemoteId),
    #[error("the path of remote {} leads through port {}, which is no uplink", .0.0, .1.0)]
    PathUplink(RemoteId, PortId),
    #[error("remote {} and our address are of different families", .0.0)]
    UnderlayFamily(RemoteId),
    #[error("remotes {} and {} cannot be told apart by their packets", .0.0, .1.0)]
    TunnelTwice(RemoteId, RemoteId),
    #[error("group index {} is used twice or not below {MAX_GROUPS}", .0.0)]
    GroupIndex(GroupId),
    #[error("group {} has {} buckets instead of {GROUP_BUCKETS}", .0.0, .1)]
    GroupBuckets(GroupId, usize),
    #[error("group {} leads to remote {}, which is not of its domain", .0.0, .1.0)]
    GroupMember(GroupId, RemoteId),
}

/// Every contradiction.
pub(crate) fn check(parts: &TablesParts) -> Vec<Inconsistency> {
    let mut faults = Vec::new();
    check_ports(parts, &mut faults);
    check_domains(parts, &mut faults);
    check_membership(parts, &mut faults);
    trunk::check(parts, &mut faults);
    check_remotes(parts, &mut faults);
    group::check(parts, &mut faults);
    faults
}

fn check_ports(parts: &TablesParts, faults: &mut Vec<Inconsistency>) {
    let mut seen = HashSet::new();
    for port in &parts.ports {
        if usize::from(port.id.0) >= MAX_PORTS || !seen.insert(port.id) {
            faults.push(Inconsistency::PortIndex(port.id));
        }
    }
}

/// What ports and trunks say of their domains is what domains say of their ports.
fn check_membership(parts: &TablesParts, faults: &mut Vec<Inconsistency>) {
    let access = parts.ports.iter().filter_map(|port| match port.role {
        Role::Access(domain) => Some((port.id, domain)),
        Role::Uplink | Role::Trunk => None,
    });
    let lane = |(port, trunk): (&PortId, &Trunk)| {
        trunk.vlans.values().map(|domain| (*port, *domain)).collect::<Vec<_>>()
    };
    let by_ports: BTreeSet<(PortId, DomainId)> = access.chain(parts.trunks.iter().flat_map(lane)).collect();
    let by_domains: BTreeSet<(PortId, DomainId)> =
        parts.domains.iter().flat_map(|domain| domain.ports.iter().map(|port| (*port, domain.id))).collect();
    let differences = by_ports.symmetric_difference(&by_domains);
    faults.extend(differences.map(|(port, domain)| Inconsistency::Membership(*port, *domain)));
}

fn check_domains(parts: &TablesParts, faults: &mut Vec<Inconsistency>) {
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
        let strangers = domain.remotes.iter().filter(|remote| owners.get(remote) != Some(&id));
        faults.extend(strangers.map(|remote| Inconsistency::FloodList(id, *remote)));
    }
}

fn check_remotes(parts: &TablesParts, faults: &mut Vec<Inconsistency>) {
    let domains: HashMap<DomainId, &Domain> =
        parts.domains.iter().map(|domain| (domain.id, domain)).collect();
    let uplinks: HashSet<PortId> =
        parts.ports.iter().filter(|port| port.role == Role::Uplink).map(|port| port.id).collect();
    let mut seen = HashSet::new();
    let mut tunnels: HashMap<(IpAddr, IpAddr, Encapsulation), RemoteId> = HashMap::new();
    for remote in &parts.remotes {
        let id = remote.id;
        if id.0 as usize >= MAX_REMOTES || !seen.insert(id) {
            faults.push(Inconsistency::RemoteIndex(id));
        }
        let domain = domains.get(&remote.domain).copied();
        if domain.is_none() {
            faults.push(Inconsistency::RemoteDomain(id, remote.domain));
        }
        if let Path::Resolved { uplink, .. } | Path::Withdrawn { uplink, .. } = remote.path
            && !uplinks.contains(&uplink)
        {
            faults.push(Inconsistency::PathUplink(id, uplink));
        }
        if remote.local.is_ipv4() != remote.address.is_ipv4() {
            faults.push(Inconsistency::UnderlayFamily(id));
        }
        let twins = tunnel::arrivals(remote, domain)
            .filter_map(|(end, encapsulation)| tunnels.insert((end, remote.address, encapsulation), id));
        faults.extend(twins.map(|other| Inconsistency::TunnelTwice(other, id)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use wire::Mac;

    use super::*;
    use crate::description::{InnerTags, MssClamp, Port, Remote, TunnelOptions};
    use crate::fdb::Fdb;
    use crate::flood::{Flooding, StormLimit};
    use crate::marking::Marking;
    use crate::tables::Tables;
    use crate::tunnel::Tunnel;
    use crate::verdict::DropReason;

    const PORT: PortId = PortId(1);
    const UPLINK: PortId = PortId(2);
    const TRUNK: PortId = PortId(3);
    const DOMAIN: DomainId = DomainId(1);
    const REMOTE: RemoteId = RemoteId(1);

    fn vni(number: u32) -> Vni {
        Vni::new(number).unwrap()
    }

    fn parts() -> TablesParts {
        let encapsulation = Encapsulation::Vxlan { vni: vni(5), port: 4789 };
        let local = IpAddr::from([192, 0, 2, 1]);
        let port = |id, role| Port {
            id,
            role,
            mac: Mac([2, 0, 0, 0, 0, 9]),
            mtu: 1500,
            flooding: Flooding::default(),
            isolated: false,
            storm_limit: StormLimit::NONE,
        };
        let remote = Remote {
            id: REMOTE,
            domain: DOMAIN,
            encapsulation,
            local,
            address: IpAddr::from([192, 0, 2, 2]),
            marking: Marking::default(),
            udp_checksum: false,
            storm_limit: StormLimit::NONE,
            options: TunnelOptions::default(),
            path: Path::Resolved { uplink: UPLINK, source: Mac::ZERO, next_hop: Mac::ZERO, mtu: 1500 },
        };
        let domain = Domain {
            id: DOMAIN,
            vni: vni(5),
            learning: true,
            arp_proxy: true,
            nd_proxy: true,
            ageing: 300,
            flooding: Flooding::default(),
            snooping: None,
            mcast_group: None,
            ports: vec![PORT, TRUNK],
            remotes: vec![REMOTE],
            locals: vec![local],
            encapsulation,
            further_ports: Vec::new(),
            inner_tags: InnerTags::default(),
            mss_clamp: MssClamp::Off,
        };
        TablesParts {
            protection: crate::protection::Protection::default(),
            version: 7,
            ports: vec![
                port(PORT, Role::Access(DOMAIN)),
                port(UPLINK, Role::Uplink),
                port(TRUNK, Role::Trunk),
            ],
            trunks: BTreeMap::from([(TRUNK, Trunk { vlans: [(Vlan::MIN, DOMAIN)].into(), native: None })]),
            domains: vec![domain],
            remotes: vec![remote],
            groups: Vec::new(),
            neighbours: Arc::default(),
            fdb: Arc::new(Fdb::new(16, [1, 2])),
        }
    }

    #[test]
    fn what_agrees_is_built() {
        let tables = Tables::build(parts()).unwrap();
        assert_eq!(tables.version(), 7);
        assert_eq!(tables.ports().count(), 3);
        assert_eq!(tables.domains().count(), 1);
        assert_eq!(tables.remotes().count(), 1);
        assert_eq!(tables.port(PortId(0)).map(|port| port.id), None);
        assert!(tables.is_own(Mac([2, 0, 0, 0, 0, 9])));
        assert!(!tables.is_own(Mac([3, 0, 0, 0, 0, 9])));
        let [local, peer, stranger] = [1, 2, 3].map(|host| Ipv4Addr::new(192, 0, 2, host));
        let vxlan = |number| Encapsulation::Vxlan { vni: vni(number), port: 4789 };
        let tunnels = &tables.tunnels().v4;
        let origin = tunnels.lookup(Tunnel::new(local, peer, vxlan(5)));
        assert_eq!(origin.map(|(origin, _)| origin.remote), Some(REMOTE));
        assert!(tunnels.lookup(Tunnel::new(local, stranger, vxlan(5))).is_none());
        assert_eq!(tunnels.refusal(local, vxlan(5)), DropReason::PeerNotAllowed);
        assert_eq!(tunnels.refusal(local, vxlan(6)), DropReason::VxlanVniNotFound);
    }

    #[test]
    fn each_contradiction_is_found() {
        type Change = fn(&mut TablesParts);
        let cases: [(Change, Inconsistency); 21] = [
            (|parts| parts.ports[0].id = PortId(1024), Inconsistency::PortIndex(PortId(1024))),
            (|parts| parts.ports.push(parts.ports[1].clone()), Inconsistency::PortIndex(UPLINK)),
            (|parts| parts.domains[0].id = DomainId(0), Inconsistency::DomainIndex(DomainId(0))),
            (|parts| parts.domains.push(parts.domains[0].clone()), Inconsistency::DomainIndex(DOMAIN)),
            (|parts| parts.domains.push(parts.domains[0].clone()), Inconsistency::VniTwice(vni(5))),
            (|parts| parts.remotes[0].id = RemoteId(1 << 16), Inconsistency::RemoteIndex(RemoteId(1 << 16))),
            (|parts| parts.remotes.push(parts.remotes[0].clone()), Inconsistency::RemoteIndex(REMOTE)),
            (
                |parts| parts.remotes.push(parts.remotes[0].clone()),
                Inconsistency::TunnelTwice(REMOTE, REMOTE),
            ),
            (|parts| parts.domains[0].ports.clear(), Inconsistency::Membership(PORT, DOMAIN)),
            (|parts| parts.ports[0].role = Role::Uplink, Inconsistency::Membership(PORT, DOMAIN)),
            (|parts| parts.remotes[0].domain = DomainId(2), Inconsistency::RemoteDomain(REMOTE, DomainId(2))),
            (|parts| parts.remotes[0].domain = DomainId(2), Inconsistency::FloodList(DOMAIN, REMOTE)),
            (|parts| parts.remotes.clear(), Inconsistency::FloodList(DOMAIN, REMOTE)),
            (
                |parts| {
                    let (source, next_hop) = (Mac::ZERO, Mac::ZERO);
                    parts.remotes[0].path = Path::Resolved { uplink: PORT, source, next_hop, mtu: 1500 };
                },
                Inconsistency::PathUplink(REMOTE, PORT),
            ),
            (|parts| parts.remotes[0].address = IpAddr::from([0; 16]), Inconsistency::UnderlayFamily(REMOTE)),
            (|parts| parts.ports[0].role = Role::Trunk, Inconsistency::TrunkRole(PORT)),
            (|parts| drop(parts.trunks.insert(PORT, Trunk::default())), Inconsistency::TrunkRole(PORT)),
            (
                |parts| parts.trunks.get_mut(&TRUNK).unwrap().native = Some(Vlan::MAX),
                Inconsistency::TrunkNative(TRUNK, Vlan::MAX),
            ),
            (
                |parts| {
                    parts.trunks.get_mut(&TRUNK).unwrap().vlans.insert(Vlan::MAX, DOMAIN);
                },
                Inconsistency::TrunkDomain(TRUNK, DOMAIN),
            ),
            (
                |parts| {
                    let vlans = (1..=1025).filter_map(|vlan| Some((Vlan::new(vlan)?, DomainId(vlan))));
                    parts.trunks.get_mut(&TRUNK).unwrap().vlans = vlans.collect();
                },
                Inconsistency::TrunkVlans(TRUNK, 1025),
            ),
            (
                |parts| parts.trunks.get_mut(&TRUNK).unwrap().vlans.clear(),
                Inconsistency::Membership(TRUNK, DOMAIN),
            ),
        ];
        for (change, expected) in cases {
            let mut parts = parts();
            change(&mut parts);
            let faults = Tables::build(parts).unwrap_err();
            assert!(faults.contains(&expected), "{expected}: {faults:?}");
        }
    }
    /// A second domain with a remote at the same peer, neither of which is told apart by a key.
    fn twins(further_ports: [&[u16]; 2], groups: [Option<IpAddr>; 2]) -> TablesParts {
        let mut parts = parts();
        let encapsulation = |port| Encapsulation::GreInUdp { key: None, port };
        parts.domains.push(Domain {
            id: DomainId(2),
            vni: vni(6),
            ports: Vec::new(),
            ..parts.domains[0].clone()
        });
        parts.domains[1].remotes = vec![RemoteId(2)];
        parts.remotes.push(Remote { id: RemoteId(2), domain: DomainId(2), ..parts.remotes[0].clone() });
        for ((domain, remote), at) in parts.domains.iter_mut().zip(&mut parts.remotes).zip([0, 1]) {
            domain.encapsulation = encapsulation([4754, 4755][at]);
            remote.encapsulation = domain.encapsulation;
            domain.further_ports = further_ports[at].to_vec();
            remote.options.further_ports = further_ports[at].to_vec();
            domain.mcast_group = groups[at];
        }
        parts
    }

    #[test]
    fn no_two_remotes_share_a_further_port_or_an_end_at_a_group() {
        let twice = [Inconsistency::TunnelTwice(REMOTE, RemoteId(2))];
        let found = |parts| Tables::build(parts).map(drop).unwrap_err();
        assert!(Tables::build(twins([&[4756], &[4757]], [None; 2])).is_ok());
        assert_eq!(found(twins([&[4755], &[]], [None; 2])), twice);
        assert_eq!(found(twins([&[4756], &[4757, 4756]], [None; 2])), twice);
        let [one, other] = [[239, 1, 1, 1], [239, 1, 1, 2]].map(IpAddr::from);
        let apart = |groups| {
            let mut parts = twins([&[], &[]], groups);
            parts.remotes[1].local = IpAddr::from([192, 0, 2, 9]);
            parts.remotes[1].encapsulation = parts.remotes[0].encapsulation;
            parts.domains[1].encapsulation = parts.domains[0].encapsulation;
            parts
        };
        assert!(Tables::build(apart([Some(one), Some(other)])).is_ok());
        assert_eq!(found(apart([Some(one); 2])), twice);
    }
}
