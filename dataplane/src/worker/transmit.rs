//! The end of a round: every finished frame goes to its egress port. The only place that decides how frames leave:
//!
//! - by *burst*, one system call for frames of any ports, where the port's device can and enough frames came together
//!   (`threshold` says how many);
//! - by the *ring* of one of our own queues, one system call per queue;
//! - through the worker that owns a queue of the port, where neither is possible.
//!
//! Frames of one flow keep their order over the first two: both have handed every frame to the device when their
//! system call returns, a queue whose ring the kernel has not emptied yet keeps to its ring, and a port that several workers
//! burst to keeps to bursts for a while. A port that can burst
//! is never handed over, so no frame is overtaken on its way to another worker; where some of a port's frames may be too
//! long to be burst, all of them go to the worker that owns it.

use std::time::Instant;

use forward::counters::Amount;
use forward::ids::PortId;
use forward::verdict::DropReason;
use xsk::{Chunk, Room};

use super::handover::Crossing;
use super::plane::{Egress, Plane};
use super::queue::{Queue, Told};
use crate::publish::Wiring;

impl Plane {
    /// Sends every staged frame, then makes the system calls.
    pub(super) fn dispatch(&mut self) {
        if self.staged.is_empty() {
            // The kernel may have left something in a ring when it was last asked.
            self.flush_queues();
            return;
        }
        let mut staged = std::mem::take(&mut self.staged);
        let burst = self.decide(&staged);
        for crossing in staged.drain(..) {
            self.meter.leave(crossing.received);
            self.send(crossing, burst);
        }
        self.staged = staged;
        self.flush_burst();
        self.flush_queues();
        self.meter.sent();
        for worker in self.handed.drain(..) {
            if let Some(bell) = self.bells.get(usize::from(worker)) {
                bell.ring();
            }
        }
    }

    /// Whether this round's frames for our own queues are worth a burst. A frame that cannot be burst keeps the whole
    /// round on the rings, so that it does not change places with others of its flow.
    fn decide(&mut self, staged: &[Crossing]) -> bool {
        let Some(burst) = &self.burst else { return false };
        let (mut count, mut always, mut now) = (0, false, None);
        for crossing in staged {
            let Some(egress) = self.egress.get_mut(usize::from(crossing.port.0)) else { continue };
            let Some(wish) = egress.burst else { continue };
            if !burst.fits(&crossing.chunk) {
                return false;
            }
            count += 1;
            always = always || wish || egress.keeps_to_bursts(|| *now.get_or_insert_with(Instant::now));
        }
        always || self.threshold.choose(count)
    }

    fn send(&mut self, crossing: Crossing, burst: bool) {
        let Crossing { port, .. } = crossing;
        let egress = self.egress.get(usize::from(port.0));
        if let Some(egress) = egress.filter(|egress| egress.burst.is_some()) {
            let own = pick(&egress.own, crossing.flow).and_then(|queue| self.queues.get(usize::from(queue)));
            if own.is_none_or(|queue| burst && queue.is_idle()) {
                self.push_burst(crossing);
                return;
            }
        }
        self.send_by_ring(crossing);
    }

    /// Adds a frame to the burst under way. One that cannot be burst goes the other way.
    fn push_burst(&mut self, crossing: Crossing) {
        let Crossing { port, is_flooded, flow, received, chunk } = crossing;
        if self.burst.as_ref().is_some_and(|burst| burst.len() == xsk::MAX_BURST) {
            self.flush_burst();
        }
        let amount = Amount::frame(usize::from(chunk.len()));
        let pushed = match &mut self.burst {
            Some(burst) => burst.push(port.0, chunk),
            None => Err(chunk),
        };
        match pushed {
            Ok(()) => match self.burst_amounts.iter_mut().find(|(of, _)| *of == port.0) {
                Some((_, sum)) => *sum += amount,
                None => self.burst_amounts.push((port.0, amount)),
            },
            Err(chunk) => self.send_by_ring(Crossing { port, is_flooded, flow, received, chunk }),
        }
    }

    /// Through a queue of our own, or of another worker.
    fn send_by_ring(&mut self, crossing: Crossing) {
        let Crossing { port, flow, .. } = crossing;
        let egress = self.egress.get(usize::from(port.0));
        let own = egress.and_then(|egress| pick(&egress.own, flow));
        let other = egress.and_then(|egress| pick(&egress.others, flow));
        match (own, other) {
            (Some(queue), _) if self.is_jumbo(&crossing.chunk) => {
                self.enqueue_jumbo(port, usize::from(queue), crossing.chunk);
            }
            (Some(queue), _) => self.enqueue(port, usize::from(queue), crossing.chunk),
            (None, Some(worker)) => self.hand_over(worker, crossing),
            (None, None) => self.drop_frame(port, DropReason::PortDown, crossing.chunk),
        }
    }

    /// The system call of a burst, and the accounts of what became of each port's frames.
    fn flush_burst(&mut self) {
        let Some(burst) = &mut self.burst else { return };
        if burst.len() == 0 {
            return;
        }
        let (before, frames, begin) = (self.free.len(), burst.len(), Instant::now());
        let report = burst.flush(&mut self.free);
        let took = begin.elapsed();
        for port in report.ports {
            let given = self.burst_amounts.iter().find(|(of, _)| *of == port.slot);
            // Which ones were lost, or left in a burst that was refused, is not known: their share of the bytes is.
            let sent = given.map_or_else(Amount::default, |(_, sum)| sum.share(port.sent.into()));
            let id = PortId(port.slot);
            if let Some(egress) =
                self.egress.get_mut(usize::from(port.slot)).filter(|egress| egress.is_shared)
            {
                egress.last_burst = Some(begin + took);
            }
            self.counters.transmitted(id, sent);
            self.counters.dropped(id, DropReason::PortDown, u64::from(port.refused));
            self.counters.dropped(id, DropReason::TxRefused, u64::from(port.dropped));
        }
        let refusal = report.refusal;
        self.burst_amounts.clear();
        self.send_home(before);
        if let Some(refusal) = refusal {
            self.fall_back(&refusal);
        } else {
            self.threshold.burst_took(frames, took);
            self.bursts += 1;
        }
    }

    /// What a refused burst still holds leaves by rings. The control thread hears of it and takes bursts away from all
    /// ports; until it has, each burst ends here.
    #[cold]
    fn fall_back(&mut self, refusal: &xsk::Error) {
        self.refused_bursts += 1;
        self.refusal = refusal.errno().unwrap_or_default();
        self.control.ring();
        let Some(burst) = &mut self.burst else { return };
        let mut waiting = std::mem::take(&mut self.unsent);
        burst.reclaim(&mut waiting);
        for (slot, chunk) in waiting.drain(..) {
            // Which flow it was of is forgotten: all take the port's first queue, in order.
            let received = self.meter.stamp();
            let port = PortId(slot);
            self.send_by_ring(Crossing { port, is_flooded: false, flow: 0, received, chunk });
        }
        self.unsent = waiting;
    }

    /// Puts a frame into the tx ring of one of our queues.
    fn enqueue(&mut self, port: PortId, index: usize, chunk: Chunk) {
        let Some(chunk) = self.bring(index, chunk) else {
            self.note_drop(port, DropReason::NoChunk);
            return;
        };
        let mut refused = self.push_ring(index, chunk);
        if let Some(chunk) = refused.take() {
            self.make_room(index);
            refused = self.push_ring(index, chunk);
        }
        if let Some(chunk) = refused {
            self.drop_frame(port, DropReason::TxRingFull, chunk);
        }
    }

    /// The tx ring of a queue is full: lets the kernel work it off, so that it is worth another try. A device that would not
    /// transmit, or that left frames in the ring when asked here, is asked at the end of rounds alone: not once per frame.
    pub(super) fn make_room(&mut self, index: usize) {
        if self.queues.get(index).is_some_and(|queue| !queue.is_refusing() && !queue.is_crowded()) {
            self.flush(index);
            self.reap_queue(index);
            if let Some(queue) = self.queues.get_mut(index) {
                queue.set_crowded(queue.is_waiting());
            }
        }
    }

    /// Into the ring of a queue, or back when it is full.
    fn push_ring(&mut self, index: usize, chunk: Chunk) -> Option<Chunk> {
        match self.queues.get_mut(index) {
            Some(queue) => queue.push(chunk),
            None => Some(chunk),
        }
    }

    /// A frame as the queue's UMEM has it: the same chunk, or a copy if it lies in another UMEM.
    fn bring(&mut self, index: usize, mut chunk: Chunk) -> Option<Chunk> {
        let target = self.queues.get(index).map(|queue| queue.umem().id());
        if target.is_none_or(|target| target == chunk.umem()) {
            return Some(chunk);
        }
        let copy = match self.queues.get_mut(index) {
            Some(queue) if queue.is_private() => queue.take(),
            _ => self.free.pop(),
        };
        let copy = copy.map(|mut copy| {
            self.copy_between(&mut chunk, &mut copy);
            copy
        });
        self.recycle(chunk);
        copy
    }

    fn copy_between(&self, from: &mut Chunk, to: &mut Chunk) {
        let (head, len) = (from.head(), from.len());
        to.set_span(head, len);
        let span = usize::from(head)..usize::from(head) + usize::from(len);
        let Room { bytes: source, .. } = self.memory(from).room(from);
        let Room { bytes: target, .. } = self.memory(to).room(to);
        if let (Some(source), Some(target)) = (source.get(span.clone()), target.get_mut(span)) {
            target.copy_from_slice(source);
        }
    }

    /// Gives a frame to the worker that owns its egress port. Only chunks of the shared UMEM and of jumbo memory cross.
    fn hand_over(&mut self, worker: u16, mut crossing: Crossing) {
        let port = crossing.port;
        let is_jumbo = self.is_jumbo(&crossing.chunk);
        if crossing.chunk.umem() != self.umem.id() && !is_jumbo {
            let Some(mut copy) = self.free.pop() else {
                self.drop_frame(port, DropReason::NoChunk, crossing.chunk);
                return;
            };
            self.copy_between(&mut crossing.chunk, &mut copy);
            let original = std::mem::replace(&mut crossing.chunk, copy);
            self.recycle(original);
        }
        let Some(Some(neighbour)) = self.neighbours.get_mut(usize::from(worker)) else {
            self.drop_frame(port, DropReason::PortDown, crossing.chunk);
            return;
        };
        match neighbour.hand_over(crossing) {
            Ok(()) => {
                self.handed_over += 1;
                if let Some(jumbo) = self.jumbo.as_mut().filter(|_| is_jumbo) {
                    jumbo.departed += 1;
                }
                self.meter.stay();
                if !self.handed.contains(&worker) {
                    self.handed.push(worker);
                }
            }
            Err(crossing) => self.drop_frame(port, DropReason::HandoverFull, crossing.chunk),
        }
    }

    fn flush_queues(&mut self) {
        for index in 0..self.queues.len() {
            self.flush(index);
            if let Some(queue) = self.queues.get_mut(index) {
                queue.set_crowded(false);
            }
        }
    }

    /// The system call of one queue, if there is anything in its tx ring.
    fn flush(&mut self, index: usize) {
        let Some(queue) = self.queues.get_mut(index).filter(|queue| !queue.is_idle()) else { return };
        let (port, frames, begin) = (queue.port(), queue.comparable(), Instant::now());
        let Told { taken, dropped, was_asked } = queue.flush(begin);
        self.flushes += u64::from(was_asked && taken.frames + dropped != 0);
        // Only where there is a choice: what a ring costs on another kind of device says nothing about it, nor does a call
        // after which frames are left.
        let is_comparable = frames != 0 && queue.is_idle() && !queue.is_refusing();
        if is_comparable && self.egress.get(usize::from(port.0)).is_some_and(|egress| egress.burst.is_some())
        {
            self.threshold.ring_took(frames, begin.elapsed());
        }
        if taken.frames != 0 {
            self.counters.transmitted(port, taken);
        }
        if dropped != 0 {
            self.counters.dropped(port, DropReason::TxRefused, dropped);
        }
        self.failed_flushes += u64::from(was_asked && queue.is_refusing());
    }

    /// Works out anew how each port is reached.
    pub(super) fn rewire(&mut self, wiring: &Wiring) {
        let before = std::mem::take(&mut self.egress);
        for port in (0..wiring.ports()).map(PortId) {
            let owners = wiring.owners(port);
            let own = if owners.is_empty() { Vec::new() } else { own_queues(&self.queues, port) };
            let others = owners.iter().copied().filter(|owner| *owner != self.id).collect();
            let may_burst = !owners.is_empty() && (!own.is_empty() || !wiring.is_bound_to_owners(port));
            let burst = wiring.burst(port).filter(|_| self.burst.is_some() && may_burst);
            let is_shared = self.neighbours.len() > 1 && !wiring.is_bound_to_owners(port);
            let last_burst = before.get(usize::from(port.0)).and_then(|egress| egress.last_burst);
            self.egress.push(Egress { own, others, burst, is_shared, last_burst });
        }
    }
}

fn own_queues(queues: &[Queue], port: PortId) -> Vec<u16> {
    (0u16..)
        .zip(queues)
        .filter(|(_, queue)| queue.port() == port && !queue.is_closing())
        .map(|(index, _)| index)
        .collect()
}

/// One of several, always the same for one flow.
fn pick(choices: &[u16], flow: u32) -> Option<u16> {
    match choices {
        [] => None,
        [only] => Some(*only),
        _ => choices.get(flow as usize % choices.len()).copied(),
    }
}
