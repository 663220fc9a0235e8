//! The UDP header (RFC 768).

use crate::checksum::Sum;
use crate::{Error, Result};

/// Bytes of the header.
pub const LENGTH: usize = 8;

/// Byte offsets of the fields.
pub mod offset {
    /// Source port, two bytes.
    pub const SOURCE_PORT: usize = 0;
    /// Destination port, two bytes.
    pub const DESTINATION_PORT: usize = 2;
    /// Length in bytes, header included, two bytes.
    pub const LENGTH: usize = 4;
    /// Checksum, two bytes; 0 says that there is none.
    pub const CHECKSUM: usize = 6;
}

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Bytes of the datagram, this header included.
    pub length: u16,
    /// The checksum as it stands in the header; 0 says that there is none.
    pub checksum: u16,
}

impl Header {
    /// Reads the header of a datagram that is all there; `bytes` may be longer. The length returned is [`LENGTH`],
    /// the payload `bytes[LENGTH..header.length]`.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the datagram is not all there, [`Error::Malformed`] if its length is below 8.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let [s0, s1, d0, d1, l0, l1, c0, c1] = *bytes.first_chunk::<LENGTH>().ok_or(Error::Truncated)?;
        let header = Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            length: u16::from_be_bytes([l0, l1]),
            checksum: u16::from_be_bytes([c0, c1]),
        };
        if usize::from(header.length) < LENGTH {
            return Err(Error::Malformed);
        }
        if usize::from(header.length) > bytes.len() { Err(Error::Truncated) } else { Ok((header, LENGTH)) }
    }

    /// The header's bytes.
    #[inline]
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; LENGTH] {
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let [l0, l1] = self.length.to_be_bytes();
        let [c0, c1] = self.checksum.to_be_bytes();
        [s0, s1, d0, d1, l0, l1, c0, c1]
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

/// Whether the checksum of a datagram is right. `datagram` is exactly the datagram, `pseudo_header` the sum of its
/// pseudo-header. That 0 means "none" is for the caller to know: over IPv6 it is not always allowed (RFC 6936).
#[inline]
#[must_use]
pub fn checksum_is_valid(pseudo_header: Sum, datagram: &[u8]) -> bool {
    (pseudo_header + Sum::of(datagram)).is_valid()
}

/// The checksum to send: `sum` covers pseudo-header and datagram with a zero checksum field. A sum that comes out as
/// zero is sent as all ones (RFC 768).
#[inline]
#[must_use]
pub fn checksum(sum: Sum) -> u16 {
    match sum.checksum() {
        0 => 0xffff,
        checksum => checksum,
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;
    use crate::ip::Protocol;

    /// A DNS-sized datagram from 192.0.2.1:4660 to 192.0.2.2:4789.
    const DATAGRAM: [u8; 11] = [0x12, 0x34, 0x12, 0xb5, 0x00, 0x0b, 0x00, 0x00, b'a', b'b', b'c'];

    fn pseudo_header() -> Sum {
        Sum::of_pseudo_ipv4(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2), Protocol::UDP, 11)
    }

    #[test]
    fn reads_and_writes() {
        let (header, length) = Header::parse(&DATAGRAM).unwrap();
        assert_eq!(header, Header { source_port: 4660, destination_port: 4789, length: 11, checksum: 0 });
        assert_eq!((length, header.to_bytes().as_slice()), (8, &DATAGRAM[..8]));
        for length in 0..11 {
            assert_eq!(Header::parse(&DATAGRAM[..length]), Err(Error::Truncated), "{length} bytes");
        }
        let mut short = DATAGRAM;
        short[5] = 7;
        assert_eq!(Header::parse(&short), Err(Error::Malformed));
    }

    #[test]
    fn checksum_covers_everything() {
        let mut datagram = DATAGRAM;
        let sum = checksum(pseudo_header() + Sum::of(&datagram));
        datagram[6..8].copy_from_slice(&sum.to_be_bytes());
        assert!(checksum_is_valid(pseudo_header(), &datagram));
        for at in 0..11 {
            let mut other = datagram;
            other[at] ^= 0x40;
            assert!(!checksum_is_valid(pseudo_header(), &other), "byte {at}");
        }
    }

    #[test]
    fn a_zero_checksum_is_sent_as_all_ones() {
        // A last word that makes the sum come out as all ones.
        let mut datagram = [0x12, 0x34, 0x12, 0xb5, 0x00, 0x0a, 0x00, 0x00, 0x00, 0x00];
        let rest = (pseudo_header() + Sum::of(&datagram)).checksum();
        datagram[8..].copy_from_slice(&rest.to_be_bytes());
        assert_eq!((pseudo_header() + Sum::of(&datagram)).checksum(), 0);
        assert_eq!(checksum(pseudo_header() + Sum::of(&datagram)), 0xffff);
        datagram[6..8].copy_from_slice(&[0xff, 0xff]);
        assert!(checksum_is_valid(pseudo_header(), &datagram));
    }
}
