//! START HERE: one frame's way through the switch.
//!
//! ```text
//!          parse            learn           proxy             lookup           rewrite
//! batch ─▶ what is it? ───▶ who is where ─▶ asks us? ───────▶ where to? ─────▶ push header, copies ─▶ link
//!          strip the outer  source address  answer or learn   verdict          MTU, next hop
//!          header           in the FDB      the neighbour
//!          └─── pass 1 ───┘ └──────────── pass 2 ───────────────────────────┘ └─── pass 3 ───┘
//! ```
//!
//! A batch goes through in three passes, so that the forwarding database's cache lines, asked for in the first, have
//! come by the second. Each stage is a function of what earlier stages made and of the tables. This module alone knows
//! about batches, chunks and counting, and it alone replicates: one frame becomes many only in `Run::flood`.

use arrayvec::ArrayVec;

use crate::counters::{Amount, Counters};
use crate::fdb::{Key, Probe};
use crate::flood::{self, Meters, StormLimit};
use crate::ids::{PortId, RemoteId};
use crate::learn::{self, Lesson};
use crate::limits::BATCH;
use crate::link::{Event, Link, Now, Pass, Place};
use crate::lookup;
use crate::parse::{self, Headers, Resolution};
use crate::proxy;
use crate::rewrite::Exit;
use crate::signature::KnownTunnels;
use crate::tables::{Domain, Role, Tables};
use crate::tally::{Tally, TrafficTally};
use crate::tell::Recent;
use crate::tunnel::Origin;
use crate::verdict::{DropReason, Verdict};

/// The switch as one worker runs it: scratch memory, nothing else.
#[derive(Debug)]
pub struct Pipeline {
    recent: Recent,
    known: KnownTunnels,
    meters: Meters,
    /// Of the next outer packet. Any value will do with DF set (RFC 6864 section 4.1); a running one reads well.
    identification: u16,
}

/// One frame of a batch under way, which nothing has refused yet.
struct Job<'t> {
    headers: Headers,
    source: Probe<'t>,
    destination: Probe<'t>,
    from: Place,
    verdict: Verdict,
}

/// The frames of a batch, in its order.
type Jobs<'t> = ArrayVec<Result<Job<'t>, DropReason>, BATCH>;

impl Pipeline {
    /// With scratch memory. Nothing is allocated from here on.
    #[must_use]
    pub fn new() -> Self {
        Self { recent: Recent::new(), known: KnownTunnels::new(), meters: Meters::new(), identification: 0 }
    }

    /// Takes a batch of frames that came in at `ingress` through the switch. Every chunk goes back to the link, in the
    /// order of the batch; the batch is empty afterwards.
    pub fn run<L: Link>(
        &mut self,
        link: &mut L,
        tables: &Tables,
        counters: &Counters,
        now: Now,
        ingress: PortId,
        batch: &mut ArrayVec<L::Chunk, BATCH>,
    ) {
        let Self { recent, known, meters, identification } = self;
        known.turn_to(tables.version());
        let (tally, traffic) = (Tally::default(), TrafficTally::default());
        let seconds = now.seconds();
        let isolated = tables.port(ingress).is_some_and(|port| port.isolated);
        let mut run = Run {
            link,
            tables,
            counters,
            now,
            seconds,
            ingress,
            isolated,
            recent,
            known,
            meters,
            identification,
            tally,
            traffic,
        };
        let mut jobs = Jobs::new();
        run.parse(batch, &mut jobs);
        run.link.passed(Pass::Parse);
        run.decide(batch, &mut jobs);
        if isolated {
            run.isolate(&mut jobs);
        }
        run.link.passed(Pass::Decide);
        run.deliver(batch, &jobs);
        run.tally.settle(counters, ingress);
        run.traffic.settle(counters);
        run.link.passed(Pass::Deliver);
    }
}

impl Default for Pipeline {
    fn default() -> Self {
        Self::new()
    }
}

/// A batch under way.
struct Run<'a, L> {
    link: &'a mut L,
    tables: &'a Tables,
    counters: &'a Counters,
    now: Now,
    seconds: u32,
    ingress: PortId,
    /// Whether the ingress is an isolated port.
    isolated: bool,
    recent: &'a mut Recent,
    known: &'a mut KnownTunnels,
    meters: &'a mut Meters,
    identification: &'a mut u16,
    tally: Tally,
    traffic: TrafficTally,
}

impl<'t, L: Link> Run<'t, L> {
    /// Pass 1: what each frame is, and which lines of the forwarding database it will need.
    fn parse(&mut self, batch: &mut ArrayVec<L::Chunk, BATCH>, jobs: &mut Jobs<'t>) {
        let role = self.tables.port(self.ingress).map(|port| port.role);
        self.tally.received.frames = batch.len() as u64;
        for chunk in batch.iter() {
            self.link.prefetch_frame(chunk);
        }
        let mut from_port = Amount::default();
        for chunk in batch {
            jobs.push(self.parse_one(chunk, role, &mut from_port));
        }
        if let Some(Role::Access(domain)) = role {
            self.traffic.received(self.counters, domain, from_port);
        }
    }

    #[inline(always)]
    fn parse_one(
        &mut self,
        chunk: &mut L::Chunk,
        role: Option<Role>,
        from_port: &mut Amount,
    ) -> Result<Job<'t>, DropReason> {
        let mut frame = self.link.frame(chunk);
        self.tally.received.bytes += frame.length() as u64;
        let (domain, from) = match role.ok_or(DropReason::PortUnknown)? {
            Role::Access(domain) => (domain, Place::Port(self.ingress)),
            Role::Uplink => {
                let Origin { domain, remote, .. } =
                    parse::outer(&mut frame, self.tables.tunnels(), self.known)?;
                (domain, Place::Remote(remote))
            }
        };
        let headers = parse::inner(frame.bytes_mut(), domain)?;
        if self.tables.is_own(headers.source.mac()) {
            return Err(DropReason::MacInvalidSource);
        }
        let amount = Amount::frame(usize::from(headers.length));
        match from {
            Place::Port(_) => *from_port += amount,
            Place::Remote(remote) => self.traffic.received_from(self.counters, domain, remote, amount),
        }
        let source = self.prefetched(headers.source);
        let destination = self.prefetched(headers.destination);
        Ok(Job { headers, source, destination, from, verdict: Verdict::Flood })
    }

    #[inline(always)]
    fn prefetched(&self, key: Key) -> Probe<'t> {
        let probe = self.tables.fdb().probe(key);
        self.link.prefetch(probe.line());
        probe
    }

    /// Pass 2: learn and look up.
    fn decide(&mut self, batch: &mut ArrayVec<L::Chunk, BATCH>, jobs: &mut Jobs<'t>) {
        for (job, chunk) in jobs.iter_mut().zip(batch) {
            if let Ok(job) = job {
                job.verdict = self.decide_one(job, chunk);
            }
        }
    }

    #[inline(always)]
    fn decide_one(&mut self, job: &Job<'t>, chunk: &mut L::Chunk) -> Verdict {
        let tables = self.tables;
        let Some(domain) = tables.domain(job.headers.domain()) else {
            return Verdict::Drop(DropReason::PortUnknown);
        };
        if domain.learning {
            let ageing = |id| tables.domain(id).map_or(0, |domain| domain.ageing);
            match learn::learn(tables.fdb(), &job.source, job.from, self.seconds, ageing) {
                Ok(Lesson::Known) => {}
                Ok(Lesson::Moved(event)) => self.link.event(event),
                Ok(Lesson::Unlearned) => self.tally.unlearned += 1,
                Err(reason) => return Verdict::Drop(reason),
            }
        }
        if let Some(resolution) = job.headers.resolution
            && self.proxy(resolution, &job.headers, job.from, domain, chunk).is_some()
        {
            return Verdict::Answer;
        }
        lookup::lookup(tables.fdb(), &job.destination, job.from)
    }

    /// What comes from an isolated port goes to no other. Of whole batches, so that the others are not asked.
    #[cold]
    fn isolate(&self, jobs: &mut Jobs<'t>) {
        for job in jobs.iter_mut().flatten() {
            if let Verdict::Forward(port) = job.verdict
                && self.tables.port(port).is_some_and(|port| port.isolated)
            {
                job.verdict = Verdict::Drop(DropReason::Isolated);
            }
        }
    }

    /// A message that resolves addresses: tells control of a new neighbour, and makes the frame the answer, if one is due.
    #[cold]
    #[inline(never)]
    fn proxy(
        &mut self,
        resolution: Resolution,
        headers: &Headers,
        from: Place,
        domain: &Domain,
        chunk: &mut L::Chunk,
    ) -> Option<()> {
        let message = proxy::Message::read(resolution, headers, self.link.frame(chunk).bytes())?;
        let neighbours = self.tables.neighbours();
        if domain.learning
            && let Some(news) = message.news(domain, neighbours, from)
        {
            self.recent.tell(self.link, news.event, self.seconds / news.period);
        }
        let Place::Port(ingress) = from else { return None };
        let neighbour = message.answer(headers, domain, neighbours, self.tables.fdb(), ingress)?;
        message.write_answer(&mut self.link.frame(chunk), headers, &neighbour)
    }

    /// Pass 3: send each frame where it goes.
    fn deliver(&mut self, batch: &mut ArrayVec<L::Chunk, BATCH>, jobs: &Jobs<'t>) {
        for (job, chunk) in jobs.iter().zip(batch.drain(..)) {
            let job = match job {
                Ok(job) => job,
                Err(reason) => {
                    self.discard(chunk, *reason);
                    continue;
                }
            };
            match job.verdict {
                Verdict::Forward(port) => self.forward(job, Place::Port(port), chunk),
                Verdict::Encapsulate(remote) => self.forward(job, Place::Remote(remote), chunk),
                Verdict::Flood => self.flood(job, chunk),
                Verdict::Answer => self.answer(job, chunk),
                Verdict::Drop(reason) => self.discard(chunk, reason),
            }
        }
    }

    #[inline(always)]
    fn forward(&mut self, job: &Job<'t>, to: Place, chunk: L::Chunk) {
        match Exit::new(self.tables, &job.headers, to) {
            Ok(exit) => self.send(job, exit, chunk),
            Err(reason) => {
                self.refused(to, reason);
                self.link.release(chunk);
            }
        }
    }

    /// Head-end replication: a copy to every other member of the domain, the frame itself to the last that takes it.
    #[inline(never)]
    fn flood(&mut self, job: &Job<'t>, chunk: L::Chunk) {
        let tables = self.tables;
        let Some(domain) = tables.domain(job.headers.domain()) else {
            return self.discard(chunk, DropReason::PortUnknown);
        };
        let kind = flood::Kind::of(job.headers.destination.mac());
        if let Err(reason) = self.admit(domain, kind, job.from) {
            return self.discard(chunk, reason);
        }
        // From the overlay to access ports only: whoever else is in the overlay got a copy from the sender.
        let remotes: &[RemoteId] = match job.from {
            Place::Port(_) => &domain.remotes,
            Place::Remote(_) => &[],
        };
        let ports = tables
            .flood_ports(domain.id, kind, self.isolated)
            .iter()
            .copied()
            .map(Place::Port)
            .filter(|port| *port != job.from);
        let mut chunk = chunk;
        let (mut receivers, mut last) = (0_u64, None);
        for place in ports.chain(remotes.iter().copied().map(Place::Remote)) {
            receivers += 1;
            let exit = match Exit::new(tables, &job.headers, place) {
                Ok(exit) => exit,
                Err(reason) => {
                    self.refused(place, reason);
                    continue;
                }
            };
            if let Some(previous) = last.replace(exit) {
                match self.link.duplicate(&mut chunk) {
                    Some(copy) => self.send(job, previous, copy),
                    None => self.tally.dropped(DropReason::NoChunk),
                }
            }
        }
        self.tally.copies += receivers.saturating_sub(1);
        match last {
            Some(exit) => self.send(job, exit, chunk),
            None if receivers == 0 => self.discard(chunk, DropReason::FloodEmpty),
            // Each receiver has been counted as refused.
            None => self.link.release(chunk),
        }
    }

    /// Whether a frame of this kind may be flooded now.
    fn admit(&mut self, domain: &Domain, kind: flood::Kind, from: Place) -> Result<(), DropReason> {
        if !domain.flooding.includes(kind) {
            return Err(DropReason::FloodOff);
        }
        let limit = match from {
            Place::Port(port) => self.tables.port(port).map(|port| port.storm_limit),
            Place::Remote(remote) => self.tables.remote(remote).map(|egress| egress.remote().storm_limit),
        };
        let admitted = self.meters.admit(from, limit.unwrap_or(StormLimit::NONE), self.now);
        if admitted { Ok(()) } else { Err(DropReason::StormLimit) }
    }

    #[inline(always)]
    fn send(&mut self, job: &Job<'t>, exit: Exit<'t>, mut chunk: L::Chunk) {
        *self.identification = self.identification.wrapping_add(1);
        let flow = job.headers.flow;
        match exit.rewrite(&mut self.link.frame(&mut chunk), &job.headers, *self.identification) {
            Ok(port) => {
                let to = exit.place();
                self.traffic.transmitted(self.counters, job.headers.domain(), to, job.headers.length);
                self.link.transmit(port, flow, chunk);
            }
            Err(reason) => self.discard(chunk, reason),
        }
    }

    #[cold]
    fn answer(&mut self, job: &Job<'t>, mut chunk: L::Chunk) {
        let length = *self.link.frame(&mut chunk).len;
        self.tally.proxied += 1;
        let to = Place::Port(self.ingress);
        self.traffic.transmitted(self.counters, job.headers.domain(), to, length);
        self.link.transmit(self.ingress, job.headers.flow, chunk);
    }

    /// A receiver that does not get its frame.
    #[cold]
    fn refused(&mut self, place: Place, reason: DropReason) {
        self.tally.dropped(reason);
        if let (Place::Remote(remote), DropReason::NeighbourUnresolved) = (place, reason) {
            self.recent.tell(self.link, Event::Unresolved { remote }, self.seconds);
        }
    }

    #[cold]
    fn discard(&mut self, chunk: L::Chunk, reason: DropReason) {
        self.tally.dropped(reason);
        self.link.release(chunk);
    }
}
