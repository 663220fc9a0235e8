//! Percentiles of a distribution, of all of it or of what came since an earlier look.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// Significant decimal digits of percentiles: one more than the daemon's buckets have.
const DIGITS: u8 = 3;

/// What there is to say of a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Spread {
    pub(crate) count: u64,
    pub(crate) mean: u64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl From<&api::Distribution> for Spread {
    fn from(whole: &api::Distribution) -> Self {
        let api::Distribution { count, mean, p50, p90, p99, p999, max, .. } = *whole;
        Self { count, mean, p50, p90, p99, p999, max }
    }
}

impl Spread {
    /// Of what `now` has more than `before`; of all if that is nothing, or `before` is of another time.
    pub(crate) fn between(before: &api::Distribution, now: &api::Distribution) -> Self {
        let whole = Self::from(now);
        let Ok(mut histogram) = Histogram::<u64>::new(DIGITS) else { return whole };
        let counts = |of: &api::Distribution| -> BTreeMap<u64, u64> {
            of.buckets.iter().flatten().map(|bucket| (bucket.value, bucket.count)).collect()
        };
        let before = counts(before);
        for (value, count) in counts(now) {
            let Some(more) = count.checked_sub(before.get(&value).copied().unwrap_or(0)) else {
                return whole;
            };
            // A histogram that resizes itself takes every value.
            if histogram.record_n(value, more).is_err() {
                return whole;
            }
        }
        if histogram.is_empty() {
            return whole;
        }
        let quantile = |part| histogram.value_at_quantile(part).min(now.max);
        Self {
            count: histogram.len(),
            mean: histogram.mean().round() as u64,
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: quantile(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(buckets: &[(u64, u64)]) -> api::Distribution {
        let buckets: Vec<_> = buckets.iter().map(|&(value, count)| api::Bucket { value, count }).collect();
        let count = buckets.iter().map(|bucket| bucket.count).sum();
        let max = buckets.last().map_or(0, |bucket| bucket.value);
        api::Distribution { count, max, buckets: Some(buckets), ..api::Distribution::default() }
    }

    #[test]
    fn only_what_came_since_counts() {
        let before = distribution(&[(10, 1000), (5000, 1)]);
        let now = distribution(&[(10, 1000), (40, 90), (100, 9), (900, 1), (5000, 1)]);
        let spread = Spread::between(&before, &now);
        assert_eq!((spread.count, spread.p50, spread.p90, spread.p99, spread.max), (100, 40, 40, 100, 900));
        assert_eq!(spread.mean, (40 * 90 + 100 * 9 + 900) / 100);
    }

    #[test]
    fn where_nothing_came_or_all_began_anew_the_whole_is_told() {
        let now = distribution(&[(10, 5)]);
        for before in [distribution(&[(10, 5)]), distribution(&[(10, 6)])] {
            assert_eq!(Spread::between(&before, &now), Spread::from(&now));
        }
    }
}
