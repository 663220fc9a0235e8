//! How many learned entries each port, remote and bridge domain has. Exact: an entry is counted before it can be seen
//! and a count is given back by whoever removed the entry, so a limit is never exceeded, not even for a moment.

use crate::ids::DomainId;
use crate::link::Place;
use crate::sync::{AtomicU32, Ordering};

#[cfg(not(loom))]
use crate::limits::{MAX_DOMAINS, MAX_PORTS, MAX_REMOTES};
// loom tracks every atomic it is given; its tests need few.
#[cfg(loom)]
const MAX_PORTS: usize = 8;
#[cfg(loom)]
const MAX_REMOTES: usize = 1;
#[cfg(loom)]
const MAX_DOMAINS: usize = 2;

/// Most learned entries that there may be before one more is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// At the place in question: the port or the remote.
    pub place: u32,
    /// In the bridge domain in question.
    pub domain: u32,
}

impl Limits {
    /// No limit but the table's size.
    pub const NONE: Self = Self { place: u32::MAX, domain: u32::MAX };
}

pub(super) struct Counts {
    ports: Box<[AtomicU32]>,
    remotes: Box<[AtomicU32]>,
    domains: Box<[AtomicU32]>,
}

impl Counts {
    pub(super) fn new() -> Self {
        let zeroes = |count| (0..count).map(|_| AtomicU32::new(0)).collect();
        Self { ports: zeroes(MAX_PORTS), remotes: zeroes(MAX_REMOTES), domains: zeroes(MAX_DOMAINS) }
    }

    pub(super) const fn bytes() -> usize {
        (MAX_PORTS + MAX_REMOTES + MAX_DOMAINS) * size_of::<AtomicU32>()
    }

    /// Counts one more at the place and in the domain, or nothing if that would exceed a limit.
    pub(super) fn reserve(&self, domain: DomainId, place: Place, limits: Limits) -> bool {
        if !take(self.at(place), limits.place) {
            return false;
        }
        let taken = take(self.within(domain), limits.domain);
        if !taken {
            give_back(self.at(place));
        }
        taken
    }

    /// The reverse of [`Counts::reserve`].
    pub(super) fn release(&self, domain: DomainId, place: Place) {
        give_back(self.at(place));
        give_back(self.within(domain));
    }

    /// Counts one more at a place, for an entry that moves within its domain.
    pub(super) fn reserve_place(&self, place: Place, limit: u32) -> bool {
        take(self.at(place), limit)
    }

    /// The reverse of [`Counts::reserve_place`].
    pub(super) fn release_place(&self, place: Place) {
        give_back(self.at(place));
    }

    pub(super) fn learned_at(&self, place: Place) -> u32 {
        read(self.at(place))
    }

    pub(super) fn learned_in(&self, domain: DomainId) -> u32 {
        read(self.within(domain))
    }

    fn at(&self, place: Place) -> Option<&AtomicU32> {
        match place {
            Place::Port(port) => self.ports.get(usize::from(port.0)),
            Place::Remote(remote) => self.remotes.get(remote.0 as usize),
            // Nothing is learned there.
            Place::Group(_) => None,
        }
    }

    fn within(&self, domain: DomainId) -> Option<&AtomicU32> {
        self.domains.get(usize::from(domain.0))
    }
}

// Relaxed throughout: a count guards nothing but itself. An index beyond the bounds of the switch has no count and
// no limit.

fn take(count: Option<&AtomicU32>, limit: u32) -> bool {
    let below = |count: u32| (count < limit).then_some(count.saturating_add(1));
    count.is_none_or(|count| count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).is_ok())
}

fn give_back(count: Option<&AtomicU32>) {
    if let Some(count) = count {
        let before = count.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "more learned entries removed than counted");
    }
}

fn read(count: Option<&AtomicU32>) -> u32 {
    count.map_or(0, |count| count.load(Ordering::Relaxed))
}
