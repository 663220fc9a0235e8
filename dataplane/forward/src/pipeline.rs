//! START HERE: one frame's way through the switch.
//!
//! ```text
//!          guard, parse     learn           proxy             lookup           rewrite
//! batch ─▶ what is it? ───▶ who is where ─▶ asks us? ───────▶ where to? ─────▶ push header, copies ─▶ link
//!          may it be sent?  source address  answer or learn   verdict          MTU, next hop
//!          strip the outer  in the FDB      the neighbour
//!          header or tag
//!          └─── pass 1 ───┘ └──────────── pass 2 ───────────────────────────┘ └─── pass 3 ───┘
//! ```
//!
//! A batch goes through in three passes, so that the forwarding database's cache lines, asked for in the first, have
//! come by the second. Each stage is a function of what earlier stages made and of the tables. This module alone knows
//! about batches, chunks and counting, and it alone replicates: in `Run::flood`, and where a packet goes in pieces.

mod bfd;
mod decide;
mod deliver;
mod parse;
mod turn_away;

use arrayvec::ArrayVec;

use crate::allowance::{PerPort, PerSecond};
use crate::counters::Counters;
use crate::fdb::{Hash, Probe, Sighting};
use crate::flood::Meters;
use crate::ids::PortId;
use crate::limits::{BATCH, ERRORS_PER_SECOND, EVENTS_PER_SECOND};
use crate::link::{Link, Now, Pass, Place};
use crate::parse::Headers;
use crate::signature::KnownTunnels;
use crate::tables::Tables;
use crate::tally::{Tally, TrafficTally};
use crate::tell::Recent;
use crate::verdict::Verdict;

/// The switch as one worker runs it: scratch memory, nothing else.
#[derive(Debug)]
pub struct Pipeline {
    recent: Recent,
    known: KnownTunnels,
    meters: Meters,
    /// Packets of BFD that may still be handed to control.
    bfd: PerSecond,
    /// ICMP errors that may still be sent.
    allowance: PerPort,
    /// Events that control may still be told.
    events: PerPort,
    /// Of the next outer packet. Any value will do with DF set (RFC 6864 section 4.1); a running one reads well.
    identification: u16,
    jobs: Box<Jobs>,
}

/// What is known of one frame of a batch under way, in one cache line. Nothing but the verdict, if that is to drop it.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Job {
    headers: Headers,
    source: Hash,
    destination: Hash,
    sighting: Sighting,
    verdict: Verdict,
}

const _: () = assert!(size_of::<Job>() == 64);

/// The frames of a batch, in its order; behind them what an earlier batch has left.
type Jobs = [Job; BATCH];

impl Job {
    const NONE: Self = Self {
        headers: Headers::NONE,
        source: Hash::NONE,
        destination: Hash::NONE,
        sighting: Sighting::new(Place::Port(PortId(0)), 0),
        verdict: Verdict::Flood,
    };

    /// Where the frame came from.
    const fn from(&self) -> Place {
        self.sighting.place()
    }

    #[inline]
    const fn source(&self) -> Probe {
        Probe { key: self.headers.source, hash: self.source }
    }

    #[inline]
    const fn destination(&self) -> Probe {
        Probe { key: self.headers.destination, hash: self.destination }
    }
}

impl Pipeline {
    /// With scratch memory. Nothing is allocated from here on.
    #[must_use]
    pub fn new() -> Self {
        let jobs = Box::new([Job::NONE; BATCH]);
        let (recent, known, meters) = (Recent::new(), KnownTunnels::new(), Meters::new());
        let (allowance, events) = (PerPort::new(ERRORS_PER_SECOND), PerPort::new(EVENTS_PER_SECOND));
        let bfd = PerSecond::default();
        Self { recent, known, meters, bfd, allowance, events, identification: 0, jobs }
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
        let Self { recent, known, meters, bfd, allowance, events, identification, jobs } = self;
        known.turn_to(tables.version());
        let frames = batch.len();
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
            bfd,
            allowance,
            events,
            identification: *identification,
            tally,
            traffic,
        };
        run.parse(batch, jobs);
        run.link.passed(Pass::Parse);
        run.decide(batch, jobs);
        if isolated {
            run.isolate(&mut jobs[..frames]);
        }
        if tables.clamps() {
            run.clamp(batch, jobs);
        }
        run.link.passed(Pass::Decide);
        run.deliver(batch, jobs);
        *identification = run.identification;
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

/// A batch under way. Each pass is a function of its own, so that the compiler keeps in registers what that pass needs.
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
    bfd: &'a mut PerSecond,
    allowance: &'a mut PerPort,
    events: &'a mut PerPort,
    /// Of the outer packet that was made last.
    identification: u16,
    tally: Tally,
    traffic: TrafficTally,
}
