//! BFD packets among the frames of a batch: rare, and out of the others' way.

use super::{Job, Run};
use crate::bfd::{Packet, loop_back, read};
use crate::limits::BFD_PER_SECOND;
use crate::link::{Event, Link, Place};
use crate::remote::Outgoing;
use crate::verdict::DropReason;

impl<L: Link> Run<'_, L> {
    /// A frame to the address of BFD: whatever it is, it goes to no workload.
    #[cold]
    #[inline(never)]
    pub(super) fn take_bfd(&mut self, job: &Job, mut chunk: L::Chunk) {
        let packet = read(self.link.frame(&mut chunk).bytes());
        let (Some(packet), Place::Remote(remote)) = (packet, job.from()) else {
            // A workload that sends such frames would speak in our name.
            return self.discard(chunk, DropReason::BfdInvalid);
        };
        match packet {
            Packet::Message(message) if self.bfd.take(BFD_PER_SECOND, self.seconds) => {
                self.link.event(Event::Bfd { remote, message, nanoseconds: self.now.nanoseconds });
                self.discard(chunk, DropReason::Bfd);
            }
            Packet::Message(_) => self.discard(chunk, DropReason::BfdInvalid),
            Packet::Foreign => self.loop_back(job, chunk),
        }
    }

    /// Sends a peer's echo packet back to it, on the path of the same source port, whether or not we take the peer to be
    /// there.
    fn loop_back(&mut self, job: &Job, mut chunk: L::Chunk) {
        let (tables, Place::Remote(remote)) = (self.tables, job.from()) else {
            return self.discard(chunk, DropReason::BfdInvalid);
        };
        let Some((egress, mac)) = tables.remote(remote).zip(tables.port(self.ingress).map(|port| port.mac))
        else {
            return self.discard(chunk, DropReason::PortUnknown);
        };
        let mut frame = self.link.frame(&mut chunk);
        let Some(()) = loop_back(&mut frame, mac) else {
            return self.discard(chunk, DropReason::BfdInvalid);
        };
        let length = *frame.len;
        self.identification = self.identification.wrapping_add(1);
        let (flow, identification) = (job.headers.flow, self.identification);
        let outgoing = Outgoing { flow, is_completed: false, identification };
        let sent = egress.reach_for(usize::from(length)).and_then(|uplink| {
            egress.push(&mut frame, outgoing)?;
            Ok(uplink)
        });
        match sent {
            Ok(uplink) => {
                self.traffic.transmitted(self.counters, job.headers.domain(), length);
                self.counters.sent_to(remote, length);
                self.link.transmit(uplink, flow, chunk);
            }
            Err(reason) => self.discard(chunk, reason),
        }
    }
}
