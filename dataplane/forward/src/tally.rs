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
/// the same domain, often to the same remote.
#[derive(Debug, Default)]
pub(crate) struct TrafficTally {
    domain: DomainId,
    of_domain: Traffic,
    remote: RemoteId,
    of_remote: Traffic,
}

impl TrafficTally {
    /// Frames came into a domain from one of its ports.
    #[inline(always)]
    pub(crate) fn received(&mut self, counters: &Counters, domain: DomainId, amount: Amount) {
        self.turn_to_domain(counters, domain);
        self.of_domain.received += amount;
    }

    /// A frame came into a domain from a remote.
    #[inline(always)]
    pub(crate) fn received_from(
        &mut self,
        counters: &Counters,
        domain: DomainId,
        remote: RemoteId,
        amount: Amount,
    ) {
        self.received(counters, domain, amount);
        self.turn_to_remote(counters, remote);
        self.of_remote.received += amount;
    }

    /// A frame left a domain for one of its ports or remotes.
    #[inline(always)]
    pub(crate) fn transmitted(&mut self, counters: &Counters, domain: DomainId, to: Place, length: u16) {
        let amount = Amount::frame(usize::from(length));
        self.turn_to_domain(counters, domain);
        self.of_domain.transmitted += amount;
        if let Place::Remote(remote) = to {
            self.turn_to_remote(counters, remote);
            self.of_remote.transmitted += amount;
        }
    }

    #[inline(always)]
    fn turn_to_domain(&mut self, counters: &Counters, domain: DomainId) {
        if domain != self.domain {
            self.settle_domain(counters);
            self.domain = domain;
        }
    }

    #[inline(always)]
    fn turn_to_remote(&mut self, counters: &Counters, remote: RemoteId) {
        if remote != self.remote {
            self.settle_remote(counters);
            self.remote = remote;
        }
    }

    #[inline(never)]
    fn settle_domain(&mut self, counters: &Counters) {
        counters.add_domain(self.domain, std::mem::take(&mut self.of_domain));
    }

    /// Where the frames of a batch go to many remotes this is done for nearly each.
    #[inline(always)]
    fn settle_remote(&mut self, counters: &Counters) {
        counters.add_remote(self.remote, std::mem::take(&mut self.of_remote));
    }

    /// Adds everything to the counters and begins anew.
    pub(crate) fn settle(&mut self, counters: &Counters) {
        self.settle_domain(counters);
        self.settle_remote(counters);
    }
}
