//! What becomes of a frame that cannot go its way as it is. Far from the common way of frames; a packet that is too big
//! for the path to a remote goes in pieces, or its sender is told.

use super::{Job, Run};
use crate::fragment::Cut;
use crate::ids::RemoteId;
use crate::link::{Link, Place};
use crate::parse::Headers;
use crate::remote::Egress;
use crate::rewrite::{self, Exit};
use crate::too_big;
use crate::verdict::DropReason;

impl<L: Link> Run<'_, L> {
    /// A flooded frame that a receiver cannot get as it is. The frame stays for the others.
    #[cold]
    pub(super) fn turn_away(&mut self, job: &Job, to: Place, reason: DropReason, chunk: &mut L::Chunk) {
        let remote = match to {
            Place::Remote(remote) => Some(remote),
            Place::Group(group) => rewrite::member(self.tables, &job.headers, group).ok(),
            Place::Port(_) => None,
        };
        if reason == DropReason::PacketTooBig
            && let Some(remote) = remote
            && let Some(copy) = self.link.duplicate(chunk)
        {
            self.too_big(job, remote, copy);
        } else {
            self.refused(to, reason);
        }
    }

    /// Cuts a packet that is too big for the path to a remote, or tells its sender.
    #[cold]
    pub(super) fn too_big(&mut self, job: &Job, remote: RemoteId, mut chunk: L::Chunk) {
        let longest = self.tables.remote(remote).map_or(0, Egress::longest);
        let room = longest.saturating_sub(job.headers.offset);
        match Cut::new(&job.headers, self.link.frame(&mut chunk).bytes(), room) {
            Some(cut) => self.fragment(job, remote, cut, chunk),
            None => self.tell_sender(job, room, chunk),
        }
    }

    /// Sends the pieces in order, all as the same flow: each is a copy of what is left, cut to its beginning, and what
    /// is left is the last.
    fn fragment(&mut self, job: &Job, remote: RemoteId, cut: Cut, mut chunk: L::Chunk) {
        // No piece has a checksum of its own.
        let headers = Headers { is_completed: false, ..job.headers };
        cut.trim(&mut self.link.frame(&mut chunk));
        self.tally.fragmented += u64::from(!cut.is_last(&self.link.frame(&mut chunk)));
        while !cut.is_last(&self.link.frame(&mut chunk)) {
            let Some(mut piece) = self.link.duplicate(&mut chunk) else {
                return self.discard(chunk, DropReason::NoChunk);
            };
            cut.keep_front(&mut self.link.frame(&mut piece));
            self.tally.copies += 1;
            self.send_piece(&headers, remote, piece);
            if cut.drop_front(&mut self.link.frame(&mut chunk)).is_none() {
                return self.discard(chunk, DropReason::PacketTooBig);
            }
        }
        self.send_piece(&headers, remote, chunk);
    }

    fn send_piece(&mut self, headers: &Headers, remote: RemoteId, mut chunk: L::Chunk) {
        let length = *self.link.frame(&mut chunk).len;
        let headers = Headers { length, size: headers.size.with_length(length), ..*headers };
        match Exit::new(self.tables, &headers, Place::Remote(remote)) {
            Ok(exit) => self.send(&headers, exit, chunk),
            Err(reason) => self.discard(chunk, reason),
        }
    }

    /// Drops a packet that exceeds `room` bytes and tells its sender, unless it was told within this second or others
    /// behind the port have been told too much.
    fn tell_sender(&mut self, job: &Job, room: u16, mut chunk: L::Chunk) {
        let headers = &job.headers;
        let is_due = job.from() == Place::Port(self.ingress)
            && too_big::is_answerable(headers, self.link.frame(&mut chunk).bytes(), room)
            && self.recent.is_new((headers.flow, room), self.seconds)
            && self.allowance.take(self.ingress, self.seconds);
        if !is_due || too_big::write_answer(&mut self.link.frame(&mut chunk), headers, room).is_none() {
            return self.discard(chunk, DropReason::PacketTooBig);
        }
        // The answer is a frame of its own.
        self.tally.dropped(DropReason::PacketTooBig);
        self.tally.copies += 1;
        self.tally.too_big_told += 1;
        self.send_back(headers, chunk);
    }
}
