//! What one batch adds to the counters of its ingress port: kept on the stack, written once.

use crate::counters::{Amount, Counters};
use crate::ids::PortId;
use crate::verdict::DropReason;

/// Sums of one batch.
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
