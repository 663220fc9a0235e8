//! What outer headers and inner packets tell each other: the tables of RFC 6040 in full, over both families and both
//! encapsulations, and DSCP, TTL and DF as configured.

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};
use forward::ids::{DomainId, PortId, RemoteId};
use forward::link::Place;
use forward::marking::{DontFragment, EcnMode, Marking, Octet};
use forward::verdict::DropReason;
use wire::Mac;

use crate::fixture::*;
use crate::frames::*;
use crate::frames6::{gre6, vxlan6};

const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const ECT_0: u8 = 2;
const CE: u8 = 3;

/// Ingress, domain, remote, whether over IPv6.
const WAYS: [(PortId, u16, RemoteId, bool); 5] = [
    (A, 1, VXLAN, false),
    (C, 2, GRE_KEY, false),
    (E, 5, VXLAN_SUMMED, false),
    (E, 5, VXLAN6, true),
    (F, 6, GRE6_KEY, true),
];

/// Class, TTL and DF of an IP header, whose checksum is right; over IPv6 DF is as good as set.
fn read(packet: &[u8]) -> (u8, u8, bool) {
    if packet[0] >> 4 == 6 {
        let header = Ipv6HeaderSlice::from_slice(packet).expect("an IPv6 header").to_header();
        return (header.traffic_class, header.hop_limit, true);
    }
    let header = Ipv4HeaderSlice::from_slice(packet).expect("an IPv4 header").to_header();
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    (header.dscp.value() << 2 | header.ecn.value(), header.time_to_live, header.dont_fragment)
}

/// An inner IPv4 or IPv6 packet with this class, TTL, and DF if that can be.
fn inner(source: Mac, destination: Mac, (class, ttl, dont_fragment): (u8, u8, bool), six: bool) -> Vec<u8> {
    if six {
        return edit(&tcp6(source, destination, b"payload"), |frame| {
            frame[14] = 0x60 | class >> 4;
            frame[15] = class << 4;
            frame[21] = ttl;
        });
    }
    edit_ip(&udp(source, destination, 40), |packet| {
        packet[1] = class;
        packet[6] = if dont_fragment { 0x40 } else { 0 };
        packet[8] = ttl;
    })
}

/// The outer header that an inner packet gets.
fn around(marking: Marking, way: (PortId, u16, RemoteId), frame: &[u8]) -> (u8, u8, bool) {
    let (ingress, domain, remote) = way;
    let mut switch = Switch::new();
    switch.change(|parts| parts.remotes.iter_mut().for_each(|remote| remote.marking = marking));
    switch.bind(DomainId(domain), W9, Place::Remote(remote));
    let out = switch.receive_one(ingress, frame);
    assert_eq!(out.len(), 1, "{:?}", switch.drops());
    assert!(out[0].bytes.ends_with(frame), "the inner packet stays as it is");
    read(&out[0].bytes[14..])
}

#[test]
fn encapsulation_makes_the_ecn_field_as_configured() {
    let modes = [
        (EcnMode::Normal, [NOT_ECT, ECT_1, ECT_0, CE]),
        (EcnMode::Reset, [NOT_ECT, ECT_1, ECT_0, ECT_0]),
        (EcnMode::Compatibility, [NOT_ECT; 4]),
    ];
    for (ecn, expected) in modes {
        for ((field, expected), six) in (0..4).zip(expected).flat_map(|pair| [(pair, false), (pair, true)]) {
            for (ingress, domain, remote, _) in WAYS {
                let marking = Marking { ecn, ..Marking::default() };
                let frame = inner(W1, W9, (46 << 2 | field, 9, true), six);
                let outer = around(marking, (ingress, domain, remote), &frame);
                assert_eq!(outer, (expected, 64, true), "{ecn:?}, inner {field}, {remote:?}");
            }
        }
    }
}

/// Figure 4 of RFC 6040, every inner field in every outer one.
#[test]
fn decapsulation_follows_the_table_of_the_rfc() {
    // Columns: outer Not-ECT, ECT(1), ECT(0), CE.
    let table = [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
        (ECT_0, [Some(ECT_0), Some(ECT_1), Some(ECT_0), Some(CE)]),
        (CE, [Some(CE); 4]),
    ];
    for (field, row) in table {
        for ((outer, expected), six) in (0..4).zip(row).flat_map(|pair| [(pair, false), (pair, true)]) {
            let class = 46 << 2 | field;
            let frame = inner(W9, W1, (class, 9, true), six);
            let four = |packet: &[u8]| edit_ip(packet, |packet| packet[1] = 8 << 2 | outer);
            let over6 = |packet: &[u8]| edit(packet, |packet| packet[15] |= outer << 4);
            let packets = [
                (A, four(&vxlan(&frame))),
                (C, four(&gre(Some(200), &frame))),
                (E, over6(&vxlan6(&frame))),
                (F, over6(&gre6(Some(600), &frame))),
            ];
            for (egress, packet) in packets {
                let mut switch = Switch::new();
                let domain = match egress {
                    A => 1,
                    C => 2,
                    E => 5,
                    _ => 6,
                };
                switch.bind(DomainId(domain), W1, Place::Port(egress));
                // Twice: the second time the tunnel is known.
                let out = switch.receive(UP, &[packet.clone(), packet]);
                let Some(expected) = expected else {
                    assert_eq!((out, switch.drops()), (Vec::new(), vec![(DropReason::IpTunnelEcn, 2)]));
                    continue;
                };
                assert_eq!(out.len(), 2, "{:?}", switch.drops());
                for out in out {
                    assert_eq!(out.port, egress);
                    assert_eq!(read(&out.bytes[14..]), (46 << 2 | expected, 9, true), "{field} in {outer}");
                    assert!(checksums_are_right(&out.bytes));
                }
            }
        }
    }
}

/// A tunnel whose packets went the short way before: one of them that met congestion must not.
#[test]
fn a_known_tunnel_is_no_reason_to_overlook_congestion() {
    let mut switch = Switch::new();
    switch.bind(DomainId(1), W1, Place::Port(A));
    let plain = vxlan(&inner(W9, W1, (NOT_ECT, 9, true), false));
    let marked = edit_ip(&plain, |packet| packet[1] = CE);
    let capable = edit_ip(&vxlan(&inner(W9, W1, (ECT_0, 9, true), false)), |packet| packet[1] = CE);
    let out = switch.receive(UP, &[plain.clone(), plain.clone(), marked, capable, plain]);
    assert_eq!(switch.drops(), [(DropReason::IpTunnelEcn, 1)]);
    let classes: Vec<u8> = out.iter().map(|out| read(&out.bytes[14..]).0).collect();
    assert_eq!(classes, [NOT_ECT, NOT_ECT, CE, NOT_ECT]);
}

/// What is no IP has nothing to be told.
#[test]
fn congestion_around_other_frames_is_nobodys_business() {
    let mut switch = Switch::new();
    switch.bind(DomainId(1), W1, Place::Port(A));
    let frame = opaque(W9, W1, 60);
    let out = switch.receive_one(UP, &edit_ip(&vxlan(&frame), |packet| packet[1] = CE));
    assert_eq!(out.len(), 1, "{:?}", switch.drops());
    assert_eq!(out[0].bytes, frame);
}

#[test]
fn class_ttl_and_df_are_fixed_or_inherited() {
    let fixed = Marking {
        tos: Octet::Fixed(46 << 2),
        ttl: Octet::Fixed(7),
        df: DontFragment::Unset,
        ecn: EcnMode::Normal,
    };
    let inherited = Marking {
        tos: Octet::Inherited,
        ttl: Octet::Inherited,
        df: DontFragment::Inherited,
        ecn: EcnMode::Normal,
    };
    for (ingress, domain, remote, over_ipv6) in WAYS {
        let way = (ingress, domain, remote);
        let df = |wanted: bool| wanted || over_ipv6;
        for six in [false, true] {
            for dont_fragment in [false, true] {
                let frame = inner(W1, W9, (10 << 2 | ECT_0, 33, dont_fragment), six);
                assert_eq!(around(fixed, way, &frame), (46 << 2 | ECT_0, 7, df(false)));
                let wanted = df(dont_fragment || six);
                assert_eq!(around(inherited, way, &frame), (10 << 2 | ECT_0, 33, wanted));
            }
        }
        let expired = inner(W1, W9, (0, 0, true), false);
        assert_eq!(around(inherited, way, &expired), (0, 64, true));
        let other = opaque(W1, W9, 60);
        assert_eq!(around(fixed, way, &other), (46 << 2, 7, df(false)));
        assert_eq!(around(inherited, way, &other), (0, 64, df(false)));
        // Behind a tag too.
        let tagged = edit(&inner(W1, W9, (10 << 2 | CE, 33, true), false), |frame| {
            frame.splice(12..12, [0x81, 0, 0, 7]);
        });
        assert_eq!(around(inherited, way, &tagged), (10 << 2 | CE, 33, true));
    }
}

/// A marked frame is bound by the same MTU as others.
#[test]
fn a_marked_frame_can_be_too_big() {
    let frame = |payload| edit_ip(&udp(W1, W9, payload), |packet| packet[1] = ECT_0);
    let mut switch = Switch::new();
    switch.bind(DomainId(1), W9, Place::Remote(VXLAN));
    let out = switch.receive_one(A, &frame(1500 - 50 - 28));
    assert_eq!(out.iter().map(|out| out.port).collect::<Vec<_>>(), [UP]);
    // One byte more has DF set: its sender is told.
    let out = switch.receive_one(A, &frame(1500 - 50 - 27));
    assert_eq!(out.iter().map(|out| out.port).collect::<Vec<_>>(), [A]);
}
