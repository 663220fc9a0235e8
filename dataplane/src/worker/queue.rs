//! One queue of one port in the hands of its worker: the AF_XDP socket, how full its fill ring should be, and for a
//! zero-copy queue the free chunks of the port's own UMEM.

use std::sync::Arc;

use forward::counters::Amount;
use forward::ids::PortId;
use forward::limits::BATCH;
use xsk::{Chunk, Socket, Umem};

use super::jumbo::{Ingress, Jumbo};

/// One queue of one port.
pub struct Queue {
    port: PortId,
    index: u32,
    socket: Socket,
    private: Option<Vec<Chunk>>,
    fill_target: u32,
    /// Frames enqueued and not yet flushed.
    unflushed: Amount,
    /// Some of them are of jumbo memory.
    has_jumbo: bool,
    closing: bool,
    /// The device would not transmit when last asked: it is down or gone.
    refusing: bool,
    /// Descriptors that the kernel left in the tx ring when last asked.
    pending: u32,
}

/// A queue taken apart again.
pub struct QueueParts {
    /// The socket; closing it gives back the chunks in its rings.
    pub socket: Socket,
    /// Free chunks of the port's own UMEM, if it has one.
    pub private: Option<Vec<Chunk>>,
}

impl Queue {
    /// A queue that keeps `fill_target` descriptors in its fill ring. `private` are its share of the chunks of the
    /// port's own UMEM, `None` where the port uses the shared one.
    #[must_use]
    pub const fn new(
        port: PortId,
        index: u32,
        socket: Socket,
        private: Option<Vec<Chunk>>,
        fill_target: u32,
    ) -> Self {
        Self {
            port,
            index,
            socket,
            private,
            fill_target,
            unflushed: Amount { frames: 0, bytes: 0 },
            has_jumbo: false,
            closing: false,
            refusing: false,
            pending: 0,
        }
    }

    /// Its port and its number within the port.
    #[must_use]
    pub const fn name(&self) -> (PortId, u32) {
        (self.port, self.index)
    }

    /// The socket and the chunks.
    #[must_use]
    pub fn into_parts(self) -> QueueParts {
        QueueParts { socket: self.socket, private: self.private }
    }

    pub(super) const fn port(&self) -> PortId {
        self.port
    }

    pub(super) const fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn umem(&self) -> &Arc<Umem> {
        self.socket.umem()
    }

    /// Whether the port has a UMEM of its own.
    pub(super) const fn is_private(&self) -> bool {
        self.private.is_some()
    }

    pub(super) const fn is_closing(&self) -> bool {
        self.closing
    }

    /// No more chunks go to the kernel: the queue is being taken down.
    pub(super) const fn close(&mut self) {
        self.closing = true;
    }

    /// Whether this chunk is of the port's own UMEM.
    pub(super) fn owns(&self, chunk: &Chunk) -> bool {
        self.private.is_some() && self.umem().id() == chunk.umem()
    }

    /// Free chunks of the port's own UMEM that are here.
    pub(super) fn spare(&self) -> usize {
        self.private.as_ref().map_or(0, Vec::len)
    }

    /// Takes back a chunk of the port's own UMEM.
    pub(super) fn give(&mut self, chunk: Chunk) {
        if let Some(private) = &mut self.private {
            private.push(chunk);
        }
    }

    /// A free chunk of the port's own UMEM.
    pub(super) fn take(&mut self) -> Option<Chunk> {
        self.private.as_mut().and_then(Vec::pop)
    }

    /// Takes free chunks for a frame of several: of the port's own UMEM if it has one, of `free` otherwise.
    pub(super) fn take_some(&mut self, count: usize, free: &mut Vec<Chunk>, out: &mut Vec<Chunk>) {
        let free = self.private.as_mut().unwrap_or(free);
        out.extend(free.drain(free.len().saturating_sub(count)..));
    }

    /// Chunks that a frame may have.
    pub(super) fn segments(&self) -> usize {
        self.socket.segments() as usize
    }

    /// Appends up to a batch of received frames; says whether there may be more. Frames of several chunks come in one of
    /// jumbo memory, and those chunks go where the chunks of sent frames go.
    pub(super) fn receive(
        &mut self,
        batch: &mut Vec<Chunk>,
        jumbo: Option<&mut Jumbo>,
        free: &mut Vec<Chunk>,
        ingress: Ingress<'_>,
    ) -> bool {
        let Self { socket, private, .. } = self;
        let taken = match jumbo {
            Some(jumbo) if socket.segments() > 1 => {
                let free = private.as_mut().unwrap_or(free);
                socket.receive_whole(batch, BATCH, |frame| jumbo.gather(frame, free, ingress))
            }
            _ => socket.receive(batch, BATCH),
        };
        taken >= BATCH
    }

    /// Whether frames wait in the rx ring.
    pub(super) fn has_frames(&self) -> bool {
        self.socket.outstanding().receive != 0
    }

    /// Chunks given to the kernel with frames, that have not come back.
    pub(super) fn transmitting(&self) -> u32 {
        self.socket.outstanding().transmit
    }

    /// Puts a frame into the tx ring, or gives it back when the ring is full.
    pub(super) fn push(&mut self, chunk: Chunk) -> Option<Chunk> {
        let amount = Amount::frame(usize::from(chunk.len()));
        let refused = self.socket.enqueue(chunk).err();
        if refused.is_none() {
            self.unflushed += amount;
        }
        refused
    }

    /// Puts a frame of one or several chunks into the tx ring and takes them out of `segments`, or leaves them when the ring
    /// has no room for all.
    pub(super) fn push_segments(&mut self, segments: &mut Vec<Chunk>) -> bool {
        let bytes = segments.iter().map(|segment| usize::from(segment.len())).sum();
        let is_taken = self.socket.enqueue_segments(segments);
        if is_taken {
            self.unflushed += Amount::frame(bytes);
            self.has_jumbo = true;
        }
        is_taken
    }

    /// Frames in the tx ring that the kernel has not been told of and that could have been burst; none if there are others
    /// among them, whose cost says nothing about these.
    pub(super) fn comparable(&self) -> usize {
        if self.has_jumbo { 0 } else { usize::try_from(self.unflushed.frames).unwrap_or(usize::MAX) }
    }

    /// Makes the kernel work off the tx ring, if anything was put there, and says what it took and how many frames it
    /// dropped. A device that is down keeps its frames in the ring.
    pub(super) fn flush(&mut self) -> (Amount, u64) {
        if self.unflushed.frames == 0 {
            if self.pending != 0 {
                self.retry();
            }
            return (Amount::default(), 0);
        }
        let mut taken = std::mem::take(&mut self.unflushed);
        self.has_jumbo = false;
        let outcome = self.socket.flush();
        self.refusing = outcome.is_err();
        self.pending = outcome.as_ref().map_or(1, |flushed| flushed.pending);
        let dropped = outcome.map_or(0, |flushed| u64::from(flushed.dropped)).min(taken.frames);
        // Which ones it dropped is not known: their share of the bytes is.
        taken.bytes -= taken.bytes / taken.frames.max(1) * dropped;
        taken.frames -= dropped;
        (taken, dropped)
    }

    /// Asks the kernel once more for what it left in the ring.
    fn retry(&mut self) {
        let outcome = self.socket.flush();
        self.refusing = outcome.is_err();
        self.pending = outcome.map_or(1, |flushed| flushed.pending);
    }

    /// Whether the kernel has taken everything from the tx ring.
    pub(super) const fn is_idle(&self) -> bool {
        self.pending == 0 && self.unflushed.frames == 0
    }

    /// Whether the kernel left frames in the tx ring that it may take when asked again.
    pub(super) const fn is_waiting(&self) -> bool {
        self.pending != 0 && !self.refusing
    }

    /// Whether the device would not transmit when last asked.
    pub(super) const fn is_refusing(&self) -> bool {
        self.refusing
    }

    /// Chunks of sent frames: to the port's own pool if it has one, to `free` otherwise.
    pub(super) fn complete(&mut self, free: &mut Vec<Chunk>) {
        let free = self.private.as_mut().unwrap_or(free);
        self.socket.complete(free);
    }

    /// Keeps so many descriptors in the fill ring from now on. What is there beyond them leaves with the frames that come.
    pub(super) const fn set_fill_target(&mut self, fill_target: u32) {
        self.fill_target = fill_target;
    }

    /// Tops up the fill ring once it has sunk below three quarters of its target, so that a refill is worth its
    /// cache lines. Of `free` the `reserve` stays, but for a batch of the queue: one that receives nothing is worse off
    /// than copies.
    pub(super) fn refill(&mut self, free: &mut Vec<Chunk>, reserve: usize) {
        let held = self.socket.outstanding().fill;
        if self.closing || held > self.fill_target - self.fill_target / 4 {
            return;
        }
        if let Some(private) = &mut self.private {
            self.socket.fill(private, self.fill_target);
            return;
        }
        let spare = u32::try_from(free.len().saturating_sub(reserve)).unwrap_or(u32::MAX);
        let level = held.saturating_add(spare).max(BATCH as u32).min(self.fill_target);
        self.socket.fill(free, level);
    }
}
