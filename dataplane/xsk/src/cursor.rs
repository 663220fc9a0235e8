//! The arithmetic of ring positions. Positions count entries since the beginning and wrap at 2³²; an entry's place in
//! the ring is its position modulo the ring's size, a power of two. Each side knows its own position and remembers
//! where the other's was seen last, so that it looks at the shared word only when it must.

/// The side that adds entries.
#[derive(Clone, Debug)]
pub(crate) struct ProducerCursor {
    size: u32,
    /// Entries written.
    written: u32,
    /// Entries that the other side is known to have taken.
    taken: u32,
}

impl ProducerCursor {
    /// An empty ring of `size` entries whose positions begin at `start`.
    pub(crate) fn new(size: u32, start: u32) -> Self {
        assert!(size.is_power_of_two(), "ring sizes are powers of two");
        Self { size, written: start, taken: start }
    }

    /// Takes note of the consumer's position. A position that cannot be is ignored.
    #[inline]
    pub(crate) fn observe(&mut self, consumer: u32) {
        if self.written.wrapping_sub(consumer) <= self.size {
            self.taken = consumer;
        }
    }

    /// Entries that may be written, as far as known.
    #[inline]
    pub(crate) fn free(&self) -> u32 {
        self.size - self.written.wrapping_sub(self.taken)
    }

    /// The place of the next entry to write, or `None` if the ring is full as far as known.
    #[inline]
    pub(crate) fn reserve(&mut self) -> Option<u32> {
        if self.free() == 0 {
            return None;
        }
        let place = self.written & (self.size - 1);
        self.written = self.written.wrapping_add(1);
        Some(place)
    }

    /// The position to publish.
    #[inline]
    pub(crate) fn position(&self) -> u32 {
        self.written
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }
}

/// The side that takes entries.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerCursor {
    size: u32,
    /// Entries taken.
    taken: u32,
    /// Entries that the other side is known to have written.
    written: u32,
}

impl ConsumerCursor {
    /// An empty ring of `size` entries whose positions begin at `start`.
    pub(crate) fn new(size: u32, start: u32) -> Self {
        assert!(size.is_power_of_two(), "ring sizes are powers of two");
        Self { size, taken: start, written: start }
    }

    /// Takes note of the producer's position. A position that cannot be is ignored.
    #[inline]
    pub(crate) fn observe(&mut self, producer: u32) {
        if producer.wrapping_sub(self.taken) <= self.size {
            self.written = producer;
        }
    }

    /// Entries that may be read, as far as known.
    #[inline]
    pub(crate) fn available(&self) -> u32 {
        self.written.wrapping_sub(self.taken)
    }

    /// The place of the next entry to read, or `None` if the ring is empty as far as known.
    #[inline]
    pub(crate) fn advance(&mut self) -> Option<u32> {
        if self.available() == 0 {
            return None;
        }
        let place = self.taken & (self.size - 1);
        self.taken = self.taken.wrapping_add(1);
        Some(place)
    }

    /// The position to publish.
    #[inline]
    pub(crate) fn position(&self) -> u32 {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::{ConsumerCursor, ProducerCursor};

    /// One step of either side.
    #[derive(Clone, Debug)]
    enum Step {
        /// The producer looks at the consumer's position, writes up to so many and publishes.
        Write { entries: u8, look: bool },
        /// The consumer looks at the producer's position, reads up to so many and publishes.
        Read { entries: u8, look: bool },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (any::<u8>(), any::<bool>()).prop_map(|(entries, look)| Step::Write { entries, look }),
            (any::<u8>(), any::<bool>()).prop_map(|(entries, look)| Step::Read { entries, look }),
        ]
    }

    proptest! {
        /// Both sides over one array behave as a bounded queue, also where positions wrap, whenever they look.
        #[test]
        fn a_ring_is_a_bounded_queue(
            exponent in 0u32..8,
            start in prop_oneof![Just(0u32), any::<u32>(), (u32::MAX - 200)..=u32::MAX],
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let size = 1u32 << exponent;
            let (mut producer, mut consumer) = (ProducerCursor::new(size, start), ConsumerCursor::new(size, start));
            let (mut published, mut consumed) = (start, start);
            let mut ring = vec![0u32; size as usize];
            let mut model = VecDeque::new();
            let mut number = 0u32;
            for step in steps {
                match step {
                    Step::Write { entries, look } => {
                        if look {
                            producer.observe(consumed);
                            prop_assert_eq!(producer.free() as usize, size as usize - model.len());
                        }
                        for _ in 0..entries {
                            let Some(place) = producer.reserve() else { break };
                            ring[place as usize] = number;
                            model.push_back(number);
                            number += 1;
                        }
                        prop_assert!(model.len() <= size as usize);
                        published = producer.position();
                    }
                    Step::Read { entries, look } => {
                        if look {
                            consumer.observe(published);
                            prop_assert_eq!(consumer.available() as usize, model.len());
                        }
                        for _ in 0..entries {
                            let Some(place) = consumer.advance() else { break };
                            prop_assert_eq!(Some(ring[place as usize]), model.pop_front());
                        }
                        consumed = consumer.position();
                    }
                }
            }
        }

        /// No position that the other side might claim makes more entries appear than the ring has.
        #[test]
        fn impossible_positions_are_ignored(start in any::<u32>(), claim in any::<u32>()) {
            let (mut producer, mut consumer) = (ProducerCursor::new(8, start), ConsumerCursor::new(8, start));
            producer.observe(claim);
            consumer.observe(claim);
            prop_assert!(producer.free() <= 8);
            prop_assert!(consumer.available() <= 8);
            prop_assert_eq!(consumer.available() > 0, (1..=8).contains(&claim.wrapping_sub(start)));
        }
    }
}
