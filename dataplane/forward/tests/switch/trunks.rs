//! Trunk ports: tags and domains, in and out, and that nothing comes from one VLAN into another.

use std::net::Ipv4Addr;

use forward::fdb::Kind;
use forward::flood::StormLimit;
use forward::ids::{DomainId, PortId};
use forward::link::{Event, Place};
use forward::protection::{Binding, Guard};
use forward::tables::{InnerTags, Listeners, Path};
use forward::verdict::DropReason;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use wire::Mac;

use crate::fixture::*;
use crate::frames::*;
use crate::properties::frame;

const RED: DomainId = DomainId(1);
const BLUE: DomainId = DomainId(2);

fn switch(native: Option<u16>) -> Switch {
    Switch::of(with_trunks(topology(), native))
}

/// What came out: the port and the frame; of the underlay the inner frame.
fn received(switch: &mut Switch, ingress: PortId, frame: &[u8]) -> Vec<(PortId, Vec<u8>)> {
    let out = switch.receive_one(ingress, frame);
    let read = |out: Out| {
        let is_uplink = [UP, UP2].contains(&out.port);
        (out.port, if is_uplink { unwrap(&out.bytes).inner } else { out.bytes })
    };
    out.into_iter().map(read).collect()
}

#[test]
fn a_tag_says_the_domain_and_is_taken_off() {
    let plain = udp(W1, W9, 60);
    let everybody = |frame: &[u8]| {
        let plain = [A, B, SMALL].map(|port| (port, frame.to_vec()));
        let remotes = [UP, UP2].map(|port| (port, frame.to_vec()));
        [&plain[..], &[(U, with_tag(frame, 30))], &remotes].concat()
    };
    let mut switch = switch(None);
    assert_eq!(received(&mut switch, T, &with_tag(&plain, 10)), everybody(&plain));
    // The priority is not kept.
    assert_eq!(received(&mut switch, T, &with_tag(&plain, 0xf00a)), everybody(&plain));
    assert_eq!(received(&mut switch, T, &with_tag(&plain, 20)), [(C, plain.clone()), (UP, plain.clone())]);
    assert_eq!(switch.place_of(RED, W1), Some(Place::Port(T)));
    assert_eq!(switch.place_of(BLUE, W1), Some(Place::Port(T)));
    assert_eq!(switch.place_of(DomainId(3), W1), None);
    assert_eq!(switch.drops(), []);
    let [red, blue] = [RED, BLUE].map(|domain| switch.counters.domain(domain));
    assert_eq!((red.received.frames, blue.received.frames), (2, 1));
    assert_eq!(red.received.bytes, 2 * plain.len() as u64, "without the tag");
    assert_eq!(switch.counters.port(T).received.bytes, 3 * (plain.len() + 4) as u64, "with the tag");
}

#[test]
fn frames_without_a_vlan_are_of_the_native_one() {
    let plain = udp(W1, W9, 60);
    let service = edit(&with_tag(&plain, 10), |frame| frame[12..14].copy_from_slice(&[0x88, 0xa8]));
    let mut switch = switch(Some(20));
    for frame in [&plain, &with_tag(&plain, 0), &with_tag(&plain, 0xe000), &with_tag(&plain, 20)] {
        assert_eq!(received(&mut switch, T, frame), [(C, plain.clone()), (UP, plain.clone())]);
    }
    // A service tag is not a trunk's: the frame counts as untagged and is carried as it is.
    assert_eq!(received(&mut switch, T, &service), [(C, service.clone()), (UP, service.clone())]);
    // A priority tag in front of a VLAN's is one tag, as the bridge of Linux sees it.
    let twice = with_tag(&with_tag(&plain, 10), 0);
    let inner = with_tag(&plain, 10);
    assert_eq!(received(&mut switch, T, &twice), [(C, inner.clone()), (UP, inner)]);
    assert_eq!(switch.drops(), []);
}

#[test]
fn what_is_of_no_vlan_is_dropped() {
    let plain = udp(W1, W9, 60);
    let service = edit(&with_tag(&plain, 10), |frame| frame[12..14].copy_from_slice(&[0x88, 0xa8]));
    for frame in [
        &plain,
        &service,
        &with_tag(&plain, 0),
        &with_tag(&plain, 30),
        &with_tag(&plain, 4095),
        &tagged(W1, W9, 9),
    ] {
        let mut switch = switch(None);
        assert_eq!(received(&mut switch, T, frame), []);
        assert_eq!(switch.drops(), [(DropReason::VlanNotAllowed, 1)]);
        assert_eq!(switch.place_of(RED, W1), None);
    }
    let mut switch = switch(Some(10));
    for (cut, reason) in [
        (&with_tag(&plain, 10)[..15], DropReason::FrameTooShort),
        (&with_tag(&plain, 10)[..17], DropReason::FrameTooShort),
        (&plain[..13], DropReason::FrameTooShort),
        (&[][..], DropReason::FrameTooShort),
    ] {
        assert_eq!(received(&mut switch, T, cut), []);
        assert_eq!(switch.drops().last().map(|(reason, _)| *reason), Some(reason));
    }
    assert_eq!(switch.drops(), [(DropReason::FrameTooShort, 4)]);
}

#[test]
fn frames_leave_with_the_tag_of_their_domain() {
    let plain = udp(W2, W1, 60);
    let (with_10, with_30) = (with_tag(&plain, 10), with_tag(&plain, 30));
    let mut switch = switch(None);
    for (domain, port) in [(RED, T), (BLUE, T), (DomainId(3), U)] {
        switch.bind(domain, W1, Place::Port(port));
    }
    // Known unicast from access ports, the other trunk, and the overlay.
    assert_eq!(received(&mut switch, A, &plain), [(T, with_10.clone())]);
    assert_eq!(received(&mut switch, C, &plain), [(T, with_tag(&plain, 20))]);
    assert_eq!(received(&mut switch, U, &with_30), [(T, with_10.clone())]);
    assert_eq!(received(&mut switch, UP, &vxlan(&plain)), [(T, with_10.clone())]);
    assert_eq!(received(&mut switch, UP, &gre(Some(200), &plain)), [(T, with_tag(&plain, 20))]);
    assert_eq!(received(&mut switch, D, &plain), [(U, with_10.clone())]);
    // Flooded frames, each copy with its own tag or none.
    let broadcast = opaque(W2, Mac::BROADCAST, 60);
    let others = [(B, broadcast.clone()), (SMALL, broadcast.clone())];
    let trunks = [(T, with_tag(&broadcast, 10)), (U, with_tag(&broadcast, 30))];
    let remotes = [(UP, broadcast.clone()), (UP2, broadcast.clone())];
    assert_eq!(received(&mut switch, A, &broadcast), [&others[..], &trunks, &remotes].concat());
    let access = [A, B, SMALL].map(|port| (port, broadcast.clone()));
    assert_eq!(received(&mut switch, UP, &vxlan(&broadcast)), [&access[..], &trunks].concat());
    assert_eq!(
        received(&mut switch, U, &with_tag(&broadcast, 10)),
        [(D, broadcast.clone()), (UP, broadcast.clone())]
    );
    // To its own trunk nothing returns, in whatever VLAN.
    assert_eq!(received(&mut switch, T, &with_10), []);
    assert_eq!(switch.drops(), [(DropReason::SameIngress, 1)]);
    // In the native VLAN there is no tag.
    switch.change(|parts| parts.trunks.get_mut(&T).unwrap().native = Some(vlan(10)));
    assert_eq!(received(&mut switch, A, &plain), [(T, plain.clone())]);
    assert_eq!(received(&mut switch, C, &plain), [(T, with_tag(&plain, 20))]);
    switch.change(|parts| parts.trunks.get_mut(&T).unwrap().native = Some(vlan(20)));
    assert_eq!(received(&mut switch, A, &plain), [(T, with_10)]);
    assert_eq!(received(&mut switch, C, &plain), [(T, plain)]);
}

#[test]
fn what_is_behind_the_tag_is_judged_by_the_domain() {
    let customer = tagged(W1, W9, 60);
    let outer = with_tag(&customer, 10);
    let mut switch = switch(None);
    assert_eq!(received(&mut switch, T, &outer).last(), Some(&(UP2, customer.clone())));
    switch.bind(RED, W1, Place::Port(T));
    assert_eq!(
        received(&mut switch, UP, &vxlan(&tagged(W9, W1, 60))),
        [(T, with_tag(&tagged(W9, W1, 60), 10))]
    );
    switch.change(|parts| parts.domains[0].inner_tags = InnerTags::Dropped);
    assert_eq!(received(&mut switch, T, &outer), []);
    assert_eq!(switch.drops(), [(DropReason::VlanTagged, 1)]);
    assert_ne!(received(&mut switch, T, &with_tag(&udp(W1, W9, 60), 10)), [], "its own tag is the trunk's");
}

#[test]
fn a_tag_counts_where_two_would_not_fit() {
    let packet = |size: usize| udp(W2, W1, size - 28);
    let mut switch = switch(None);
    switch.bind(RED, W1, Place::Port(T));
    switch.change(|parts| parts.ports.iter_mut().find(|port| port.id == T).unwrap().mtu = 576);
    assert_eq!(received(&mut switch, A, &packet(576)), [(T, with_tag(&packet(576), 10))]);
    let inner = |size| with_tag(&packet(size), 7);
    assert_eq!(received(&mut switch, A, &inner(572)), [(T, with_tag(&inner(572), 10))]);
    assert_eq!(received(&mut switch, A, &packet(577)), []);
    assert_eq!(received(&mut switch, A, &inner(576)), []);
    assert_eq!(switch.drops(), [(DropReason::PacketTooBig, 2)]);
    switch.change(|parts| parts.trunks.get_mut(&T).unwrap().native = Some(vlan(10)));
    // One of 802.1ad, which says no VLAN there.
    let inner = |size| edit(&inner(size), |frame| frame[12..14].copy_from_slice(&[0x88, 0xa8]));
    assert_eq!(received(&mut switch, A, &inner(576)), [(T, inner(576))], "no second tag");
}

#[test]
fn an_entry_that_outlived_its_vlan_leads_nowhere() {
    let mut switch = switch(None);
    switch.bind(DomainId(3), W1, Place::Port(T));
    assert_eq!(received(&mut switch, D, &udp(W2, W1, 60)), []);
    assert_eq!(switch.drops(), [(DropReason::PortUnknown, 1)]);
}

#[test]
fn answers_go_back_in_the_vlan_of_the_question() {
    let request = arp(1, Mac::BROADCAST, (W1, IP1), (Mac::ZERO, IP9));
    let answer = arp(2, W1, (W9, IP9), (W1, IP1));
    for (native, sent, expected) in [
        (None, with_tag(&request, 10), with_tag(&answer, 10)),
        (Some(20), with_tag(&request, 10), with_tag(&answer, 10)),
        (Some(10), with_tag(&request, 10), answer.clone()),
        (Some(10), request.clone(), answer),
    ] {
        let mut switch = switch(native);
        switch.neighbours(&[(RED, IP9, W9, true)]);
        switch.enter(RED, W9, Place::Remote(VXLAN), Kind::Dynamic);
        assert_eq!(received(&mut switch, T, &sent), [(T, expected)]);
        assert_eq!(switch.counters.port(T).proxied, 1);
        assert_eq!(switch.counters.domain(RED).transmitted.bytes, 42, "without the tag");
        // In another VLAN nobody knows of that neighbour.
        assert_eq!(received(&mut switch, T, &with_tag(&request, 20)).len(), 2, "flooded");
        assert_eq!(switch.counters.port(T).proxied, 1);
    }
    let mut switch = switch(None);
    switch.receive_one(T, &with_tag(&request, 10));
    let seen = switch.events();
    assert!(matches!(seen[..], [Event::NeighbourSeen { domain: RED, mac: W1, place: Place::Port(T), .. }]));
}

#[test]
fn a_packet_too_big_for_a_remote_is_cut_or_answered_in_its_vlan() {
    let mut switch = switch(None);
    switch.change(|parts| {
        for remote in &mut parts.remotes {
            if let Path::Resolved { mtu, .. } = &mut remote.path {
                *mtu = 1200;
            }
        }
    });
    switch.bind(RED, W9, Place::Remote(VXLAN));
    let pieces = received(&mut switch, T, &with_tag(&crate::too_big::packet(1400, true), 10));
    let (ports, frames): (Vec<PortId>, Vec<Vec<u8>>) = pieces.into_iter().unzip();
    assert_eq!(ports, [UP, UP]);
    let (whole, _) = crate::too_big::reassemble(&frames);
    assert_eq!(whole, crate::too_big::packet(1400, true)[34..]);
    let told = received(&mut switch, T, &with_tag(&crate::too_big::packet(1400, false), 10));
    let [(T, answer)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(answer[..12], [W1.0, W9.0].concat());
    assert_eq!(answer[12..18], [0x81, 0, 0, 10, 8, 0], "tagged");
    assert_eq!((answer[27], &answer[38..40]), (1, &[3, 4][..]), "fragmentation needed");
    assert_eq!(switch.drops(), [(DropReason::PacketTooBig, 1)]);
}

#[test]
fn guards_limits_and_isolation_are_of_the_port() {
    let mut switch = switch(Some(20));
    let binding = Binding { mac: W1, addresses: vec![IP1.into()] };
    switch.change(|parts| {
        parts.protection.guards.insert(T, Guard { bindings: vec![binding], ..Guard::default() });
    });
    let forged =
        edit_ip(&udp(W1, W9, 60), |ip| ip[12..16].copy_from_slice(&Ipv4Addr::new(10, 0, 0, 7).octets()));
    for frame in [with_tag(&forged, 10), forged.clone(), with_tag(&udp(W2, W9, 60), 10)] {
        assert_eq!(received(&mut switch, T, &frame), []);
    }
    assert_eq!(switch.drops(), [(DropReason::SpoofedSource, 3)]);
    assert_ne!(received(&mut switch, T, &with_tag(&udp(W1, W9, 60), 10)), []);
    // Locked: an entry of one VLAN does not admit the address in another.
    switch.change(|parts| {
        parts.protection.guards.insert(T, Guard { locked: true, ..Guard::default() });
    });
    switch.bind(RED, W2, Place::Port(T));
    assert_ne!(received(&mut switch, T, &with_tag(&udp(W2, W9, 60), 10)), []);
    assert_eq!(received(&mut switch, T, &with_tag(&udp(W2, W9, 60), 20)), []);
    switch.change(|parts| {
        parts.protection.guards.clear();
        parts.protection.limits.ports.insert(T, 3);
        for port in &mut parts.ports {
            port.isolated = [T, U, A].contains(&port.id);
        }
    });
    let ports: Vec<_> =
        received(&mut switch, T, &with_tag(&udp(W1, W9, 60), 10)).iter().map(|out| out.0).collect();
    assert_eq!(ports, [B, SMALL, UP, UP2], "no isolated one");
    switch.parts.fdb.flush(|_, _| true);
    for number in 0..4 {
        let source = Mac([2, 0, 0, 5, 5, number]);
        switch.receive_one(T, &with_tag(&udp(source, W9, 60), if number % 2 == 0 { 10 } else { 20 }));
    }
    assert_eq!(switch.parts.fdb.learned_at(Place::Port(T)), 3, "both VLANs share the port's limit");
    switch.change(|parts| {
        parts.ports.iter_mut().find(|port| port.id == T).unwrap().storm_limit =
            StormLimit::frames_per_second(1);
    });
    let storm: Vec<_> = (0..40).map(|number| with_tag(&udp(W1, W9, 60), 10 + 10 * (number % 2))).collect();
    switch.receive(T, &storm);
    assert!(switch.drops().contains(&(DropReason::StormLimit, 8)), "{:?}", switch.drops());
}

#[test]
fn listeners_behind_a_trunk_are_of_a_domain() {
    let group = Ipv4Addr::new(239, 1, 2, 3);
    let mut data = udp(W2, Mac([1, 0, 0x5e, 1, 2, 3]), 60);
    data = edit_ip(&data, |ip| ip[16..20].copy_from_slice(&group.octets()));
    let mut switch = switch(None);
    let listeners = |groups: &[PortId]| Listeners {
        has_igmp_querier: true,
        groups: vec![(group.into(), groups.to_vec())],
        ..Listeners::default()
    };
    switch.change(|parts| {
        parts.domains[0].snooping = Some(listeners(&[T]));
        parts.domains[1].snooping = Some(listeners(&[C]));
    });
    let out = received(&mut switch, A, &data);
    assert_eq!(out, [(T, with_tag(&data, 10)), (UP, data.clone()), (UP2, data.clone())]);
    assert_eq!(received(&mut switch, T, &with_tag(&data, 20)), [(C, data.clone()), (UP, data)]);
}

/// Behind a trunk a tag inside would say the VLAN of a frame that left it untagged.
#[test]
fn nobody_hops_to_a_vlan_by_a_tag_inside() {
    let plain = udp(W1, W9, 60);
    let mut switch = switch(Some(20));
    for (vlan, leaves) in [(10, false), (20, false), (30, false), (0, true)] {
        let hopping = with_tag(&plain, vlan);
        let out = received(&mut switch, C, &hopping);
        let expected = [(T, hopping.clone()), (UP, hopping)];
        assert_eq!(out, if leaves { &expected[..] } else { &expected[1..] }, "{vlan}");
    }
    assert_eq!(switch.drops(), [(DropReason::VlanNotAllowed, 3)]);
    // To one receiver, and from the overlay.
    switch.bind(BLUE, W9, Place::Port(T));
    assert_eq!(received(&mut switch, C, &with_tag(&plain, 10)), []);
    assert_eq!(switch.drops(), [(DropReason::VlanNotAllowed, 4)]);
    assert_eq!(received(&mut switch, UP, &gre(Some(200), &with_tag(&plain, 10))), []);
    assert_eq!(switch.drops(), [(DropReason::VlanNotAllowed, 5)]);
}

/// Linux takes tags of VLAN 0 off, however many and of either kind, and then looks at what follows.
#[test]
fn nobody_hops_to_a_vlan_by_a_tag_behind_a_priority() {
    let plain = udp(W1, W9, 60);
    let service = |frame: &[u8], control: u16| {
        edit(&with_tag(frame, control), |frame| frame[12..14].copy_from_slice(&[0x88, 0xa8]))
    };
    let hopping = with_tag(&plain, 10);
    let mut switch = switch(Some(20));
    switch.bind(BLUE, W9, Place::Port(T));
    switch.bind(RED, W9, Place::Port(T));
    for frame in [
        with_tag(&hopping, 0),
        with_tag(&hopping, 0xe000),
        service(&hopping, 0),
        with_tag(&service(&with_tag(&hopping, 0x2000), 0x4000), 0),
    ] {
        let before = switch.sum().drops_for(DropReason::VlanNotAllowed);
        assert_eq!(received(&mut switch, C, &frame), [], "{frame:x?}");
        assert_eq!(received(&mut switch, UP, &gre(Some(200), &frame)), [], "{frame:x?}");
        assert_eq!(switch.sum().drops_for(DropReason::VlanNotAllowed), before + 2);
        // In another VLAN the trunk's own tag stands before it.
        assert_eq!(received(&mut switch, A, &frame), [(T, with_tag(&frame, 10))]);
    }
    for frame in
        [with_tag(&with_tag(&plain, 0), 0xe000), with_tag(&service(&plain, 10), 0), service(&plain, 0)]
    {
        assert_eq!(received(&mut switch, C, &frame), [(T, frame.clone())], "no VLAN of the trunk's kind");
    }
}

/// A frame's way in: a place, and for trunks a VLAN.
fn ingress() -> impl Strategy<Value = (PortId, Option<u16>, Option<DomainId>)> {
    select(vec![
        (A, None, Some(RED)),
        (C, None, Some(BLUE)),
        (D, None, Some(DomainId(3))),
        (T, Some(10), Some(RED)),
        (T, Some(20), Some(BLUE)),
        (T, None, Some(BLUE)),
        (T, Some(0), Some(BLUE)),
        (T, Some(30), None),
        (U, Some(30), Some(RED)),
        (U, Some(10), Some(DomainId(3))),
        (U, None, None),
        (U, Some(20), None),
    ])
}

/// The domain that a frame which left is in, and the frame without what says so. `T` has VLAN 20 as its native one.
fn read(out: &Out) -> (Option<DomainId>, Vec<u8>) {
    // As Linux does, behind tags of VLAN 0.
    fn tag(rest: &[u8]) -> u16 {
        match *rest {
            [0x81, 0, 0, 0, ref further @ ..] => tag(further),
            [0x81, 0, high, low, ..] => u16::from_be_bytes([high, low]),
            _ => 0,
        }
    }
    let tag = |bytes: &[u8]| tag(&bytes[12..]);
    let without = |bytes: &[u8]| [&bytes[..12], &bytes[16..]].concat();
    match out.port {
        UP | UP2 => {
            let tunnelled = unwrap(&out.bytes);
            let domain = match tunnelled.wrapping {
                Wrapping::Vxlan { vni: 100, .. } => Some(RED),
                Wrapping::Gre { key: Some(200) } => Some(BLUE),
                Wrapping::Gre { key: None } => Some(DomainId(3)),
                _ => None,
            };
            (domain, tunnelled.inner)
        }
        T if tag(&out.bytes) == 10 => (Some(RED), without(&out.bytes)),
        T => (Some(BLUE), out.bytes.clone()),
        U if tag(&out.bytes) == 30 => (Some(RED), without(&out.bytes)),
        U if tag(&out.bytes) == 10 => (Some(DomainId(3)), without(&out.bytes)),
        A | B | SMALL => (Some(RED), out.bytes.clone()),
        C => (Some(BLUE), out.bytes.clone()),
        D => (Some(DomainId(3)), out.bytes.clone()),
        _ => (None, out.bytes.clone()),
    }
}

proptest! {
    #[test]
    fn nothing_leaves_its_domain(
        steps in vec((ingress(), 0_u8..4, 0_u8..5, vec(select(vec![0, 10, 20, 30]), 0..3)), 1..40),
    ) {
        let mut switch = switch(Some(20));
        let mac = |number| if number == 4 { Mac::BROADCAST } else { Mac([2, 0, 0, 6, 6, number]) };
        for ((port, vlan, domain), source, destination, inside) in steps {
            let plain = opaque(mac(source), mac(destination), 60);
            // What has no VLAN on a trunk has no tag inside either.
            let is_tagged = vlan.is_some() || ![T, U].contains(&port);
            let inside = inside.into_iter().filter(|_| is_tagged);
            let plain = inside.fold(plain, |frame, vlan| with_tag(&frame, vlan));
            let frame = vlan.map_or_else(|| plain.clone(), |vlan| with_tag(&plain, vlan));
            for out in switch.receive_one(port, &frame) {
                let (reached, inner) = read(&out);
                prop_assert!(domain.is_some() && out.port != port);
                prop_assert_eq!(reached, domain);
                prop_assert_eq!(inner, plain.clone());
            }
        }
    }

    #[test]
    fn a_trunk_gives_back_what_it_took(frame in frame(), control in select(vec![30_u16, 0xe01e])) {
        let mut switch = switch(None);
        switch.bind(RED, W9, Place::Port(T));
        let out = switch.receive_one(U, &with_tag(&frame, control));
        let Some(out) = out.first() else {
            prop_assert!(!switch.drops().is_empty());
            return Ok(());
        };
        let mut expected = frame.clone();
        if out.bytes != with_tag(&frame, 10) {
            // Chance made the checksum look as if it was left to the device.
            prop_assert!(wire::checksum::complete_partial(&mut expected));
        }
        prop_assert_eq!(&out.bytes, &with_tag(&expected, 10));
    }
}
