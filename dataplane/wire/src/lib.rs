//! Bytes to headers and back. No I/O, no allocation, no panic on any input.
#![no_std]
#![forbid(unsafe_code)]
mod mac;
mod vni;
pub use mac::Mac;
pub use vni::Vni;
