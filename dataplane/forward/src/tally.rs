//! What one batch adds to the counters: kept on the stack, written once.

use crate::counters::{Amount, Counters, Traffic};
use crate::ids::{DomainId, PortId};
use crate::verdict::DropReason;

/// Sums of one batch for its ingress port.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) received: Amount,
    pub(crate) copies: u64,
    pub(crate) proxied: u64,
    pub(crate) unlearned: u64,
    pub(crate) fragmented: u64,
    pub(crate) too_big_told: u64,
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
            fragmented: 0,
            too_big_told: 0,
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
            (self.fragmented, Counters::fragmented),
            (self.too_big_told, Counters::too_big_told),
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

/// Sums of one batch for the domain that the last frame belonged to: frames of one batch mostly belong to the same one.
#[derive(Debug, Default)]
pub(crate) struct TrafficTally {
    domain: DomainId,
    // Frames and bytes of one direction are apart, because the compiler makes vectors of neighbours: five instructions
    // where two do.
    received: u64,
    transmitted: u64,
    received_bytes: u64,
    transmitted_bytes: u64,
}

impl TrafficTally {
    /// Frames came into a domain.
    #[inline(always)]
    pub(crate) fn received(&mut self, counters: &Counters, domain: DomainId, amount: Amount) {
        self.turn_to(counters, domain);
        self.received += amount.frames;
        self.received_bytes += amount.bytes;
    }

    /// A frame left a domain for one of its ports or remotes.
    #[inline(always)]
    pub(crate) fn transmitted(&mut self, counters: &Counters, domain: DomainId, length: u16) {
        self.turn_to(counters, domain);
        self.transmitted += 1;
        self.transmitted_bytes += u64::from(length);
    }

    #[inline(always)]
    fn turn_to(&mut self, counters: &Counters, domain: DomainId) {
        if domain != self.domain {
            self.settle(counters);
            self.domain = domain;
        }
    }

    /// Adds everything to the counters and begins anew.
    #[inline(never)]
    pub(crate) fn settle(&mut self, counters: &Counters) {
        let Self { domain, received, transmitted, received_bytes, transmitted_bytes } = std::mem::take(self);
        let received = Amount { frames: received, bytes: received_bytes };
        let transmitted = Amount { frames: transmitted, bytes: transmitted_bytes };
        counters.add_domain(domain, Traffic { received, transmitted });
    }
}
