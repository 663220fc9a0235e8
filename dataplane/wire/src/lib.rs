//! Bytes to headers and back: the formats of an overlay switch.
//!
//! Every frame is read and rewritten through this crate. It knows formats and nothing else: no I/O, no allocation, no
//! tables, no policy, and no panic on any input.
//!
//! Each protocol is a module of one shape: a value type (`Header` or `Message`) with
//! `parse(&[u8]) -> Result<(value, length)>` and `emit(&self, &mut [u8]) -> Result<length>`; the constant `LENGTH`;
//! and, where a fast path patches single fields, byte offsets in `offset`. `parse` succeeds only if what the value
//! describes lies within the bytes, so the length can be used to slice without further tests.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod arp;
pub mod bfd;
pub mod checksum;
pub mod ecn;
mod error;
pub mod ethernet;
pub mod gre;
pub mod icmp;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
mod mac;
pub mod membership;
pub mod ndp;
pub mod tcp;
pub mod udp;
mod vlan;
mod vni;
pub mod vxlan;

pub use error::{Error, Result};
pub use mac::{InvalidMac, Mac};
pub use vlan::Vlan;
pub use vni::Vni;
