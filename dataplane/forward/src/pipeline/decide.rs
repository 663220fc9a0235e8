//! Pass 2 over a batch: who is where, and where each frame goes.

use arrayvec::ArrayVec;
use wire::bfd;

use super::{Job, Jobs, Run};
use crate::clamp;
use crate::description::MssClamp;
use crate::fdb::Fdb;
use crate::learn::{self, Lesson};
use crate::limits::BATCH;
use crate::link::{Link, Place};
use crate::lookup;
use crate::parse::{Headers, Resolution};
use crate::proxy;
use crate::tables::Domain;
use crate::verdict::{DropReason, Verdict};

impl<'t, L: Link> Run<'t, L> {
    /// Pass 2: learn and look up.
    #[inline(never)]
    pub(super) fn decide(&mut self, batch: &mut ArrayVec<L::Chunk, BATCH>, jobs: &mut Jobs) {
        let (tables, fdb) = (self.tables, self.tables.fdb());
        let mut last: Option<&Domain> = None;
        for (job, chunk) in jobs.iter_mut().zip(batch) {
            if matches!(job.verdict, Verdict::Drop(_)) {
                continue;
            }
            // Frames of one batch mostly belong to the same domain.
            let id = job.headers.domain();
            let domain = match last {
                Some(domain) if id == domain.id => domain,
                _ => match tables.domain(id) {
                    Some(domain) => *last.insert(domain),
                    None => {
                        job.verdict = Verdict::Drop(DropReason::PortUnknown);
                        continue;
                    }
                },
            };
            self.decide_one(job, domain, fdb, chunk);
        }
    }

    #[inline(always)]
    fn decide_one(&mut self, job: &mut Job, domain: &Domain, fdb: &Fdb, chunk: &mut L::Chunk) {
        if domain.learning
            && !fdb.knows(&job.source(), job.sighting)
            && let Err(reason) = self.learn(job)
        {
            job.verdict = Verdict::Drop(reason);
        } else if let Some(resolution) = job.headers.resolution
            && let Some(verdict) = self.proxy(resolution, &job.headers, job.from(), domain, chunk)
        {
            job.verdict = verdict;
        } else {
            lookup::lookup(fdb, &job.destination(), job.sighting, &mut job.verdict);
        }
    }

    /// Learns what is not known to be so at this very second.
    #[inline(never)]
    fn learn(&mut self, job: &Job) -> Result<(), DropReason> {
        if job.headers.destination.mac() == bfd::VTEP_MAC {
            // From a switch, not from a workload.
            return Ok(());
        }
        if job.headers.source.mac() == bfd::VTEP_MAC {
            // Whoever had it would get what is for us.
            return Err(DropReason::MacInvalidSource);
        }
        let (tables, source, from) = (self.tables, job.source(), job.from());
        if !tables.admits(source.key(), from) {
            return Err(DropReason::SpoofedSource);
        }
        let ageing = |id| tables.domain(id).map_or(0, |domain| domain.ageing);
        let mut limits = tables.limits(job.headers.domain(), from);
        let is_withdrawn = tables.is_withdrawn(from);
        if is_withdrawn {
            // Nothing that is sent there would arrive.
            limits.place = 0;
        }
        match learn::learn(tables.fdb(), &source, from, self.seconds, limits, ageing) {
            Ok(Lesson::Known) => {}
            Ok(Lesson::Moved(event)) if self.events.take(self.ingress, self.seconds) => {
                self.link.event(event);
            }
            Ok(Lesson::Moved(_)) => self.link.withheld(),
            Ok(Lesson::Unlearned) => self.tally.unlearned += u64::from(!is_withdrawn),
            Err(_) if self.is_of_a_group(job) => {}
            Err(reason) => return Err(reason),
        }
        Ok(())
    }

    /// Whether the source address is bound to a group, and the frame comes from one of its members.
    #[cold]
    fn is_of_a_group(&self, job: &Job) -> bool {
        match (self.tables.fdb().place(&job.source()), job.from()) {
            (Some(Place::Group(id)), Place::Remote(remote)) => {
                self.tables.group(id).is_some_and(|group| group.has(remote))
            }
            _ => false,
        }
    }

    /// What comes from an isolated port goes to no other. Of whole batches, so that the others are not asked.
    #[cold]
    pub(super) fn isolate(&self, jobs: &mut [Job]) {
        for job in jobs {
            if let Verdict::Forward(port) = job.verdict
                && self.tables.port(port).is_some_and(|port| port.isolated)
            {
                job.verdict = Verdict::Drop(DropReason::Isolated);
            }
        }
    }

    /// Lowers the maximum segment size that connections begin with, in domains that want it.
    #[inline(never)]
    pub(super) fn clamp(&mut self, batch: &mut ArrayVec<L::Chunk, BATCH>, jobs: &Jobs) {
        for (job, chunk) in jobs.iter().zip(batch) {
            if !matches!(job.verdict, Verdict::Drop(_))
                && let Some(domain) = self.tables.domain(job.headers.domain())
                && domain.mss_clamp != MssClamp::Off
            {
                let mut frame = self.link.frame(chunk);
                let (headers, bytes) = (&job.headers, frame.bytes_mut());
                clamp::clamp(self.tables, domain, headers, job.from(), job.verdict, bytes);
            }
        }
    }

    /// A message that resolves addresses: tells control of a new neighbour, and makes the frame the answer, if one is due. What
    /// is to become of it, if it is not forwarded.
    #[cold]
    #[inline(never)]
    fn proxy(
        &mut self,
        resolution: Resolution,
        headers: &Headers,
        from: Place,
        domain: &Domain,
        chunk: &mut L::Chunk,
    ) -> Option<Verdict> {
        let tables = self.tables;
        let frame = self.link.frame(chunk);
        if let Some(claimed) = proxy::claimed(resolution, headers, frame.bytes())
            && let Err(reason) = tables.check_claim(domain.id, claimed, from)
        {
            return Some(Verdict::Drop(reason));
        }
        let message = proxy::Message::read(resolution, headers, frame.bytes())?;
        let neighbours = tables.neighbours();
        if domain.learning
            && let Some(claim) = message.claim()
            && let Some(news) = claim.news(domain, neighbours, from)
        {
            self.tell(news.event, self.seconds / news.period);
        }
        let Place::Port(ingress) = from else { return None };
        let neighbour = message.answer(headers, domain, neighbours, self.tables.fdb(), ingress)?;
        message.write_answer(&mut self.link.frame(chunk), headers, &neighbour)?;
        Some(Verdict::Answer)
    }
}
