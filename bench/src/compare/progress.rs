//! What the person in front of the terminal sees: where the comparison is, and the rate of now.
//!
//! With a terminal on standard error one line is written over and over; without one each step is a line of its own.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::statistics::Digits;

/// How often the rate of now is shown.
pub const TICK: Duration = Duration::from_millis(100);

/// The line, and whether the user wants no more of it.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    began: Instant,
    interrupted: Arc<AtomicBool>,
    done: usize,
    of: usize,
    step: String,
}

impl Progress {
    /// Progress of `of` visits that ends when `interrupted` becomes true.
    #[must_use]
    pub fn new(of: usize, interrupted: Arc<AtomicBool>) -> Self {
        let terminal = stderr().is_terminal();
        Self { terminal, began: Instant::now(), interrupted, done: 0, of, step: String::new() }
    }

    /// The next visit begins.
    pub fn visit(&mut self, what: &str) {
        self.done += 1;
        what.clone_into(&mut self.step);
        if !self.terminal {
            self.line(what);
        }
        self.show("");
    }

    /// What is being done in this visit, with the rate of now in frames per second.
    pub fn rate(&self, action: &str, rate: f64) {
        self.show(&format!("{action}: {} Mpps", Digits(rate / 1e6)));
    }

    /// A line that stays.
    pub fn line(&self, text: &str) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        let _ = writeln!(stderr(), "{clear}[{:>4} s] {text}", self.began.elapsed().as_secs());
    }

    /// # Errors
    /// [`Fault::Interrupted`] when the user has said so.
    pub fn check(&self) -> Result<(), Fault> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Fault::Interrupted) } else { Ok(()) }
    }

    fn show(&self, action: &str) {
        if self.terminal {
            let Self { done, of, step, .. } = self;
            let seconds = self.began.elapsed().as_secs();
            let _ = write!(stderr(), "\r\x1b[K[{seconds:>4} s] {done}/{of} {step}  {action}");
            let _ = stderr().flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
