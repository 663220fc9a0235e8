//! Generator and sink on a veth pair between two namespaces, as root.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a failed test panics")]

mod counts;
mod frames;
mod kernel;
mod lab;
mod refusals;
