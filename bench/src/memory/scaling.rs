//! What a second worker adds.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::lane::Lane;
use super::overlay::Overlay;
use super::traffic::{Mix, Traffic};

/// Batches that each worker takes through between two meetings: some 60 µs of work, so that both are at it nearly all the
/// time that is measured.
const BATCHES: usize = 16;
const WORKERS: usize = 2;

/// Frames per second of one worker and of two.
#[derive(Clone, Copy, Debug)]
pub struct Scaling {
    /// One alone: the mean of both CPUs.
    pub one: f64,
    /// Two at once, in sum.
    pub two: f64,
    /// The second over the first.
    pub ratio: f64,
}

/// Lets two workers, each with its own pipeline, frames and counters, encapsulate over the same tables: one alone, the
/// other alone, both at once, by turns, `rounds` times. Workers begin together; what counts is the median time of each
/// turn.
///
/// # Panics
/// If a worker does.
#[must_use]
pub fn scale(overlay: &Overlay, rounds: usize) -> Scaling {
    let barrier = Barrier::default();
    let times: Vec<[f64; 2]> = thread::scope(|scope| {
        let barrier = &barrier;
        let start = |number| scope.spawn(move || work(overlay, number, rounds, barrier));
        let workers: Vec<_> = (0..WORKERS).map(start).collect();
        workers.into_iter().map(|handle| handle.join().expect("the worker has not panicked")).collect()
    });
    let frames = (BATCHES * forward::limits::BATCH) as f64;
    let rate = |turn: usize| times.iter().map(|time| frames / time[turn]).sum::<f64>();
    let (one, two) = (rate(0) / WORKERS as f64, rate(1));
    Scaling { one, two, ratio: two / one }
}

/// Median seconds alone and together.
fn work(overlay: &Overlay, number: usize, rounds: usize, barrier: &Barrier) -> [f64; 2] {
    pin(number);
    let mut lane = Lane::new(BATCHES);
    let mut traffic = Traffic::new(overlay, Mix::Encapsulate, number as u64);
    let mut times = [Vec::new(), Vec::new()];
    for turn in 0..rounds * (WORKERS + 1) {
        let turn = turn % (WORKERS + 1);
        let together = turn == WORKERS;
        let active = together || turn == number;
        if active {
            lane.load(&mut traffic);
        }
        barrier.wait();
        if active {
            times[usize::from(together)].push(lane.run(overlay).as_secs_f64());
        }
        barrier.wait();
        lane.drain();
    }
    times.map(median)
}

/// Lets threads go on together, without sleeping: waking up takes longer than what is measured.
#[derive(Debug, Default)]
struct Barrier(AtomicUsize);

impl Barrier {
    fn wait(&self) {
        let mine = self.0.fetch_add(1, Ordering::AcqRel);
        let all = (mine / WORKERS + 1) * WORKERS;
        while self.0.load(Ordering::Acquire) < all {
            spin_loop();
        }
    }
}

/// Keeps the calling thread on one of its CPUs, if it has so many.
pub(super) fn pin(number: usize) {
    if let Some(cpu) = core_affinity::get_core_ids().and_then(|cpus| cpus.get(number).copied()) {
        core_affinity::set_for_current(cpu);
    }
}

/// The middle of some values.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
