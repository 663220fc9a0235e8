//! The TCP header and its options (RFC 9293 section 3.1).

use crate::checksum::update;
use crate::{Error, Result};

/// Bytes of the header without options, and of every header written here.
pub const LENGTH: usize = 20;

/// Byte offsets of the fields.
pub mod offset {
    /// Source port, two bytes.
    pub const SOURCE_PORT: usize = 0;
    /// Destination port, two bytes.
    pub const DESTINATION_PORT: usize = 2;
    /// Data offset (4 bits) and flags (12 bits), two bytes.
    pub const FLAGS: usize = 12;
    /// Checksum, two bytes.
    pub const CHECKSUM: usize = 16;
}

/// Kind of the option that ends the list.
const END_OF_OPTIONS: u8 = 0;
/// Kind of the option that is one byte of padding.
const NO_OPERATION: u8 = 1;
/// Kind of the maximum segment size option.
pub const MAXIMUM_SEGMENT_SIZE: u8 = 2;

/// The control bits, those reserved included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x001);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// The acknowledgment field counts.
    pub const ACK: Self = Self(0x010);

    /// Whether all bits of `other` are set.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The header without its options.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number of the first byte.
    pub sequence: u32,
    /// Next sequence number expected.
    pub acknowledgment: u32,
    /// Control bits, below 2^12.
    pub flags: Flags,
    /// Receive window, before scaling.
    pub window: u16,
    /// The checksum as it stands in the header.
    pub checksum: u16,
    /// Where urgent data ends.
    pub urgent_pointer: u16,
}

impl Header {
    /// Reads the header. The length returned includes options.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the bytes end inside the header, [`Error::Malformed`] if its length is below 20.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, f0, f1, w0, w1, c0, c1, u0, u1] =
            *bytes.first_chunk::<LENGTH>().ok_or(Error::Truncated)?;
        let length = usize::from(f0 >> 4) * 4;
        if length < LENGTH {
            return Err(Error::Malformed);
        }
        if length > bytes.len() {
            return Err(Error::Truncated);
        }
        let header = Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            sequence: u32::from_be_bytes([q0, q1, q2, q3]),
            acknowledgment: u32::from_be_bytes([a0, a1, a2, a3]),
            flags: Flags(u16::from_be_bytes([f0 & 0x0f, f1])),
            window: u16::from_be_bytes([w0, w1]),
            checksum: u16::from_be_bytes([c0, c1]),
            urgent_pointer: u16::from_be_bytes([u0, u1]),
        };
        Ok((header, length))
    }

    /// The bytes of a header without options.
    #[inline]
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; LENGTH] {
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let [q0, q1, q2, q3] = self.sequence.to_be_bytes();
        let [a0, a1, a2, a3] = self.acknowledgment.to_be_bytes();
        let [f0, f1] = (5 << 12 | self.flags.0 & 0x0fff).to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        let [c0, c1] = self.checksum.to_be_bytes();
        let [u0, u1] = self.urgent_pointer.to_be_bytes();
        [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, f0, f1, w0, w1, c0, c1, u0, u1]
    }

    /// Writes a header without options and gives its length.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) -> Result<usize> {
        *bytes.first_chunk_mut().ok_or(Error::Truncated)? = self.to_bytes();
        Ok(LENGTH)
    }
}

/// One option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpOption<'a> {
    /// What it is (IANA "TCP Option Kind Numbers").
    pub kind: u8,
    /// Where its value begins, in bytes from the start of the header.
    pub offset: usize,
    /// Its value, without kind and length.
    pub value: &'a [u8],
}

/// The options of a header, padding left out; ends at the first that does not fit.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
    offset: usize,
}

/// The options of a header; `header` is exactly the header, as long as [`Header::parse`] says.
#[inline]
#[must_use]
pub fn options(header: &[u8]) -> Options<'_> {
    Options { rest: header.get(LENGTH..).unwrap_or_default(), offset: LENGTH }
}

impl<'a> Iterator for Options<'a> {
    type Item = TcpOption<'a>;

    #[inline]
    fn next(&mut self) -> Option<TcpOption<'a>> {
        loop {
            let (&kind, after) = self.rest.split_first()?;
            if kind == END_OF_OPTIONS {
                return None;
            }
            if kind == NO_OPERATION {
                (self.rest, self.offset) = (after, self.offset + 1);
                continue;
            }
            let length = usize::from(*after.first()?);
            let (option, rest) = self.rest.split_at_checked(length)?;
            let found = TcpOption { kind, offset: self.offset + 2, value: option.get(2..)? };
            (self.rest, self.offset) = (rest, self.offset + length);
            return Some(found);
        }
    }
}

/// The maximum segment size that a header offers (RFC 9293 section 3.7.1) and where it stands, in bytes from the start
/// of the header. `header` is exactly the header.
#[inline]
#[must_use]
pub fn maximum_segment_size(header: &[u8]) -> Option<(usize, u16)> {
    let option = options(header).find(|option| option.kind == MAXIMUM_SEGMENT_SIZE)?;
    let value = <[u8; 2]>::try_from(option.value).ok()?;
    Some((option.offset, u16::from_be_bytes(value)))
}

/// Lowers the maximum segment size that a SYN segment offers to `maximum` bytes, corrects the checksum, and tells
/// whether it did. Any other segment stays as it is. The checksum must be complete.
#[inline]
pub fn clamp_maximum_segment_size(segment: &mut [u8], maximum: u16) -> bool {
    let Ok((header, length)) = Header::parse(segment) else { return false };
    if !header.flags.contains(Flags::SYN) {
        return false;
    }
    let Some((at, offered)) = segment.get(..length).and_then(maximum_segment_size) else { return false };
    if offered <= maximum {
        return false;
    }
    // At an odd offset the value straddles two words of the sum: there it counts with its bytes swapped.
    let checksum = if at % 2 == 0 {
        update(header.checksum, offered, maximum)
    } else {
        update(header.checksum, offered.swap_bytes(), maximum.swap_bytes())
    };
    write_u16(segment, at, maximum);
    write_u16(segment, offset::CHECKSUM, checksum);
    true
}

#[inline]
fn write_u16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Sum;

    /// A SYN with NOP, maximum segment size 1460 at an odd offset, window scale, end of options.
    const SYN: [u8; 32] = [
        0x9c, 0x40, 0x00, 0x50, 0, 0, 0, 1, 0, 0, 0, 0, 0x80, 0x02, 0xfa, 0xf0, 0, 0, 0, 0, 1, 2, 4, 0x05,
        0xb4, 3, 3, 7, 0, 0, 0, 0,
    ];

    /// With a checksum that is right for an all-zero pseudo-header.
    fn syn() -> [u8; 32] {
        let mut segment = SYN;
        let checksum = Sum::of(&segment).checksum();
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
        segment
    }

    #[test]
    fn reads_and_writes() {
        let (header, length) = Header::parse(&SYN).unwrap();
        assert_eq!(
            (header.source_port, header.destination_port, header.sequence, length),
            (40_000, 80, 1, 32)
        );
        assert!(header.flags.contains(Flags::SYN) && !header.flags.contains(Flags::ACK));
        let mut without_options = SYN;
        without_options[12] = 0x50;
        assert_eq!(header.to_bytes(), without_options[..20]);
        for length in 0..32 {
            assert_eq!(Header::parse(&SYN[..length]), Err(Error::Truncated), "{length} bytes");
        }
        without_options[12] = 0x40;
        assert_eq!(Header::parse(&without_options), Err(Error::Malformed));
    }

    #[test]
    fn options_are_walked_safely() {
        let found: std::vec::Vec<_> = options(&SYN).map(|option| (option.kind, option.offset)).collect();
        assert_eq!(found, [(2, 23), (3, 27)]);
        assert_eq!(maximum_segment_size(&SYN), Some((23, 1460)));
        for length in [0, 1, 12, 255] {
            let mut other = SYN;
            other[22] = length;
            assert_eq!(maximum_segment_size(&other), None, "option length {length}");
        }
        for length in 0..25 {
            assert_eq!(maximum_segment_size(&SYN[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn clamping_keeps_the_checksum_right() {
        let mut odd = syn();
        assert!(clamp_maximum_segment_size(&mut odd, 1360));
        assert_eq!(maximum_segment_size(&odd), Some((23, 1360)));
        assert!(Sum::of(&odd).is_valid());
        assert!(!clamp_maximum_segment_size(&mut odd, 1360), "only ever lowered");

        let mut even = syn();
        even[20..24].copy_from_slice(&[2, 4, 0x05, 0xb4]);
        even[24] = 1;
        even[16..18].fill(0);
        let checksum = Sum::of(&even).checksum();
        even[16..18].copy_from_slice(&checksum.to_be_bytes());
        assert!(clamp_maximum_segment_size(&mut even, 536));
        assert_eq!(maximum_segment_size(&even), Some((22, 536)));
        assert!(Sum::of(&even).is_valid());
    }

    #[test]
    fn only_a_syn_is_clamped() {
        let mut segment = syn();
        segment[13] = 0x10;
        let before = segment;
        assert!(!clamp_maximum_segment_size(&mut segment, 536));
        assert_eq!(segment, before);
    }
}
