//! Tunnels that have more than plain VXLAN and GRE: options of GRE, NVGRE, GRE in UDP, several UDP ports, source ports of
//! another range, reserved bits of VXLAN, VNIs that carry no tags. Over both families where that can differ.

use std::collections::HashSet;
use std::sync::Arc;

use forward::entropy::SourcePorts;
use forward::extended::Sequence;
use forward::ids::{DomainId, RemoteId};
use forward::link::Place;
use forward::tables::{Encapsulation, InnerTags, TablesParts, TunnelOptions};
use forward::verdict::DropReason;
use proptest::prelude::*;
use wire::Mac;

use crate::fixture::*;
use crate::frames::*;
use crate::properties::frame;

/// How domain 5 is wrapped, to `PEER6` or to `PEER`.
#[derive(Clone, Debug)]
struct Tunnel {
    encapsulation: Encapsulation,
    options: fn() -> TunnelOptions,
    udp_checksum: bool,
    over_ipv6: bool,
}

const NONE: fn() -> TunnelOptions = TunnelOptions::default;

impl Tunnel {
    fn remote(&self) -> RemoteId {
        if self.over_ipv6 { VXLAN6 } else { VXLAN_SUMMED }
    }

    fn parts(&self) -> TablesParts {
        let mut parts = topology();
        let id = self.remote();
        parts.remotes.retain(|remote| remote.id == id);
        for remote in &mut parts.remotes {
            (remote.encapsulation, remote.options) = (self.encapsulation, (self.options)());
            remote.udp_checksum = self.udp_checksum;
        }
        parts.domains.retain(|domain| domain.id == DomainId(5));
        for domain in &mut parts.domains {
            (domain.encapsulation, domain.remotes) = (self.encapsulation, vec![id]);
        }
        parts.ports.retain(|port| [UP, E].contains(&port.id));
        parts
    }

    /// Our switch, with W9 behind the peer.
    fn here(&self) -> Switch {
        let switch = Switch::of(self.parts());
        switch.bind(DomainId(5), W9, Place::Remote(self.remote()));
        switch
    }

    /// The peer's, with W9 at its port.
    fn there(&self) -> Switch {
        let mut parts = self.parts();
        for remote in &mut parts.remotes {
            (remote.local, remote.address) = (remote.address, remote.local);
        }
        for domain in &mut parts.domains {
            domain.locals = vec![PEER.into(), PEER6.into()];
        }
        let switch = Switch::of(parts);
        switch.bind(DomainId(5), W9, Place::Port(E));
        switch
    }

    /// Outer bytes behind Ethernet and IP of a frame that is sent, and of the whole.
    fn upper(&self, switch: &mut Switch, frame: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let out = switch.receive_one(E, frame);
        assert_eq!(out.len(), 1, "{:?}", switch.drops());
        let bytes = out[0].bytes.clone();
        (bytes[if self.over_ipv6 { 54 } else { 34 }..].to_vec(), bytes)
    }
}

fn all_options() -> TunnelOptions {
    TunnelOptions { gre_checksum: true, gre_sequence: Some(Arc::new(Sequence::default())), ..NONE() }
}

fn some_ports() -> TunnelOptions {
    let source_ports = SourcePorts::new(1000, 1009).expect("a range");
    TunnelOptions { source_ports, further_ports: vec![8472, 9999], ..NONE() }
}

/// Every kind of extended header.
fn tunnels() -> Vec<Tunnel> {
    let vxlan = Encapsulation::Vxlan { vni: vni(500), port: 4789 };
    let kinds: [(Encapsulation, fn() -> TunnelOptions); 8] = [
        (vxlan, some_ports),
        (Encapsulation::Gre { key: None }, all_options),
        (Encapsulation::Gre { key: Some(7) }, all_options),
        (Encapsulation::Gre { key: Some(7) }, || TunnelOptions { gre_sequence: None, ..all_options() }),
        (Encapsulation::Gre { key: Some(7) }, || TunnelOptions { gre_checksum: false, ..all_options() }),
        (Encapsulation::Nvgre { subnet: vni(500) }, NONE),
        (Encapsulation::GreInUdp { key: Some(7), port: 4754 }, all_options),
        (Encapsulation::GreInUdp { key: None, port: 4754 }, some_ports),
    ];
    let of = |over_ipv6, udp_checksum| {
        let tunnel =
            move |(encapsulation, options)| Tunnel { encapsulation, options, udp_checksum, over_ipv6 };
        kinds.into_iter().map(tunnel)
    };
    of(false, false).chain(of(false, true)).chain(of(true, true)).chain(of(true, false)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn decapsulation_undoes_extended_encapsulation(frame in frame()) {
        for tunnel in tunnels() {
            let (mut here, mut there) = (tunnel.here(), tunnel.there());
            let outer = here.receive_one(E, &frame);
            // A frame cut inside its tag is no frame.
            let Some(outer) = outer.first() else {
                prop_assert_eq!(here.drops().len(), 1);
                continue;
            };
            let inner = there.receive_one(UP, &outer.bytes);
            prop_assert_eq!(inner.len(), 1, "{:?}: {:?}", tunnel, there.drops());
            prop_assert_eq!(inner[0].flow, outer.flow, "both ends see one flow");
            if inner[0].bytes != frame {
                // Chance made the checksum look as if it was left to the device.
                let mut completed = frame.clone();
                prop_assert!(wire::checksum::complete_partial(&mut completed));
                prop_assert_eq!(&inner[0].bytes, &completed);
            }
        }
    }
}

/// The sum of a UDP datagram with its pseudo-header.
fn udp_sum(packet: &[u8], over_ipv6: bool) -> u16 {
    let (addresses, upper) =
        if over_ipv6 { (&packet[22..54], &packet[54..]) } else { (&packet[26..34], &packet[34..]) };
    let length = u16::try_from(upper.len()).expect("a datagram").to_be_bytes();
    ones_complement(&[addresses, &[0, 17], &length, upper].concat())
}

#[test]
fn extended_headers_are_as_the_rfcs_have_them() {
    let frame = udp(W1, W9, 61);
    for tunnel in tunnels() {
        let mut here = tunnel.here();
        let options = (tunnel.options)();
        for number in 0..3_u32 {
            let (upper, packet) = tunnel.upper(&mut here, &frame);
            let (is_udp, key) = match tunnel.encapsulation {
                Encapsulation::Vxlan { .. } => (true, None),
                Encapsulation::Gre { key } => (false, Some(key)),
                Encapsulation::Nvgre { .. } => (false, Some(Some(500 << 8))),
                Encapsulation::GreInUdp { key, .. } => (true, Some(key)),
            };
            let mut rest = &upper[..];
            if is_udp {
                let source = u16::from_be_bytes([rest[0], rest[1]]);
                assert!((options.source_ports.first()..=options.source_ports.last()).contains(&source));
                let port = if key.is_some() { 4754_u16 } else { 4789 };
                assert_eq!(rest[2..4], port.to_be_bytes());
                assert_eq!(usize::from(u16::from_be_bytes([rest[4], rest[5]])), rest.len());
                let has_checksum = rest[6..8] != [0, 0];
                assert_eq!(has_checksum, tunnel.udp_checksum, "{tunnel:?}");
                if has_checksum {
                    assert_eq!(udp_sum(&packet, tunnel.over_ipv6), 0xffff, "{tunnel:?}");
                }
                rest = &rest[8..];
            }
            let Some(key) = key else {
                assert_eq!(rest[..8], [8, 0, 0, 0, 0, 1, 0xf4, 0]);
                assert_eq!(&rest[8..], frame);
                continue;
            };
            let flags =
                [(0x80, options.gre_checksum), (0x20, key.is_some()), (0x10, options.gre_sequence.is_some())];
            let flags: u8 = flags.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).sum();
            assert_eq!(rest[..4], [flags, 0, 0x65, 0x58]);
            let whole = rest;
            rest = &rest[4..];
            if options.gre_checksum {
                assert_eq!(ones_complement(whole), 0xffff);
                assert_eq!(rest[2..4], [0, 0]);
                rest = &rest[4..];
            }
            if let Some(key) = key {
                let found = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
                let is_nvgre = matches!(tunnel.encapsulation, Encapsulation::Nvgre { .. });
                assert_eq!(if is_nvgre { found & !0xff } else { found }, key);
                rest = &rest[4..];
            }
            if options.gre_sequence.is_some() {
                assert_eq!(rest[..4], number.to_be_bytes());
                rest = &rest[4..];
            }
            assert_eq!(rest, frame);
        }
    }
}

/// Flooded frames and those whose receiver is known leave in the order in which they came, and are numbered in it.
#[test]
fn numbers_follow_the_order_in_which_frames_leave() {
    let tunnel = tunnels()[2].clone();
    let mut here = tunnel.here();
    let frames: Vec<_> = [W9, Mac::BROADCAST, W9, W2, W9].map(|to| udp(W1, to, 20)).into();
    let numbers = here.receive(E, &frames).into_iter().map(|out| out.bytes[46..50].to_vec());
    assert_eq!(numbers.collect::<Vec<_>>(), (0..5).map(u32::to_be_bytes).collect::<Vec<_>>());
}

/// Flows spread over the source ports and over NVGRE's flow identifiers, and each keeps its own.
#[test]
fn flows_spread() {
    let port = |packet: &[u8]| u32::from(u16::from_be_bytes([packet[0], packet[1]]));
    let flow = |packet: &[u8]| u32::from(packet[7]);
    type Field = fn(&[u8]) -> u32;
    let cases: [(Tunnel, Field, usize); 2] =
        [(tunnels()[0].clone(), port, 10), (tunnels()[5].clone(), flow, 64)];
    for (tunnel, field, least) in cases {
        let mut here = tunnel.here();
        let mut value = |number| field(&tunnel.upper(&mut here, &udp_ports(W1, W9, (number, 53), b"x")).0);
        let first: Vec<u32> = (0..128).map(&mut value).collect();
        assert_eq!(first, (0..128).map(&mut value).collect::<Vec<u32>>());
        assert!(first.iter().collect::<HashSet<_>>().len() >= least, "{first:?}");
    }
}

#[test]
fn each_reserved_bit_alone_drops_unless_it_is_let_pass() {
    let inner = udp(W9, W1, 60);
    let reserved = (0..64).filter(|bit| wire::vxlan::RESERVED >> bit & 1 != 0);
    let with = |bit: u32| edit(&vxlan(&inner), |frame| frame[42 + 7 - bit as usize / 8] |= 1 << (bit % 8));
    let mut seen = 0;
    for bit in reserved {
        let mut switch = Switch::new();
        switch.bind(DomainId(1), W1, Place::Port(A));
        // Behind a packet without it, so that the tunnel is known.
        let out = switch.receive(UP, &[vxlan(&inner), with(bit), vxlan(&inner)]);
        assert_eq!((out.len(), switch.drops()), (2, vec![(DropReason::VxlanInvalidHeader, 1)]), "bit {bit}");
        switch.change(|parts| parts.remotes.iter_mut().for_each(|it| it.options.reserved_bits = 1 << bit));
        assert_eq!(switch.receive(UP, &[with(bit), with(bit)]).len(), 2, "bit {bit}");
        let other = with(if bit == 63 { 62 } else { 63 });
        assert_eq!(switch.receive_one(UP, &other), [], "bit {bit}");
        assert_eq!(switch.drops(), [(DropReason::VxlanInvalidHeader, 2)], "bit {bit}");
        seen += 1;
    }
    assert_eq!(seen, 39, "all but I and the VNI");
}

#[test]
fn packets_come_to_every_port_and_leave_for_the_first() {
    let mut switch = Switch::new();
    switch.bind(DomainId(1), W1, Place::Port(A));
    let inner = udp(W9, W1, 60);
    let at = |port| underlay(PEER, 17, &vxlan_datagram(port, 100, &inner));
    assert_eq!(switch.receive(UP, &[at(4789), at(8472)]).len(), 1);
    assert_eq!(switch.drops(), [(DropReason::VxlanVniNotFound, 1)]);
    switch
        .change(|parts| parts.remotes.iter_mut().for_each(|it| it.options.further_ports = vec![8472, 7000]));
    assert_eq!(switch.receive(UP, &[at(4789), at(8472), at(7000), at(8472)]).len(), 4);
    assert_eq!(switch.receive_one(UP, &at(7001)), []);
    assert_eq!(switch.drops(), [(DropReason::NotTunnel, 1), (DropReason::VxlanVniNotFound, 1)]);
    switch.bind(DomainId(1), W9, Place::Remote(VXLAN));
    let out = switch.receive_one(A, &udp(W1, W9, 60));
    assert!(matches!(unwrap(&out[0].bytes).wrapping, Wrapping::Vxlan { port: 4789, .. }));
}

#[test]
fn what_gre_and_its_kin_refuse_has_its_reason() {
    use DropReason::*;
    let inner = udp(W1, W9, 60);
    let check = |tunnel: &Tunnel, name: &str, change: &dyn Fn(&mut Vec<u8>), reason| {
        let (mut here, mut there) = (tunnel.here(), tunnel.there());
        let (_, mut packet) = tunnel.upper(&mut here, &inner);
        change(&mut packet);
        assert_eq!(there.receive_one(UP, &packet), [], "{name}");
        assert_eq!(there.drops(), [(reason, 1)], "{name}");
    };
    let plain =
        |encapsulation| Tunnel { encapsulation, options: NONE, udp_checksum: false, over_ipv6: false };
    let gre = plain(Encapsulation::Gre { key: Some(7) });
    check(&gre, "version 1", &|packet| packet[35] = 1, GreVersion);
    for flag in [0x40, 0x08, 0x04] {
        check(&gre, "an unknown flag", &|packet| packet[34] |= flag, GreFlags);
    }
    check(&gre, "another payload", &|packet| packet[36] = 8, GreInvalidHeader);
    check(&gre, "another key", &|packet| packet[41] = 8, VxlanVniNotFound);
    check(
        &gre,
        "a stranger",
        &|packet| packet.splice(14.., edit_ip(packet, |ip| ip[15] = 99).drain(14..)).for_each(drop),
        PeerNotAllowed,
    );
    let summed = Tunnel { options: all_options, ..gre };
    check(&summed, "a changed payload", &|packet| packet[60] ^= 1, GreChecksum);
    let nvgre = plain(Encapsulation::Nvgre { subnet: vni(500) });
    check(&nvgre, "another subnet", &|packet| packet[40] ^= 1, VxlanVniNotFound);
    check(&nvgre, "a sequence number", &|packet| packet[34] |= 0x10, GreFlags);
    check(
        &nvgre,
        "a stranger's",
        &|packet| packet.splice(14.., edit_ip(packet, |ip| ip[15] = 99).drain(14..)).for_each(drop),
        PeerNotAllowed,
    );
    check(&nvgre, "no key", &|packet| packet[34] = 0, VxlanVniNotFound);
    let in_udp = Tunnel {
        udp_checksum: true,
        over_ipv6: true,
        ..plain(Encapsulation::GreInUdp { key: Some(7), port: 4754 })
    };
    check(&in_udp, "a wrong UDP checksum", &|packet| packet[60] ^= 0x55, UdpChecksum);
    check(&in_udp, "no UDP checksum over IPv6", &|packet| packet[60..62].fill(0), UdpChecksum);
    let in_udp = Tunnel { udp_checksum: false, over_ipv6: false, ..in_udp };
    check(&in_udp, "version 7 in UDP", &|packet| packet[43] = 7, GreVersion);
    check(&in_udp, "another key in UDP", &|packet| packet[49] = 8, VxlanVniNotFound);
    check(&in_udp, "cut in UDP", &|packet| (packet[38], packet[39]) = (0, 11), FrameTooShort);
    check(&in_udp, "VXLAN's port", &|packet| (packet[36], packet[37]) = (0x12, 0xb5), NotTunnel);
}

/// Whether workloads or peers send them, and although the tunnel is known.
#[test]
fn a_vni_without_tags_drops_them() {
    let mut switch = Switch::new();
    switch.change(|parts| parts.domains[0].inner_tags = InnerTags::Dropped);
    switch.bind(DomainId(1), W1, Place::Port(A));
    let out =
        switch.receive(UP, &[vxlan(&udp(W9, W1, 60)), vxlan(&tagged(W9, W1, 60)), vxlan(&udp(W9, W1, 60))]);
    assert_eq!(out.len(), 2);
    assert_eq!(switch.receive(A, &[tagged(W1, W9, 60)]), []);
    assert_eq!(switch.drops(), [(DropReason::VlanTagged, 2)]);
    assert_eq!(switch.receive(C, &[tagged(W1, W9, 60)]).len(), 1, "another VNI carries them");
}

/// Neither sent nor taken (RFC 7637 section 3.2), whatever the VNI does with them elsewhere.
#[test]
fn nvgre_has_no_tags_inside() {
    let nvgre = |frame: &[u8]| gre(Some(800 << 8 | 5), frame);
    let domain = DomainId(8);
    let service = |frame: &[u8]| edit(frame, |frame| frame[12..14].copy_from_slice(&[0x88, 0xa8]));
    let mut switch = Switch::new();
    switch.bind(domain, W1, Place::Port(H));
    let mut dropped = 0;
    for tags in [tagged(W9, W1, 60), service(&tagged(W9, W1, 60)), with_tag(&udp(W9, W1, 60), 0xe000)] {
        assert_eq!(switch.receive_one(UP, &nvgre(&tags)), []);
        dropped += 1;
        assert_eq!(switch.drops(), [(DropReason::VlanTagged, dropped)]);
    }
    assert_eq!(switch.place_of(domain, W9), None, "nothing is learned from them");
    // On the way out known unicast, flooded frames, and what would have to be cut.
    let [plain, broadcast] = [W9, Mac::BROADCAST].map(|to| udp(W1, to, 60));
    let long = edit_ip(&udp(W1, W9, 1500), |ip| ip[6] = 0);
    for known in [false, true] {
        if known {
            switch.bind(domain, W9, Place::Remote(NVGRE));
        }
        for frame in [&plain, &broadcast, &long] {
            assert_eq!(switch.receive_one(H, &with_tag(frame, 7)), []);
            dropped += 1;
            assert_eq!(switch.drops(), [(DropReason::VlanTagged, dropped)]);
        }
        for frame in [&plain, &broadcast] {
            let out = switch.receive_one(H, frame);
            assert_eq!((out.len(), &unwrap(&out[0].bytes).inner), (1, frame));
        }
    }
    assert_eq!(switch.receive_one(UP, &nvgre(&udp(W9, W1, 60))).len(), 1);
    // A remote over NVGRE in a VNI that carries them to others.
    switch.change(|parts| {
        parts.domains[7].remotes.clear();
        parts.domains[0].remotes = vec![VXLAN, NVGRE];
        let remote = parts.remotes.iter_mut().find(|remote| remote.id == NVGRE).expect("the remote");
        remote.domain = DomainId(1);
    });
    let out = switch.receive_one(A, &with_tag(&broadcast, 7));
    assert_eq!(out.iter().map(|out| out.port).collect::<Vec<_>>(), [B, SMALL, UP], "all others");
    assert_eq!(switch.drops(), [(DropReason::VlanTagged, dropped + 1)]);
}
