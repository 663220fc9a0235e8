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

/// Longest sleep: a worker shows itself now and then even if a wake-up should ever be lost.
const SLEEP: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// The idle state of one worker.
pub(super) struct Idle {
    busy: Busy,
    bell: Bell,
    epoll: OwnedFd,
    since: Option<Instant>,
}

impl Idle {
    /// A worker that sleeps beside `bell`.
    ///
    /// # Errors
    /// What epoll_create(2) and epoll_ctl(2) say.
    pub(super) fn new(busy: Busy, bell: Bell) -> std::io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, bell.as_fd(), EventData::new_u64(0), EventFlags::IN)?;
        Ok(Self { busy, bell, epoll, since: None })
    }

    /// Sleep ends when this socket has something to receive.
    ///
    /// # Errors
    /// What epoll_ctl(2) says.
    pub(super) fn watch(&self, socket: BorrowedFd<'_>) -> std::io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(1), EventFlags::IN)?)
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
        if now.duration_since(*self.since.get_or_insert(now)) < SPIN {
            std::hint::spin_loop();
            return;
        }
        self.bell.prepare();
        if !pending() {
            let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 8];
            // Interrupted or not, the caller looks at everything again.
            let _ = epoll::wait(&self.epoll, events.as_mut_slice(), Some(&SLEEP));
        }
        self.bell.awake();
        // One look after a sleep is enough: without work the worker goes back to sleep at once.
    }
}
