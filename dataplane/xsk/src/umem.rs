//! Frame memory: one block of equal chunks that sockets are registered with, the tokens of those chunks, and the ledger
//! of who holds which.
//!
//! ```text
//!  chunk (2048 or 4096 bytes)
//!  ├── kernel headroom 256 ──┼── frame as received ───────────────┤
//!               ◀─ head moves down: push        head moves up: pull ─▶
//! ```

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};

use crate::mapping::Mapping;
use crate::{Error, Pages, cache, pages};

/// Most bytes of one frame memory: its chunks are counted in 32 bits, and the BPF array behind it too.
pub(crate) const MAX_BYTES: u64 = 1 << 32;

/// What the bytes of a [`Umem`] live in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// Ordinary pages.
    Anonymous,
    /// The largest pages that the system has at that moment: 2 MiB pages of its reserve (`vm.nr_hugepages`), 2 MiB pages
    /// that it puts together, or ordinary ones. [`Umem::pages`] tells which.
    LargestPages,
}

/// Size and kind of frame memory that stands alone. The memory that burst transmit reads comes from
/// [`crate::Steering::load`] instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UmemConfig {
    /// How many chunks: a power of two.
    pub chunks: u32,
    /// Bytes per chunk: 2048 or 4096. A frame has [`crate::KERNEL_HEADROOM`] bytes less.
    pub chunk_size: u32,
    /// What the bytes live in.
    pub memory: Memory,
}

/// Frame memory, shared by sockets and workers. Access to its bytes goes through the tokens.
pub struct Umem {
    mapping: Mapping,
    pages: Pages,
    chunk_size: u32,
    chunks: u32,
    id: NonZeroU32,
    ledger: Ledger,
}

impl Umem {
    /// Makes frame memory, and every token that there will ever be for it.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for sizes that are not allowed, [`Error::Memory`] when the system has not enough.
    pub fn new(config: &UmemConfig) -> Result<(Arc<Self>, Vec<Chunk>), Error> {
        let bytes = checked_bytes(config.chunks, config.chunk_size)?;
        let mapped = match config.memory {
            Memory::Anonymous => Mapping::present(bytes).map(|mapping| (mapping, Pages::Base)),
            Memory::LargestPages => pages::largest(bytes),
        };
        let (mapping, pages) = mapped.map_err(|source| Error::Memory {
            operation: "allocation",
            bytes: bytes as u64,
            source,
            remedy: "use fewer chunks",
        })?;
        Ok(Self::over(mapping, pages, config.chunks, config.chunk_size))
    }

    /// Frame memory over a mapping that is at least as large and used for nothing else.
    pub(crate) fn over(
        mapping: Mapping,
        pages: Pages,
        chunks: u32,
        chunk_size: u32,
    ) -> (Arc<Self>, Vec<Chunk>) {
        assert!(mapping.len() as u64 >= u64::from(chunks) * u64::from(chunk_size), "mapping too small");
        let id = next_id();
        let tokens = (0..chunks).map(|index| Chunk { umem: id, index, head: 0, len: 0 }).collect();
        (Arc::new(Self { mapping, pages, chunk_size, chunks, id, ledger: Ledger::new(chunks) }), tokens)
    }

    /// The bytes of a chunk and its offsets, exclusively for as long as the token is borrowed.
    ///
    /// # Panics
    ///
    /// If the chunk belongs to another [`Umem`].
    #[inline]
    #[expect(unsafe_code, reason = "tokens are the proof of exclusive access")]
    pub fn room<'a>(&'a self, chunk: &'a mut Chunk) -> Room<'a> {
        assert!(chunk.umem == self.id, "the chunk is of another frame memory");
        let Chunk { index, head, len, .. } = chunk;
        let start = *index as usize * self.chunk_size as usize;
        // SAFETY: there is one token per chunk: `over` makes each once, and the ledger mints one from a kernel address
        // only when the token was consumed before. It is borrowed mutably for as long as the slice lives, so neither a
        // second slice nor a hand-over to the kernel can happen meanwhile. Tokens of this memory have numbers below
        // `chunks` from both, and the mapping is at least `chunks` times `chunk_size` long.
        let bytes = unsafe { self.mapping.bytes(start, self.chunk_size as usize) };
        Room { bytes, head, len }
    }

    /// Asks for the cache lines that hold the first bytes of a chunk's frame, up to 128, and the 64 before it, where an
    /// outer header will be pushed. Only a hint: whatever the chunk says, nothing is read.
    #[inline]
    pub fn prefetch(&self, chunk: &Chunk) {
        let frame = self.mapping.start().addr()
            + chunk.index as usize * self.chunk_size as usize
            + usize::from(chunk.head);
        cache::prefetch_address(frame.wrapping_sub(64));
        cache::prefetch_address(frame);
        // What lies behind a short frame is in no cache, and would be fetched from far for nothing.
        if chunk.len > 64 {
            cache::prefetch_address(frame.wrapping_add(64));
        }
    }

    /// Copies the frame of `from` into `to`, at the same offset. Both must belong to this memory. A span that leaves
    /// the chunk is cut at its end.
    ///
    /// # Panics
    ///
    /// If a chunk belongs to another [`Umem`].
    #[inline]
    pub fn copy(&self, from: &mut Chunk, to: &mut Chunk) {
        let (source, target) = (self.room(from), self.room(to));
        let start = usize::from(*source.head).min(source.bytes.len());
        let end = (start + usize::from(*source.len)).min(source.bytes.len());
        target.bytes[start..end].copy_from_slice(&source.bytes[start..end]);
        *target.head = *source.head;
        *target.len = *source.len;
    }

    /// The pages that it lies on.
    #[must_use]
    pub fn pages(&self) -> Pages {
        self.pages
    }

    /// Bytes per chunk.
    #[must_use]
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// How many chunks there are.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Names this memory within the process; never used twice. Equals [`Chunk::umem`] of its chunks.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id.get()
    }

    /// Chunks that sockets hold at this moment; the others are tokens in somebody's hands. Reads every entry of the
    /// ledger: not for the hot path.
    #[must_use]
    pub fn held(&self) -> u32 {
        let held = self.ledger.entries.iter().filter(|entry| entry.load(Relaxed) != FREE).count();
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// Addresses from the kernel that were outside the memory or named a chunk the socket did not hold. They were
    /// ignored. Other than zero means a kernel bug or foreign writes to the rings.
    #[must_use]
    pub fn bad_addresses(&self) -> u64 {
        self.ledger.bad.load(Relaxed)
    }

    /// Where the memory begins and how long it is, to register it with a socket.
    pub(crate) fn region(&self) -> (*mut u8, u64) {
        (self.mapping.start(), u64::from(self.chunks) * u64::from(self.chunk_size))
    }

    /// An identity for a new socket, or `None` when there are too many.
    pub(crate) fn new_holder(&self) -> Option<Holder> {
        let mut holders = self.ledger.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.pop()
    }

    /// Consumes a token: `holder` has the chunk from now on, in its fill or transmit ring. Returns the chunk's address.
    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "to consume the token is the point")]
    pub(crate) fn give(&self, chunk: Chunk, holder: &Holder, ring: Held) -> u64 {
        assert!(chunk.umem == self.id, "the chunk is of another frame memory");
        self.ledger.entries[chunk.index as usize].store(holder.mark(ring), Relaxed);
        u64::from(chunk.index) * u64::from(self.chunk_size) + u64::from(chunk.head)
    }

    /// Whether a chunk's frame is one that a ring may be given: of this memory, at least an Ethernet header, inside
    /// the chunk.
    #[inline]
    pub(crate) fn sendable(&self, chunk: &Chunk) -> bool {
        chunk.len >= 14 && self.contains(chunk)
    }

    /// Whether the bytes that a chunk says it has are some, and of this memory.
    #[inline]
    pub(crate) fn contains(&self, chunk: &Chunk) -> bool {
        chunk.umem == self.id
            && chunk.len != 0
            && u32::from(chunk.head) + u32::from(chunk.len) <= self.chunk_size
    }

    /// Makes the token for an address from the kernel, if `holder` had given that chunk to that ring; otherwise counts
    /// a bad address.
    #[inline]
    pub(crate) fn take(&self, address: u64, len: u32, holder: &Holder, ring: Held) -> Option<Chunk> {
        let (index, head) = (address / u64::from(self.chunk_size), address % u64::from(self.chunk_size));
        let entry = usize::try_from(index).ok().and_then(|index| self.ledger.entries.get(index));
        // Only this holder's socket changes an entry with its mark, and a socket is used by one thread at a time, so
        // load and store need not be one operation.
        let Some(entry) = entry.filter(|entry| {
            entry.load(Relaxed) == holder.mark(ring) && head + u64::from(len) <= u64::from(self.chunk_size)
        }) else {
            self.ledger.bad.fetch_add(1, Relaxed);
            return None;
        };
        entry.store(FREE, Relaxed);
        // All three fit: the index is within the ledger, the others within a chunk, whose offsets have 16 bits.
        Some(Chunk { umem: self.id, index: index as u32, head: head as u16, len: len as u16 })
    }

    /// Ends a holder and returns every chunk that it still had. Its socket must be closed.
    pub(crate) fn end_holder(&self, holder: Holder) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        for (index, entry) in (0..).zip(&self.ledger.entries) {
            let mark = entry.load(Relaxed);
            if mark == holder.mark(Held::Fill) || mark == holder.mark(Held::Transmit) {
                entry.store(FREE, Relaxed);
                chunks.push(Chunk { umem: self.id, index, head: 0, len: 0 });
            }
        }
        self.ledger.holders.lock().unwrap_or_else(PoisonError::into_inner).push(holder);
        chunks
    }
}

impl fmt::Debug for Umem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, chunks, chunk_size, .. } = self;
        write!(f, "Umem {{ id: {id}, chunks: {chunks}, chunk_size: {chunk_size} }}")
    }
}

/// Bytes of so many chunks, if that is allowed.
pub(crate) fn checked_bytes(chunks: u32, chunk_size: u32) -> Result<usize, Error> {
    if !matches!(chunk_size, 2048 | 4096) {
        return Err(Error::Configuration(format!("a chunk has 2048 or 4096 bytes, not {chunk_size}")));
    }
    let bytes = u64::from(chunks) * u64::from(chunk_size);
    if !chunks.is_power_of_two() || chunks < 2 || bytes > MAX_BYTES {
        return Err(Error::Configuration(format!(
            "the number of chunks is a power of two from 2 to {}, not {chunks}",
            MAX_BYTES / u64::from(chunk_size)
        )));
    }
    usize::try_from(bytes)
        .map_err(|_| Error::Configuration("too much frame memory for this machine".to_owned()))
}

fn next_id() -> NonZeroU32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let id = NEXT.fetch_update(Relaxed, Relaxed, |next| next.checked_add(1));
    // Tokens of two memories with one name could be confused; four thousand million of them do not occur.
    id.ok().and_then(NonZeroU32::new).expect("frame memories of one process can be counted in 32 bits")
}

/// Who has each chunk.
struct Ledger {
    /// [`FREE`], or a holder's mark.
    entries: Box<[AtomicU16]>,
    /// Holders to give out.
    holders: Mutex<Vec<Holder>>,
    bad: AtomicU64,
}

/// Nobody: its token exists.
const FREE: u16 = 0;
/// Added to a holder's number for chunks in its transmit or completion ring.
const TRANSMIT: u16 = 1 << 15;

impl Ledger {
    fn new(chunks: u32) -> Self {
        Self {
            entries: (0..chunks).map(|_| AtomicU16::new(FREE)).collect(),
            holders: Mutex::new((1..TRANSMIT).rev().map(Holder).collect()),
            bad: AtomicU64::new(0),
        }
    }
}

/// The identity of a socket in the ledger. Given out once at a time.
pub(crate) struct Holder(u16);

impl Holder {
    #[inline]
    fn mark(&self, ring: Held) -> u16 {
        match ring {
            Held::Fill => self.0,
            Held::Transmit => self.0 | TRANSMIT,
        }
    }
}

/// On which way through the kernel a chunk is.
#[derive(Clone, Copy)]
pub(crate) enum Held {
    /// Fill ring to receive ring.
    Fill,
    /// Transmit ring to completion ring.
    Transmit,
}

/// The token of one chunk: who has it has the chunk's bytes to himself. Neither cloneable nor constructible outside.
///
/// The offsets say where the frame is: `room[head..head + len]`. They travel with the token.
#[derive(Debug)]
pub struct Chunk {
    umem: NonZeroU32,
    index: u32,
    head: u16,
    len: u16,
}

const _: () = assert!(size_of::<Option<Chunk>>() == 12);

impl Chunk {
    /// Its number within its memory, below [`Umem::chunks`].
    #[must_use]
    #[inline]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// [`Umem::id`] of its memory.
    #[must_use]
    #[inline]
    pub fn umem(&self) -> u32 {
        self.umem.get()
    }

    /// Bytes of headroom before the frame.
    #[must_use]
    #[inline]
    pub fn head(&self) -> u16 {
        self.head
    }

    /// Bytes of the frame.
    #[must_use]
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a frame of no bytes does not occur")]
    pub fn len(&self) -> u16 {
        self.len
    }

    /// Says where the frame is. A span that leaves the chunk is refused when the chunk is handed to a ring.
    #[inline]
    pub fn set_span(&mut self, head: u16, len: u16) {
        self.head = head;
        self.len = len;
    }
}

/// A chunk's bytes and offsets.
pub struct Room<'a> {
    /// The whole chunk.
    pub bytes: &'a mut [u8],
    /// Bytes of headroom before the frame.
    pub head: &'a mut u16,
    /// Bytes of the frame.
    pub len: &'a mut u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> (Arc<Umem>, Vec<Chunk>) {
        Umem::new(&UmemConfig { chunks: 8, chunk_size: 2048, memory: Memory::Anonymous }).unwrap()
    }

    #[test]
    fn there_is_one_token_per_chunk_and_each_has_its_own_bytes() {
        let (umem, mut chunks) = small();
        assert_eq!(chunks.len(), 8);
        for chunk in &mut chunks {
            let mark = chunk.index() as u8 + 1;
            umem.room(chunk).bytes.fill(mark);
        }
        for chunk in &mut chunks {
            let mark = chunk.index() as u8 + 1;
            assert_eq!(umem.room(chunk).bytes, [mark; 2048]);
        }
    }

    #[test]
    fn a_copy_has_the_same_bytes_at_the_same_offset() {
        let (umem, mut chunks) = small();
        let (mut a, mut b) = (chunks.pop().unwrap(), chunks.pop().unwrap());
        a.set_span(256, 60);
        umem.room(&mut a).bytes[256..316].fill(7);
        umem.copy(&mut a, &mut b);
        assert_eq!((b.head(), b.len()), (256, 60));
        let room = umem.room(&mut b);
        assert_eq!(room.bytes[256..316], [7; 60]);
        assert_eq!(room.bytes[316], 0);
        a.set_span(u16::MAX, u16::MAX);
        umem.copy(&mut a, &mut b);
    }

    #[test]
    fn an_address_makes_a_token_only_once_only_for_its_holder_and_ring() {
        let (umem, mut chunks) = small();
        let (mine, other) = (umem.new_holder().unwrap(), umem.new_holder().unwrap());
        let chunk = chunks.pop().unwrap();
        let address = umem.give(chunk, &mine, Held::Fill);
        assert_eq!(umem.held(), 1);
        assert!(umem.take(address, 60, &other, Held::Fill).is_none(), "another socket's chunk");
        assert!(umem.take(address, 60, &mine, Held::Transmit).is_none(), "the other ring");
        assert!(umem.take(address + 2000, 60, &mine, Held::Fill).is_none(), "a frame that leaves its chunk");
        assert!(umem.take(8 * 2048, 60, &mine, Held::Fill).is_none(), "outside the memory");
        assert!(umem.take(u64::MAX, u32::MAX, &mine, Held::Fill).is_none(), "far outside");
        let back = umem.take(address + 256, 60, &mine, Held::Fill).unwrap();
        assert_eq!((back.index(), back.head(), back.len()), (7, 256, 60));
        assert!(umem.take(address, 60, &mine, Held::Fill).is_none(), "twice");
        assert_eq!((umem.held(), umem.bad_addresses()), (0, 6));
    }

    #[test]
    fn the_end_of_a_holder_returns_what_it_had_and_nothing_else() {
        let (umem, mut chunks) = small();
        let (mine, other) = (umem.new_holder().unwrap(), umem.new_holder().unwrap());
        for ring in [Held::Fill, Held::Transmit, Held::Fill] {
            umem.give(chunks.pop().unwrap(), &mine, ring);
        }
        umem.give(chunks.pop().unwrap(), &other, Held::Fill);
        let mut back: Vec<u32> = umem.end_holder(mine).iter().map(Chunk::index).collect();
        back.sort_unstable();
        assert_eq!(back, [5, 6, 7]);
        assert_eq!(umem.held(), 1);
    }

    #[test]
    #[should_panic(expected = "another frame memory")]
    fn a_foreign_chunk_opens_no_room() {
        let ((a, _), (_b, mut chunks)) = (small(), small());
        a.room(&mut chunks[0]);
    }

    #[test]
    fn sizes_are_checked() {
        for (chunks, chunk_size) in [(8, 1024), (7, 2048), (0, 2048), (1, 4096), (1 << 22, 4096)] {
            let config = UmemConfig { chunks, chunk_size, memory: Memory::Anonymous };
            assert!(matches!(Umem::new(&config), Err(Error::Configuration(_))), "{config:?}");
        }
    }

    #[test]
    fn memory_can_always_be_had_on_the_largest_pages() {
        for chunks in [2, 1 << 13] {
            let config = UmemConfig { chunks, chunk_size: 2048, memory: Memory::LargestPages };
            let (umem, mut chunks) = Umem::new(&config).unwrap();
            let last = chunks.last_mut().unwrap();
            umem.room(last).bytes.fill(7);
            assert_eq!(umem.room(last).bytes, [7; 2048]);
        }
    }
}
