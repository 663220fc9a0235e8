//! What a worker holds at the end of a round, for others to read: single-writer, relaxed, never waited for.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use super::plane::Plane;
use super::threshold::Costs;

/// What one worker holds.
#[derive(Debug, Default)]
pub struct Gauges {
    free: AtomicU64,
    jumbo_free: AtomicU64,
    jumbo_staged: AtomicU64,
    jumbo_departed: AtomicU64,
    jumbo_arrived: AtomicU64,
    staged: AtomicU64,
    crossing: AtomicU64,
    homecoming: AtomicU64,
    handed_over: AtomicU64,
    lost_events: AtomicU64,
    failed_flushes: AtomicU64,
    bursts: AtomicU64,
    refused_bursts: AtomicU64,
    refusal: AtomicI32,
    flushes: AtomicU64,
    threshold: AtomicU64,
    ring_cost: AtomicU64,
    call_cost: AtomicU64,
    frame_cost: AtomicU64,
}

/// One look at the gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Free chunks, those of private UMEMs not counted.
    pub free: u64,
    /// Free chunks of jumbo memory.
    pub jumbo_free: u64,
    /// Frames between pipeline and transmit that are of jumbo memory.
    pub jumbo_staged: u64,
    /// Chunks of jumbo memory that we gave to other workers, since the start.
    pub jumbo_departed: u64,
    /// Chunks of jumbo memory that came from other workers, since the start.
    pub jumbo_arrived: u64,
    /// Frames between pipeline and transmit.
    pub staged: u64,
    /// Frames from other workers that wait for us, in either memory.
    pub crossing: u64,
    /// Our chunks on their way home, of either memory.
    pub homecoming: u64,
    /// Frames that we gave to other workers, since the start.
    pub handed_over: u64,
    /// Events that the control thread was not told, because it was too slow or one port made too many, since the start.
    pub lost_events: u64,
    /// Transmit system calls that the kernel refused because the device was gone or down, since the start.
    pub failed_flushes: u64,
    /// Burst system calls, since the start.
    pub bursts: u64,
    /// Burst system calls that the kernel refused, since the start.
    pub refused_bursts: u64,
    /// The number of its last error.
    pub refusal: i32,
    /// System calls for tx rings with frames in them, since the start.
    pub flushes: u64,
    /// Frames of a round from which on they leave by burst; 0 without bursts.
    pub threshold: u64,
    /// What this threshold comes from.
    pub costs: Costs,
}

impl Gauges {
    pub(super) fn write(&self, plane: &Plane) {
        let (mut crossing, mut homecoming) = (0, 0);
        for neighbour in plane.neighbours.iter().flatten() {
            crossing += neighbour.frames_in.slots();
            homecoming += neighbour.home_in.slots();
        }
        self.free.store(plane.free.len() as u64, Ordering::Relaxed);
        if let Some(jumbo) = &plane.jumbo {
            let staged = plane.staged.iter().filter(|crossing| jumbo.owns(&crossing.chunk)).count();
            self.jumbo_free.store(jumbo.free.len() as u64, Ordering::Relaxed);
            self.jumbo_staged.store(staged as u64, Ordering::Relaxed);
            self.jumbo_departed.store(jumbo.departed, Ordering::Relaxed);
            self.jumbo_arrived.store(jumbo.arrived, Ordering::Relaxed);
        }
        self.staged.store(plane.staged.len() as u64, Ordering::Relaxed);
        self.crossing.store(crossing as u64, Ordering::Relaxed);
        self.homecoming.store(homecoming as u64, Ordering::Relaxed);
        self.handed_over.store(plane.handed_over, Ordering::Relaxed);
        self.lost_events.store(plane.lost_events, Ordering::Relaxed);
        self.failed_flushes.store(plane.failed_flushes, Ordering::Relaxed);
        self.bursts.store(plane.bursts, Ordering::Relaxed);
        self.refusal.store(plane.refusal, Ordering::Relaxed);
        self.refused_bursts.store(plane.refused_bursts, Ordering::Relaxed);
        self.flushes.store(plane.flushes, Ordering::Relaxed);
        let threshold = plane.burst.as_ref().map_or(0, |_| plane.threshold.frames() as u64);
        self.threshold.store(threshold, Ordering::Relaxed);
        let Costs { ring, call, frame } = plane.threshold.costs();
        self.ring_cost.store(ring, Ordering::Relaxed);
        self.call_cost.store(call, Ordering::Relaxed);
        self.frame_cost.store(frame, Ordering::Relaxed);
    }

    /// What the worker last wrote.
    #[must_use]
    pub fn read(&self) -> Reading {
        Reading {
            free: self.free.load(Ordering::Relaxed),
            jumbo_free: self.jumbo_free.load(Ordering::Relaxed),
            jumbo_staged: self.jumbo_staged.load(Ordering::Relaxed),
            jumbo_departed: self.jumbo_departed.load(Ordering::Relaxed),
            jumbo_arrived: self.jumbo_arrived.load(Ordering::Relaxed),
            staged: self.staged.load(Ordering::Relaxed),
            crossing: self.crossing.load(Ordering::Relaxed),
            homecoming: self.homecoming.load(Ordering::Relaxed),
            handed_over: self.handed_over.load(Ordering::Relaxed),
            lost_events: self.lost_events.load(Ordering::Relaxed),
            failed_flushes: self.failed_flushes.load(Ordering::Relaxed),
            bursts: self.bursts.load(Ordering::Relaxed),
            refused_bursts: self.refused_bursts.load(Ordering::Relaxed),
            refusal: self.refusal.load(Ordering::Relaxed),
            flushes: self.flushes.load(Ordering::Relaxed),
            threshold: self.threshold.load(Ordering::Relaxed),
            costs: Costs {
                ring: self.ring_cost.load(Ordering::Relaxed),
                call: self.call_cost.load(Ordering::Relaxed),
                frame: self.frame_cost.load(Ordering::Relaxed),
            },
        }
    }
}
