//! Slots, buckets, and the protocol between their readers and writers.
//!
//! ```text
//! bucket (one cache line)   ├ key 0 ┼ value 0 ┼ key 1 ┼ value 1 ┼ key 2 ┼ value 2 ┼ key 3 ┼ value 3 ┤  8 bytes each
//! ```
//!
//! # Reading
//!
//! A key may be in one of two buckets. A reader looks into the primary one, then the secondary one, then, while the
//! database grows, into the two of the larger table; it passes each once and never waits. In a slot it loads
//!
//! - R1 the key (Acquire): is it the wanted one?
//! - R2 the value (Acquire),
//! - R3 the key again (Acquire): if it is still the same and the value carries the key's tag, the value is the key's.
//!
//! # Writing
//!
//! A value is changed by compare-exchange on the value alone ([`Slot::replace`]), by anybody. Keys are stored only
//! under the writer lock. A slot is reused in three steps:
//!
//! - W1 key ← empty (Release), after the old value was frozen, so that no compare-exchange on it succeeds later;
//! - W2 value ← new value (Release);
//! - W3 key ← new key (Release).
//!
//! Pairs: R1 reading W3 acquires W2, so R2 cannot return a value older than the key's own. R2 reading W2 acquires W1,
//! so if R2 returned the value of a later key, R3 reads "empty" or later, and the reader passes on. (A compare-exchange
//! on the value continues W2's release sequence, so reading its result acquires the same.) What is left is a slot that
//! gets another key between R1 and R2 and *the same key back* between R2 and R3. Then the value's tag belongs to
//! the other key; that it is the same nevertheless has probability 1/256, on top of two reuses of one slot within
//! three consecutive loads.
//!
//! # Never invisible
//!
//! An entry only ever moves forward along the way that readers look: primary bucket → secondary bucket → primary
//! bucket of the next table → secondary bucket of the next table ([`Slot::relocate`]). The copy is complete before the
//! original's key is cleared (Release), and a reader that finds it cleared, or finds whatever was stored there since,
//! acquires that at R1 or R3. So it finds the copy further on.

use std::hint::select_unpredictable;

use super::key::{Hash, Key, MAX_BUCKET_BITS};
use super::value::Value;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Slots of a bucket.
pub(super) const SLOTS: usize = 4;

/// Largest capacity of a table.
pub(super) const MAX_CAPACITY: usize = (SLOTS / 2) << MAX_BUCKET_BITS;

const EMPTY: u64 = 0;

/// One entry, or room for one.
#[derive(Default)]
pub(super) struct Slot {
    key: AtomicU64,
    value: AtomicU64,
}

impl Slot {
    /// The key in the slot, if any.
    pub(super) fn key(&self) -> Option<Key> {
        match self.key.load(Ordering::Acquire) {
            EMPTY => None,
            key => Some(Key(key)),
        }
    }

    /// The value, whoever's it is. For the holder of the writer lock, who knows the key.
    pub(super) fn value(&self) -> Value {
        Value(self.value.load(Ordering::Acquire))
    }

    /// R2 and R3 of the module's protocol: the value, if it is `key`'s.
    #[inline]
    pub(super) fn value_of(&self, key: Key, tag: u8) -> Option<Value> {
        let value = Value(self.value.load(Ordering::Acquire));
        (self.key.load(Ordering::Acquire) == key.0 && value.tag() == tag).then_some(value)
    }

    /// Changes the value from exactly `old` to `new`; any thread may. Fails if anybody changed, froze or replaced it
    /// since `old` was read.
    pub(super) fn replace(&self, old: Value, new: Value) -> bool {
        self.value.compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Ends all changes of the value and returns it. For the holder of the writer lock.
    pub(super) fn freeze(&self) -> Value {
        Value(self.value.fetch_or(Value::FROZEN, Ordering::AcqRel)).thawed()
    }

    /// W1: takes the entry out. For the holder of the writer lock, which has frozen the value.
    pub(super) fn clear(&self) {
        self.key.store(EMPTY, Ordering::Release);
    }

    /// W2 and W3: puts an entry into an empty slot. For the holder of the writer lock.
    pub(super) fn fill(&self, key: Key, value: Value) {
        debug_assert!(self.key().is_none(), "the slot is taken");
        self.value.store(value.0, Ordering::Release);
        self.key.store(key.0, Ordering::Release);
    }

    /// Moves the entry `key` of this slot to an empty one further along the way that readers look. For the holder of
    /// the writer lock.
    pub(super) fn relocate(&self, key: Key, to: &Self) {
        to.fill(key, self.freeze());
        self.clear();
    }
}

/// One cache line of slots: what a lookup reads, and what a prefetch ([`crate::link::Link::prefetch`]) asks for.
#[derive(Default)]
#[repr(align(64))]
pub struct Bucket([Slot; SLOTS]);

#[cfg(not(loom))]
const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    pub(super) fn slots(&self) -> &[Slot; SLOTS] {
        &self.0
    }

    /// The slot that holds `key`, and its value.
    #[inline]
    pub(super) fn find(&self, key: Key, tag: u8) -> Option<(&Slot, Value)> {
        // Where it is cannot be predicted, so no branch depends on it. The first slot stands for "nowhere" too.
        let [_, second, third, fourth] = &self.0;
        let holds = |slot: &Slot| slot.key.load(Ordering::Acquire) == key.0;
        let at = select_unpredictable(holds(second), 1, 0);
        let at = select_unpredictable(holds(third), 2, at);
        let at: usize = select_unpredictable(holds(fourth), 3, at);
        let slot = &self.0[at % SLOTS];
        if slot.key.load(Ordering::Acquire) != key.0 {
            return None;
        }
        slot.value_of(key, tag).map(|value| (slot, value))
    }

    /// An empty slot. For the holder of the writer lock.
    pub(super) fn vacancy(&self) -> Option<&Slot> {
        self.0.iter().find(|slot| slot.key().is_none())
    }
}

/// Told of the memory of a new table, by address and bytes, before anybody touches it: where large pages can be had,
/// this is the moment to ask for them.
pub type Advise = fn(usize, usize);

/// A power of two of buckets. It never changes its size; growing makes a larger one.
pub(super) struct Table {
    buckets: Box<[Bucket]>,
    /// Set, under the writer lock, when new entries no longer go here: all readers look into the next table too.
    pub(super) draining: AtomicBool,
    /// Buckets whose entries have gone to the next table. Written under the writer lock.
    pub(super) drained: AtomicUsize,
}

impl Table {
    /// A table that holds `capacity` entries when it is half full.
    ///
    /// `advise` is told of its memory before anybody touches it.
    pub(super) fn new(capacity: usize, advise: Advise) -> Self {
        let count = capacity.clamp(1, MAX_CAPACITY).div_ceil(SLOTS / 2).next_power_of_two();
        let mut buckets: Vec<Bucket> = Vec::with_capacity(count);
        advise(buckets.as_ptr().addr(), count * size_of::<Bucket>());
        buckets.resize_with(count, Bucket::default);
        Self { buckets: buckets.into(), draining: AtomicBool::new(false), drained: AtomicUsize::new(0) }
    }

    pub(super) fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Half of the slots: up to here an entry practically always finds room.
    pub(super) fn capacity(&self) -> usize {
        self.buckets.len() * (SLOTS / 2)
    }

    /// The primary and the secondary bucket of a key.
    #[inline]
    pub(super) fn pair(&self, hash: Hash) -> [&Bucket; 2] {
        [self.primary(hash), self.secondary(hash)]
    }

    /// The bucket that readers look into first.
    #[inline]
    pub(super) fn primary(&self, hash: Hash) -> &Bucket {
        &self.buckets[hash.primary(self.buckets.len() - 1)]
    }

    /// The bucket that readers look into second.
    #[inline]
    pub(super) fn secondary(&self, hash: Hash) -> &Bucket {
        &self.buckets[hash.secondary(self.buckets.len() - 1)]
    }
}
