//! Says when rings or jumbo memory run short: frames that had nowhere to go are counted, by the kernel or by workers, and
//! nobody looks at counters before traffic is missed.

use std::collections::BTreeMap;

use forward::ids::PortId;
use forward::verdict::DropReason;
use xsk::Statistics;

use super::state::State;

/// Seconds between two warnings about one queue, or one port's jumbo frames.
const REPEAT: u32 = 30;

/// What was last seen and said of each queue, and of each port's frames that found no jumbo chunk.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    queues: BTreeMap<(PortId, u32), Watched>,
    jumbo: BTreeMap<PortId, Told>,
}

/// Of a count that grows: what was last said of it, and when.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Told {
    count: u64,
    at: Option<u32>,
}

impl Told {
    /// How much of `count` is news, if it is time to tell: nothing within `pause` seconds of the last time.
    pub(super) fn news(&mut self, count: u64, now: u32, pause: u32) -> Option<u64> {
        let fresh = count.saturating_sub(self.count);
        if fresh == 0 || self.at.is_some_and(|at| now.saturating_sub(at) < pause) {
            return None;
        }
        *self = Self { count, at: Some(now) };
        Some(fresh)
    }
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

    /// Compares every port's count of frames without a jumbo chunk with what was last said.
    pub(super) fn watch_jumbo(&mut self, now: u32) {
        let lost: Vec<(String, PortId, u64)> = self
            .ports
            .iter()
            .map(|(name, port)| {
                (name.clone(), port.id, self.counts(port.id).drops_for(DropReason::NoJumboChunk))
            })
            .collect();
        self.alarms.jumbo.retain(|id, _| lost.iter().any(|(_, port, _)| port == id));
        for (port, id, all) in lost {
            if let Some(count) = self.alarms.jumbo.entry(id).or_default().news(all, now, REPEAT) {
                let remedy = "raise umem.jumbo_chunks and start again";
                tracing::warn!(port, count, remedy, "frames lost for want of jumbo chunks");
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
            "raise umem.chunks; or are there longer frames than the port takes? see vtep-ctl port",
        ),
    ];
    all.into_iter().filter(|(_, count, _)| *count != 0).collect()
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
    fn only_what_grew_is_said() {
        let before = Statistics { rx_ring_full: 5, rx_fill_ring_empty: 7, ..Statistics::default() };
        assert!(shortages(&before, &before).is_empty());
        let now = Statistics { rx_ring_full: 9, ..before };
        let said = shortages(&before, &now);
        assert_eq!(said.len(), 1);
        assert_eq!((said[0].0, said[0].1), ("the receive ring was full", 4));
    }
}
