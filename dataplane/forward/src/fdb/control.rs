//! The control thread's side: set, remove, walk, flush, age. One thread calls these; workers go on meanwhile. The
//! writer lock is taken for one entry at a time, so learning goes on too.

use super::key::Key;
use super::room::Room;
use super::shared::Shared;
use super::table::{Bucket, Slot, Table};
use super::value::{Entry, Kind, Value};
use super::{Fdb, Limits};
use crate::ids::DomainId;
use crate::link::Place;
use crate::sync::Ordering;

/// An entry found no room because everything around it must not be lost either. Growing helps; it has been asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeedsGrowth;

impl std::fmt::Display for NeedsGrowth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the forwarding database has to grow before it takes this entry")
    }
}

impl std::error::Error for NeedsGrowth {}

impl Fdb {
    /// Adds an entry or replaces the one of this key, which is returned. No limit applies, and learned entries give
    /// way where room is short.
    ///
    /// # Errors
    ///
    /// [`NeedsGrowth`] if growing must come first; nothing has changed then.
    pub fn set(&self, key: Key, place: Place, kind: Kind, now: u32) -> Result<Option<Entry>, NeedsGrowth> {
        self.write(key, place, kind, now, |_, new| new)
    }

    /// The same for an entry that goes on under another kind: how often it has moved stays.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn convert(
        &self,
        key: Key,
        place: Place,
        kind: Kind,
        now: u32,
    ) -> Result<Option<Entry>, NeedsGrowth> {
        self.write(key, place, kind, now, Value::heir)
    }

    fn write(
        &self,
        key: Key,
        place: Place,
        kind: Kind,
        now: u32,
        succeed: fn(Value, Value) -> Value,
    ) -> Result<Option<Entry>, NeedsGrowth> {
        let probe = self.probe(key);
        let hash = probe.hash;
        let value = Value::new(place, kind, now, hash.tag());
        let _writer = self.shared.lock.lock();
        let counts = &self.shared.counts;
        if kind == Kind::Dynamic {
            counts.reserve(key.domain(), place, Limits::NONE);
        }
        if let Some((slot, old)) = self.find(&probe) {
            let old = exchange(slot, old, |old| succeed(old, value));
            if old.kind() == Kind::Dynamic {
                counts.release(key.domain(), old.place());
            }
            return Ok(Some(old.entry()));
        }
        let room = self.target().and_then(|table| Some((table, self.room(table, now).for_pinned(hash)?)));
        let Some((table, slot)) = room else {
            if kind == Kind::Dynamic {
                counts.release(key.domain(), place);
            }
            self.shared.ask_for_growth();
            return Err(NeedsGrowth);
        };
        self.shared.add(table, slot, key, value);
        Ok(None)
    }

    /// Removes the entry of a key, whatever its kind.
    pub fn remove(&self, key: Key) -> Option<Entry> {
        let probe = self.probe(key);
        let _writer = self.shared.lock.lock();
        let (slot, _) = self.find(&probe)?;
        Some(self.shared.take_out(slot, key).entry())
    }

    /// Calls `visit` with every entry. What is added or removed meanwhile may or may not be among them, and an entry
    /// that is removed and learned again may come twice. `visit` must not call the control side of the database.
    pub fn for_each(&self, mut visit: impl FnMut(Key, Entry)) {
        let _walk = Walk::new(&self.shared);
        for slot in self.slots() {
            if let Some((key, value)) = self.read(slot) {
                visit(key, value.entry());
            }
        }
    }

    /// Removes every entry that `unwanted` says so of, and returns how many. `unwanted` is asked again if the entry
    /// changed meanwhile, and must not call the control side of the database.
    pub fn flush(&self, mut unwanted: impl FnMut(Key, &Entry) -> bool) -> usize {
        let _walk = Walk::new(&self.shared);
        self.slots().filter(|slot| self.remove_if(slot, &mut unwanted)).count()
    }

    /// Removes every entry that has aged out, and returns how many. `ageing` is a domain's ageing time in seconds, at
    /// most 2²³ - 1; zero keeps its entries for ever.
    pub fn age(&self, now: u32, ageing: impl Fn(DomainId) -> u32) -> usize {
        self.flush(|key, entry| entry.is_expired(now, ageing(key.domain())))
    }

    fn remove_if(&self, slot: &Slot, unwanted: &mut impl FnMut(Key, &Entry) -> bool) -> bool {
        let mut seen = self.read(slot);
        let mut writer = None;
        while let Some((key, value)) = seen.filter(|(key, value)| unwanted(*key, &value.entry())) {
            writer.get_or_insert_with(|| self.shared.lock.lock());
            // A frame may have refreshed or moved it since, or another writer removed it.
            if slot.key() == Some(key) && self.shared.remove(slot, key, value) {
                return true;
            }
            seen = self.read(slot);
        }
        false
    }

    /// The entry in a slot, read as the workers do.
    fn read(&self, slot: &Slot) -> Option<(Key, Value)> {
        let key = slot.key()?;
        let value = slot.value_of(key, self.hasher.hash(key).tag())?;
        Some((key, value))
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.tables().flat_map(Table::buckets).flat_map(Bucket::slots)
    }

    /// The tables in the order that entries move in.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        [Some(&self.current), self.next.as_ref()].into_iter().flatten().map(|table| &**table)
    }

    pub(super) fn room<'a>(&'a self, table: &'a Table, now: u32) -> Room<'a> {
        Room { table, hasher: self.hasher, shared: &self.shared, now }
    }
}

/// Replaces a value and returns the last one before. For the holder of the writer lock: only refreshes and moves
/// compete, and each of those happens at most once a second and entry, so the loop ends.
fn exchange(slot: &Slot, mut old: Value, new: impl Fn(Value) -> Value) -> Value {
    while !slot.replace(old, new(old)) {
        old = slot.value();
    }
    old
}

/// A walk over the database; while it lasts, no entry is displaced from where the walk has not been to where it has.
struct Walk<'a>(&'a Shared);

impl<'a> Walk<'a> {
    fn new(shared: &'a Shared) -> Self {
        let _writer = shared.lock.lock();
        shared.walks.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        let _writer = self.0.lock.lock();
        self.0.walks.fetch_sub(1, Ordering::Relaxed);
    }
}
