//! The programs' histograms and what they become: the buckets of `bpf/pktgen.h`.

use hdrhistogram::Histogram;

/// Steps to a power of two, as a power of two (`STEP_BITS`).
const STEP_BITS: u32 = 7;
const STEPS: u64 = 1 << STEP_BITS;
/// Power of two of the longest latency told apart, in nanoseconds (`LONGEST`).
const LONGEST: u32 = 36;
/// How many buckets there are.
pub(super) const BUCKETS: u32 = (LONGEST - STEP_BITS + 1) << STEP_BITS;
/// Digits of a value that the buckets keep.
const DIGITS: u8 = 2;

/// The middle of a bucket, in nanoseconds.
fn middle(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let power = bucket / STEPS;
    if power == 0 {
        return bucket;
    }
    let width = 1 << (power - 1);
    (STEPS + bucket % STEPS) * width + width / 2
}

/// An HDR histogram of as many samples as have come into the buckets since `before`.
pub(super) fn since(before: &[u64], now: &[u64]) -> Histogram<u64> {
    let mut histogram = empty();
    for (bucket, (before, now)) in
        before.iter().zip(now).enumerate().filter(|(_, (before, now))| before < now)
    {
        histogram.saturating_record_n(middle(bucket), now - before);
    }
    histogram
}

/// A histogram for the values that buckets can have.
fn empty() -> Histogram<u64> {
    // The bounds are constants that the library takes: at least 1, at least twice that, at most five digits.
    Histogram::new_with_bounds(1, 1 << LONGEST, DIGITS).unwrap_or_else(|_| unreachable!("constant bounds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `bucket_of` of the program.
    fn bucket_of(value: u64) -> usize {
        if value < STEPS {
            return value as usize;
        }
        let power = u64::from(63 - value.leading_zeros() - STEP_BITS);
        (((power + 1) * STEPS) + ((value >> power) & (STEPS - 1))) as usize
    }

    #[test]
    fn the_middle_of_a_bucket_is_in_it_and_close() {
        for value in (0..LONGEST).flat_map(|power| [1_u64 << power, (1 << power) + 1, (2 << power) - 1]) {
            let bucket = bucket_of(value);
            assert!(bucket < BUCKETS as usize, "{value}");
            assert_eq!(bucket_of(middle(bucket)), bucket, "{value}");
            assert!(middle(bucket).abs_diff(value) * 100 <= value, "{value} becomes {}", middle(bucket));
        }
    }

    #[test]
    fn every_sample_is_kept() {
        let mut before = vec![0; BUCKETS as usize];
        before[bucket_of(5_000)] = 4;
        let mut now = before.clone();
        (now[0], now[bucket_of(5_000)], now[BUCKETS as usize - 1]) = (3, 100, 1);
        let histogram = since(&before, &now);
        assert_eq!(histogram.len(), 100);
        assert!(histogram.value_at_quantile(0.5).abs_diff(5_000) <= 50);
        assert!(histogram.max() >= (1 << LONGEST) - (1 << (LONGEST - STEP_BITS)));
    }
}
