//! One queue of one port in the hands of its worker: the AF_XDP socket, how full its fill ring should be, and for a
//! zero-copy queue the free chunks of the port's own UMEM.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forward::counters::Amount;
use forward::ids::PortId;
use forward::limits::BATCH;
use xsk::{Chunk, Flushed, Socket, Umem};

use super::jumbo::{Ingress, Jumbo};

/// How long a device that would not transmit is left alone while there is nothing new for it. The control thread has seen to
/// it that there is not as soon as it knows that the device is down.
const PAUSE: Duration = Duration::from_millis(10);

/// One queue of one port.
pub struct Queue {
    port: PortId,
    index: u32,
    socket: Socket,
    private: Option<Vec<Chunk>>,
    fill_target: u32,
    accounts: Accounts,
    /// Some of them are of jumbo memory.
    has_jumbo: bool,
    closing: bool,
    /// When the device was last asked and would not transmit: it is down or gone.
    refused: Option<Instant>,
    /// Descriptors that the kernel left in the tx ring when last asked.
    pending: u32,
    /// It left some when it was asked for room, within the round under way.
    crowded: bool,
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
            accounts: Accounts::new(),
            has_jumbo: false,
            closing: false,
            refused: None,
            pending: 0,
            crowded: false,
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
            self.accounts.unflushed += amount;
        }
        refused
    }

    /// Puts a frame of one or several chunks into the tx ring and takes them out of `segments`, or leaves them when the ring
    /// has no room for all.
    pub(super) fn push_segments(&mut self, segments: &mut Vec<Chunk>) -> bool {
        let bytes = segments.iter().map(|segment| usize::from(segment.len())).sum();
        let is_taken = self.socket.enqueue_segments(segments);
        if is_taken {
            self.accounts.unflushed += Amount::frame(bytes);
            self.has_jumbo = true;
        }
        is_taken
    }

    /// Frames in the tx ring that the kernel has not been told of and that could have been burst; none if there are others
    /// among them, whose cost says nothing about these, or if the device would not transmit.
    pub(super) fn comparable(&self) -> usize {
        if self.has_jumbo || self.is_refusing() {
            0
        } else {
            usize::try_from(self.accounts.unflushed.frames).unwrap_or(usize::MAX)
        }
    }

    /// Makes the kernel work off the tx ring and says what it took and how many frames it dropped. A device that is down
    /// keeps its frames in the ring, and is asked again with the next frames or after a while.
    pub(super) fn flush(&mut self, now: Instant) -> Told {
        self.has_jumbo = false;
        let is_early = self.refused.is_some_and(|since| now.duration_since(since) < PAUSE);
        if is_early && self.accounts.unflushed.frames == 0 {
            return Told::default();
        }
        let outcome = self.socket.flush();
        self.refused = outcome.is_err().then_some(now);
        let Flushed { dropped, pending } = outcome.unwrap_or(Flushed { dropped: 0, pending: 1 });
        self.pending = pending;
        self.accounts.tell(dropped.into())
    }

    /// Whether the kernel has taken everything from the tx ring.
    pub(super) const fn is_idle(&self) -> bool {
        self.pending == 0 && self.accounts.unflushed.frames == 0
    }

    /// Whether the kernel left frames in the tx ring that it may take when asked again.
    pub(super) const fn is_waiting(&self) -> bool {
        self.pending != 0 && !self.is_refusing()
    }

    /// Whether there is no use in asking for room again before the round ends.
    pub(super) const fn is_crowded(&self) -> bool {
        self.crowded
    }

    pub(super) const fn set_crowded(&mut self, crowded: bool) {
        self.crowded = crowded;
    }

    /// Whether the device would not transmit when last asked.
    pub(super) const fn is_refusing(&self) -> bool {
        self.refused.is_some()
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
        if self.closing {
            return;
        }
        let held = self.socket.outstanding().fill;
        if held > self.fill_target - self.fill_target / 4 {
            self.socket.wake_driver();
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

/// What became of the frames of a [`Queue::flush`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Told {
    /// Taken for transmission.
    pub(super) taken: Amount,
    /// Dropped by the device.
    pub(super) dropped: u64,
    /// The kernel was asked to work off the ring.
    pub(super) was_asked: bool,
}

/// Every frame of a tx ring is told once, as taken or as dropped.
#[derive(Debug)]
struct Accounts {
    /// Frames enqueued and not yet told.
    unflushed: Amount,
    /// Frames that were told as taken, because the kernel left them in the ring, and that it dropped later: as many of those
    /// that come next are told as dropped, so that neither count ever goes back.
    owed: u64,
}

impl Accounts {
    const fn new() -> Self {
        Self { unflushed: Amount { frames: 0, bytes: 0 }, owed: 0 }
    }

    /// What there is to tell, the kernel having dropped so many frames.
    fn tell(&mut self, dropped: u64) -> Told {
        let mut taken = std::mem::take(&mut self.unflushed);
        self.owed += dropped;
        let dropped = self.owed.min(taken.frames);
        self.owed -= dropped;
        // Which ones it dropped is not known: their share of the bytes is.
        taken = taken.share(taken.frames - dropped);
        Told { taken, dropped, was_asked: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_after_it_was_told_as_taken_is_told_with_the_next_frames() {
        let mut accounts = Accounts::new();
        let mut told = |frames, dropped| {
            accounts.unflushed += Amount { frames, bytes: frames * 100 };
            let Told { taken, dropped, .. } = accounts.tell(dropped);
            (taken.frames, taken.bytes, dropped)
        };
        assert_eq!(told(5, 2), (3, 300, 2));
        // Nothing new, and the device drops three of those before.
        assert_eq!(told(0, 3), (0, 0, 0));
        assert_eq!(told(2, 1), (0, 0, 2));
        assert_eq!(told(4, 0), (2, 200, 2));
        assert_eq!(told(1, 0), (1, 100, 0));
    }
}
