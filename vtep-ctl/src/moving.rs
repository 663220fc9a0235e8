//! Numbers that move: what they were a while ago, and so how fast they move.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::spread::Spread;

/// The numbers of one showing.
#[derive(Debug, Default)]
struct Numbers {
    counts: HashMap<String, u64>,
    distributions: HashMap<String, api::Distribution>,
}

/// Counters of the previous showing and of this one.
#[derive(Debug, Default)]
pub(crate) struct Moving {
    before: Numbers,
    now: Numbers,
    shown: Option<Instant>,
    /// Seconds since the previous showing, 0 at the first.
    elapsed: f64,
}

impl Moving {
    /// Begins a showing of numbers that were read at `time`.
    pub(crate) fn begin(&mut self, time: Instant) {
        self.before = std::mem::take(&mut self.now);
        let since = self.shown.map_or(Duration::ZERO, |shown| time.saturating_duration_since(shown));
        self.elapsed = since.as_secs_f64();
        self.shown = Some(time);
    }

    /// The number as text, with its rate if it has moved since the previous showing. The key tells which it is.
    pub(crate) fn count(&mut self, key: String, value: u64) -> String {
        let before = self.before.counts.get(&key).copied();
        self.now.counts.insert(key, value);
        match before {
            Some(before) if value > before && self.elapsed > 0.0 => {
                format!("{value} (+{}/s)", scaled((value - before) as f64 / self.elapsed))
            }
            _ => value.to_string(),
        }
    }

    /// Percentiles of what came to a distribution since the previous showing; of all of it at the first, and where
    /// nothing came.
    pub(crate) fn spread(&mut self, key: String, whole: &api::Distribution) -> Spread {
        let before = self.before.distributions.get(&key);
        let spread = before.map_or_else(|| whole.into(), |before| Spread::between(before, whole));
        self.now.distributions.insert(key, whole.clone());
        spread
    }

    /// What a count and its parts grew by since the previous showing; all of them at the first, and where the count did
    /// not grow.
    pub(crate) fn moved<const N: usize>(
        &mut self,
        key: &str,
        count: u64,
        parts: [u64; N],
    ) -> (u64, [u64; N]) {
        let mut grown = |key: String, value: u64| {
            let before = self.before.counts.get(&key).copied();
            self.now.counts.insert(key, value);
            value.checked_sub(before?)
        };
        let more = grown(key.to_owned(), count);
        let mut number = 0;
        let parts_more = parts.map(|part| {
            number += 1;
            grown(format!("{key} {number}"), part)
        });
        match more {
            Some(more) if more > 0 && parts_more.iter().all(Option::is_some) => {
                (more, parts_more.map(Option::unwrap_or_default))
            }
            _ => (count, parts),
        }
    }
}

/// Three digits and a decimal prefix.
fn scaled(rate: f64) -> String {
    let mut rest = rate;
    for prefix in ["", "k", "M", "G"] {
        if rest < 999.5 {
            // A rate below ten deserves a decimal, unless it is whole.
            let tenths = (rest * 10.0).round();
            let decimals = usize::from(tenths < 100.0 && tenths % 10.0 != 0.0);
            return format!("{rest:.decimals$}{prefix}");
        }
        rest /= 1000.0;
    }
    format!("{rest:.0}T")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_moved_has_a_rate() {
        let (mut moving, start) = (Moving::default(), Instant::now());
        moving.begin(start);
        assert_eq!(moving.count("a".into(), 100), "100");
        assert_eq!(moving.count("b".into(), 5), "5");
        moving.begin(start + Duration::from_secs(2));
        assert_eq!(moving.count("a".into(), 3100), "3100 (+1.5k/s)");
        assert_eq!(moving.count("b".into(), 5), "5");
        assert_eq!(moving.count("c".into(), 9), "9");
        moving.begin(start + Duration::from_secs(3));
        // The daemon was started anew.
        assert_eq!(moving.count("a".into(), 10), "10");
    }

    #[test]
    fn parts_move_with_their_count() {
        let (mut moving, start) = (Moving::default(), Instant::now());
        moving.begin(start);
        assert_eq!(moving.moved("a", 10, [100, 200]), (10, [100, 200]));
        moving.begin(start + Duration::from_secs(1));
        assert_eq!(moving.moved("a", 15, [150, 200]), (5, [50, 0]));
        moving.begin(start + Duration::from_secs(2));
        assert_eq!(moving.moved("a", 15, [150, 200]), (15, [150, 200]), "nothing moved");
        moving.begin(start + Duration::from_secs(3));
        assert_eq!(moving.moved("a", 2, [20, 30]), (2, [20, 30]), "all began anew");
    }

    #[test]
    fn rates_have_three_digits_at_most() {
        let rates =
            [(0.5, "0.5"), (3.0, "3"), (12.34, "12"), (999.4, "999"), (999.6, "1k"), (2_500_000.0, "2.5M")];
        for (rate, text) in rates {
            assert_eq!(scaled(rate), text);
        }
        assert_eq!(scaled(35e9), "35G");
        assert_eq!(scaled(35e12), "35T");
    }
}
