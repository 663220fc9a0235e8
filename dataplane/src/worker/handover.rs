//! Rings between workers: frames go to the worker that owns the egress port, chunks go home once they are sent.
//!
//! Every pair of workers has one single-producer single-consumer ring each way for both. A flow's frames enter at one
//! worker and leave at one worker, hence through one ring: their order is kept. A home ring holds as many chunks as
//! its worker owns, so that it cannot be full.

use forward::ids::PortId;
use rtrb::{Consumer, Producer, RingBuffer};
use xsk::Chunk;

/// Frames that may wait between two workers.
pub const HANDOVER_FRAMES: usize = 1024;

/// A finished frame on its way to the worker that owns its egress port.
pub struct Crossing {
    /// The egress port.
    pub port: PortId,
    /// Its flow, which chooses among several queues.
    pub flow: u32,
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

/// The rings of all workers: `mesh(..)[a][b]` is a's end towards b, `None` on the diagonal. `chunks` is the number of
/// chunks whose home is one worker.
#[must_use]
pub fn mesh(workers: usize, chunks: usize) -> Vec<Vec<Option<Neighbour>>> {
    let mut rows: Vec<Vec<Option<Neighbour>>> =
        (0..workers).map(|_| (0..workers).map(|_| None).collect()).collect();
    for a in 0..workers {
        for b in a + 1..workers {
            let (frames_ab, frames_from_a) = RingBuffer::new(HANDOVER_FRAMES);
            let (frames_ba, frames_from_b) = RingBuffer::new(HANDOVER_FRAMES);
            let (home_ab, home_from_a) = RingBuffer::new(chunks);
            let (home_ba, home_from_b) = RingBuffer::new(chunks);
            rows[a][b] = Some(Neighbour {
                frames_out: frames_ab,
                frames_in: frames_from_b,
                home_out: home_ab,
                home_in: home_from_b,
            });
            rows[b][a] = Some(Neighbour {
                frames_out: frames_ba,
                frames_in: frames_from_a,
                home_out: home_ba,
                home_in: home_from_a,
            });
        }
    }
    rows
}
