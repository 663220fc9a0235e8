//! Pass 3 over a batch: each frame is made what it has to be on its way out, and goes there. Here alone one frame
//! becomes many.

use arrayvec::ArrayVec;
use wire::bfd;

use super::{Job, Jobs, Run};
use crate::flood::{self, StormLimit};
use crate::ids::{GroupId, PortId, RemoteId};
use crate::limits::BATCH;
use crate::link::{Event, Link, Place};
use crate::parse::Headers;
use crate::remote::Egress;
use crate::rewrite::{self, Exit};
use crate::snoop;
use crate::tables::{Domain, Role};
use crate::verdict::{DropReason, Verdict};

impl<'t, L: Link> Run<'t, L> {
    /// Pass 3: send each frame where it goes.
    #[inline(never)]
    pub(super) fn deliver(&mut self, batch: &mut ArrayVec<L::Chunk, BATCH>, jobs: &mut Jobs) {
        if let Some(Role::Access(_) | Role::Trunk) = self.tables.port(self.ingress).map(|port| port.role) {
            self.rewrite(batch, jobs);
        }
        for (job, chunk) in jobs.iter().zip(batch.drain(..)) {
            match job.verdict {
                Verdict::Leave(uplink) => self.link.transmit(uplink, job.headers.flow, chunk),
                Verdict::Forward(port) => match rewrite::to_port(self.tables, &job.headers, port) {
                    Ok(port) => {
                        self.traffic.transmitted(self.counters, job.headers.domain(), job.headers.length);
                        self.link.transmit(port, job.headers.flow, chunk);
                    }
                    Err(_) => self.deliver_otherwise(job, chunk),
                },
                _ => self.deliver_otherwise(job, chunk),
            }
        }
    }

    /// Puts outer headers before the frames that go into the overlay, in place. Of frames that came out of it none does.
    #[inline(never)]
    fn rewrite(&mut self, batch: &mut ArrayVec<L::Chunk, BATCH>, jobs: &mut Jobs) {
        for (job, chunk) in jobs.iter_mut().zip(batch) {
            if let Verdict::Encapsulate(remote) = job.verdict {
                self.encapsulate(job, remote, chunk);
            }
        }
    }

    #[inline(always)]
    fn encapsulate(&mut self, job: &mut Job, remote: RemoteId, chunk: &mut L::Chunk) {
        let headers = &job.headers;
        let uplink = rewrite::ordinarily_to_remote(self.tables, headers, remote).and_then(|egress| {
            self.identification = self.identification.wrapping_add(1);
            egress.push(&mut self.link.frame(chunk), headers.outgoing(self.identification)).ok()?;
            Some(egress.uplink())
        });
        match uplink {
            Some(uplink) => {
                self.traffic.transmitted(self.counters, headers.domain(), headers.length);
                self.counters.sent_to(remote, headers.length);
                job.verdict = Verdict::Leave(uplink);
            }
            None => self.encapsulate_aside(job, remote, chunk),
        }
    }

    /// [`Run::encapsulate`] of a frame that cannot go as nearly all do.
    #[inline(never)]
    fn encapsulate_aside(&mut self, job: &mut Job, remote: RemoteId, chunk: &mut L::Chunk) {
        let headers = &job.headers;
        // Flooded frames among the others get their numbers when they leave, so the others have to as well, in `send_to`.
        if self.tables.remote(remote).is_some_and(Egress::is_numbered) {
            return;
        }
        let exit = Exit::new(self.tables, headers, Place::Remote(remote));
        self.identification = self.identification.wrapping_add(1);
        let result =
            exit.and_then(|exit| exit.rewrite(&mut self.link.frame(chunk), headers, self.identification));
        match result {
            Ok(uplink) => {
                self.traffic.transmitted(self.counters, headers.domain(), headers.length);
                self.counters.sent_to(remote, headers.length);
                job.verdict = Verdict::Leave(uplink);
            }
            // Its verdict stays, for `send_to`.
            Err(DropReason::PacketTooBig) => {}
            Err(reason) => {
                self.explain(Place::Remote(remote), reason);
                job.verdict = Verdict::Drop(reason);
            }
        }
    }

    /// To one of several remotes. Out of line, so that the plain frame's way stays as short as it was.
    #[inline(never)]
    fn spread(&mut self, job: &Job, group: GroupId, chunk: L::Chunk) {
        let headers = &job.headers;
        let remote = match rewrite::member(self.tables, headers, group) {
            Ok(remote) => remote,
            Err(reason) => return self.discard(chunk, reason),
        };
        self.send_to(job, remote, chunk);
    }

    /// To a remote, in pieces if it has to be.
    fn send_to(&mut self, job: &Job, remote: RemoteId, chunk: L::Chunk) {
        match Exit::new(self.tables, &job.headers, Place::Remote(remote)) {
            Ok(exit) => self.send(&job.headers, exit, chunk),
            Err(DropReason::PacketTooBig) => self.too_big(job, remote, chunk),
            Err(reason) => {
                self.explain(Place::Remote(remote), reason);
                self.discard(chunk, reason);
            }
        }
    }

    /// What is not for one known receiver.
    #[inline(never)]
    fn deliver_otherwise(&mut self, job: &Job, chunk: L::Chunk) {
        match job.verdict {
            Verdict::Spread(group) => self.spread(job, group, chunk),
            Verdict::Flood => self.flood(job, chunk),
            Verdict::Answer => self.answer(job, chunk),
            Verdict::Drop(reason) => self.discard(chunk, reason),
            // What `rewrite` has left.
            Verdict::Encapsulate(remote) => self.send_to(job, remote, chunk),
            // Not out of an access port, so perhaps out of a trunk.
            Verdict::Forward(port) => match Exit::new(self.tables, &job.headers, Place::Port(port)) {
                Ok(exit) => self.send(&job.headers, exit, chunk),
                Err(reason) => self.discard(chunk, reason),
            },
            // Never gets here.
            Verdict::Leave(_) => self.discard(chunk, DropReason::PortUnknown),
        }
    }

    /// Head-end replication: a copy to every other member of the domain, the frame itself to the last that takes it.
    #[inline(never)]
    fn flood(&mut self, job: &Job, mut chunk: L::Chunk) {
        if job.headers.destination.mac() == bfd::VTEP_MAC {
            return self.take_bfd(job, chunk);
        }
        let tables = self.tables;
        let Some(domain) = tables.domain(job.headers.domain()) else {
            return self.discard(chunk, DropReason::PortUnknown);
        };
        let ports = match self.audience(domain, job, &mut chunk) {
            Ok(ports) => ports,
            Err(reason) => return self.discard(chunk, reason),
        };
        // From the overlay to access ports only: whoever else is in the overlay got a copy from the sender.
        let (remotes, groups): (&[RemoteId], &[GroupId]) = match job.from() {
            Place::Port(_) => (&domain.remotes, tables.flood_groups(domain.id)),
            Place::Remote(_) | Place::Group(_) => (&[], &[]),
        };
        let ports = ports.iter().copied().map(Place::Port).filter(|port| *port != job.from());
        let (mut receivers, mut last) = (0_u64, None);
        let groups = groups.iter().copied().map(Place::Group);
        for place in ports.chain(remotes.iter().copied().map(Place::Remote)).chain(groups) {
            receivers += 1;
            let exit = match Exit::new(tables, &job.headers, place) {
                Ok(exit) => exit,
                Err(reason) => {
                    self.turn_away(job, place, reason, &mut chunk);
                    continue;
                }
            };
            if let Some(previous) = last.replace(exit) {
                match self.link.duplicate(&mut chunk) {
                    Some(copy) => self.send_flooded(&job.headers, previous, copy),
                    None => self.tally.dropped(DropReason::NoChunk),
                }
            }
        }
        self.tally.copies += receivers.saturating_sub(1);
        match last {
            Some(exit) => self.send_flooded(&job.headers, exit, chunk),
            None if receivers == 0 => self.discard(chunk, DropReason::NoRemote),
            // Each receiver has been counted as refused.
            None => self.link.release(chunk),
        }
    }

    /// The access ports that a frame without a single receiver is for, if it may be flooded now; the one that it came from
    /// perhaps among them.
    fn audience(
        &mut self,
        domain: &Domain,
        job: &Job,
        chunk: &mut L::Chunk,
    ) -> Result<&'t [PortId], DropReason> {
        let kind = flood::Kind::of(job.headers.destination.mac());
        let is_snooped = kind == flood::Kind::Multicast && domain.snooping.is_some();
        let is_flooded = domain.flooding.includes(kind);
        if !is_flooded && !is_snooped {
            return Err(DropReason::FloodOff);
        }
        self.admit(job.from())?;
        if is_snooped && let Some(ports) = self.snoop(job, chunk) {
            return Ok(ports);
        }
        if !is_flooded {
            return Err(DropReason::FloodOff);
        }
        Ok(self.tables.flood_ports(domain.id, kind, self.isolated))
    }

    /// Takes a token of a place's storm limit.
    fn admit(&mut self, from: Place) -> Result<(), DropReason> {
        let limit = match from {
            Place::Port(port) => self.tables.port(port).map(|port| port.storm_limit),
            Place::Remote(remote) => self.tables.remote(remote).map(|egress| egress.remote().storm_limit),
            Place::Group(_) => None,
        };
        let admitted = self.meters.admit(from, limit.unwrap_or(StormLimit::NONE), self.now);
        if admitted { Ok(()) } else { Err(DropReason::StormLimit) }
    }

    /// The access ports that a frame to a group is for, if that is known; what it says of listeners is told to control.
    #[inline(never)]
    fn snoop(&mut self, job: &Job, chunk: &mut L::Chunk) -> Option<&'t [PortId]> {
        let mut news = snoop::News::new();
        let audience = snoop::read(&job.headers, self.link.frame(chunk).bytes(), job.from(), &mut news);
        for event in news {
            self.tell(event, self.seconds);
        }
        self.tables.audience(job.headers.domain(), audience, self.isolated)
    }

    /// Tells control of something that a frame says, unless it was told in this period or the port has said too much.
    #[cold]
    pub(super) fn tell(&mut self, event: Event, period: u32) {
        let Self { recent, link, events, ingress, seconds, .. } = self;
        recent.tell(*link, event, period, || events.take(*ingress, *seconds));
    }

    pub(super) fn send(&mut self, headers: &Headers, exit: Exit<'t>, mut chunk: L::Chunk) {
        match self.finish(headers, exit, &mut chunk) {
            Ok(port) => self.link.transmit(port, headers.flow, chunk),
            Err(reason) => self.discard(chunk, reason),
        }
    }

    fn send_flooded(&mut self, headers: &Headers, exit: Exit<'t>, mut chunk: L::Chunk) {
        match self.finish(headers, exit, &mut chunk) {
            Ok(port) => self.link.transmit_flooded(port, headers.flow, chunk),
            Err(reason) => self.discard(chunk, reason),
        }
    }

    /// Makes a frame what it has to be to leave by an exit, counts it, and tells the port that it leaves by.
    fn finish(
        &mut self,
        headers: &Headers,
        exit: Exit<'t>,
        chunk: &mut L::Chunk,
    ) -> Result<PortId, DropReason> {
        self.identification = self.identification.wrapping_add(1);
        let port = exit.rewrite(&mut self.link.frame(chunk), headers, self.identification)?;
        self.traffic.transmitted(self.counters, headers.domain(), headers.length);
        if let Place::Remote(remote) = exit.place() {
            self.counters.sent_to(remote, headers.length);
        }
        Ok(port)
    }

    #[cold]
    fn answer(&mut self, job: &Job, chunk: L::Chunk) {
        self.tally.proxied += 1;
        self.send_back(&job.headers, chunk);
    }

    /// Sends an answer that was made of a frame to where that came in.
    #[cold]
    pub(super) fn send_back(&mut self, headers: &Headers, mut chunk: L::Chunk) {
        let length = *self.link.frame(&mut chunk).len;
        let exit = Exit::back(self.tables, headers, self.ingress);
        self.send(&Headers { length, ..*headers }, exit, chunk);
    }

    /// A receiver that does not get its frame.
    #[cold]
    pub(super) fn refused(&mut self, place: Place, reason: DropReason) {
        self.tally.dropped(reason);
        self.explain(place, reason);
    }

    /// Tells control of a remote without a next hop.
    #[cold]
    fn explain(&mut self, place: Place, reason: DropReason) {
        if let (Place::Remote(remote), DropReason::NeighbourUnresolved) = (place, reason) {
            // There are as many as remotes at most.
            self.recent.tell(self.link, Event::Unresolved { remote }, self.seconds, || true);
        }
    }

    #[cold]
    pub(super) fn discard(&mut self, chunk: L::Chunk, reason: DropReason) {
        self.tally.dropped(reason);
        self.link.release(chunk);
    }
}
