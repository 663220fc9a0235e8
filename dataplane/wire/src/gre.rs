//! The GRE header (RFC 2784) with key and sequence number (RFC 2890), NVGRE's use of the key (RFC 7637), and GRE in UDP (RFC 8086).
//!
//! ```text
//! 0                 2         4
//! C.KS... version   protocol  [checksum, reserved: 4] [key: 4] [sequence: 4]
//! ```

use crate::checksum::Sum;
use crate::ethernet::EtherType;
use crate::{Error, Result, Vni};

/// Bytes of the header without optional fields.
pub const MIN_LENGTH: usize = 4;
/// Bytes of the header with all optional fields.
pub const MAX_LENGTH: usize = 16;

/// The registered UDP destination port of GRE in UDP (RFC 8086 section 8).
pub const UDP_PORT: u16 = 4754;

/// The C flag: a checksum follows.
pub const CHECKSUM_FLAG: u16 = 0x8000;
/// The K flag: a key follows.
pub const KEY_FLAG: u16 = 0x2000;
/// The S flag: a sequence number follows.
pub const SEQUENCE_FLAG: u16 = 0x1000;
/// Bits that make a receiver discard the packet: those among 1 to 5 that RFC 2890 does not use, and the version.
const FORBIDDEN: u16 = 0x4c07;

/// Where the checksum is, if there is one.
const CHECKSUM: usize = 4;

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// What the payload is: [`EtherType::ETHERNET_BRIDGING`] for a frame.
    pub protocol: EtherType,
    /// The checksum as it stands in the header. It covers header and payload: [`checksum_is_valid`],
    /// [`fill_checksum`].
    pub checksum: Option<u16>,
    /// The key.
    pub key: Option<u32>,
    /// The sequence number.
    pub sequence: Option<u32>,
}

impl Header {
    /// Reads the header and gives its length, 4 to 16 bytes. Bits 6 to 12 are ignored as RFC 2784 demands.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the bytes end inside it, [`Error::Malformed`] if the version is not 0 or one of the
    /// bits 1 to 5 is set that RFC 2890 does not use (routing present, strict source route, recursion).
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let ([f0, f1, p0, p1], mut rest) = bytes.split_first_chunk().ok_or(Error::Truncated)?;
        let flags = u16::from_be_bytes([*f0, *f1]);
        if flags & FORBIDDEN != 0 {
            return Err(Error::Malformed);
        }
        let mut field = |flag: u16| -> Result<Option<u32>> {
            if flags & flag == 0 {
                return Ok(None);
            }
            let (value, after) = rest.split_first_chunk().ok_or(Error::Truncated)?;
            rest = after;
            Ok(Some(u32::from_be_bytes(*value)))
        };
        let checksum = field(CHECKSUM_FLAG)?.map(|word| (word >> 16) as u16);
        let header = Self {
            protocol: EtherType(u16::from_be_bytes([*p0, *p1])),
            checksum,
            key: field(KEY_FLAG)?,
            sequence: field(SEQUENCE_FLAG)?,
        };
        Ok((header, header.length()))
    }

    /// Bytes of the header, 4 to 16.
    #[inline]
    #[must_use]
    pub const fn length(&self) -> usize {
        MIN_LENGTH
            + 4 * (self.checksum.is_some() as usize
                + self.key.is_some() as usize
                + self.sequence.is_some() as usize)
    }

    /// Writes the header, the checksum as it is, and gives its length.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) -> Result<usize> {
        let length = self.length();
        let mut rest = bytes.get_mut(..length).ok_or(Error::Truncated)?;
        let flag = |present: bool, flag: u16| if present { flag } else { 0 };
        let flags = flag(self.checksum.is_some(), CHECKSUM_FLAG)
            | flag(self.key.is_some(), KEY_FLAG)
            | flag(self.sequence.is_some(), SEQUENCE_FLAG);
        let words = [
            Some(u32::from(flags) << 16 | u32::from(self.protocol.0)),
            self.checksum.map(|checksum| u32::from(checksum) << 16),
            self.key,
            self.sequence,
        ];
        for word in words.into_iter().flatten() {
            let (place, after) = rest.split_first_chunk_mut().ok_or(Error::Truncated)?;
            *place = word.to_be_bytes();
            rest = after;
        }
        Ok(length)
    }
}

/// The version of a GRE packet, 0 if there is none to read.
#[inline]
#[must_use]
pub const fn version(packet: &[u8]) -> u8 {
    match packet {
        [_, flags, ..] => *flags & 7,
        _ => 0,
    }
}

/// Bytes of the header of a GRE packet as its flags have it, whether or not they are there.
#[inline]
#[must_use]
pub const fn length(packet: &[u8]) -> usize {
    match packet {
        [flags, ..] => {
            let fields = *flags & ((CHECKSUM_FLAG | KEY_FLAG | SEQUENCE_FLAG) >> 8) as u8;
            MIN_LENGTH + 4 * fields.count_ones() as usize
        }
        [] => 0,
    }
}

/// Whether the checksum of a GRE packet, header and payload, is right; a packet that has none is right.
#[inline]
#[must_use]
pub fn checksum_is_valid(packet: &[u8]) -> bool {
    match packet.first() {
        Some(flags) if flags & (CHECKSUM_FLAG >> 8) as u8 != 0 => Sum::of(packet).is_valid(),
        _ => true,
    }
}

/// Computes the checksum of a GRE packet, header and payload, whose header has the C flag. Without it, and with fewer
/// than 8 bytes, nothing is done.
#[inline]
pub fn fill_checksum(packet: &mut [u8]) {
    match packet {
        [flags, _, _, _, c0, c1, ..] if *flags & (CHECKSUM_FLAG >> 8) as u8 != 0 => (*c0, *c1) = (0, 0),
        _ => return,
    }
    let checksum = Sum::of(packet).checksum().to_be_bytes();
    if let Some(field) = packet.get_mut(CHECKSUM..CHECKSUM + 2) {
        field.copy_from_slice(&checksum);
    }
}

/// NVGRE's key: the virtual subnet identifier above eight bits of flow identifier (RFC 7637 section 3.2).
#[inline]
#[must_use]
pub const fn nvgre_key(subnet: Vni, flow: u8) -> u32 {
    subnet.value() << 8 | flow as u32
}

/// The inverse of [`nvgre_key`]: virtual subnet identifier and flow identifier.
#[inline]
#[must_use]
pub const fn nvgre_split(key: u32) -> (Vni, u8) {
    let [s0, s1, s2, flow] = key.to_be_bytes();
    (Vni::from_bytes([s0, s1, s2]), flow)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: [u8; 16] = [0xb0, 0, 0x65, 0x58, 0xab, 0xcd, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 9];

    #[test]
    fn reads_and_writes_every_combination() {
        for bits in 0..8_u8 {
            let header = Header {
                protocol: EtherType::ETHERNET_BRIDGING,
                checksum: (bits & 1 != 0).then_some(0xabcd),
                key: (bits & 2 != 0).then_some(0x1234),
                sequence: (bits & 4 != 0).then_some(9),
            };
            let mut bytes = [0; MAX_LENGTH];
            let length = header.emit(&mut bytes).unwrap();
            assert_eq!(length, 4 + 4 * bits.count_ones() as usize);
            assert_eq!(Header::parse(&bytes[..length]), Ok((header, length)));
            assert_eq!((super::length(&bytes), version(&bytes)), (length, 0));
            if bits == 7 {
                assert_eq!(bytes, FULL);
            }
            for short in 0..length {
                assert_eq!(Header::parse(&bytes[..short]), Err(Error::Truncated));
                assert_eq!(header.emit(&mut [0; MAX_LENGTH][..short]), Err(Error::Truncated));
            }
        }
    }

    #[test]
    fn forbidden_bits_are_refused_and_others_ignored() {
        for bit in 0..16 {
            let flags = 1_u16 << bit;
            let [f0, f1] = flags.to_be_bytes();
            let mut bytes = FULL;
            (bytes[0], bytes[1]) = (f0, f1);
            // RFC 2784 numbers bits from the left: 1, 4 and 5 are forbidden, so is the version in 13 to 15.
            let is_forbidden = matches!(15 - bit, 1 | 4 | 5 | 13 | 14 | 15);
            assert_eq!(Header::parse(&bytes).is_err(), is_forbidden, "bit {}", 15 - bit);
            assert_eq!(version(&bytes) != 0, bit < 3, "bit {}", 15 - bit);
        }
    }

    #[test]
    fn checksum_covers_header_and_payload() {
        let mut packet = [FULL.as_slice(), b"a frame"].concat();
        assert!(!checksum_is_valid(&packet));
        fill_checksum(&mut packet);
        assert!(checksum_is_valid(&packet));
        packet[20] ^= 1;
        assert!(!checksum_is_valid(&packet));

        let mut without = [0x20, 0, 0x65, 0x58, 0, 0, 0, 1, 1, 2, 3];
        let before = without;
        fill_checksum(&mut without);
        assert_eq!(without, before);
        assert!(checksum_is_valid(&without));
    }

    #[test]
    fn nvgre_splits_the_key() {
        let subnet = Vni::from_bytes([0x12, 0x34, 0x56]);
        assert_eq!(nvgre_key(subnet, 0x78), 0x1234_5678);
        assert_eq!(nvgre_split(0x1234_5678), (subnet, 0x78));
    }
}
