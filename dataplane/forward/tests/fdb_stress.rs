//! Readers, learners and control on one forwarding database at once, while it grows. What can be checked at any
//! moment: a place belongs to the key that was asked for, and an entry that nobody removes is never missing.
#![cfg(not(loom))]

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use forward::fdb::{Fdb, Key, Kind, Learned, Migration};
use forward::ids::{DomainId, RemoteId};
use forward::link::Place;
use wire::Mac;

/// Keys in all; the first `PINNED` are static from beginning to end.
const KEYS: u32 = 2048;
const PINNED: u32 = 256;
/// Places that a key can be at. Which key it is shows in the place.
const PLACES: u32 = 16;
const DOMAINS: u16 = 4;

fn key(index: u32) -> Key {
    Key::new(DomainId(1 + index as u16 % DOMAINS), Mac::from_u64(0x0200_0000_0000 | u64::from(index)))
}

fn pinned(key: Key) -> bool {
    (key.mac().to_u64() as u32) < PINNED
}

fn place(index: u32, which: u32) -> Place {
    Place::Remote(RemoteId(index * PLACES + which % PLACES))
}

/// The key that a place belongs to; nothing is at a port.
fn owner(place: Place) -> Option<u32> {
    match place {
        Place::Remote(remote) => Some(remote.0 / PLACES),
        Place::Port(_) | Place::Group(_) => None,
    }
}

/// xorshift64*: fast enough not to hide a race.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.next() % bound
    }
}

/// What control and workers share: the published view, the time, and whether to stop.
struct Switch {
    published: Mutex<Arc<Fdb>>,
    now: AtomicU32,
    stop: AtomicBool,
}

impl Switch {
    fn new(fdb: Arc<Fdb>) -> Self {
        Self { published: Mutex::new(fdb), now: AtomicU32::new(0), stop: AtomicBool::new(false) }
    }

    fn view(&self) -> Arc<Fdb> {
        Arc::clone(&self.published.lock().expect("nobody panics with the lock"))
    }

    fn publish(&self, fdb: Arc<Fdb>) {
        *self.published.lock().expect("nobody panics with the lock") = fdb;
    }

    /// One worker: batches on the view of the moment until told to stop, and then some. Returns what `batch` counted.
    fn work(&self, mut batch: impl FnMut(&Fdb, u32) -> u64) -> u64 {
        let mut total = 0;
        let mut more = 20;
        while more > 0 {
            more -= u32::from(self.stop.load(Ordering::Relaxed));
            total += batch(&self.view(), self.now.load(Ordering::Relaxed));
        }
        total
    }
}

/// Ends the workers, also when control panics.
struct Stop<'a>(&'a Switch);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

fn read(random: &mut Random, fdb: &Fdb) -> u64 {
    let indices: [u32; 64] = std::array::from_fn(|_| random.below(KEYS));
    let probes = indices.map(|index| fdb.probe(key(index)));
    let mut found = 0;
    for (index, probe) in indices.into_iter().zip(probes) {
        let entry = fdb.lookup(&probe);
        if let Some(entry) = entry {
            found += 1;
            assert_eq!(owner(entry.place), Some(index), "{entry:?} is not {:?}'s", key(index));
        }
        if index < PINNED {
            assert_eq!(entry.map(|it| (it.place, it.kind)), Some((place(index, 0), Kind::Static)));
        }
    }
    found
}

fn learn(random: &mut Random, fdb: &Fdb, now: u32) -> u64 {
    let mut learned = 0;
    for _ in 0..64 {
        let index = random.below(KEYS);
        let which = random.below(PLACES);
        let result = fdb.learn(&fdb.probe(key(index)), place(index, which), now, None, |_| 3);
        match result {
            Learned::Moved { from } => assert_eq!(owner(from), Some(index)),
            Learned::Bound => assert_ne!(which, if index < PINNED { 0 } else { 2 }),
            Learned::New => assert!(index >= PINNED),
            // There is no limit.
            other => assert_ne!(other, Learned::Limited),
        }
        learned += u64::from(matches!(result, Learned::New | Learned::Moved { .. }));
    }
    learned
}

/// What control does between two steps of anything longer.
fn disturb(random: &mut Random, switch: &Switch) {
    let fdb = switch.view();
    let now = switch.now.load(Ordering::Relaxed);
    for _ in 0..16 {
        let index = PINNED + random.below(KEYS - PINNED);
        match random.below(4) {
            0 => drop(fdb.remove(key(index))),
            1 => drop(fdb.set(key(index), place(index, 1), Kind::Dynamic, now)),
            // Static for a moment; removed below or in a later round.
            2 => drop(fdb.set(key(index), place(index, 2), Kind::Static, now)),
            _ => drop(fdb.set(key(index % PINNED), place(index % PINNED, 0), Kind::Static, now)),
        }
    }
    match random.below(8) {
        0 => {
            fdb.age(now, |_| 3);
        }
        1 => {
            fdb.flush(|key, _| {
                key.domain() == DomainId(1) && key.mac().to_u64().is_multiple_of(7) && !pinned(key)
            });
        }
        2 => {
            fdb.for_each(|at, entry| assert_eq!(owner(entry.place).map(key), Some(at)));
        }
        3 => {
            fdb.flush(|key, entry| entry.kind == Kind::Static && !pinned(key));
        }
        _ => {}
    }
    switch.now.fetch_add(1, Ordering::Relaxed);
}

fn grow(random: &mut Random, switch: &Switch) {
    let view = switch.view();
    let growing = Arc::new(view.grow(0).expect("it can grow"));
    drop(view);
    switch.publish(Arc::clone(&growing));
    loop {
        match growing.migrate(1 + random.below(8) as usize) {
            Migration::Done => break,
            Migration::Waiting => thread::yield_now(),
            Migration::Moving | Migration::Blocked => {}
        }
        if random.below(8) == 0 {
            disturb(random, switch);
        }
    }
    switch.publish(Arc::new(growing.grown().expect("all has moved")));
}

/// With everybody gone, every count agrees with what is there.
fn settle(fdb: &Fdb) {
    let mut seen = HashSet::new();
    let mut learned = vec![0u32; (KEYS * PLACES) as usize];
    let mut domains = [0u32; DOMAINS as usize + 1];
    fdb.for_each(|at, entry| {
        assert!(seen.insert(at), "{at:?} is there twice");
        if let (Place::Remote(remote), Kind::Dynamic) = (entry.place, entry.kind) {
            learned[remote.0 as usize] += 1;
            domains[usize::from(at.domain().0)] += 1;
        }
    });
    assert_eq!(fdb.len(), seen.len());
    for (remote, count) in learned.into_iter().enumerate() {
        assert_eq!(fdb.learned_at(Place::Remote(RemoteId(remote as u32))), count);
    }
    for (domain, count) in domains.into_iter().enumerate() {
        assert_eq!(fdb.learned_in(DomainId(domain as u16)), count);
    }
    assert!((0..PINNED).all(|index| seen.contains(&key(index))));
    fdb.flush(|key, _| !pinned(key));
    assert_eq!(fdb.len(), PINNED as usize);
}

#[test]
fn readers_learners_and_control_agree_while_the_table_grows() {
    for seed in 1..=6u64 {
        let fdb = Fdb::new(PINNED as usize, [seed, seed << 32]);
        for index in 0..PINNED {
            assert_eq!(fdb.set(key(index), place(index, 0), Kind::Static, 0), Ok(None));
        }
        let switch = Switch::new(Arc::new(fdb));
        let (found, learned) = thread::scope(|scope| {
            let switch = &switch;
            let reader = |seed| {
                let mut random = Random(seed);
                scope.spawn(move || switch.work(|fdb, _| read(&mut random, fdb)))
            };
            let learner = |seed| {
                let mut random = Random(seed);
                scope.spawn(move || switch.work(|fdb, now| learn(&mut random, fdb, now)))
            };
            let readers = [reader(seed * 3), reader(seed * 5)];
            let learners = [learner(seed * 7), learner(seed * 11)];
            let mut random = Random(seed * 13);
            let stop = Stop(switch);
            for _ in 0..4 {
                for _ in 0..200 {
                    disturb(&mut random, switch);
                }
                grow(&mut random, switch);
            }
            drop(stop);
            let sum = |workers: [thread::ScopedJoinHandle<'_, u64>; 2]| -> u64 {
                workers.map(|worker| worker.join().expect("a worker panicked")).iter().sum()
            };
            (sum(readers), sum(learners))
        });
        assert!(found > 0 && learned > 0);
        let fdb = switch.view();
        assert!(fdb.capacity() >= 16 * PINNED as usize);
        settle(&fdb);
    }
}
