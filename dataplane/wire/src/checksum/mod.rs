//! The Internet checksum (RFC 1071): sums, incremental updates (RFC 1624), pseudo-headers, and the completion of
//! checksums that a workload left to its device.

mod local;
mod offload;
mod sum;

pub use local::{sum_of_complete, sum_of_partial};
pub use offload::{complete_partial, complete_partial_ipv4, complete_partial_ipv6};
pub use sum::{Sum, update};
