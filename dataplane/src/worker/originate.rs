//! Frames that control makes: they leave through the same header, ring and device as those of workloads, so that what they
//! find out is true of those.

use arrayvec::ArrayVec;
use forward::bfd;
use forward::ids::RemoteId;
use forward::link::Link;
use forward::remote::Outgoing;
use forward::tables::Tables;
use wire::bfd::ECHO_LENGTH;

use super::plane::Plane;

/// Bytes of a frame before its padding.
pub const LONGEST: usize = bfd::HEADERS + ECHO_LENGTH;

/// Frames that may wait for a worker.
pub const WAITING: usize = 256;

/// A frame for a remote.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// The remote.
    pub remote: RemoteId,
    /// Hash of the flow that it is to pass for.
    pub flow: u32,
    /// The frame but for its padding.
    pub bytes: ArrayVec<u8, LONGEST>,
    /// Bytes of the frame with its padding.
    pub length: u16,
    /// Where in it the time of sending belongs, in nanoseconds since the workers' epoch.
    pub stamp: Option<usize>,
}

impl Plane {
    /// Puts a frame among those that leave at the end of the round. One that cannot leave is forgotten: its maker takes it
    /// for lost, as it is.
    pub(super) fn originate(&mut self, tables: &Tables, outbound: &Outbound) -> Option<()> {
        let egress = tables.remote(outbound.remote)?;
        let uplink = egress.reach_for(usize::from(outbound.length)).ok()?;
        let nanoseconds = self.meter.originate();
        let fits = u32::from(xsk::KERNEL_HEADROOM) + u32::from(outbound.length) <= self.umem.chunk_size();
        let mut chunk = if fits { self.free.pop() } else { self.jumbo.as_mut()?.free.pop() }?;
        chunk.set_span(xsk::KERNEL_HEADROOM, outbound.length);
        let mut frame = self.frame(&mut chunk);
        let written = write(frame.bytes_mut(), outbound, nanoseconds).and_then(|()| {
            let outgoing = Outgoing { flow: outbound.flow, is_completed: false, identification: 0 };
            egress.push(&mut frame, outgoing).ok()
        });
        if written.is_none() {
            self.recycle(chunk);
            return None;
        }
        // A receiver more than there were frames.
        self.counters.copied(uplink, 1);
        self.transmit(uplink, outbound.flow, chunk);
        Some(())
    }
}

/// Writes the frame and zeroes behind it. `None` if the chunk is too small for it.
fn write(room: &mut [u8], outbound: &Outbound, nanoseconds: u64) -> Option<()> {
    let (head, padding) = room.split_at_mut_checked(outbound.bytes.len())?;
    head.copy_from_slice(&outbound.bytes);
    padding.fill(0);
    if let Some(at) = outbound.stamp {
        *head.get_mut(at..)?.first_chunk_mut()? = nanoseconds.to_be_bytes();
    }
    Some(())
}
