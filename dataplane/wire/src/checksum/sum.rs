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
        let (wide, rest) = if bytes.len() < WIDE { (0, bytes) } else { sum_of_blocks(bytes) };
        let mut total = wide;
        let (words, rest) = rest.as_chunks::<8>();
        for word in words {
            let word = u64::from_ne_bytes(*word);
            total += (word >> 32) + (word & 0xffff_ffff);
        }
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
        u16::from_be(self.fold_ne())
    }

    /// As [`Sum::fold`], in the machine's own byte order: what a field read so is compared with.
    #[inline]
    #[must_use]
    pub const fn fold_ne(self) -> u16 {
        // A number plus itself with its halves swapped has their ones' complement sum in its upper half: the carry of
        // the lower half is the end-around carry.
        let sum = (self.0.wrapping_add(self.0.rotate_left(32)) >> 32) as u32;
        (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
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

/// Bytes from which on vectors pay for adding up their lanes.
const WIDE: usize = 128;

/// The sum of as many 64-byte blocks as there are, and the bytes behind them.
fn sum_of_blocks(bytes: &[u8]) -> (u64, &[u8]) {
    // Independent lanes of 32-bit words in 64-bit sums: no carries, and the compiler makes vectors of them.
    let mut lanes = [0_u64; 8];
    let (blocks, rest) = bytes.as_chunks::<64>();
    for block in blocks {
        let (rows, _) = block.as_chunks::<32>();
        for row in rows {
            let (words, _) = row.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane += u64::from(u32::from_ne_bytes(*word));
            }
        }
    }
    (lanes.iter().sum(), rest)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::of(&bytes).fold(), 0xddf2);
        assert_eq!(Sum::of(&bytes).checksum(), 0x220d);
        assert_eq!(Sum::of(&[0x00, 0x01, 0xf2]).fold(), 0xf201, "an odd byte is the upper half of a word");
    }

    #[test]
    fn example_of_rfc_1624() {
        // Section 4: the equation of RFC 1141 gives 0xffff here, which is wrong.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn carries_are_not_lost() {
        let ones = std::vec![0xff; 65_535];
        for length in [0, 1, 2, 3, 4, 7, 8, 31, 63, 64, 127, 128, 129, 1500, 65_534] {
            let expected = match (length, length % 2) {
                (0, _) => 0,
                (_, 0) => 0xffff,
                _ => 0xff00,
            };
            assert_eq!(Sum::of(&ones[..length]).fold(), expected, "{length} bytes");
        }
        assert_eq!(Sum(u64::MAX).fold(), 0xffff);
    }

    #[test]
    fn fields_add_up_like_bytes() {
        let sum = Sum::of_u16(0x1234) + Sum::of_u32(0x5678_9abc);
        assert_eq!(sum.fold(), Sum::of(&[0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc]).fold());
        assert_eq!((Sum::ZERO + sum).fold(), sum.fold());
    }

    #[test]
    fn pseudo_headers_are_those_of_the_rfcs() {
        let (source, destination) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 2));
        let bytes = [192, 0, 2, 1, 198, 51, 100, 2, 0, 17, 0x12, 0x34];
        let sum = Sum::of_pseudo_ipv4(source, destination, Protocol::UDP, 0x1234);
        assert_eq!(sum.fold(), Sum::of(&bytes).fold());

        let (source, destination) = (Ipv6Addr::LOCALHOST, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(&source.octets());
        bytes[16..32].copy_from_slice(&destination.octets());
        bytes[32..].copy_from_slice(&[0, 1, 0x12, 0x34, 0, 0, 0, 58]);
        let sum = Sum::of_pseudo_ipv6(source, destination, Protocol::ICMPV6, 0x1_1234);
        assert_eq!(sum.fold(), Sum::of(&bytes).fold());
    }
}
