//! Limits on learned entries, alone and with several workers at once, and what counts against them.
#![cfg(not(loom))]

use std::thread;

use forward::fdb::{Fdb, Key, Kind, Learned, Limits};
use forward::ids::{DomainId, PortId, RemoteId};
use forward::link::Place;
use wire::Mac;

const PORT: Place = Place::Port(PortId(3));
const REMOTE: Place = Place::Remote(RemoteId(9));

fn key(domain: u16, mac: u64) -> Key {
    Key::new(DomainId(domain), Mac::from_u64(0x0200_0000_0000 + mac))
}

/// Learns as a worker does over many frames: again while somebody else is writing.
fn learn(fdb: &Fdb, key: Key, place: Place, limits: Limits) -> Learned {
    loop {
        match fdb.learn(&fdb.probe(key), place, 5, Some(limits), |_| 300) {
            Learned::Deferred => thread::yield_now(),
            learned => return learned,
        }
    }
}

fn place_limit(place: u32) -> Limits {
    Limits { place, ..Limits::NONE }
}

fn domain_limit(domain: u32) -> Limits {
    Limits { domain, ..Limits::NONE }
}

fn dump(fdb: &Fdb) -> usize {
    let mut count = 0;
    fdb.for_each(|_, _| count += 1);
    count
}

#[test]
fn sixteen_sources_at_limit_eight_leave_exactly_eight() {
    for place in [PORT, REMOTE] {
        let fdb = Fdb::new(64, [1, 2]);
        let learned: Vec<_> = (0..16).map(|mac| learn(&fdb, key(1, mac), place, place_limit(8))).collect();
        assert_eq!(learned[..8], [Learned::New; 8]);
        assert_eq!(learned[8..], [Learned::Limited; 8]);
        assert_eq!((fdb.len(), dump(&fdb), fdb.learned_at(place), fdb.learned_in(DomainId(1))), (8, 8, 8, 8));
        // The known ones stay known.
        assert!((0..8).all(|mac| learn(&fdb, key(1, mac), place, place_limit(8)) == Learned::Known));
    }
}

/// In a database of the usual size, of which the domain has next to nothing.
#[test]
fn who_comes_to_a_full_domain_gets_a_place_at_once() {
    let fdb = Fdb::new(4096, [1, 2]);
    let limits = domain_limit(20);
    let known = (0..100).filter(|mac| learn(&fdb, key(1, *mac), PORT, limits) == Learned::New);
    assert_eq!(known.count(), 20);
    assert!((0..3000).all(|mac| learn(&fdb, key(2, mac), REMOTE, Limits::NONE) == Learned::New));
    let newcomer = Place::Remote(RemoteId(1));
    for mac in 1000..1010 {
        assert!(fdb.make_room(DomainId(1), newcomer, 7), "{mac}");
        assert_eq!(learn(&fdb, key(1, mac), newcomer, limits), Learned::New);
    }
    assert!(!fdb.make_room(DomainId(1), newcomer, 8), "it has half of the domain");
    assert_eq!((fdb.learned_at(PORT), fdb.learned_at(newcomer)), (10, 10));
}

#[test]
fn the_limit_of_a_domain_spans_its_places() {
    let fdb = Fdb::new(64, [1, 2]);
    for mac in 0..16 {
        let place = if mac & 1 == 0 { PORT } else { REMOTE };
        let expected = if mac < 8 { Learned::New } else { Learned::Limited };
        assert_eq!(learn(&fdb, key(1, mac), place, domain_limit(8)), expected);
    }
    assert_eq!((fdb.learned_at(PORT), fdb.learned_at(REMOTE), fdb.learned_in(DomainId(1))), (4, 4, 8));
    assert_eq!(learn(&fdb, key(2, 99), PORT, domain_limit(8)), Learned::New);
    // Moving does not change how many the domain has.
    assert_eq!(learn(&fdb, key(1, 0), REMOTE, domain_limit(8)), Learned::Moved { from: PORT });
    assert_eq!((fdb.learned_at(PORT), fdb.learned_at(REMOTE), fdb.learned_in(DomainId(1))), (4, 5, 8));
}

#[test]
fn a_move_is_limited_where_it_goes() {
    let fdb = Fdb::new(64, [1, 2]);
    for mac in 0..3 {
        learn(&fdb, key(1, mac), PORT, Limits::NONE);
    }
    assert_eq!(learn(&fdb, key(1, 7), REMOTE, Limits::NONE), Learned::New);
    assert_eq!(learn(&fdb, key(1, 7), PORT, place_limit(3)), Learned::Limited);
    assert_eq!((fdb.learned_at(PORT), fdb.learned_at(REMOTE)), (3, 1));
    assert_eq!(learn(&fdb, key(1, 7), PORT, place_limit(4)), Learned::Moved { from: REMOTE });
    assert_eq!((fdb.learned_at(PORT), fdb.learned_at(REMOTE)), (4, 0));
}

#[test]
fn entries_that_are_set_always_fit_and_do_not_count() {
    let fdb = Fdb::new(64, [1, 2]);
    for mac in 0..8 {
        learn(&fdb, key(1, mac), PORT, place_limit(8));
    }
    for (mac, kind) in [(20, Kind::Static), (21, Kind::External), (22, Kind::Sticky)] {
        assert_eq!(fdb.set(key(1, mac), PORT, kind, 5), Ok(None));
    }
    assert_eq!((fdb.len(), fdb.learned_at(PORT)), (11, 8));
    // A learned entry that becomes static makes room for another learned one.
    assert!(
        matches!(fdb.set(key(1, 0), PORT, Kind::Static, 5), Ok(Some(before)) if before.kind == Kind::Dynamic)
    );
    assert_eq!(fdb.learned_at(PORT), 7);
    assert_eq!(learn(&fdb, key(1, 30), PORT, place_limit(8)), Learned::New);
    assert_eq!(learn(&fdb, key(1, 31), PORT, place_limit(8)), Learned::Limited);
}

#[test]
fn every_way_out_gives_its_count_back() {
    let fdb = Fdb::new(64, [1, 2]);
    let refill = || {
        (0..16)
            .map(|mac| learn(&fdb, key(1, mac), PORT, place_limit(8)))
            .filter(|it| *it == Learned::New)
            .count()
    };
    assert_eq!(refill(), 8);
    let removed = (0..16).filter(|mac| fdb.remove(key(1, *mac)).is_some()).count();
    assert_eq!((removed, fdb.learned_at(PORT), refill()), (8, 0, 8));
    assert_eq!((fdb.flush(|_, entry| entry.place == PORT), fdb.learned_at(PORT), refill()), (8, 0, 8));
    assert_eq!((fdb.age(304, |_| 300), fdb.learned_at(PORT)), (0, 8));
    assert_eq!((fdb.age(305, |_| 300), fdb.learned_at(PORT), fdb.learned_in(DomainId(1))), (8, 0, 0));
    assert!(fdb.is_empty());
}

#[test]
fn workers_together_do_not_exceed_a_limit() {
    for round in 0..20 {
        let fdb = Fdb::new(256, [round, 2]);
        let (fdb, limits) = (&fdb, Limits { place: 8, domain: 12 });
        let new: usize = thread::scope(|scope| {
            let worker = |worker: u64| {
                move || {
                    let place = if worker < 2 { PORT } else { REMOTE };
                    let macs = (0..64).map(|mac| key(1, worker * 64 + mac));
                    macs.filter(|key| learn(fdb, *key, place, limits) == Learned::New).count()
                }
            };
            let workers: Vec<_> = (0..4).map(|number| scope.spawn(worker(number))).collect();
            workers.into_iter().map(|worker| worker.join().expect("a worker panicked")).sum()
        });
        assert_eq!((new, fdb.len(), dump(fdb), fdb.learned_in(DomainId(1))), (12, 12, 12, 12));
        assert!(fdb.learned_at(PORT) <= 8 && fdb.learned_at(REMOTE) <= 8);
    }
}

#[test]
fn places_and_domains_beyond_the_bounds_of_the_switch_are_harmless() {
    let fdb = Fdb::new(64, [1, 2]);
    let far = [Place::Port(PortId(u16::MAX)), Place::Remote(RemoteId((1 << 22) - 1))];
    for (mac, place) in far.into_iter().enumerate() {
        let key = key(u16::MAX, mac as u64);
        assert_eq!(learn(&fdb, key, place, Limits { place: 0, domain: 0 }), Learned::New);
        assert_eq!(fdb.lookup(&fdb.probe(key)).map(|entry| entry.place), Some(place));
        assert_eq!((fdb.learned_at(place), fdb.learned_in(DomainId(u16::MAX))), (0, 0));
        assert!(fdb.remove(key).is_some());
    }
}
