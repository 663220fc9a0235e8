//! Waiting for a condition, never for a time.

use std::io::{self, ErrorKind};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything that should happen at once may take on a busy machine. The kernel attaches and detaches XDP programs
/// under its one lock for all devices and namespaces, and waits for RCU meanwhile: tests that run beside wait for it too.
pub const SOON: Duration = Duration::from_secs(60);

/// Waits until `condition` holds and fails the test, naming `what`, when it does not within `limit`.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, limit, || condition().then_some(()));
}

/// Waits until `attempt` yields something; fails the test, naming `what`, when it does not within `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        // Once more after the limit: who was not scheduled until then has not looked.
        let late = start.elapsed() >= limit;
        if let Some(found) = attempt() {
            return found;
        }
        assert!(!late, "waited {limit:?} in vain: {what}");
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Makes a call again for as long as it is interrupted. One with a timeout is not restarted by the kernel, whatever
/// interrupts it: a stop and a start of the whole machine are enough (`signal(7)`).
///
/// # Errors
/// What the call says.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
