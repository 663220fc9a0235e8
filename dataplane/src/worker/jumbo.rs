//! Frames that no chunk of a socket's memory takes. From receive to transmit each lies whole in one chunk of jumbo memory,
//! where the pipeline works on it as on any other; only here are they gathered from the segments that a receive ring
//! brought, and scattered into those that a transmit ring takes.
//!
//! Their chunks have home workers too, and go home through the same rings.

use std::sync::Arc;

use forward::counters::{Amount, Counters};
use forward::ids::PortId;
use forward::verdict::DropReason;
use xsk::{Chunk, Segmented, Umem};

use super::handover::send_home;
use super::plane::Plane;

/// Segments that a frame is scattered into at most: those of 16384 bytes in the smaller of chunks.
const SEGMENTS: usize = 8;

/// One worker's share of jumbo memory.
pub(super) struct Jumbo {
    pub(super) umem: Arc<Umem>,
    /// Our free chunks of it.
    pub(super) free: Vec<Chunk>,
    /// Chunks whose home is one worker: `chunk.index() / home_chunks` names it.
    pub(super) home_chunks: u32,
    /// Chunks given to other workers, with a frame or to go home, since the start; and such that came from them.
    pub(super) departed: u64,
    pub(super) arrived: u64,
    /// Frames of one receive that were lost.
    lost: usize,
    /// Of the frame that is scattered at the moment.
    segments: Vec<Chunk>,
}

impl Jumbo {
    /// Some chunks of a memory that is shared by `workers`.
    pub(super) fn new(umem: Arc<Umem>, chunks: Vec<Chunk>, workers: usize) -> Self {
        let total = umem.chunks() as usize;
        let mut free = Vec::with_capacity(total);
        free.extend(chunks);
        let home_chunks = (umem.chunks() / u32::try_from(workers.max(1)).unwrap_or(u32::MAX)).max(1);
        let segments = Vec::with_capacity(SEGMENTS);
        Self { umem, free, home_chunks, departed: 0, arrived: 0, lost: 0, segments }
    }

    /// Whether a chunk is of jumbo memory.
    #[inline]
    pub(super) fn owns(&self, chunk: &Chunk) -> bool {
        self.umem.id() == chunk.umem()
    }

    /// Makes one chunk of a frame's segments, which are free afterwards. A frame that there is no such chunk for is counted
    /// as received and dropped.
    pub(super) fn gather(
        &mut self,
        frame: Segmented<'_>,
        free: &mut Vec<Chunk>,
        ingress: Ingress<'_>,
    ) -> Option<Chunk> {
        let Segmented { umem, chunks, is_complete } = frame;
        let bytes = chunks.iter().map(|chunk| u64::from(chunk.len())).sum();
        let gathered = if is_complete { self.whole(chunks, umem) } else { Err(DropReason::FrameTooShort) };
        free.append(chunks);
        if let Err(reason) = gathered {
            let Ingress { port, counters } = ingress;
            counters.received(port, Amount { frames: 1, bytes });
            counters.dropped(port, reason, 1);
            self.lost += 1;
        }
        gathered.ok()
    }

    fn whole(&mut self, segments: &mut [Chunk], umem: &Umem) -> Result<Chunk, DropReason> {
        let mut whole = self.free.pop().ok_or(DropReason::NoJumboChunk)?;
        if self.umem.gather(segments, umem, &mut whole) {
            return Ok(whole);
        }
        self.free.push(whole);
        Err(DropReason::PacketTooBig)
    }
}

/// Where frames come in, and who counts them.
#[derive(Clone, Copy)]
pub(super) struct Ingress<'a> {
    pub(super) port: PortId,
    pub(super) counters: &'a Counters,
}

/// What one receive brought.
pub(super) struct Received {
    /// The port.
    pub(super) port: PortId,
    /// Frames that were received, those included that were lost at once.
    pub(super) frames: usize,
    /// Whether there may be more.
    pub(super) is_full: bool,
}

impl Plane {
    /// Appends up to a batch of frames of one of our queues.
    pub(super) fn receive(&mut self, index: usize, batch: &mut Vec<Chunk>) -> Option<Received> {
        let queue = self.queues.get_mut(index)?;
        let ingress = Ingress { port: queue.port(), counters: &self.counters };
        let (before, spent) = (batch.len(), self.free.len());
        let is_full = queue.receive(batch, self.jumbo.as_mut(), &mut self.free, ingress);
        let port = ingress.port;
        let lost = self.jumbo.as_mut().map_or(0, |jumbo| std::mem::take(&mut jumbo.lost));
        let frames = batch.len() - before + lost;
        if self.free.len() != spent {
            self.send_home(spent);
        }
        (frames != 0).then_some(Received { port, frames, is_full })
    }

    /// Gives a chunk of jumbo memory back to its home.
    #[cold]
    pub(super) fn recycle_jumbo(&mut self, chunk: Chunk) {
        let Self { jumbo: Some(jumbo), neighbours, .. } = self else { return };
        let home = chunk.index() / jumbo.home_chunks;
        match send_home(neighbours, home, chunk) {
            Some(chunk) => jumbo.free.push(chunk),
            None => jumbo.departed += 1,
        }
    }

    /// Puts a frame of jumbo memory into the tx ring of one of our queues: into as many chunks of the queue's UMEM as it
    /// takes, which is one if it has become short.
    #[cold]
    pub(super) fn enqueue_jumbo(&mut self, port: PortId, index: usize, mut chunk: Chunk) {
        let sent = self.scatter(index, &mut chunk);
        if let Err(reason) = sent {
            self.note_drop(port, reason);
        }
        self.recycle_jumbo(chunk);
    }

    fn scatter(&mut self, index: usize, chunk: &mut Chunk) -> Result<(), DropReason> {
        let Self { queues, free, jumbo: Some(jumbo), .. } = self else { return Err(DropReason::PortDown) };
        let queue = queues.get_mut(index).ok_or(DropReason::PortDown)?;
        let umem = Arc::clone(queue.umem());
        let wanted = umem.segments(chunk.len());
        if wanted > queue.segments() {
            return Err(DropReason::PacketTooBig);
        }
        let mut segments = std::mem::take(&mut jumbo.segments);
        queue.take_some(wanted, free, &mut segments);
        let outcome = if segments.len() == wanted {
            umem.scatter(chunk, &jumbo.umem, &mut segments);
            self.push_segments(index, &mut segments)
        } else {
            Err(DropReason::NoChunk)
        };
        for segment in segments.drain(..) {
            self.recycle(segment);
        }
        if let Some(jumbo) = &mut self.jumbo {
            jumbo.segments = segments;
        }
        outcome
    }

    /// Into the ring of a queue. When that is full the kernel works it off first, once.
    fn push_segments(&mut self, index: usize, segments: &mut Vec<Chunk>) -> Result<(), DropReason> {
        for is_last in [false, true] {
            if self.queues.get_mut(index).is_some_and(|queue| queue.push_segments(segments)) {
                return Ok(());
            }
            if !is_last {
                self.make_room(index);
            }
        }
        Err(DropReason::TxRingFull)
    }
}
