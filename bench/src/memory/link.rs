//! The link of a worker that has no devices: real frame memory, and what is sent is kept until somebody takes it.

use std::sync::Arc;

use forward::counters::{Amount, Counters};
use forward::frame::Frame;
use forward::ids::PortId;
use forward::link::{Event, Link};
use xsk::{Chunk, Memory, Umem, UmemConfig};

/// Bytes of a chunk, and where in it the kernel puts a frame.
const CHUNK: u32 = 2048;
const HEADROOM: u16 = 256;

/// A frame that a port took, with what a worker's queue keeps of it too: to write that down is a part of the cost.
#[derive(Debug)]
struct Sent {
    #[expect(dead_code, reason = "nobody sends the frame")]
    port: PortId,
    #[expect(dead_code, reason = "nobody sends the frame")]
    flow: u32,
    chunk: Chunk,
}

/// The frame memory of a worker, its free chunks, and the frames it is to send.
#[derive(Debug)]
pub(super) struct Detached {
    umem: Arc<Umem>,
    free: Vec<Chunk>,
    sent: Vec<Sent>,
    counters: Arc<Counters>,
}

impl Detached {
    /// With at least this many chunks.
    pub(super) fn new(chunks: usize, counters: Arc<Counters>) -> Self {
        let chunks = u32::try_from(chunks.next_power_of_two()).expect("fewer than all chunks there can be");
        let config = UmemConfig { chunks, chunk_size: CHUNK, memory: Memory::Anonymous };
        let (umem, free) = Umem::new(&config).expect("frame memory");
        let sent = Vec::with_capacity(free.len());
        Self { umem, free, sent, counters }
    }

    /// A chunk with these bytes, where the kernel would have put them.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Option<Chunk> {
        let mut chunk = self.free.pop()?;
        let (start, length) = (usize::from(HEADROOM), u16::try_from(bytes.len()).ok()?);
        self.umem.room(&mut chunk).bytes[start..start + bytes.len()].copy_from_slice(bytes);
        chunk.set_span(HEADROOM, length);
        Some(chunk)
    }

    /// Takes back what was sent, and tells how many frames it was.
    pub(super) fn drain(&mut self) -> usize {
        let sent = self.sent.len();
        self.free.extend(self.sent.drain(..).map(|sent| sent.chunk));
        sent
    }

    /// Whether every chunk is free.
    pub(super) fn is_idle(&self) -> bool {
        self.free.len() == self.umem.chunks() as usize
    }
}

impl Link for Detached {
    type Chunk = Chunk;

    #[inline]
    fn frame<'a>(&'a self, chunk: &'a mut Chunk) -> Frame<'a> {
        let xsk::Room { bytes, head, len } = self.umem.room(chunk);
        Frame { room: bytes, head, len }
    }

    #[inline]
    fn prefetch_frame(&self, chunk: &Chunk) {
        self.umem.prefetch(chunk);
    }

    #[inline]
    fn prefetch<T>(&self, place: &T) {
        xsk::prefetch(place);
    }

    #[inline]
    fn duplicate(&mut self, chunk: &mut Chunk) -> Option<Chunk> {
        let mut copy = self.free.pop()?;
        self.umem.copy(chunk, &mut copy);
        Some(copy)
    }

    #[inline]
    fn transmit(&mut self, port: PortId, flow: u32, chunk: Chunk) {
        self.counters.transmitted(port, Amount::frame(chunk.len().into()));
        self.sent.push(Sent { port, flow, chunk });
    }

    #[inline]
    fn release(&mut self, chunk: Chunk) {
        self.free.push(chunk);
    }

    #[inline]
    fn event(&mut self, _: Event) {}
}
