//! The neighbour discovery proxy: which messages it answers, with what, and what it teaches control.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use forward::fdb::Kind;
use forward::ids::{DomainId, PortId};
use forward::link::{Event, Place};
use forward::tables::{Neighbour, NeighbourFlags};
use wire::Mac;

use crate::fixture::*;
use crate::frames::*;

const DOMAIN: DomainId = DomainId(1);
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe);
const ANYCAST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x10, 0xaa);
const NOWHERE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x10, 8);
const HOST: NeighbourFlags = NeighbourFlags { is_router: false, overrides: true };

/// W9 far away, with a host's, a router's and an anycast address; W2 at port B; all known.
fn switch() -> Switch {
    let mut switch = Switch::new();
    let of = |mac, is_router, overrides| Neighbour {
        mac,
        flags: NeighbourFlags { is_router, overrides },
        fixed: false,
    };
    let neighbours = [
        (SIX9, of(W9, false, true)),
        (ROUTER, of(W9, true, true)),
        (ANYCAST, of(W9, false, false)),
        (SIX2, Neighbour { fixed: true, ..of(W2, false, true) }),
        (SIX1, of(W1, false, true)),
        (NOWHERE, of(Mac([2, 9, 9, 9, 9, 9]), false, true)),
    ];
    let rows = neighbours.map(|(address, neighbour)| (DOMAIN, IpAddr::V6(address), neighbour));
    switch.change(|parts| parts.neighbours = Arc::new(rows.into_iter().collect()));
    switch.enter(DOMAIN, W9, Place::Remote(VXLAN), Kind::Dynamic);
    switch.bind(DOMAIN, W2, Place::Port(B));
    switch
}

/// W1 with SIX1 asks for an address.
fn solicitation(target: Ipv6Addr) -> Vec<u8> {
    solicitation_with(target, &link_layer(1, W1))
}

fn solicitation_with(target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    let (group, mac) = solicited_node(target);
    nd(135, (W1, mac), (SIX1, group), (0, target), options)
}

/// W9 with SIX9, or somebody else with another address, tells W1.
fn advertisement(mac: Mac, target: Ipv6Addr, flags: u8) -> Vec<u8> {
    nd(136, (mac, W1), (target, SIX1), (flags, target), &link_layer(2, mac))
}

#[test]
fn a_known_target_is_answered_with_its_flags_and_nothing_else_leaves() {
    let mut switch = switch();
    for (target, mac, flags) in [(SIX9, W9, 0x60), (SIX2, W2, 0x60), (ROUTER, W9, 0xe0), (ANYCAST, W9, 0x40)]
    {
        let out = switch.receive_one(A, &solicitation(target));
        let answer = nd(136, (mac, W1), (target, SIX1), (flags, target), &link_layer(2, mac));
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].port, &out[0].bytes), (A, &answer), "{target}");
    }
    assert_eq!(switch.counters.port(A).proxied, 4);
    assert_eq!(switch.place_of(DOMAIN, W1), Some(Place::Port(A)), "the asker is learned");
    // Further options and what follows the packet are no part of the answer.
    let nonce = [&link_layer(1, W1)[..], &[14, 1, 1, 2, 3, 4, 5, 6]].concat();
    let padded = edit(&solicitation_with(SIX9, &nonce), |frame| frame.extend([0; 9]));
    assert_eq!(switch.receive_one(A, &padded)[0].bytes.len(), 86);
    // The priority of the question is that of the answer.
    let out = switch.receive_one(A, &with_tag(&padded, 0xa000));
    assert_eq!(
        (out.len(), out[0].bytes.len(), &out[0].bytes[12..18]),
        (1, 90, &[0x81, 0, 0xa0, 0, 0x86, 0xdd][..])
    );
    // The target's peer may be unreachable; an answer is due all the same.
    switch.enter(DOMAIN, W9, Place::Remote(UNRESOLVED), Kind::Dynamic);
    assert_eq!(switch.receive_one(A, &solicitation(SIX9)).len(), 1);
}

#[test]
fn what_is_not_ours_to_answer_passes() {
    let (group, mac) = solicited_node(SIX9);
    let option = link_layer(1, W1);
    let all_nodes = (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), Mac([0x33, 0x33, 0, 0, 0, 1]));
    let asks = |ethernet, ip| nd(135, ethernet, ip, (0, SIX9), &option);
    let routed = with_icmp6_checksum(edit(&solicitation(SIX9), |frame| frame[21] = 254));
    let zero_option = with_icmp6_checksum(edit(&solicitation(SIX9), |frame| frame[79] = 0));
    let long_option = with_icmp6_checksum(edit(&solicitation(SIX9), |frame| frame[79] = 2));
    let behind_options = edit(&solicitation(SIX9), |frame| {
        frame[19] += 8;
        frame[20] = 0;
        frame.splice(54..54, [58, 0, 1, 4, 0, 0, 0, 0]);
    });
    let flooded = 4;
    let cases = [
        ("unknown target", solicitation(Ipv6Addr::LOCALHOST), flooded),
        (
            "duplicate address detection",
            nd(135, (W1, mac), (Ipv6Addr::UNSPECIFIED, group), (0, SIX9), &[]),
            flooded,
        ),
        ("the same with a sender's option", asks((W1, mac), (Ipv6Addr::UNSPECIFIED, group)), flooded),
        ("the asker's own address", nd(135, (W1, mac), (SIX9, group), (0, SIX9), &option), flooded),
        ("unicast", asks((W1, W9), (SIX1, SIX9)), 1),
        ("unicast to the group's address", asks((W1, W9), (SIX1, group)), 1),
        ("multicast to the target itself", asks((W1, mac), (SIX1, SIX9)), flooded),
        ("another group", asks((W1, all_nodes.1), (SIX1, all_nodes.0)), flooded),
        ("no sender's option", solicitation_with(SIX9, &[]), flooded),
        ("a target's option", solicitation_with(SIX9, &link_layer(2, W1)), flooded),
        ("a sender that is a group", solicitation_with(SIX9, &link_layer(1, mac)), flooded),
        ("the target itself as the sender", solicitation_with(SIX9, &link_layer(1, W9)), flooded),
        ("from beyond a router", routed, flooded),
        ("wrong checksum", edit(&solicitation(SIX9), |frame| frame[56] ^= 1), flooded),
        ("code", with_icmp6_checksum(edit(&solicitation(SIX9), |frame| frame[55] = 1)), flooded),
        ("an option without length", zero_option, flooded),
        ("an option beyond the end", long_option, flooded),
        ("cut short", solicitation(SIX9)[..80].to_vec(), flooded),
        ("behind extension headers", behind_options, flooded),
        ("advertisement", nd(136, (W1, W9), (SIX1, SIX9), (0x60, SIX1), &link_layer(2, W1)), 1),
        (
            "unsolicited advertisement",
            nd(136, (W1, all_nodes.1), (SIX1, all_nodes.0), (0x20, SIX1), &link_layer(2, W1)),
            flooded,
        ),
        (
            "in a VLAN",
            edit(&solicitation(SIX9), |frame| drop(frame.splice(12..12, [0x81, 0, 0, 1]))),
            flooded,
        ),
    ];
    for (name, frame, receivers) in cases {
        let mut switch = switch();
        let out = switch.receive_one(A, &frame);
        assert_eq!(out.len(), receivers, "{name}");
        assert!(out.iter().all(|out| out.port != A), "{name}");
        assert_eq!(switch.sum().proxied, 0, "{name}");
    }
}

#[test]
fn no_answer_without_all_that_it_takes() {
    let receivers = |switch: &mut Switch, ingress: PortId, frame: &[u8]| -> Vec<PortId> {
        switch.receive_one(ingress, frame).iter().map(|out| out.port).collect()
    };
    // The neighbour is known, its place is not: it may have moved anywhere.
    let mut switch = switch();
    assert_eq!(receivers(&mut switch, A, &solicitation(NOWHERE)).len(), 4);
    // Behind the same port: it hears the question itself.
    switch.enter(DOMAIN, W9, Place::Port(A), Kind::Dynamic);
    assert_eq!(receivers(&mut switch, A, &solicitation(SIX9)).len(), 4);
    // From the overlay: the sender's own VTEP answers.
    let mut switch = self::switch();
    assert_eq!(receivers(&mut switch, UP, &vxlan(&solicitation(SIX2))), [A, B, SMALL]);
    // Another domain's neighbour.
    assert_eq!(receivers(&mut switch, C, &solicitation(SIX9)), [UP]);
    // Each proxy has a switch of its own.
    switch.change(|parts| parts.domains[0].nd_proxy = false);
    assert_eq!(receivers(&mut switch, A, &solicitation(SIX9)).len(), 4);
    switch.change(|parts| (parts.domains[0].nd_proxy, parts.domains[0].arp_proxy) = (true, false));
    assert_eq!(receivers(&mut switch, A, &solicitation(SIX9)), [A]);
    // From somebody who is not where his address belongs.
    switch.bind(DOMAIN, W1, Place::Port(B));
    assert_eq!(receivers(&mut switch, A, &solicitation(SIX9)), []);
    assert_eq!(switch.sum().proxied, 1);
}

#[test]
fn neighbours_are_learned_from_advertisements() {
    let mut switch = switch();
    let other = Mac([2, 0, 0, 1, 0, 7]);
    let seen = |address, mac, is_router, overrides, place| Event::NeighbourSeen {
        domain: DOMAIN,
        address: IpAddr::V6(address),
        mac,
        flags: NeighbourFlags { is_router, overrides },
        place,
    };
    let new = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x10, 0x50);
    let far = Place::Remote(VXLAN);
    // Whether somebody is a router is in an advertisement, never in a solicitation.
    switch.receive_one(UP, &vxlan(&nd(135, (other, W2), (new, SIX2), (0, SIX2), &link_layer(1, other))));
    assert_eq!(switch.events(), []);
    for (flags, is_router, overrides) in [(0x60, false, true), (0xe0, true, true), (0x40, false, false)] {
        switch.receive_one(UP, &vxlan(&advertisement(other, new, flags)));
        assert_eq!(switch.events(), [seen(new, other, is_router, overrides, far)]);
    }
    // A neighbour that is known and comes with another address, or with other flags.
    switch.receive_one(UP, &vxlan(&advertisement(other, SIX9, 0x60)));
    assert_eq!(switch.events(), [seen(SIX9, other, false, true, far)]);
    switch.receive_one(UP, &vxlan(&nd(135, (other, W1), (ROUTER, SIX1), (0, SIX1), &link_layer(1, other))));
    assert_eq!(switch.events(), [seen(ROUTER, other, true, true, far)], "what is known of it stays");
    switch.receive_one(UP, &vxlan(&advertisement(W9, SIX9, 0xe0)));
    assert_eq!(switch.events(), [seen(SIX9, W9, true, true, far)]);
    // Who does not override takes nothing over (RFC 4861 section 7.2.5); what is fixed nobody changes.
    switch.receive_one(UP, &vxlan(&advertisement(other, SIX9, 0x40)));
    switch.receive_one(UP, &vxlan(&advertisement(other, SIX2, 0x60)));
    // Not an address that a station can have, no address at all, not for everybody, not from this link.
    let all_nodes = (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), Mac([0x33, 0x33, 0, 0, 0, 1]));
    let to_all = |flags| nd(136, (W9, all_nodes.1), (new, all_nodes.0), (flags, new), &link_layer(2, W9));
    let refused = [
        nd(136, (W9, W1), (new, SIX1), (0x60, new), &link_layer(2, Mac::ZERO)),
        nd(136, (W9, W1), (new, SIX1), (0x60, Ipv6Addr::UNSPECIFIED), &link_layer(2, W9)),
        nd(136, (W9, W1), (new, SIX1), (0x60, new), &[]),
        nd(136, (W9, W1), (new, SIX1), (0x60, new), &link_layer(1, W9)),
        to_all(0x60),
        edit(&advertisement(W9, new, 0x60), |frame| frame[21] = 64),
    ];
    for frame in refused {
        switch.receive_one(UP, &vxlan(&frame));
        assert_eq!(switch.events(), []);
    }
    // An unsolicited one passes and is told, once a second.
    for _ in 0..3 {
        assert_eq!(switch.receive_one(UP, &vxlan(&to_all(0x20))).len(), 3);
    }
    assert_eq!(switch.events(), [seen(new, W9, false, true, far)]);
    // What is known is told again as often as keeps it from ageing.
    switch.now.nanoseconds = 3_000_000_000_000;
    for _ in 0..3 {
        switch.receive_one(A, &solicitation(SIX9));
        switch.now.nanoseconds += 1_000_000_000;
    }
    let of_w1 = Event::NeighbourSeen {
        domain: DOMAIN,
        address: SIX1.into(),
        mac: W1,
        flags: HOST,
        place: Place::Port(A),
    };
    assert_eq!(switch.events(), [of_w1]);
}
