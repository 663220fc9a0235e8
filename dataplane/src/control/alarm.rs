//! Says when rings run short: the kernel counts frames that it had nowhere to put, and nobody looks at counters before
//! traffic is missed.

use std::collections::BTreeMap;

use forward::ids::PortId;
use xsk::Statistics;

use super::state::State;

/// Seconds between two warnings about one queue.
const REPEAT: u32 = 30;

/// What was last seen and said of each queue.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    queues: BTreeMap<(PortId, u32), Watched>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Watched {
    seen: Statistics,
    said: Option<u32>,
}

impl State {
    /// Compares every queue's statistics with the last look.
    pub(super) fn watch_rings(&mut self, now: u32) {
        let Self { alarms, ports, .. } = self;
        let open: Vec<(PortId, u32)> =
            ports.values().flat_map(|port| port.queues.iter().map(|queue| (port.id, queue.index))).collect();
        alarms.queues.retain(|key, _| open.contains(key));
        for (name, port) in ports.iter() {
            for queue in &port.queues {
                let Ok(Some(statistics)) = queue.statistics.read() else { continue };
                let watched = alarms
                    .queues
                    .entry((port.id, queue.index))
                    .or_insert(Watched { seen: statistics, said: None });
                let shortages = shortages(&watched.seen, &statistics);
                watched.seen = statistics;
                if shortages.is_empty() || watched.said.is_some_and(|said| now.saturating_sub(said) < REPEAT)
                {
                    continue;
                }
                watched.said = Some(now);
                for (what, count, remedy) in shortages {
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
}

/// What went wrong between two looks: what, how often, and what helps.
fn shortages(before: &Statistics, now: &Statistics) -> Vec<(&'static str, u64, &'static str)> {
    let all = [
        (
            "the fill ring was empty",
            now.rx_fill_ring_empty.saturating_sub(before.rx_fill_ring_empty),
            "raise umem.chunks or ring_size",
        ),
        (
            "the receive ring was full",
            now.rx_ring_full.saturating_sub(before.rx_ring_full),
            "raise ring_size, or give the port's worker a CPU of its own",
        ),
        (
            "the kernel dropped received frames",
            now.rx_dropped.saturating_sub(before.rx_dropped),
            "frames larger than a chunk? see umem.chunk_size",
        ),
    ];
    all.into_iter().filter(|(_, count, _)| *count != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grew_is_said() {
        let before = Statistics { rx_ring_full: 5, rx_fill_ring_empty: 7, ..Statistics::default() };
        assert!(shortages(&before, &before).is_empty());
        let now = Statistics { rx_ring_full: 9, ..before };
        let said = shortages(&before, &now);
        assert_eq!(said.len(), 1);
        assert_eq!((said[0].0, said[0].1), ("the receive ring was full", 4));
    }
}
