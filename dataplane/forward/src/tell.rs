//! What the pipeline tells the control thread, without repeating itself: a frame a microsecond for an unresolved remote
//! is one event a second.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;

use crate::limits::RECENT_EVENTS;
use crate::link::{Event, Link};

/// The events of the last second or longer, as fingerprints; a newer one takes the place of an older one.
#[derive(Debug)]
pub(crate) struct Recent {
    hasher: RandomState,
    fingerprints: Box<[u64]>,
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::default(), fingerprints: vec![0; RECENT_EVENTS].into() }
    }

    /// Tells the link of an event, unless it was told in this period, whose number may be that of a second. One that is not
    /// `allowed` is withheld, and new the next time.
    #[cold]
    pub(crate) fn tell<L: Link>(
        &mut self,
        link: &mut L,
        event: Event,
        period: u32,
        allowed: impl FnOnce() -> bool,
    ) {
        let Some((place, fingerprint)) = self.unknown(event, period) else { return };
        if allowed() {
            *place = fingerprint;
            link.event(event);
        } else {
            link.withheld();
        }
    }

    /// Whether something has not been asked about in this period, as far as is remembered.
    #[cold]
    pub(crate) fn is_new(&mut self, what: impl Hash, period: u32) -> bool {
        self.unknown(what, period).map(|(place, fingerprint)| *place = fingerprint).is_some()
    }

    /// The fingerprint of something that is not remembered, and its place.
    fn unknown(&mut self, what: impl Hash, period: u32) -> Option<(&mut u64, u64)> {
        let fingerprint = self.hasher.hash_one((what, period));
        let place = self.fingerprints.get_mut(fingerprint as usize % RECENT_EVENTS)?;
        (*place != fingerprint).then_some((place, fingerprint))
    }
}
