//! The published state: what the control thread decided, as one immutable value that each worker takes up between two
//! batches and acknowledges by its version. Nothing here knows what a frame is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use crossbeam_utils::CachePadded;
use forward::fdb::Fdb;
use forward::ids::PortId;
use forward::tables::{Inconsistency, Tables, TablesParts};

/// One published state.
#[derive(Debug)]
pub struct Published {
    /// Counts publications, from 1.
    pub version: u64,
    /// What the pipeline reads.
    pub tables: Tables,
    /// Which workers own queues of which port.
    pub wiring: Wiring,
}

impl Published {
    /// What is published first: nothing but the forwarding database.
    ///
    /// # Errors
    /// As [`Tables::build`]: a defect of this program.
    pub fn empty(version: u64, fdb: Arc<Fdb>) -> Result<Self, Vec<Inconsistency>> {
        let tables = Tables::build(TablesParts::empty(version, fdb))?;
        Ok(Self { version, tables, wiring: Wiring::default() })
    }
}

/// For each port, by index, the workers that own one of its queues. Frames of one flow always go to the same one.
#[derive(Debug, Default)]
pub struct Wiring {
    owners: Vec<Vec<u16>>,
    burst: BTreeMap<PortId, bool>,
    bound: BTreeSet<PortId>,
}

impl Wiring {
    /// Adds a worker as owner of a queue of `port`.
    pub fn add(&mut self, port: PortId, worker: u16) {
        let index = usize::from(port.0);
        if self.owners.len() <= index {
            self.owners.resize_with(index + 1, Vec::new);
        }
        let owners = &mut self.owners[index];
        if !owners.contains(&worker) {
            owners.push(worker);
        }
    }

    /// Lets frames leave `port` by burst: `always`, or where a batch is large enough.
    pub fn set_burst(&mut self, port: PortId, always: bool) {
        self.burst.insert(port, always);
    }

    /// Lets frames leave `port` through its owners alone, since some may be too long to be burst and would otherwise be
    /// overtaken by others of their flow.
    pub fn bind_to_owners(&mut self, port: PortId) {
        self.bound.insert(port);
    }

    /// Whether only owners may burst to `port`.
    #[must_use]
    pub fn is_bound_to_owners(&self, port: PortId) -> bool {
        self.bound.contains(&port)
    }

    /// Whether frames may leave `port` by burst, and if so whether always.
    #[must_use]
    pub fn burst(&self, port: PortId) -> Option<bool> {
        self.burst.get(&port).copied()
    }

    /// One more than the highest port index that has an owner.
    #[must_use]
    pub fn ports(&self) -> u16 {
        u16::try_from(self.owners.len()).unwrap_or(u16::MAX)
    }

    /// The workers that own a queue of `port`.
    #[must_use]
    pub fn owners(&self, port: PortId) -> &[u16] {
        self.owners.get(usize::from(port.0)).map_or(&[], Vec::as_slice)
    }
}

/// Where the current state hangs, and how far each worker has come.
pub struct Publication {
    current: Arc<ArcSwap<Published>>,
    /// Earlier states that a worker may still hold. Kept here so that it is never a worker who frees one.
    retired: Vec<Arc<Published>>,
    seen: Arc<[CachePadded<AtomicU64>]>,
}

/// A worker did not take up a published version in time.
#[derive(Debug, thiserror::Error)]
#[error(
    "worker {worker} has not taken up version {version} of the tables within {waited:?}; it is stuck or starved of its CPU"
)]
pub struct Stuck {
    /// The worker.
    pub worker: usize,
    /// The version that it was waited for.
    pub version: u64,
    /// How long.
    pub waited: Duration,
}

impl Publication {
    /// The first state, for `workers` workers.
    #[must_use]
    pub fn new(first: Published, workers: usize) -> Self {
        let seen = (0..workers).map(|_| CachePadded::new(AtomicU64::new(0))).collect();
        Self { current: Arc::new(ArcSwap::from_pointee(first)), retired: Vec::new(), seen }
    }

    /// A worker's end.
    #[must_use]
    pub fn subscribe(&self, worker: usize) -> Subscription {
        Subscription {
            cache: Cache::new(Arc::clone(&self.current)),
            seen: Arc::clone(&self.seen),
            worker,
            version: 0,
        }
    }

    /// The current state.
    #[must_use]
    pub fn current(&self) -> Arc<Published> {
        self.current.load_full()
    }

    /// Replaces the current state.
    pub fn publish(&mut self, next: Published) {
        let previous = self.current.swap(Arc::new(next));
        self.retired.push(previous);
        self.sweep();
    }

    /// Frees earlier states that no worker holds any more.
    pub fn sweep(&mut self) {
        self.retired.retain(|state| Arc::strong_count(state) > 1);
    }

    /// Waits until every worker has taken up `version`. Workers that sleep must have been woken by the caller.
    ///
    /// # Errors
    /// [`Stuck`] names the first worker that did not within `limit`.
    pub fn settled(&self, version: u64, limit: Duration) -> Result<(), Stuck> {
        let start = Instant::now();
        for (worker, seen) in self.seen.iter().enumerate() {
            // Pairs with the release store of `Subscription::load`: what the worker did under older tables is done.
            while seen.load(Ordering::Acquire) < version {
                let waited = start.elapsed();
                if waited > limit {
                    return Err(Stuck { worker, version, waited });
                }
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        Ok(())
    }
}

/// A worker's view of the publication.
pub struct Subscription {
    cache: Cache<Arc<ArcSwap<Published>>, Arc<Published>>,
    seen: Arc<[CachePadded<AtomicU64>]>,
    worker: usize,
    version: u64,
}

impl Subscription {
    /// The current state, to be called between two batches only: it acknowledges the version, and with it that the
    /// worker holds nothing of an older one any more.
    pub fn load(&mut self) -> &Arc<Published> {
        let published = self.cache.load();
        if published.version != self.version {
            self.version = published.version;
            if let Some(seen) = self.seen.get(self.worker) {
                // Pairs with the acquire load of `Publication::settled`.
                seen.store(published.version, Ordering::Release);
            }
        }
        published
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(version: u64) -> Published {
        Published::empty(version, Arc::new(Fdb::new(64, [1, 2]))).unwrap()
    }

    #[test]
    fn a_version_is_settled_once_every_worker_has_taken_it_up() {
        let mut publication = Publication::new(state(1), 2);
        let (mut one, mut other) = (publication.subscribe(0), publication.subscribe(1));
        publication.publish(state(2));
        assert_eq!(one.load().version, 2);
        let stuck = publication.settled(2, Duration::ZERO).unwrap_err();
        assert_eq!((stuck.worker, stuck.version), (1, 2));
        assert!(stuck.to_string().starts_with("worker 1 has not taken up version 2 of the tables"));
        assert_eq!(other.load().version, 2);
        publication.settled(2, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_state_that_a_worker_holds_is_kept_until_it_lets_go() {
        let mut publication = Publication::new(state(1), 1);
        let mut worker = publication.subscribe(0);
        let held = Arc::clone(worker.load());
        let watched = Arc::downgrade(&held);
        publication.publish(state(2));
        worker.load();
        drop(held);
        assert!(watched.upgrade().is_some(), "it is not the worker who frees it");
        publication.sweep();
        assert!(watched.upgrade().is_none());
    }

    #[test]
    fn wiring_names_each_owner_once() {
        let mut wiring = Wiring::default();
        wiring.add(PortId(3), 1);
        wiring.add(PortId(3), 0);
        wiring.add(PortId(3), 1);
        wiring.set_burst(PortId(3), true);
        assert_eq!(wiring.owners(PortId(3)), [1, 0]);
        assert_eq!((wiring.owners(PortId(0)), wiring.owners(PortId(9))), ([].as_slice(), [].as_slice()));
        assert_eq!((wiring.ports(), wiring.burst(PortId(3)), wiring.burst(PortId(0))), (4, Some(true), None));
    }
}
