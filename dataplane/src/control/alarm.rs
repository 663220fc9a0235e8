//! Says when rings or jumbo memory run short: frames that had nowhere to go are counted, by the kernel or by workers, and
//! nobody looks at counters before traffic is missed.

use std::collections::BTreeMap;

use forward::ids::PortId;
use forward::verdict::DropReason;
use xsk::Statistics;

use super::state::State;

/// Seconds between two warnings about one queue, or one port's jumbo frames.
const REPEAT: u32 = 30;

/// Frames that found no memory, and what helps.
const WITHOUT_MEMORY: [(DropReason, &str); 2] = [
    (DropReason::NoJumboChunk, "raise umem.jumbo_chunks and start again"),
    (
        DropReason::NoChunk,
        "raise umem.chunks and start again, or lower the storm limits of ports and remotes: each copy of a flooded frame takes a chunk",
    ),
];

/// What was last said of each queue, and of each port's frames that found no memory.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    queues: BTreeMap<(PortId, u32), [Told; 3]>,
    memory: BTreeMap<(PortId, DropReason), Told>,
}

/// Of a count that grows: what was last said of it, and when.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Told {
    count: u64,
    at: Option<u32>,
}

impl Told {
    /// How much of `count` is news, if it is time to tell: nothing within `pause` seconds of the last time. A count that
    /// is less than before has begun anew.
    pub(super) fn news(&mut self, count: u64, now: u32, pause: u32) -> Option<u64> {
        self.count = self.count.min(count);
        let fresh = count.saturating_sub(self.count);
        if fresh == 0 || self.at.is_some_and(|at| now.saturating_sub(at) < pause) {
            return None;
        }
        *self = Self { count, at: Some(now) };
        Some(fresh)
    }
}

impl State {
    /// Compares every queue's statistics with what was last said of them.
    pub(super) fn watch_rings(&mut self, now: u32) {
        let Self { alarms, ports, .. } = self;
        let open: Vec<(PortId, u32)> =
            ports.values().flat_map(|port| port.queues.iter().map(|queue| (port.id, queue.index))).collect();
        alarms.queues.retain(|key, _| open.contains(key));
        for (name, port) in ports.iter() {
            for queue in &port.queues {
                let Ok(Some(statistics)) = queue.statistics.read() else { continue };
                let told = alarms.queues.entry((port.id, queue.index)).or_default();
                for (told, (what, count, remedy)) in told.iter_mut().zip(shortages(&statistics)) {
                    let Some(count) = told.news(count, now, REPEAT) else { continue };
                    tracing::warn!(
                        port = name,
                        queue = queue.index,
                        count,
                        what,
                        remedy,
                        "frames lost at a ring"
                    );
                }
            }
        }
    }

    /// Compares every port's counts of frames that found no memory with what was last said.
    pub(super) fn watch_memory(&mut self, now: u32) {
        let ports: Vec<(String, PortId)> =
            self.ports.iter().map(|(name, port)| (name.clone(), port.id)).collect();
        self.alarms.memory.retain(|(id, _), _| ports.iter().any(|(_, port)| port == id));
        for (port, id) in ports {
            let counts = self.counts(id);
            for (reason, remedy) in WITHOUT_MEMORY {
                let told = self.alarms.memory.entry((id, reason)).or_default();
                if let Some(count) = told.news(counts.drops_for(reason), now, REPEAT) {
                    tracing::warn!(
                        port,
                        reason = reason.name(),
                        count,
                        remedy,
                        "frames lost for want of memory"
                    );
                }
            }
        }
    }
}

/// What goes wrong at a queue: what, how often since it was opened, and what helps.
const fn shortages(counts: &Statistics) -> [(&'static str, u64, &'static str); 3] {
    [
        ("the fill ring was empty", counts.rx_fill_ring_empty, "raise umem.chunks or ring_size"),
        (
            "the receive ring was full",
            counts.rx_ring_full,
            "raise ring_size, or give the port's worker a CPU of its own",
        ),
        (
            "the kernel dropped received frames",
            counts.rx_dropped,
            "raise umem.chunks; or are there longer frames than the port takes? see vtep-ctl port",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_said_at_once_and_then_from_time_to_time() {
        let mut lost = Told::default();
        assert_eq!(lost.news(0, 5, REPEAT), None);
        assert_eq!(lost.news(7, 6, REPEAT), Some(7));
        assert_eq!(lost.news(9, 6 + REPEAT - 1, REPEAT), None);
        assert_eq!(lost.news(10, 6 + REPEAT, REPEAT), Some(3));
        assert_eq!(lost.news(10, 6 + 9 * REPEAT, REPEAT), None);
    }

    #[test]
    fn a_count_that_begins_anew_is_all_news() {
        let mut lost = Told::default();
        assert_eq!(lost.news(100, 5, REPEAT), Some(100));
        assert_eq!(lost.news(0, 6, REPEAT), None);
        assert_eq!(lost.news(8, 5 + REPEAT, REPEAT), Some(8));
    }
}
