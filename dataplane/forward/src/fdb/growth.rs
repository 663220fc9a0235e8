//! Growing without a pause.
//!
//! 1. [`Fdb::grow`] makes a view with a second, larger table. Control publishes it. Workers that have it look into the
//!    current table, then the next one, which is empty; new entries still go to the current one, because workers with
//!    the older view look only there.
//! 2. When nobody holds an older view any more, [`Fdb::migrate`] begins: it marks the current table as draining (new
//!    entries go to the next one from then on) and moves entries, a few buckets each time it takes the writer lock.
//!    An entry is in the next table before it leaves the current one, and readers look in that order, so none is ever
//!    invisible. Until somebody still holds an older view it does nothing and says [`Migration::Waiting`].
//! 3. [`Fdb::grown`] makes a view with the next table alone. Control publishes it. Workers that still have the view
//!    with both find the current table empty and go on to the next.
//! 4. The old table's memory is freed with the last view that holds it. If control keeps the older views until the
//!    workers have acknowledged the newer, that is control and never a worker.

use std::sync::atomic::fence;
use std::sync::{Arc, Weak};

use super::Fdb;
use super::table::{Bucket, MAX_CAPACITY, Table};
use super::value::Kind;
use crate::sync::Ordering;

/// Buckets that are moved under one hold of the writer lock, some ten microseconds.
const SLICE: usize = 16;

/// How far a migration is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Migration {
    /// Somebody still holds a view from before; nothing was moved.
    Waiting,
    /// There is more to move.
    Moving,
    /// An entry that must not be lost finds no room in the next table. It stays where it is and is found there. Trying
    /// again helps once an entry near it is gone.
    Blocked,
    /// Everything is in the next table: time for [`Fdb::grown`].
    Done,
}

impl Fdb {
    /// A view with a second table for `capacity` entries, at least twice the current one's. `None` if this view has
    /// two tables already or the current table is the largest possible.
    #[must_use]
    pub fn grow(&self, capacity: usize) -> Option<Self> {
        let possible = self.next.is_none() && self.current.capacity() < MAX_CAPACITY;
        possible.then(|| {
            let table = Table::new(capacity.max(self.current.capacity() * 2), self.shared.advise);
            self.successor(Arc::clone(&self.current), Some(Arc::new(table)))
        })
    }

    /// Moves the entries of up to `buckets` buckets (of four entries) to the next table. Control repeats it until it
    /// says [`Migration::Done`]. A learned entry that finds no room in the next table is dropped.
    pub fn migrate(&self, buckets: usize) -> Migration {
        let Some(next) = &self.next else { return Migration::Done };
        if self.older.iter().any(|view| view.strong_count() > 0) {
            return Migration::Waiting;
        }
        // Pairs with the release of the last reference to an older view: its holder's lookups come before what follows.
        fence(Ordering::Acquire);
        let total = self.current.buckets().len();
        let mut left = buckets;
        loop {
            let _writer = self.shared.lock.lock();
            self.current.draining.store(true, Ordering::Relaxed);
            let start = self.current.drained.load(Ordering::Relaxed);
            let end = total.min(start + left.min(SLICE));
            for (index, bucket) in self.current.buckets().iter().enumerate().take(end).skip(start) {
                if !self.drain(bucket, next) {
                    return Migration::Blocked;
                }
                self.current.drained.store(index + 1, Ordering::Relaxed);
            }
            left -= end - start;
            if end == total {
                return Migration::Done;
            }
            if left == 0 {
                return Migration::Moving;
            }
        }
    }

    /// The view with the larger table alone, once the migration is done.
    #[must_use]
    pub fn grown(&self) -> Option<Self> {
        let next = self.next.as_ref()?;
        let done = self.current.drained.load(Ordering::Relaxed) == self.current.buckets().len();
        done.then(|| {
            self.shared.wants_growth.store(false, Ordering::Relaxed);
            self.successor(Arc::clone(next), None)
        })
    }

    /// Moves a bucket's entries to the next table; false if one stays.
    fn drain(&self, bucket: &Bucket, next: &Table) -> bool {
        bucket.slots().iter().all(|slot| {
            let Some(key) = slot.key() else { return true };
            let (hash, value) = (self.hasher.hash(key), slot.value());
            let room = self.room(next, value.seen());
            let found = match value.kind() {
                Kind::Dynamic => room.for_learned(hash, |_| 0),
                Kind::Static | Kind::External | Kind::Sticky => room.for_pinned(hash),
            };
            match found {
                Some(to) => slot.relocate(key, to),
                None if value.kind() == Kind::Dynamic => {
                    self.shared.take_out(slot, key);
                }
                None => return false,
            }
            true
        })
    }

    /// Where new entries go. `None` if this view is older than the table they go to, which the rules above exclude.
    /// For the holder of the writer lock.
    pub(super) fn target(&self) -> Option<&Table> {
        if self.current.draining.load(Ordering::Relaxed) { self.next.as_deref() } else { Some(&self.current) }
    }

    fn successor(&self, current: Arc<Table>, next: Option<Arc<Table>>) -> Self {
        let mut older: Vec<Weak<()>> =
            self.older.iter().filter(|view| view.strong_count() > 0).cloned().collect();
        older.push(Arc::downgrade(&self.alive));
        Self {
            hasher: self.hasher,
            current,
            next,
            shared: Arc::clone(&self.shared),
            alive: Arc::default(),
            older,
        }
    }
}
