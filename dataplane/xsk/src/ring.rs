//! The four rings that a socket shares with the kernel (Documentation/networking/af_xdp.rst, "Rings").
//!
//! Ordering, named on both sides: whoever produces writes entries and then stores the producer word with *release*;
//! whoever consumes loads it with *acquire* and then reads entries. Whoever consumes stores the consumer word with
//! *release* after its last read; whoever produces loads it with *acquire* before it writes over those entries. The
//! kernel does the same (net/xdp/xsk_queue.h, "The structure of the shared state of the rings").

use std::io;
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use rustix::net::xdp::XdpRingOffset;

use crate::cursor::{ConsumerCursor, ProducerCursor};
use crate::mapping::Mapping;

/// An entry of a receive or transmit ring (`struct xdp_desc`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Descriptor {
    /// Where the frame begins, counted from the start of the frame memory.
    pub(crate) address: u64,
    /// Bytes of the frame.
    pub(crate) len: u32,
    /// `XDP_PKT_CONTD` and the like.
    pub(crate) options: u32,
}

/// What one place of a ring holds.
pub(crate) trait Entry: Copy {
    /// Bytes in shared memory.
    const SIZE: usize;
    /// Reads it.
    fn load(mapping: &Mapping, offset: usize) -> Self;
    /// Writes it.
    fn store(self, mapping: &Mapping, offset: usize);
}

// Entries are read and written relaxed: the producer and consumer words order them.

impl Entry for u64 {
    const SIZE: usize = 8;

    #[inline]
    fn load(mapping: &Mapping, offset: usize) -> Self {
        mapping.word64(offset).load(Relaxed)
    }

    #[inline]
    fn store(self, mapping: &Mapping, offset: usize) {
        mapping.word64(offset).store(self, Relaxed);
    }
}

impl Entry for Descriptor {
    const SIZE: usize = 16;

    #[inline]
    fn load(mapping: &Mapping, offset: usize) -> Self {
        Self {
            address: mapping.word64(offset).load(Relaxed),
            len: mapping.word32(offset + 8).load(Relaxed),
            options: mapping.word32(offset + 12).load(Relaxed),
        }
    }

    #[inline]
    fn store(self, mapping: &Mapping, offset: usize) {
        mapping.word64(offset).store(self.address, Relaxed);
        mapping.word32(offset + 8).store(self.len, Relaxed);
        mapping.word32(offset + 12).store(self.options, Relaxed);
    }
}

/// What a ring lies in: memory mapped from a socket, or a test's own.
pub(crate) trait RingMemory {
    /// What its places hold.
    type Entry: Copy;
    /// Loads the producer word with acquire: pairs with the release store of [`RingMemory::publish`].
    fn producer(&self) -> u32;
    /// Stores the producer word with release: the entries before it are visible to who acquires it.
    fn publish(&self, position: u32);
    /// Loads the consumer word with acquire: pairs with the release store of [`RingMemory::consume`].
    fn consumer(&self) -> u32;
    /// Stores the consumer word with release: our reads of entries before it are done for who acquires it.
    fn consume(&self, position: u32);
    /// Reads the entry at a place.
    fn read(&self, place: u32) -> Self::Entry;
    /// Writes the entry at a place.
    fn write(&self, place: u32, entry: Self::Entry);
}

/// A ring mapped from a socket.
pub(crate) struct Mapped<E> {
    mapping: Mapping,
    producer: usize,
    consumer: usize,
    flags: Option<usize>,
    entries: usize,
    holds: PhantomData<fn() -> E>,
}

impl<E: Entry> Mapped<E> {
    /// Maps the ring of `size` entries that the kernel offers at `page_offset`.
    pub(crate) fn new(
        socket: BorrowedFd<'_>,
        page_offset: u64,
        offsets: &XdpRingOffset,
        size: u32,
    ) -> io::Result<Self> {
        let offset =
            |value: u64| usize::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
        let entries = offset(offsets.desc)?;
        Ok(Self {
            mapping: Mapping::of(socket, entries + size as usize * E::SIZE, page_offset)?,
            producer: offset(offsets.producer)?,
            consumer: offset(offsets.consumer)?,
            flags: offsets.flags.map(offset).transpose()?,
            entries,
            holds: PhantomData,
        })
    }
}

impl<E: Entry> RingMemory for Mapped<E> {
    type Entry = E;

    #[inline]
    fn producer(&self) -> u32 {
        self.mapping.word32(self.producer).load(Acquire)
    }

    #[inline]
    fn publish(&self, position: u32) {
        self.mapping.word32(self.producer).store(position, Release);
    }

    #[inline]
    fn consumer(&self) -> u32 {
        self.mapping.word32(self.consumer).load(Acquire)
    }

    #[inline]
    fn consume(&self, position: u32) {
        self.mapping.word32(self.consumer).store(position, Release);
    }

    #[inline]
    fn read(&self, place: u32) -> E {
        E::load(&self.mapping, self.entries + place as usize * E::SIZE)
    }

    #[inline]
    fn write(&self, place: u32, entry: E) {
        entry.store(&self.mapping, self.entries + place as usize * E::SIZE);
    }
}

/// Our end of a ring that the kernel consumes: fill and transmit.
pub(crate) struct Producer<M> {
    memory: M,
    cursor: ProducerCursor,
}

impl<M: RingMemory> Producer<M> {
    pub(crate) fn new(memory: M, size: u32) -> Self {
        let cursor = ProducerCursor::new(size, memory.producer());
        Self { memory, cursor }
    }

    /// Entries that may be written now.
    #[inline]
    pub(crate) fn room(&mut self) -> u32 {
        self.cursor.observe(self.memory.consumer());
        self.cursor.free()
    }

    /// Whether an entry may be written now. Looks at the other side only when the ring seems full.
    #[inline]
    pub(crate) fn has_room(&mut self) -> bool {
        self.cursor.free() > 0 || self.room() > 0
    }

    /// Writes an entry; it becomes visible with [`Producer::publish`]. Refuses when the ring is full.
    #[inline]
    pub(crate) fn write(&mut self, entry: M::Entry) -> bool {
        if !self.has_room() {
            return false;
        }
        let Some(place) = self.cursor.reserve() else { return false };
        self.memory.write(place, entry);
        true
    }

    /// Makes everything written visible to the other side.
    #[inline]
    pub(crate) fn publish(&self) {
        self.memory.publish(self.cursor.position());
    }

    /// Entries written that the other side has not taken.
    #[inline]
    pub(crate) fn pending(&self) -> u32 {
        self.cursor.position().wrapping_sub(self.memory.consumer()).min(self.cursor.size())
    }

    pub(crate) fn size(&self) -> u32 {
        self.cursor.size()
    }
}

impl<E: Entry> Producer<Mapped<E>> {
    /// Whether the kernel wants a system call to go on with this ring. A kernel without the flag always does.
    #[inline]
    pub(crate) fn wants_wakeup(&self) -> bool {
        const XDP_RING_NEED_WAKEUP: u32 = 1;
        // Relaxed: a hint. One seen too late costs a system call later, not a frame: the next flush looks again.
        self.memory
            .flags
            .is_none_or(|flags| self.memory.mapping.word32(flags).load(Relaxed) & XDP_RING_NEED_WAKEUP != 0)
    }
}

/// Our end of a ring that the kernel produces: receive and completion.
pub(crate) struct Consumer<M> {
    memory: M,
    cursor: ConsumerCursor,
}

impl<M: RingMemory> Consumer<M> {
    pub(crate) fn new(memory: M, size: u32) -> Self {
        let cursor = ConsumerCursor::new(size, memory.consumer());
        Self { memory, cursor }
    }

    /// Takes up to `max` entries, gives each to `take`, and hands their places back at once. Says how many.
    #[inline]
    pub(crate) fn drain(&mut self, max: usize, mut take: impl FnMut(M::Entry)) -> usize {
        self.cursor.observe(self.memory.producer());
        let mut count = 0;
        while count < max {
            let Some(place) = self.cursor.advance() else { break };
            take(self.memory.read(place));
            count += 1;
        }
        if count > 0 {
            self.memory.consume(self.cursor.position());
        }
        count
    }

    /// Entries that wait to be taken.
    pub(crate) fn waiting(&self) -> u32 {
        let mut cursor = self.cursor.clone();
        cursor.observe(self.memory.producer());
        cursor.available()
    }
}

#[cfg(test)]
mod tests {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32, Ordering};
    use loom::thread;

    use super::{Consumer, Producer, RingMemory};

    /// A ring in ordinary memory under loom, which fails on any access to an entry that the positions do not order.
    struct Modelled {
        producer: AtomicU32,
        consumer: AtomicU32,
        entries: Vec<UnsafeCell<u64>>,
    }

    impl Modelled {
        fn new(size: u32, start: u32) -> Arc<Self> {
            Arc::new(Self {
                producer: AtomicU32::new(start),
                consumer: AtomicU32::new(start),
                entries: (0..size).map(|_| UnsafeCell::new(0)).collect(),
            })
        }
    }

    impl RingMemory for Arc<Modelled> {
        type Entry = u64;

        fn producer(&self) -> u32 {
            self.producer.load(Ordering::Acquire)
        }
        fn publish(&self, position: u32) {
            self.producer.store(position, Ordering::Release);
        }
        fn consumer(&self) -> u32 {
            self.consumer.load(Ordering::Acquire)
        }
        fn consume(&self, position: u32) {
            self.consumer.store(position, Ordering::Release);
        }
        #[expect(unsafe_code, reason = "loom's cell checks the access")]
        fn read(&self, place: u32) -> u64 {
            self.entries[place as usize].with(|entry| {
                // SAFETY: loom fails the test if another thread writes it at the same time.
                unsafe { *entry }
            })
        }
        #[expect(unsafe_code, reason = "loom's cell checks the access")]
        fn write(&self, place: u32, value: u64) {
            self.entries[place as usize].with_mut(|entry| {
                // SAFETY: loom fails the test if another thread reads or writes it at the same time.
                unsafe { *entry = value }
            });
        }
    }

    /// In every interleaving, entries arrive whole, once and in order, across the wrap of the positions.
    #[test]
    fn both_ends_agree_in_every_interleaving() {
        loom::model(|| {
            const ENTRIES: u64 = 3;
            let memory = Modelled::new(2, u32::MAX - 1);
            let mut producer = Producer::new(memory.clone(), 2);
            let mut consumer = Consumer::new(memory, 2);
            let writer = thread::spawn(move || {
                let mut next = 0;
                while next < ENTRIES {
                    if producer.write(next + 100) {
                        next += 1;
                        producer.publish();
                    } else {
                        thread::yield_now();
                    }
                }
            });
            let mut seen = Vec::new();
            while seen.len() < ENTRIES as usize {
                if consumer.drain(2, |entry| seen.push(entry)) == 0 {
                    thread::yield_now();
                }
            }
            writer.join().unwrap();
            assert_eq!(seen, [100, 101, 102]);
        });
    }

    #[test]
    fn a_full_ring_refuses_and_loses_nothing() {
        loom::model(|| {
            let memory = Modelled::new(4, 7);
            let mut producer = Producer::new(memory.clone(), 4);
            let mut consumer = Consumer::new(memory, 4);
            assert!((0..4).all(|entry| producer.write(entry)));
            assert!(!producer.write(4));
            assert_eq!(consumer.waiting(), 0, "nothing is visible before it is published");
            producer.publish();
            assert_eq!((consumer.waiting(), producer.pending()), (4, 4));
            let mut seen = Vec::new();
            assert_eq!(consumer.drain(3, |entry| seen.push(entry)), 3);
            assert_eq!(seen, [0, 1, 2]);
            assert_eq!(producer.room(), 3);
        });
    }
}
