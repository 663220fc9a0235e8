//! Frames to send in, built by etherparse or by hand, never by the code under test; and an independent reader of what
//! comes out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{Ipv4Header, Ipv4HeaderSlice, NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use wire::Mac;

use crate::fixture::{LOCAL, NEXT_HOP, PEER, UPLINK_MAC};
use crate::frames6::unwrap6;

/// Workloads: W1 usually at port A, W2 at B, W9 far away.
pub(crate) const W1: Mac = Mac([2, 0, 0, 1, 0, 1]);
pub(crate) const W2: Mac = Mac([2, 0, 0, 1, 0, 2]);
pub(crate) const W9: Mac = Mac([2, 0, 0, 1, 0, 9]);
pub(crate) const IP1: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const IP2: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const IP9: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
pub(crate) const SIX1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x10, 1);
pub(crate) const SIX2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x10, 2);
pub(crate) const SIX9: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0x10, 9);

/// A UDP datagram in IPv4 with this much payload, checksums right.
pub(crate) fn udp(source: Mac, destination: Mac, payload: usize) -> Vec<u8> {
    udp_ports(source, destination, (4000, 5000), &vec![0x5a; payload])
}

pub(crate) fn udp_ports(source: Mac, destination: Mac, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(source.0, destination.0)
        .ipv4(IP1.octets(), IP2.octets(), 64)
        .udp(ports.0, ports.1)
        .write(&mut bytes, payload)
        .expect("a frame");
    bytes
}

pub(crate) fn tcp(source: Mac, destination: Mac, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(source.0, destination.0)
        .ipv4(IP1.octets(), IP2.octets(), 64)
        .tcp(80, 4001, 1, 65535)
        .write(&mut bytes, payload)
        .expect("a frame");
    bytes
}

pub(crate) fn tcp6(source: Mac, destination: Mac, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(source.0, destination.0)
        .ipv6([0xfd; 16], [0xfe; 16], 64)
        .tcp(80, 4001, 1, 65535)
        .write(&mut bytes, payload)
        .expect("a frame");
    bytes
}

/// An 802.1Q tagged UDP datagram.
pub(crate) fn tagged(source: Mac, destination: Mac, payload: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(source.0, destination.0)
        .single_vlan(42.try_into().expect("a VLAN identifier"))
        .ipv4(IP1.octets(), IP2.octets(), 64)
        .udp(4000, 5000)
        .write(&mut bytes, &vec![0x5a; payload])
        .expect("a frame");
    bytes
}

/// The frame with an 802.1Q tag of this control information in front of all others.
pub(crate) fn with_tag(frame: &[u8], control: u16) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00], &control.to_be_bytes(), &frame[12..]].concat()
}

/// A frame that carries no IP.
pub(crate) fn opaque(source: Mac, destination: Mac, payload: usize) -> Vec<u8> {
    [&destination.0[..], &source.0, &[0x88, 0xb5], &vec![7; payload]].concat()
}

/// Puts the sum of its pseudo-header into a frame's TCP or UDP checksum field, as a workload with checksum offload does.
pub(crate) fn left_to_device(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let (pseudo_header, field) = match frame[12..14] {
        [0x08, 0x00] => {
            let length = (u16::from_be_bytes([frame[16], frame[17]]) - 20).to_be_bytes();
            let field = if frame[23] == 6 { 34 + 16 } else { 34 + 6 };
            ([&frame[26..34], &[0, frame[23]], &length].concat(), field)
        }
        _ => ([&frame[22..54], &[0, 0], &frame[18..20], &[0, 0, 0, frame[20]]].concat(), 54 + 16),
    };
    let sum = ones_complement(&pseudo_header);
    frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The Internet checksum's sum, the slow and obvious way.
pub(crate) fn ones_complement(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// An ARP message for IPv4 over Ethernet.
pub(crate) fn arp(
    operation: u8,
    destination: Mac,
    sender: (Mac, Ipv4Addr),
    target: (Mac, Ipv4Addr),
) -> Vec<u8> {
    [
        &destination.0[..],
        &sender.0.0,
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation],
        &sender.0.0,
        &sender.1.octets(),
        &target.0.0,
        &target.1.octets(),
    ]
    .concat()
}

/// A message of neighbour discovery: type 135 asks, 136 tells. `ethernet` and `ip` are source and destination, `options`
/// stand behind the target.
pub(crate) fn nd(
    message_type: u8,
    ethernet: (Mac, Mac),
    ip: (Ipv6Addr, Ipv6Addr),
    (flags, target): (u8, Ipv6Addr),
    options: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(ethernet.0.0, ethernet.1.0)
        .ipv6(ip.0.octets(), ip.1.octets(), 255)
        .icmpv6_raw(message_type, 0, [flags, 0, 0, 0])
        .write(&mut bytes, &[&target.octets(), options].concat())
        .expect("a frame");
    bytes
}

/// A link-layer address option: type 1 is the sender's, 2 the target's.
pub(crate) fn link_layer(option_type: u8, mac: Mac) -> Vec<u8> {
    [&[option_type, 1], &mac.0[..]].concat()
}

/// The IPv6 and Ethernet groups in which the owner of an address listens for who asks for it.
pub(crate) fn solicited_node(target: Ipv6Addr) -> (Ipv6Addr, Mac) {
    let [.., a, b, c] = target.octets();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
    (group, Mac([0x33, 0x33, 0xff, a, b, c]))
}

/// Makes the checksum of an ICMPv6 message right that stands behind 54 bytes of headers.
pub(crate) fn with_icmp6_checksum(mut frame: Vec<u8>) -> Vec<u8> {
    frame[56..58].fill(0);
    let length = u32::from(u16::from_be_bytes([frame[18], frame[19]])).to_be_bytes();
    let end = (54 + usize::from(u16::from_be_bytes([frame[18], frame[19]]))).min(frame.len());
    let covered = [&frame[22..54], &length, &[0, 0, 0, 58], &frame[54..end]].concat();
    let checksum = !ones_complement(&covered);
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// Whether etherparse finds every checksum of a frame right.
pub(crate) fn checksums_are_right(frame: &[u8]) -> bool {
    let packet = SlicedPacket::from_ethernet(frame).expect("a parseable frame");
    let transport = packet.transport.as_ref();
    match packet.net.as_ref().expect("a network header") {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            let right = match transport {
                Some(TransportSlice::Udp(udp)) => {
                    let computed = udp.to_header().calc_checksum_ipv4(&header.to_header(), udp.payload());
                    udp.checksum() == 0 || udp.checksum() == computed.expect("a datagram")
                }
                Some(TransportSlice::Tcp(tcp)) => {
                    let computed = tcp.to_header().calc_checksum_ipv4(&header.to_header(), tcp.payload());
                    tcp.checksum() == computed.expect("a segment")
                }
                _ => true,
            };
            right && header.header_checksum() == header.to_header().calc_header_checksum()
        }
        NetSlice::Ipv6(ip) => match transport {
            Some(TransportSlice::Tcp(tcp)) => {
                let header = ip.header().to_header();
                let computed = tcp.to_header().calc_checksum_ipv6(&header, tcp.payload());
                tcp.checksum() == computed.expect("a segment")
            }
            _ => true,
        },
        NetSlice::Arp(_) => true,
    }
}

/// The underlay's Ethernet and IPv4 headers around an upper-layer packet from `PEER` to us.
pub(crate) fn underlay(peer: Ipv4Addr, protocol: u8, upper: &[u8]) -> Vec<u8> {
    let length = u16::try_from(upper.len()).expect("a packet");
    let mut header =
        Ipv4Header::new(length, 61, protocol.into(), peer.octets(), LOCAL.octets()).expect("a header");
    header.dont_fragment = true;
    header.header_checksum = header.calc_header_checksum();
    [&UPLINK_MAC.0[..], &NEXT_HOP.0, &[8, 0], &header.to_bytes(), upper].concat()
}

/// A VXLAN packet from a peer, UDP checksum zero.
pub(crate) fn vxlan_from(peer: Ipv4Addr, vni: u32, inner: &[u8]) -> Vec<u8> {
    underlay(peer, 17, &vxlan_datagram(4789, vni, inner))
}

/// GRE with key 200 and a checksum that is off by `error`.
pub(crate) fn gre_with_checksum(inner: &[u8], error: u16) -> Vec<u8> {
    let mut upper = [&[0xa0, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 0, 0, 200], inner].concat();
    let checksum = !ones_complement(&upper) ^ error;
    upper[4..6].copy_from_slice(&checksum.to_be_bytes());
    upper
}

/// A UDP datagram without a checksum.
pub(crate) fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("a datagram");
    let ports = [50_000_u16, port, length, 0].map(u16::to_be_bytes).concat();
    [&ports, payload].concat()
}

pub(crate) fn vxlan_datagram(port: u16, vni: u32, inner: &[u8]) -> Vec<u8> {
    let length = u16::try_from(16 + inner.len()).expect("a datagram");
    [
        &50_000_u16.to_be_bytes()[..],
        &port.to_be_bytes(),
        &length.to_be_bytes(),
        &[0, 0, 8, 0, 0, 0],
        &(vni << 8).to_be_bytes(),
        inner,
    ]
    .concat()
}

/// A VXLAN packet from `PEER` in VNI 100.
pub(crate) fn vxlan(inner: &[u8]) -> Vec<u8> {
    vxlan_from(PEER, 100, inner)
}

/// A GRE packet from `PEER`.
pub(crate) fn gre(key: Option<u32>, inner: &[u8]) -> Vec<u8> {
    underlay(PEER, 47, &gre_packet(key, inner))
}

pub(crate) fn gre_packet(key: Option<u32>, inner: &[u8]) -> Vec<u8> {
    match key {
        Some(key) => [&[0x20, 0, 0x65, 0x58], &key.to_be_bytes()[..], inner].concat(),
        None => [&[0, 0, 0x65, 0x58], inner].concat(),
    }
}

/// Changes a frame's IPv4 header and makes its checksum right again.
pub(crate) fn edit_ip(frame: &[u8], edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut frame = frame.to_vec();
    edit(&mut frame[14..]);
    let length = usize::from(frame[14] & 15) * 4;
    frame[24..26].fill(0);
    let checksum = !ones_complement(&frame[14..14 + length]);
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// Changes a frame.
pub(crate) fn edit(frame: &[u8], edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = frame.to_vec();
    edit(&mut frame);
    frame
}

/// How an inner frame was wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrapping {
    Vxlan { vni: u32, port: u16, source_port: u16 },
    Gre { key: Option<u32> },
}

/// An outgoing tunnel packet as etherparse reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tunnelled {
    pub(crate) peer: IpAddr,
    pub(crate) wrapping: Wrapping,
    /// UDP checksum, which is right if it is not zero.
    pub(crate) checksum: u16,
    pub(crate) inner: Vec<u8>,
}

/// Reads a tunnel packet that we sent, and checks all that is the same in every one.
pub(crate) fn unwrap(frame: &[u8]) -> Tunnelled {
    let (ethernet, packet) = etherparse::Ethernet2Header::from_slice(frame).expect("an Ethernet header");
    assert_eq!((ethernet.source, ethernet.destination), (UPLINK_MAC.0, NEXT_HOP.0));
    if ethernet.ether_type == etherparse::EtherType::IPV6 {
        return unwrap6(frame);
    }
    assert_eq!(ethernet.ether_type, etherparse::EtherType::IPV4);
    let header = Ipv4HeaderSlice::from_slice(packet).expect("an IPv4 header").to_header();
    assert_eq!(header.source, LOCAL.octets());
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    assert_eq!(usize::from(header.total_len), packet.len(), "no padding, no truncation");
    assert!(header.dont_fragment && !header.is_fragmenting_payload());
    assert_eq!((header.time_to_live, header.dscp.value()), (64, 0));
    let upper = &packet[header.header_len()..];
    let (wrapping, checksum, inner) = datagram_inside(header.protocol.0, upper);
    assert!(
        [0, ecn_inside(inner)].contains(&header.ecn.value()),
        "congestion that the inner packet does not tell of"
    );
    if checksum != 0 {
        let length = u16::try_from(upper.len()).expect("a datagram").to_be_bytes();
        let covered = [&frame[26..34], &[0, 17], &length, upper].concat();
        assert_eq!(ones_complement(&covered), 0xffff, "a wrong UDP checksum");
    }
    Tunnelled { peer: IpAddr::from(header.destination), wrapping, checksum, inner: inner.to_vec() }
}

/// The ECN field of the packet in a frame, behind tags; 0 if there is none.
pub(crate) fn ecn_inside(frame: &[u8]) -> u8 {
    let mut at = 12;
    while matches!(frame.get(at..at + 2), Some([0x81, 0x00] | [0x88, 0xa8])) {
        at += 4;
    }
    match frame.get(at..).unwrap_or_default() {
        [0x08, 0x00, _, class, ..] => class & 3,
        [0x86, 0xdd, _, class, ..] => class >> 4 & 3,
        _ => 0,
    }
}

/// How the inner frame is wrapped behind the outer IP header, the UDP checksum, and the inner frame.
pub(crate) fn datagram_inside(protocol: u8, upper: &[u8]) -> (Wrapping, u16, &[u8]) {
    match protocol {
        17 => {
            let (udp, payload) = etherparse::UdpHeader::from_slice(upper).expect("a UDP header");
            assert_eq!(usize::from(udp.length), upper.len());
            assert!(udp.source_port >= 49_152);
            if udp.destination_port == 4754 {
                let (wrapping, _, inner) = datagram_inside(47, payload);
                return (wrapping, udp.checksum, inner);
            }
            let [8, 0, 0, 0, v0, v1, v2, 0] = payload[..8] else { panic!("no VXLAN header: {payload:?}") };
            let vni = u32::from_be_bytes([0, v0, v1, v2]);
            let (port, source_port) = (udp.destination_port, udp.source_port);
            (Wrapping::Vxlan { vni, port, source_port }, udp.checksum, &payload[8..])
        }
        47 => match upper {
            [0x20, 0, 0x65, 0x58, k0, k1, k2, k3, inner @ ..] => {
                (Wrapping::Gre { key: Some(u32::from_be_bytes([*k0, *k1, *k2, *k3])) }, 0, inner)
            }
            [0, 0, 0x65, 0x58, inner @ ..] => (Wrapping::Gre { key: None }, 0, inner),
            _ => panic!("no GRE header: {upper:?}"),
        },
        other => panic!("protocol {other}"),
    }
}
