//! Tunnel packets over IPv6: built by hand, and read by etherparse.

use std::net::{IpAddr, Ipv6Addr};

use etherparse::Ipv6Header;

use crate::fixture::{LOCAL6, NEXT_HOP, PEER6, UPLINK_MAC};
use crate::frames::{Tunnelled, datagram_inside, ecn_inside, gre_packet, ones_complement, vxlan_datagram};

/// The underlay's Ethernet and IPv6 headers around an upper-layer packet from a peer to us.
pub(crate) fn underlay6(peer: Ipv6Addr, protocol: u8, upper: &[u8]) -> Vec<u8> {
    let length = u16::try_from(upper.len()).expect("a packet");
    let addresses = [peer.octets(), LOCAL6.octets()].concat();
    [&UPLINK_MAC.0[..], &NEXT_HOP.0, &[0x86, 0xdd, 0x60, 0, 0, 0], &length.to_be_bytes(), &[protocol, 61]]
        .concat()
        .into_iter()
        .chain(addresses)
        .chain(upper.iter().copied())
        .collect()
}

/// A VXLAN packet from a peer, UDP checksum zero.
pub(crate) fn vxlan6_without_checksum(peer: Ipv6Addr, vni: u32, inner: &[u8]) -> Vec<u8> {
    underlay6(peer, 17, &vxlan_datagram(4789, vni, inner))
}

/// A VXLAN packet from a peer.
pub(crate) fn vxlan6_from(peer: Ipv6Addr, vni: u32, inner: &[u8]) -> Vec<u8> {
    with_udp_checksum6(&vxlan6_without_checksum(peer, vni, inner))
}

/// A VXLAN packet from `PEER6` in VNI 500.
pub(crate) fn vxlan6(inner: &[u8]) -> Vec<u8> {
    vxlan6_from(PEER6, 500, inner)
}

/// A GRE packet from `PEER6`.
pub(crate) fn gre6(key: Option<u32>, inner: &[u8]) -> Vec<u8> {
    underlay6(PEER6, 47, &gre_packet(key, inner))
}

/// The sum of the pseudo-header of a packet over IPv6.
fn pseudo_header(frame: &[u8]) -> u16 {
    let length = u32::try_from(frame.len() - 54).expect("a packet");
    ones_complement(&[&frame[22..54], &length.to_be_bytes(), &[0, 0, 0, frame[20]]].concat())
}

/// Computes the UDP checksum of a packet over IPv6.
pub(crate) fn with_udp_checksum6(frame: &[u8]) -> Vec<u8> {
    let mut frame = left_to_device6(frame);
    let checksum = match !ones_complement(&frame[54..]) {
        0 => 0xffff,
        checksum => checksum,
    };
    frame[60..62].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// Puts the sum of its pseudo-header into the UDP checksum field of a packet over IPv6.
pub(crate) fn left_to_device6(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[60..62].fill(0);
    let sum = pseudo_header(&frame);
    frame[60..62].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// Reads a tunnel packet over IPv6 that we sent, behind its Ethernet header.
pub(crate) fn unwrap6(frame: &[u8]) -> Tunnelled {
    let (header, upper) = Ipv6Header::from_slice(&frame[14..]).expect("an IPv6 header");
    assert_eq!(header.source, LOCAL6.octets());
    assert_eq!(usize::from(header.payload_length), upper.len(), "no padding, no truncation");
    assert_eq!((header.hop_limit, header.traffic_class & 0xfc), (64, 0));
    assert_ne!(header.flow_label.value(), 0);
    let protocol = header.next_header.0;
    let (wrapping, checksum, inner) = datagram_inside(protocol, upper);
    assert!([0, ecn_inside(inner)].contains(&(header.traffic_class & 3)));
    if checksum != 0 {
        let sum = [pseudo_header(frame), ones_complement(upper)].map(u16::to_be_bytes).concat();
        assert_eq!(ones_complement(&sum), 0xffff, "a wrong UDP checksum");
    }
    let peer = IpAddr::from(header.destination);
    Tunnelled { peer, wrapping, checksum, inner: inner.to_vec() }
}
