//! Tests that take the whole machine, and the others, which run beside each other but not beside these.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// Who is running.
struct Running {
    /// Networks of tests that do not mind each other.
    beside: usize,
    /// The thread of the test that has the machine for itself.
    alone: Option<ThreadId>,
}

static RUNNING: Mutex<Running> = Mutex::new(Running { beside: 0, alone: None });
static CHANGED: Condvar = Condvar::new();

fn running() -> MutexGuard<'static, Running> {
    // A test that panics leaves the numbers right: they change in one step.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait_while(mut condition: impl FnMut(&Running) -> bool) -> MutexGuard<'static, Running> {
    CHANGED.wait_while(running(), |now| condition(now)).unwrap_or_else(PoisonError::into_inner)
}

/// A part in a machine that others use too. An [`Underlay`](crate::Underlay) has one.
#[derive(Debug)]
pub struct Beside {
    /// Whether it belongs to a test that is alone anyway.
    is_alone: bool,
}

impl Beside {
    /// Waits until no other test has the machine for itself.
    #[must_use]
    pub fn others() -> Self {
        let us = thread::current().id();
        let mut now = wait_while(|now| now.alone.is_some_and(|alone| alone != us));
        let is_alone = now.alone.is_some();
        now.beside += usize::from(!is_alone);
        Self { is_alone }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.is_alone {
            running().beside -= 1;
            CHANGED.notify_all();
        }
    }
}

/// The machine for one test, made before anything else in it.
#[derive(Debug)]
pub struct Alone(());

impl Alone {
    /// Waits until no other test has a network.
    #[must_use]
    pub fn on_the_machine() -> Self {
        let mut now = wait_while(|now| now.alone.is_some() || now.beside != 0);
        now.alone = Some(thread::current().id());
        Self(())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        running().alone = None;
        CHANGED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn who_is_alone_has_nobody_beside() {
        let busy = AtomicBool::new(false);
        thread::scope(|scope| {
            for number in 0..16 {
                let busy = &busy;
                scope.spawn(move || {
                    if number % 4 == 0 {
                        let _alone = Alone::on_the_machine();
                        let _network = (Beside::others(), Beside::others());
                        assert!(!busy.swap(true, Ordering::SeqCst), "two are alone");
                        thread::yield_now();
                        busy.store(false, Ordering::SeqCst);
                    } else {
                        let _network = (Beside::others(), Beside::others());
                        assert!(!busy.load(Ordering::SeqCst), "somebody was alone");
                    }
                });
            }
        });
        assert_eq!(running().beside, 0);
    }
}
