//! Numbers that move: what they were a while ago, and so how fast they move.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Counters of the previous showing and of this one.
#[derive(Debug, Default)]
pub(crate) struct Moving {
    before: HashMap<String, u64>,
    now: HashMap<String, u64>,
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
        let before = self.before.get(&key).copied();
        self.now.insert(key, value);
        match before {
            Some(before) if value > before && self.elapsed > 0.0 => {
                format!("{value} (+{}/s)", scaled((value - before) as f64 / self.elapsed))
            }
            _ => value.to_string(),
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
