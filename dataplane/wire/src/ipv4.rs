//! The IPv4 header (RFC 791).
//!
//! ```text
//! 0        1         2             4               6                8    9         10        12      16           20
//! version  traffic   total length  identification  flags, fragment  TTL  protocol  checksum  source  destination  options
//! and IHL  class
//! ```

use core::net::Ipv4Addr;

use crate::checksum::Sum;
use crate::ip::{Protocol, TrafficClass};
use crate::{Error, Result};

/// Bytes of the header without options, and of every header written here.
pub const LENGTH: usize = 20;
/// Bytes of the longest header with options.
pub const MAX_LENGTH: usize = 60;

/// Byte offsets of the fields.
pub mod offset {
    /// Traffic class (type of service), one byte.
    pub const TRAFFIC_CLASS: usize = 1;
    /// Total length in bytes, header included, two bytes.
    pub const TOTAL_LENGTH: usize = 2;
    /// Identification, two bytes.
    pub const IDENTIFICATION: usize = 4;
    /// Flags (3 bits) and fragment offset (13 bits), two bytes.
    pub const FRAGMENT: usize = 6;
    /// Time to live, one byte.
    pub const TTL: usize = 8;
    /// Protocol, one byte.
    pub const PROTOCOL: usize = 9;
    /// Header checksum, two bytes.
    pub const CHECKSUM: usize = 10;
    /// Source address, four bytes.
    pub const SOURCE: usize = 12;
    /// Destination address, four bytes.
    pub const DESTINATION: usize = 16;
}

/// The DF flag, in the field of flags and fragment offset.
pub const DONT_FRAGMENT: u16 = 0x4000;
/// The MF flag, in the same field.
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// The fragment offset, in the same field.
pub const FRAGMENT_OFFSET: u16 = 0x1fff;

/// The header without its options and checksum. Parsing does not verify the checksum ([`checksum_is_valid`] does),
/// emitting computes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// DSCP and ECN.
    pub traffic_class: TrafficClass,
    /// Bytes of the packet, this header included.
    pub total_length: u16,
    /// Common to all fragments of a packet.
    pub identification: u16,
    /// DF: routers must not fragment.
    pub dont_fragment: bool,
    /// MF: this is not the last fragment.
    pub more_fragments: bool,
    /// Where the fragment's payload belongs, in units of 8 bytes, below 8192.
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: Protocol,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
}

impl Header {
    /// Reads the header of a packet that is all there: `bytes` may be longer (Ethernet padding), but not shorter than
    /// the total length. The length returned includes options: the payload is `bytes[length..total_length]`.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the packet is not all there; [`Error::Malformed`] if the version is not 4 or a length
    /// contradicts another.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let (header, length) = Self::parse_quoted(bytes)?;
        if usize::from(header.total_length) > bytes.len() {
            return Err(Error::Truncated);
        }
        Ok((header, length))
    }

    /// As [`Header::parse`] for a packet of which perhaps only the beginning is there, as ICMP errors quote it.
    ///
    /// # Errors
    /// As [`Header::parse`], but only the header itself must be all there.
    #[inline]
    pub fn parse_quoted(bytes: &[u8]) -> Result<(Self, usize)> {
        let fixed = bytes.first_chunk::<LENGTH>().ok_or(Error::Truncated)?;
        let length = usize::from(fixed[0] & 0x0f) * 4;
        let header = Self::from_fixed(fixed);
        if fixed[0] >> 4 != 4 || length < LENGTH || usize::from(header.total_length) < length {
            return Err(Error::Malformed);
        }
        if length > bytes.len() { Err(Error::Truncated) } else { Ok((header, length)) }
    }

    #[inline]
    fn from_fixed(fixed: &[u8; LENGTH]) -> Self {
        let [_, class, l0, l1, i0, i1, f0, f1, ttl, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
        let fragment = u16::from_be_bytes([f0, f1]);
        Self {
            traffic_class: TrafficClass(class),
            total_length: u16::from_be_bytes([l0, l1]),
            identification: u16::from_be_bytes([i0, i1]),
            dont_fragment: fragment & DONT_FRAGMENT != 0,
            more_fragments: fragment & MORE_FRAGMENTS != 0,
            fragment_offset: fragment & FRAGMENT_OFFSET,
            ttl,
            protocol: Protocol(protocol),
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
        }
    }

    /// Whether the packet is a fragment, the first or a later one.
    #[inline]
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// Whether the packet holds the beginning of its payload: it is no fragment or the first.
    #[inline]
    #[must_use]
    pub const fn has_upper_header(&self) -> bool {
        self.fragment_offset == 0
    }

    /// The bytes of a header without options, checksum computed.
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LENGTH] {
        let flags = u16::from(self.dont_fragment) << 14 | u16::from(self.more_fragments) << 13;
        let [l0, l1] = self.total_length.to_be_bytes();
        let [i0, i1] = self.identification.to_be_bytes();
        let [f0, f1] = (flags | self.fragment_offset & FRAGMENT_OFFSET).to_be_bytes();
        let [s0, s1, s2, s3] = self.source.octets();
        let [d0, d1, d2, d3] = self.destination.octets();
        let (class, ttl, protocol) = (self.traffic_class.0, self.ttl, self.protocol.0);
        let mut bytes =
            [0x45, class, l0, l1, i0, i1, f0, f1, ttl, protocol, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
        [bytes[offset::CHECKSUM], bytes[offset::CHECKSUM + 1]] = Sum::of(&bytes).checksum().to_be_bytes();
        bytes
    }

    /// Writes a header without options, checksum computed, and gives its length.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) -> Result<usize> {
        *bytes.first_chunk_mut().ok_or(Error::Truncated)? = self.to_bytes();
        Ok(LENGTH)
    }
}

/// Whether the checksum of a header is right. `header` is exactly the header, options included.
#[inline]
#[must_use]
pub fn checksum_is_valid(header: &[u8]) -> bool {
    // Nearly every header has no options; a known length needs no loop.
    match <&[u8; LENGTH]>::try_from(header) {
        Ok(fixed) => Sum::of(fixed).is_valid(),
        Err(_) => Sum::of(header).is_valid(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 192.168.0.1 to 192.168.0.199, UDP, DF, 115 bytes; a checksum known from many textbooks.
    const HEADER: [u8; 20] = [
        0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0,
        0xa8, 0x00, 0xc7,
    ];

    #[test]
    fn reads_and_writes_with_checksum() {
        let mut packet = [0; 115];
        packet[..20].copy_from_slice(&HEADER);
        let (header, length) = Header::parse(&packet).unwrap();
        assert_eq!(length, 20);
        assert_eq!(header.source, Ipv4Addr::new(192, 168, 0, 1));
        assert_eq!(header.destination, Ipv4Addr::new(192, 168, 0, 199));
        assert_eq!((header.protocol, header.ttl, header.total_length), (Protocol::UDP, 64, 115));
        assert!(header.dont_fragment && !header.is_fragment() && header.has_upper_header());
        assert!(checksum_is_valid(&HEADER));
        assert_eq!(header.to_bytes(), HEADER);
        for at in 0..20 {
            let mut other = HEADER;
            other[at] ^= 1;
            assert!(!checksum_is_valid(&other), "byte {at}");
        }
        for length in 0..115 {
            assert_eq!(Header::parse(&packet[..length]), Err(Error::Truncated), "{length} bytes");
        }
        assert_eq!(Header::parse_quoted(&packet[..20]), Ok((header, 20)));
    }

    #[test]
    fn options_count_as_header() {
        let mut packet = [0; 120];
        packet[..20].copy_from_slice(&HEADER);
        packet[0] = 0x46;
        packet[20..24].copy_from_slice(&[148, 4, 0, 0]);
        let (_, length) = Header::parse(&packet).unwrap();
        assert_eq!(length, 24);
        let checksum = crate::checksum::update(0xb861, 0x4500, 0x4600);
        let checksum = crate::checksum::update(checksum, 0, 0x9404);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        assert!(checksum_is_valid(&packet[..length]));
    }

    #[test]
    fn contradictions_are_refused() {
        let change = |at: usize, value: u8| {
            let mut packet = [0; 115];
            packet[..20].copy_from_slice(&HEADER);
            packet[at] = value;
            Header::parse(&packet).map(|_| ())
        };
        assert_eq!(change(0, 0x65), Err(Error::Malformed), "version 6");
        assert_eq!(change(0, 0x44), Err(Error::Malformed), "16 bytes of header");
        assert_eq!(change(3, 19), Err(Error::Malformed), "total length below the header's");
        assert_eq!(change(3, 116), Err(Error::Truncated));
        assert_eq!(change(3, 20), Ok(()));
    }

    #[test]
    fn fragments_are_known() {
        let flags = |high: u8, low: u8| {
            let mut bytes = HEADER;
            [bytes[6], bytes[7]] = [high, low];
            Header::parse_quoted(&bytes).unwrap().0
        };
        let first = flags(0x20, 0);
        assert!(first.is_fragment() && first.has_upper_header() && first.more_fragments);
        let later = flags(0x20, 0xb9);
        assert!(later.is_fragment() && !later.has_upper_header());
        assert_eq!(later.fragment_offset, 185);
        let last = flags(0x00, 1);
        assert!(last.is_fragment() && !last.more_fragments && !last.has_upper_header());
        assert!(!flags(0x80, 0).is_fragment(), "the reserved bit means nothing");
    }
}
