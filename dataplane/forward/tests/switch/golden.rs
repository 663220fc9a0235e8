//! The golden table: a frame in, at a port, with these entries; the frames out, read by an independent parser, and the
//! drops.

use std::net::{IpAddr, Ipv4Addr};

use forward::ids::{DomainId, PortId};
use forward::link::{Event, Place};
use forward::verdict::DropReason;
use wire::Mac;

use crate::fixture::*;
use crate::frames::*;

/// What leaves: the inner frame as it is, or wrapped for a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
enum To {
    Port(PortId),
    Vxlan(PortId, IpAddr),
    Gre(PortId, Option<u32>),
}

struct Case {
    name: &'static str,
    ingress: PortId,
    frame: Vec<u8>,
    /// Static entries: domain, address, place.
    entries: Vec<(u16, Mac, Place)>,
    /// Receivers in order, and the frame that each gets, unwrapped.
    out: Vec<To>,
    inner: Vec<u8>,
    drops: Vec<(DropReason, u64)>,
}

/// A frame that comes out as it went in.
fn case(name: &'static str, ingress: PortId, frame: Vec<u8>, out: &[To]) -> Case {
    let inner = frame.clone();
    Case { name, ingress, frame, entries: Vec::new(), out: out.to_vec(), inner, drops: Vec::new() }
}

/// A frame from the overlay that comes out as `inner`.
fn from_overlay(name: &'static str, frame: Vec<u8>, inner: Vec<u8>, out: &[To]) -> Case {
    Case { inner, ..case(name, UP, frame, out) }
}

fn dropped(name: &'static str, ingress: PortId, frame: Vec<u8>, reason: DropReason) -> Case {
    Case { drops: vec![(reason, 1)], ..case(name, ingress, frame, &[]) }
}

impl Case {
    fn given(mut self, domain: u16, mac: Mac, place: Place) -> Self {
        self.entries.push((domain, mac, place));
        self
    }

    fn check(self) {
        let mut switch = Switch::new();
        for (domain, mac, place) in &self.entries {
            switch.bind(DomainId(*domain), *mac, *place);
        }
        let out = switch.receive_one(self.ingress, &self.frame);
        let mut found = Vec::new();
        for frame in &out {
            let (to, inner) = if [UP, UP2].contains(&frame.port) {
                let tunnelled = unwrap(&frame.bytes);
                let to = match tunnelled.wrapping {
                    Wrapping::Vxlan { vni, port, .. } => {
                        assert_eq!((vni, port), (100, 4789), "{}", self.name);
                        assert_eq!(tunnelled.checksum, 0, "{}", self.name);
                        To::Vxlan(frame.port, tunnelled.peer)
                    }
                    Wrapping::Gre { key } => {
                        assert_eq!(tunnelled.peer, PEER, "{}", self.name);
                        To::Gre(frame.port, key)
                    }
                };
                (to, tunnelled.inner)
            } else {
                (To::Port(frame.port), frame.bytes.clone())
            };
            assert_eq!(inner, self.inner, "{}", self.name);
            found.push(to);
        }
        assert_eq!(found, self.out, "{}", self.name);
        assert_eq!(switch.drops(), self.drops, "{}", self.name);
    }
}

const EVERYBODY_BUT_A: [To; 4] =
    [To::Port(B), To::Port(SMALL), To::Vxlan(UP, IpAddr::V4(PEER)), To::Vxlan(UP2, IpAddr::V4(PEER2))];
const MULTICAST: Mac = Mac([1, 0, 0x5e, 0, 0, 1]);

#[test]
fn access_ingress() {
    let at_b = Place::Port(B);
    let at = Place::Remote;
    for case in [
        case("unknown unicast floods", A, udp(W1, W9, 60), &EVERYBODY_BUT_A),
        case("broadcast floods", A, opaque(W1, Mac::BROADCAST, 60), &EVERYBODY_BUT_A),
        case("multicast floods", A, opaque(W1, MULTICAST, 60), &EVERYBODY_BUT_A),
        case("known unicast to a port", A, udp(W1, W2, 60), &[To::Port(B)]).given(1, W2, at_b),
        case("known unicast to a remote", A, udp(W1, W9, 60), &[To::Vxlan(UP2, PEER2.into())]).given(
            1,
            W9,
            at(VXLAN2),
        ),
        case("GRE with a key", C, udp(W1, W9, 60), &[To::Gre(UP, Some(200))]).given(2, W9, at(GRE_KEY)),
        case("GRE without a key", D, udp(W1, W9, 60), &[To::Gre(UP, None)]).given(3, W9, at(GRE)),
        case("a domain floods to its own members only", C, udp(W1, W9, 60), &[To::Gre(UP, Some(200))]),
        case("an entry of another domain is none", C, udp(W1, W2, 60), &[To::Gre(UP, Some(200))])
            .given(1, W2, at_b),
        case("inner VLAN tag is carried", A, tagged(W1, W9, 60), &[To::Vxlan(UP, PEER.into())]).given(
            1,
            W9,
            at(VXLAN),
        ),
        case("IPv6", A, tcp6(W1, W2, b"payload"), &[To::Port(B)]).given(1, W2, at_b),
        case("no IP", A, opaque(W1, W9, 46), &[To::Vxlan(UP, PEER.into())]).given(1, W9, at(VXLAN)),
        case("shortest frame", A, opaque(W1, W9, 0), &[To::Vxlan(UP, PEER.into())]).given(1, W9, at(VXLAN)),
        case("spanning tree floods", A, opaque(W1, Mac([1, 0x80, 0xc2, 0, 0, 0]), 46), &EVERYBODY_BUT_A),
    ] {
        case.check();
    }
}

#[test]
fn access_ingress_refused() {
    let [at_b, at_a] = [B, A].map(Place::Port);
    let at = Place::Remote;
    for case in [
        dropped("to its own port", A, udp(W1, W2, 60), DropReason::SameIngress).given(1, W2, at_a),
        dropped("LLDP", A, opaque(W1, Mac([1, 0x80, 0xc2, 0, 0, 0x0e]), 46), DropReason::LinkLocal),
        dropped("13 bytes", A, opaque(W1, W9, 0)[..13].to_vec(), DropReason::FrameTooShort),
        dropped("empty", A, Vec::new(), DropReason::FrameTooShort),
        dropped("cut in its tag", A, tagged(W1, W9, 60)[..16].to_vec(), DropReason::FrameTooShort),
        dropped("multicast source", A, udp(MULTICAST, W9, 60), DropReason::MacInvalidSource),
        dropped("zero source", A, udp(Mac::ZERO, W9, 60), DropReason::MacInvalidSource),
        dropped("our own source", A, udp(UPLINK_MAC, W9, 60), DropReason::MacInvalidSource),
        dropped("source bound to a port", A, udp(W1, W9, 60), DropReason::VxlanEntryExists)
            .given(1, W1, at_b),
        dropped("source bound to a remote", A, udp(W1, W9, 60), DropReason::VxlanEntryExists).given(
            1,
            W1,
            at(VXLAN),
        ),
        dropped("unresolved next hop", A, udp(W1, W9, 60), DropReason::NeighbourUnresolved).given(
            1,
            W9,
            at(UNRESOLVED),
        ),
        dropped("no route", A, udp(W1, W9, 60), DropReason::NoRoute).given(1, W9, at(ROUTELESS)),
        dropped("an entry that outlived its port", A, udp(W1, W9, 60), DropReason::PortUnknown).given(
            1,
            W9,
            Place::Port(PortId(77)),
        ),
        dropped("an entry to another domain's port", A, udp(W1, W9, 60), DropReason::PortUnknown).given(
            1,
            W9,
            Place::Port(C),
        ),
        dropped("an entry to another domain's remote", A, udp(W1, W9, 60), DropReason::PortUnknown).given(
            1,
            W9,
            at(GRE),
        ),
        dropped("an entry to an uplink", A, udp(W1, W9, 60), DropReason::PortUnknown).given(
            1,
            W9,
            Place::Port(UP),
        ),
        dropped("a port that is not in the tables", PortId(999), udp(W1, W9, 60), DropReason::PortUnknown),
    ] {
        case.check();
    }
}

#[test]
fn uplink_ingress() {
    let at = Place::Remote;
    let inner = udp(W9, W1, 60);
    let ports = [To::Port(A), To::Port(B), To::Port(SMALL)];
    let broadcast = opaque(W9, Mac::BROADCAST, 46);
    for case in [
        from_overlay("unknown unicast goes to ports only", vxlan(&inner), inner.clone(), &ports),
        from_overlay("broadcast goes to ports only", vxlan(&broadcast), broadcast, &ports),
        from_overlay("known unicast", vxlan(&inner), inner.clone(), &[To::Port(A)]).given(
            1,
            W1,
            Place::Port(A),
        ),
        from_overlay("GRE with a key", gre(Some(200), &inner), inner.clone(), &[To::Port(C)]),
        from_overlay("GRE without a key", gre(None, &inner), inner.clone(), &[To::Port(D)]),
        dropped("known in the overlay", UP, vxlan(&inner), DropReason::SplitHorizon).given(1, W1, at(VXLAN2)),
        dropped("known at its sender", UP, vxlan(&inner), DropReason::SplitHorizon).given(1, W1, at(VXLAN)),
        dropped("inner source bound elsewhere", UP, vxlan(&inner), DropReason::VxlanEntryExists).given(
            1,
            W9,
            Place::Port(B),
        ),
        dropped("inner source bound to another peer", UP, vxlan(&inner), DropReason::VxlanEntryExists).given(
            1,
            W9,
            at(VXLAN2),
        ),
        dropped("inner multicast source", UP, vxlan(&udp(MULTICAST, W1, 60)), DropReason::MacInvalidSource),
        dropped("inner frame of 13 bytes", UP, vxlan(&inner[..13]), DropReason::FrameTooShort),
        dropped("LACP", UP, vxlan(&opaque(W9, Mac([1, 0x80, 0xc2, 0, 0, 2]), 46)), DropReason::LinkLocal),
    ] {
        case.check();
    }
}

#[test]
fn a_domain_without_members_floods_to_nobody() {
    let mut switch = Switch::new();
    switch.change(|parts| {
        parts.domains[1].remotes.clear();
        parts.domains[3].ports = vec![PortId(20)];
        parts.ports.push(port(PortId(20), forward::tables::Role::Access(DomainId(4)), 1500));
    });
    assert_eq!(switch.receive_one(C, &udp(W1, W9, 60)), []);
    assert_eq!(switch.receive_one(PortId(20), &udp(W1, W9, 60)), []);
    assert_eq!(switch.drops(), [(DropReason::NoRemote, 2)]);
}

#[test]
fn packets_up_to_the_mtu_leave_and_larger_ones_do_not() {
    // Inner frame of 14 + 20 + 8 + payload bytes; VXLAN adds 50 - 14, GRE with a key 42 - 14, GRE 38 - 14.
    let at = Place::Remote;
    for (ingress, domain, remote, largest) in
        [(A, 1, VXLAN, 1500 - 36 - 42), (C, 2, GRE_KEY, 1500 - 28 - 42), (D, 3, GRE, 1500 - 24 - 42)]
    {
        let mut switch = Switch::new();
        switch.bind(DomainId(domain), W9, at(remote));
        assert_eq!(switch.receive_one(ingress, &udp(W1, W9, largest)).len(), 1);
        // What carries no IP can neither be cut nor answered.
        assert_eq!(switch.receive_one(ingress, &opaque(W1, W9, 28 + largest)).len(), 1);
        assert_eq!(switch.receive_one(ingress, &opaque(W1, W9, 28 + largest + 1)), []);
        assert_eq!(switch.drops(), [(DropReason::PacketTooBig, 1)]);
    }
    // A port's MTU bounds the packet, VLAN tags and Ethernet header excluded.
    let mut switch = Switch::new();
    switch.bind(DomainId(1), W2, Place::Port(SMALL));
    assert_eq!(switch.receive_one(A, &udp(W1, W2, 576 - 28)).len(), 1);
    assert_eq!(switch.receive_one(A, &tagged(W1, W2, 576 - 28)).len(), 1);
    assert_eq!(switch.receive_one(UP, &vxlan(&udp(W9, W2, 576 - 28))).len(), 1);
    assert_eq!(switch.receive_one(A, &udp(W1, W2, 576 - 27)), []);
    assert_eq!(switch.receive_one(UP, &vxlan(&udp(W9, W2, 576 - 27))), []);
    assert_eq!(switch.drops(), [(DropReason::PacketTooBig, 2)]);
}

#[test]
fn flooding_counts_each_receiver() {
    let mut switch = Switch::new();
    // Too big for SMALL and, wrapped, for both uplinks.
    let out = switch.receive_one(A, &opaque(W1, W9, 1478));
    assert_eq!(out.iter().map(|out| out.port).collect::<Vec<_>>(), [B]);
    assert_eq!(switch.counters.port(A).copies, 3);
    assert_eq!(switch.drops(), [(DropReason::PacketTooBig, 3)]);
    // The last of the list goes missing: the frame itself goes to the one before.
    switch.change(|parts| {
        parts.domains[0].remotes = vec![VXLAN, UNRESOLVED, ROUTELESS];
    });
    let out = switch.receive_one(A, &udp(W1, W9, 60));
    assert_eq!(out.iter().map(|out| out.port).collect::<Vec<_>>(), [B, SMALL, UP]);
    let drops =
        [(DropReason::NoRoute, 1), (DropReason::NeighbourUnresolved, 1), (DropReason::PacketTooBig, 3)];
    assert_eq!(switch.drops(), drops);
    // Nobody can be reached.
    switch.change(|parts| {
        parts.domains[1].remotes = vec![];
        parts.remotes[2].path = forward::tables::Path::NoRoute;
        parts.domains[1].remotes.push(GRE_KEY);
    });
    assert_eq!(switch.receive_one(C, &udp(W1, W9, 60)), []);
    assert_eq!(switch.counters.port(C).drops_for(DropReason::NoRoute), 1);
}

#[test]
fn no_chunk_for_a_copy_is_counted_and_the_frame_still_leaves() {
    let topology = Switch::new().parts;
    let mut switch = Switch::with_link(topology, 2, 2048);
    let out = switch.receive_one(A, &udp(W1, W9, 60));
    // One copy, and the frame itself to the last receiver.
    assert_eq!(out.iter().map(|out| out.port).collect::<Vec<_>>(), [B, UP2]);
    assert_eq!(switch.drops(), [(DropReason::NoChunk, 2)]);
    assert_eq!(switch.counters.port(A).copies, 3);
}

#[test]
fn no_headroom_is_counted() {
    let topology = Switch::new().parts;
    // 32 bytes of headroom: less than any outer header.
    let mut switch = Switch::with_link(topology, 8, 128);
    switch.bind(DomainId(1), W9, Place::Remote(VXLAN));
    assert_eq!(switch.receive_one(A, &udp(W1, W9, 20)), []);
    assert_eq!(switch.drops(), [(DropReason::Headroom, 1)]);
}

#[test]
fn a_full_ring_is_counted_at_the_egress_port() {
    let mut switch = Switch::new();
    switch.link.set_ring_size(2);
    switch.bind(DomainId(1), W2, Place::Port(B));
    let frames = vec![udp(W1, W2, 60); 5];
    assert_eq!(switch.receive(A, &frames).len(), 2);
    assert_eq!(switch.counters.port(B).drops_for(DropReason::TxRingFull), 3);
    assert_eq!(switch.counters.port(A).dropped(), 0);
}

#[test]
fn sources_are_learned_and_moves_are_told() {
    let mut switch = Switch::new();
    let domain = DomainId(1);
    switch.receive_one(A, &udp(W1, W9, 60));
    assert_eq!(switch.place_of(domain, W1), Some(Place::Port(A)));
    assert_eq!(switch.receive_one(UP, &vxlan(&udp(W9, W1, 60))).len(), 1, "the answer does not flood");
    assert_eq!(switch.place_of(domain, W9), Some(Place::Remote(VXLAN)));
    assert_eq!(switch.place_of(DomainId(2), W9), None);
    assert_eq!(switch.events(), []);

    switch.receive_one(B, &udp(W1, W9, 60));
    assert_eq!(switch.place_of(domain, W1), Some(Place::Port(B)));
    let moved = Event::Moved { domain, mac: W1, from: Place::Port(A), to: Place::Port(B) };
    assert_eq!(switch.events(), [moved]);
    // A frame of the same batch already goes where the one before came from.
    let frames = [vxlan_from(PEER2, 100, &udp(W1, W2, 60)), vxlan_from(PEER2, 100, &udp(W2, W1, 60))];
    switch.receive(UP, &frames);
    assert_eq!(switch.drops(), [(DropReason::SplitHorizon, 1)]);
}

#[test]
fn what_is_refused_teaches_nothing() {
    let mut switch = Switch::new();
    switch.receive_one(UP, &vxlan_from(Ipv4Addr::new(192, 0, 2, 99), 100, &udp(W9, W1, 60)));
    switch.receive_one(A, &udp(UPLINK_MAC, W9, 60));
    assert_eq!(switch.place_of(DomainId(1), W9), None);
    assert_eq!(switch.place_of(DomainId(1), UPLINK_MAC), None);

    switch.change(|parts| parts.domains[0].learning = false);
    assert_eq!(switch.receive_one(A, &udp(W1, W9, 60)).len(), 4);
    assert_eq!(switch.place_of(DomainId(1), W1), None);
}

#[test]
fn unresolved_remotes_are_told_once_a_second() {
    let mut switch = Switch::new();
    switch.bind(DomainId(1), W9, Place::Remote(UNRESOLVED));
    let event = Event::Unresolved { remote: UNRESOLVED };
    switch.receive(A, &vec![udp(W1, W9, 60); 100]);
    assert_eq!(switch.events(), [event]);
    assert_eq!(switch.drops(), [(DropReason::NeighbourUnresolved, 100)]);
    switch.now.nanoseconds += 1_000_000_000;
    switch.receive(A, &vec![udp(W1, W9, 60); 100]);
    assert_eq!(switch.events(), [event]);
}

#[test]
fn offloaded_checksums_are_completed() {
    let frames = [
        udp(W1, W2, 61),
        udp(W1, W2, 0),
        tcp(W1, W2, &[0xa5; 1400]),
        tcp(W1, W2, b"odd"),
        tcp6(W1, W2, &[0xa5; 333]),
    ];
    for frame in frames {
        let partial = left_to_device(&frame);
        assert!(checksums_are_right(&frame) && !checksums_are_right(&partial));
        for (ingress, sent) in [(A, partial.clone()), (UP, vxlan(&partial)), (A, frame.clone())] {
            let mut switch = Switch::new();
            switch.bind(DomainId(1), W2, Place::Port(B));
            let out = switch.receive_one(ingress, &sent);
            assert_eq!(out.len(), 1);
            assert!(checksums_are_right(&out[0].bytes));
            assert_eq!(out[0].bytes, frame);
        }
        let mut switch = Switch::new();
        switch.bind(DomainId(1), W2, Place::Remote(VXLAN));
        let out = switch.receive_one(A, &partial);
        assert_eq!(unwrap(&out[0].bytes).inner, frame);
        // A wrong checksum is the sender's business, and Ethernet padding is not in it.
        let mut switch = Switch::new();
        switch.bind(DomainId(1), W2, Place::Port(B));
        let wrong = edit(&frame, |frame| *frame.last_mut().expect("bytes") ^= 0xff);
        assert_eq!(switch.receive_one(A, &wrong)[0].bytes, wrong);
        let padded = |frame: &[u8]| [frame, &[0xee; 9][..]].concat();
        assert_eq!(switch.receive_one(A, &padded(&partial))[0].bytes, padded(&frame));
    }
}

#[test]
fn the_source_port_is_the_flows() {
    let mut switch = Switch::new();
    switch.bind(DomainId(1), W9, Place::Remote(VXLAN));
    let mut source_port = |frame: &[u8]| {
        let out = switch.receive_one(A, frame);
        let Wrapping::Vxlan { source_port, .. } = unwrap(&out[0].bytes).wrapping else {
            panic!("not VXLAN");
        };
        (source_port, out[0].flow)
    };
    let first = source_port(&udp_ports(W1, W9, (1, 2), b"one"));
    assert_eq!(first, source_port(&udp_ports(W1, W9, (1, 2), b"another packet of the flow")));
    assert_ne!(first.0, source_port(&udp_ports(W1, W9, (1, 3), b"one")).0);
    // All pieces of a datagram take one path, the one with the ports in it too.
    let whole = udp_ports(W1, W9, (1, 2), &[0; 64]);
    let first_piece = edit_ip(&whole, |ip| ip[6] = 0x20);
    let later_piece = edit_ip(&udp_ports(W1, W9, (7, 8), &[1; 64]), |ip| (ip[6], ip[7]) = (0, 9));
    assert_eq!(source_port(&first_piece), source_port(&later_piece));
    // Not IP: the addresses.
    assert_eq!(source_port(&opaque(W1, W9, 50)), source_port(&opaque(W1, W9, 90)));
    assert_ne!(source_port(&opaque(W1, W9, 50)).0, source_port(&opaque(W2, W9, 50)).0);
}

#[test]
fn traffic_is_counted_by_domain_and_remote() {
    let mut switch = Switch::new();
    let (there, back) = (udp(W1, W9, 60), udp(W9, W1, 80));
    switch.receive_one(UP, &vxlan(&back));
    switch.receive(A, &[there.clone(), there.clone()]);
    let remote = switch.counters.remote(VXLAN);
    assert_eq!((remote.received.frames, remote.received.bytes), (1, back.len() as u64));
    assert_eq!((remote.transmitted.frames, remote.transmitted.bytes), (2, 2 * there.len() as u64));
    let domain = switch.counters.domain(DomainId(1));
    assert_eq!(domain.received.frames, 3);
    assert_eq!(domain.transmitted.frames, 3 + 2, "one flooded to three ports, two known");
    let uplink = switch.counters.port(UP);
    assert_eq!(uplink.received.bytes, vxlan(&back).len() as u64);
    assert_eq!(uplink.transmitted.bytes, 2 * (there.len() + 50) as u64);
}

#[test]
fn packets_of_several_tunnels_share_a_batch() {
    let mut switch = Switch::new();
    let mac = |number| Mac([2, 0, 0, 2, 0, number]);
    let tunnels = [(VXLAN, 1), (VXLAN2, 1), (GRE_KEY, 2), (GRE, 3)];
    let mut frames = Vec::new();
    for number in 0..60 {
        let inner = opaque(mac(number), W1, 40 + usize::from(number));
        frames.push(match tunnels[usize::from(number) % 4].0 {
            VXLAN => vxlan(&inner),
            VXLAN2 => vxlan_from(PEER2, 100, &inner),
            GRE_KEY => gre(Some(200), &inner),
            _ => gre(None, &inner),
        });
    }
    switch.receive(UP, &frames);
    for number in 0..60 {
        let (remote, domain) = tunnels[usize::from(number) % 4];
        assert_eq!(switch.place_of(DomainId(domain), mac(number)), Some(Place::Remote(remote)));
    }
    for (index, (remote, domain)) in (0_u64..).zip(tunnels) {
        let received = switch.counters.remote(remote).received;
        let bytes = (0..15).map(|round| 14 + 40 + index + 4 * round).sum::<u64>();
        assert_eq!((received.frames, received.bytes), (15, bytes));
        let remotes = tunnels.iter().filter(|(_, other)| *other == domain).count() as u64;
        assert_eq!(switch.counters.domain(DomainId(domain)).received.frames, 15 * remotes);
    }
}

#[test]
fn every_outer_header_has_the_right_checksum() {
    let mut switch = Switch::new();
    switch.bind(DomainId(1), W9, Place::Remote(VXLAN));
    let frames: Vec<_> = (0..64).map(|payload| opaque(W1, W9, 20 * payload)).collect();
    // Past every value of the identification, which the reader checks the header with.
    for _ in 0..1030 {
        let out = switch.receive(A, &frames);
        assert!(out.iter().zip(&frames).all(|(out, frame)| unwrap(&out.bytes).inner == *frame));
    }
}
