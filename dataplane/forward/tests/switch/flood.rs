//! Flood control: what is flooded to whom, and how much of it.

use forward::fdb::Kind;
use forward::flood::{Flooding, StormLimit};
use forward::ids::{DomainId, PortId};
use forward::link::Place;
use forward::verdict::DropReason;
use wire::Mac;

use crate::fixture::*;
use crate::frames::*;

const DOMAIN: DomainId = DomainId(1);
const UNKNOWN: Mac = Mac([2, 0, 0, 1, 0, 0x77]);
const GROUP: Mac = Mac([1, 0, 0x5e, 1, 2, 3]);
const EVERYTHING: Flooding = Flooding { unknown_unicast: true, multicast: true, broadcast: true };

/// Frames to nobody in particular, and the switches that turn their kind off.
const KINDS: [(Mac, Flooding); 3] = [
    (UNKNOWN, Flooding { unknown_unicast: false, ..EVERYTHING }),
    (GROUP, Flooding { multicast: false, ..EVERYTHING }),
    (Mac::BROADCAST, Flooding { broadcast: false, ..EVERYTHING }),
];

fn receivers(switch: &mut Switch, ingress: PortId, frame: &[u8]) -> Vec<PortId> {
    switch.receive_one(ingress, frame).iter().map(|out| out.port).collect()
}

/// A link that runs short of room gives up what is flooded first, and so has to be told.
#[test]
fn every_copy_is_sent_as_flooded_and_known_unicast_is_not() {
    let mut switch = Switch::new();
    for (turn, (destination, _)) in (1..).zip(KINDS) {
        assert_eq!(receivers(&mut switch, A, &udp(W1, destination, 20)), [B, SMALL, UP, UP2]);
        assert_eq!(switch.link.flooded(), 4 * turn);
    }
    for frame in [udp(W2, W1, 20), udp(W2, W9, 20)] {
        switch.bind(DOMAIN, W9, Place::Remote(VXLAN));
        assert_eq!(switch.receive_one(B, &frame).len(), 1);
    }
    assert_eq!(switch.link.flooded(), 12);
}

#[test]
fn each_kind_can_be_turned_off_in_a_domain() {
    for (destination, off) in KINDS {
        let mut switch = Switch::new();
        switch.change(|parts| parts.domains[0].flooding = off);
        for (other, _) in KINDS {
            let expected: &[PortId] = if other == destination { &[] } else { &[B, SMALL, UP, UP2] };
            assert_eq!(receivers(&mut switch, A, &udp(W1, other, 20)), expected, "{other} in {off:?}");
        }
        assert_eq!(receivers(&mut switch, UP, &vxlan(&udp(W9, destination, 20))), []);
        assert_eq!(switch.drops(), [(DropReason::FloodOff, 2)]);
        // Another domain goes on, and so does what has a receiver.
        assert_eq!(receivers(&mut switch, C, &udp(W1, destination, 20)), [UP]);
        assert_eq!(receivers(&mut switch, A, &udp(W1, W9, 20)), [UP]);
    }
}

#[test]
fn each_kind_can_be_turned_off_to_a_port() {
    for (destination, off) in KINDS {
        let mut switch = Switch::new();
        switch.change(|parts| {
            let port = parts.ports.iter_mut().find(|port| port.id == B).expect("port B");
            port.flooding = off;
        });
        for (other, _) in KINDS {
            let expected: &[PortId] =
                if other == destination { &[SMALL, UP, UP2] } else { &[B, SMALL, UP, UP2] };
            assert_eq!(receivers(&mut switch, A, &udp(W1, other, 20)), expected, "{other} in {off:?}");
        }
        // What comes from the port is flooded, and what is known to be there arrives.
        assert_eq!(receivers(&mut switch, B, &udp(W2, destination, 20)), [A, SMALL, UP, UP2]);
        assert_eq!(receivers(&mut switch, A, &udp(W1, W2, 20)), [B]);
        assert_eq!(switch.drops(), []);
    }
}

#[test]
fn isolated_ports_do_not_hear_each_other() {
    let mut switch = Switch::new();
    switch.change(|parts| {
        for port in parts.ports.iter_mut().filter(|port| [A, B].contains(&port.id)) {
            port.isolated = true;
        }
    });
    switch.enter(DOMAIN, W1, Place::Port(A), Kind::Dynamic);
    switch.enter(DOMAIN, W2, Place::Port(B), Kind::Dynamic);
    switch.enter(DOMAIN, W9, Place::Port(SMALL), Kind::Dynamic);
    assert_eq!(receivers(&mut switch, A, &udp(W1, Mac::BROADCAST, 20)), [SMALL, UP, UP2]);
    assert_eq!(receivers(&mut switch, A, &udp(W1, W2, 20)), []);
    assert_eq!(switch.drops(), [(DropReason::Isolated, 1)]);
    // Everybody else hears them, and they hear everybody else.
    assert_eq!(receivers(&mut switch, A, &udp(W1, W9, 20)), [SMALL]);
    assert_eq!(receivers(&mut switch, SMALL, &udp(W9, W1, 20)), [A]);
    assert_eq!(receivers(&mut switch, SMALL, &udp(W9, Mac::BROADCAST, 20)), [A, B, UP, UP2]);
    assert_eq!(receivers(&mut switch, UP, &vxlan(&udp(Mac([2, 7, 7, 7, 7, 7]), GROUP, 20))), [SMALL, A, B]);
}

#[test]
fn a_storm_is_cut_to_its_limit_and_touches_nobody_else() {
    let mut switch = Switch::new();
    switch.change(|parts| {
        let port = parts.ports.iter_mut().find(|port| port.id == A).expect("port A");
        port.storm_limit = StormLimit::frames_per_second(1000);
        parts.remotes[0].storm_limit = StormLimit::frames_per_second(1);
    });
    switch.enter(DOMAIN, W2, Place::Port(B), Kind::Dynamic);
    let storm: Vec<Vec<u8>> =
        (0..300).flat_map(|index| [udp(W1, KINDS[index % 3].0, 20), udp(W1, W2, 20)]).collect();
    let out = switch.receive(A, &storm);
    let to = |port| out.iter().filter(|out| out.port == port).count();
    assert_eq!([SMALL, UP, UP2].map(to), [100; 3], "three kinds share one bucket");
    assert_eq!(to(B), 100 + 300, "known unicast is never counted");
    assert_eq!(switch.drops(), [(DropReason::StormLimit, 200)]);
    // Others have buckets of their own, or none.
    let out = switch.receive(B, &vec![udp(W2, Mac::BROADCAST, 20); 200]);
    assert_eq!(out.len(), 200 * 4);
    let out = switch.receive(UP, &vec![vxlan(&udp(W9, Mac::BROADCAST, 20)); 50]);
    assert_eq!(out.len(), 32 * 3);
    let other = vxlan_from(PEER2, 100, &udp(Mac([2, 7, 7, 7, 7, 7]), Mac::BROADCAST, 20));
    assert_eq!(switch.receive(UP2, &vec![other; 50]).len(), 50 * 3);
    // A hundredth of a second later there is a hundredth of the limit more.
    switch.now.nanoseconds += 10_000_000;
    assert_eq!(switch.receive(A, &vec![udp(W1, Mac::BROADCAST, 20); 50]).len(), 10 * 4);
}
