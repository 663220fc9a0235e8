//! The dataplane as a library: what `vtepd` is made of.
#![forbid(unsafe_code)]
pub mod config;
pub mod control;
pub mod plan;
pub mod logging;
pub mod notify;
pub mod underlay;
pub mod fleet;
pub mod publish;
pub mod worker;
