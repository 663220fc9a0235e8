//! A histogram that one thread writes and others read without either waiting: counts in buckets that are linear within
//! an octave, as in an HDR histogram. Writing is one relaxed load and store. Percentiles are the reader's business.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits of a value that its bucket keeps below the leading one: 64 buckets an octave.
const PRECISION: u32 = 6;

/// Buckets of one octave.
const OCTAVE: usize = 1 << PRECISION;

/// Bits of the largest value that is told from larger ones: 17 s in nanoseconds.
const BITS: u32 = 34;

/// The first two octaves' worth of values have a bucket each; every further octave has as many as the one before.
const BUCKETS: usize = OCTAVE * (BITS - PRECISION + 1) as usize;

/// Counts of values from 0 to 2^34, of which values below 128 are exact and others within a bucket of 1/64 of their
/// size. Larger values are counted in the last bucket. 15 KiB, of which a writer touches the lines of the values that
/// occur.
#[derive(Debug)]
pub struct Histogram {
    counts: Box<[AtomicU64]>,
    max: AtomicU64,
}

/// What a histogram held at one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    counts: Box<[u64]>,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
        Self { counts, max: AtomicU64::new(0) }
    }
}

/// The bucket of a value.
const fn bucket(value: u64) -> usize {
    let limit = (1 << BITS) - 1;
    let value = if value > limit { limit } else { value };
    let octave = (value >> PRECISION).checked_ilog2();
    match octave {
        None => value as usize,
        Some(octave) => OCTAVE * octave as usize + (value >> octave) as usize,
    }
}

/// The value in the middle of a bucket: at most 1/128 from every value in it.
const fn middle(bucket: usize) -> u64 {
    let octave = (bucket / OCTAVE).saturating_sub(1);
    let low = (bucket - OCTAVE * octave) as u64;
    let width = 1 << octave;
    low * width + width / 2
}

impl Histogram {
    /// Counts a value so many times. Only one thread may.
    pub(crate) fn record(&self, value: u64, times: u64) {
        if let Some(count) = self.counts.get(bucket(value)) {
            count.store(count.load(Ordering::Relaxed).wrapping_add(times), Ordering::Relaxed);
        }
        if value > self.max.load(Ordering::Relaxed) {
            self.max.store(value, Ordering::Relaxed);
        }
    }

    /// What was counted until about now.
    #[must_use]
    pub fn read(&self) -> Snapshot {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Snapshot { counts, max: self.max.load(Ordering::Relaxed) }
    }
}

impl Snapshot {
    /// Values and how often each was counted, in ascending order; a value stands for those within 1/128 of it.
    pub fn values(&self) -> impl Iterator<Item = (u64, u64)> {
        let counted = self.counts.iter().enumerate().filter(|(_, count)| **count != 0);
        // The last bucket's middle may lie beyond the largest value that there was.
        counted.map(|(bucket, count)| (middle(bucket).min(self.max), *count))
    }

    /// The largest value counted.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// What was counted after an earlier look at the same histogram. Its largest value is known within 1/64.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let counts: Box<[u64]> =
            self.counts.iter().zip(&earlier.counts).map(|(now, then)| now.saturating_sub(*then)).collect();
        let top = counts.iter().rposition(|count| *count != 0).map_or(0, highest);
        Self { counts, max: self.max.min(top) }
    }
}

/// The largest value of a bucket.
const fn highest(bucket: usize) -> u64 {
    let octave = (bucket / OCTAVE).saturating_sub(1);
    (((bucket - OCTAVE * octave) as u64 + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gap() {
        for number in 0..BUCKETS {
            assert_eq!(bucket(middle(number)), number);
            assert_eq!(bucket(highest(number)), number);
            assert_eq!(bucket(highest(number) + 1), (number + 1).min(BUCKETS - 1));
        }
        assert_eq!(highest(BUCKETS - 1), (1 << BITS) - 1);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn a_bucket_stands_for_values_near_it(bits in 1..=BITS, value: u64) {
            let value = value >> (64 - bits);
            let middle = middle(bucket(value));
            prop_assert!(middle.abs_diff(value) * 128 <= value, "{value} is told as {middle}");
            prop_assert!(value >= 128 || middle == value, "{value} is told as {middle}");
        }
    }

    #[test]
    fn a_difference_is_what_came_between() {
        let histogram = Histogram::default();
        histogram.record(7, 3);
        histogram.record(1_000_000, 1);
        let before = histogram.read();
        assert_eq!(before.max(), 1_000_000);
        histogram.record(7, 2);
        histogram.record(100, 4);
        let between = histogram.read().since(&before);
        assert_eq!(between.values().collect::<Vec<_>>(), [(7, 2), (100, 4)]);
        assert_eq!(between.max(), 100);
        assert_eq!(before.since(&before).max(), 0);
    }

    #[test]
    fn a_reader_sees_counts_grow_to_what_was_written() {
        const RECORDS: u64 = 300_000;
        let histogram = Arc::new(Histogram::default());
        let writer = Arc::clone(&histogram);
        let thread = std::thread::spawn(move || {
            for value in 0..RECORDS {
                writer.record(value, 1);
            }
        });
        let mut before = histogram.read();
        while !thread.is_finished() {
            let now = histogram.read();
            assert!(now.counts.iter().zip(&before.counts).all(|(now, then)| now >= then));
            assert!(now.max >= before.max);
            before = now;
        }
        thread.join().unwrap();
        let end = histogram.read();
        assert_eq!(end.values().map(|(_, count)| count).sum::<u64>(), RECORDS);
        assert_eq!(end.max(), RECORDS - 1);
    }
}
