//! Finding a slot for a new entry. All of it runs under the writer lock and touches at most ten buckets.

use super::key::{Hash, Hasher, Key};
use super::shared::Shared;
use super::table::{Bucket, Slot, Table};
use super::value::{Kind, Value};
use crate::ids::DomainId;
use crate::sync::Ordering;

/// A table that is about to get an entry.
pub(super) struct Room<'a> {
    pub(super) table: &'a Table,
    pub(super) hasher: Hasher,
    pub(super) shared: &'a Shared,
    pub(super) now: u32,
}

impl<'a> Room<'a> {
    /// A slot for a learned entry: an empty one, one whose entry has aged out, or one whose entry can go to its other
    /// bucket.
    pub(super) fn for_learned(&self, hash: Hash, ageing: impl Fn(DomainId) -> u32) -> Option<&'a Slot> {
        self.vacant(hash).or_else(|| self.expired(hash, ageing)).or_else(|| self.displaced(hash))
    }

    /// A slot for an entry that must not be refused: besides the above, any learned entry gives way, the one that was
    /// silent for longest first. `None` only if both buckets, and the other buckets of everything in them, are full of
    /// entries that must not be lost either.
    pub(super) fn for_pinned(&self, hash: Hash) -> Option<&'a Slot> {
        self.vacant(hash)
            .or_else(|| self.displaced(hash))
            .or_else(|| self.evicted(self.table.pair(hash)))
            .or_else(|| self.displaced_by_eviction(hash))
    }

    /// An empty slot. The primary bucket comes first, so that most lookups end there.
    fn vacant(&self, hash: Hash) -> Option<&'a Slot> {
        let [primary, secondary] = self.table.pair(hash);
        primary.vacancy().or_else(|| secondary.vacancy())
    }

    /// The slot of the entry that has been expired for longest.
    fn expired(&self, hash: Hash, ageing: impl Fn(DomainId) -> u32) -> Option<&'a Slot> {
        let (slot, key, value) = entries(self.table.pair(hash))
            .filter(|(_, key, value)| value.is_expired(self.now, ageing(key.domain())))
            .max_by_key(|(_, _, value)| value.age(self.now))?;
        // Not if a frame has refreshed it since.
        self.shared.remove(slot, key, value).then_some(slot)
    }

    /// A slot whose entry went to an empty slot of its secondary bucket.
    fn displaced(&self, hash: Hash) -> Option<&'a Slot> {
        if self.shared.walks.load(Ordering::Relaxed) != 0 {
            return None;
        }
        self.in_primary(hash).find_map(|(slot, key, secondary)| {
            let vacancy = secondary.vacancy()?;
            slot.relocate(key, vacancy);
            Some(slot)
        })
    }

    /// The slot of the learned entry that was silent for longest.
    fn evicted(&self, pair: [&'a Bucket; 2]) -> Option<&'a Slot> {
        let (slot, key, _) = entries(pair)
            .filter(|(_, _, value)| value.kind() == Kind::Dynamic)
            .max_by_key(|(_, _, value)| value.age(self.now))?;
        self.shared.take_out(slot, key);
        Some(slot)
    }

    /// A slot whose entry went to its secondary bucket in place of a learned entry.
    fn displaced_by_eviction(&self, hash: Hash) -> Option<&'a Slot> {
        if self.shared.walks.load(Ordering::Relaxed) != 0 {
            return None;
        }
        self.in_primary(hash).find_map(|(slot, key, secondary)| {
            let freed = self.evicted([secondary, secondary])?;
            slot.relocate(key, freed);
            Some(slot)
        })
    }

    /// The entries of a key's two buckets that are in their primary bucket, with their secondary one. Only these can
    /// be displaced: entries move in the direction that readers look.
    fn in_primary(&self, hash: Hash) -> impl Iterator<Item = (&'a Slot, Key, &'a Bucket)> {
        let (table, hasher) = (self.table, self.hasher);
        table
            .pair(hash)
            .into_iter()
            .flat_map(|bucket| bucket.slots().iter().map(move |slot| (bucket, slot)))
            .filter_map(move |(bucket, slot)| {
                let key = slot.key()?;
                let [primary, secondary] = table.pair(hasher.hash(key));
                let movable = std::ptr::eq(bucket, primary) && !std::ptr::eq(primary, secondary);
                movable.then_some((slot, key, secondary))
            })
    }
}

/// The entries of two buckets.
fn entries(pair: [&Bucket; 2]) -> impl Iterator<Item = (&Slot, Key, Value)> {
    pair.into_iter().flat_map(Bucket::slots).filter_map(|slot| Some((slot, slot.key()?, slot.value())))
}
