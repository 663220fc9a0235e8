//! The switch in memory, loaded with traffic: what the benchmarks and instruction counts measure.
//!
//! An [`Overlay`] is the published tables with a forwarding database of any size; [`Traffic`] makes the frames that come
//! in; a [`Lane`] is one worker's pipeline on an in-memory link, a [`Batch`] frames for one stage of it. A [`Database`]
//! is our forwarding database or a map that does the same. No device and no system call takes part.

mod batch;
mod contention;
mod database;
mod lane;
mod link;
mod overlay;
mod scaling;
#[cfg(test)]
mod tests;
mod traffic;

pub use batch::Batch;
pub use contention::{Contention, contend};
pub use database::{Dash, Database, Locked, Papaya, Prefetched};
pub use lane::Lane;
pub use overlay::{
    ACCESS, DOMAIN, LOCAL, NEIGHBOURS, OTHER, Overlay, REMOTES, START, Station, UPLINK, VNI, keys, strangers,
};
pub use scaling::{Scaling, scale};
pub use traffic::{Mix, Traffic};
