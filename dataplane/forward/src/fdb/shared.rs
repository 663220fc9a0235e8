//! What all views of one database share, and taking entries out.

use super::counts::Counts;
use super::key::Key;
use super::lock::WriterLock;
use super::table::{Advise, Slot, Table};
use super::value::{Kind, Value};
use crate::sync::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

pub(super) struct Shared {
    pub(super) lock: WriterLock,
    /// Walks over the whole database that are under way. Entries are not displaced meanwhile, lest a walk miss one.
    /// Changed and read under the lock.
    pub(super) walks: AtomicU32,
    /// Entries of all kinds, in all tables. Written under the lock.
    pub(super) entries: AtomicUsize,
    pub(super) wants_growth: AtomicBool,
    /// Where the next look for an entry that gives way begins.
    pub(super) cursor: AtomicUsize,
    /// Looks for one that are left out first. Changed and read under the lock, as what follows.
    pub(super) patience: AtomicU32,
    /// The second of the last look, and how many long ones it has left.
    pub(super) second: AtomicU32,
    pub(super) long_looks: AtomicU32,
    pub(super) counts: Counts,
    pub(super) advise: Advise,
}

impl Shared {
    pub(super) fn new(advise: Advise) -> Self {
        Self {
            lock: WriterLock::default(),
            walks: AtomicU32::new(0),
            entries: AtomicUsize::new(0),
            wants_growth: AtomicBool::new(false),
            cursor: AtomicUsize::new(0),
            patience: AtomicU32::new(0),
            second: AtomicU32::new(0),
            long_looks: AtomicU32::new(0),
            counts: Counts::new(),
            advise,
        }
    }

    /// Puts an entry into an empty slot of `table`. For the holder of the writer lock.
    pub(super) fn add(&self, table: &Table, slot: &Slot, key: Key, value: Value) {
        slot.fill(key, value);
        if self.entries.fetch_add(1, Ordering::Relaxed) >= table.capacity() {
            self.ask_for_growth();
        }
    }

    pub(super) fn ask_for_growth(&self) {
        self.wants_growth.store(true, Ordering::Relaxed);
    }

    /// Takes an entry out if its value is still `value`. For the holder of the writer lock.
    pub(super) fn remove(&self, slot: &Slot, key: Key, value: Value) -> bool {
        let frozen = slot.replace(value, value.frozen());
        if frozen {
            self.finish(slot, key, value);
        }
        frozen
    }

    /// Takes an entry out whatever its value, which is returned. For the holder of the writer lock.
    pub(super) fn take_out(&self, slot: &Slot, key: Key) -> Value {
        let value = slot.freeze();
        self.finish(slot, key, value);
        value
    }

    fn finish(&self, slot: &Slot, key: Key, value: Value) {
        slot.clear();
        self.entries.fetch_sub(1, Ordering::Relaxed);
        if value.kind() == Kind::Dynamic {
            self.counts.release(key.domain(), value.place());
        }
    }
}
