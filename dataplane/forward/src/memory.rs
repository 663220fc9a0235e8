//! A link in memory: the second implementation of [`Link`], for tests, benchmarks and fuzzing. It allocates everything
//! at once, like the real one, and keeps count of its chunks. Production uses none of it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::counters::{Amount, Counters};
use crate::frame::Frame;
use crate::ids::PortId;
use crate::limits::MAX_PORTS;
use crate::link::{Event, Link};
use crate::verdict::DropReason;

/// The token of one chunk: not to be copied, and made by [`Memory::new`] alone.
#[derive(Debug)]
pub struct Chunk {
    room: Box<[u8]>,
    head: u16,
    len: u16,
}

impl Chunk {
    /// The frame's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let head = usize::from(self.head);
        self.room.get(head..head + usize::from(self.len)).unwrap_or_default()
    }

    /// The bytes of the chunk from `distance` before the frame, as far as it has them.
    #[must_use]
    pub fn bytes_before(&self, distance: u16) -> &[u8] {
        self.room.get(usize::from(self.head.saturating_sub(distance))..).unwrap_or_default()
    }
}

/// A frame that a port took.
#[derive(Debug)]
pub struct Sent {
    /// The port.
    pub port: PortId,
    /// The flow hash it was sent with.
    pub flow: u32,
    /// The frame. Give it back with [`Link::release`].
    pub chunk: Chunk,
}

/// Frame memory, and ports whose transmit rings are queues that the owner empties.
#[derive(Debug)]
pub struct Memory {
    free: Vec<Chunk>,
    sent: VecDeque<Sent>,
    flooded: u64,
    /// Frames that wait in each port's ring.
    waiting: Box<[usize]>,
    ring_size: usize,
    total: usize,
    headroom: u16,
    events: VecDeque<Event>,
    event_capacity: usize,
    counters: Arc<Counters>,
}

impl Memory {
    /// `chunks` chunks of `chunk_size` bytes (at most 65,535), frames placed behind `headroom` bytes. Rings take as many
    /// frames as there are chunks.
    #[must_use]
    pub fn new(chunks: usize, chunk_size: u16, headroom: u16, counters: Arc<Counters>) -> Self {
        let chunk = || Chunk { room: vec![0; usize::from(chunk_size)].into(), head: headroom, len: 0 };
        Self {
            free: std::iter::repeat_with(chunk).take(chunks).collect(),
            sent: VecDeque::with_capacity(chunks),
            flooded: 0,
            waiting: vec![0; MAX_PORTS].into(),
            ring_size: chunks,
            total: chunks,
            headroom,
            events: VecDeque::with_capacity(chunks),
            event_capacity: chunks,
            counters,
        }
    }

    /// Lets each port's ring take only `frames` frames.
    pub fn set_ring_size(&mut self, frames: usize) {
        self.ring_size = frames;
    }

    /// A free chunk with these bytes in it; `None` if there is no chunk or no room.
    #[must_use]
    pub fn receive(&mut self, bytes: &[u8]) -> Option<Chunk> {
        let mut chunk = self.free.pop()?;
        chunk.head = self.headroom;
        let start = usize::from(self.headroom);
        let room = chunk.room.get_mut(start..start + bytes.len());
        match (room, u16::try_from(bytes.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(bytes);
                chunk.len = len;
                Some(chunk)
            }
            _ => {
                self.free.push(chunk);
                None
            }
        }
    }

    /// The next frame that a port took, oldest first.
    pub fn next_sent(&mut self) -> Option<Sent> {
        let sent = self.sent.pop_front()?;
        if let Some(waiting) = self.waiting.get_mut(usize::from(sent.port.0)) {
            *waiting -= 1;
        }
        Some(sent)
    }

    /// The next event, oldest first.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Chunks that are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Frames that wait in rings.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.sent.len()
    }

    /// Frames so far that the pipeline sent as flooded ones.
    #[must_use]
    pub const fn flooded(&self) -> u64 {
        self.flooded
    }

    /// All chunks. Between batches `free + waiting = total`.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }
}

impl Link for Memory {
    type Chunk = Chunk;

    #[inline]
    fn frame<'a>(&'a self, chunk: &'a mut Chunk) -> Frame<'a> {
        Frame { room: &mut chunk.room, head: &mut chunk.head, len: &mut chunk.len }
    }

    fn duplicate(&mut self, chunk: &mut Chunk) -> Option<Chunk> {
        let mut copy = self.free.pop()?;
        let (start, end) = (usize::from(chunk.head), usize::from(chunk.head) + usize::from(chunk.len));
        if let (Some(to), Some(from)) = (copy.room.get_mut(start..end), chunk.room.get(start..end)) {
            to.copy_from_slice(from);
        }
        (copy.head, copy.len) = (chunk.head, chunk.len);
        Some(copy)
    }

    #[inline]
    fn transmit(&mut self, port: PortId, flow: u32, chunk: Chunk) {
        match self.waiting.get_mut(usize::from(port.0)) {
            Some(waiting) if *waiting < self.ring_size => {
                *waiting += 1;
                self.counters.transmitted(port, Amount::frame(usize::from(chunk.len)));
                self.sent.push_back(Sent { port, flow, chunk });
            }
            _ => {
                self.counters.dropped(port, DropReason::TxRingFull, 1);
                self.release(chunk);
            }
        }
    }

    fn transmit_flooded(&mut self, port: PortId, flow: u32, chunk: Chunk) {
        self.flooded += 1;
        self.transmit(port, flow, chunk);
    }

    #[inline]
    fn release(&mut self, chunk: Chunk) {
        self.free.push(chunk);
    }

    fn event(&mut self, event: Event) {
        if self.events.len() < self.event_capacity {
            self.events.push_back(event);
        }
    }
}
