//! The writer lock: who holds it may add and remove entries. Workers only ever try; control waits.

use crate::sync::{AtomicBool, Backoff, Ordering};

#[derive(Default)]
pub(super) struct WriterLock(AtomicBool);

/// Possession of the lock, given up when dropped.
pub(super) struct Writer<'a>(&'a AtomicBool);

impl WriterLock {
    /// The lock, if nobody has it.
    pub(super) fn try_lock(&self) -> Option<Writer<'_>> {
        // The load spares the cache line's owner a needless transfer.
        let free = !self.0.load(Ordering::Relaxed)
            && self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        free.then(|| Writer(&self.0))
    }

    /// The lock, after waiting for it. Never called by a worker.
    pub(super) fn lock(&self) -> Writer<'_> {
        let backoff = Backoff::new();
        loop {
            if let Some(writer) = self.try_lock() {
                return writer;
            }
            backoff.snooze();
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
