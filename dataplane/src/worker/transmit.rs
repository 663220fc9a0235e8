//! The end of a round: every finished frame goes to its egress port, through our own queue or to the worker that owns
//! one. The only place that decides how frames leave.

use forward::ids::PortId;
use forward::verdict::DropReason;
use xsk::{Chunk, Room};

use super::handover::Crossing;
use super::plane::{Egress, Plane};
use super::queue::Queue;
use crate::publish::Wiring;

impl Plane {
    /// Sends every staged frame, then makes the system calls: one for each queue that got some.
    pub(super) fn dispatch(&mut self) {
        let mut staged = std::mem::take(&mut self.staged);
        for crossing in staged.drain(..) {
            self.send(crossing);
        }
        self.staged = staged;
        for index in 0..self.queues.len() {
            self.flush(index);
        }
        for worker in self.handed.drain(..) {
            if let Some(bell) = self.bells.get(usize::from(worker)) {
                bell.ring();
            }
        }
    }

    fn send(&mut self, crossing: Crossing) {
        let Crossing { port, flow, chunk } = crossing;
        match self.egress.get(usize::from(port.0)) {
            Some(Egress::Own(queues)) => {
                let queue = pick(queues, flow);
                self.enqueue(port, usize::from(queue), chunk);
            }
            Some(Egress::Others(workers)) => {
                let worker = pick(workers, flow);
                self.hand_over(worker, Crossing { port, flow, chunk });
            }
            Some(Egress::Closed) | None => self.drop_frame(port, DropReason::PortDown, chunk),
        }
    }

    /// Puts a frame into the tx ring of one of our queues.
    fn enqueue(&mut self, port: PortId, index: usize, chunk: Chunk) {
        let Some(chunk) = self.bring(index, chunk) else {
            self.counters.dropped(port, DropReason::NoChunk, 1);
            return;
        };
        let mut refused = match self.queues.get_mut(index) {
            Some(queue) => queue.push(chunk),
            None => Some(chunk),
        };
        if let Some(chunk) = refused.take() {
            // The ring is full: let the kernel work it off, and try once more.
            self.flush(index);
            self.reap_queue(index);
            refused = match self.queues.get_mut(index) {
                Some(queue) => queue.push(chunk),
                None => Some(chunk),
            };
        }
        if let Some(chunk) = refused {
            self.drop_frame(port, DropReason::TxRingFull, chunk);
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
        if let Some(mut copy) = copy {
            self.copy_between(&mut chunk, &mut copy);
            self.recycle(chunk);
            return Some(copy);
        }
        self.recycle(chunk);
        None
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

    /// Gives a frame to the worker that owns its egress port. Only chunks of the shared UMEM cross.
    fn hand_over(&mut self, worker: u16, mut crossing: Crossing) {
        let port = crossing.port;
        if crossing.chunk.umem() != self.umem.id() {
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
        match neighbour.frames_out.push(crossing) {
            Ok(()) => {
                self.handed_over += 1;
                if !self.handed.contains(&worker) {
                    self.handed.push(worker);
                }
            }
            Err(rtrb::PushError::Full(crossing)) => {
                self.drop_frame(port, DropReason::HandoverFull, crossing.chunk);
            }
        }
    }

    /// The system call of one queue.
    pub(super) fn flush(&mut self, index: usize) {
        let Some(queue) = self.queues.get_mut(index) else { return };
        let (taken, dropped) = queue.flush();
        let port = queue.port();
        if taken.frames != 0 {
            self.counters.transmitted(port, taken);
        }
        if dropped != 0 {
            self.counters.dropped(port, DropReason::TxRefused, dropped);
        }
        self.failed_flushes += u64::from(self.queues.get(index).is_some_and(Queue::is_refusing));
    }

    /// Works out anew how each port is reached.
    pub(super) fn rewire(&mut self, wiring: &Wiring) {
        self.egress.clear();
        for port in (0..wiring.ports()).map(PortId) {
            let own: Vec<u16> = own_queues(&self.queues, port);
            self.egress.push(if own.is_empty() {
                match wiring.owners(port) {
                    [] => Egress::Closed,
                    owners if owners == [self.id] => Egress::Closed,
                    owners => Egress::Others(owners.iter().copied().filter(|owner| *owner != self.id).collect()),
                }
            } else {
                Egress::Own(own)
            });
        }
    }
}

fn own_queues(queues: &[Queue], port: PortId) -> Vec<u16> {
    (0u16..).zip(queues).filter(|(_, queue)| queue.port() == port && !queue.is_closing()).map(|(index, _)| index).collect()
}

/// One of several, always the same for one flow.
fn pick(choices: &[u16], flow: u32) -> u16 {
    match choices {
        [only] => *only,
        _ => choices.get(flow as usize % choices.len().max(1)).copied().unwrap_or_default(),
    }
}
