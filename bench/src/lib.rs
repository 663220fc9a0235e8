//! Benchmarks: a packet generator and sink, and the comparison with other switches.
#![forbid(unsafe_code)]

pub mod compare;
pub mod memory;
pub mod pktgen;
