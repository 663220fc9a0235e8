//! What a frame costs, by stage: one round of many is timed from its beginning to its end, and each piece of that time
//! belongs to the stage that ended with it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use forward::link::Pass;

/// Of this many rounds with frames in them one is timed. A prime, so that it does not keep step with patterns of the
/// traffic.
pub const SAMPLE: u32 = 61;

/// Stages of a round.
pub(super) const STAGES: usize = 6;

/// Where a round's time goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Frames from the receive rings.
    Receive,
    /// The pipeline's first pass.
    Parse,
    /// Its second: learning, proxy, lookup.
    Decide,
    /// Its third: rewriting, and counting.
    Deliver,
    /// Rings and bursts, their system calls included.
    Transmit,
    /// Everything else: published state, empty rings, frames from other workers, completions, refill, gauges.
    Rest,
}

impl From<Pass> for Stage {
    fn from(pass: Pass) -> Self {
        match pass {
            Pass::Parse => Self::Parse,
            Pass::Decide => Self::Decide,
            Pass::Deliver => Self::Deliver,
        }
    }
}

/// Sums over the rounds that were timed; written by one worker, relaxed.
#[derive(Debug, Default)]
pub struct Costs {
    stages: [AtomicU64; STAGES],
    rounds: AtomicU64,
    frames: AtomicU64,
}

/// One look at the costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CostReading {
    /// Nanoseconds by stage: receive, parse, decide, deliver, transmit, rest.
    pub stages: [u64; STAGES],
    /// Rounds timed.
    pub rounds: u64,
    /// Frames in them: received, or taken from other workers.
    pub frames: u64,
}

impl Costs {
    /// What was summed up until about now. A round that is added at this moment may show in part.
    #[must_use]
    pub fn read(&self) -> CostReading {
        // The frames first: what is read later is not less, so that a stage never seems cheaper than it is.
        let (rounds, frames) = (self.rounds.load(Ordering::Relaxed), self.frames.load(Ordering::Relaxed));
        let stages = self.stages.each_ref().map(|stage| stage.load(Ordering::Relaxed));
        CostReading { stages, rounds, frames }
    }
}

impl CostReading {
    /// What was added after an earlier look.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut stages = self.stages;
        for (now, then) in stages.iter_mut().zip(earlier.stages) {
            *now = now.saturating_sub(then);
        }
        let rounds = self.rounds.saturating_sub(earlier.rounds);
        Self { stages, rounds, frames: self.frames.saturating_sub(earlier.frames) }
    }
}

/// Times the rounds of one worker that are to be timed.
#[derive(Debug)]
pub(super) struct Stopwatch {
    /// Rounds with frames until the next is timed.
    countdown: u32,
    running: bool,
    last: u64,
    sums: [u64; STAGES],
    /// What reading the clock takes, which is not the stages' cost.
    reading: u64,
}

impl Stopwatch {
    pub(super) fn new(epoch: Instant) -> Self {
        Self { countdown: 0, running: false, last: 0, sums: [0; STAGES], reading: reading_time(epoch) }
    }

    /// Whether this round is timed.
    #[inline]
    pub(super) const fn is_running(&self) -> bool {
        self.running
    }

    /// A round begins; the clock is read if it is to be timed.
    #[inline]
    pub(super) fn begin(&mut self, clock: impl FnOnce() -> u64) {
        if self.countdown == 0 {
            self.running = true;
            self.sums = [0; STAGES];
            self.last = clock();
        }
    }

    /// The time since the previous lap was spent on a stage.
    pub(super) fn lap(&mut self, stage: Stage, now: u64) {
        let spent = now.saturating_sub(self.last).saturating_sub(self.reading);
        if let Some(sum) = self.sums.get_mut(stage as usize) {
            *sum += spent;
        }
        self.last = now;
    }

    /// The round has ended. One without frames counts for nothing, and the next is timed in its stead.
    #[inline]
    pub(super) fn end(&mut self, frames: u64, costs: &Costs) {
        if frames == 0 {
            self.running = false;
        } else if self.running {
            self.running = false;
            self.countdown = SAMPLE - 1;
            self.settle(frames, costs);
        } else {
            self.countdown = self.countdown.saturating_sub(1);
        }
    }

    fn settle(&self, frames: u64, costs: &Costs) {
        let add = |sum: &AtomicU64, amount| {
            sum.store(sum.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
        };
        for (sum, spent) in costs.stages.iter().zip(self.sums) {
            add(sum, spent);
        }
        add(&costs.rounds, 1);
        add(&costs.frames, frames);
    }
}

/// Nanoseconds between two readings of the clock with nothing between them, at the least.
fn reading_time(epoch: Instant) -> u64 {
    const TRIALS: usize = 1000;
    let mut last = since(epoch);
    let mut shortest = u64::MAX;
    for _ in 0..TRIALS {
        let now = since(epoch);
        shortest = shortest.min(now.saturating_sub(last));
        last = now;
    }
    shortest
}

/// Nanoseconds since the epoch.
#[inline]
pub(super) fn since(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stopwatch that takes no time to read.
    fn stopwatch() -> Stopwatch {
        Stopwatch { reading: 0, ..Stopwatch::new(Instant::now()) }
    }

    #[test]
    fn stages_sum_up_to_the_whole_round() {
        let (mut stopwatch, costs) = (stopwatch(), Costs::default());
        stopwatch.begin(|| 1000);
        for (stage, now) in [(Stage::Rest, 1010), (Stage::Receive, 1050), (Stage::Transmit, 1950)] {
            stopwatch.lap(stage, now);
        }
        stopwatch.lap(Stage::Rest, 2000);
        stopwatch.end(10, &costs);
        let reading = costs.read();
        assert_eq!(reading.stages, [40, 0, 0, 0, 900, 60]);
        assert_eq!(reading.stages.iter().sum::<u64>(), 2000 - 1000);
        assert_eq!((reading.rounds, reading.frames), (1, 10));
        assert_eq!(reading.since(&reading), CostReading::default());
    }

    #[test]
    fn one_round_with_frames_of_many_is_timed() {
        let (mut stopwatch, costs) = (stopwatch(), Costs::default());
        let mut readings = 0;
        for round in 0..SAMPLE * 3 {
            // Rounds without frames do not count: the one to be timed waits for frames.
            for frames in [0, 1] {
                stopwatch.begin(|| {
                    readings += 1;
                    0
                });
                assert_eq!(stopwatch.is_running(), round % SAMPLE == 0);
                stopwatch.end(frames, &costs);
                assert!(!stopwatch.is_running());
            }
        }
        assert_eq!((costs.read().rounds, costs.read().frames, readings), (3, 3, 6));
    }

    #[test]
    fn reading_the_clock_costs_nobody_anything() {
        let mut stopwatch = Stopwatch { reading: 20, ..stopwatch() };
        let costs = Costs::default();
        stopwatch.begin(|| 0);
        stopwatch.lap(Stage::Parse, 100);
        stopwatch.lap(Stage::Decide, 110);
        stopwatch.end(1, &costs);
        assert_eq!(costs.read().stages, [0, 80, 0, 0, 0, 0]);
    }
}
