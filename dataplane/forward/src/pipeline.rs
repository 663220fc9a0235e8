//! START HERE: one frame's way through the switch.

use arrayvec::ArrayVec;

use crate::counters::{Amount, Counters};
use crate::ids::PortId;
use crate::limits::BATCH;
use crate::link::{Link, Now};
use crate::tables::Tables;
use crate::verdict::DropReason;

/// The switch as one worker runs it: scratch memory, nothing else.
#[derive(Debug, Default)]
pub struct Pipeline {}

impl Pipeline {
    /// With empty scratch memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a batch of frames that came in at `ingress` through the switch. Every chunk goes back to the link; the
    /// batch is empty afterwards.
    pub fn run<L: Link>(
        &mut self,
        link: &mut L,
        tables: &Tables,
        counters: &Counters,
        now: Now,
        ingress: PortId,
        batch: &mut ArrayVec<L::Chunk, BATCH>,
    ) {
        let _ = (tables, now);
        for mut chunk in batch.drain(..) {
            counters.received(ingress, Amount::frame(link.frame(&mut chunk).length()));
            counters.dropped(ingress, DropReason::PortUnknown, 1);
            link.release(chunk);
        }
    }
}
