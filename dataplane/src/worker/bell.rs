//! Waking a sleeping thread without a system call when it is awake.
//!
//! The sleeper says that it will sleep, looks once more for work, and only then sleeps in epoll; the waker puts the work
//! down, and rings only if the sleeper said so. Both sides use sequentially consistent operations, so that at least
//! one of the two sees the other: no wake-up is lost.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use rustix::event::{EventfdFlags, eventfd};

/// The bell of one thread. Clones ring the same bell.
#[derive(Clone)]
pub struct Bell {
    inner: Arc<Inner>,
}

struct Inner {
    asleep: AtomicBool,
    event: OwnedFd,
}

impl Bell {
    /// A bell that nobody sleeps beside.
    ///
    /// # Errors
    /// What eventfd(2) says: out of file descriptors or memory.
    pub fn new() -> std::io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { inner: Arc::new(Inner { asleep: AtomicBool::new(false), event }) })
    }

    /// Wakes the sleeper if there is one. Call it after the work has been put down.
    pub fn ring(&self) {
        // Pairs with the fence of `prepare`: either we see the flag or the sleeper sees the work.
        fence(Ordering::SeqCst);
        if self.inner.asleep.load(Ordering::Relaxed) && self.inner.asleep.swap(false, Ordering::AcqRel) {
            // A full counter means that the bell is ringing already.
            let _ = rustix::io::write(&self.inner.event, &1u64.to_ne_bytes());
        }
    }

    /// Announces sleep. The sleeper must look for work once more afterwards, and then sleep on the descriptor.
    pub fn prepare(&self) {
        self.inner.asleep.store(true, Ordering::Relaxed);
        // Pairs with the fence of `ring`.
        fence(Ordering::SeqCst);
    }

    /// Ends sleep. The bell may have been rung: [`Bell::silence`] it where that is seen.
    pub fn awake(&self) {
        self.inner.asleep.store(false, Ordering::Release);
    }

    /// Silences the bell, which otherwise ends the next sleep at once.
    pub fn silence(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.inner.event, &mut count);
    }

    /// Whether the owner has said that it sleeps.
    #[must_use]
    pub fn asleep(&self) -> bool {
        self.inner.asleep.load(Ordering::Relaxed)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use rustix::event::{PollFd, PollFlags, poll};

    use super::*;

    #[test]
    fn no_wake_up_is_lost_between_looking_and_sleeping() {
        const ROUNDS: u32 = 20_000;
        let (bell, work) = (Bell::new().unwrap(), Arc::new(AtomicU32::new(0)));
        let (waker, done) = (bell.clone(), Arc::clone(&work));
        let thread = std::thread::spawn(move || {
            for round in 1..=ROUNDS {
                // The next piece of work only once the sleeper has seen this one.
                while done.load(Ordering::Acquire) & 1 != 0 {
                    std::thread::yield_now();
                }
                done.store(round << 1 | 1, Ordering::Release);
                waker.ring();
            }
        });
        let mut seen = 0;
        while seen < ROUNDS {
            bell.prepare();
            if work.load(Ordering::Acquire) & 1 == 0 {
                // Without a limit: a lost wake-up hangs the test.
                poll(&mut [PollFd::new(&bell, PollFlags::IN)], None).unwrap();
            }
            bell.awake();
            bell.silence();
            let now = work.load(Ordering::Acquire);
            if now & 1 != 0 {
                seen = now >> 1;
                work.store(now & !1, Ordering::Release);
            }
        }
        thread.join().unwrap();
        assert!(!bell.asleep());
    }
}
