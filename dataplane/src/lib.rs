//! The dataplane as a library: what `vtepd` is made of.
#![forbid(unsafe_code)]
pub mod config;
pub mod control;
pub mod fleet;
pub mod liveness;
pub mod logging;
pub mod notify;
pub mod plan;
pub mod publish;
pub mod underlay;
pub mod worker;
