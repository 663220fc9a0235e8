//! Groups: a flow goes to the remote of its bucket, floods reach one member, and only members may send what is theirs.

use forward::ids::{DomainId, GroupId, RemoteId};
use forward::limits::GROUP_BUCKETS;
use forward::link::Place;
use forward::tables::{Group, Inconsistency, Tables};
use forward::verdict::DropReason;

use crate::fixture::*;
use crate::frames::*;

const DOMAIN: DomainId = DomainId(1);
const GROUP: GroupId = GroupId(3);

/// Buckets go to the two remotes in turn.
fn group(flood: bool) -> Group {
    let buckets =
        (0..GROUP_BUCKETS).map(|bucket| Some(if bucket % 2 == 0 { VXLAN } else { VXLAN2 })).collect();
    Group { id: GROUP, domain: DOMAIN, flood, members: vec![VXLAN, VXLAN2], buckets }
}

/// A switch that knows W9 to be behind the group.
fn switch(group: Group) -> Switch {
    let mut switch = Switch::new();
    switch.change(|parts| {
        parts.domains[0].remotes.retain(|remote| !group.flood || !group.members.contains(remote));
        parts.groups = vec![group];
    });
    switch.bind(DOMAIN, W9, Place::Group(GROUP));
    switch
}

#[test]
fn each_flow_goes_to_the_remote_of_its_bucket() {
    let mut switch = switch(group(false));
    let mut seen = [0; 2];
    for port in 0..200 {
        let frame = udp_ports(W1, W9, (port, 53), b"to a group");
        let out = switch.receive_one(A, &frame);
        assert_eq!(out.len(), 1);
        let tunnelled = unwrap(&out[0].bytes);
        let member = Group::bucket(out[0].flow) % 2;
        assert_eq!(tunnelled.peer, [PEER, PEER2][member]);
        assert_eq!(tunnelled.inner, frame);
        seen[member] += 1;
    }
    assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
    assert_eq!(switch.drops(), []);
}

#[test]
fn a_group_without_a_usable_member_drops_and_counts() {
    let mut switch = switch(Group { buckets: vec![None; GROUP_BUCKETS], ..group(false) });
    assert_eq!(switch.receive_one(A, &udp(W1, W9, 10)), []);
    assert_eq!(switch.drops(), [(DropReason::NoRemote, 1)]);
}

#[test]
fn a_flooding_group_gets_one_copy() {
    let mut switch = switch(group(true));
    let out = switch.receive_one(A, &udp(W1, wire::Mac::BROADCAST, 10));
    let tunnelled = out.iter().filter(|out| [UP, UP2].contains(&out.port)).count();
    let access = out.iter().filter(|out| out.port == B).count();
    assert_eq!((tunnelled, access), (1, 1));
}

#[test]
fn only_members_may_send_from_an_address_of_the_group() {
    let mut switch = switch(Group { members: vec![VXLAN], ..group(false) });
    switch.bind(DOMAIN, W1, Place::Port(A));
    let inner = udp(W9, W1, 10);
    assert_eq!(switch.receive_one(UP, &vxlan(&inner)).len(), 1);
    assert_eq!(switch.place_of(DOMAIN, W9), Some(Place::Group(GROUP)), "the entry stays");
    assert_eq!(switch.receive_one(UP, &vxlan_from(PEER2, 100, &inner)), []);
    assert_eq!(switch.receive_one(A, &udp(W9, W1, 10)), [], "a workload that takes the address");
    assert_eq!(switch.drops(), [(DropReason::VxlanEntryExists, 2)]);
}

#[test]
fn a_frame_from_the_overlay_does_not_go_back_to_a_group() {
    let mut switch = switch(group(false));
    assert_eq!(switch.receive_one(UP, &vxlan(&udp(W2, W9, 10))), []);
    assert_eq!(switch.drops(), [(DropReason::SplitHorizon, 1)]);
}

#[test]
fn groups_that_contradict_the_rest_are_refused() {
    let refused = |group: Group| {
        let mut parts = topology();
        parts.groups = vec![group];
        Tables::build(parts).err().unwrap_or_default()
    };
    assert_eq!(refused(group(false)), []);
    assert_eq!(
        refused(Group { buckets: vec![None; 3], ..group(false) }),
        [Inconsistency::GroupBuckets(GROUP, 3)]
    );
    assert_eq!(
        refused(Group { members: vec![GRE_KEY], ..group(false) }),
        [Inconsistency::GroupMember(GROUP, GRE_KEY)]
    );
    let mut buckets = group(false).buckets;
    buckets[7] = Some(RemoteId(99));
    assert_eq!(refused(Group { buckets, ..group(false) }), [Inconsistency::GroupMember(GROUP, RemoteId(99))]);
    assert_eq!(
        refused(Group { id: GroupId(4096), ..group(false) }),
        [Inconsistency::GroupIndex(GroupId(4096))]
    );
}
