//! The highest rate that a switch sustains: a binary search over trials (RFC 2544, section 26.1; RFC 8219 for tunnels).

use super::fault::Fault;

/// How a search is done.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Search {
    /// The search ends when what is undecided is at most this share of the highest rate known to fail.
    pub resolution: f64,
    /// Trials at most.
    pub trials: u32,
}

impl Search {
    /// The highest rate for which `passes` says yes, between nothing and `limit`, in frames per second. `limit` is tried
    /// first: a switch that sustains it has no lower answer. The result is 0 when no trial passed.
    ///
    /// # Errors
    /// That of a trial.
    pub fn highest(
        self,
        limit: f64,
        mut passes: impl FnMut(f64) -> Result<bool, Fault>,
    ) -> Result<f64, Fault> {
        let (mut good, mut bad, mut rate) = (0.0, f64::INFINITY, limit);
        for _ in 0..self.trials {
            if passes(rate)? {
                good = rate;
            } else {
                bad = rate;
            }
            // Only the limit itself can have passed while nothing has failed.
            if bad.is_infinite() || bad - good <= bad * self.resolution {
                break;
            }
            // Near the limit at first: most switches fail just below what they can do at most.
            rate = if good == 0.0 { bad * FIRST_STEP } else { f64::midpoint(good, bad) };
        }
        Ok(good)
    }
}

/// While nothing has passed, the next rate is this share of the one that failed.
const FIRST_STEP: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: Search = Search { resolution: 0.01, trials: 40 };

    #[test]
    fn the_answer_is_within_the_resolution_and_never_above_the_truth() {
        for truth in [0.3e6, 0.5e6, 0.79e6, 0.95e6, 0.999e6] {
            let found = SEARCH.highest(1e6, |rate| Ok(rate <= truth)).unwrap();
            assert!(found <= truth && found >= truth * 0.985, "{truth}: {found}");
        }
    }

    #[test]
    fn a_limit_that_passes_is_the_answer_after_one_trial() {
        let mut trials = 0;
        let found = SEARCH.highest(2e6, |_| {
            trials += 1;
            Ok(true)
        });
        assert_eq!((found.unwrap(), trials), (2e6, 1));
    }

    #[test]
    fn a_switch_that_always_loses_has_the_rate_0_and_ends_the_search() {
        let mut trials = 0;
        let found = Search { resolution: 0.01, trials: 7 }.highest(1e6, |_| {
            trials += 1;
            Ok(false)
        });
        assert_eq!((found.unwrap(), trials), (0.0, 7));
    }

    #[test]
    fn a_trial_that_cannot_be_made_ends_the_search() {
        assert!(matches!(SEARCH.highest(1e6, |_| Err(Fault::Interrupted)), Err(Fault::Interrupted)));
    }
}
