//! How large packets to a peer may be, found out by echo packets of growing size, as datagram protocols do it
//! (RFC 8899): nobody need tell us by ICMP, which is why a black hole shows.
//!
//! A search begins with the largest packet that the uplink takes, which nearly always passes, and otherwise halves what is
//! between the largest known to pass and the smallest known not to. Once it is known it is tested again from time to time,
//! and whether more has become possible.

use std::time::Duration;

/// Packets of one size that must be lost in sequence before the size counts as too large.
const TRIES: u8 = 4;

/// How often what is known is tested again.
const CONFIRM: Duration = Duration::from_secs(5);
/// Confirmations after which more is tried than is known to pass.
const RAISE: u32 = 3;

/// The search for one peer.
#[derive(Clone, Debug)]
pub struct Search {
    /// The size of an echo packet without padding.
    least: u16,
    /// The most that the uplink takes.
    most: u16,
    /// The largest size known to pass.
    passes: u16,
    /// The smallest size known not to.
    fails: Option<u16>,
    /// The size that is tested; 0 while nothing is.
    size: u16,
    tries: u8,
    /// When the packet that is under way was sent.
    sent: Option<(u32, Duration)>,
    /// What the last search that ended has found.
    found: Option<Found>,
    /// When the next test of what is known is due.
    confirm: Duration,
    confirmations: u32,
}

/// What a search has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The largest packet that passes.
    pub mtu: u16,
    /// Whether the uplink would take more, and nothing that is larger comes back: a black hole.
    pub is_black_hole: bool,
}

impl Search {
    /// A search up to the most that the uplink takes. `least` is the size of an echo packet without padding, which has
    /// been seen to pass.
    #[must_use]
    pub const fn new(least: u16, most: u16) -> Self {
        Self {
            least,
            most,
            passes: least,
            fails: None,
            size: most,
            tries: 0,
            sent: None,
            found: None,
            confirm: Duration::ZERO,
            confirmations: 0,
        }
    }

    /// The most that the uplink takes, as this search has it.
    #[must_use]
    pub const fn most(&self) -> u16 {
        self.most
    }

    /// What has been found, once something has.
    #[must_use]
    pub const fn found(&self) -> Option<Found> {
        self.found
    }

    /// The size to be tested now, if one is: an echo packet of this size, as the underlay sees it, is to be sent.
    pub fn poll(&mut self, now: Duration, patience: Duration) -> Option<u16> {
        if let Some((_, sent)) = self.sent {
            if now < sent + patience {
                return None;
            }
            self.sent = None;
            self.lost(now);
        }
        if self.size == 0 {
            if now < self.confirm {
                return None;
            }
            self.begin_confirmation();
        }
        Some(self.size)
    }

    /// The packet asked for has been sent.
    pub const fn sent(&mut self, sequence: u32, now: Duration) {
        self.sent = Some((sequence, now));
    }

    /// An echo has come back; says whether it was this search's.
    pub fn returned(&mut self, sequence: u32, now: Duration) -> bool {
        if !matches!(self.sent, Some((ours, _)) if ours == sequence) {
            return false;
        }
        self.sent = None;
        self.tries = 0;
        self.passes = self.passes.max(self.size);
        if self.fails.is_some_and(|fails| fails <= self.size) {
            // It has become larger: the upper bound holds no more.
            self.fails = None;
        }
        self.go_on(now);
        true
    }

    fn begin_confirmation(&mut self) {
        self.confirmations += 1;
        self.tries = 0;
        let raise = self.confirmations.is_multiple_of(RAISE);
        self.size = match self.fails {
            Some(fails) if raise => fails,
            _ => self.passes,
        };
    }

    fn lost(&mut self, now: Duration) {
        self.tries += 1;
        if self.tries < TRIES {
            return;
        }
        self.tries = 0;
        self.fails = Some(self.size);
        if self.size <= self.passes {
            // What passed does not any more: begin at the bottom.
            self.passes = self.least;
        }
        self.go_on(now);
    }

    /// The next size, or the end of the search.
    fn go_on(&mut self, now: Duration) {
        let fails = self.fails.unwrap_or(self.most.saturating_add(1));
        if fails.saturating_sub(self.passes) <= 1 {
            self.found = Some(Found { mtu: self.passes, is_black_hole: self.passes < self.most });
            self.size = 0;
            self.confirm = now + CONFIRM;
        } else if self.fails.is_none() {
            self.size = self.most;
        } else {
            self.size = self.passes + (fails - self.passes) / 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(250);

    /// Lets a search run for a while on a path that `passes` packets of some sizes; says how many were sent.
    fn run(
        search: &mut Search,
        now: &mut Duration,
        time: Duration,
        mut passes: impl FnMut(u16) -> bool,
    ) -> u32 {
        let (end, mut sent) = (*now + time, 0);
        while *now < end {
            if let Some(size) = search.poll(*now, PATIENCE) {
                sent += 1;
                search.sent(sent, *now);
                if passes(size) {
                    assert!(search.returned(sent, *now));
                }
            }
            *now += Duration::from_millis(50);
        }
        sent
    }

    #[test]
    fn the_usual_path_takes_one_packet() {
        let (mut search, mut now) = (Search::new(116, 1500), Duration::ZERO);
        assert_eq!(search.found(), None);
        assert_eq!(run(&mut search, &mut now, Duration::from_secs(1), |_| true), 1);
        assert_eq!(search.found(), Some(Found { mtu: 1500, is_black_hole: false }));
        assert!(run(&mut search, &mut now, Duration::from_secs(30), |_| true) <= 7, "confirmed now and then");
    }

    #[test]
    fn a_path_that_shrinks_and_grows_is_followed() {
        let (mut search, mut now) = (Search::new(116, 1500), Duration::ZERO);
        let long = Duration::from_secs(60);
        run(&mut search, &mut now, long, |_| true);
        run(&mut search, &mut now, long, |size| size <= 1400);
        assert_eq!(search.found(), Some(Found { mtu: 1400, is_black_hole: true }));
        run(&mut search, &mut now, long, |size| size <= 1450);
        assert_eq!(search.found(), Some(Found { mtu: 1450, is_black_hole: true }));
        run(&mut search, &mut now, long, |_| true);
        assert_eq!(search.found(), Some(Found { mtu: 1500, is_black_hole: false }));
    }

    proptest! {
        #[test]
        fn the_exact_size_is_found(most in 200_u16..9000, limit in 150_u16..9000) {
            let (mut search, mut now) = (Search::new(116, most), Duration::ZERO);
            run(&mut search, &mut now, Duration::from_secs(30), |size| size <= limit);
            let found = Found { mtu: most.min(limit), is_black_hole: limit < most };
            prop_assert_eq!(search.found(), Some(found));
        }
    }
}
