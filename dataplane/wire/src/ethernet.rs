//! The Ethernet header and its VLAN tags (IEEE 802.3 clause 3, IEEE 802.1Q clause 9).
//!
//! ```text
//! 0            6            12      14
//! destination  source       type    payload
//! destination  source       0x8100  tag control  type  payload        one tag; service tags are 0x88a8
//! ```

use crate::{Error, Mac, Result};

/// Bytes of the header without tags.
pub const LENGTH: usize = 14;
/// Bytes of one tag.
pub const TAG_LENGTH: usize = 4;
/// Most tags that are walked. Receivers may look behind more, so a frame that has more is not taken for what it might be.
pub const MAX_TAGS: usize = 4;

/// Byte offsets of the fields.
pub mod offset {
    /// Destination address, six bytes.
    pub const DESTINATION: usize = 0;
    /// Source address, six bytes.
    pub const SOURCE: usize = 6;
    /// Type, or the first tag.
    pub const ETHERTYPE: usize = 12;
}

/// What an Ethernet frame carries; below 0x0600 it is the length of an 802.2 frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4.
    pub const IPV4: Self = Self(0x0800);
    /// ARP.
    pub const ARP: Self = Self(0x0806);
    /// Transparent Ethernet bridging: an Ethernet frame inside GRE (RFC 1701, RFC 7637).
    pub const ETHERNET_BRIDGING: Self = Self(0x6558);
    /// A customer VLAN tag follows (IEEE 802.1Q).
    pub const CUSTOMER_TAG: Self = Self(0x8100);
    /// IPv6.
    pub const IPV6: Self = Self(0x86dd);
    /// A service VLAN tag follows (IEEE 802.1ad).
    pub const SERVICE_TAG: Self = Self(0x88a8);
    /// LLDP.
    pub const LLDP: Self = Self(0x88cc);

    /// Whether a VLAN tag follows.
    #[inline]
    #[must_use]
    pub const fn is_tag(self) -> bool {
        matches!(self, Self::CUSTOMER_TAG | Self::SERVICE_TAG)
    }
}

/// The header up to and including the first type field. With tags, that is the first tag's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// Whom the frame is for.
    pub destination: Mac,
    /// Who sent it.
    pub source: Mac,
    /// What follows.
    pub ethertype: EtherType,
}

impl Header {
    /// Reads the header; the length is always [`LENGTH`].
    ///
    /// # Errors
    /// [`Error::Truncated`] below 14 bytes.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<(Self, usize)> {
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] =
            *frame.first_chunk::<LENGTH>().ok_or(Error::Truncated)?;
        let header = Self {
            destination: Mac([d0, d1, d2, d3, d4, d5]),
            source: Mac([s0, s1, s2, s3, s4, s5]),
            ethertype: EtherType(u16::from_be_bytes([t0, t1])),
        };
        Ok((header, LENGTH))
    }

    /// The header's bytes.
    #[inline]
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; LENGTH] {
        let [d0, d1, d2, d3, d4, d5] = self.destination.0;
        let [s0, s1, s2, s3, s4, s5] = self.source.0;
        let [t0, t1] = self.ethertype.0.to_be_bytes();
        [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1]
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

/// A VLAN tag as it stands in the frame: its own type and the tag control information.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tag {
    /// [`EtherType::CUSTOMER_TAG`] or [`EtherType::SERVICE_TAG`].
    pub protocol: EtherType,
    /// Priority (3 bits), drop eligibility (1), VLAN identifier (12).
    pub control: u16,
}

impl Tag {
    /// The tag in these bytes, as [`Tag::to_bytes`] has them; its protocol is whatever they say.
    #[inline]
    #[must_use]
    pub const fn of_bytes([p0, p1, c0, c1]: [u8; TAG_LENGTH]) -> Self {
        Self { protocol: EtherType(u16::from_be_bytes([p0, p1])), control: u16::from_be_bytes([c0, c1]) }
    }

    /// The VLAN identifier, below 4096; 0 is a mere priority tag.
    #[inline]
    #[must_use]
    pub const fn vlan(self) -> u16 {
        self.control & 0x0fff
    }

    /// The priority code point, below 8.
    #[inline]
    #[must_use]
    pub const fn priority(self) -> u8 {
        (self.control >> 13) as u8
    }

    /// The tag's bytes, as they follow the source address or another tag.
    #[inline]
    #[must_use]
    pub const fn to_bytes(self) -> [u8; TAG_LENGTH] {
        let [p0, p1] = self.protocol.0.to_be_bytes();
        let [c0, c1] = self.control.to_be_bytes();
        [p0, p1, c0, c1]
    }
}

/// Where the payload of a frame begins, behind any tags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Payload {
    /// What it is; never a tag.
    pub ethertype: EtherType,
    /// Bytes from the start of the frame; never beyond its end.
    pub offset: usize,
    /// The outermost tag.
    pub tag: Option<Tag>,
}

/// Walks the tags of a frame, at most [`MAX_TAGS`].
///
/// # Errors
/// [`Error::Truncated`] if the frame ends before its payload's type; [`Error::Malformed`] if there are more tags.
#[inline]
pub fn payload(frame: &[u8]) -> Result<Payload> {
    let (header, offset) = Header::parse(frame)?;
    if !header.ethertype.is_tag() {
        return Ok(Payload { ethertype: header.ethertype, offset, tag: None });
    }
    tagged_payload(frame, header.ethertype)
}

fn tagged_payload(frame: &[u8], protocol: EtherType) -> Result<Payload> {
    let (mut ethertype, mut offset, mut tag) = (protocol, LENGTH, None);
    for _ in 0..MAX_TAGS {
        if !ethertype.is_tag() {
            break;
        }
        let rest = frame.get(offset..).and_then(<[u8]>::first_chunk::<TAG_LENGTH>);
        let [c0, c1, t0, t1] = *rest.ok_or(Error::Truncated)?;
        tag = tag.or(Some(Tag { protocol: ethertype, control: u16::from_be_bytes([c0, c1]) }));
        ethertype = EtherType(u16::from_be_bytes([t0, t1]));
        offset += TAG_LENGTH;
    }
    if ethertype.is_tag() { Err(Error::Malformed) } else { Ok(Payload { ethertype, offset, tag }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: [u8; 24] = [
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xa8, 0x20, 0x64, 0x81, 0x00, 0x0f, 0xff, 0x08, 0x00, 0x45,
        0x00,
    ];

    #[test]
    fn header_reads_and_writes() {
        let (header, length) = Header::parse(&FRAME).unwrap();
        let expected = Header {
            destination: Mac([2, 0, 0, 0, 0, 1]),
            source: Mac([2, 0, 0, 0, 0, 2]),
            ethertype: EtherType::SERVICE_TAG,
        };
        assert_eq!((header, length), (expected, 14));
        let mut bytes = [0; 14];
        assert_eq!(header.emit(&mut bytes), Ok(14));
        assert_eq!(bytes, FRAME[..14]);
        assert_eq!(header.emit(&mut bytes[..13]), Err(Error::Truncated));
        assert_eq!(Header::parse(&FRAME[..13]), Err(Error::Truncated));
    }

    #[test]
    fn tags_are_walked() {
        let tag = Tag { protocol: EtherType::SERVICE_TAG, control: 0x2064 };
        assert_eq!((tag.vlan(), tag.priority()), (100, 1));
        assert_eq!(tag.to_bytes(), FRAME[12..16]);
        let expected = Payload { ethertype: EtherType::IPV4, offset: 22, tag: Some(tag) };
        assert_eq!(payload(&FRAME), Ok(expected));
        assert_eq!(payload(&FRAME[..22]), Ok(expected));
        for length in 0..22 {
            assert_eq!(payload(&FRAME[..length]), Err(Error::Truncated), "{length} bytes");
        }
    }

    #[test]
    fn untagged_and_length_frames() {
        let mut frame = FRAME;
        frame[12..14].copy_from_slice(&[0x00, 0x2e]);
        let found = payload(&frame).unwrap();
        assert_eq!(found, Payload { ethertype: EtherType(46), offset: 14, tag: None });
    }

    #[test]
    fn a_stack_of_tags_is_bounded() {
        let mut frame = [0; 64];
        for tag in frame[12..].chunks_exact_mut(4) {
            tag.copy_from_slice(&[0x81, 0x00, 0x00, 0x01]);
        }
        assert_eq!(payload(&frame), Err(Error::Malformed));
        frame[12 + 4 * MAX_TAGS..][..2].copy_from_slice(&[0x08, 0x00]);
        let found = payload(&frame).unwrap();
        assert_eq!((found.ethertype, found.offset), (EtherType::IPV4, 14 + 4 * MAX_TAGS));
    }
}
