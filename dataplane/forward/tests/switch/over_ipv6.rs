//! The IPv6 underlay: which checksums are sent and taken, what is refused and by which name, and IPv4 beside it in one
//! domain.

use std::net::Ipv6Addr;

use forward::ids::{DomainId, PortId};
use forward::link::Place;
use forward::verdict::DropReason;

use crate::fixture::*;
use crate::frames::*;
use crate::frames6::*;

const STRANGER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99);

#[test]
fn every_malformation_has_its_reason() {
    let inner = udp(W9, W1, 60);
    let good = vxlan6(&inner);
    let good_gre = gre6(Some(600), &inner);
    let raw = |edit_bytes: fn(&mut Vec<u8>)| edit(&good, edit_bytes);
    let resummed = |edit_bytes: fn(&mut Vec<u8>)| with_udp_checksum6(&edit(&good, edit_bytes));
    let raw_gre = |edit_bytes: fn(&mut Vec<u8>)| edit(&good_gre, edit_bytes);
    use DropReason::*;
    let cases = [
        ("no IP header", good[..53].to_vec(), FrameTooShort),
        ("cut short", good[..good.len() - 1].to_vec(), FrameTooShort),
        ("IP version 4", raw(|frame| frame[14] = 0x45), IpInvalidHeader),
        ("fragment", raw(|frame| frame[20] = 44), OuterFragment),
        ("hop-by-hop options", raw(|frame| frame[20] = 0), NotTunnel),
        ("TCP", raw(|frame| frame[20] = 6), NotTunnel),
        ("not for us", resummed(|frame| frame[53] = 77), NotTunnel),
        ("GRE, not for us", raw_gre(|frame| frame[53] = 77), NotTunnel),
        ("another UDP port", resummed(|frame| frame[57] ^= 1), NotTunnel),
        ("UDP length 7", raw(|frame| (frame[58], frame[59]) = (0, 7)), FrameTooShort),
        ("UDP length beyond the packet", raw(|frame| frame[58] = 0xff), FrameTooShort),
        ("wrong UDP checksum", raw(|frame| frame[60] ^= 0x55), UdpChecksum),
        ("a changed payload", raw(|frame| *frame.last_mut().expect("a byte") ^= 1), UdpChecksum),
        ("a changed source address", raw(|frame| frame[37] ^= 1), UdpChecksum),
        ("no UDP checksum", vxlan6_without_checksum(PEER6, 500, &inner), UdpChecksum),
        ("no I flag", resummed(|frame| frame[62] = 0), VxlanInvalidHeader),
        ("reserved octet", resummed(|frame| frame[69] = 1), VxlanInvalidHeader),
        ("unknown VNI", vxlan6_from(PEER6, 501, &inner), VxlanVniNotFound),
        ("a VNI that is over IPv4 only", vxlan6_from(PEER6, 100, &inner), VxlanVniNotFound),
        ("stranger", vxlan6_from(STRANGER6, 500, &inner), PeerNotAllowed),
        ("stranger without a checksum", vxlan6_without_checksum(STRANGER6, 500, &inner), PeerNotAllowed),
        ("no inner header", vxlan6(&[]), FrameTooShort),
        ("GRE version 1", raw_gre(|frame| frame[55] = 1), GreVersion),
        ("GRE cut", underlay6(PEER6, 47, &[0x20, 0, 0x65, 0x58, 0, 0]), FrameTooShort),
        ("unknown GRE key", gre6(Some(601), &inner), VxlanVniNotFound),
        ("GRE stranger", underlay6(STRANGER6, 47, &gre_packet(Some(600), &inner)), PeerNotAllowed),
    ];
    for (name, frame, reason) in cases {
        let mut switch = Switch::new();
        assert_eq!(switch.receive_one(UP, &frame), [], "{name}");
        assert_eq!(switch.drops(), [(reason, 1)], "{name}");
        assert_eq!(switch.place_of(DomainId(5), W9), None, "{name}: nothing is learned");
    }
}

#[test]
fn what_is_allowed_is_taken() {
    let inner = tcp(W9, W1, b"payload");
    let partial = left_to_device(&inner);
    let bare = |inner: &[u8]| vxlan6_without_checksum(PEER6, 500, inner);
    // What Linux sends over a veth: an outer checksum that is right only once the inner one is completed.
    let local_checksum_offload = {
        let whole = vxlan6(&inner);
        edit(&bare(&partial), |frame| frame[60..62].copy_from_slice(&whole[60..62]))
    };
    let cases = [
        ("right checksum", vxlan6(&inner), E),
        ("right checksum over an inner one left to the device", vxlan6(&partial), E),
        ("outer checksum left to the device", left_to_device6(&bare(&inner)), E),
        ("both left to the device", left_to_device6(&bare(&partial)), E),
        ("local checksum offload", local_checksum_offload, E),
        ("no checksum where it is configured", vxlan6_without_checksum(PEER6_2, 500, &inner), E),
        ("a checksum where none is sent", vxlan6_from(PEER6_2, 500, &inner), E),
        ("over IPv4 with no checksum where they are sent", vxlan_from(PEER, 500, &inner), E),
        ("ethernet padding", edit(&vxlan6(&inner), |frame| frame.extend([0xee; 20])), E),
        ("traffic class and flow label", edit(&vxlan6(&inner), |frame| frame[14..18].fill(0x6f)), E),
        ("GRE with a key", gre6(Some(600), &inner), F),
        ("GRE without a key", gre6(None, &inner), G),
    ];
    for (name, frame, port) in cases {
        let mut switch = Switch::new();
        switch.bind(DomainId(5), W1, Place::Port(E));
        let out = switch.receive_one(UP, &frame);
        assert_eq!(switch.drops(), [], "{name}");
        assert_eq!(out.iter().map(|out| out.port).collect::<Vec<_>>(), [port], "{name}");
        assert_eq!(out[0].bytes, inner, "{name}");
    }
}

/// The frames of one domain go to peers of both families, each with the checksum that its remote says.
#[test]
fn a_domain_floods_over_both_families() {
    let mut switch = Switch::new();
    let frame = tcp(W1, W9, &[0xa5; 333]);
    for sent in [frame.clone(), left_to_device(&frame)] {
        let out = switch.receive_one(E, &sent);
        let read: Vec<_> = out.iter().map(|out| unwrap(&out.bytes)).collect();
        let vxlan = |tunnelled: &Tunnelled| match tunnelled.wrapping {
            Wrapping::Vxlan { vni: 500, port: 4789, .. } => (tunnelled.peer, tunnelled.checksum != 0),
            other => panic!("{other:?}"),
        };
        let expected = [(PEER6.into(), true), (PEER6_2.into(), false), (PEER.into(), true)];
        assert_eq!(read.iter().map(vxlan).collect::<Vec<_>>(), expected);
        assert!(read.iter().all(|tunnelled| tunnelled.inner == frame));
    }
}

#[test]
fn peers_of_both_families_are_learned_in_one_domain() {
    let mut switch = Switch::new();
    let domain = DomainId(5);
    switch.receive(UP, &[vxlan6(&udp(W9, W1, 60)), vxlan_from(PEER, 500, &udp(W2, W1, 60))]);
    assert_eq!(switch.place_of(domain, W9), Some(Place::Remote(VXLAN6)));
    assert_eq!(switch.place_of(domain, W2), Some(Place::Remote(VXLAN_SUMMED)));
    // And there is no way from one to the other.
    assert_eq!(switch.receive_one(UP, &vxlan6(&udp(W9, W2, 60))), []);
    assert_eq!(switch.drops(), [(DropReason::SplitHorizon, 1)]);
}

/// Header-only arithmetic gives what a sum over the whole frame gives, for every kind of frame and length.
#[test]
fn every_udp_checksum_is_right() {
    for remote in [VXLAN6, VXLAN_SUMMED] {
        let mut switch = Switch::new();
        switch.bind(DomainId(5), W9, Place::Remote(remote));
        for length in (0..200).chain(1300..1350) {
            let payload = vec![0xc3; length];
            let frames = [
                udp(W1, W9, length),
                tcp(W1, W9, &payload),
                tcp6(W1, W9, &payload),
                tagged(W1, W9, length),
                opaque(W1, W9, length),
                edit(&tcp(W1, W9, &payload), |frame| frame.extend([0xee; 7])),
            ];
            for frame in &frames {
                let is_offloadable = frame[12..14] == [8, 0] || frame[12..14] == [0x86, 0xdd];
                let sent = if is_offloadable { left_to_device(frame) } else { frame.clone() };
                for sent in [frame, &sent] {
                    let out = switch.receive_one(E, sent);
                    let read = unwrap(&out[0].bytes);
                    assert_ne!(read.checksum, 0);
                    assert_eq!(read.inner, *frame);
                }
            }
        }
    }
}

#[test]
fn a_flow_has_one_label_and_flows_differ() {
    let mut switch = Switch::new();
    switch.bind(DomainId(6), W9, Place::Remote(GRE6_KEY));
    let mut label = |ports| {
        let out = switch.receive_one(F, &udp_ports(W1, W9, ports, b"payload"));
        u32::from_be_bytes([0, out[0].bytes[15] & 15, out[0].bytes[16], out[0].bytes[17]])
    };
    let labels: std::collections::HashSet<u32> = (0..256).map(|port| label((port, 80))).collect();
    assert!(labels.len() > 250, "{} labels", labels.len());
    assert_eq!(label((1, 80)), label((1, 80)));
}

#[test]
fn packets_up_to_the_mtu_leave_and_larger_ones_do_not() {
    // Inner frame of 14 + 20 + 8 + payload bytes; VXLAN adds 70 - 14, GRE with a key 62 - 14, GRE 58 - 14.
    let largest: [(PortId, u16, _, usize); 3] =
        [(E, 5, VXLAN6, 1500 - 56 - 42), (F, 6, GRE6_KEY, 1500 - 48 - 42), (G, 7, GRE6, 1500 - 44 - 42)];
    for (ingress, domain, remote, largest) in largest {
        let mut switch = Switch::new();
        switch.bind(DomainId(domain), W9, Place::Remote(remote));
        assert_eq!(switch.receive_one(ingress, &udp(W1, W9, largest)).len(), 1);
        // What carries no IP can neither be cut nor answered.
        assert_eq!(switch.receive_one(ingress, &opaque(W1, W9, 28 + largest)).len(), 1);
        assert_eq!(switch.receive_one(ingress, &opaque(W1, W9, 28 + largest + 1)), []);
        assert_eq!(switch.drops(), [(DropReason::PacketTooBig, 1)]);
    }
}
