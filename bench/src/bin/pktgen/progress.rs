//! Live rates on a terminal: one line on standard error, rewritten each second.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use vtep_bench::pktgen::Amount;

/// A line that shows how things go. Silent where standard error is no terminal.
pub(crate) struct Progress {
    shown: bool,
    colour: bool,
    started: Instant,
    total: Option<Duration>,
    last: (Instant, Vec<Amount>),
}

impl Progress {
    pub(crate) fn new(total: Option<Duration>) -> Self {
        let shown = stderr().is_terminal();
        let colour = shown && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let now = Instant::now();
        Self { shown, colour, started: now, total, last: (now, Vec::new()) }
    }

    /// Shows what has been counted so far, by name, as rates since the last time; then further words.
    pub(crate) fn show(&mut self, counted: &[(&str, Amount)], more: &str) {
        if !self.shown {
            return;
        }
        let now = Instant::now();
        let (then, before) = &self.last;
        let seconds = (now - *then).as_secs_f64();
        let mut line = match self.total {
            Some(total) => {
                let done = (now - self.started).as_secs_f64();
                format!("{done:4.0} s of {:.0}", total.as_secs_f64())
            }
            None => format!("{:4} s", (now - self.started).as_secs()),
        };
        for (place, (name, amount)) in counted.iter().enumerate() {
            let before = before.get(place).copied().unwrap_or_default();
            let frames = (amount.frames - before.frames) as f64 / seconds / 1e6;
            let bits = (amount.bytes - before.bytes) as f64 * 8.0 / seconds / 1e9;
            let (on, off) = if self.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            line.push_str(&format!("   {name} {on}{frames:.3} Mpps{off} {bits:.2} Gb/s"));
        }
        self.last = (now, counted.iter().map(|(_, amount)| *amount).collect());
        // What cannot be shown is not missed.
        let _ = write!(stderr(), "\r\x1b[K{line}   {more}");
        let _ = stderr().flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
