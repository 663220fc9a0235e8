//! Bursts that the kernel refuses while the daemon runs: for want of memory, or because a right was taken away. The worker
//! sends those frames by rings at once; here every port is taken back to its rings, which `port show` tells, and after a
//! while bursts are tried again.

use std::io;

use super::state::State;

/// Seconds until bursts are tried again: a refused one costs a system call, and its frames arrive all the same.
const RETRY: u32 = 5;

/// What is known of refused bursts.
#[derive(Debug, Default)]
pub(super) struct RefusedBursts {
    /// Refusals that have been acted upon, of all workers.
    seen: u64,
    /// Why bursts are not used at present, and since when.
    now: Option<(String, u32)>,
}

impl RefusedBursts {
    /// Why bursts are not used at present.
    pub(super) fn reason(&self) -> Option<&str> {
        self.now.as_ref().map(|(why, _)| why.as_str())
    }

    /// Takes note of how many bursts have been refused by now and of the last error; says whether something changes.
    fn note(&mut self, refused: u64, error: i32, now: u32) -> bool {
        if refused > self.seen {
            self.seen = refused;
            let why = xsk::Error::Burst(io::Error::from_raw_os_error(error)).to_string();
            if self.now.is_none() {
                tracing::warn!(why, "frames leave by rings for a while");
            }
            return self.now.replace((why, now)).is_none();
        }
        let over = self.now.as_ref().is_some_and(|(_, since)| now.saturating_sub(*since) >= RETRY);
        if over {
            self.now = None;
            tracing::info!("bursts are tried again");
        }
        over
    }
}

impl State {
    /// Looks whether workers' bursts were refused, or whether it is time to try again.
    pub(super) fn watch_bursts(&mut self, now: u32) {
        let (mut refused, mut error) = (0, 0);
        for (_, _, gauges) in self.fleet.observe() {
            refused += gauges.refused_bursts;
            error = if gauges.refusal == 0 { error } else { gauges.refusal };
        }
        self.stale.tables |= self.refused_bursts.note(refused, error, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_bursts_are_told_and_tried_again_once_none_is_refused_any_more() {
        let mut bursts = RefusedBursts::default();
        assert!(!bursts.note(0, 0, 10));
        assert!(bursts.note(3, no_memory(), 10));
        assert!(bursts.reason().is_some_and(|why| why.contains("no memory to spare")));
        // Nothing new is published for more of the same, but it takes longer.
        assert!(!bursts.note(4, no_memory(), 12));
        assert!(!bursts.note(4, no_memory(), 12 + RETRY - 1));
        assert!(bursts.note(4, no_memory(), 12 + RETRY));
        assert_eq!(bursts.reason(), None);
        assert!(!bursts.note(4, no_memory(), 100));
    }

    fn no_memory() -> i32 {
        rustix::io::Errno::NOMEM.raw_os_error()
    }
}
