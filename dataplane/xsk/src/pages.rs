//! The pages that frame memory lies on. With 4 KiB pages every other frame misses the TLB; the kernel has two kinds of
//! 2 MiB pages: a reserve that the administrator makes (hugetlbfs, Documentation/admin-guide/mm/hugetlbpage.rst), and ones
//! that it puts together when a process asks (Documentation/admin-guide/mm/transhuge.rst).

use std::fmt;
use std::fs;
use std::io;
use std::sync::atomic::Ordering::Relaxed;

use crate::advise_large_pages;
use crate::cache::LARGE_PAGE;
use crate::mapping::Mapping;

/// Bytes of a small page.
const SMALL: usize = 4096;

/// Kinds of pages, in the kernel's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pages {
    /// 4 KiB.
    Base,
    /// 2 MiB, for the most part, put together by the kernel.
    Transparent,
    /// 2 MiB, from the reserve.
    HugeTlb,
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "base",
            Self::Transparent => "thp",
            Self::HugeTlb => "hugetlb",
        })
    }
}

/// `len` zeroed bytes on the largest pages that the system has: from the reserve, else put together, else small.
pub(crate) fn largest(len: usize) -> io::Result<(Mapping, Pages)> {
    if let Ok(mapping) = Mapping::reserved(len.next_multiple_of(LARGE_PAGE)) {
        return Ok((mapping, Pages::HugeTlb));
    }
    let mapping = Mapping::untouched(len)?;
    let start = mapping.start().addr();
    let advised = advise_large_pages(start, len);
    for page in (0..len).step_by(SMALL) {
        mapping.word64(page).store(0, Relaxed);
    }
    // Advice need not be followed.
    let smaps =
        if advised == 0 { String::new() } else { fs::read_to_string("/proc/self/smaps").unwrap_or_default() };
    let transparent = transparent_bytes(&smaps, start);
    Ok((mapping, if transparent * 2 > len { Pages::Transparent } else { Pages::Base }))
}

/// Bytes on transparent 2 MiB pages of the mapping at an address, by the text of `/proc/self/smaps`.
fn transparent_bytes(smaps: &str, address: usize) -> usize {
    let mut inside = false;
    for line in smaps.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        let hexadecimal = |text: &str| usize::from_str_radix(text, 16).ok();
        if let Some((start, end)) =
            first.split_once('-').and_then(|(a, b)| hexadecimal(a).zip(hexadecimal(b)))
        {
            inside = (start..end).contains(&address);
        } else if inside && first == "AnonHugePages:" {
            let kibibytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok());
            return kibibytes.unwrap_or_default() << 10;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_on_the_largest_pages_is_all_there() {
        for len in [SMALL, 16 << 20] {
            let (mapping, pages) = largest(len).unwrap();
            assert!(mapping.len() >= len);
            assert_eq!(mapping.word64(len - 8).load(Relaxed), 0);
            assert!(len >= LARGE_PAGE || pages != Pages::Transparent);
        }
    }

    #[test]
    fn transparent_pages_are_those_of_the_mapping_at_the_address() {
        const SMAPS: &str = "7f0000000000-7f0000200000 rw-p 00000000 00:00 0 \nSize: 2048 kB\nAnonHugePages:         0 kB\n\
            7f0000200000-7f0001200000 rw-p 00000000 00:00 0 \nSize: 16384 kB\nAnonHugePages:     14336 kB\n";
        assert_eq!(transparent_bytes(SMAPS, 0x7f00_0020_0000), 14 << 20);
        assert_eq!(transparent_bytes(SMAPS, 0x7f00_0000_0000), 0);
        assert_eq!(transparent_bytes(SMAPS, 0), 0);
    }
}
