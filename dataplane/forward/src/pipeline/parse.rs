//! Pass 1 over a batch: what each frame is.

use arrayvec::ArrayVec;

use super::{Job, Jobs, Run};
use crate::counters::Amount;
use crate::fdb::{Fdb, Hash, Key, Sighting};
use crate::ids::{DomainId, RemoteId};
use crate::limits::BATCH;
use crate::link::{Link, Place};
use crate::parse::{self, Headers};
use crate::signature::KnownTunnels;
use crate::tables::{Role, Tables};
use crate::trust::Trust;
use crate::verdict::{DropReason, Verdict};

impl<'t, L: Link> Run<'t, L> {
    /// Pass 1: what each frame is, and which lines of the forwarding database it will need.
    pub(super) fn parse(&mut self, batch: &mut ArrayVec<L::Chunk, BATCH>, jobs: &mut Jobs) {
        self.tally.received.frames = batch.len() as u64;
        for chunk in batch.iter() {
            self.link.prefetch_frame(chunk);
        }
        match self.tables.port(self.ingress).map(|port| port.role) {
            Some(Role::Access(domain)) => match self.tables.held(self.ingress, domain) {
                None => self.parse_plain(batch, jobs, domain, |_| Ok(())),
                Some(held) => {
                    let fdb = self.tables.fdb();
                    self.parse_plain(batch, jobs, domain, |frame| held.check(frame, fdb));
                }
            },
            Some(Role::Uplink) => self.parse_tunnelled(batch, jobs),
            Some(Role::Trunk) => self.parse_trunk(batch, jobs),
            None => {
                for (job, chunk) in jobs.iter_mut().zip(batch) {
                    self.tally.received.bytes += self.link.frame(chunk).length() as u64;
                    job.verdict = Verdict::Drop(DropReason::PortUnknown);
                }
            }
        }
    }

    /// Frames of workloads that pass a check.
    #[inline(never)]
    fn parse_plain(
        &mut self,
        batch: &mut ArrayVec<L::Chunk, BATCH>,
        jobs: &mut Jobs,
        domain: DomainId,
        check: impl Fn(&[u8]) -> Result<(), DropReason>,
    ) {
        let tables = self.tables;
        let trust = tables.trust(self.ingress);
        let sighting = Sighting::new(Place::Port(self.ingress), self.seconds);
        let tags = tables.domain(domain).map(|domain| domain.inner_tags).unwrap_or_default();
        let (mut all, mut refused) = (Amount { frames: batch.len() as u64, bytes: 0 }, Amount::default());
        for (job, chunk) in jobs.iter_mut().zip(batch) {
            let mut frame = self.link.frame(chunk);
            let length = frame.length() as u64;
            all.bytes += length;
            let parsed = check(frame.bytes())
                .and_then(|()| parse::inner(frame.bytes_mut(), domain, tags, trust, &mut job.headers));
            match parsed {
                Ok(()) => self.prepare(job, sighting, tables),
                Err(reason) => {
                    refused += Amount { frames: 1, bytes: length };
                    job.verdict = Verdict::Drop(reason);
                }
            }
        }
        self.tally.received = all;
        let good = Amount { frames: all.frames - refused.frames, bytes: all.bytes - refused.bytes };
        self.traffic.received(self.counters, domain, good);
    }

    /// Frames of a trunk, each of the domain of its VLAN.
    #[inline(never)]
    fn parse_trunk(&mut self, batch: &mut ArrayVec<L::Chunk, BATCH>, jobs: &mut Jobs) {
        let (tables, ingress) = (self.tables, self.ingress);
        let trust = tables.trust(ingress);
        let lanes = tables.trunk(ingress).ok_or(DropReason::PortUnknown);
        let sighting = Sighting::new(Place::Port(ingress), self.seconds);
        for (job, chunk) in jobs.iter_mut().zip(batch) {
            let mut frame = self.link.frame(chunk);
            self.tally.received.bytes += frame.length() as u64;
            let admitted = lanes.and_then(|lanes| lanes.admit(&mut frame)).and_then(|domain| {
                if let Some(held) = tables.held(ingress, domain) {
                    held.check(frame.bytes(), tables.fdb())?;
                }
                let tags = tables.domain(domain).map(|domain| domain.inner_tags).unwrap_or_default();
                parse::inner(frame.bytes_mut(), domain, tags, trust, &mut job.headers)?;
                Ok(domain)
            });
            match admitted {
                Ok(domain) => {
                    let amount = Amount::frame(job.headers.length.into());
                    self.traffic.received(self.counters, domain, amount);
                    self.prepare(job, sighting, tables);
                }
                Err(reason) => job.verdict = Verdict::Drop(reason),
            }
        }
    }

    /// Frames of the underlay.
    #[inline(never)]
    fn parse_tunnelled(&mut self, batch: &mut ArrayVec<L::Chunk, BATCH>, jobs: &mut Jobs) {
        let (tables, counters) = (self.tables, self.counters);
        let mut all = 0;
        for (job, chunk) in jobs.iter_mut().zip(batch) {
            let mut frame = self.link.frame(chunk);
            all += frame.length() as u64;
            let (remote, result);
            if let Some((origin, end)) = self.known.recognise(frame.bytes()) {
                remote = origin.remote;
                let bytes = frame.narrow(KnownTunnels::INNER, end);
                result = parse::inner(bytes, origin.domain, origin.tags, Trust::FULL, &mut job.headers);
            } else {
                let frame = &mut self.link.frame(chunk);
                match parse::tunnelled(frame, tables.tunnels(), self.known, &mut job.headers) {
                    Ok(origin) => (remote, result) = (origin, Ok(())),
                    Err(reason) => (remote, result) = (RemoteId(0), Err(reason)),
                }
            }
            if let Err(reason) = result {
                job.verdict = Verdict::Drop(reason);
                continue;
            }
            let length = job.headers.length;
            self.traffic.received(counters, job.headers.domain(), Amount::frame(length.into()));
            counters.received_from(remote, length);
            self.prepare(job, Sighting::new(Place::Remote(remote), self.seconds), tables);
        }
        self.tally.received.bytes = all;
    }

    /// Asks for the lines of the forwarding database that pass 2 will read.
    #[inline(always)]
    fn prepare(&self, job: &mut Job, sighting: Sighting, tables: &Tables) {
        let Headers { source, destination, .. } = job.headers;
        if tables.is_own(source.mac()) {
            job.verdict = Verdict::Drop(DropReason::MacInvalidSource);
            return;
        }
        job.source = self.prefetched(tables.fdb(), source);
        job.destination = self.prefetched(tables.fdb(), destination);
        job.sighting = sighting;
        job.verdict = Verdict::Flood;
    }

    #[inline(always)]
    fn prefetched(&self, fdb: &Fdb, key: Key) -> Hash {
        let probe = fdb.probe(key);
        self.link.prefetch(fdb.line(probe));
        probe.hash
    }
}
