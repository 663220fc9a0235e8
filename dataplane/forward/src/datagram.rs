//! The UDP checksum of an outer datagram: header-only arithmetic where the inner checksum is known to be right, a sum
//! over the inner frame otherwise.

use wire::checksum::{Sum, sum_of_complete};
use wire::{udp, vxlan};

/// What is the same in every datagram to one remote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DatagramSum(Sum);

impl DatagramSum {
    /// `pseudo_header` is that of an empty datagram; the headers have neither source port, length nor checksum yet.
    pub(crate) fn new(pseudo_header: Sum, headers: &[u8; udp::LENGTH + vxlan::LENGTH]) -> Self {
        Self(pseudo_header + Sum::of(headers))
    }

    /// The checksum of a datagram of `length` bytes around an inner frame.
    #[inline]
    pub(crate) fn checksum(self, inner: Sum, source_port: u16, length: u16) -> u16 {
        // The length stands in the pseudo-header and in the header.
        let length = Sum::of_u16(length);
        udp::checksum(self.0 + inner + Sum::of_u16(source_port) + length + length)
    }
}

/// The sum of an inner frame. `is_completed`: its TCP or UDP checksum is known to be right.
#[inline]
pub(crate) fn sum_of_frame(frame: &[u8], is_completed: bool) -> Sum {
    let from_headers = if is_completed { sum_of_complete(frame) } else { None };
    from_headers.unwrap_or_else(|| Sum::of(frame))
}
