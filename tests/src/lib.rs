//! The harness of the end-to-end tests: namespaces, topologies, daemons, other switches, captures and traffic.
//!
//! Every test builds its own network out of namespaces with names no other test has, runs real programs in it, and
//! leaves nothing behind, also when it fails. The harness knows the programs by their command lines and sockets alone:
//! nothing here links the switch, so that what it checks is what a user would see.
//!
//! ```text
//!   workload a1 ── node a ── underlay bridge ── node b ── workload b1
//!   (netns)  veth  (netns)  veth  (netns)  veth  (netns)  veth  (netns)
//!                 vtepd, or               vtepd, or
//!              Linux, or OVS           Linux, or OVS
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::panic, clippy::missing_panics_doc, reason = "a harness fails a test by panicking")]

pub mod alone;
pub mod capture;
pub mod config_text;
pub mod daemon;
pub mod filter;
pub mod frames;
pub mod linux_vtep;
pub mod multicast;
pub mod netns;
pub mod ovs_vtep;
pub mod pair;
pub mod ping;
pub mod process;
pub mod programs;
pub mod refusal;
pub mod router;
pub mod stream;
pub mod surge;
pub mod topology;
pub mod traffic;
pub mod trouble;
pub mod trunk;
pub mod wait;

pub use alone::Alone;
pub use capture::{Capture, Captured};
pub use config_text::Variant;
pub use daemon::Daemon;
pub use linux_vtep::LinuxVtep;
pub use netns::Namespace;
pub use ovs_vtep::OvsVtep;
pub use pair::{Pair, Trio};
pub use process::{Finished, Process};
pub use router::Router;
pub use stream::UdpStream;
pub use surge::Surge;
pub use topology::{Encapsulation, Node, Segment, Underlay, Workload};
pub use trunk::TrunkHost;
pub use wait::{wait_for, wait_until};
