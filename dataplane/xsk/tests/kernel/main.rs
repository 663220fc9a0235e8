//! The crate against the real kernel: AF_XDP sockets, XDP programs and bursts on veth pairs between network namespaces
//! that each test makes for itself. Needs root.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod burst;
mod lab;
mod modes;
mod packets;
mod pages;
mod peer;
mod raw;
mod refusals;
mod segments;
mod sockets;
mod steering;
