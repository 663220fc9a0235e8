//! A worker's measurements of itself: how long frames stay, how many come at once, and what they cost.
//!
//! *Residence* begins when a frame is taken from its receive ring and ends when the system call that gave it to the
//! kernel has returned. A frame that another worker sends takes its time of receipt along and is counted by that
//! worker. A frame that is dropped before such a call is not counted. Time in the receive ring, before the worker came to
//! it, is not known and not part of it.
//!
//! The clock is read once per batch, which the pipeline needs anyway, and once more per round with frames to send;
//! in a round that is timed (see [`cost`](super::cost)) also after each stage.

use std::sync::Arc;
use std::time::Instant;

use forward::link::Now;

use super::cost::{Costs, Stage, Stopwatch, since};
use super::histogram::Histogram;
use super::plane::STAGE;

/// Measurements of one worker, for others to read.
#[derive(Debug, Default)]
pub struct Measurements {
    /// Nanoseconds from receive to transmit, of every frame that was given to the kernel.
    pub residence: Histogram,
    /// Frames that were received at once.
    pub batches: Histogram,
    /// Nanoseconds by stage.
    pub costs: Costs,
}

/// A time of receipt, in steps of 8 ns modulo 2^32: good for 34 s, and four bytes for each frame under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stamp(u32);

impl Stamp {
    const SHIFT: u32 = 3;

    const fn new(nanoseconds: u64) -> Self {
        Self((nanoseconds >> Self::SHIFT) as u32)
    }

    /// Nanoseconds from this stamp to `now`.
    const fn until(self, now: u64) -> u64 {
        (Self::new(now).0.wrapping_sub(self.0) as u64) << Self::SHIFT
    }
}

/// Measures one worker.
#[derive(Debug)]
pub(super) struct Meter {
    epoch: Instant,
    measurements: Arc<Measurements>,
    stopwatch: Stopwatch,
    /// When the batch under way was received.
    received: Stamp,
    /// Frames that are being sent, by their time of receipt, in runs of the same.
    leaving: Vec<(Stamp, u64)>,
}

impl Meter {
    pub(super) fn new(epoch: Instant, measurements: Arc<Measurements>) -> Self {
        let stopwatch = Stopwatch::new(epoch);
        // No more runs than frames between pipeline and transmit.
        let leaving = Vec::with_capacity(STAGE);
        Self { epoch, measurements, stopwatch, received: Stamp::default(), leaving }
    }

    /// A round begins.
    #[inline]
    pub(super) fn begin(&mut self) {
        let epoch = self.epoch;
        self.stopwatch.begin(|| since(epoch));
    }

    /// A stage has ended.
    #[inline]
    pub(super) fn lap(&mut self, stage: Stage) {
        if self.stopwatch.is_running() {
            let now = since(self.epoch);
            self.stopwatch.lap(stage, now);
        }
    }

    /// A batch was received just now.
    #[inline]
    pub(super) fn receive(&mut self, frames: usize) -> Now {
        let nanoseconds = since(self.epoch);
        if self.stopwatch.is_running() {
            self.stopwatch.lap(Stage::Receive, nanoseconds);
        }
        self.received = Stamp::new(nanoseconds);
        self.measurements.batches.record(frames as u64, 1);
        Now { nanoseconds }
    }

    /// A frame begins here, instead of having been received; says when.
    pub(super) fn originate(&mut self) -> u64 {
        let nanoseconds = since(self.epoch);
        self.received = Stamp::new(nanoseconds);
        nanoseconds
    }

    /// When the frames were received that the pipeline works on.
    #[inline]
    pub(super) const fn stamp(&self) -> Stamp {
        self.received
    }

    /// A frame is about to be sent.
    #[inline]
    pub(super) fn leave(&mut self, stamp: Stamp) {
        match self.leaving.last_mut() {
            Some((last, frames)) if *last == stamp => *frames += 1,
            _ => self.leaving.push((stamp, 1)),
        }
    }

    /// The frame that was about to be sent has gone to another worker, or is dropped.
    pub(super) fn stay(&mut self) {
        // Of a burst that was refused several may be, of whatever runs.
        if let Some((_, frames)) = self.leaving.iter_mut().rev().find(|(_, frames)| *frames != 0) {
            *frames -= 1;
        }
    }

    /// All frames that were about to be sent have been.
    pub(super) fn sent(&mut self) {
        let now = since(self.epoch);
        for (stamp, frames) in self.leaving.drain(..).filter(|(_, frames)| *frames != 0) {
            self.measurements.residence.record(stamp.until(now), frames);
        }
        if self.stopwatch.is_running() {
            self.stopwatch.lap(Stage::Transmit, now);
        }
    }

    /// A round has ended that had so many frames received or taken from other workers.
    #[inline]
    pub(super) fn end(&mut self, frames: usize) {
        self.lap(Stage::Rest);
        self.stopwatch.end(frames as u64, &self.measurements.costs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_measure_across_their_wrap() {
        for from in [0, 1_000_003, (1 << 35) - 7, u64::MAX >> 1] {
            let stamp = Stamp::new(from);
            for later in [0, 8, 1000, 30_000_000_000] {
                assert!(stamp.until(from + later).abs_diff(later) < 8, "{later} ns after {from}");
            }
        }
    }

    #[test]
    fn every_frame_sent_is_counted_once_by_the_worker_that_sends_it() {
        let measurements = Arc::new(Measurements::default());
        let mut meter = Meter::new(Instant::now(), Arc::clone(&measurements));
        let _ = meter.receive(3);
        let ours = meter.stamp();
        // From another worker, earlier.
        let theirs = Stamp(ours.0.wrapping_sub(1000));
        for stamp in [ours, ours, theirs, ours] {
            meter.leave(stamp);
        }
        meter.leave(ours);
        meter.stay();
        meter.sent();
        let residence = measurements.residence.read();
        assert_eq!(residence.values().map(|(_, count)| count).sum::<u64>(), 4);
        assert!(residence.max() >= 8000 && meter.leaving.is_empty());
        // Of several runs all that are dropped stay.
        for stamp in [theirs, ours] {
            meter.leave(stamp);
        }
        (0..3).for_each(|_| meter.stay());
        meter.sent();
        assert_eq!(measurements.residence.read().values().map(|(_, count)| count).sum::<u64>(), 4);
        assert_eq!(measurements.batches.read().values().collect::<Vec<_>>(), [(3, 1)]);
    }
}
