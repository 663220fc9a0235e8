//! The in-memory link with the prefetches of a real worker.

use forward::frame::Frame;
use forward::ids::PortId;
use forward::link::{Event, Link};
use forward::memory::{Chunk, Memory};

/// Bytes of a cache line.
const LINE: u16 = 64;

/// [`Memory`], whose own prefetches ask for nothing because the instruction is out of reach of safe code.
#[derive(Debug)]
pub(super) struct Prefetching(pub(super) Memory);

impl Link for Prefetching {
    type Chunk = Chunk;

    #[inline]
    fn frame<'a>(&'a self, chunk: &'a mut Chunk) -> Frame<'a> {
        self.0.frame(chunk)
    }

    /// The lines that `xsk::Umem::prefetch` asks for: two of the frame, and the one before.
    #[inline]
    fn prefetch_frame(&self, chunk: &Chunk) {
        for byte in chunk.bytes_before(LINE).iter().step_by(LINE.into()).take(3) {
            xsk::prefetch(byte);
        }
    }

    #[inline]
    fn prefetch<T>(&self, place: &T) {
        xsk::prefetch(place);
    }

    #[inline]
    fn duplicate(&mut self, chunk: &mut Chunk) -> Option<Chunk> {
        self.0.duplicate(chunk)
    }

    #[inline]
    fn transmit(&mut self, port: PortId, flow: u32, chunk: Chunk) {
        self.0.transmit(port, flow, chunk);
    }

    #[inline]
    fn release(&mut self, chunk: Chunk) {
        self.0.release(chunk);
    }

    #[inline]
    fn event(&mut self, event: Event) {
        self.0.event(event);
    }
}
