//! Outer headers on the way in: what is taken, and by which name everything else is refused.

use std::net::Ipv4Addr;

use forward::ids::DomainId;
use forward::link::Place;
use forward::verdict::DropReason;

use crate::fixture::*;
use crate::frames::*;

/// A stranger, and an address that is not ours.
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

#[test]
fn every_malformation_has_its_reason() {
    let inner = udp(W9, W1, 60);
    let good = vxlan(&inner);
    let good_gre = gre(Some(200), &inner);
    let ip = |edit: fn(&mut [u8])| edit_ip(&good, edit);
    let raw = |edit_bytes: fn(&mut Vec<u8>)| edit(&good, edit_bytes);
    let raw_gre = |edit_bytes: fn(&mut Vec<u8>)| edit(&good_gre, edit_bytes);
    use DropReason::*;
    let cases = [
        ("ARP", arp(1, W1, (W9, IP9), (W1, IP1)), NotTunnel),
        ("VLAN tag outside", edit(&good, |frame| drop(frame.splice(12..12, [0x81, 0, 0, 42]))), NotTunnel),
        ("LLDP", raw(|frame| frame[12..14].copy_from_slice(&[0x88, 0xcc])), NotTunnel),
        ("13 bytes", good[..13].to_vec(), FrameTooShort),
        ("no IP header", good[..30].to_vec(), FrameTooShort),
        ("cut short", good[..good.len() - 1].to_vec(), FrameTooShort),
        ("IP version 5", ip(|ip| ip[0] = 0x55), IpInvalidHeader),
        ("IP header of 16 bytes", ip(|ip| ip[0] = 0x44), IpInvalidHeader),
        ("total length below the header's", ip(|ip| (ip[2], ip[3]) = (0, 19)), IpInvalidHeader),
        ("wrong header checksum", raw(|frame| frame[24] ^= 1), IpChecksum),
        ("first fragment", ip(|ip| ip[6] = 0x20), OuterFragment),
        ("later fragment", ip(|ip| (ip[6], ip[7]) = (0, 1)), OuterFragment),
        ("TCP", ip(|ip| ip[9] = 6), NotTunnel),
        ("not for us", ip(|ip| ip[19] = 77), NotTunnel),
        ("GRE, not for us", edit_ip(&good_gre, |ip| ip[19] = 77), NotTunnel),
        ("another UDP port", raw(|frame| frame[37] ^= 1), NotTunnel),
        ("UDP length 7", raw(|frame| (frame[38], frame[39]) = (0, 7)), FrameTooShort),
        ("UDP length beyond the packet", raw(|frame| frame[38] = 0xff), FrameTooShort),
        ("UDP without a VXLAN header", raw(|frame| (frame[38], frame[39]) = (0, 15)), FrameTooShort),
        ("wrong UDP checksum", raw(|frame| frame[40] = 0x55), UdpChecksum),
        ("no I flag", raw(|frame| frame[42] = 0), VxlanInvalidHeader),
        ("reserved flag", raw(|frame| frame[42] = 0x18), VxlanInvalidHeader),
        ("reserved field", raw(|frame| frame[44] = 1), VxlanInvalidHeader),
        ("reserved octet", raw(|frame| frame[49] = 1), VxlanInvalidHeader),
        ("unknown VNI", vxlan_from(PEER, 101, &inner), VxlanVniNotFound),
        (
            "a VNI at the other UDP port",
            underlay(PEER, 17, &vxlan_datagram(8472, 100, &inner)),
            VxlanVniNotFound,
        ),
        ("stranger", vxlan_from(STRANGER, 100, &inner), PeerNotAllowed),
        (
            "stranger to a VNI without remotes",
            underlay(PEER, 17, &vxlan_datagram(8472, 400, &inner)),
            PeerNotAllowed,
        ),
        ("a peer of another VNI", vxlan_from(PEER2, 200, &inner), VxlanVniNotFound),
        ("no inner header", vxlan(&[]), FrameTooShort),
        ("GRE version 1", raw_gre(|frame| frame[35] = 1), GreVersion),
        ("GRE routing", raw_gre(|frame| frame[34] = 0x60), GreFlags),
        ("GRE of something else", raw_gre(|frame| frame[36] = 8), GreInvalidHeader),
        ("GRE cut", underlay(PEER, 47, &[0x20, 0, 0x65, 0x58, 0, 0]), FrameTooShort),
        ("GRE checksum wrong", underlay(PEER, 47, &gre_with_checksum(&inner, 1)), GreChecksum),
        ("unknown GRE key", gre(Some(201), &inner), VxlanVniNotFound),
        ("GRE stranger", underlay(STRANGER, 47, &good_gre[34..]), PeerNotAllowed),
    ];
    for (name, frame, reason) in cases {
        let mut switch = Switch::new();
        assert_eq!(switch.receive_one(UP, &frame), [], "{name}");
        assert_eq!(switch.drops(), [(reason, 1)], "{name}");
        assert_eq!(switch.place_of(DomainId(1), W9), None, "{name}: nothing is learned");
    }
}

/// The UDP checksum of a VXLAN packet, computed as a device would.
fn with_udp_checksum(packet: &[u8]) -> Vec<u8> {
    let mut packet = left_to_device(packet);
    let sum = ones_complement(&packet[34..]);
    packet[40..42].copy_from_slice(&(!sum).to_be_bytes());
    packet
}

#[test]
fn what_is_allowed_is_taken() {
    let inner = tcp(W9, W1, b"payload");
    let partial = left_to_device(&inner);
    let with_options = edit_ip(&edit(&vxlan(&inner), |frame| drop(frame.splice(34..34, [1; 8]))), |ip| {
        ip[0] = 0x47;
        let length = u16::from_be_bytes([ip[2], ip[3]]) + 8;
        ip[2..4].copy_from_slice(&length.to_be_bytes());
    });
    // What Linux sends over a veth: an outer checksum that is right only once the inner one is completed.
    let local_checksum_offload = {
        let whole = with_udp_checksum(&vxlan(&inner));
        let mut sent = vxlan(&partial);
        sent[40..42].copy_from_slice(&whole[40..42]);
        sent
    };
    let cases = [
        ("ethernet padding", edit(&vxlan(&inner), |frame| frame.extend([0xee; 20])), A),
        (
            "IP padding behind UDP",
            {
                let padded = edit(&vxlan(&inner), |frame| frame.extend([0xee; 5]));
                edit_ip(&padded, |ip| {
                    let length = u16::from_be_bytes([ip[2], ip[3]]) + 5;
                    ip[2..4].copy_from_slice(&length.to_be_bytes());
                })
            },
            A,
        ),
        ("IP options", with_options, A),
        ("right UDP checksum", with_udp_checksum(&vxlan(&inner)), A),
        ("outer checksum left to the device", left_to_device(&vxlan(&inner)), A),
        ("both left to the device", left_to_device(&vxlan(&partial)), A),
        ("local checksum offload", local_checksum_offload, A),
        ("any uplink", vxlan_from(PEER2, 100, &inner), A),
        ("GRE checksum", underlay(PEER, 47, &gre_with_checksum(&inner, 0)), C),
        (
            "GRE sequence number",
            {
                let upper = [&[0x30, 0, 0x65, 0x58, 0, 0, 0, 200, 1, 2, 3, 4], &inner[..]].concat();
                underlay(PEER, 47, &upper)
            },
            C,
        ),
    ];
    for (name, frame, port) in cases {
        let mut switch = Switch::new();
        switch.bind(DomainId(1), W1, Place::Port(A));
        let out = switch.receive_one(UP, &frame);
        assert_eq!(switch.drops(), [], "{name}");
        assert_eq!(out.iter().map(|out| out.port).collect::<Vec<_>>(), [port], "{name}");
        assert_eq!(out[0].bytes, inner, "{name}");
    }
}
