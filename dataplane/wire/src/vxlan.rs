//! The VXLAN header (RFC 7348 section 5).
//!
//! ```text
//! 0               1                    4                7
//! flags RRRRIRRR  reserved (24 bits)   VNI (24 bits)    reserved (8 bits)
//! ```

use crate::{Error, Result, Vni};

/// Bytes of the header.
pub const LENGTH: usize = 8;
/// The registered UDP destination port.
pub const PORT: u16 = 4789;

/// The I flag in the header read as one big-endian number: the VNI is valid.
pub const IDENTIFIER_FLAG: u64 = 0x0800_0000_0000_0000;
/// Every bit but the I flag and the VNI.
pub const RESERVED: u64 = !(IDENTIFIER_FLAG | 0xffff_ff00);

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// The network identifier.
    pub vni: Vni,
    /// The reserved bits, at their places in the header read as one big-endian number ([`RESERVED`]).
    pub reserved: u64,
}

impl Header {
    /// A header as it is sent: all reserved bits zero.
    #[inline]
    #[must_use]
    pub const fn new(vni: Vni) -> Self {
        Self { vni, reserved: 0 }
    }

    /// Reads the header; the length is always [`LENGTH`]. Reserved bits are reported, not refused:
    /// extensions have a use for them.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 bytes, [`Error::Malformed`] if the I flag is missing.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let bytes = bytes.first_chunk::<LENGTH>().ok_or(Error::Truncated)?;
        let word = u64::from_be_bytes(*bytes);
        if word & IDENTIFIER_FLAG == 0 {
            return Err(Error::Malformed);
        }
        let [.., v0, v1, v2, _] = *bytes;
        Ok((Self { vni: Vni::from_bytes([v0, v1, v2]), reserved: word & RESERVED }, LENGTH))
    }

    /// The header's bytes.
    #[inline]
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; LENGTH] {
        (IDENTIFIER_FLAG | self.reserved & RESERVED | (self.vni.value() as u64) << 8).to_be_bytes()
    }

    /// Writes the header and gives its length.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) -> Result<usize> {
        *bytes.first_chunk_mut().ok_or(Error::Truncated)? = self.to_bytes();
        Ok(LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let header = Header::new(Vni::from_bytes([0x12, 0x34, 0x56]));
        assert_eq!(header.to_bytes(), [0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
        assert_eq!(Header::parse(&header.to_bytes()), Ok((header, 8)));
        for length in 0..8 {
            assert_eq!(Header::parse(&header.to_bytes()[..length]), Err(Error::Truncated));
        }
        assert_eq!(Header::parse(&[0xf7, 0, 0, 0, 0, 0, 1, 0]), Err(Error::Malformed), "no I flag");
    }

    #[test]
    fn reserved_bits_are_reported_and_kept() {
        let policy = [0x88, 0x48, 0x12, 0x34, 0, 0, 1, 0];
        let (header, _) = Header::parse(&policy).unwrap();
        assert_eq!(header.vni.value(), 1);
        assert_eq!(header.reserved, 0x8048_1234_0000_0000);
        assert_eq!(header.to_bytes(), policy);
        for bit in 0..64 {
            let word = 0x0800_0000_0000_0100_u64 | 1 << bit;
            let (header, _) = Header::parse(&word.to_be_bytes()).unwrap();
            let is_reserved = bit != 59 && !(8..32).contains(&bit);
            assert_eq!(header.reserved != 0, is_reserved, "bit {bit}");
        }
    }
}
