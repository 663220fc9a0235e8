//! The pure switch: no I/O, no clock, no log, no allocation per frame. Start reading at `pipeline`.
#![forbid(unsafe_code)]
pub mod ids;
pub mod limits;
pub mod link;
pub mod tables;
pub mod verdict;
