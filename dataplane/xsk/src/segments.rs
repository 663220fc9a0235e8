//! Frames of several chunks ("multi-buffer", Documentation/networking/af_xdp.rst). In the rings each chunk, a *segment*, has
//! a descriptor of its own, and all but the last are marked. Outside them such a frame lies whole in one chunk of *jumbo
//! memory*, so that whoever works on frames need not know of segments.

use std::sync::Arc;

use crate::mapping::Mapping;
use crate::ring::Descriptor;
use crate::umem::{Held, MAX_BYTES};
use crate::{Chunk, Error, KERNEL_HEADROOM, Pages, Room, Socket, Umem};

/// Bytes of a chunk of jumbo memory: offsets within it have 16 bits.
const JUMBO_CHUNK: u32 = 1 << 14;
/// Bytes of the longest frame that [`Umem::gather`] takes into jumbo memory.
pub const LONGEST_JUMBO: u32 = JUMBO_CHUNK - KERNEL_HEADROOM as u32;
/// `XDP_PKT_CONTD`: the frame goes on in the next descriptor.
const CONTINUED: u32 = 1;

impl Umem {
    /// Makes jumbo memory: chunks of 16384 bytes for frames that do not fit into a chunk of a socket's memory. Its pages come
    /// when they are touched, so that what is never needed takes no memory. No socket takes such chunks:
    /// [`Umem::scatter`] them.
    ///
    /// # Errors
    ///
    /// As [`Umem::new`].
    pub fn jumbo(chunks: u32) -> Result<(Arc<Self>, Vec<Chunk>), Error> {
        let most = MAX_BYTES / u64::from(JUMBO_CHUNK);
        if !(1..=most).contains(&chunks.into()) {
            return Err(Error::Configuration(format!("there are 1 to {most} jumbo chunks, not {chunks}")));
        }
        let bytes = chunks as usize * JUMBO_CHUNK as usize;
        let mapping = Mapping::untouched(bytes).map_err(|source| Error::Memory {
            operation: "allocation",
            bytes: bytes as u64,
            source,
            remedy: "use fewer jumbo chunks",
        })?;
        Ok(Self::over(mapping, Pages::Base, chunks, JUMBO_CHUNK))
    }

    /// Copies the segments of a frame, chunks of the memory `of`, one behind the other into a chunk of this memory, from
    /// [`KERNEL_HEADROOM`] on. `false`, and nothing changed, if it has not that much room.
    ///
    /// # Panics
    ///
    /// If a chunk belongs to another [`Umem`].
    pub fn gather(&self, segments: &mut [Chunk], of: &Self, into: &mut Chunk) -> bool {
        let len: usize = segments.iter().map(|segment| usize::from(segment.len())).sum();
        let Room { bytes, head, len: into_len } = self.room(into);
        let start = usize::from(KERNEL_HEADROOM);
        let (Some(mut rest), Ok(total)) = (bytes.get_mut(start..start + len), u16::try_from(len)) else {
            return false;
        };
        for segment in segments {
            let source = of.room(segment);
            let (target, behind) = rest.split_at_mut(usize::from(*source.len));
            if let Some(bytes) = source.bytes.get(span(*source.head, *source.len)) {
                target.copy_from_slice(bytes);
            }
            rest = behind;
        }
        (*head, *into_len) = (KERNEL_HEADROOM, total);
        true
    }

    /// Copies a frame, a chunk of the memory `of`, into as many of the segments, chunks of this memory, as
    /// [`Umem::segments`] says. They are filled from their beginning to their end, but for the last one.
    ///
    /// # Panics
    ///
    /// If a chunk belongs to another [`Umem`].
    pub fn scatter(&self, frame: &mut Chunk, of: &Self, segments: &mut [Chunk]) {
        let source = of.room(frame);
        let bytes = source.bytes.get(span(*source.head, *source.len)).unwrap_or_default();
        for (part, segment) in bytes.chunks(self.chunk_size() as usize).zip(segments) {
            let Room { bytes, head, len } = self.room(segment);
            bytes[..part.len()].copy_from_slice(part);
            (*head, *len) = (0, part.len() as u16);
        }
    }

    /// Chunks of this memory that a frame of so many bytes takes.
    #[must_use]
    #[inline]
    pub fn segments(&self, len: u16) -> usize {
        (u32::from(len)).div_ceil(self.chunk_size()) as usize
    }
}

/// Where in its chunk a frame is.
fn span(head: u16, len: u16) -> std::ops::Range<usize> {
    usize::from(head)..usize::from(head) + usize::from(len)
}

/// A frame of several chunks, as it came from a receive ring.
#[derive(Debug)]
pub struct Segmented<'a> {
    /// The memory that its chunks are of.
    pub umem: &'a Umem,
    /// Its chunks in order. Whoever gets them takes them out.
    pub chunks: &'a mut Vec<Chunk>,
    /// Whether all are there. If not, the kernel gave an address that was refused ([`Umem::bad_addresses`]).
    pub is_complete: bool,
}

/// The segments of a frame whose last one has not come yet.
pub(crate) struct Chain {
    pub(crate) segments: Vec<Chunk>,
    is_open: bool,
    is_complete: bool,
}

impl Chain {
    /// For a receive ring of so many entries: the kernel puts all segments of a frame into it, or none.
    pub(crate) fn new(ring_size: u32) -> Self {
        Self { segments: Vec::with_capacity(ring_size as usize), is_open: false, is_complete: true }
    }

    /// Adds a segment, if its address was good. Gives what `whole` made of the frame once this was its last.
    #[cold]
    fn add(
        &mut self,
        segment: Option<Chunk>,
        is_last: bool,
        umem: &Umem,
        whole: &mut impl FnMut(Segmented<'_>) -> Option<Chunk>,
    ) -> Option<Chunk> {
        self.is_complete &= segment.is_some();
        self.segments.extend(segment);
        self.is_open = !is_last;
        if self.is_open {
            return None;
        }
        let is_complete = std::mem::replace(&mut self.is_complete, true);
        let frame = whole(Segmented { umem, chunks: &mut self.segments, is_complete });
        debug_assert!(self.segments.is_empty(), "a frame's chunks are taken out");
        frame
    }
}

impl Socket {
    /// Chunks that a frame may have: 1 without multi-buffer AF_XDP, be it that it was not asked for
    /// ([`crate::SocketConfig::segments`]) or that the kernel (before 6.6) or the driver has none.
    #[must_use]
    pub fn segments(&self) -> u32 {
        self.segments
    }

    /// [`Socket::receive`] where frames may have several chunks: takes up to `max` descriptors, and those that are needed to
    /// finish a frame, gives each such frame to `whole`, and appends the chunk that this makes of it to `out`, in the
    /// frame's place. Appends no more than `max` frames. Says how many descriptors it took.
    #[inline]
    pub fn receive_whole(
        &mut self,
        out: &mut Vec<Chunk>,
        max: usize,
        mut whole: impl FnMut(Segmented<'_>) -> Option<Chunk>,
    ) -> usize {
        let Self { umem, holder, receive, chain, .. } = self;
        let mut take = |chain: &mut Chain, frame: Descriptor| {
            let chunk = umem.take(frame.address, frame.len, holder, Held::Fill);
            let is_last = frame.options & CONTINUED == 0;
            if is_last && !chain.is_open {
                out.extend(chunk);
            } else {
                out.extend(chain.add(chunk, is_last, umem, &mut whole));
            }
        };
        let mut taken = receive.drain(max, |frame| take(chain, frame));
        // The kernel shows a frame's descriptors together, so the others are there.
        while chain.is_open && receive.drain(1, |frame| take(chain, frame)) != 0 {
            taken += 1;
        }
        taken
    }

    /// Puts a frame of several chunks into the transmit ring, in their order, and takes them out of `segments`; it leaves
    /// with the next [`Socket::flush`]. `false`, and nothing changed, when the ring has not room for all, when they are
    /// none or more than [`Socket::segments`], or when one has no bytes, leaves its chunk or belongs to another memory.
    #[inline]
    pub fn enqueue_segments(&mut self, segments: &mut Vec<Chunk>) -> bool {
        let count = segments.len() as u32;
        let is_sendable = segments.first().is_some_and(|first| self.umem.sendable(first))
            && segments.iter().all(|segment| self.umem.contains(segment));
        if !is_sendable || count > self.segments || self.transmit.room() < count {
            return false;
        }
        for (place, segment) in (1..).zip(segments.drain(..)) {
            let len = u32::from(segment.len());
            let address = self.umem.give(segment, &self.holder, Held::Transmit);
            let options = if place == count { 0 } else { CONTINUED };
            let written = self.transmit.write(Descriptor { address, len, options });
            debug_assert!(written, "the transmit ring had room");
        }
        self.in_transmission += count;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Memory, UmemConfig};

    fn memories(chunk_size: u32) -> (Arc<Umem>, Vec<Chunk>, Arc<Umem>, Chunk) {
        let config = UmemConfig { chunks: 16, chunk_size, memory: Memory::Anonymous };
        let (small, chunks) = Umem::new(&config).unwrap();
        let (jumbo, mut wholes) = Umem::jumbo(2).unwrap();
        (small, chunks, jumbo, wholes.pop().unwrap())
    }

    fn put(umem: &Umem, chunk: &mut Chunk, head: u16, bytes: &[u8]) {
        umem.room(chunk).bytes[span(head, bytes.len() as u16)].copy_from_slice(bytes);
        chunk.set_span(head, bytes.len() as u16);
    }

    fn read(umem: &Umem, chunk: &mut Chunk) -> Vec<u8> {
        let range = span(chunk.head(), chunk.len());
        umem.room(chunk).bytes[range].to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_gathered_and_scattered_is_the_frame(
            large in any::<bool>(),
            frame in prop::collection::vec(any::<u8>(), 14..=LONGEST_JUMBO as usize),
            pushed in 0u16..=256,
        ) {
            let chunk_size = if large { 4096 } else { 2048 };
            let (small, mut chunks, jumbo, mut whole) = memories(chunk_size);
            let mut segments = Vec::new();
            for part in frame.chunks(chunk_size as usize - 256) {
                let mut segment = chunks.pop().unwrap();
                put(&small, &mut segment, 256, part);
                segments.push(segment);
            }
            prop_assert!(jumbo.gather(&mut segments, &small, &mut whole));
            prop_assert_eq!(&read(&jumbo, &mut whole), &frame);
            prop_assert_eq!(whole.head(), KERNEL_HEADROOM);
            // With something in front of it.
            whole.set_span(whole.head() - pushed, whole.len() + pushed);
            let longer = read(&jumbo, &mut whole);
            chunks.append(&mut segments);
            let mut segments = chunks.split_off(chunks.len() - small.segments(whole.len()));
            small.scatter(&mut whole, &jumbo, &mut segments);
            let parts: Vec<u8> = segments.iter_mut().flat_map(|segment| read(&small, segment)).collect();
            prop_assert_eq!(parts, longer);
            prop_assert!(segments.iter().all(|segment| segment.len() != 0));
        }
    }

    #[test]
    fn what_has_no_room_is_refused() {
        let (small, mut chunks, jumbo, mut whole) = memories(4096);
        let mut segments = chunks.split_off(11);
        segments.iter_mut().for_each(|segment| segment.set_span(256, 3840));
        assert!(!jumbo.gather(&mut segments, &small, &mut whole));
        assert_eq!((whole.head(), whole.len()), (0, 0));
        segments[4].set_span(0, (LONGEST_JUMBO - 4 * 3840) as u16);
        assert!(jumbo.gather(&mut segments, &small, &mut whole));
        assert_eq!(u32::from(whole.len()), LONGEST_JUMBO);
        for count in [0, (1 << 18) + 1] {
            assert!(matches!(Umem::jumbo(count), Err(Error::Configuration(_))), "{count}");
        }
    }
}
