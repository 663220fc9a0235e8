//! The forwarding database under loom: every interleaving of a few steps, and every value that the memory model
//! allows a load to return. Run by `tests/run-loom`.
#![cfg(loom)]

use std::sync::{Arc, Mutex};

use forward::fdb::{Entry, Fdb, Key, Kind, Learned, Migration};
use forward::ids::{DomainId, PortId};
use forward::link::Place;
use loom::thread;
use wire::Mac;

const SEED: [u64; 2] = [1, 2];
const DOMAIN: DomainId = DomainId(1);
const A: Place = Place::Port(PortId(1));
const B: Place = Place::Port(PortId(2));
const C: Place = Place::Port(PortId(3));

fn key(number: u64) -> Key {
    Key::new(DOMAIN, Mac::from_u64(number))
}

/// Runs `scenario` in every interleaving with at most this many involuntary switches between threads.
fn explore(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(scenario);
}

fn place_of(fdb: &Fdb, key: Key) -> Option<Place> {
    fdb.lookup(&fdb.probe(key)).map(|entry| entry.place)
}

fn learn(fdb: &Fdb, key: Key, place: Place, now: u32) -> Learned {
    fdb.learn(&fdb.probe(key), place, now, None, |_| 10)
}

fn entries(fdb: &Fdb) -> Vec<(Key, Entry)> {
    let mut all = Vec::new();
    fdb.for_each(|key, entry| all.push((key, entry)));
    all
}

/// With all threads done: counts agree with what is there, and nothing is there twice.
fn settled(fdb: &Fdb) -> Vec<(Key, Entry)> {
    let all = entries(fdb);
    for (index, (key, _)) in all.iter().enumerate() {
        assert!(all[index + 1..].iter().all(|(other, _)| other != key), "{key:?} is there twice");
    }
    assert_eq!(fdb.len(), all.len());
    let learned = |at| all.iter().filter(|(_, it)| it.kind == Kind::Dynamic && it.place == at).count() as u32;
    for place in [A, B, C] {
        assert_eq!(fdb.learned_at(place), learned(place));
    }
    assert_eq!(fdb.learned_in(DOMAIN), [A, B, C].map(learned).iter().sum::<u32>());
    all
}

/// The slot of one key gets another key, and then the first key again with another value.
#[test]
fn a_reader_never_takes_the_value_of_another_key() {
    explore(2, || {
        let fdb = Arc::new(Fdb::new(1, SEED));
        let (mine, other) = (key(1), key(2));
        assert_eq!(fdb.set(mine, A, Kind::Static, 0), Ok(None));
        let writer = thread::spawn({
            let fdb = Arc::clone(&fdb);
            move || {
                fdb.remove(mine);
                assert_eq!(fdb.set(other, B, Kind::Static, 0), Ok(None));
                fdb.remove(other);
                assert_eq!(fdb.set(mine, C, Kind::Static, 0), Ok(None));
            }
        });
        let seen = place_of(&fdb, mine);
        assert!(seen.is_none_or(|place| place == A || place == C), "{seen:?}");
        let seen = place_of(&fdb, other);
        assert!(seen.is_none_or(|place| place == B), "{seen:?}");
        writer.join().expect("the writer does not panic");
        assert_eq!(place_of(&fdb, mine), Some(C));
    });
}

#[test]
fn two_learners_of_one_key_make_one_entry() {
    explore(2, || {
        let fdb = Arc::new(Fdb::new(1, SEED));
        let other = thread::spawn({
            let fdb = Arc::clone(&fdb);
            move || learn(&fdb, key(1), B, 0)
        });
        let mine = learn(&fdb, key(1), A, 0);
        let other = other.join().expect("the learner does not panic");
        let all = settled(&fdb);
        assert_eq!(all.len(), 1);
        let at = all[0].1.place;
        match (mine, other) {
            (Learned::New, Learned::Deferred) | (Learned::Moved { from: B }, Learned::New) => {
                assert_eq!(at, A)
            }
            (Learned::Deferred, Learned::New) | (Learned::New, Learned::Moved { from: A }) => {
                assert_eq!(at, B)
            }
            unexpected => panic!("{unexpected:?}"),
        }
    });
}

#[test]
fn a_refreshed_entry_is_not_aged_out() {
    explore(2, || {
        let fdb = Arc::new(Fdb::new(1, SEED));
        assert_eq!(learn(&fdb, key(1), A, 0), Learned::New);
        let control = thread::spawn({
            let fdb = Arc::clone(&fdb);
            move || fdb.age(10, |_| 10)
        });
        let learned = learn(&fdb, key(1), A, 10);
        let removed = control.join().expect("control does not panic");
        let all = settled(&fdb);
        match learned {
            Learned::Refreshed => assert_eq!((removed, all.len(), all[0].1.seen), (0, 1, 10)),
            Learned::New => assert_eq!((removed, all.len(), all[0].1.seen), (1, 1, 10)),
            Learned::Known | Learned::Deferred => assert_eq!((removed, all.len()), (1, 0)),
            unexpected => panic!("{unexpected:?}"),
        }
    });
}

#[test]
fn a_move_races_with_removal_and_with_another_move() {
    explore(1, || {
        let fdb = Arc::new(Fdb::new(1, SEED));
        assert_eq!(learn(&fdb, key(1), A, 0), Learned::New);
        let control = thread::spawn({
            let fdb = Arc::clone(&fdb);
            move || fdb.remove(key(1)).map(|entry| entry.place)
        });
        let mover = thread::spawn({
            let fdb = Arc::clone(&fdb);
            move || learn(&fdb, key(1), B, 1)
        });
        let moved = learn(&fdb, key(1), C, 1);
        let removed = control.join().expect("control does not panic");
        let other = mover.join().expect("the mover does not panic");
        let all = settled(&fdb);
        assert!(removed.is_some());
        // Only somebody who learned it anew after the removal can have left it there.
        assert_eq!(all.len(), usize::from(moved == Learned::New || other == Learned::New));
    });
}

#[test]
fn a_static_entry_set_over_a_learned_one_wins_over_moves() {
    explore(3, || {
        let fdb = Arc::new(Fdb::new(1, SEED));
        assert_eq!(learn(&fdb, key(1), A, 0), Learned::New);
        let control = thread::spawn({
            let fdb = Arc::clone(&fdb);
            move || fdb.set(key(1), C, Kind::Static, 1).map(|before| before.map(|entry| entry.place))
        });
        let moved = learn(&fdb, key(1), B, 1);
        let before = control.join().expect("control does not panic");
        let expected = match moved {
            Learned::Moved { from: A } => B,
            Learned::Bound | Learned::Deferred => A,
            unexpected => panic!("{unexpected:?}"),
        };
        assert_eq!(before, Ok(Some(expected)));
        let all = settled(&fdb);
        assert_eq!((all.len(), all[0].1.place, all[0].1.kind), (1, C, Kind::Static));
    });
}

/// One entry goes to the larger table while a reader looks for it.
#[test]
fn nothing_is_invisible_while_it_migrates() {
    explore(2, || {
        let fdb = Fdb::new(1, SEED);
        assert_eq!(fdb.set(key(1), A, Kind::Static, 0), Ok(None));
        assert_eq!(learn(&fdb, key(2), B, 0), Learned::New);
        let growing = Arc::new(fdb.grow(2).expect("it can grow"));
        drop(fdb);
        let control = thread::spawn({
            let growing = Arc::clone(&growing);
            move || assert_eq!(growing.migrate(1), Migration::Done)
        });
        assert_eq!(place_of(&growing, key(1)), Some(A));
        assert_eq!(place_of(&growing, key(2)), Some(B));
        control.join().expect("control does not panic");
        let grown = growing.grown().expect("all has moved");
        assert_eq!((place_of(&grown, key(1)), place_of(&grown, key(2))), (Some(A), Some(B)));
        settled(&grown);
    });
}

/// Learning goes on during a migration: a move is not lost, a new key goes to the larger table once.
#[test]
fn what_is_learned_while_migrating_is_kept() {
    explore(2, || {
        let fdb = Fdb::new(1, SEED);
        assert_eq!(learn(&fdb, key(1), A, 0), Learned::New);
        let growing = Arc::new(fdb.grow(2).expect("it can grow"));
        drop(fdb);
        let control = thread::spawn({
            let growing = Arc::clone(&growing);
            move || assert_eq!(growing.migrate(1), Migration::Done)
        });
        let moved = learn(&growing, key(1), B, 1);
        let new = learn(&growing, key(2), C, 1);
        control.join().expect("control does not panic");
        let grown = growing.grown().expect("all has moved");
        let expected = match moved {
            Learned::Moved { from: A } => B,
            Learned::Deferred => A,
            unexpected => panic!("{unexpected:?}"),
        };
        assert_eq!(place_of(&grown, key(1)), Some(expected));
        assert_eq!(place_of(&grown, key(2)).is_some(), new == Learned::New);
        assert!(matches!(new, Learned::New | Learned::Deferred));
        settled(&grown);
    });
}

/// A database of four buckets under `seed`, in which `last` displaces `displaced` once `keys` are there.
#[derive(Clone, Default)]
struct Crowd {
    seed: u64,
    keys: Vec<Key>,
    displaced: Option<Key>,
    last: Option<Key>,
}

impl Crowd {
    /// Learns keys until one is displaced, which shows in the order of a walk, or one finds no room.
    fn fill(seed: u64) -> Self {
        let fdb = Fdb::new(8, [seed, seed]);
        let order = || entries(&fdb).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        let mut keys = Vec::new();
        for last in (1..).map(key) {
            let before = order();
            if learn(&fdb, last, A, 0) != Learned::New {
                break;
            }
            let mut after = order();
            after.retain(|key| *key != last);
            if let Some(at) = before.iter().zip(&after).position(|(before, after)| before != after) {
                // One key went forward from here, or backward to here.
                let forward = before.get(at + 1) == after.get(at);
                let displaced = Some(if forward { before[at] } else { after[at] });
                return Self { seed, keys, displaced, last: Some(last) };
            }
            keys.push(last);
        }
        Self::default()
    }

    fn search() -> Self {
        static FOUND: Mutex<Option<Crowd>> = Mutex::new(None);
        explore(0, || {
            let found = (1..).map(Self::fill).find(|crowd| crowd.last.is_some());
            *FOUND.lock().expect("nobody panics with the lock") = found;
        });
        FOUND.lock().expect("nobody panics with the lock").clone().expect("a seed was found")
    }

    /// The database just before the last key, that key, and the one it displaces.
    fn build(&self) -> (Arc<Fdb>, Key, Key) {
        let fdb = Fdb::new(8, [self.seed, self.seed]);
        for key in &self.keys {
            assert_eq!(learn(&fdb, *key, A, 0), Learned::New);
        }
        (Arc::new(fdb), self.last.expect("it was found"), self.displaced.expect("it was found"))
    }
}

#[test]
fn nothing_is_invisible_while_it_makes_room() {
    let crowd = Crowd::search();
    explore(2, move || {
        let (fdb, last, displaced) = crowd.build();
        let learner = thread::spawn({
            let fdb = Arc::clone(&fdb);
            move || assert_eq!(learn(&fdb, last, B, 0), Learned::New)
        });
        assert_eq!(place_of(&fdb, displaced), Some(A));
        learner.join().expect("the learner does not panic");
        assert_eq!((place_of(&fdb, displaced), place_of(&fdb, last)), (Some(A), Some(B)));
    });
}

/// A walk over the database, and an entry that would go from where the walk has not been to where it has.
#[test]
fn a_flush_misses_nothing_that_was_there() {
    let crowd = Crowd::search();
    explore(1, move || {
        let (fdb, last, _) = crowd.build();
        let learner = thread::spawn({
            let fdb = Arc::clone(&fdb);
            move || learn(&fdb, last, B, 0)
        });
        assert_eq!(fdb.flush(|_, entry| entry.place == A), crowd.keys.len());
        let learned = learner.join().expect("the learner does not panic");
        assert!(matches!(learned, Learned::New | Learned::Deferred));
        assert_eq!(settled(&fdb).len(), usize::from(learned == Learned::New));
    });
}
