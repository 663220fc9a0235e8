//! Ones' complement sums.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::ops::Add;

use crate::ip::Protocol;

/// A ones' complement sum under way. Sums add up if every part but the last has an even number of bytes.
///
/// The sum is of 16-bit words in the machine's own byte order (RFC 1071 section 2.B): no byte is swapped until the
/// end. It has room for 2^32 32-bit words.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of no bytes.
    pub const ZERO: Self = Self(0);

    /// The sum of bytes; an odd last byte counts as the upper half of a word.
    #[inline]
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let (blocks, rest) = bytes.as_chunks::<32>();
        // Independent lanes of 32-bit words in 64-bit sums: no carries, and the compiler makes vectors of them.
        let mut lanes = [0_u64; 8];
        for block in blocks {
            let (words, _) = block.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane += u64::from(u32::from_ne_bytes(*word));
            }
        }
        let mut total: u64 = lanes.iter().sum();
        let (words, rest) = rest.as_chunks::<4>();
        for word in words {
            total += u64::from(u32::from_ne_bytes(*word));
        }
        let (pairs, rest) = rest.as_chunks::<2>();
        for pair in pairs {
            total += u64::from(u16::from_ne_bytes(*pair));
        }
        if let [last] = rest {
            total += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        Self(total)
    }

    /// The sum of one 16-bit field.
    #[inline]
    #[must_use]
    pub const fn of_u16(value: u16) -> Self {
        Self(value.to_be() as u64)
    }

    /// The sum of one 32-bit field.
    #[inline]
    #[must_use]
    pub const fn of_u32(value: u32) -> Self {
        Self(value.to_be() as u64)
    }

    /// The sum of the IPv4 pseudo-header (RFC 768, RFC 9293 section 3.1). `length` is the bytes of the upper-layer
    /// packet, header included.
    #[inline]
    #[must_use]
    pub fn of_pseudo_ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol, length: u16) -> Self {
        let addresses = Self::of_u32(source.to_bits()) + Self::of_u32(destination.to_bits());
        addresses + Self::of_u32(u32::from(protocol.0) << 16 | u32::from(length))
    }

    /// The sum of the IPv6 pseudo-header (RFC 8200 section 8.1). `length` is the bytes of the upper-layer packet,
    /// header included, extension headers not.
    #[inline]
    #[must_use]
    pub fn of_pseudo_ipv6(source: Ipv6Addr, destination: Ipv6Addr, protocol: Protocol, length: u32) -> Self {
        let addresses = Self::of(&source.octets()) + Self::of(&destination.octets());
        addresses + Self::of_u32(length) + Self::of_u32(u32::from(protocol.0))
    }

    /// The sum as a 16-bit number, not complemented. Zero only if every byte was zero.
    #[inline]
    #[must_use]
    pub const fn fold(self) -> u16 {
        let sum = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        let sum = (sum >> 32) + (sum & 0xffff_ffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        u16::from_be(sum as u16)
    }

    /// The checksum field's value, if that field was zero in the bytes summed up.
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }

    /// Whether bytes that include their checksum add up to all ones.
    #[inline]
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.fold() == 0xffff
    }
}

impl Add for Sum {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

/// The checksum after one 16-bit word of what it covers changed from `old` to `new` (RFC 1624 equation 3).
#[inline]
#[must_use]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = !checksum as u32 + !old as u32 + new as u32;
    let sum = (sum >> 16) + (sum & 0xffff);
    !((sum >> 16) as u16 + sum as u16)
}

/// As [`update`] for 32 bits that begin at an even offset.
#[inline]
#[must_use]
pub const fn update_long(checksum: u16, old: u32, new: u32) -> u16 {
    let checksum = update(checksum, (old >> 16) as u16, (new >> 16) as u16);
    update(checksum, old as u16, new as u16)
}
