//! All pieces of an inner packet take one way, in order (RFC 7348 section 5 leaves it to the hash): one flow, one UDP
//! source port, one egress queue and so one worker.

use std::collections::HashSet;

use forward::ids::DomainId;
use forward::link::Place;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::fixture::*;
use crate::frames::*;

/// The pieces of an IPv4 packet.
fn pieces4(frame: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (headers, payload) = frame.split_at(34);
    let chunks: Vec<&[u8]> = payload.chunks(size * 8).collect();
    let piece = |(number, chunk): (usize, &&[u8])| {
        let more = u16::from(number + 1 < chunks.len()) << 13;
        edit_ip(&[headers, chunk].concat(), |ip| {
            ip[2..4].copy_from_slice(&(20 + chunk.len() as u16).to_be_bytes());
            ip[6..8].copy_from_slice(&(more | (number * size) as u16).to_be_bytes());
        })
    };
    chunks.iter().enumerate().map(piece).collect()
}

/// An extension header of options, of 8 or more bytes.
fn options(next: u8, units: u8) -> Vec<u8> {
    let mut header = vec![next, units];
    header.resize(usize::from(units) * 8 + 8, 0);
    header
}

/// The pieces of an IPv6 packet with `before` options headers in every piece and `after` as part of what is cut.
fn pieces6(protocol: u8, payload: &[u8], before: &[u8], after: &[u8], size: usize) -> Vec<Vec<u8>> {
    let chain = |kinds: &[u8], last: u8| -> Vec<u8> {
        let next = |index: usize| if index + 1 < kinds.len() { 60 } else { last };
        kinds.iter().enumerate().flat_map(|(index, units)| options(next(index), *units)).collect()
    };
    let first_of = |kinds: &[u8], last: u8| if kinds.is_empty() { last } else { 60 };
    let whole = [&chain(after, protocol)[..], payload].concat();
    let chunks: Vec<&[u8]> = whole.chunks(size * 8).collect();
    let piece = |(number, chunk): (usize, &&[u8])| {
        let more = u16::from(number + 1 < chunks.len());
        let field = ((number * size) as u16) << 3 | more;
        let fragment = [&[first_of(after, protocol), 0], &field.to_be_bytes()[..], &[0, 0, 0, 9]].concat();
        let body = [&chain(before, 44)[..], &fragment, chunk].concat();
        let fixed = [
            &W9.0[..],
            &W1.0,
            &[0x86, 0xdd, 0x60, 0, 0, 0],
            &(body.len() as u16).to_be_bytes(),
            &[first_of(before, 44), 64],
            &SIX1.octets(),
            &SIX9.octets(),
            &body,
        ];
        fixed.concat()
    };
    chunks.iter().enumerate().map(piece).collect()
}

/// What a switch sends for frames: the flows, and the outer source ports.
fn ways(frames: &[Vec<u8>]) -> (HashSet<u32>, HashSet<u16>, Vec<Vec<u8>>) {
    let mut switch = Switch::new();
    switch.bind(DomainId(1), W9, Place::Remote(VXLAN));
    let out = switch.receive(A, frames);
    let source_port = |wrapping| match wrapping {
        Wrapping::Vxlan { source_port, .. } => source_port,
        Wrapping::Gre { .. } => 0,
    };
    let flows = out.iter().map(|out| out.flow).collect();
    let unwrapped: Vec<Tunnelled> = out.iter().map(|out| unwrap(&out.bytes)).collect();
    let ports = unwrapped.iter().map(|packet| source_port(packet.wrapping)).collect();
    (flows, ports, unwrapped.into_iter().map(|packet| packet.inner).collect())
}

proptest! {
    #[test]
    fn pieces_of_an_ipv4_packet_go_together(
        ports in any::<(u16, u16)>(),
        payload in vec(any::<u8>(), 100..1300),
        protocol in prop_oneof![Just(17), Just(6), Just(1), any::<u8>()],
        size in 1_usize..60,
    ) {
        let frame = edit_ip(&udp_ports(W1, W9, ports, &payload), |ip| ip[9] = protocol);
        let pieces = pieces4(&frame, size);
        let (flows, ports, inner) = ways(&pieces);
        prop_assert_eq!((flows.len(), ports.len()), (1, 1));
        prop_assert_eq!(inner, pieces, "in order, as they were");
    }

    #[test]
    fn pieces_of_an_ipv6_packet_go_together(
        payload in vec(any::<u8>(), 100..1300),
        protocol in prop_oneof![Just(17), Just(6), Just(58), Just(44), any::<u8>()],
        before in vec(0_u8..3, 0..10),
        after in vec(0_u8..9, 0..10),
        size in 1_usize..60,
    ) {
        let pieces = pieces6(protocol, &payload, &before, &after, size);
        prop_assume!(pieces.len() > 1 && pieces[0].len() < 1500);
        let (flows, ports, inner) = ways(&pieces);
        prop_assert_eq!((flows.len(), ports.len()), (1, 1));
        prop_assert_eq!(inner, pieces, "in order, as they were");
    }
}

#[test]
fn different_datagrams_take_different_ways() {
    let mut seen = HashSet::new();
    for last in 0..64 {
        let frame = edit_ip(&udp(W1, W9, 1000), |ip| ip[19] = last);
        let (flows, ports, _) = ways(&pieces4(&frame, 40));
        assert_eq!(flows.len(), 1);
        seen.extend(ports);
    }
    assert!(seen.len() > 56, "64 pairs of addresses have {} source ports", seen.len());
}
