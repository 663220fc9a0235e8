//! The underlay view against the running kernel: network namespaces, veth pairs and real neighbours.
//!
//! Each test makes namespaces of its own, and what it waits for is a condition with a deadline. Needs root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails, its support code too")]

mod follow;
mod links;
mod namespace;
mod neighbours;
mod overrun;
mod routes;
