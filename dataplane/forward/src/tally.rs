//! What one batch adds to the counters: kept on the stack, written once.

use crate::counters::{Amount, Counters, Traffic};
use crate::ids::{DomainId, PortId, RemoteId};
use crate::link::Place;
use crate::verdict::DropReason;

/// Sums of one batch for its ingress port.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) received: Amount,
    pub(crate) copies: u64,
    pub(crate) proxied: u64,
    pub(crate) unlearned: u64,
    /// Set once there is a drop, since most batches have none.
    has_drops: bool,
    drops: [u32; DropReason::COUNT],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            received: Amount::default(),
            copies: 0,
            proxied: 0,
            unlearned: 0,
            has_drops: false,
            drops: [0; DropReason::COUNT],
        }
    }
}

impl Tally {
    pub(crate) fn dropped(&mut self, reason: DropReason) {
        self.has_drops = true;
        if let Some(count) = self.drops.get_mut(reason.index()) {
            *count += 1;
        }
    }

    /// Adds everything to the counters.
    pub(crate) fn settle(&self, counters: &Counters, ingress: PortId) {
        counters.received(ingress, self.received);
        let rare = [
            (self.copies, Counters::copied as fn(&Counters, PortId, u64)),
            (self.proxied, Counters::proxied),
            (self.unlearned, Counters::unlearned),
        ];
        for (count, add) in rare {
            if count != 0 {
                add(counters, ingress, count);
            }
        }
        if self.has_drops {
            for (reason, count) in DropReason::ALL.iter().zip(self.drops) {
                if count != 0 {
                    counters.dropped(ingress, *reason, u64::from(count));
                }
            }
        }
    }
}

/// Sums of one batch for the domain and the remote that the last frame belonged to. Frames of one batch mostly belong to
/// the same.
#[derive(Debug)]
pub(crate) struct TrafficTally {
    domain: DomainId,
    of_domain: Traffic,
    remote: RemoteId,
    of_remote: Traffic,
}

impl Default for TrafficTally {
    fn default() -> Self {
        let (of_domain, of_remote) = Default::default();
        Self { domain: DomainId(0), of_domain, remote: RemoteId(0), of_remote }
    }
}

impl TrafficTally {
    #[inline]
    pub(crate) fn received(&mut self, counters: &Counters, domain: DomainId, from: Place, length: u16) {
        let amount = Amount::frame(usize::from(length));
        self.turn_to(counters, domain, from);
        self.of_domain.received += amount;
        if matches!(from, Place::Remote(_)) {
            self.of_remote.received += amount;
        }
    }

    #[inline]
    pub(crate) fn transmitted(&mut self, counters: &Counters, domain: DomainId, to: Place, length: u16) {
        let amount = Amount::frame(usize::from(length));
        self.turn_to(counters, domain, to);
        self.of_domain.transmitted += amount;
        if matches!(to, Place::Remote(_)) {
            self.of_remote.transmitted += amount;
        }
    }

    /// Makes `domain`, and the remote if `place` is one, those that are being summed up.
    #[inline]
    fn turn_to(&mut self, counters: &Counters, domain: DomainId, place: Place) {
        let remote = match place {
            Place::Port(_) => self.remote,
            Place::Remote(remote) => remote,
        };
        if domain != self.domain || remote != self.remote {
            self.settle(counters);
            (self.domain, self.remote) = (domain, remote);
        }
    }

    /// Adds everything to the counters and begins anew.
    #[inline(never)]
    pub(crate) fn settle(&mut self, counters: &Counters) {
        counters.domain_received(self.domain, self.of_domain.received);
        counters.domain_transmitted(self.domain, self.of_domain.transmitted);
        counters.remote_received(self.remote, self.of_remote.received);
        counters.remote_transmitted(self.remote, self.of_remote.transmitted);
        (self.of_domain, self.of_remote) = Default::default();
    }
}
