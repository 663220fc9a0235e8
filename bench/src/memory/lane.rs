//! One worker: a pipeline on an in-memory link, with batches that are filled before and emptied after what is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use forward::counters::{Counters, PortCounts};
use forward::ids::PortId;
use forward::limits::BATCH;
use forward::link::Now;
use forward::pipeline::Pipeline;
use xsk::Chunk;

use super::link::Detached;
use super::overlay::{ACCESS, OTHER, Overlay, REMOTES, START, UPLINK};
use super::traffic::Traffic;

/// A worker without devices.
#[derive(Debug)]
pub struct Lane {
    pipeline: Pipeline,
    link: Detached,
    counters: Arc<Counters>,
    batches: Vec<ArrayVec<Chunk, BATCH>>,
    ingress: PortId,
    /// Time spent in the pipeline so far: what the switch takes for the passing of time.
    busy: Duration,
}

impl Lane {
    /// With this many batches at a time. A worker takes up to four from a queue at once; with few, all frames stay in
    /// the core's own caches, as they are when the kernel has just copied them there.
    #[must_use]
    pub fn new(batches: usize) -> Self {
        let counters = Arc::new(Counters::new());
        // A flooded frame becomes one for each remote and port, the most that a batch of broadcasts needs.
        let chunks = batches * BATCH * (REMOTES as usize + 2);
        Self {
            pipeline: Pipeline::new(),
            link: Detached::new(chunks, Arc::clone(&counters)),
            counters,
            batches: (0..batches).map(|_| ArrayVec::new()).collect(),
            ingress: ACCESS,
            busy: Duration::ZERO,
        }
    }

    /// Frames that [`Lane::run`] takes through the pipeline.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.batches.len() * BATCH
    }

    /// Time spent in [`Lane::run`] so far.
    #[must_use]
    pub const fn busy(&self) -> Duration {
        self.busy
    }

    /// Fills all batches.
    ///
    /// # Panics
    /// If the batches were filled before and not run.
    pub fn load(&mut self, traffic: &mut Traffic) {
        self.ingress = traffic.ingress();
        for batch in &mut self.batches {
            assert!(batch.is_empty(), "batches are run before they are filled again");
            while !batch.is_full() {
                batch.push(self.link.receive(traffic.next_frame()).expect("a chunk for each frame"));
            }
        }
    }

    /// Takes all batches through the pipeline, and tells how long that took.
    ///
    /// Contained is everything from parsing to the transmission queue of the in-memory link (which counts the frame and
    /// keeps its chunk and port), and two readings of the clock for all batches together. Not contained is how frames
    /// come in and how they leave the queue.
    pub fn run(&mut self, overlay: &Overlay) -> Duration {
        let now = self.now();
        let begin = Instant::now();
        self.run_at(overlay, now);
        let took = begin.elapsed();
        self.busy += took;
        took
    }

    /// As [`Lane::run`] at a given time, without clock.
    #[inline]
    pub fn run_at(&mut self, overlay: &Overlay, now: Now) {
        let Self { pipeline, link, counters, batches, ingress, .. } = self;
        for batch in batches {
            pipeline.run(link, &overlay.tables, counters, now, *ingress, batch);
        }
    }

    /// Takes everything out of the transmission queue, and tells how many frames it was.
    ///
    /// # Panics
    /// If a chunk is missing: nothing measured so would be worth anything.
    pub fn drain(&mut self) -> usize {
        let count = self.link.drain();
        assert!(self.link.is_idle(), "chunks are conserved");
        count
    }

    /// Takes frames through until `time` has been spent in the pipeline, and tells the nanoseconds per frame.
    pub fn measure(&mut self, overlay: &Overlay, traffic: &mut Traffic, time: Duration) -> f64 {
        let (begin, mut frames) = (self.busy, 0);
        while self.busy - begin < time {
            self.load(traffic);
            self.run(overlay);
            self.drain();
            frames += self.frames();
        }
        (self.busy - begin).as_nanos() as f64 / frames as f64
    }

    /// What the ports have counted in sum.
    #[must_use]
    pub fn counts(&self) -> PortCounts {
        let mut sum = PortCounts::default();
        for port in [UPLINK, ACCESS, OTHER] {
            sum += &self.counters.port(port);
        }
        sum
    }

    fn now(&self) -> Now {
        Now { nanoseconds: START.nanoseconds + self.busy.as_nanos() as u64 }
    }
}
