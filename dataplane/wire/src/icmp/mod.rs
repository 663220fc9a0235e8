//! ICMP (RFC 792) and ICMPv6 (RFC 4443): the common header, and the errors by which a path's MTU is told.

pub mod v4;
pub mod v6;

use crate::{Error, Result};

/// Bytes of the header: type, code, checksum and four bytes whose meaning the type decides.
pub const LENGTH: usize = 8;

/// Byte offset of the checksum.
const CHECKSUM: usize = 2;
/// Hop limit of the errors sent from here.
const HOP_LIMIT: u8 = 64;

/// The header, the same in both versions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// The type ([`v4`], [`v6`]).
    pub message_type: u8,
    /// The code, by which some types tell cases apart.
    pub code: u8,
    /// The checksum as it stands in the header.
    pub checksum: u16,
    /// What the type makes of it: identifier and sequence number, MTU, flags.
    pub content: [u8; 4],
}

impl Header {
    /// Reads the header; the length is always [`LENGTH`].
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 bytes.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let [message_type, code, c0, c1, b0, b1, b2, b3] = *bytes.first_chunk().ok_or(Error::Truncated)?;
        let checksum = u16::from_be_bytes([c0, c1]);
        Ok((Self { message_type, code, checksum, content: [b0, b1, b2, b3] }, LENGTH))
    }

    /// The header's bytes.
    #[inline]
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; LENGTH] {
        let [c0, c1] = self.checksum.to_be_bytes();
        let [b0, b1, b2, b3] = self.content;
        [self.message_type, self.code, c0, c1, b0, b1, b2, b3]
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

/// Writes an error message: header and as much of `packet` as `limit` allows. Its checksum is still zero.
fn emit_error(message: &mut [u8], header: Header, packet: &[u8], limit: usize) -> Result<usize> {
    let length = header.emit(message)?;
    let quote = packet.get(..limit).unwrap_or(packet);
    let place = message.get_mut(length..length + quote.len()).ok_or(Error::Truncated)?;
    place.copy_from_slice(quote);
    Ok(length + quote.len())
}

/// Writes the checksum field of a message.
fn write_checksum(message: &mut [u8], checksum: u16) {
    if let Some(field) = message.get_mut(CHECKSUM..CHECKSUM + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let bytes = [8, 0, 0x12, 0x34, 0, 1, 0, 2, 9];
        let (header, length) = Header::parse(&bytes).unwrap();
        let expected =
            Header { message_type: v4::ECHO_REQUEST, code: 0, checksum: 0x1234, content: [0, 1, 0, 2] };
        assert_eq!((header, length), (expected, 8));
        assert_eq!(header.to_bytes(), bytes[..8]);
        assert_eq!(Header::parse(&bytes[..7]), Err(Error::Truncated));
        assert_eq!(header.emit(&mut [0; 7]), Err(Error::Truncated));
    }
}
