//! Packets that do not fit the path to a remote: cut, answered or dropped.

use etherparse::{Icmpv4Type, Icmpv6Type, NetSlice, PacketBuilder, SlicedPacket, TransportSlice, icmpv4};
use forward::counters::PortCounts;
use forward::ids::DomainId;
use forward::link::Place;
use forward::tables::Path;
use forward::verdict::DropReason;
use wire::Mac;

use crate::fixture::*;
use crate::frames::*;

/// A switch whose path to the peers of domains 1 and 5 takes packets of this many bytes; W9 is behind `VXLAN` and
/// `VXLAN6`.
fn narrow(path_mtu: u16) -> Switch {
    let mut switch = Switch::with_link(topology(), 512, 4096);
    switch.change(|parts| {
        for port in &mut parts.ports {
            port.mtu = 3800;
        }
        for remote in &mut parts.remotes {
            if let Path::Resolved { mtu, .. } = &mut remote.path {
                *mtu = path_mtu;
            }
        }
    });
    switch.bind(DomainId(1), W9, Place::Remote(VXLAN));
    switch.bind(DomainId(5), W9, Place::Remote(VXLAN6));
    switch
}

/// A UDP datagram in a packet of `size` bytes.
pub(crate) fn packet(size: usize, may_fragment: bool) -> Vec<u8> {
    let payload: Vec<u8> = (0..size - 28).map(|number| (number % 251) as u8).collect();
    let frame = udp_ports(W1, W9, (4000, 5000), &payload);
    edit_ip(&frame, |ip| {
        ip[4..6].copy_from_slice(&[0x12, 0x34]);
        ip[6] = if may_fragment { 0 } else { 0x40 };
    })
}

fn packet6(size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(W1.0, W9.0)
        .ipv6(SIX1.octets(), SIX9.octets(), 64)
        .udp(4000, 5000)
        .write(&mut bytes, &vec![7; size - 48])
        .expect("a frame");
    bytes
}

/// Puts the pieces of an IPv4 packet together and says how they came: offset and bytes of each piece's payload.
pub(crate) fn reassemble(frames: &[Vec<u8>]) -> (Vec<u8>, Vec<(usize, usize)>) {
    let (mut whole, mut pieces, mut more) = (Vec::new(), Vec::new(), true);
    for frame in frames {
        assert!(more, "a piece behind the last");
        let packet = &frame[14..];
        let (header, payload) = etherparse::Ipv4Header::from_slice(packet).expect("an IPv4 header");
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        assert_eq!(usize::from(header.total_len), packet.len());
        assert!(!header.dont_fragment);
        let offset = usize::from(header.fragment_offset.value()) * 8;
        assert_eq!(offset, whole.len());
        whole.extend_from_slice(payload);
        pieces.push((offset, payload.len()));
        more = header.more_fragments;
    }
    assert!(!more, "the last piece is missing");
    (whole, pieces)
}

#[test]
fn a_packet_that_may_be_cut_arrives_in_pieces() {
    let mut switch = narrow(1200);
    let frame = packet(3000, true);
    let out = switch.receive_one(A, &frame);
    let inner: Vec<Vec<u8>> = out.iter().map(|out| unwrap(&out.bytes).inner).collect();
    let (whole, pieces) = reassemble(&inner);
    // 1200 less 50 of outer header is 1150: 20 of header, and 1130 cut to a multiple of eight.
    assert_eq!(pieces, [(0, 1128), (1128, 1128), (2256, 724)]);
    assert_eq!(whole, frame[34..]);
    assert!(inner.iter().all(|piece| piece[..14] == frame[..14] && piece[18..20] == [0x12, 0x34]));
    assert!(out.iter().all(|piece| piece.flow == out[0].flow), "one flow");
    let PortCounts { copies, .. } = switch.counters.port(A);
    assert_eq!((copies, switch.drops()), (2, Vec::new()));
}

#[test]
fn every_size_is_cut_right_and_a_piece_can_be_cut_again() {
    for size in (28..3600).step_by(13).chain([1149, 1150, 1151, 1148 + 8]) {
        let frame = packet(size, true);
        let out = narrow(1200).receive_one(A, &frame);
        let inner: Vec<Vec<u8>> = out.iter().map(|out| unwrap(&out.bytes).inner).collect();
        assert!(out.iter().all(|out| out.bytes.len() <= 1200 + 14), "{size}");
        assert_eq!(reassemble(&inner).0, frame[34..], "{size}");
        let mut narrower = narrow(700);
        let again: Vec<Vec<u8>> = inner
            .iter()
            .flat_map(|piece| narrower.receive_one(A, piece))
            .map(|out| unwrap(&out.bytes).inner)
            .collect();
        assert_eq!(reassemble(&again).0, frame[34..], "{size}, twice");
    }
}

#[test]
fn a_checksum_left_to_the_device_and_outer_checksums_are_right() {
    for (ingress, domain, remote) in [(A, 1, VXLAN), (E, 5, VXLAN6), (E, 5, VXLAN_SUMMED)] {
        let mut switch = narrow(1400);
        switch.bind(DomainId(domain), W9, Place::Remote(remote));
        let frame = packet(2000, true);
        let out = switch.receive_one(ingress, &left_to_device(&frame));
        let inner: Vec<Vec<u8>> = out.iter().map(|out| unwrap(&out.bytes).inner).collect();
        assert_eq!(reassemble(&inner).0, frame[34..]);
    }
}

#[test]
fn only_options_to_be_copied_are_in_later_pieces() {
    // Record route, which is not copied, padding, a security option, which is, and the end of the list.
    let options = [7, 7, 4, 0, 0, 0, 0, 1, 130, 3, 0, 0];
    let plain = packet(2000, true);
    let mut frame = [&plain[..34], &options, &plain[34..]].concat();
    frame[14] = 0x48;
    frame[16..18].copy_from_slice(&2012_u16.to_be_bytes());
    let frame = edit_ip(&frame, |_| ());
    let out = narrow(1000).receive_one(A, &frame);
    let inner: Vec<Vec<u8>> = out.iter().map(|out| unwrap(&out.bytes).inner).collect();
    assert_eq!(reassemble(&inner).0, plain[34..]);
    assert_eq!(inner[0][34..46], options);
    for piece in &inner[1..] {
        assert_eq!(piece[34..46], [1, 1, 1, 1, 1, 1, 1, 1, 130, 3, 0, 0]);
    }
}

#[test]
fn padding_behind_a_packet_that_fits_is_cut_off() {
    for may_fragment in [true, false] {
        let frame = packet(1150, may_fragment);
        let out = narrow(1200).receive_one(A, &[&frame[..], &[0; 80]].concat());
        assert_eq!(out.len(), 1);
        assert_eq!(unwrap(&out[0].bytes).inner, frame);
    }
}

#[test]
fn flooded_packets_are_cut_for_each_remote() {
    let mut switch = narrow(1200);
    let frame = edit(&packet(2000, true), |frame| frame[..6].fill(0xff));
    let out = switch.receive_one(A, &frame);
    let mut to_peers = 0;
    for peer in [UP, UP2] {
        let of_peer = out.iter().filter(|out| out.port == peer).map(|out| unwrap(&out.bytes).inner);
        let of_peer: Vec<Vec<u8>> = of_peer.collect();
        assert_eq!(reassemble(&of_peer).0, frame[34..]);
        to_peers += of_peer.len();
    }
    // And to both other access ports as it is.
    assert_eq!((to_peers, out.len()), (4, 6));
    assert_eq!(switch.drops(), []);
}

#[test]
fn without_chunks_the_rest_of_a_datagram_is_dropped() {
    let mut switch = Switch::with_link(narrow(1200).parts, 2, 4096);
    switch.bind(DomainId(1), W9, Place::Remote(VXLAN));
    let out = switch.receive_one(A, &packet(3500, true));
    assert_eq!(out.len(), 1);
    assert_eq!(switch.drops(), [(DropReason::NoChunk, 1)]);
}

/// What an answer says: its MTU, source and destination, and the packet that it quotes.
fn read_answer(frame: &[u8]) -> (u32, Vec<u8>, Vec<u8>, Vec<u8>) {
    let packet = SlicedPacket::from_ethernet(frame).expect("a parseable frame");
    let ends = match packet.net.as_ref().expect("a network header") {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
            assert!(usize::from(header.total_len()) <= 576);
            (header.source().to_vec(), header.destination().to_vec())
        }
        NetSlice::Ipv6(ip) => (ip.header().source().to_vec(), ip.header().destination().to_vec()),
        NetSlice::Arp(_) => panic!("ARP"),
    };
    let (mtu, quoted) = match packet.transport.as_ref().expect("a transport header") {
        TransportSlice::Icmpv4(icmp) => {
            let Icmpv4Type::DestinationUnreachable(icmpv4::DestUnreachableHeader::FragmentationNeeded {
                next_hop_mtu,
            }) = icmp.icmp_type()
            else {
                panic!("{:?}", icmp.icmp_type())
            };
            assert_eq!(ones_complement(icmp.slice()), 0xffff);
            (next_hop_mtu.into(), icmp.payload().to_vec())
        }
        TransportSlice::Icmpv6(icmp) => {
            let Icmpv6Type::PacketTooBig { mtu } = icmp.icmp_type() else { panic!("{:?}", icmp.icmp_type()) };
            let (source, destination) =
                (<[u8; 16]>::try_from(&ends.0[..]), <[u8; 16]>::try_from(&ends.1[..]));
            assert!(icmp.is_checksum_valid(source.expect("16"), destination.expect("16")));
            assert!(icmp.payload().len() <= 1232);
            (mtu, icmp.payload().to_vec())
        }
        other => panic!("{other:?}"),
    };
    (mtu, ends.0, ends.1, quoted)
}

#[test]
fn a_packet_that_may_not_be_cut_is_answered() {
    let mut switch = narrow(1400);
    let frame = packet(1500, false);
    let out = switch.receive_one(A, &frame);
    assert_eq!(out.len(), 1);
    assert_eq!(out[0].port, A);
    assert_eq!(
        (&out[0].bytes[..6], &out[0].bytes[6..12]),
        (&W1.0[..], &W9.0[..]),
        "as if from its destination"
    );
    let (mtu, source, destination, quoted) = read_answer(&out[0].bytes);
    assert_eq!((mtu, source, destination), (1350, IP2.octets().to_vec(), IP1.octets().to_vec()));
    assert_eq!(quoted, frame[14..14 + 548]);
    assert_eq!(switch.drops(), [(DropReason::PacketTooBig, 1)]);

    let mut switch = narrow(1400);
    let frame = packet6(1400);
    let out = switch.receive_one(E, &frame);
    assert_eq!((out.len(), out[0].port), (1, E));
    let (mtu, source, destination, quoted) = read_answer(&out[0].bytes);
    assert_eq!((mtu, source, destination), (1330, SIX9.octets().to_vec(), SIX1.octets().to_vec()));
    assert_eq!(quoted, frame[14..14 + 1232]);
}

#[test]
fn an_answer_keeps_the_tag_of_its_question() {
    let mut switch = narrow(1400);
    let mut frame = packet(1500, false);
    frame.splice(12..12, [0x81, 0, 0, 7]);
    let out = switch.receive_one(A, &frame);
    assert_eq!(out[0].bytes[12..18], [0x81, 0, 0, 7, 8, 0]);
    // The tag takes four bytes of what the path has.
    assert_eq!(read_answer(&out[0].bytes).0, 1346);
}

#[test]
fn what_may_not_be_answered_is_only_dropped() {
    let df = || packet(1500, false);
    let cases: [(&str, u16, Vec<u8>); 9] = [
        ("no IP", 1400, opaque(W1, W9, 1500)),
        (
            "a multicast destination",
            1400,
            edit(&df(), |frame| frame[..6].copy_from_slice(&[1, 0, 0x5e, 1, 1, 1])),
        ),
        ("a multicast group", 1400, edit_ip(&df(), |ip| ip[16..20].copy_from_slice(&[239, 1, 1, 1]))),
        ("nobody's", 1400, edit_ip(&df(), |ip| ip[12..16].fill(0))),
        ("an ICMP error", 1400, edit_ip(&df(), |ip| (ip[9], ip[20]) = (1, 3))),
        ("a later fragment", 1400, edit_ip(&df(), |ip| ip[7] = 9)),
        ("a bad length", 1400, edit_ip(&df(), |ip| ip[2] = 0xff)),
        ("IPv6 below what it needs", 1340, packet6(1400)),
        ("IPv4 below what it needs", 117, df()),
    ];
    for (name, path_mtu, frame) in cases {
        let mut switch = narrow(path_mtu);
        if path_mtu == 1340 {
            switch.bind(DomainId(1), W9, Place::Remote(VXLAN6));
        }
        let ingress = if name.starts_with("IPv6") { E } else { A };
        let out = switch.receive_one(ingress, &frame);
        let to_remotes = out.iter().filter(|out| [UP, UP2, ingress].contains(&out.port)).count();
        assert_eq!(to_remotes, 0, "{name}");
        assert!(switch.sum().drops_for(DropReason::PacketTooBig) >= 1, "{name}: {:?}", switch.drops());
    }
}

#[test]
fn between_ports_and_from_the_overlay_too_big_is_dropped() {
    let mut switch = Switch::new();
    switch.bind(DomainId(1), W2, Place::Port(SMALL));
    for (ingress, frame) in [
        (A, udp(W1, W2, 600)),
        (A, edit_ip(&udp(W1, W2, 600), |ip| ip[6] = 0x40)),
        (UP, vxlan(&udp(W9, W2, 600))),
    ] {
        assert_eq!(switch.receive_one(ingress, &frame), []);
    }
    assert_eq!(switch.drops(), [(DropReason::PacketTooBig, 3)]);
}

#[test]
fn answers_are_limited_by_flow_and_by_port() {
    let mut switch = narrow(1400);
    let flow = |port: u16| {
        let frame = udp_ports(W1, W9, (port, 5000), &[7; 1472]);
        edit_ip(&frame, |ip| ip[6] = 0x40)
    };
    assert_eq!(switch.receive(A, &vec![flow(1); 10]).len(), 1, "a flow once a second");
    let flows: Vec<Vec<u8>> = (2..1000).map(flow).collect();
    let answered = switch.receive(A, &flows).len();
    // Two flows may share a place in what is remembered, so a few may be missing.
    assert_eq!(answered, 99, "a port a hundred times a second");
    assert_eq!(switch.receive(B, &[flow(2000)]).len(), 1, "another port has its own");
    switch.now.nanoseconds += 1_000_000_000;
    assert_eq!(switch.receive(A, &vec![flow(1); 10]).len(), 1);
    assert_eq!(switch.sum().drops_for(DropReason::PacketTooBig), 10 + 998 + 1 + 10);
}

#[test]
fn a_narrower_path_holds_for_its_remote_alone() {
    let mut switch = narrow(1400);
    switch.change(|parts| {
        for remote in parts.remotes.iter_mut().filter(|remote| remote.id == VXLAN2) {
            remote.path =
                Path::Resolved { uplink: UP2, source: UPLINK_MAC, next_hop: NEXT_HOP, mtu: u16::MAX };
        }
    });
    let other = Mac([2, 0, 0, 1, 0, 8]);
    switch.bind(DomainId(1), other, Place::Remote(VXLAN2));
    let frame = edit(&packet(1500, false), |frame| frame[..6].copy_from_slice(&other.0));
    assert_eq!(switch.receive_one(A, &frame)[0].port, UP2);
    assert_eq!(switch.receive_one(A, &packet(1500, false))[0].port, A);
}
