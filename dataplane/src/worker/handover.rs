//! Rings between workers: frames go to the worker that owns the egress port, chunks go home once they are sent.
//!
//! Every pair of workers has one single-producer single-consumer ring each way for both. A flow's frames enter at one
//! worker and leave at one worker, hence through one ring: their order is kept. A home ring holds as many chunks, of both
//! memories, as its worker owns, so that it cannot be full.

use forward::ids::PortId;
use rtrb::{Consumer, Producer, RingBuffer};
use xsk::Chunk;

use super::meter::Stamp;

/// Frames that may wait between two workers.
pub const HANDOVER_FRAMES: usize = 1024;
/// Of these, as many as flooded frames leave to others, so that a storm keeps no known unicast from crossing.
const RESERVED: usize = HANDOVER_FRAMES / 2;

/// A finished frame on its way to the worker that owns its egress port.
pub struct Crossing {
    /// The egress port.
    pub port: PortId,
    /// Whether it is one of several copies, or has no single receiver.
    pub is_flooded: bool,
    /// Its flow, which chooses among several queues.
    pub flow: u32,
    /// When it was received.
    pub received: Stamp,
    /// The frame.
    pub chunk: Chunk,
}

/// One worker's ends of the rings to and from one other worker.
pub struct Neighbour {
    /// Frames for it to send.
    pub frames_out: Producer<Crossing>,
    /// Frames from it to send.
    pub frames_in: Consumer<Crossing>,
    /// Its chunks, to go home.
    pub home_out: Producer<Chunk>,
    /// Our chunks, coming home.
    pub home_in: Consumer<Chunk>,
}

impl Neighbour {
    /// Gives it a frame to send, or the frame back if there is no room for one of its kind.
    pub(super) fn hand_over(&mut self, crossing: Crossing) -> Result<(), Crossing> {
        if crossing.is_flooded && self.frames_out.slots() <= RESERVED {
            return Err(crossing);
        }
        self.frames_out.push(crossing).map_err(|rtrb::PushError::Full(crossing)| crossing)
    }

    /// What it gave us and nobody took.
    pub(super) fn into_chunks(mut self) -> impl Iterator<Item = Chunk> {
        std::iter::from_fn(move || {
            self.home_in.pop().ok().or_else(|| self.frames_in.pop().ok().map(|crossing| crossing.chunk))
        })
    }
}

/// Sends a chunk to its home, or gives it back where that is us. A home ring has room for every chunk of that home; one that
/// were full would leave the chunk with us too.
#[inline]
pub(super) fn send_home(neighbours: &mut [Option<Neighbour>], home: u32, chunk: Chunk) -> Option<Chunk> {
    match neighbours.get_mut(home as usize) {
        Some(Some(neighbour)) => {
            neighbour.home_out.push(chunk).err().map(|rtrb::PushError::Full(chunk)| chunk)
        }
        _ => Some(chunk),
    }
}

/// The rings of all workers: `mesh(..)[a][b]` is a's end towards b, `None` on the diagonal. `chunks` is the number of
/// chunks whose home is one worker.
#[must_use]
pub fn mesh(workers: usize, chunks: usize) -> Vec<Vec<Option<Neighbour>>> {
    let mut rows: Vec<Vec<Option<Neighbour>>> = Vec::with_capacity(workers);
    for number in 0..workers {
        let mut row: Vec<Option<Neighbour>> = Vec::with_capacity(workers);
        for earlier in &mut rows {
            let (one, other) = couple(chunks);
            earlier.push(Some(one));
            row.push(Some(other));
        }
        debug_assert_eq!(row.len(), number, "everybody before this one");
        row.push(None);
        rows.push(row);
    }
    rows
}

/// The two ends of the rings between two workers.
fn couple(chunks: usize) -> (Neighbour, Neighbour) {
    let (frames_out, frames_to_other) = RingBuffer::new(HANDOVER_FRAMES);
    let (frames_back, frames_in) = RingBuffer::new(HANDOVER_FRAMES);
    let (home_out, home_to_other) = RingBuffer::new(chunks);
    let (home_back, home_in) = RingBuffer::new(chunks);
    (
        Neighbour { frames_out, frames_in, home_out, home_in },
        Neighbour {
            frames_out: frames_back,
            frames_in: frames_to_other,
            home_out: home_back,
            home_in: home_to_other,
        },
    )
}

#[cfg(test)]
mod tests {
    use xsk::{Memory, Umem, UmemConfig};

    use super::*;

    #[test]
    fn flooded_frames_leave_room_for_others() {
        let config = UmemConfig { chunks: 4096, chunk_size: 2048, memory: Memory::Anonymous };
        let (_umem, mut chunks) = Umem::new(&config).unwrap();
        let mut crossing = |is_flooded| {
            let (port, chunk) = (PortId(1), chunks.pop().unwrap());
            Crossing { port, is_flooded, flow: 0, received: Stamp::default(), chunk }
        };
        let (mut one, mut other) = couple(1);
        let mut offer = |is_flooded, count: usize| {
            (0..count).filter(|_| one.hand_over(crossing(is_flooded)).is_ok()).count()
        };
        assert_eq!(offer(true, HANDOVER_FRAMES), HANDOVER_FRAMES - RESERVED);
        assert_eq!(offer(false, HANDOVER_FRAMES - 1), RESERVED);
        for _ in 0..RESERVED {
            other.frames_in.pop().unwrap();
        }
        assert_eq!(offer(true, 1), 0, "none but what is left to others");
        other.frames_in.pop().unwrap();
        assert_eq!(offer(true, 2), 1);
    }
}
