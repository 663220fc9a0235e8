//! Frames to send.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, Ipv6FlowLabel, Ipv6Header, PacketBuilder};

pub(crate) const NEAR: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const FAR: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A frame of a private EtherType that carries a number, padded to `len`.
pub(crate) fn numbered(number: u32, len: usize) -> Vec<u8> {
    let mut frame = [&FAR[..], &NEAR, &[0x88, 0xb5], &number.to_be_bytes()].concat();
    frame.resize(len, number as u8);
    frame
}

/// The number of such a frame, if it is one.
pub(crate) fn number(frame: &[u8]) -> Option<u32> {
    (frame.get(12..14)? == [0x88, 0xb5]).then(|| u32::from_be_bytes(frame[14..18].try_into().unwrap()))
}

/// UDP over IPv4.
pub(crate) fn udp4(to: Ipv4Addr, port: u16) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(FAR, NEAR).ipv4([192, 0, 2, 9], to.octets(), 64).udp(50000, port);
    let mut frame = Vec::new();
    builder.write(&mut frame, &[7; 60]).unwrap();
    frame
}

/// UDP over IPv6.
pub(crate) fn udp6(to: Ipv6Addr, port: u16) -> Vec<u8> {
    let from: Ipv6Addr = "2001:db8::9".parse().unwrap();
    let builder = PacketBuilder::ethernet2(FAR, NEAR).ipv6(from.octets(), to.octets(), 64).udp(50000, port);
    let mut frame = Vec::new();
    builder.write(&mut frame, &[7; 60]).unwrap();
    frame
}

/// TCP over IPv4.
pub(crate) fn tcp4(to: Ipv4Addr, port: u16) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2(FAR, NEAR).ipv4([192, 0, 2, 9], to.octets(), 64).tcp(50000, port, 1, 1000);
    let mut frame = Vec::new();
    builder.write(&mut frame, &[7; 60]).unwrap();
    frame
}

/// An IPv4 packet of any protocol, with options if wanted, or as the fragment at an offset (in units of 8 bytes).
pub(crate) fn ipv4(
    to: Ipv4Addr,
    protocol: u8,
    options: &[u8],
    fragment: Option<(u16, bool)>,
    payload: &[u8],
) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    let mut header = Ipv4Header::new(len, 64, IpNumber(protocol), [192, 0, 2, 9], to.octets()).unwrap();
    header.options = Ipv4Options::try_from(options).unwrap();
    if let Some((offset, more)) = fragment {
        header.dont_fragment = false;
        header.fragment_offset = IpFragOffset::try_new(offset).unwrap();
        header.more_fragments = more;
    }
    header.header_checksum = header.calc_header_checksum();
    let mut frame = [&FAR[..], &NEAR, &[0x08, 0x00]].concat();
    header.write(&mut frame).unwrap();
    frame.extend(payload);
    frame
}

/// An IPv6 packet of any next header.
pub(crate) fn ipv6(to: Ipv6Addr, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6Header {
        traffic_class: 0,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: u16::try_from(payload.len()).unwrap(),
        next_header: IpNumber(next_header),
        hop_limit: 64,
        source: "2001:db8::9".parse::<Ipv6Addr>().unwrap().octets(),
        destination: to.octets(),
    };
    let mut frame = [&FAR[..], &NEAR, &[0x86, 0xdd]].concat();
    header.write(&mut frame).unwrap();
    frame.extend(payload);
    frame
}

/// A fragment of a UDP datagram over IPv6 at an offset (in units of 8 bytes), with more to follow.
pub(crate) fn fragment6(to: Ipv6Addr, offset: u16, payload: &[u8]) -> Vec<u8> {
    let [o0, o1] = (offset << 3 | 1).to_be_bytes();
    ipv6(to, 44, &[&[17, 0, o0, o1, 0, 0, 0, 9], payload].concat())
}

/// The payload of UDP to a port: header and some bytes.
pub(crate) fn udp(port: u16) -> Vec<u8> {
    let mut bytes =
        [&50000u16.to_be_bytes()[..], &port.to_be_bytes(), &28u16.to_be_bytes(), &[0, 0]].concat();
    bytes.extend([7; 20]);
    bytes
}

/// GRE with an Ethernet payload type.
pub(crate) fn gre() -> Vec<u8> {
    gre_of(0x6558)
}

/// GRE with a payload of this EtherType.
pub(crate) fn gre_of(protocol: u16) -> Vec<u8> {
    [&[0, 0][..], &protocol.to_be_bytes(), &[7; 40]].concat()
}

/// A frame with an 802.1Q tag put in.
pub(crate) fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00, 0, 5], &frame[12..]].concat()
}
