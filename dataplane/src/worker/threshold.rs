//! From how many frames on a burst costs less than a ring: worked out by each worker from what its own system calls took.
//!
//! A ring costs `ring` per frame. A burst costs `call` once and `frame` for each, a straight line through the sizes and
//! times of its calls. They meet at `call / (ring - frame)` frames. Both estimates are sums in which old observations
//! fade, so that they follow what the ports' receivers cost now. A call counts, and makes others fade, by how much it says
//! about sizes near the threshold: rings by their frames, bursts the less the longer they are. A fixed weight of the costs
//! measured on a veth pair steadies the estimates while little, or always the same size of call, has been seen.
//!
//! This module reads no clock and knows no ring: it is told what calls took, and asked which way is cheaper.

use std::time::Duration;

/// Bounds of the threshold. Below it a burst's call cannot pay, above it a ring cannot.
const LEAST: usize = 4;
const MOST: usize = 64;

/// Costs in nanoseconds before anything has been measured: of a frame of about 100 bytes to a veth, on the machine of
/// README's numbers.
const RING: f64 = 600.0;
const CALL: f64 = 8000.0;
const FRAME: f64 = 100.0;

/// What an observation loses of its weight with each full one that comes after it: the last 200 or so count.
const FADE: f64 = 1.0 / 200.0;
/// Frames of a ring's call that counts in full.
const FULL_RING: f64 = 16.0;
/// Calls that the costs above weigh, at either end of the range that the threshold is in.
const PRIOR: f64 = 2.0;

/// A call that took more than so many times what was expected was interrupted by something else.
const OUTLIER: f64 = 3.0;

/// The threshold moves when what was measured differs from it by more than this share.
const SLACK: f64 = 0.15;

/// One round in so many, of those whose way depends on the threshold, goes the other way, so that the estimate of the
/// way not taken stays true. It costs such a round some microseconds.
const TRIAL: u32 = 128;

/// The estimates behind a threshold, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Costs {
    /// Of one frame by ring.
    pub ring: u64,
    /// Of one burst, whatever its size.
    pub call: u64,
    /// Of each frame of a burst.
    pub frame: u64,
}

/// The threshold of one worker.
#[derive(Clone, Debug)]
pub struct Threshold {
    frames: usize,
    costs: Costs,
    rings: Line,
    bursts: Line,
    /// Rounds until the next trial.
    until_trial: u32,
}

/// Sums over calls, for the straight line that fits them best.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    weight: f64,
    size: f64,
    size_squared: f64,
    time: f64,
    size_time: f64,
}

impl Threshold {
    /// From the costs that are known before anything has been measured.
    #[must_use]
    pub fn new() -> Self {
        let mut threshold = Self {
            frames: MOST,
            costs: Costs::default(),
            rings: Line::default(),
            bursts: Line::default(),
            until_trial: TRIAL,
        };
        threshold.settle();
        threshold
    }

    /// Frames of a round from which on a burst costs less.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// Whether a round of so many frames is to leave by burst.
    pub fn choose(&mut self, frames: usize) -> bool {
        let burst = frames >= self.frames;
        if !(LEAST..=MOST).contains(&frames) {
            return burst;
        }
        self.until_trial -= 1;
        if self.until_trial == 0 {
            self.until_trial = TRIAL;
            return !burst;
        }
        burst
    }

    /// A system call handed so many frames of one ring to the kernel.
    pub fn ring_took(&mut self, frames: usize, time: Duration) {
        let frames = frames as f64;
        let expected = self.rings.cost() * frames;
        let share = (frames / FULL_RING).min(1.0);
        self.rings.add(share, share, frames, nanoseconds(time).min(expected * OUTLIER));
        self.settle();
    }

    /// A system call sent so many frames as a burst.
    pub fn burst_took(&mut self, frames: usize, time: Duration) {
        let (frames, (call, frame)) = (frames as f64, self.bursts.fit());
        let expected = frame.mul_add(frames, call);
        // Errors grow with the time, and what is fitted is least squares.
        let share = CALL / FRAME.mul_add(frames, CALL);
        self.bursts.add(share, share * share, frames, nanoseconds(time).min(expected * OUTLIER));
        self.settle();
    }

    /// The estimates.
    #[must_use]
    pub const fn costs(&self) -> Costs {
        self.costs
    }

    /// Moves the threshold when it is far enough from where the estimates meet.
    fn settle(&mut self) {
        let (ring, (call, frame)) = (self.rings.cost(), self.bursts.fit());
        self.costs = Costs { ring: ring as u64, call: call as u64, frame: frame as u64 };
        let saved = ring - frame;
        let meet = if saved > 0.0 { call / saved } else { f64::INFINITY };
        let meet = meet.ceil().clamp(LEAST as f64, MOST as f64);
        if (meet - self.frames as f64).abs() > self.frames as f64 * SLACK {
            self.frames = meet as usize;
        }
    }
}

impl Default for Threshold {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    /// One more call, which makes the others fade by this share of what a full one does.
    fn add(&mut self, share: f64, weight: f64, size: f64, time: f64) {
        for sum in
            [&mut self.weight, &mut self.size, &mut self.size_squared, &mut self.time, &mut self.size_time]
        {
            *sum *= 1.0 - share * FADE;
        }
        self.join(weight, size, time);
    }

    fn join(&mut self, weight: f64, size: f64, time: f64) {
        self.weight += weight;
        self.size += weight * size;
        self.size_squared += weight * size * size;
        self.time += weight * time;
        self.size_time += weight * size * time;
    }

    /// Time per frame, where a call costs nothing of its own.
    fn cost(&self) -> f64 {
        let prior = PRIOR * LEAST as f64;
        (self.time + prior * RING) / (self.size + prior)
    }

    /// Time per call and per frame: least squares, neither less than nothing.
    fn fit(&self) -> (f64, f64) {
        let mut line = *self;
        for size in [LEAST as f64, MOST as f64] {
            line.join(PRIOR, size, FRAME.mul_add(size, CALL));
        }
        let spread = line.weight * line.size_squared - line.size * line.size;
        let slope = (line.weight * line.size_time - line.size * line.time) / spread;
        let slope = slope.clamp(0.0, line.time / line.size);
        ((line.time - slope * line.size) / line.weight, slope)
    }
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time of a burst on a machine of these costs.
    fn burst(call: u64, frame: u64, frames: usize) -> Duration {
        Duration::from_nanos(call + frame * frames as u64)
    }

    fn ring(ring: u64, frames: usize) -> Duration {
        Duration::from_nanos(ring * frames as u64)
    }

    /// Rounds of these sizes, over and over, on a machine of these costs, each by the way chosen.
    fn run(threshold: &mut Threshold, sizes: &[usize], rounds: usize, costs: Costs) {
        for size in sizes.iter().copied().cycle().take(rounds) {
            if threshold.choose(size) {
                threshold.burst_took(size, burst(costs.call, costs.frame, size));
            } else {
                threshold.ring_took(size, ring(costs.ring, size));
            }
        }
    }

    fn near(actual: usize, expected: usize) -> bool {
        actual.abs_diff(expected) <= expected / 5 + 1
    }

    #[test]
    fn starts_from_the_known_costs() {
        let threshold = Threshold::new();
        assert_eq!(threshold.frames(), 16);
        assert_eq!(threshold.costs(), Costs { ring: 600, call: 8000, frame: 100 });
    }

    #[test]
    fn follows_a_machine_where_a_burst_costs_more_or_less() {
        let sizes: Vec<usize> = (1..=100).collect();
        for (call, frame, ring, expected) in
            [(13_000, 200, 1200, 13), (4_000, 100, 1100, 4), (30_000, 100, 900, 38), (2_000, 50, 3_000, 4)]
        {
            let mut threshold = Threshold::new();
            run(&mut threshold, &sizes, 20_000, Costs { ring, call, frame });
            assert!(near(threshold.frames(), expected), "{threshold:?} for {expected}");
        }
    }

    #[test]
    fn a_way_that_was_never_taken_is_tried_now_and_then() {
        // The rounds are all small enough for the ring, until it becomes very slow.
        let mut threshold = Threshold::new();
        run(&mut threshold, &[8], 5_000, Costs { ring: 600, call: 8_000, frame: 100 });
        assert!(threshold.frames() > 8, "{threshold:?}");
        run(&mut threshold, &[8], 50_000, Costs { ring: 6_000, call: 8_000, frame: 100 });
        assert!(threshold.frames() <= 8, "{threshold:?}");
        // And back, when every round has been a burst for long.
        run(&mut threshold, &[8], 100_000, Costs { ring: 300, call: 16_000, frame: 100 });
        assert!(threshold.frames() > 8, "{threshold:?}");
    }

    #[test]
    fn stays_between_its_bounds_whatever_is_measured() {
        let mut threshold = Threshold::new();
        for _ in 0..2_000 {
            threshold.burst_took(1, Duration::from_secs(3600));
            threshold.ring_took(1, Duration::ZERO);
        }
        assert!(threshold.frames() > MOST * 4 / 5, "{threshold:?}");
        for _ in 0..20_000 {
            threshold.burst_took(1000, Duration::ZERO);
            threshold.ring_took(64, Duration::from_secs(3600));
        }
        assert_eq!(threshold.frames(), LEAST);
        assert!(!threshold.choose(LEAST - 1) && threshold.choose(MOST + 1));
    }

    #[test]
    fn long_bursts_say_little_about_short_ones() {
        // Their cost per frame rises with their length, as caches overflow.
        let mut threshold = Threshold::new();
        for frames in (512..=1024).cycle().take(50_000) {
            threshold.burst_took(frames, burst(0, 150, frames));
        }
        assert!((12..=24).contains(&threshold.frames()), "{threshold:?}");
    }

    #[test]
    fn an_interruption_moves_it_little() {
        let sizes: Vec<usize> = (1..=64).collect();
        let costs = Costs { ring: 600, call: 8_000, frame: 100 };
        let mut threshold = Threshold::new();
        run(&mut threshold, &sizes, 5_000, costs);
        let before = threshold.frames();
        threshold.burst_took(30, Duration::from_millis(10));
        threshold.ring_took(10, Duration::from_millis(10));
        assert!(near(threshold.frames(), before), "{threshold:?}, before {before}");
    }

    #[test]
    fn noise_does_not_make_it_flap() {
        let mut threshold = Threshold::new();
        let costs = Costs { ring: 600, call: 8_000, frame: 100 };
        run(&mut threshold, &(1..=64).collect::<Vec<_>>(), 5_000, costs);
        let (mut changes, mut last) = (0, threshold.frames());
        for round in 0..10_000u64 {
            let size = 1 + (round * 7 % 64) as usize;
            // A fifth more or less, in a pattern that repeats late.
            let share = 80 + round * 31 % 41;
            let time = |nanoseconds: u64| Duration::from_nanos(nanoseconds * share / 100);
            if threshold.choose(size) {
                threshold.burst_took(size, time(8_000 + 100 * size as u64));
            } else {
                threshold.ring_took(size, time(600 * size as u64));
            }
            changes += usize::from(threshold.frames() != last);
            last = threshold.frames();
        }
        assert!(changes < 20, "{changes} changes");
        assert!(near(last, 16), "{last}");
    }
}
