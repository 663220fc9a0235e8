//! The pure switch: no I/O, no clock, no log, no allocation per frame. Start reading at [`pipeline`].
#![forbid(unsafe_code)]

mod consistency;
pub mod counters;
mod description;
pub mod frame;
pub mod ids;
pub mod limits;
pub mod link;
pub mod pipeline;
pub mod remote;
pub mod tables;
pub mod tunnel;
pub mod verdict;
