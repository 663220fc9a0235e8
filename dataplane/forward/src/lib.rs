//! The pure switch: no I/O, no clock, no log, no allocation per frame. Start reading at [`pipeline`].
#![forbid(unsafe_code)]

pub mod bfd;
mod consistency;
pub mod counters;
mod datagram;
mod description;
pub mod entropy;
pub mod extended;
pub mod fdb;
pub mod flood;
pub mod frame;
mod group;
pub mod ids;
pub mod learn;
pub mod limits;
pub mod link;
pub mod lookup;
pub mod marking;
pub mod memory;
mod outer6;
pub mod parse;
pub mod pipeline;
pub mod proxy;
pub mod remote;
pub mod rewrite;
pub mod signature;
pub mod size;
mod sync;
pub mod tables;
mod tally;
mod tell;
pub mod tunnel;
pub mod verdict;
mod wrapped;
