//! What the workers have measured, as distributions and sums.

use api::{Bucket, Cost, Distribution};
use hdrhistogram::Histogram;

use super::super::state::State;
use crate::worker::{CostReading, Measurements, Snapshot};

/// Largest value that a distribution tells from larger ones: 17 s in nanoseconds, as the workers' histograms.
const LARGEST: u64 = 1 << 34;

/// Significant decimal digits of percentiles: more than the workers' histograms have, so that nothing is lost here.
const DIGITS: u8 = 3;

/// What one worker had measured at some time.
#[derive(Debug, Clone)]
pub(in crate::control) struct Measured {
    residence: Snapshot,
    batches: Snapshot,
    cost: CostReading,
}

impl Measured {
    fn now(measurements: &Measurements) -> Self {
        Self {
            residence: measurements.residence.read(),
            batches: measurements.batches.read(),
            cost: measurements.costs.read(),
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            residence: self.residence.since(&earlier.residence),
            batches: self.batches.since(&earlier.batches),
            cost: self.cost.since(&earlier.cost),
        }
    }

    /// Residence, batches and cost in the protocol's words.
    pub(super) fn view(&self, buckets: bool) -> (Distribution, Distribution, Cost) {
        (distribution(&self.residence, buckets), distribution(&self.batches, buckets), cost(&self.cost))
    }
}

impl State {
    /// What each worker has measured since the start or the last flush.
    pub(super) fn measured(&self) -> Vec<Measured> {
        let now = self.fleet.measurements().map(Measured::now);
        let earlier = self.flushed.iter().map(Some).chain(std::iter::repeat(None));
        now.zip(earlier)
            .map(|(now, earlier)| match earlier {
                Some(earlier) => now.since(earlier),
                None => now,
            })
            .collect()
    }

    /// Lets measurements begin anew. The workers go on as they are; what they had is taken off from here on.
    pub(in crate::control) fn flush_measurements(&mut self) {
        self.flushed = self.fleet.measurements().map(Measured::now).collect();
    }
}

fn distribution(snapshot: &Snapshot, buckets: bool) -> Distribution {
    let buckets = buckets.then(|| snapshot.values().map(|(value, count)| Bucket { value, count }).collect());
    let nothing = Distribution { buckets: buckets.clone(), ..Distribution::default() };
    // Refused only for bounds that make no sense, which these do.
    let Ok(mut histogram) = Histogram::<u64>::new_with_max(LARGEST, DIGITS) else { return nothing };
    for (value, count) in snapshot.values() {
        histogram.saturating_record_n(value, count);
    }
    if histogram.is_empty() {
        return nothing;
    }
    let quantile = |part| histogram.value_at_quantile(part).min(snapshot.max());
    Distribution {
        count: histogram.len(),
        mean: histogram.mean().round() as u64,
        p50: quantile(0.5),
        p90: quantile(0.9),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: snapshot.max(),
        buckets,
    }
}

fn cost(reading: &CostReading) -> Cost {
    let [receive, parse, decide, deliver, transmit, rest] = reading.stages;
    let CostReading { rounds, frames, .. } = *reading;
    Cost { rounds, frames, receive, parse, decide, deliver, transmit, rest }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_measured_is_all_zero() {
        let snapshot = Measurements::default().residence.read();
        let empty = distribution(&snapshot, true);
        assert_eq!(empty, Distribution { buckets: Some(Vec::new()), ..Distribution::default() });
        assert_eq!(distribution(&snapshot, false), Distribution::default());
    }

    proptest! {
        /// An HDR histogram that was given the values themselves says the same, but for the size of a bucket.
        #[test]
        fn percentiles_are_those_of_an_hdr_histogram(
            values in vec((0..=34u32, any::<u64>(), 1..1000u64), 1..200),
        ) {
            let measurements = Measurements::default();
            let mut oracle = Histogram::<u64>::new_with_max(LARGEST, DIGITS).unwrap();
            let mut largest = 0;
            for (bits, value, times) in values {
                let value = value.checked_shr(64 - bits).unwrap_or(0);
                measurements.residence.record(value, times);
                oracle.record_n(value, times).unwrap();
                largest = largest.max(value);
            }
            let told = distribution(&measurements.residence.read(), true);
            prop_assert_eq!((told.count, told.max), (oracle.len(), largest));
            prop_assert_eq!(told.buckets.unwrap().iter().map(|bucket| bucket.count).sum::<u64>(), told.count);
            prop_assert!(told.p50 <= told.p90 && told.p90 <= told.p99 && told.p99 <= told.p999);
            prop_assert!(told.p999 <= told.max);
            for (quantile, value) in [(0.5, told.p50), (0.9, told.p90), (0.99, told.p99), (0.999, told.p999)] {
                let right = oracle.value_at_quantile(quantile);
                // A bucket's half and a thousandth, of either histogram.
                prop_assert!(value.abs_diff(right) * 100 <= right + 100, "{quantile}: {value} for {right}");
            }
        }
    }
}
