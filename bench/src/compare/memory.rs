//! What a process keeps in memory.

use std::fs;

use serde::{Deserialize, Serialize};

/// Memory of a process, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Resident set size: every page that is mapped and present.
    pub rss: u64,
    /// Proportional set size: a page that several processes share counts in parts.
    pub pss: u64,
    /// The part of `pss` that is not backed by a file.
    pub anonymous: u64,
}

impl Memory {
    /// That of a process, or none when it is gone.
    #[must_use]
    pub fn of(process: u32) -> Option<Self> {
        fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok().map(|text| Self::parse(&text))
    }

    /// Bytes of a process's memory that belong to mappings of exactly `size` bytes, by proportional set size: its frame
    /// memory, whatever kind of memory that is.
    #[must_use]
    pub fn of_mappings(process: u32, size: u64) -> u64 {
        fs::read_to_string(format!("/proc/{process}/smaps")).map_or(0, |text| mappings(&text, size))
    }

    /// Reads the text of `/proc/PID/smaps_rollup`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
            kib.unwrap_or_default() * 1024
        };
        Self { rss: field("Rss"), pss: field("Pss"), anonymous: field("Pss_Anon") }
    }
}

/// The sum for the text of `/proc/PID/smaps`.
fn mappings(text: &str, size: u64) -> u64 {
    let bytes = |rest: &str| {
        rest.trim()
            .strip_suffix("kB")
            .and_then(|number| number.trim().parse::<u64>().ok())
            .unwrap_or_default()
            * 1024
    };
    let (mut matches, mut sum) = (false, 0);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Size:") {
            matches = bytes(rest) == size;
        } else if let Some(rest) = line.strip_prefix("Pss:").filter(|_| matches) {
            sum += bytes(rest);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_smaps_rollup_are_read() {
        let text = "55d4-7ffe ---p 00000000 00:00 0    [rollup]\nRss:                2048 kB\nPss:   1000 kB\n\
                    Pss_Dirty:  12 kB\nPss_Anon:   900 kB\n";
        assert_eq!(Memory::parse(text), Memory { rss: 2 << 20, pss: 1_024_000, anonymous: 921_600 });
        assert_eq!(Memory::parse("nothing"), Memory::default());
    }

    #[test]
    fn only_mappings_of_the_size_count() {
        let mapping = |size: u64, pss: u64| {
            format!(
                "7f00-7f01 rw-s 0 00:0e 1 bpf-map\nSize: {size} kB\nRss: 1 kB\nPss: {pss} kB\nPss_Anon: 3 kB\n"
            )
        };
        let text = mapping(64, 60) + &mapping(32, 30) + &mapping(64, 1);
        assert_eq!(mappings(&text, 64 << 10), 61 << 10);
        assert_eq!(mappings(&text, 1), 0);
    }
}
