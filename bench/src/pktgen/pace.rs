//! When frames are due, as the program counts time: the layout of its map `runs`.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::Error;

/// The map's value (`struct run`), by words of 64 bits.
pub(super) type Words = [u64; 17];

pub(super) const BEGAN: usize = 0;
const LOAD_INTERVAL: usize = 1;
const LOAD_DUE: usize = 2;
const PROBE_INTERVAL: usize = 3;
const PROBE_DUE: usize = 4;
const PROBE_FLOW: usize = 5;
const TIME: usize = 6;
pub(super) const SENT: usize = 7;
pub(super) const BYTES: usize = 8;
pub(super) const PROBES: usize = 9;
pub(super) const SKIPPED: usize = 10;
pub(super) const REFUSED: usize = 11;
pub(super) const DROPPED: usize = 12;

/// Due never.
const NEVER: u64 = u64::MAX;
/// Bits after the point of times in nanoseconds (`FRACTION`).
const FRACTION: u32 = 12;

/// A stream of latency probes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ProbeConfig {
    /// Probes per second.
    pub rate: f64,
    /// The flow of all probes; `None` lets them take turns with the load.
    pub flow: Option<u32>,
}

/// What is asked of the generator.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Pace {
    /// Frames per second; `None` is as fast as possible, 0 none.
    pub(super) load: Option<f64>,
    pub(super) probes: Option<ProbeConfig>,
}

impl Pace {
    /// Nothing is sent.
    pub(super) const PAUSED: Self = Self { load: Some(0.0), probes: None };

    /// Whether nothing is sent.
    pub(super) fn is_paused(&self) -> bool {
        self.load == Some(0.0) && self.probes.is_none_or(|probes| probes.rate == 0.0)
    }

    /// Writes it into the map's value, to begin now.
    pub(super) fn store(&self, words: &mut Words) -> Result<(), Error> {
        words[BEGAN] = now();
        words[TIME] = 0;
        (words[LOAD_INTERVAL], words[LOAD_DUE]) = match self.load {
            None => (0, 0),
            Some(rate) => interval(rate)?,
        };
        (words[PROBE_INTERVAL], words[PROBE_DUE]) = interval(self.probes.map_or(0.0, |probes| probes.rate))?;
        words[PROBE_FLOW] = self.probes.and_then(|probes| probes.flow).map_or(NEVER, u64::from);
        Ok(())
    }
}

/// Time between frames and when the first is due.
fn interval(rate: f64) -> Result<(u64, u64), Error> {
    if !rate.is_finite() || rate < 0.0 {
        return Err(Error::Rate(rate));
    }
    if rate == 0.0 {
        return Ok((0, NEVER));
    }
    let interval = 1e9 * f64::from(1 << FRACTION) / rate;
    Ok(((interval.round() as u64).max(1), interval as u64))
}

/// How long nothing is due; `None` when nothing ever is.
pub(super) fn idle(words: &Words) -> Option<Duration> {
    let due = words[LOAD_DUE].min(words[PROBE_DUE]);
    let elapsed = now().saturating_sub(words[BEGAN]);
    (due != NEVER).then(|| Duration::from_nanos((due >> FRACTION).saturating_sub(elapsed)))
}

/// `CLOCK_MONOTONIC` in nanoseconds.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
