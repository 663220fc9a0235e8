//! The atomics that concurrent parts of the switch are made of: the standard library's, or loom's when its model
//! checker explores every interleaving (`--cfg loom`).

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

#[cfg(not(loom))]
pub(crate) use crossbeam_utils::Backoff;

#[cfg(loom)]
pub(crate) use checked::{AtomicBool, AtomicU64, Backoff};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// loom's atomics, each operation of which is a point where any other thread may go on.
///
/// Left to itself loom takes two operations for independent unless they touch the same atomic, and remembers only the
/// last access to each: where a writer has itself read what it then writes, an earlier read by another thread is
/// forgotten, and the order in which that read comes later is never tried. So every operation here also touches one
/// atomic that all threads share. It is relaxed and thus orders nothing; it only makes loom try all orders.
#[cfg(loom)]
mod checked {
    use loom::sync::atomic::{self, Ordering};

    loom::lazy_static! {
        static ref TURN: atomic::AtomicUsize = atomic::AtomicUsize::new(0);
    }

    fn take_turn() {
        TURN.fetch_add(1, Ordering::Relaxed);
    }

    #[derive(Default)]
    pub(crate) struct AtomicU64(atomic::AtomicU64);

    impl AtomicU64 {
        pub(crate) fn load(&self, order: Ordering) -> u64 {
            take_turn();
            self.0.load(order)
        }

        pub(crate) fn store(&self, value: u64, order: Ordering) {
            take_turn();
            self.0.store(value, order);
        }

        pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
            take_turn();
            self.0.fetch_or(value, order)
        }

        pub(crate) fn compare_exchange(
            &self,
            old: u64,
            new: u64,
            yes: Ordering,
            no: Ordering,
        ) -> Result<u64, u64> {
            take_turn();
            self.0.compare_exchange(old, new, yes, no)
        }
    }

    #[derive(Default)]
    pub(crate) struct AtomicBool(atomic::AtomicBool);

    impl AtomicBool {
        pub(crate) fn new(value: bool) -> Self {
            Self(atomic::AtomicBool::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> bool {
            take_turn();
            self.0.load(order)
        }

        pub(crate) fn store(&self, value: bool, order: Ordering) {
            take_turn();
            self.0.store(value, order);
        }

        pub(crate) fn compare_exchange(
            &self,
            old: bool,
            new: bool,
            yes: Ordering,
            no: Ordering,
        ) -> Result<bool, bool> {
            take_turn();
            self.0.compare_exchange(old, new, yes, no)
        }
    }

    /// Waiting: lets the others go first.
    pub(crate) struct Backoff;

    impl Backoff {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn snooze(&self) {
            loom::thread::yield_now();
        }
    }
}
