//! What frames look like to the peer's kernel, decoded by an independent parser.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6Header, UdpHeader};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, SocketType, eth, recv, socket};
use vtep_bench::pktgen::{Encapsulation, Generator, Hosts, IMIX, Size, Traffic};
use vtep_tests::wait::SOON;
use wire::Vni;

use crate::lab::{Pair, outer, plain};

/// What the last 16 bytes of generated frames begin with.
const MAGIC: &[u8] = b"vteppktg";

/// Takes frames in the far namespace, whose device has GRO and no program.
struct Capture(OwnedFd);

impl Capture {
    /// Room for thousands of frames, of which each takes a page and more: none may be lost on a busy machine.
    const BUFFER: usize = 64 << 20;

    fn open(pair: &Pair) -> Self {
        let _ = pair.far.run("ethtool -K far gro on");
        let open = || socket(AddressFamily::PACKET, SocketType::RAW, Some(eth::ALL)).unwrap();
        let capture = pair.far.within(open);
        sockopt::set_socket_recv_buffer_size_force(&capture, Self::BUFFER).unwrap();
        sockopt::set_socket_timeout(&capture, Timeout::Recv, Some(SOON)).unwrap();
        Self(capture)
    }

    /// The next so many generated frames.
    fn frames(&self, count: usize) -> Vec<Vec<u8>> {
        let (mut frames, mut buffer) = (Vec::new(), vec![0; 4096]);
        while frames.len() < count {
            let (len, _) = recv(&self.0, &mut buffer[..], RecvFlags::empty()).unwrap();
            let frame = &buffer[..len];
            if len >= 60 && frame[len - 16..].starts_with(MAGIC) {
                frames.push(frame.to_vec());
            }
        }
        frames
    }
}

/// The first `count` frames of some traffic.
fn first(traffic: &Traffic, count: usize) -> Vec<Vec<u8>> {
    let pair = Pair::new();
    let capture = Capture::open(&pair);
    let generator = Generator::start(&pair.source(), traffic, 0).unwrap();
    generator.set_rate(Some(5_000.0)).unwrap();
    let frames = capture.frames(count);
    let sent = generator.stop().unwrap();
    assert_eq!((sent.refused, sent.dropped), (0, 0));
    frames
}

/// Checks the headers of an inner frame against what the traffic says of frame `number`.
#[track_caller]
fn assert_inner(frame: &[u8], traffic: &Traffic, number: u32) {
    let (ethernet, rest) = Ethernet2Header::from_slice(frame).unwrap();
    let (ip, rest) = Ipv4Header::from_slice(rest).unwrap();
    let (udp, payload) = UdpHeader::from_slice(rest).unwrap();
    let (source, destination) = (number % traffic.sources.count, number % traffic.destinations.count);
    assert_eq!(ethernet.source, traffic.sources.mac(source).0);
    assert_eq!(ethernet.destination, traffic.destinations.mac(destination).0);
    assert_eq!(ethernet.ether_type, EtherType::IPV4);
    assert_eq!(ip.source, traffic.sources.address(source).octets());
    assert_eq!(ip.destination, traffic.destinations.address(destination).octets());
    assert_eq!(usize::from(ip.total_len), frame.len() - 14);
    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
    assert_eq!(ip.protocol, IpNumber::UDP);
    assert_eq!((udp.source_port, udp.destination_port), Traffic::ports(number % traffic.flows));
    assert_eq!(usize::from(udp.length), payload.len() + 8);
    assert_eq!(udp.checksum, 0);
}

/// Many of everything, in numbers that are prime to each other and cross a byte.
fn many() -> Traffic {
    let plain = plain();
    Traffic {
        flows: 301,
        sources: Hosts { count: 7, ..plain.sources },
        destinations: Hosts { count: 260, ..plain.destinations },
        ..plain
    }
}

#[test]
fn plain_frames() {
    let traffic = many();
    for (number, frame) in (0..).zip(first(&traffic, 700)) {
        assert_eq!(frame.len(), 60);
        assert_inner(&frame, &traffic, number);
    }
}

#[test]
fn imix_has_its_shares() {
    let traffic = Traffic { size: Size::Imix, ..many() };
    let mut shares = BTreeMap::new();
    for (number, frame) in (0..).zip(first(&traffic, 240)) {
        assert_inner(&frame, &traffic, number);
        assert_eq!(frame.len(), usize::from(IMIX[number as usize % IMIX.len()]));
        *shares.entry(frame.len()).or_insert(0) += 1;
    }
    assert_eq!(shares, BTreeMap::from([(60, 140), (590, 80), (1514, 20)]));
    assert!((Size::Imix.mean() - 357.833).abs() < 0.001);
}

#[test]
fn jumbo_frames() {
    let traffic = Traffic { size: Size::Fixed(3400), ..many() };
    for (number, frame) in (0..).zip(first(&traffic, 20)) {
        assert_eq!(frame.len(), 3400);
        assert_inner(&frame, &traffic, number);
    }
}

#[test]
fn vxlan_over_ipv4() {
    let outer = outer([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let vni = Vni::new(0x12_3456).unwrap();
    let encapsulation = Encapsulation::Vxlan { outer, vni, port: 8472 };
    let traffic = Traffic { size: Size::Imix, encapsulation, ..many() };
    let mut entropy = BTreeMap::new();
    for (number, frame) in (0..).zip(first(&traffic, 700)) {
        let (ethernet, rest) = Ethernet2Header::from_slice(&frame).unwrap();
        let (ip, rest) = Ipv4Header::from_slice(rest).unwrap();
        let (udp, rest) = UdpHeader::from_slice(rest).unwrap();
        let (vxlan, inner) = rest.split_at(8);
        assert_eq!((ethernet.source, ethernet.destination), (outer.source_mac.0, outer.destination_mac.0));
        assert_eq!((ip.source, ip.destination), ([192, 0, 2, 1], [192, 0, 2, 2]));
        assert_eq!(usize::from(ip.total_len), frame.len() - 14);
        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
        assert_eq!((udp.destination_port, udp.checksum), (8472, 0));
        assert_eq!(usize::from(udp.length), rest.len() + 8);
        assert!(udp.source_port >= 0xc000);
        assert_eq!(vxlan, [8, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
        assert_inner(inner, &traffic, number);
        let port = *entropy.entry(number % traffic.flows).or_insert(udp.source_port);
        assert_eq!(port, udp.source_port, "one flow, one port");
    }
    let ports: std::collections::BTreeSet<u16> = entropy.values().copied().collect();
    assert!(ports.len() > 250, "301 flows share {} ports", ports.len());
}

#[test]
fn vxlan_over_ipv6() {
    let (from, to) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
    let vni = Vni::new(7).unwrap();
    let encapsulation = Encapsulation::Vxlan { outer: outer(from, to), vni, port: 4789 };
    let traffic = Traffic { encapsulation, ..many() };
    for (number, frame) in (0..).zip(first(&traffic, 20)) {
        let (ethernet, rest) = Ethernet2Header::from_slice(&frame).unwrap();
        let (ip, rest) = Ipv6Header::from_slice(rest).unwrap();
        let (udp, rest) = UdpHeader::from_slice(rest).unwrap();
        assert_eq!((ethernet.ether_type, ip.next_header), (EtherType::IPV6, IpNumber::UDP));
        assert_eq!(ip.source_addr(), from);
        assert_eq!(ip.destination_addr(), to);
        assert_eq!(usize::from(ip.payload_length), rest.len() + 8);
        assert_eq!((udp.destination_port, udp.checksum), (4789, 0));
        assert_eq!(usize::from(udp.length), rest.len() + 8);
        assert_inner(&rest[8..], &traffic, number);
    }
}

#[test]
fn gre_with_and_without_a_key() {
    let outer = outer([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    let keyed: &[u8] = &[0x20, 0, 0x65, 0x58, 1, 2, 3, 4];
    for (key, header) in [(Some(0x0102_0304), keyed), (None, &[0, 0, 0x65, 0x58])] {
        let traffic = Traffic { encapsulation: Encapsulation::Gre { outer, key }, ..many() };
        for (number, frame) in (0..).zip(first(&traffic, 20)) {
            let (_, rest) = Ethernet2Header::from_slice(&frame).unwrap();
            let (ip, rest) = Ipv4Header::from_slice(rest).unwrap();
            assert_eq!(ip.protocol, IpNumber::GRE);
            assert_eq!(usize::from(ip.total_len), frame.len() - 14);
            assert_eq!(ip.header_checksum, ip.calc_header_checksum());
            let (gre, inner) = rest.split_at(header.len());
            assert_eq!(gre, header);
            assert_inner(inner, &traffic, number);
        }
    }
}
