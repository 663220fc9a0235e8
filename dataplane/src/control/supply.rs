//! How chunks are shared out to the receive queues that are really open: each worker has its part of the UMEM, and its
//! queues are what it is for.

use xsk::Mode;

use super::port::{OpenPort, least_loaded};
use super::state::State;
use crate::plan::ChunkBudget;

impl State {
    /// Queues by worker.
    pub(super) fn load(&self) -> Vec<usize> {
        let mut load = vec![0; self.fleet.len()];
        for queue in self.ports.values().flat_map(|port| &port.queues) {
            if let Some(queues) = load.get_mut(usize::from(queue.worker)) {
                *queues += 1;
            }
        }
        load
    }

    /// Gives every queue its share of its worker's chunks, and says of ports that are short of them now.
    pub(super) fn share_chunks(&mut self) {
        let budgets = self.budgets();
        let Self { ports, fleet, .. } = self;
        for port in ports.values_mut().filter(|port| port.shares_memory()) {
            let (id, ring_size, before) = (port.id, port.config.ring_size, port.shortage());
            for queue in &mut port.queues {
                let budget = budgets.get(usize::from(queue.worker)).copied().unwrap_or_default();
                let fill = budget.fill(ring_size);
                if std::mem::replace(&mut queue.fill, fill) != fill {
                    fleet.supply(queue.worker, id, queue.index, fill);
                }
            }
            if let Some(reason) = port.shortage().filter(|reason| Some(reason) != before.as_ref()) {
                tracing::warn!(port = port.config.name, reason, "the port does with less");
            }
        }
    }

    /// The budget of each worker. Ports that are to come count with the queues that they say they have, or one.
    fn budgets(&self) -> Vec<ChunkBudget> {
        let workers = self.fleet.len();
        let mut budgets = vec![ChunkBudget::of_worker(self.config.umem.chunks, workers); workers];
        let mut add = |worker: u16, ring_size| {
            if let Some(budget) = budgets.get_mut(usize::from(worker)) {
                budget.add(ring_size);
            }
        };
        for port in self.ports.values().filter(|port| port.shares_memory()) {
            port.queues.iter().for_each(|queue| add(queue.worker, port.config.ring_size));
        }
        let mut load = self.load();
        for port in self.config.ports.iter().filter(|port| !self.ports.contains_key(&port.name)) {
            for _ in 0..port.queues.unwrap_or(1) {
                add(least_loaded(&mut load), port.ring_size);
            }
        }
        budgets
    }
}

impl OpenPort {
    /// Whether its frames lie in the UMEM that ports share.
    fn shares_memory(&self) -> bool {
        self.mode != Mode::ZeroCopy
    }

    /// What is to be said of a port whose queues get fewer chunks than their rings have room for.
    pub(super) fn shortage(&self) -> Option<String> {
        let ring_size = self.config.ring_size;
        let fill = self.queues.iter().map(|queue| queue.fill).min().filter(|fill| *fill < ring_size)?;
        Some(format!(
            "a queue gets {fill} chunks for a ring of {ring_size}, and loses frames of a burst sooner; raise \
             `umem.chunks` and start again, or lower `ring_size` or `queues` of the ports"
        ))
    }
}
