//! Hints about memory: cache lines that will be needed, and pages that should be large. None of them reads or changes
//! what the memory holds, so each is safe for any address; they are here because the instruction and the system call
//! behind them are not in safe code's reach.
#![expect(unsafe_code, reason = "an instruction and a system call that change nothing")]

use std::ptr;

/// Bytes of a large page.
pub(crate) const LARGE_PAGE: usize = 2 << 20;

/// Asks for the cache line in which a value begins, before it is needed.
#[inline(always)]
pub fn prefetch<T>(place: &T) {
    prefetch_address(ptr::from_ref(place).addr());
}

/// Asks for the cache line at an address, which need not be mapped.
#[inline(always)]
pub(crate) fn prefetch_address(address: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = ptr::without_provenance::<i8>(address);
        // SAFETY: PREFETCHT0 faults on no address (Intel SDM, volume 2: "a hint that does not affect program behavior").
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Asks for 2 MiB pages behind the part of a region that is made of whole ones: with 4 KiB pages, a random access to a
/// table of tens of MiB misses the TLB too. To be called before anybody touches the region; whoever then does first
/// waits for the pages to be cleared. Says how many bytes may be so advised; 0 is no fault, but a region that is too
/// small, or a kernel without such pages.
pub fn advise_large_pages(start: usize, bytes: usize) -> usize {
    let first = start.next_multiple_of(LARGE_PAGE);
    let end = (start + bytes) / LARGE_PAGE * LARGE_PAGE;
    let Some(length) = end.checked_sub(first).filter(|length| *length > 0) else { return 0 };
    let region = ptr::without_provenance_mut::<libc::c_void>(first);
    // SAFETY: the advice does not change what memory holds (madvise(2)), and an address that is not mapped is refused.
    let result = unsafe { libc::madvise(region, length, libc::MADV_HUGEPAGE) };
    if result == 0 { length } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_change_nothing() {
        let values = vec![7_u64; 1 << 20];
        prefetch(&values[3]);
        prefetch_address(0);
        prefetch_address(usize::MAX);
        let advised = advise_large_pages(values.as_ptr().addr(), size_of_val(&*values));
        assert!(advised.is_multiple_of(LARGE_PAGE) && advised <= size_of_val(&*values));
        assert!(values.iter().all(|value| *value == 7));
        assert_eq!(advise_large_pages(values.as_ptr().addr(), 4096), 0);
        assert_eq!(advise_large_pages(0, 8 << 20), 0, "nothing is mapped there");
    }
}
