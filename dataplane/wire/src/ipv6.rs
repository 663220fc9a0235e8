//! The IPv6 header and the walk over its extension headers (RFC 8200).
//!
//! ```text
//! 0                                    4               6            7          8       24           40
//! version 4, traffic class 8, flow 20  payload length  next header  hop limit  source  destination  extension headers
//! ```

use core::net::Ipv6Addr;

use crate::ip::{Protocol, TrafficClass};
use crate::{Error, Result};

/// Bytes of the header without extension headers.
pub const LENGTH: usize = 40;
/// Most extension headers that are walked.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// Byte offsets of the fields.
pub mod offset {
    /// Version (4 bits), traffic class (8), flow label (20), four bytes.
    pub const FLOW: usize = 0;
    /// Payload length in bytes, extension headers included, two bytes.
    pub const PAYLOAD_LENGTH: usize = 4;
    /// Next header, one byte.
    pub const NEXT_HEADER: usize = 6;
    /// Hop limit, one byte.
    pub const HOP_LIMIT: usize = 7;
    /// Source address, sixteen bytes.
    pub const SOURCE: usize = 8;
    /// Destination address, sixteen bytes.
    pub const DESTINATION: usize = 24;
}

/// The header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// DSCP and ECN.
    pub traffic_class: TrafficClass,
    /// The flow label, below 2^20 (RFC 6437).
    pub flow_label: u32,
    /// Bytes behind this header, extension headers included.
    pub payload_length: u16,
    /// What follows: an extension header or the upper layer.
    pub next_header: Protocol,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address; with a routing header the next, not the last.
    pub destination: Ipv6Addr,
}

impl Header {
    /// Reads the header of a packet that is all there; `bytes` may be longer (Ethernet padding). The length returned
    /// is always [`LENGTH`], the payload `bytes[LENGTH..header.end()]`.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the packet is not all there, [`Error::Malformed`] if the version is not 6.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let (header, length) = Self::parse_quoted(bytes)?;
        if header.end() > bytes.len() { Err(Error::Truncated) } else { Ok((header, length)) }
    }

    /// As [`Header::parse`] for a packet of which perhaps only the beginning is there, as ICMPv6 errors quote it.
    ///
    /// # Errors
    /// As [`Header::parse`], but only the header itself must be all there.
    #[inline]
    pub fn parse_quoted(bytes: &[u8]) -> Result<(Self, usize)> {
        let (fixed, rest) = bytes.split_first_chunk::<8>().ok_or(Error::Truncated)?;
        let (source, rest) = rest.split_first_chunk::<16>().ok_or(Error::Truncated)?;
        let destination = rest.first_chunk::<16>().ok_or(Error::Truncated)?;
        let [f0, f1, f2, f3, l0, l1, next_header, hop_limit] = *fixed;
        let flow = u32::from_be_bytes([f0, f1, f2, f3]);
        if flow >> 28 != 6 {
            return Err(Error::Malformed);
        }
        let header = Self {
            traffic_class: TrafficClass((flow >> 20) as u8),
            flow_label: flow & 0x000f_ffff,
            payload_length: u16::from_be_bytes([l0, l1]),
            next_header: Protocol(next_header),
            hop_limit,
            source: Ipv6Addr::from_octets(*source),
            destination: Ipv6Addr::from_octets(*destination),
        };
        Ok((header, LENGTH))
    }

    /// Bytes of the whole packet, this header included.
    #[inline]
    #[must_use]
    pub const fn end(&self) -> usize {
        LENGTH + self.payload_length as usize
    }

    /// The header's bytes.
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LENGTH] {
        let flow = 6 << 28 | u32::from(self.traffic_class.0) << 20 | self.flow_label & 0x000f_ffff;
        let mut bytes = [0; LENGTH];
        bytes[..4].copy_from_slice(&flow.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.payload_length.to_be_bytes());
        bytes[6] = self.next_header.0;
        bytes[7] = self.hop_limit;
        bytes[8..24].copy_from_slice(&self.source.octets());
        bytes[24..40].copy_from_slice(&self.destination.octets());
        bytes
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

    /// Walks the extension headers, at most [`MAX_EXTENSION_HEADERS`], to the upper layer. `packet` begins with this
    /// header. The walk ends at whatever is no extension header known here, at encrypted payload, and behind the
    /// fragment header of a later fragment.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the packet ends inside an extension header, [`Error::Malformed`] if there are too many.
    #[inline]
    pub fn upper_layer(&self, packet: &[u8]) -> Result<UpperLayer> {
        let mut upper = self.next_layer();
        if matches!(self.next_header, Protocol::TCP | Protocol::UDP | Protocol::ICMPV6) {
            return Ok(upper);
        }
        walk(packet.get(..self.end()).unwrap_or(packet), &mut upper)?;
        Ok(upper)
    }

    /// Whether the packet is a fragment, as [`UpperLayer::is_fragment`] tells, but also of one in which what follows the
    /// fragment header is malformed: all pieces of a packet are alike in this.
    #[must_use]
    pub fn is_fragment(&self, packet: &[u8]) -> bool {
        let mut upper = self.next_layer();
        // However far it gets.
        let _ = walk(packet.get(..self.end()).unwrap_or(packet), &mut upper);
        upper.is_fragment()
    }

    /// What comes directly behind this header, where the walk begins.
    #[inline]
    const fn next_layer(&self) -> UpperLayer {
        UpperLayer { protocol: self.next_header, offset: LENGTH, fragment: None, is_source_routed: false }
    }
}

/// A fragment header's content (RFC 8200 section 4.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fragment {
    /// Where the fragment's payload belongs, in units of 8 bytes, below 8192.
    pub offset: u16,
    /// This is not the last fragment.
    pub more: bool,
    /// Common to all fragments of a packet.
    pub identification: u32,
}

/// Where the upper layer begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UpperLayer {
    /// What it is. In a later fragment: what the fragment header says that the whole packet has.
    pub protocol: Protocol,
    /// Bytes from the start of the packet; never beyond its end.
    pub offset: usize,
    /// The fragment header, if there is one.
    pub fragment: Option<Fragment>,
    /// A routing header has addresses left to visit: the header's destination is not that of the pseudo-header.
    pub is_source_routed: bool,
}

impl UpperLayer {
    /// Whether the packet is a fragment, the first or a later one. A fragment header around the whole packet
    /// (RFC 6946) does not make it one.
    #[inline]
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        matches!(self.fragment, Some(Fragment { offset, more, .. }) if offset != 0 || more)
    }

    /// Whether the packet holds the beginning of the upper layer: it is no fragment or the first.
    #[inline]
    #[must_use]
    pub const fn has_upper_header(&self) -> bool {
        !matches!(self.fragment, Some(Fragment { offset, .. }) if offset != 0)
    }
}

/// Walks on to the upper layer. What it has seen until an error stays.
fn walk(packet: &[u8], upper: &mut UpperLayer) -> Result<()> {
    for _ in 0..=MAX_EXTENSION_HEADERS {
        if !is_extension(upper.protocol) {
            return Ok(());
        }
        step(packet, upper)?;
        if !upper.has_upper_header() {
            return Ok(());
        }
    }
    Err(Error::Malformed)
}

/// Walks over one extension header.
fn step(packet: &[u8], upper: &mut UpperLayer) -> Result<()> {
    let kind = upper.protocol;
    let rest = packet.get(upper.offset..).ok_or(Error::Truncated)?;
    let [next, units, b2, b3, b4, b5, b6, b7] = *rest.first_chunk::<8>().ok_or(Error::Truncated)?;
    let length = match kind {
        Protocol::FRAGMENT => 8,
        Protocol::AUTHENTICATION => (usize::from(units) + 2) * 4,
        _ => (usize::from(units) + 1) * 8,
    };
    if length > rest.len() {
        return Err(Error::Truncated);
    }
    upper.protocol = Protocol(next);
    upper.offset += length;
    if kind == Protocol::ROUTING {
        upper.is_source_routed |= b3 != 0;
    } else if kind == Protocol::FRAGMENT && !upper.is_fragment() {
        // A second fragment header belongs to what was fragmented, and every piece has to look like one.
        let field = u16::from_be_bytes([b2, b3]);
        let identification = u32::from_be_bytes([b4, b5, b6, b7]);
        upper.fragment = Some(Fragment { offset: field >> 3, more: field & 1 != 0, identification });
    }
    Ok(())
}

const fn is_extension(protocol: Protocol) -> bool {
    matches!(
        protocol,
        Protocol::HOP_BY_HOP
            | Protocol::ROUTING
            | Protocol::FRAGMENT
            | Protocol::AUTHENTICATION
            | Protocol::DESTINATION_OPTIONS
            | Protocol::MOBILITY
            | Protocol::HOST_IDENTITY
            | Protocol::SHIM6
    )
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn packet(next_header: Protocol, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            traffic_class: TrafficClass(0xb9),
            flow_label: 0xf_1234,
            payload_length: payload.len() as u16,
            next_header,
            hop_limit: 64,
            source: "2001:db8::1".parse().unwrap(),
            destination: "2001:db8::2".parse().unwrap(),
        };
        [&header.to_bytes(), payload].concat()
    }

    fn walk(next_header: Protocol, payload: &[u8]) -> Result<UpperLayer> {
        let packet = packet(next_header, payload);
        let (header, _) = Header::parse(&packet).unwrap();
        header.upper_layer(&packet)
    }

    #[test]
    fn reads_and_writes() {
        let bytes = packet(Protocol::UDP, &[0; 8]);
        assert_eq!(bytes[..8], [0x6b, 0x9f, 0x12, 0x34, 0x00, 0x08, 17, 64]);
        let (header, length) = Header::parse(&bytes).unwrap();
        assert_eq!(
            (length, header.end(), header.traffic_class.dscp(), header.flow_label),
            (40, 48, 46, 0xf_1234)
        );
        assert_eq!(header.to_bytes(), bytes[..40]);
        for length in 0..48 {
            assert_eq!(Header::parse(&bytes[..length]), Err(Error::Truncated), "{length} bytes");
        }
        assert_eq!(Header::parse_quoted(&bytes[..40]), Ok((header, 40)));
        let mut other = bytes;
        other[0] = 0x4b;
        assert_eq!(Header::parse(&other), Err(Error::Malformed));
    }

    #[test]
    fn walks_to_the_upper_layer() {
        let found = walk(Protocol::TCP, &[0; 20]).unwrap();
        assert_eq!((found.protocol, found.offset, found.fragment), (Protocol::TCP, 40, None));
        // Hop-by-hop of 16 bytes, routing with nothing left, authentication of 12 + 12 bytes, then UDP.
        let mut chain = Vec::from([43, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        chain.extend([51, 0, 4, 0, 0, 0, 0, 0]);
        chain.extend([17, 4, 0, 0]);
        chain.extend([0; 20]);
        chain.extend([0; 8]);
        let found = walk(Protocol::HOP_BY_HOP, &chain).unwrap();
        assert_eq!((found.protocol, found.offset, found.is_source_routed), (Protocol::UDP, 88, false));
        for length in 0..48 {
            assert_eq!(walk(Protocol::HOP_BY_HOP, &chain[..length]), Err(Error::Truncated), "{length} bytes");
        }
        assert_eq!(walk(Protocol::ESP, &[]).unwrap().protocol, Protocol::ESP);
        assert_eq!(walk(Protocol::NO_NEXT_HEADER, &[]).unwrap().offset, 40);
    }

    #[test]
    fn fragments_end_the_walk() {
        let first = walk(Protocol::FRAGMENT, &[17, 0, 0, 1, 0, 0, 0, 9, 0, 0]).unwrap();
        assert_eq!(first.fragment, Some(Fragment { offset: 0, more: true, identification: 9 }));
        assert!(first.is_fragment() && first.has_upper_header());
        let later = walk(Protocol::FRAGMENT, &[60, 0, 0x05, 0xa8, 0, 0, 0, 9, 0xff]).unwrap();
        assert_eq!(later.fragment, Some(Fragment { offset: 181, more: false, identification: 9 }));
        assert_eq!((later.protocol, later.offset), (Protocol::DESTINATION_OPTIONS, 48));
        assert!(later.is_fragment() && !later.has_upper_header());
        let whole = walk(Protocol::FRAGMENT, &[6, 0, 0, 0, 0, 0, 0, 9]).unwrap();
        assert!(!whole.is_fragment() && whole.has_upper_header());
    }

    #[test]
    fn source_routes_are_seen() {
        let routing = [17, 2, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(walk(Protocol::ROUTING, &routing).unwrap().is_source_routed);
    }

    #[test]
    fn the_walk_is_bounded() {
        let chain = |count: usize| {
            let mut payload = [60, 0, 0, 0, 0, 0, 0, 0].repeat(count);
            payload[8 * (count - 1)] = 17;
            walk(Protocol::DESTINATION_OPTIONS, &payload)
        };
        assert_eq!(chain(MAX_EXTENSION_HEADERS).unwrap().protocol, Protocol::UDP);
        assert_eq!(chain(MAX_EXTENSION_HEADERS + 1), Err(Error::Malformed));
    }

    #[test]
    fn padding_is_no_extension_header() {
        let mut bytes = packet(Protocol::DESTINATION_OPTIONS, &[]);
        bytes.extend([17, 0, 0, 0, 0, 0, 0, 0]);
        let (header, _) = Header::parse(&bytes).unwrap();
        assert_eq!(header.upper_layer(&bytes), Err(Error::Truncated));
    }
}
