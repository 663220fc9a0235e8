//! Fair shares of a domain that is full: who has most gives way to who has less.

use super::Fdb;
use super::key::Key;
use super::shared::Shared;
use super::table::{Bucket, Slot};
use super::value::{Kind, Value};
use crate::ids::DomainId;
use crate::link::Place;
use crate::sync::Ordering;

/// Buckets that one of the first looks of a second takes in: 64 kilobytes, some tens of microseconds. In a table of usual
/// size that finds an entry even of a domain that may have a few only, so that who comes next is not kept waiting.
const LONG_LOOK: usize = 1024;

/// How many of these there are in a second: a thousandth of a worker's time at most.
const LONG_LOOKS: u32 = 32;

/// Buckets that each further look takes in: four kilobytes, whatever the size of the table.
const LOOK: usize = 64;

/// Calls without a further look after one that found nothing. A flood from many places would otherwise make each of its
/// frames cost a look.
const PATIENCE: u32 = 15;

impl Fdb {
    /// Removes a learned entry of the domain that belongs to the place with the most, so that `place` can have one more;
    /// says whether there is room now. Nothing is removed from a place that has at most one more than `place` itself:
    /// a flooder takes nothing from anybody who has less, and who has half of the domain need not ask.
    ///
    /// The cost is bounded: a look takes in some buckets, goes on where the one before ended, and takes the largest
    /// holder of those that it meets. So in a large table some frames may pass before one finds any, which are forwarded
    /// all the same. `now` is in seconds.
    #[cold]
    #[inline(never)]
    pub fn make_room(&self, domain: DomainId, place: Place, now: u32) -> bool {
        if self.learned_at(place) >= self.learned_in(domain) / 2 {
            return false;
        }
        let Some(_writer) = self.shared.lock.try_lock() else { return false };
        if self.next.is_some() {
            // Entries are on their way to a larger table.
            return false;
        }
        let Some(look) = self.look(now) else { return false };
        let buckets = self.current.buckets();
        let start = self.shared.cursor.fetch_add(look, Ordering::Relaxed);
        let looked_into = (0..look.min(buckets.len()))
            .filter_map(|step| buckets.get(start.wrapping_add(step) % buckets.len()));
        let most = looked_into
            .flat_map(Bucket::slots)
            .filter_map(|slot| learned_in(slot, domain))
            .max_by_key(|(_, _, value)| self.learned_at(value.place()));
        let own = self.learned_at(place);
        let surplus = most.filter(|(_, _, value)| self.learned_at(value.place()) > own.saturating_add(1));
        let Some((slot, key, value)) = surplus else {
            self.shared.patience.store(PATIENCE, Ordering::Relaxed);
            return false;
        };
        // If it fails, a frame has just refreshed or moved the entry; the next one tries again.
        self.shared.remove(slot, key, value)
    }

    /// How many buckets the next look may take in, if there is to be one now. For the holder of the writer lock.
    fn look(&self, now: u32) -> Option<usize> {
        let Shared { patience, second, long_looks, .. } = &*self.shared;
        if second.swap(now, Ordering::Relaxed) != now {
            long_looks.store(LONG_LOOKS, Ordering::Relaxed);
        }
        if let Some(fewer) = long_looks.load(Ordering::Relaxed).checked_sub(1) {
            long_looks.store(fewer, Ordering::Relaxed);
            return Some(LONG_LOOK);
        }
        if let Some(less) = patience.load(Ordering::Relaxed).checked_sub(1) {
            patience.store(less, Ordering::Relaxed);
            return None;
        }
        Some(LOOK)
    }
}

/// The learned entry of a domain in a slot, if that is what is in it.
fn learned_in(slot: &Slot, domain: DomainId) -> Option<(&Slot, Key, Value)> {
    let key = slot.key().filter(|key| key.domain() == domain)?;
    let value = slot.value();
    (value.kind() == Kind::Dynamic && !value.is_frozen()).then_some((slot, key, value))
}
