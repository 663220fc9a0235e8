//! How many ICMP errors the workloads behind each port may still get: a token bucket per port, so that a workload that
//! provokes errors takes them from nobody but those behind the same port (RFC 1812 section 4.3.2.8, RFC 4443 section
//! 2.4 f).

use crate::ids::PortId;
use crate::limits::{ERRORS_PER_SECOND, MAX_PORTS};

/// The buckets of all ports.
#[derive(Debug)]
pub(crate) struct ErrorAllowance {
    buckets: Box<[Bucket]>,
}

/// Full at first, as a bucket is that nobody took from for a second.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    taken: u16,
    /// When it was last looked at.
    second: u32,
}

impl ErrorAllowance {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![Bucket::default(); MAX_PORTS].into() }
    }

    /// Takes one error to a workload behind a port, if there is one.
    #[cold]
    pub(crate) fn take(&mut self, port: PortId, second: u32) -> bool {
        let Some(bucket) = self.buckets.get_mut(usize::from(port.0)) else { return false };
        if bucket.second != second {
            // A bucket holds what a second brings, so one second fills it.
            *bucket = Bucket { taken: 0, second };
        }
        let left = bucket.taken < ERRORS_PER_SECOND;
        bucket.taken += u16::from(left);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_has_its_own_and_a_second_brings_it_back() {
        let mut allowance = ErrorAllowance::new();
        let mut taken = |port, second| (0..1000).filter(|_| allowance.take(PortId(port), second)).count();
        assert_eq!((taken(1, 7), taken(1, 7), taken(2, 7)), (100, 0, 100));
        assert_eq!((taken(1, 8), taken(1, 9)), (100, 100));
        assert_eq!(taken(u16::MAX, 9), 0);
    }
}
