//! What a worker holds while it forwards: its queues, its free chunks, its rings to the other workers, and the frames
//! that the pipeline has finished but that have not left yet. This is the AF_XDP side of [`forward::link::Link`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use forward::counters::{Amount, Counters};
use forward::frame::Frame;
use forward::ids::PortId;
use forward::link::{Event, Link, Pass};
use forward::verdict::DropReason;
use rtrb::Producer;
use xsk::{Burst, Chunk, Umem};

use super::bell::Bell;
use super::cost::Stage;
use super::handover::{Crossing, Neighbour, send_home};
use super::jumbo::Jumbo;
use super::meter::Meter;
use super::queue::Queue;
use super::threshold::Threshold;

/// Finished frames that may wait for the end of a round; beyond it they are sent at once.
pub(super) const STAGE: usize = 1024;

/// Of a worker's chunks one in so many is kept for copies (flooded frames, parts of large ones, answers) and not put into
/// fill rings. What rings are meant to have leaves a quarter free; this holds while queues that were there before have more.
const RESERVE: usize = 16;

/// What one worker holds.
pub(super) struct Plane {
    pub(super) id: u16,
    /// The UMEM that all copy-mode sockets share, and our free chunks of it.
    pub(super) umem: Arc<Umem>,
    pub(super) free: Vec<Chunk>,
    /// Of these, how many the queue that has its turn may still take for copies of what it floods. Half of what there was at
    /// the beginning of its turn: who floods much leaves the next one's broadcasts the chunks that they need.
    pub(super) copies: usize,
    /// Chunks whose home is one worker: `chunk.index() / home_chunks` names it.
    pub(super) home_chunks: u32,
    /// For frames that no chunk of it takes, unless there are to be none.
    pub(super) jumbo: Option<Jumbo>,
    pub(super) queues: Vec<Queue>,
    /// By port index: how a frame gets there.
    pub(super) egress: Vec<Egress>,
    pub(super) neighbours: Vec<Option<Neighbour>>,
    pub(super) bells: Vec<Bell>,
    /// Workers that got frames in this round and must be woken at its end.
    pub(super) handed: Vec<u16>,
    pub(super) staged: Vec<Crossing>,
    /// Sends to the ports whose devices can be burst to, whoever owns their queues.
    pub(super) burst: Option<Burst>,
    /// From how many frames on it does.
    pub(super) threshold: Threshold,
    /// Frames of the burst under way and their bytes, by port.
    pub(super) burst_amounts: Vec<(u16, Amount)>,
    /// Frames of a refused burst, on their way to rings.
    pub(super) unsent: Vec<(u16, Chunk)>,
    pub(super) bursts: u64,
    /// Burst system calls that the kernel refused, and the number of the last error.
    pub(super) refused_bursts: u64,
    pub(super) refusal: i32,
    /// System calls for tx rings with frames in them.
    pub(super) flushes: u64,
    pub(super) meter: Meter,
    pub(super) counters: Arc<Counters>,
    /// Packets of BFD for control. Nothing that workloads cause comes in their way.
    pub(super) bfd_events: Producer<Event>,
    /// All else that is told.
    pub(super) events: Producer<Event>,
    pub(super) control: Bell,
    pub(super) lost_events: u64,
    pub(super) failed_flushes: u64,
    pub(super) handed_over: u64,
}

/// How frames get to a port. Neither own queues nor others: not at all.
#[derive(Debug, Default)]
pub(super) struct Egress {
    /// Through our own queues, by index.
    pub(super) own: Vec<u16>,
    /// Through these other workers.
    pub(super) others: Vec<u16>,
    /// By burst, if its device can; `true` where batches of any size are to.
    pub(super) burst: Option<bool>,
    /// Whether other workers burst to it too.
    pub(super) is_shared: bool,
    /// When we last burst to it, where it is shared.
    pub(super) last_burst: Option<Instant>,
}

impl Egress {
    /// Where several workers burst to a veth, what one of them has sent may still wait for NAPI on the CPU of another when
    /// its system call returns, and frames from a ring pass NAPI by. So the port keeps to bursts until this has been over
    /// for long enough for any CPU that runs.
    pub(super) fn keeps_to_bursts(&mut self, now: impl FnOnce() -> Instant) -> bool {
        const DRAINED: Duration = Duration::from_millis(100);
        let Some(last) = self.last_burst else { return false };
        let keeps = now().duration_since(last) < DRAINED;
        if !keeps {
            self.last_burst = None;
        }
        keeps
    }
}

impl Plane {
    /// Gives a chunk back to whom it belongs: our pool, the pool of its own UMEM's queue, or its home worker.
    pub(super) fn recycle(&mut self, chunk: Chunk) {
        if chunk.umem() != self.umem.id() {
            if self.is_jumbo(&chunk) {
                self.recycle_jumbo(chunk);
            } else {
                // Queues of one port have one UMEM: the poorest gets the chunk, so that none of them runs dry.
                let owners = self.queues.iter_mut().filter(|queue| queue.owns(&chunk));
                if let Some(queue) = owners.min_by_key(|queue| queue.spare()) {
                    queue.give(chunk);
                }
            }
            return;
        }
        let home = chunk.index() / self.home_chunks;
        self.free.extend(send_home(&mut self.neighbours, home, chunk));
    }

    /// Whether a chunk is of jumbo memory.
    #[inline]
    pub(super) fn is_jumbo(&self, chunk: &Chunk) -> bool {
        self.jumbo.as_ref().is_some_and(|jumbo| jumbo.owns(chunk))
    }

    /// Frames that other workers want sent through our queues.
    pub(super) fn take_crossings(&mut self) -> usize {
        let Self { neighbours, staged, jumbo, .. } = self;
        let mut taken = 0;
        for neighbour in neighbours.iter_mut().flatten() {
            while staged.len() < STAGE {
                let Ok(crossing) = neighbour.frames_in.pop() else { break };
                if let Some(jumbo) = jumbo.as_mut().filter(|jumbo| jumbo.owns(&crossing.chunk)) {
                    jumbo.arrived += 1;
                }
                staged.push(crossing);
                taken += 1;
            }
        }
        taken
    }

    /// Chunks that come home, and chunks of frames that the kernel has sent.
    pub(super) fn reap(&mut self) {
        let Self { neighbours, jumbo, free, .. } = self;
        for neighbour in neighbours.iter_mut().flatten() {
            while let Ok(chunk) = neighbour.home_in.pop() {
                match jumbo.as_mut().filter(|jumbo| jumbo.owns(&chunk)) {
                    Some(jumbo) => {
                        jumbo.arrived += 1;
                        jumbo.free.push(chunk);
                    }
                    None => free.push(chunk),
                }
            }
        }
        for index in 0..self.queues.len() {
            self.reap_queue(index);
        }
    }

    /// Chunks of frames that the kernel has sent on one queue.
    pub(super) fn reap_queue(&mut self, index: usize) {
        let Some(queue) = self.queues.get_mut(index) else { return };
        let before = self.free.len();
        queue.complete(&mut self.free);
        self.send_home(before);
    }

    /// Of the free chunks from `from` on, sends those of other workers home.
    pub(super) fn send_home(&mut self, from: usize) {
        if self.neighbours.len() < 2 {
            return;
        }
        for position in (from..self.free.len()).rev() {
            let home = self.free.get(position).map_or(0, |chunk| chunk.index() / self.home_chunks);
            if home != u32::from(self.id) {
                let chunk = self.free.swap_remove(position);
                self.recycle(chunk);
            }
        }
    }

    /// From now on one of our queues is to have so many descriptors in its fill ring.
    pub(super) fn supply(&mut self, port: PortId, index: u32, fill: u32) {
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.name() == (port, index)) {
            queue.set_fill_target(fill);
        }
    }

    /// Keeps every fill ring supplied.
    pub(super) fn refill(&mut self) {
        let Self { queues, free, home_chunks, .. } = self;
        let reserve = *home_chunks as usize / RESERVE;
        for queue in queues {
            queue.refill(free, reserve);
        }
    }

    /// Whether other workers' frames or chunks wait for us.
    pub(super) fn pending(&self) -> bool {
        self.neighbours
            .iter()
            .flatten()
            .any(|neighbour| !neighbour.frames_in.is_empty() || !neighbour.home_in.is_empty())
            || self.queues.iter().any(|queue| queue.has_frames() || queue.is_waiting())
    }

    /// The UMEM that a chunk is of.
    #[inline]
    pub(super) fn memory(&self, chunk: &Chunk) -> &Umem {
        if chunk.umem() == self.umem.id() {
            return &self.umem;
        }
        if let Some(jumbo) = self.jumbo.as_ref().filter(|jumbo| jumbo.owns(chunk)) {
            return &jumbo.umem;
        }
        self.queues.iter().find(|queue| queue.owns(chunk)).map_or(&*self.umem, |queue| queue.umem())
    }

    /// A chunk of the same UMEM, for a copy.
    fn spare(&mut self, like: &Chunk) -> Option<Chunk> {
        if like.umem() == self.umem.id() {
            self.copies = self.copies.checked_sub(1)?;
            return self.free.pop();
        }
        if let Some(jumbo) = self.jumbo.as_mut().filter(|jumbo| jumbo.owns(like)) {
            return jumbo.free.pop();
        }
        let owners = self.queues.iter_mut().filter(|queue| queue.owns(like));
        owners.max_by_key(|queue| queue.spare()).and_then(Queue::take)
    }

    #[inline]
    fn stage(&mut self, port: PortId, flow: u32, chunk: Chunk, is_flooded: bool) {
        if self.staged.len() >= STAGE {
            self.meter.lap(Stage::Deliver);
            self.dispatch();
        }
        let received = self.meter.stamp();
        self.staged.push(Crossing { port, is_flooded, flow, received, chunk });
    }

    pub(super) fn drop_frame(&mut self, port: PortId, reason: DropReason, chunk: Chunk) {
        self.note_drop(port, reason);
        self.recycle(chunk);
    }

    /// Counts a frame that was about to be sent as dropped.
    pub(super) fn note_drop(&mut self, port: PortId, reason: DropReason) {
        self.counters.dropped(port, reason, 1);
        self.meter.stay();
    }
}

impl Link for Plane {
    type Chunk = Chunk;

    #[inline]
    fn frame<'a>(&'a self, chunk: &'a mut Chunk) -> Frame<'a> {
        let xsk::Room { bytes, head, len } = self.memory(chunk).room(chunk);
        Frame { room: bytes, head, len }
    }

    #[inline]
    fn prefetch_frame(&self, chunk: &Chunk) {
        if chunk.umem() == self.umem.id() {
            self.umem.prefetch(chunk);
        }
    }

    #[inline]
    fn prefetch<T>(&self, place: &T) {
        xsk::prefetch(place);
    }

    fn duplicate(&mut self, chunk: &mut Chunk) -> Option<Chunk> {
        let mut copy = self.spare(chunk)?;
        self.memory(chunk).copy(chunk, &mut copy);
        Some(copy)
    }

    #[inline]
    fn transmit(&mut self, port: PortId, flow: u32, chunk: Chunk) {
        self.stage(port, flow, chunk, false);
    }

    #[inline]
    fn transmit_flooded(&mut self, port: PortId, flow: u32, chunk: Chunk) {
        self.stage(port, flow, chunk, true);
    }

    fn release(&mut self, chunk: Chunk) {
        self.recycle(chunk);
    }

    fn event(&mut self, event: Event) {
        let ring = if matches!(event, Event::Bfd { .. }) { &mut self.bfd_events } else { &mut self.events };
        if ring.push(event).is_err() {
            self.lost_events += 1;
        }
        self.control.ring();
    }

    fn withheld(&mut self) {
        self.lost_events += 1;
    }

    fn passed(&mut self, pass: Pass) {
        self.meter.lap(pass.into());
    }
}
