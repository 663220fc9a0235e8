//! The switch in memory, loaded with traffic: what the benchmarks and instruction counts measure.
//!
//! An [`Overlay`] is the published tables with a forwarding database of any size; [`Traffic`] makes the frames that come
//! in; a [`Lane`] is one worker's pipeline on an in-memory link. No device, no system call and no clock takes part
//! beyond the two readings around what is measured.

mod lane;
mod overlay;
mod traffic;

pub use lane::Lane;
pub use overlay::{ACCESS, DOMAIN, LOCAL, NEIGHBOURS, OTHER, Overlay, REMOTES, START, Station, UPLINK, VNI};
pub use traffic::{Mix, Traffic};
