//! The forwarding database: which place a bridge domain's Ethernet address is at.
//!
//! It stands behind parse on a frame's way: the source address is learned here, the destination looked up. All workers
//! and the control thread use one database at once. It knows nothing of frames, of the published tables that it is
//! part of, or of clocks: time is an argument.
//!
//! A lookup reads one or two cache lines, and never waits, retries or takes a lock (`table` argues why that is
//! correct). A worker refreshes and moves entries without a lock; to add one it tries for the writer lock, and if
//! somebody has it leaves the learning to the next frame. `growth` tells how the table is replaced by a larger one.
//!
//! The batch way: [`Fdb::probe`] and a prefetch of [`Fdb::line`] for each frame of a batch, then [`Fdb::lookup`] and
//! [`Fdb::learn`] for each.

mod control;
mod counts;
mod growth;
mod key;
mod lock;
mod room;
mod share;
mod shared;
mod table;
#[cfg(all(test, not(loom)))]
mod tests;
mod value;

use std::fmt;
use std::sync::{Arc, Weak};

pub use control::NeedsGrowth;
pub use counts::Limits;
pub use growth::Migration;
pub use key::Key;
pub use value::{Entry, Kind, Sighting};

use crate::ids::DomainId;
use crate::link::Place;
use crate::sync::Ordering;
use counts::Counts;
pub(crate) use key::Hash;
use key::Hasher;
use shared::Shared;
pub use table::{Advise, Bucket};
use table::{Slot, Table};
use value::Value;

/// What became of a source address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Learned {
    /// It was known at this place; nothing was written.
    Known,
    /// It was known at this place and its age starts anew.
    Refreshed,
    /// It is new, and known now.
    New,
    /// It was known elsewhere and is known here now.
    Moved {
        /// Where it was.
        from: Place,
    },
    /// It is bound to another place by an entry that does not move.
    Bound,
    /// It is new and there is no room; [`Fdb::wants_growth`] says so too.
    Full,
    /// It is new here and would exceed a limit.
    Limited,
    /// Another thread is writing. The next frame from this address learns it.
    Deferred,
}

/// A view of the forwarding database, made to be published to workers as a part of their tables. Views of one
/// database share its entries; a view is never changed, and growing makes a new one.
pub struct Fdb {
    hasher: Hasher,
    current: Arc<Table>,
    /// Where entries go while `current` is drained.
    next: Option<Arc<Table>>,
    shared: Arc<Shared>,
    /// Alive as long as this view is.
    alive: Arc<()>,
    /// The views before this one.
    older: Vec<Weak<()>>,
}

impl Fdb {
    /// An empty database for `capacity` entries (rounded up to a power of two, at most 2²⁵). The seed, random for each
    /// process, keys the hash.
    #[must_use]
    pub fn new(capacity: usize, seed: [u64; 2]) -> Self {
        Self::advised(capacity, seed, |_, _| {})
    }

    /// As [`Fdb::new`]; `advise` is told of the memory of each table, this one's and those it grows into.
    #[must_use]
    pub fn advised(capacity: usize, seed: [u64; 2], advise: Advise) -> Self {
        Self {
            hasher: Hasher::new(seed),
            current: Arc::new(Table::new(capacity, advise)),
            next: None,
            shared: Arc::new(Shared::new(advise)),
            alive: Arc::new(()),
            older: Vec::new(),
        }
    }

    /// Where a key's entry is, if there is one.
    #[inline]
    #[must_use]
    pub fn probe(&self, key: Key) -> Probe {
        Probe { key, hash: self.hasher.hash(key) }
    }

    /// The cache line that a lookup reads first, which with a table at most half full is nearly always the only one. To
    /// be prefetched ([`crate::link::Link::prefetch`]) some tens of nanoseconds before.
    #[inline]
    #[must_use]
    pub fn line(&self, probe: Probe) -> &Bucket {
        self.current.primary(probe.hash)
    }

    /// The entry that a probe leads to.
    #[inline]
    #[must_use]
    pub fn lookup(&self, probe: &Probe) -> Option<Entry> {
        self.find(probe).map(|(_, value)| value.entry())
    }

    /// The place of the entry that a probe leads to.
    #[inline]
    #[must_use]
    pub fn place(&self, probe: &Probe) -> Option<Place> {
        self.find(probe).map(|(_, value)| value.place())
    }

    /// Learns that a frame from the probe's key came from `place` at `now` (monotonic seconds). An entry's age is
    /// written at most once a second. `limits` are those of this place and domain; `ageing` is any domain's ageing time
    /// in seconds and is asked only when room is short.
    #[inline]
    pub fn learn(
        &self,
        probe: &Probe,
        place: Place,
        now: u32,
        limits: Option<Limits>,
        ageing: impl Fn(DomainId) -> u32,
    ) -> Learned {
        match self.find(probe) {
            Some((_, value)) if value.is_current(Sighting::new(place, now)) => Learned::Known,
            Some((slot, value)) => self.confirm(slot, value, place, now, limits),
            None => self.insert(probe, place, now, limits, ageing),
        }
    }

    /// Whether [`Fdb::learn`] of the same would change nothing, which it does not most of the time. To be asked first.
    #[inline]
    #[must_use]
    pub fn knows(&self, probe: &Probe, sighting: Sighting) -> bool {
        self.find(probe).is_some_and(|(_, value)| value.is_current(sighting) || value.is_written(sighting))
    }

    /// A frame from a known address came in: refresh or move its entry, or neither.
    #[inline(never)]
    fn confirm(&self, slot: &Slot, value: Value, place: Place, now: u32, limits: Option<Limits>) -> Learned {
        if value.place() == place {
            let stale = value.kind().ages() && value.age(now) > 0;
            // If it fails, somebody else has just refreshed, moved or removed it.
            let refreshed = stale && !value.is_frozen() && slot.replace(value, value.refreshed(now));
            return if refreshed { Learned::Refreshed } else { Learned::Known };
        }
        if value.kind() != Kind::Dynamic {
            return Learned::Bound;
        }
        if value.is_frozen() {
            return Learned::Deferred;
        }
        let counts = &self.shared.counts;
        if !counts.reserve_place(place, limits.unwrap_or(Limits::NONE).place) {
            return Learned::Limited;
        }
        if slot.replace(value, value.moved(place, now)) {
            counts.release_place(value.place());
            Learned::Moved { from: value.place() }
        } else {
            counts.release_place(place);
            Learned::Deferred
        }
    }

    #[cold]
    #[inline(never)]
    fn insert(
        &self,
        probe: &Probe,
        place: Place,
        now: u32,
        limits: Option<Limits>,
        ageing: impl Fn(DomainId) -> u32,
    ) -> Learned {
        let Probe { key, hash, .. } = *probe;
        let Some(_writer) = self.shared.lock.try_lock() else { return Learned::Deferred };
        // Somebody may have added it between our search and the lock. From here on nobody else can.
        if let Some((slot, value)) = self.find(probe) {
            return self.confirm(slot, value, place, now, limits);
        }
        let Some(table) = self.target() else { return Learned::Deferred };
        if !self.shared.counts.reserve(key.domain(), place, limits.unwrap_or(Limits::NONE)) {
            return Learned::Limited;
        }
        let Some(slot) = self.room(table, now).for_learned(hash, ageing) else {
            self.shared.counts.release(key.domain(), place);
            if self.shared.walks.load(Ordering::Relaxed) != 0 {
                return Learned::Deferred;
            }
            self.shared.ask_for_growth();
            return Learned::Full;
        };
        self.shared.add(table, slot, key, Value::new(place, Kind::Dynamic, now, hash.tag()));
        Learned::New
    }

    /// Entries of all kinds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.entries.load(Ordering::Relaxed)
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries that practically always find room; beyond it some may not. While growing, that of the larger table.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.next.as_ref().unwrap_or(&self.current).capacity()
    }

    /// Whether an entry was refused for want of room, or there are more entries than [`Fdb::capacity`].
    #[must_use]
    pub fn wants_growth(&self) -> bool {
        self.shared.wants_growth.load(Ordering::Relaxed)
    }

    /// Bytes of memory that the tables of this view and the counts take.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.tables().map(|table| size_of_val(table.buckets())).sum::<usize>() + Counts::bytes()
    }

    /// Learned entries that point to a place.
    #[must_use]
    pub fn learned_at(&self, place: Place) -> u32 {
        self.shared.counts.learned_at(place)
    }

    /// Learned entries of a bridge domain.
    #[must_use]
    pub fn learned_in(&self, domain: DomainId) -> u32 {
        self.shared.counts.learned_in(domain)
    }

    /// The slot that holds the probe's key, and its value. Without the writer lock both may be out of date at once.
    #[inline]
    fn find(&self, probe: &Probe) -> Option<(&Slot, Value)> {
        self.line(*probe)
            .find(probe.key, probe.hash.tag())
            .or_else(|| self.find_beyond(probe.hash, probe.key))
    }

    #[inline(never)]
    fn find_beyond(&self, hash: Hash, key: Key) -> Option<(&Slot, Value)> {
        self.current.secondary(hash).find(key, hash.tag()).or_else(|| {
            let next = self.next.as_ref()?;
            next.pair(hash).into_iter().find_map(|bucket| bucket.find(key, hash.tag()))
        })
    }
}

/// A key with its hash. Of one database and all its views; another's answers may be wrong for it, but never out of bounds.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    pub(crate) key: Key,
    pub(crate) hash: Hash,
}

impl Probe {
    /// The key.
    #[inline]
    #[must_use]
    pub const fn key(&self) -> Key {
        self.key
    }
}

impl fmt::Debug for Fdb {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let growing = self.next.is_some();
        out.debug_struct("Fdb")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("growing", &growing)
            .finish_non_exhaustive()
    }
}
