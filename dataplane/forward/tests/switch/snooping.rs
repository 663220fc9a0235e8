//! Multicast snooping: frames to groups go where somebody listens, once that can be known; and underlay groups.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{IpNumber, PacketBuilder};
use forward::flood::{Flooding, StormLimit};
use forward::ids::{DomainId, PortId, RemoteId};
use forward::link::{Event, Place};
use forward::marking::Marking;
use forward::tables::{Encapsulation, Listeners, Path, Remote, TunnelOptions};
use forward::verdict::DropReason;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use wire::membership::Interest;
use wire::{Mac, Vni};

use crate::fixture::*;
use crate::frames::*;

const DOMAIN: DomainId = DomainId(1);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const OTHER: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 4);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 99);

fn group_mac(group: Ipv4Addr) -> Mac {
    let [_, b, c, d] = group.octets();
    Mac([1, 0, 0x5e, b & 0x7f, c, d])
}

/// A datagram to a group.
fn data(from: Mac, group: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(from.0, group_mac(group).0)
        .ipv4(IP1.octets(), group.octets(), 8)
        .udp(4000, 5000)
        .write(&mut frame, b"to whom it may concern")
        .expect("a frame");
    frame
}

/// The checksum of these bytes (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let word = |two: &[u8]| u32::from(two[0]) << 8 | u32::from(two.get(1).copied().unwrap_or(0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// An IGMP message of eight bytes and more, its checksum made right.
fn igmp(from: Mac, source: Ipv4Addr, to: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[2..4].fill(0);
    let checksum = checksum(&message);
    message[2..4].copy_from_slice(&checksum);
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(from.0, group_mac(to).0)
        .ipv4(source.octets(), to.octets(), 1)
        .write(&mut frame, IpNumber::IGMP, &message)
        .expect("a frame");
    frame
}

/// A report of IGMPv2.
fn report(from: Mac, group: Ipv4Addr) -> Vec<u8> {
    let [a, b, c, d] = group.octets();
    igmp(from, IP1, group, &[0x16, 0, 0, 0, a, b, c, d])
}

/// A switch whose domain 1 snoops: somebody listens to `GROUP` at B, a router is at `SMALL`.
fn snooping(has_igmp_querier: bool) -> Switch {
    let mut switch = Switch::new();
    switch.change(|parts| {
        let groups = vec![(IpAddr::from(GROUP), vec![B])];
        parts.domains[0].snooping =
            Some(Listeners { has_igmp_querier, has_mld_querier: false, routers: vec![SMALL], groups });
    });
    switch
}

fn receivers(switch: &mut Switch, ingress: PortId, frame: &[u8]) -> Vec<PortId> {
    switch.receive_one(ingress, frame).iter().map(|out| out.port).collect()
}

#[test]
fn groups_go_where_somebody_listens_and_to_peers() {
    let mut switch = snooping(true);
    assert_eq!(receivers(&mut switch, A, &data(W1, GROUP)), [B, SMALL, UP, UP2]);
    switch.change(|parts| parts.domains[0].snooping.as_mut().expect("it snoops").routers.clear());
    assert_eq!(receivers(&mut switch, A, &data(W1, GROUP)), [B, UP, UP2]);
    assert_eq!(receivers(&mut switch, B, &data(W2, GROUP)), [UP, UP2], "not back to the only listener");
    assert_eq!(receivers(&mut switch, UP, &vxlan(&data(W9, GROUP))), [B]);
    // What nobody has joined, and what never leaves a link, is everybody's.
    for group in [OTHER, Ipv4Addr::new(224, 0, 0, 251)] {
        assert_eq!(receivers(&mut switch, A, &data(W1, group)), [B, SMALL, UP, UP2], "{group}");
    }
    assert_eq!(receivers(&mut switch, A, &udp(W1, Mac::BROADCAST, 20)), [B, SMALL, UP, UP2]);
    assert_eq!(switch.drops(), []);
}

#[test]
fn without_a_querier_everything_is_flooded() {
    let mut switch = snooping(false);
    for frame in [data(W1, GROUP), report(W1, GROUP)] {
        assert_eq!(receivers(&mut switch, A, &frame), [B, SMALL, UP, UP2]);
    }
}

#[test]
fn reports_go_to_routers_and_queries_to_all() {
    let mut switch = snooping(true);
    assert_eq!(receivers(&mut switch, A, &report(W1, OTHER)), [SMALL, UP, UP2]);
    assert_eq!(receivers(&mut switch, UP, &vxlan(&report(W9, OTHER))), [SMALL]);
    let query = igmp(W9, ROUTER, Ipv4Addr::new(224, 0, 0, 1), &[0x11, 20, 0, 0, 0, 0, 0, 0]);
    assert_eq!(receivers(&mut switch, UP, &vxlan(&query)), [A, B, SMALL]);
    let mut damaged = report(W1, OTHER);
    damaged[14 + 20 + 7] ^= 1;
    assert_eq!(receivers(&mut switch, A, &damaged), [B, SMALL, UP, UP2], "no report");
}

#[test]
fn control_hears_who_listens_and_who_asks() {
    let mut switch = snooping(true);
    let told = |switch: &mut Switch, ingress, frame: &[u8]| -> Vec<Event> {
        switch.receive_one(ingress, frame);
        switch.events()
    };
    let said = |group: Ipv4Addr, interest| Event::Membership {
        domain: DOMAIN,
        group: group.into(),
        interest,
        port: A,
    };
    assert_eq!(told(&mut switch, A, &report(W1, OTHER)), [said(OTHER, Interest::Joined)]);
    assert_eq!(told(&mut switch, A, &report(W1, OTHER)), [], "within the same second");
    // IGMPv3: leaves one group, joins another, and a link-local one, which is of no interest.
    let mut records = vec![0x22, 0, 0, 0, 0, 0, 0, 3];
    for (kind, group) in [(3, OTHER), (4, GROUP), (4, Ipv4Addr::new(224, 0, 0, 251))] {
        records.extend([kind, 0, 0, 0]);
        records.extend(group.octets());
    }
    let records = igmp(W1, IP1, Ipv4Addr::new(224, 0, 0, 22), &records);
    let expected = [said(OTHER, Interest::Left), said(GROUP, Interest::Joined)];
    assert_eq!(told(&mut switch, A, &records), expected);
    // Who listens behind a peer is the peer's business; that a querier is there is ours.
    assert_eq!(told(&mut switch, UP, &vxlan(&report(W9, OTHER))), []);
    let query = igmp(W9, ROUTER, Ipv4Addr::new(224, 0, 0, 1), &[0x11, 15, 0, 0, 0, 0, 0, 0]);
    let place = Place::Remote(VXLAN);
    let queried = Event::Queried { domain: DOMAIN, from: ROUTER.into(), group: None, seconds: 2, place };
    assert_eq!(told(&mut switch, UP, &vxlan(&query)), [queried]);
}

#[test]
fn joined_groups_pass_where_multicast_is_not_flooded_but_never_beyond_the_storm_limit() {
    let mut switch = snooping(true);
    switch.change(|parts| {
        parts.domains[0].flooding = Flooding { multicast: false, ..Flooding::default() };
        let port = parts.ports.iter_mut().find(|port| port.id == A).expect("port A");
        port.storm_limit = StormLimit::frames_per_second(1);
    });
    assert_eq!(receivers(&mut switch, A, &data(W1, OTHER)), []);
    assert_eq!(receivers(&mut switch, A, &data(W1, GROUP)), [B, SMALL, UP, UP2]);
    assert_eq!(switch.drops(), [(DropReason::FloodOff, 1)]);
    let out = switch.receive(A, &vec![data(W1, GROUP); 50]);
    assert_eq!(out.len(), (StormLimit::AT_ONCE as usize - 2) * 4);
}

/// Domain 1 floods to an underlay group, whose remote is the last of its flood list.
#[test]
fn an_underlay_group_is_flooded_to_once_and_heard_from_known_peers() {
    const UNDERLAY: Ipv4Addr = Ipv4Addr::new(239, 9, 9, 9);
    const REMOTE: RemoteId = RemoteId(77);
    let mut switch = Switch::new();
    switch.change(|parts| {
        let next_hop = group_mac(UNDERLAY);
        parts.remotes.push(Remote {
            id: REMOTE,
            domain: DOMAIN,
            encapsulation: Encapsulation::Vxlan { vni: Vni::new(100).expect("24 bits"), port: 4789 },
            local: LOCAL.into(),
            address: UNDERLAY.into(),
            marking: Marking::default(),
            udp_checksum: false,
            path: Path::Resolved { uplink: UP, source: UPLINK_MAC, next_hop, mtu: 1500 },
            options: TunnelOptions::default(),
            storm_limit: StormLimit::NONE,
        });
        parts.domains[0].remotes = vec![REMOTE];
        parts.domains[0].mcast_group = Some(UNDERLAY.into());
    });
    let out = switch.receive_one(A, &udp(W1, Mac::BROADCAST, 20));
    let copy = out.iter().find(|out| out.port == UP).expect("a copy to the underlay");
    assert_eq!(out.iter().filter(|out| [UP, UP2].contains(&out.port)).count(), 1);
    assert_eq!((&copy.bytes[..6], &copy.bytes[30..34]), (&group_mac(UNDERLAY).0[..], &UNDERLAY.octets()[..]));

    // The same from a peer: who sent it is who it is learned from, and unicast goes there.
    let to_group = |frame: Vec<u8>| {
        let mut frame = frame;
        frame[..6].copy_from_slice(&group_mac(UNDERLAY).0);
        frame[30..34].copy_from_slice(&UNDERLAY.octets());
        frame[24..26].fill(0);
        let checksum = checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&checksum);
        frame
    };
    for _ in 0..2 {
        let frame = to_group(vxlan(&udp(W9, Mac::BROADCAST, 20)));
        assert_eq!(receivers(&mut switch, UP, &frame), [A, B, SMALL]);
    }
    let answer = switch.receive_one(A, &udp(W1, W9, 20));
    assert_eq!((answer.len(), &answer[0].bytes[30..34]), (1, &PEER.octets()[..]));
    let stranger = to_group(vxlan_from(Ipv4Addr::new(192, 0, 2, 66), 100, &udp(W9, Mac::BROADCAST, 20)));
    assert_eq!(receivers(&mut switch, UP, &stranger), []);
    // A packet that claims to come from the group itself.
    let forged = to_group(vxlan_from(UNDERLAY, 100, &udp(W9, Mac::BROADCAST, 20)));
    assert_eq!(receivers(&mut switch, UP, &forged), []);
    assert_eq!(switch.drops(), [(DropReason::PeerNotAllowed, 2)]);
}

proptest! {
    /// Whatever a message about listeners contains, the frame is forwarded or dropped, and everything is accounted for.
    #[test]
    fn messages_of_any_content_are_survived(
        kind in select(vec![0x11, 0x16, 0x17, 0x22]),
        mld in select(vec![130, 131, 132, 143]),
        rest in vec(any::<u8>(), 7..300),
    ) {
        let mut switch = snooping(true);
        let message = [&[kind], &rest[..]].concat();
        switch.receive_one(A, &igmp(W1, IP1, GROUP, &message));
        let group: Ipv6Addr = "ff1e::1".parse().expect("an address");
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(W1.0, [0x33, 0x33, 0, 0, 0, 1])
            .ipv6(SIX1.octets(), group.octets(), 1)
            .icmpv6_raw(mld, 0, [rest[3], rest[4], rest[5], rest[6]])
            .write(&mut frame, &rest[7..])
            .expect("a frame");
        switch.receive_one(A, &frame);
    }
}
