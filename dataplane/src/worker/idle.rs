//! What a worker does when there is nothing to do: spin for a while, then sleep until a frame, a crossing or a command
//! comes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::bell::Bell;
use crate::config::Busy;

/// How long an adaptive worker spins before it sleeps. A wake-up from epoll costs some tens of microseconds, so
/// spinning much longer than that burns more than it saves.
const SPIN: Duration = Duration::from_micros(50);

/// How long it spins at most: as long as it sees that a little more of it would have spared it the sleep.
const LONG_SPIN: Duration = Duration::from_micros(200);

/// What epoll says of the bell and of sockets.
const BELL: u64 = 0;
const SOCKET: u64 = 1;

/// Longest sleep: a worker shows itself now and then even if a wake-up should ever be lost.
const SLEEP: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The idle state of one worker.
pub(super) struct Idle {
    busy: Busy,
    bell: Bell,
    epoll: OwnedFd,
    since: Option<Instant>,
    spin: Duration,
}

impl Idle {
    /// A worker that sleeps beside `bell`.
    ///
    /// # Errors
    /// What epoll_create(2) and epoll_ctl(2) say.
    pub(super) fn new(busy: Busy, bell: Bell) -> std::io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, bell.as_fd(), EventData::new_u64(BELL), EventFlags::IN)?;
        Ok(Self { busy, bell, epoll, since: None, spin: SPIN })
    }

    /// Sleep ends when this socket has something to receive.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub(super) fn watch(&self, socket: BorrowedFd<'_>) -> std::io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(SOCKET), EventFlags::IN)?)
    }

    /// Takes a socket off the watch.
    pub(super) fn unwatch(&self, socket: BorrowedFd<'_>) {
        // A socket whose device has gone is off already.
        let _ = epoll::delete(&self.epoll, socket);
    }

    /// There was work.
    pub(super) fn reset(&mut self) {
        self.since = None;
    }

    /// There was none. Spins, or once it has spun for long enough sleeps, unless `pending` then sees work.
    pub(super) fn wait(&mut self, pending: impl FnOnce() -> bool) {
        if self.busy == Busy::Always {
            std::hint::spin_loop();
            return;
        }
        let now = Instant::now();
        if now.duration_since(*self.since.get_or_insert(now)) < self.spin {
            std::hint::spin_loop();
            return;
        }
        self.bell.prepare();
        let rung = !pending() && {
            let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(SOCKET) }; 8];
            // Interrupted or not, the caller looks at everything again.
            let woken = epoll::wait(&self.epoll, events.as_mut_slice(), Some(&SLEEP)).unwrap_or(0);
            self.spin = next_spin(self.spin, now.elapsed());
            events.iter().take(woken).any(|event| event.data.u64() == BELL)
        };
        self.bell.awake();
        // A system call that the first frame after a sleep need not wait for when no bell woke us.
        if rung {
            self.bell.silence();
        }
        // One look after a sleep is enough: without work the worker goes back to sleep at once.
    }
}

/// How long to spin before the next sleep, the last having been so long.
fn next_spin(spin: Duration, slept: Duration) -> Duration {
    if slept < LONG_SPIN { (spin * 2).min(LONG_SPIN) } else { SPIN }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn spinning_lengthens_while_sleep_is_short_and_no_longer() {
        let short = Duration::from_micros(60);
        let mut spin = SPIN;
        for _ in 0..5 {
            spin = next_spin(spin, short);
        }
        assert_eq!(spin, LONG_SPIN);
        assert_eq!(next_spin(spin, LONG_SPIN), SPIN);
        assert_eq!(next_spin(SPIN, short), SPIN * 2);
    }

    #[test]
    fn a_bell_ends_one_sleep_and_not_the_next() {
        let bell = Bell::new().unwrap();
        let mut idle = Idle::new(Busy::Adaptive, bell.clone()).unwrap();
        // Long ago enough for a sleep at once.
        let long_idle = Instant::now().checked_sub(LONG_SPIN);
        let limit = Duration::from_secs(1);
        // Where whoever rings is not scheduled the sleep ends by itself, and the ring is too late.
        let ended = (0..10).any(|_| {
            idle.since = long_idle;
            let over = AtomicBool::new(false);
            let took = std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !bell.asleep() && !over.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                    bell.ring();
                });
                let begun = Instant::now();
                idle.wait(|| false);
                over.store(true, Ordering::Relaxed);
                begun.elapsed()
            });
            if took >= limit {
                bell.silence();
            }
            took < limit
        });
        assert!(ended, "the bell did not end the sleep");
        idle.since = long_idle;
        let begun = Instant::now();
        idle.wait(|| false);
        assert!(begun.elapsed() >= limit / 2, "the bell was not silenced");
    }
}
