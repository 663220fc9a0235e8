//! Frame memory: one block of equal chunks that sockets are registered with, and the tokens of those chunks.

use std::sync::Arc;

use crate::Error;

/// What the bytes of a [`Umem`] live in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// Ordinary pages.
    Anonymous,
    /// 2 MiB pages, taken from the system's reserve (`vm.nr_hugepages`).
    HugePages,
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
    chunk_size: u32,
    chunks: u32,
    id: u32,
}

impl Umem {
    /// Makes frame memory, and every token that there will ever be for it.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for sizes that are not allowed, [`Error::Memory`] when the system has not enough.
    pub fn new(config: &UmemConfig) -> Result<(Arc<Self>, Vec<Chunk>), Error> {
        let _ = config;
        unimplemented!()
    }

    /// The bytes of a chunk and its offsets, exclusively for as long as the token is borrowed.
    ///
    /// # Panics
    ///
    /// If the chunk belongs to another [`Umem`].
    #[inline]
    pub fn room<'a>(&'a self, chunk: &'a mut Chunk) -> Room<'a> {
        let _ = chunk;
        unimplemented!()
    }

    /// Copies the frame of `from` into `to`, at the same offset. Both must belong to this memory.
    ///
    /// # Panics
    ///
    /// If a chunk belongs to another [`Umem`].
    pub fn copy(&self, from: &mut Chunk, to: &mut Chunk) {
        let _ = (from, to);
        unimplemented!()
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
        self.id
    }

    /// Chunks that sockets and bursts hold at this moment; the others are tokens in somebody's hands. Reads every
    /// entry of the ledger: not for the hot path.
    #[must_use]
    pub fn held(&self) -> u32 {
        unimplemented!()
    }

    /// Addresses from the kernel that were outside the memory or named a chunk the socket did not hold. They were
    /// ignored. Other than zero means a kernel bug or foreign writes to the rings.
    #[must_use]
    pub fn bad_addresses(&self) -> u64 {
        unimplemented!()
    }
}

/// The token of one chunk: who has it has the chunk's bytes to himself. Neither cloneable nor constructible outside.
///
/// The offsets say where the frame is: `room[head..head + len]`. They travel with the token.
#[derive(Debug)]
pub struct Chunk {
    umem: std::num::NonZeroU32,
    index: u32,
    head: u16,
    len: u16,
}

impl Chunk {
    /// Its number within its memory, below [`Umem::chunks`].
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// [`Umem::id`] of its memory.
    #[must_use]
    pub fn umem(&self) -> u32 {
        self.umem.get()
    }

    /// Bytes of headroom before the frame.
    #[must_use]
    pub fn head(&self) -> u16 {
        self.head
    }

    /// Bytes of the frame.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a frame of no bytes does not occur")]
    pub fn len(&self) -> u16 {
        self.len
    }

    /// Says where the frame is. A span that leaves the chunk is refused when the chunk is handed to a ring.
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
