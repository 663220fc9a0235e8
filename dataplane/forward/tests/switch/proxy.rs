//! The ARP proxy: which messages it answers, with what, and what it teaches control.

use std::net::{IpAddr, Ipv4Addr};

use forward::fdb::Kind;
use forward::ids::DomainId;
use forward::link::{Event, Place};
use forward::tables::NeighbourFlags;
use forward::verdict::DropReason;
use wire::Mac;

use crate::fixture::*;
use crate::frames::*;

const DOMAIN: DomainId = DomainId(1);
const NOBODY: Mac = Mac::ZERO;

/// W9 with IP9 far away, W2 with IP2 at port B; both known.
fn switch() -> Switch {
    let mut switch = Switch::new();
    switch.neighbours(&[(DOMAIN, IP9, W9, false), (DOMAIN, IP2, W2, true), (DOMAIN, IP1, W1, false)]);
    switch.enter(DOMAIN, W9, Place::Remote(VXLAN), Kind::Dynamic);
    switch.bind(DOMAIN, W2, Place::Port(B));
    switch
}

fn request(target: Ipv4Addr) -> Vec<u8> {
    arp(1, Mac::BROADCAST, (W1, IP1), (NOBODY, target))
}

#[test]
fn a_known_target_is_answered_and_nothing_else_leaves() {
    let mut switch = switch();
    for (target, mac) in [(IP9, W9), (IP2, W2)] {
        let out = switch.receive_one(A, &request(target));
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].port, &out[0].bytes), (A, &arp(2, W1, (mac, target), (W1, IP1))));
    }
    assert_eq!(switch.counters.port(A).proxied, 2);
    assert_eq!(switch.place_of(DOMAIN, W1), Some(Place::Port(A)), "the asker is learned");
    // The target's peer may be unreachable; an answer is due all the same.
    switch.enter(DOMAIN, W9, Place::Remote(UNRESOLVED), Kind::Dynamic);
    assert_eq!(switch.receive_one(A, &request(IP9)).len(), 1);
    // Padding stays.
    let padded = edit(&request(IP9), |frame| frame.resize(60, 0));
    assert_eq!(switch.receive_one(A, &padded)[0].bytes.len(), 60);
}

/// A tag that says a priority alone makes no other network.
#[test]
fn a_request_with_a_priority_is_answered_with_it() {
    let answer = arp(2, W1, (W9, IP9), (W1, IP1));
    let twice = |frame: &[u8]| with_tag(&with_tag(frame, 0x2000), 0xa000);
    let service =
        |frame: &[u8]| edit(&with_tag(frame, 0xe000), |frame| frame[12..14].copy_from_slice(&[0x88, 0xa8]));
    let mut switch = switch();
    for tagged in [&twice as &dyn Fn(&[u8]) -> Vec<u8>, &service] {
        let out = switch.receive_one(A, &tagged(&request(IP9)));
        assert_eq!(out.iter().map(|out| (out.port, &out.bytes)).collect::<Vec<_>>(), [(A, &tagged(&answer))]);
    }
    // It teaches as much, too.
    let new = Ipv4Addr::new(10, 0, 0, 50);
    switch.receive_one(A, &twice(&arp(1, Mac::BROADCAST, (W1, new), (NOBODY, new))));
    let is_new = |event: &Event| matches!(event, Event::NeighbourSeen { address, .. } if *address == new);
    assert!(switch.events().iter().any(is_new));
    // Behind the priority may stand a VLAN.
    let inside = with_tag(&with_tag(&request(IP9), 7), 0xa000);
    assert_eq!(switch.receive_one(A, &inside).len(), 4);
}

#[test]
fn what_is_not_ours_to_answer_passes() {
    let flooded = 4;
    let cases = [
        ("unknown target", request(Ipv4Addr::new(10, 0, 0, 77)), flooded),
        ("probe", arp(1, Mac::BROADCAST, (W1, Ipv4Addr::UNSPECIFIED), (NOBODY, IP9)), flooded),
        ("gratuitous request", arp(1, Mac::BROADCAST, (W1, IP9), (NOBODY, IP9)), flooded),
        ("gratuitous reply", arp(2, Mac::BROADCAST, (W1, IP1), (W1, IP1)), flooded),
        ("the asker's own address", request(IP1), flooded),
        ("unicast request", arp(1, W9, (W1, IP1), (NOBODY, IP9)), 1),
        ("reply", arp(2, W9, (W1, IP1), (W9, IP9)), 1),
        ("broadcast reply", arp(2, Mac::BROADCAST, (W1, IP1), (W9, IP9)), flooded),
        ("multicast sender", arp_sent_by(Mac::BROADCAST), flooded),
        ("hardware type", edit(&request(IP9), |frame| frame[15] = 6), flooded),
        ("cut short", request(IP9)[..41].to_vec(), flooded),
        ("in a VLAN", edit(&request(IP9), |frame| drop(frame.splice(12..12, [0x81, 0, 0, 1]))), flooded),
    ];
    for (name, frame, receivers) in cases {
        let mut switch = switch();
        let out = switch.receive_one(A, &frame);
        assert_eq!(out.len(), receivers, "{name}");
        assert!(out.iter().all(|out| out.port != A), "{name}");
        assert_eq!(switch.counters.port(A).proxied, 0, "{name}");
    }
}

/// A request whose Ethernet source is W1 but whose sender is somebody else.
fn arp_sent_by(sender: Mac) -> Vec<u8> {
    edit(&request(IP9), |frame| frame[22..28].copy_from_slice(&sender.0))
}

#[test]
fn no_answer_without_all_that_it_takes() {
    // The neighbour is known, its place is not: it may have moved anywhere.
    let mut switch = switch();
    switch.neighbours(&[(DOMAIN, Ipv4Addr::new(10, 0, 0, 8), Mac([2, 9, 9, 9, 9, 9]), true)]);
    assert_eq!(switch.receive_one(A, &request(Ipv4Addr::new(10, 0, 0, 8))).len(), 4);
    // Behind the same port: it hears the request itself.
    let mut switch = self::switch();
    switch.enter(DOMAIN, W9, Place::Port(A), Kind::Dynamic);
    assert_eq!(switch.receive_one(A, &request(IP9)).len(), 4);
    // From the overlay: the sender's own VTEP answers.
    let mut switch = self::switch();
    let asked = arp(1, Mac::BROADCAST, (Mac([2, 0, 0, 1, 0, 8]), IP1), (NOBODY, IP2));
    let out = switch.receive_one(UP, &vxlan(&asked));
    assert_eq!(out.iter().map(|out| out.port).collect::<Vec<_>>(), [A, B, SMALL]);
    // Another domain's neighbour.
    let out = switch.receive_one(C, &request(IP9));
    assert_eq!(out.iter().map(|out| out.port).collect::<Vec<_>>(), [UP]);
    // Switched off.
    switch.change(|parts| parts.domains[0].arp_proxy = false);
    assert_eq!(switch.receive_one(A, &request(IP9)).len(), 4);
    // For an address that is the asker's own, wherever the database has him.
    switch.change(|parts| (parts.domains[0].arp_proxy, parts.domains[0].learning) = (true, false));
    switch.bind(DOMAIN, W9, Place::Port(B));
    let asked = arp(1, Mac::BROADCAST, (W9, Ipv4Addr::new(10, 0, 0, 33)), (NOBODY, IP9));
    assert_eq!(switch.receive_one(A, &asked).len(), 4);
    switch.change(|parts| parts.domains[0].learning = true);
    // From somebody who is not where his address belongs.
    switch.bind(DOMAIN, W1, Place::Port(B));
    assert_eq!(switch.receive_one(A, &request(IP9)), []);
    assert_eq!(switch.drops(), [(DropReason::VxlanEntryExists, 1)]);
    assert_eq!(switch.counters.port(A).proxied, 0);
}

#[test]
fn neighbours_seen_are_told_if_they_are_news() {
    let mut switch = switch();
    let other = Mac([2, 0, 0, 1, 0, 7]);
    let seen = |mac, address, place| Event::NeighbourSeen {
        domain: DOMAIN,
        address: IpAddr::V4(address),
        mac,
        flags: NeighbourFlags::default(),
        place,
    };
    // Known already; known and fixed, so that nothing seen changes it.
    switch.receive_one(A, &arp(2, Mac::BROADCAST, (other, IP2), (other, IP2)));
    // Not an address that a station can have.
    switch.receive_one(A, &arp(1, Mac::BROADCAST, (W1, Ipv4Addr::UNSPECIFIED), (NOBODY, IP9)));
    switch.receive_one(A, &arp(1, Mac::BROADCAST, (W1, Ipv4Addr::BROADCAST), (NOBODY, IP9)));
    switch.receive_one(A, &arp_sent_by(Mac::BROADCAST));
    assert_eq!(switch.events(), []);
    // A new address, once a second; the same from a peer; a gratuitous change.
    let new = Ipv4Addr::new(10, 0, 0, 50);
    switch.receive(A, &vec![arp(1, Mac::BROADCAST, (other, new), (NOBODY, IP9)); 20]);
    assert_eq!(switch.events(), [seen(other, new, Place::Port(A))]);
    switch.receive_one(UP, &vxlan(&arp(2, Mac::BROADCAST, (W9, new), (W9, new))));
    assert_eq!(switch.events(), [seen(W9, new, Place::Remote(VXLAN))]);
    switch.receive_one(A, &arp(1, Mac::BROADCAST, (other, IP9), (NOBODY, IP9)));
    assert_eq!(switch.events(), [seen(other, IP9, Place::Port(A))]);
    switch.now.nanoseconds += 1_000_000_000;
    switch.receive_one(A, &arp(1, Mac::BROADCAST, (other, IP9), (NOBODY, IP9)));
    assert_eq!(switch.events(), [seen(other, IP9, Place::Port(A))]);
    // What is known is told again as often as keeps it from ageing, whatever shows it.
    let of_w1 = seen(W1, IP1, Place::Port(A));
    switch.now.nanoseconds = 3_000_000_000_000;
    for frame in [request(IP9), arp(1, Mac::BROADCAST, (W1, IP1), (NOBODY, IP1)), request(IP2)] {
        switch.receive(A, &vec![frame; 3]);
        switch.now.nanoseconds += 1_000_000_000;
    }
    assert_eq!(switch.events(), [of_w1]);
    switch.now.nanoseconds += 75_000_000_000;
    switch.receive_one(A, &request(IP9));
    assert_eq!(switch.events(), [of_w1]);
    switch.change(|parts| parts.domains[0].ageing = 0);
    switch.now.nanoseconds += 75_000_000_000;
    switch.receive_one(A, &request(IP9));
    assert_eq!(switch.events(), [], "nothing ages");
    // A domain that learns nothing learns no neighbours either.
    switch.change(|parts| parts.domains[0].learning = false);
    switch.now.nanoseconds += 1_000_000_000;
    switch.receive_one(A, &arp(1, Mac::BROADCAST, (other, IP9), (NOBODY, IP9)));
    assert_eq!(switch.events(), []);
}
