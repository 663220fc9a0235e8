//! What a workload may send: bindings, and what only a trusted port may. And who gives way when a domain is full.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use forward::ids::DomainId;
use forward::limits::BATCH;
use forward::link::{Event, Place};
use forward::protection::{Binding, Guard};
use forward::tables::Path;
use forward::verdict::DropReason::{
    self, Ipv6HeaderChain, RogueDhcp, RogueRouter, SpoofedSource, TunnelFromWorkload, VlanTagged,
    VxlanEntryExists,
};
use proptest::prelude::*;
use wire::Mac;

use crate::fixture::*;
use crate::frames::*;

const MINE: Mac = Mac([2, 0, 0, 0, 7, 1]);
const OTHER: Mac = Mac([2, 0, 0, 0, 7, 2]);
const THERE: Mac = Mac([2, 0, 0, 0, 7, 9]);
/// What the frames of this test are sent from.
const IP: Ipv4Addr = IP1;
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);
/// What [`MINE`] makes of itself.
const LINK_LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 7, 1];

fn guarded(guard: Guard) -> Switch {
    let mut switch = Switch::new();
    switch.change(|parts| drop(parts.protection.guards.insert(A, guard)));
    switch
}

fn bound() -> Guard {
    let addresses = vec![IpAddr::V4(IP), IpAddr::from([0xfd; 16])];
    Guard { trusted: false, locked: false, bindings: vec![Binding { mac: MINE, addresses }] }
}

/// What is said of one frame from `A`: dropped for a reason, or not.
fn verdict(guard: &Guard, frame: &[u8]) -> Option<DropReason> {
    let mut switch = guarded(guard.clone());
    let out = switch.receive_one(A, frame);
    assert_eq!(out.is_empty(), !switch.drops().is_empty());
    let learned = switch.place_of(DomainId(1), Mac(*frame[6..].first_chunk().expect("a source address")));
    assert_eq!(learned.is_some(), !out.is_empty(), "nothing of a refused frame is learned");
    switch.drops().first().map(|(reason, _)| *reason)
}

fn ipv6(source: [u8; 16], next_header: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a packet").to_be_bytes();
    let fixed = [0x60, 0, 0, 0, length[0], length[1], next_header, 255];
    [&THERE.0[..], &MINE.0, &[0x86, 0xdd], &fixed, &source, &[0xfe; 16], payload].concat()
}

fn icmpv6(kind: u8, rest: &[u8]) -> Vec<u8> {
    ipv6(LINK_LOCAL, 58, &[&[kind, 0, 0, 0, 0, 0, 0, 0][..], rest].concat())
}

fn udp6(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    ipv6([0xfd; 16], 17, &[2, 35, high, low, 0, 8, 0, 0])
}

#[test]
fn only_infrastructure_acts_as_such() {
    let ours = vxlan_datagram(4789, 100, &opaque(MINE, THERE, 46));
    let gre = edit(&tcp(MINE, THERE, b"x"), |frame| frame[23] = 47);
    let nested = udp_ports(MINE, THERE, (50_000, 4789), &ours[8..]);
    // Two options before an advertisement, as RFC 7113 tells of.
    let behind =
        [&[60, 0, 0, 0, 0, 0, 0, 0][..], &[58, 0, 0, 0, 0, 0, 0, 0], &[134, 0, 0, 0, 0, 0, 0, 0]].concat();
    let cases = [
        (nested.clone(), Some(TunnelFromWorkload)),
        (udp_ports(MINE, THERE, (50_000, 8472), b""), Some(TunnelFromWorkload)),
        (udp_ports(MINE, THERE, (50_000, 4790), b""), None),
        (udp_ports(MINE, THERE, (4789, 4000), b""), None),
        (edit(&nested, |frame| frame[21] = 1), None),
        (gre, Some(TunnelFromWorkload)),
        (ipv6([0xfd; 16], 47, &[0; 8]), Some(TunnelFromWorkload)),
        (udp6(4789), Some(TunnelFromWorkload)),
        (udp_ports(MINE, Mac::BROADCAST, (67, 68), b"offer"), Some(RogueDhcp)),
        (udp_ports(MINE, Mac::BROADCAST, (68, 67), b"discover"), None),
        (udp6(546), Some(RogueDhcp)),
        (udp6(547), None),
        (icmpv6(134, &[0; 8]), Some(RogueRouter)),
        (icmpv6(137, &[0; 32]), Some(RogueRouter)),
        (icmpv6(133, &[]), None),
        (icmpv6(128, &[]), None),
        (ipv6(LINK_LOCAL, 60, &behind), Some(RogueRouter)),
        (ipv6(LINK_LOCAL, 60, &behind[..12]), Some(Ipv6HeaderChain)),
        (ipv6(LINK_LOCAL, 58, &[]), Some(Ipv6HeaderChain)),
        (ipv6(LINK_LOCAL, 17, &[0, 1, 2]), Some(Ipv6HeaderChain)),
        (tcp6(MINE, THERE, b"x"), None),
        (opaque(MINE, THERE, 46), None),
        (edit(&tcp(MINE, THERE, b"x"), |frame| frame[14] = 0x65), None),
        (tcp(MINE, THERE, b"x")[..30].to_vec(), None),
    ];
    for (frame, expected) in cases {
        assert_eq!(verdict(&Guard::default(), &frame), expected, "{frame:02x?}");
        let trusted = Guard { trusted: true, ..Guard::default() };
        assert_eq!(verdict(&trusted, &frame), None, "{frame:02x?}");
    }
    // Tags hide nothing.
    let hidden =
        edit(&tagged(MINE, THERE, 20), |frame| frame[40..42].copy_from_slice(&4789_u16.to_be_bytes()));
    assert_eq!(verdict(&Guard::default(), &hidden), Some(TunnelFromWorkload));
    let stacked = |frame: &[u8], count| [&frame[..12], &[0x81, 0, 0, 0].repeat(count), &frame[12..]].concat();
    for (count, expected) in [(4, Some(RogueDhcp)), (5, Some(VlanTagged)), (40, Some(VlanTagged))] {
        let offer = udp_ports(MINE, Mac::BROADCAST, (67, 68), b"offer");
        assert_eq!(verdict(&Guard::default(), &stacked(&offer, count)), expected, "{count} tags");
    }
    // From the overlay all of it may come: who stands there was judged by its own switch.
    let mut switch = guarded(Guard::default());
    assert_eq!(switch.receive_one(UP, &vxlan(&nested)).len(), 3);
}

#[test]
fn a_bound_port_is_who_it_is_bound_to_be() {
    let second = |frame: &[u8]| edit(frame, |frame| frame[26..30].copy_from_slice(&SECOND.octets()));
    let request = |mac: Mac, address| arp(1, Mac::BROADCAST, (mac, address), (Mac::ZERO, SECOND));
    let from_mine = |frame: Vec<u8>| edit(&frame, |frame| frame[6..12].copy_from_slice(&MINE.0));
    let advertisement = |target: [u8; 16], mac: Mac| icmpv6(136, &[&target[..], &[2, 1], &mac.0].concat());
    let solicitation = |mac: Mac| icmpv6(135, &[&[0xfe; 16][..], &[1, 1], &mac.0].concat());
    let from = |source: [u8; 16]| ipv6(source, 59, &[]);
    let cases = [
        (tcp(MINE, THERE, b"x"), None),
        (tcp(OTHER, THERE, b"x"), Some(SpoofedSource)),
        (opaque(OTHER, THERE, 46), Some(SpoofedSource)),
        (opaque(MINE, THERE, 46), None),
        (second(&tcp(MINE, THERE, b"x")), Some(SpoofedSource)),
        (edit(&tcp(MINE, THERE, b"x"), |frame| frame[26..30].fill(0)), None),
        (edit(&tcp(MINE, THERE, b"x"), |frame| frame[14] = 0x65), Some(SpoofedSource)),
        (tcp(MINE, THERE, b"x")[..30].to_vec(), Some(SpoofedSource)),
        (request(MINE, IP), None),
        (request(MINE, Ipv4Addr::UNSPECIFIED), Some(SpoofedSource)),
        (arp(1, Mac::BROADCAST, (MINE, Ipv4Addr::UNSPECIFIED), (Mac::ZERO, IP)), None),
        (request(MINE, SECOND), Some(SpoofedSource)),
        (from_mine(request(OTHER, IP)), Some(SpoofedSource)),
        (request(MINE, IP)[..30].to_vec(), Some(SpoofedSource)),
        (from([0xfd; 16]), None),
        (from(LINK_LOCAL), None),
        (from([0; 16]), None),
        (from([0xfc; 16]), Some(SpoofedSource)),
        (solicitation(MINE), None),
        (solicitation(OTHER), Some(SpoofedSource)),
        (advertisement([0xfd; 16], MINE), None),
        (advertisement(LINK_LOCAL, MINE), None),
        (advertisement([0xfd; 16], OTHER), Some(SpoofedSource)),
        (advertisement([0xfc; 16], MINE), Some(SpoofedSource)),
        (icmpv6(136, &[0; 4]), Some(SpoofedSource)),
        (icmpv6(134, &[0; 8]), Some(RogueRouter)),
    ];
    for (frame, expected) in cases {
        assert_eq!(verdict(&bound(), &frame), expected, "{frame:02x?}");
    }
    // Being trusted lifts no binding.
    let trusted = Guard { trusted: true, ..bound() };
    assert_eq!(verdict(&trusted, &icmpv6(134, &[0; 8])), None);
    assert_eq!(verdict(&trusted, &tcp(OTHER, THERE, b"x")), Some(SpoofedSource));
    assert_eq!(verdict(&trusted, &advertisement([0xfc; 16], MINE)), Some(SpoofedSource));
    // Without protocol addresses, the Ethernet address alone is bound.
    let loose =
        Guard { trusted: false, locked: false, bindings: vec![Binding { mac: MINE, addresses: Vec::new() }] };
    assert_eq!(verdict(&loose, &second(&tcp(MINE, THERE, b"x"))), None);
    assert_eq!(verdict(&loose, &tcp(OTHER, THERE, b"x")), Some(SpoofedSource));
    assert_eq!(verdict(&loose, &from_mine(request(OTHER, IP))), Some(SpoofedSource));
}

/// What another place may not do with an address that is bound to `A`.
#[test]
fn a_bound_address_is_claimed_by_nobody_else() {
    let domain = DomainId(1);
    let mut switch = guarded(bound());
    // Before, it may be anybody's.
    assert_eq!(switch.receive_one(B, &opaque(MINE, THERE, 46)).len(), 4);
    assert_eq!(switch.place_of(domain, MINE), Some(Place::Port(B)));
    switch.change(|parts| {
        let _ = parts.protection.claims.macs.insert((domain, MINE));
    });
    switch.now.nanoseconds += 1_000_000_000;
    let from_overlay = vxlan(&opaque(MINE, THERE, 46));
    assert_eq!(switch.receive_one(B, &opaque(MINE, THERE, 46)), [], "known there, but not refreshed");
    assert_eq!(switch.receive(UP, &[from_overlay.clone(), from_overlay]), []);
    assert_eq!(switch.drops(), [(SpoofedSource, 3)]);
    // Its own port takes it back.
    assert_eq!(switch.receive_one(A, &opaque(MINE, THERE, 46)).len(), 4);
    assert_eq!(switch.place_of(domain, MINE), Some(Place::Port(A)));
    assert_eq!(switch.receive_one(B, &opaque(MINE, THERE, 46)), []);
    assert_eq!(switch.place_of(domain, MINE), Some(Place::Port(A)));
    // Other addresses, and the same in another domain, are no concern of it.
    assert_eq!(switch.receive_one(B, &opaque(OTHER, THERE, 46)).len(), 4);
    assert_eq!(switch.receive_one(C, &opaque(MINE, THERE, 46)).len(), 1);
    assert_eq!(switch.drops(), [(SpoofedSource, 4)]);
    // Where two ports are bound to it, either may have it.
    switch.change(|parts| drop(parts.protection.guards.insert(B, bound())));
    assert_eq!(switch.receive_one(B, &opaque(MINE, THERE, 46)).len(), 4);
    assert_eq!(switch.place_of(domain, MINE), Some(Place::Port(B)));
}

/// Nor may anybody else say to have a protocol address that is bound; whoever asks for it may.
#[test]
fn a_bound_protocol_address_is_had_by_nobody_else() {
    let target = Ipv6Addr::from([0xfd; 16]);
    let claims = |mac: Mac, source: Ipv4Addr, target: Ipv6Addr| {
        let to_all = (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), Mac([0x33, 0x33, 0, 0, 0, 1]));
        [
            arp(1, Mac::BROADCAST, (mac, source), (Mac::ZERO, source)),
            arp(1, Mac::BROADCAST, (mac, source), (Mac::ZERO, SECOND)),
            arp(2, THERE, (mac, source), (THERE, SECOND)),
            nd(136, (mac, to_all.1), (target, to_all.0), (0x20, target), &link_layer(2, mac)),
            nd(135, (mac, to_all.1), (target, to_all.0), (0, SIX9), &link_layer(1, mac)),
        ]
    };
    let mut switch = guarded(bound());
    switch.bind(DomainId(1), THERE, Place::Port(SMALL));
    let claimed = Binding { mac: MINE, addresses: vec![IpAddr::V4(IP), target.into()] };
    switch.change(|parts| {
        parts.protection.claims.addresses.extend(claimed.claimed().map(|address| (DomainId(1), address)));
    });
    for frame in claims(OTHER, IP, target) {
        assert_eq!(switch.receive_one(B, &frame), [], "{frame:02x?}");
        assert_eq!(switch.receive_one(UP, &vxlan(&frame)), [], "{frame:02x?}");
    }
    assert_eq!(switch.receive_one(B, &claims(OTHER, SECOND, LINK_LOCAL.into())[3]), []);
    assert_eq!(switch.drops(), [(SpoofedSource, 11)]);
    let is_believed = |event: &Event| matches!(event, Event::NeighbourSeen { .. });
    assert!(!switch.events().iter().any(is_believed), "{:?}", switch.events());
    // Its own port, others about other addresses, who looks for it, and other domains.
    for (port, frames) in [
        (A, claims(MINE, IP, target).to_vec()),
        (B, claims(OTHER, SECOND, SIX2).to_vec()),
        (B, vec![arp(1, Mac::BROADCAST, (OTHER, SECOND), (Mac::ZERO, IP))]),
        (B, vec![arp(1, Mac::BROADCAST, (OTHER, Ipv4Addr::UNSPECIFIED), (Mac::ZERO, SECOND))]),
        (C, claims(OTHER, IP, target)[..2].to_vec()),
    ] {
        for frame in frames {
            assert!(!switch.receive_one(port, &frame).is_empty(), "{port:?} {frame:02x?}");
        }
    }
    assert_eq!(switch.drops(), [(SpoofedSource, 11)]);
}

/// Nor is it learned anew from a place where it could not be reached.
#[test]
fn nothing_is_learned_from_a_withdrawn_remote() {
    let mut switch = Switch::new();
    let from_remote = |mac| vxlan(&opaque(mac, THERE, 46));
    switch.change(|parts| {
        let remote = parts.remotes.iter_mut().find(|remote| remote.id == VXLAN).expect("the remote");
        let Path::Resolved { uplink, source, next_hop, .. } = remote.path else { panic!("no path") };
        remote.path = Path::Withdrawn { uplink, source, next_hop };
        parts.domains.iter_mut().for_each(|domain| domain.remotes.retain(|remote| *remote != VXLAN));
    });
    // What comes is flooded to the ports all the same.
    assert_eq!(switch.receive_one(UP, &from_remote(OTHER)).len(), 3);
    assert_eq!(switch.place_of(DomainId(1), OTHER), None);
    // A place that can be reached is kept, and one that was written still counts.
    switch.receive_one(A, &opaque(MINE, THERE, 46));
    assert_eq!(switch.receive_one(UP, &from_remote(MINE)).len(), 3);
    assert_eq!(switch.place_of(DomainId(1), MINE), Some(Place::Port(A)));
    assert_eq!((switch.drops(), switch.counters.port(UP).unlearned), (vec![], 0));
    switch.bind(DomainId(1), OTHER, Place::Port(B));
    assert_eq!(switch.receive_one(UP, &from_remote(OTHER)), []);
    assert_eq!(switch.drops(), [(VxlanEntryExists, 1)]);
}

fn source(port: u8, number: u64) -> Mac {
    Mac::from_u64(0x0204_0000_0000 + (u64::from(port) << 24) + number)
}

#[test]
fn a_full_domain_is_shared_fairly() {
    let mut switch = Switch::new();
    switch.change(|parts| {
        parts.protection.limits.domains.insert(DomainId(1), 8);
    });
    switch.bind(DomainId(1), THERE, Place::Remote(VXLAN));
    let learned_in = |switch: &Switch| switch.parts.fdb.learned_in(DomainId(1));
    let learned_at = |switch: &Switch, port| switch.parts.fdb.learned_at(Place::Port(port));
    // Beyond the limit frames go where they should all the same.
    for number in 0..16 {
        assert_eq!(switch.receive_one(A, &opaque(source(1, number), THERE, 46)).len(), 1);
    }
    assert_eq!((learned_in(&switch), learned_at(&switch, A)), (8, 8));
    // Whoever comes later gets as much as the first, who gets nothing of it back however hard it tries.
    for round in 0..200_u64 {
        switch.receive_one(B, &opaque(source(2, round % 16), THERE, 46));
        let flood: Vec<Vec<u8>> = (0..BATCH as u64)
            .map(|number| opaque(source(1, 1000 + round * 64 + number), THERE, 46))
            .collect();
        switch.receive(A, &flood);
        assert_eq!(learned_in(&switch), 8);
    }
    assert_eq!((learned_at(&switch, A), learned_at(&switch, B)), (4, 4));
    assert_eq!(switch.place_of(DomainId(1), THERE), Some(Place::Remote(VXLAN)), "what is written stays");
    assert!(switch.counters.port(A).unlearned > 10_000);
    assert_eq!(switch.drops(), []);
}

#[test]
fn a_place_has_a_limit_of_its_own() {
    let mut switch = Switch::new();
    switch.change(|parts| {
        parts.protection.limits.ports.insert(A, 8);
        parts.protection.limits.remotes.insert(VXLAN, 4);
    });
    for number in 0..16 {
        switch.receive_one(A, &opaque(source(1, number), THERE, 46));
        switch.receive_one(B, &opaque(source(2, number), THERE, 46));
        switch.receive_one(UP, &vxlan(&opaque(source(3, number), THERE, 46)));
    }
    let learned = |place| switch.parts.fdb.learned_at(place);
    let all = [Place::Port(A), Place::Port(B), Place::Remote(VXLAN)].map(learned);
    assert_eq!(all, [8, 16, 4]);
    // An address that is bound elsewhere is refused and counted, whatever the limits.
    switch.bind(DomainId(1), source(9, 9), Place::Port(B));
    switch.receive_one(A, &opaque(source(9, 9), THERE, 46));
    assert_eq!(switch.drops(), [(VxlanEntryExists, 1)]);
    assert_eq!(PEER, Ipv4Addr::new(192, 0, 2, 2));
}

proptest! {
    #[test]
    fn no_bytes_end_the_guard(
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
        kind in proptest::sample::select(vec![[8_u8, 0], [8, 6], [0x86, 0xdd], [0x81, 0]]),
        next_header in proptest::sample::select(vec![0_u8, 6, 17, 43, 44, 47, 51, 58, 60]),
        is_bound: bool,
    ) {
        let mut frame = [&THERE.0[..], &MINE.0, &kind, &bytes].concat();
        for (place, value) in [(14, if kind == [8, 0] { 0x45 } else { 0x60 }), (20, next_header), (23, next_header)] {
            if let Some(byte) = frame.get_mut(place) {
                *byte = value;
            }
        }
        let mut switch = guarded(if is_bound { bound() } else { Guard::default() });
        switch.receive_one(A, &frame);
        let built = ipv6([0xfd; 16], next_header, &bytes);
        switch.receive_one(A, &built);
    }
}
