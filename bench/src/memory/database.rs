//! Forwarding databases to compare: ours, and concurrent maps that could stand in its place.
//!
//! All have the same keys and values, room for all entries from the start, and a hash of the same quality: two folded
//! 64 × 64 → 128 multiplications with a random seed (foldhash's "quality" for the maps). Each is used as its
//! documentation recommends for many lookups in a row: papaya's guard is pinned, the lock taken, once for a batch.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::RwLock;

use arrayvec::ArrayVec;
use dashmap::DashMap;
use foldhash::quality::RandomState;
use forward::fdb::{Fdb, Key, Probe};
use forward::limits::BATCH;
use forward::link::Place;

use super::overlay::{START, empty_fdb};

/// What a switch does with its forwarding database.
pub trait Database: Send + Sync {
    /// Empty, with room for this many entries.
    fn with_capacity(entries: usize) -> Self;

    /// Looks up a batch of keys, at most 64, and tells how many are known.
    fn lookup(&self, keys: &[(Key, Place)]) -> usize;

    /// Learns a batch of addresses, known or not.
    fn learn(&self, entries: &[(Key, Place)]);

    /// Forgets an address.
    fn remove(&self, key: Key);
}

impl Database for Fdb {
    fn with_capacity(entries: usize) -> Self {
        empty_fdb(entries)
    }

    #[inline]
    fn lookup(&self, keys: &[(Key, Place)]) -> usize {
        let known = |(key, _): &(Key, Place)| usize::from(Self::lookup(self, &self.probe(*key)).is_some());
        keys.iter().map(known).sum()
    }

    #[inline]
    fn learn(&self, entries: &[(Key, Place)]) {
        for (key, place) in entries {
            black_box(Self::learn(self, &self.probe(*key), *place, START.seconds(), None, |_| 300));
        }
    }

    fn remove(&self, key: Key) {
        black_box(Self::remove(self, key));
    }
}

/// Our database as the pipeline uses it: the lines of a batch are asked for before any is read.
#[derive(Debug)]
pub struct Prefetched(pub Fdb);

impl Database for Prefetched {
    fn with_capacity(entries: usize) -> Self {
        Self(empty_fdb(entries))
    }

    #[inline]
    fn lookup(&self, keys: &[(Key, Place)]) -> usize {
        let mut probes = ArrayVec::<Probe, BATCH>::new();
        for (key, _) in keys {
            let probe = self.0.probe(*key);
            xsk::prefetch(self.0.line(probe));
            probes.push(probe);
        }
        probes.iter().map(|probe| usize::from(self.0.lookup(probe).is_some())).sum()
    }

    #[inline]
    fn learn(&self, entries: &[(Key, Place)]) {
        Database::learn(&self.0, entries);
    }

    fn remove(&self, key: Key) {
        Database::remove(&self.0, key);
    }
}

/// The papaya crate's map.
#[derive(Debug)]
pub struct Papaya(papaya::HashMap<Key, Place, RandomState>);

impl Database for Papaya {
    fn with_capacity(entries: usize) -> Self {
        Self(papaya::HashMap::with_capacity_and_hasher(entries, RandomState::default()))
    }

    #[inline]
    fn lookup(&self, keys: &[(Key, Place)]) -> usize {
        let map = self.0.pin();
        keys.iter().map(|(key, _)| usize::from(map.get(key).copied().is_some())).sum()
    }

    #[inline]
    fn learn(&self, entries: &[(Key, Place)]) {
        let map = self.0.pin();
        for (key, place) in entries {
            map.insert(*key, *place);
        }
    }

    fn remove(&self, key: Key) {
        self.0.pin().remove(&key);
    }
}

/// The dashmap crate's map.
#[derive(Debug)]
pub struct Dash(DashMap<Key, Place, RandomState>);

impl Database for Dash {
    fn with_capacity(entries: usize) -> Self {
        Self(DashMap::with_capacity_and_hasher(entries, RandomState::default()))
    }

    #[inline]
    fn lookup(&self, keys: &[(Key, Place)]) -> usize {
        keys.iter().map(|(key, _)| usize::from(self.0.get(key).map(|place| *place).is_some())).sum()
    }

    #[inline]
    fn learn(&self, entries: &[(Key, Place)]) {
        for (key, place) in entries {
            self.0.insert(*key, *place);
        }
    }

    fn remove(&self, key: Key) {
        self.0.remove(&key);
    }
}

/// The standard library's map under its readers-writer lock.
#[derive(Debug)]
pub struct Locked(RwLock<HashMap<Key, Place, RandomState>>);

impl Database for Locked {
    fn with_capacity(entries: usize) -> Self {
        Self(RwLock::new(HashMap::with_capacity_and_hasher(entries, RandomState::default())))
    }

    #[inline]
    fn lookup(&self, keys: &[(Key, Place)]) -> usize {
        let map = self.0.read().expect("no writer has panicked");
        keys.iter().map(|(key, _)| usize::from(map.get(key).copied().is_some())).sum()
    }

    #[inline]
    fn learn(&self, entries: &[(Key, Place)]) {
        let mut map = self.0.write().expect("no writer has panicked");
        for (key, place) in entries {
            map.insert(*key, *place);
        }
    }

    fn remove(&self, key: Key) {
        self.0.write().expect("no writer has panicked").remove(&key);
    }
}
