//! The state in the words of the control protocol. Reads only.

mod entries;
mod mdb;
pub(super) mod measurements;
mod numbers;
mod path_mtu;
mod ports;
