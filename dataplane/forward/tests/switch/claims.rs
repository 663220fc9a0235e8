//! Bound protocol addresses: nobody else says to have one in a message that any receiver would take, however it is wrapped.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use forward::ids::{DomainId, PortId};
use forward::link::{Event, Place};
use forward::protection::{Binding, Guard};
use forward::verdict::DropReason::{self, Ipv6HeaderChain, SpoofedSource};
use wire::Mac;

use crate::fixture::*;
use crate::frames::*;

const DOMAIN: DomainId = DomainId(1);
/// Has [`IP9`] and [`SIX9`], bound to `A`; and somebody else, who is at `B` and far away.
const OWNER: Mac = W9;
const OTHER: Mac = Mac([2, 0, 0, 0, 7, 2]);
const ALL_NODES: (Ipv6Addr, Mac) =
    (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), Mac([0x33, 0x33, 0, 0, 0, 1]));

fn switch() -> Switch {
    let mut switch = Switch::new();
    let bound = Binding { mac: OWNER, addresses: vec![IP9.into(), SIX9.into()] };
    switch.change(|parts| {
        let claimed = bound.claimed().map(|address| (DOMAIN, address));
        parts.protection.claims.addresses.extend(claimed);
        parts.protection.guards.insert(A, Guard { bindings: vec![bound], ..Guard::default() });
    });
    switch.bind(DOMAIN, W1, Place::Port(SMALL));
    switch
}

/// What becomes of a frame in a switch of its own: the reason why it is dropped, or none. Nothing is believed that is.
fn verdict(ingress: PortId, frame: &[u8]) -> Option<DropReason> {
    let mut switch = switch();
    let is_told = |event: &Event| {
        let known: [IpAddr; 2] = [IP9.into(), SIX9.into()];
        matches!(event, Event::NeighbourSeen { address, .. } if known.contains(address))
    };
    let out = switch.receive_one(ingress, frame);
    assert_eq!(out.is_empty(), !switch.drops().is_empty());
    assert!(!switch.events().iter().any(is_told) || !out.is_empty(), "{frame:02x?}");
    switch.drops().first().map(|(reason, _)| *reason)
}

/// Both somebody else's port and a peer are refused.
fn refused(what: &str, frame: &[u8], reason: DropReason) {
    assert_eq!(verdict(B, frame), Some(reason), "{what}");
    assert_eq!(verdict(UP, &vxlan(frame)), Some(reason), "{what}");
}

/// Neither is.
fn admitted(what: &str, frame: &[u8]) {
    assert_eq!(verdict(B, frame), None, "{what}");
    assert_eq!(verdict(UP, &vxlan(frame)), None, "{what}");
}

fn arp_of(address: Ipv4Addr) -> Vec<u8> {
    arp(2, W1, (OTHER, address), (W1, IP1))
}

fn advertisement_of(address: Ipv6Addr) -> Vec<u8> {
    nd(136, (OTHER, W1), (SIX2, SIX1), (0x60, address), &link_layer(2, OTHER))
}

fn solicitation_from(address: Ipv6Addr) -> Vec<u8> {
    let (group, mac) = solicited_node(SIX1);
    nd(135, (OTHER, mac), (address, group), (0, SIX1), &link_layer(1, OTHER))
}

/// Both messages of neighbour discovery.
fn discovery_of(address: Ipv6Addr) -> [(&'static str, Vec<u8>); 2] {
    [("advertisement", advertisement_of(address)), ("solicitation", solicitation_from(address))]
}

/// The same and ARP.
fn messages(four: Ipv4Addr, six: Ipv6Addr) -> [(&'static str, Vec<u8>); 3] {
    let [advertisement, solicitation] = discovery_of(six);
    [("ARP", arp_of(four)), advertisement, solicitation]
}

/// The frame behind these tags.
fn behind(frame: &[u8], tags: &[u8]) -> Vec<u8> {
    [&frame[..12], tags, &frame[12..]].concat()
}

/// The IPv6 packet behind these extension headers, of which the first is of this kind and the last says that ICMPv6 follows.
fn extended(frame: &[u8], kind: u8, headers: &[u8]) -> Vec<u8> {
    edit(frame, |frame| {
        frame[19] += headers.len() as u8;
        frame[20] = kind;
        drop(frame.splice(54..54, headers.iter().copied()));
    })
}

#[test]
fn a_priority_tag_hides_nothing() {
    for (what, frame) in messages(IP9, SIX9) {
        for tags in [
            &[0x81, 0, 0, 0][..],
            &[0x81, 0, 0xf0, 0],
            &[0x88, 0xa8, 0, 0],
            &[0x81, 0, 0, 0, 0x81, 0, 0, 0],
            &[0x88, 0xa8, 0xe0, 0, 0x81, 0, 0, 0, 0x88, 0xa8, 0, 0, 0x81, 0, 0x10, 0],
        ] {
            refused(what, &behind(&frame, tags), SpoofedSource);
        }
        // Another VLAN is another network, which whoever receives it in this one is not in.
        for tags in [[0x81, 0, 0, 7], [0x88, 0xa8, 1, 0]] {
            admitted(what, &behind(&frame, &tags));
            admitted(what, &behind(&frame, &[&[0x81, 0, 0, 0], &tags[..]].concat()));
        }
    }
    for (what, frame) in messages(IP2, SIX2) {
        admitted(what, &behind(&frame, &[0x81, 0, 0, 0]));
    }
}

/// RFC 826 has receivers remember the sender before they look at what a message wants, and they differ in what they take for
/// Ethernet (Linux: 1 and 6), and for an address that a station can have.
#[test]
fn an_arp_message_is_judged_in_whatever_receivers_differ_in() {
    let changed = |address, at: usize, value: &[u8]| {
        edit(&arp_of(address), |frame| frame[at..][..value.len()].copy_from_slice(value))
    };
    for (what, at, value) in [
        ("IEEE 802", 15, &[6][..]),
        ("another hardware type", 14, &[0xff, 0xff]),
        ("a request", 21, &[1]),
        ("another operation", 21, &[9]),
        ("no sender", 22, &Mac::ZERO.0),
        ("a group as the sender", 22, &Mac::BROADCAST.0),
    ] {
        refused(what, &changed(IP9, at, value), SpoofedSource);
        admitted(what, &changed(IP2, at, value));
    }
    for (what, at, value) in
        [("other addresses", 18, 8), ("another protocol", 17, 1), ("longer ones", 19, 16)]
    {
        admitted(what, &changed(IP9, at, &[value]));
    }
    admitted("cut short", &arp_of(IP9)[..41]);
}

#[test]
fn extension_headers_hide_nothing() {
    let options = |next| [next, 0, 1, 4, 0, 0, 0, 0];
    for (what, frame) in discovery_of(SIX9) {
        for (kind, headers) in [
            (60, options(58).to_vec()),
            (0, options(58).to_vec()),
            (0, [options(60), options(58)].concat()),
            (43, vec![58, 0, 4, 0, 0, 0, 0, 0]),
            (44, vec![58, 0, 0, 0, 0, 0, 0, 1]),
            (60, [&options(60).repeat(7)[..], &options(58)].concat()),
        ] {
            refused(what, &extended(&frame, kind, &headers), SpoofedSource);
            refused(what, &behind(&extended(&frame, kind, &headers), &[0x81, 0, 0, 0]), SpoofedSource);
        }
    }
    for (what, frame) in discovery_of(SIX2) {
        admitted(what, &extended(&frame, 60, &options(58)));
    }
}

/// Where nobody can tell what is behind its headers, a packet is refused; where nothing is bound it passes.
#[test]
fn what_cannot_be_read_is_refused_where_addresses_are_bound() {
    let options = |next| [next, 0, 1, 4, 0, 0, 0, 0];
    let frame = advertisement_of(SIX2);
    // Linux takes a packet without a length to the end of the frame if options come first.
    let endless = edit(&extended(&frame, 0, &options(58)), |frame| frame[18..20].fill(0));
    let many = extended(&frame, 60, &[&options(60).repeat(9)[..], &options(58)].concat());
    let first_piece = extended(&frame, 44, &[58, 0, 0, 1, 0, 0, 0, 1]);
    let cut_piece = edit(&extended(&frame, 44, &[60, 0, 0, 1, 0, 0, 0, 1]), |frame| {
        (frame[19], frame[63]) = (16, 9);
        frame.truncate(54 + 16);
    });
    for (what, frame) in
        [("endless", endless), ("many headers", many), ("a piece", first_piece), ("its chain cut", cut_piece)]
    {
        assert_eq!(verdict(B, &frame), Some(Ipv6HeaderChain), "{what}");
        assert_eq!(verdict(UP, &vxlan(&frame)), Some(Ipv6HeaderChain), "{what}");
        let mut unbound = Switch::new();
        assert!(!unbound.receive_one(UP, &vxlan(&frame)).is_empty(), "{what}");
    }
    // A later piece is nothing without the first, and other protocols' pieces are no concern of it.
    admitted("a later piece", &extended(&frame, 44, &[58, 0, 1, 1, 0, 0, 0, 1]));
    let udp_piece = edit(&extended(&frame, 44, &[17, 0, 0, 1, 0, 0, 0, 1]), |frame| frame[64] = 1);
    admitted("a piece of UDP", &udp_piece);
}

/// All of router and neighbour discovery gives link-layer addresses, and an advertisement also denies somebody to be a router.
#[test]
fn every_message_of_discovery_is_judged() {
    let message = |kind: u8, source, target, options: &[u8]| {
        nd(kind, (OTHER, ALL_NODES.1), (source, ALL_NODES.0), (0, target), options)
    };
    let option = |kind| link_layer(kind, OTHER);
    for (what, of) in [
        (
            "router solicitation",
            &(|address| message(133, address, SIX2, &option(1))) as &dyn Fn(Ipv6Addr) -> Vec<u8>,
        ),
        ("router advertisement", &|address| message(134, address, SIX2, &option(1))),
        ("solicitation without option", &|address| message(135, address, SIX1, &[])),
        ("advertisement without option", &|address| message(136, SIX2, address, &[])),
        ("advertisement with two", &|address| message(136, SIX2, address, &[option(2), option(2)].concat())),
        ("of no station", &|address| message(136, SIX2, address, &link_layer(2, Mac::BROADCAST))),
        ("solicited by everybody", &|address| {
            edit(&message(136, SIX2, address, &option(2)), |frame| frame[58] = 0x60)
        }),
        ("redirect", &|address| message(137, SIX2, address, &[&SIX1.octets()[..], &option(2)].concat())),
        // A device may have vouched for a checksum that nobody has verified.
        ("wrong checksum", &|address| edit(&advertisement_of(address), |frame| frame[56] ^= 1)),
        ("from beyond a router", &|address| edit(&advertisement_of(address), |frame| frame[21] = 64)),
    ] {
        assert_eq!(verdict(UP, &vxlan(&of(SIX9))), Some(SpoofedSource), "{what}");
        assert_eq!(verdict(UP, &vxlan(&of(SIX2))), None, "{what}");
    }
    // Who asks for it from elsewhere says nothing of it.
    let (group, mac) = solicited_node(SIX9);
    admitted("asked for", &nd(135, (OTHER, mac), (SIX2, group), (0, SIX9), &option(1)));
    admitted("echo", &nd(128, (OTHER, W1), (SIX9, SIX1), (0, SIX9), &[]));
}

/// Nobody else is about to take it: the owner would hear of it and not dare to (RFC 4862 section 5.4.3, RFC 5227 section
/// 2.1.1). He may be, and another address may be anybody's.
#[test]
fn probes_are_judged_by_what_they_are_for() {
    let probe = |from, address| {
        let (group, mac) = solicited_node(address);
        nd(135, (from, mac), (Ipv6Addr::UNSPECIFIED, group), (0, address), &[])
    };
    let arp_probe =
        |from, address| arp(1, Mac::BROADCAST, (from, Ipv4Addr::UNSPECIFIED), (Mac::ZERO, address));
    let of_arp =
        |from, address| edit(&arp_probe(from, address), |frame| frame[6..12].copy_from_slice(&from.0));
    refused("probe", &probe(OTHER, SIX9), SpoofedSource);
    refused("ARP probe", &of_arp(OTHER, IP9), SpoofedSource);
    admitted("probe for another", &probe(OTHER, SIX2));
    admitted("ARP probe for another", &of_arp(OTHER, IP2));
    assert_eq!(verdict(A, &probe(OWNER, SIX9)), None);
    assert_eq!(verdict(A, &of_arp(OWNER, IP9)), None);
    assert_eq!(verdict(A, &probe(OWNER, SIX2)), Some(SpoofedSource), "the owner takes nobody else's");
    assert_eq!(verdict(A, &of_arp(OWNER, IP2)), Some(SpoofedSource));
}

/// Its own port says so as it likes.
#[test]
fn the_owner_is_believed() {
    let from_owner = |frame: Vec<u8>| edit(&frame, |frame| frame[6..12].copy_from_slice(&OWNER.0));
    let arp = from_owner(arp(1, Mac::BROADCAST, (OWNER, IP9), (Mac::ZERO, IP1)));
    let told = nd(136, (OWNER, W1), (SIX9, SIX1), (0x60, SIX9), &link_layer(2, OWNER));
    for frame in [arp, told] {
        assert_eq!(verdict(A, &frame), None);
        assert_eq!(verdict(A, &behind(&frame, &[0x81, 0, 0xa0, 0])), None);
    }
}
