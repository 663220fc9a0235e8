//! A mapping of memory that is shared with the kernel: frame memory, rings, BPF arrays. Everything above it reaches
//! shared words through atomics, so that no data race is possible whatever the kernel does.
#![expect(unsafe_code, reason = "mapping memory and turning it into references")]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// A readable and writable mapping, unmapped on drop.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is not tied to the thread that made it.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference only atomics are reachable, and bytes whose exclusivity the caller answers for.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// `len` zeroed bytes of private memory, present from the start.
    pub(crate) fn present(len: usize) -> io::Result<Self> {
        Self::anonymous(len, MapFlags::POPULATE)
    }

    /// The same from the reserve of 2 MiB pages; `len` is a whole number of them.
    pub(crate) fn reserved(len: usize) -> io::Result<Self> {
        Self::anonymous(len, MapFlags::POPULATE | MapFlags::HUGETLB | MapFlags::HUGE_2MB)
    }

    /// `len` zeroed bytes of private memory whose pages come when they are touched.
    pub(crate) fn untouched(len: usize) -> io::Result<Self> {
        Self::anonymous(len, MapFlags::empty())
    }

    fn anonymous(len: usize, flags: MapFlags) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | flags;
        // SAFETY: no address is asked for, so the kernel chooses one that nothing occupies.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags) }?;
        Self::new(start.cast(), len)
    }

    /// `len` bytes of a file from `offset`, shared with it.
    pub(crate) fn of(file: BorrowedFd<'_>, len: usize, offset: u64) -> io::Result<Self> {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED | MapFlags::POPULATE);
        // SAFETY: no address is asked for, so the kernel chooses one that nothing occupies.
        let start = unsafe { mmap(ptr::null_mut(), len, access, flags, file, offset) }?;
        Self::new(start.cast(), len)
    }

    fn new(start: *mut u8, len: usize) -> io::Result<Self> {
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The address of a `T` at `offset`.
    ///
    /// # Panics
    ///
    /// If it is not wholly inside, or not aligned.
    #[inline]
    fn place<T>(&self, offset: usize) -> *mut T {
        assert!(offset < self.len && self.len - offset >= size_of::<T>(), "offset outside the mapping");
        let place = self.start.as_ptr().wrapping_add(offset).cast::<T>();
        assert!(place.is_aligned(), "misaligned offset");
        place
    }

    /// The 16-bit word at `offset`.
    #[inline]
    pub(crate) fn word16(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: `place` checked bounds and alignment, the mapping lives as long as `self`, and every access to
        // words of such mappings in this process is atomic.
        unsafe { AtomicU16::from_ptr(self.place(offset)) }
    }

    /// The 32-bit word at `offset`.
    #[inline]
    pub(crate) fn word32(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: as in `word16`.
        unsafe { AtomicU32::from_ptr(self.place(offset)) }
    }

    /// The 64-bit word at `offset`.
    #[inline]
    pub(crate) fn word64(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: as in `word16`.
        unsafe { AtomicU64::from_ptr(self.place(offset)) }
    }

    /// `len` bytes from `offset`, exclusively.
    ///
    /// # Safety
    ///
    /// The range must lie within the mapping, and for as long as the slice lives nobody else, neither this process nor
    /// the kernel, may touch these bytes.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "exclusivity is the caller's promise, by a token per range")]
    pub(crate) unsafe fn bytes(&self, offset: usize, len: usize) -> &mut [u8] {
        debug_assert!(offset <= self.len && len <= self.len - offset, "range outside the mapping");
        let start = self.start.as_ptr().wrapping_add(offset);
        // SAFETY: the caller promises that the range is inside the mapping, which is initialised (zeroed by the kernel) and
        // lives as long as `self`, and that nobody else touches it.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by us, and every reference into it borrowed `self`.
        let result = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert!(result.is_ok(), "unmapping our own mapping cannot fail");
    }
}
