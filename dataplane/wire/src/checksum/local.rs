//! The sum of a whole frame from its headers alone ("local checksum offload", the kernel's
//! `Documentation/networking/checksum-offloads.rst`).
//!
//! A TCP segment or UDP datagram whose checksum is right adds up with its pseudo-header to all ones. So its sum is the
//! complement of its pseudo-header's, whatever the payload is.

use crate::checksum::Sum;
use crate::ethernet::{self, EtherType};
use crate::ip::Protocol;
use crate::{ipv4, ipv6, udp};

/// The sum of an Ethernet frame whose TCP or UDP checksum is known to be right. `None` for any other frame, and for one
/// with bytes behind what the checksum covers.
#[inline]
#[must_use]
pub fn sum_of_complete(frame: &[u8]) -> Option<Sum> {
    Segment::find(frame).and_then(|segment| segment.sum(frame))
}

/// The sum that an Ethernet frame will have in which only the pseudo-header's sum stands, once its checksum is computed
/// ([`super::complete_partial`]). `None` for any other frame, and for one with bytes behind what the checksum covers.
#[inline]
#[must_use]
pub fn sum_of_partial(frame: &[u8]) -> Option<Sum> {
    let segment = Segment::find(frame).filter(|segment| segment.pseudo_header.fold() == segment.checksum)?;
    segment.sum(frame)
}

/// The last part of a frame: a TCP segment or UDP datagram that ends with it.
#[derive(Clone, Copy)]
struct Segment {
    /// Where it begins; an even number.
    start: usize,
    pseudo_header: Sum,
    /// What stands in the checksum field.
    checksum: u16,
}

impl Segment {
    #[inline]
    fn find(frame: &[u8]) -> Option<Self> {
        let payload = ethernet::payload(frame).ok()?;
        let packet = frame.get(payload.offset..)?;
        match payload.ethertype {
            EtherType::IPV4 => {
                let (header, start) = ipv4::Header::parse(packet).ok()?;
                let ipv4::Header { source, destination, protocol, .. } = header;
                let segment = packet.get(start..).filter(|_| !header.is_fragment())?;
                let (length, checksum) =
                    Self::fields(protocol, segment, usize::from(header.total_length) - start)?;
                let pseudo_header = Sum::of_pseudo_ipv4(source, destination, protocol, length);
                Some(Self { start: payload.offset + start, pseudo_header, checksum })
            }
            EtherType::IPV6 => {
                let (header, _) = ipv6::Header::parse(packet).ok()?;
                let upper = header.upper_layer(packet).ok()?;
                let segment =
                    packet.get(upper.offset..).filter(|_| !upper.is_fragment() && !upper.is_source_routed)?;
                let (length, checksum) = Self::fields(upper.protocol, segment, header.end() - upper.offset)?;
                let pseudo_header =
                    Sum::of_pseudo_ipv6(header.source, header.destination, upper.protocol, length.into());
                Some(Self { start: payload.offset + upper.offset, pseudo_header, checksum })
            }
            _ => None,
        }
    }

    /// The length of a segment and what stands in its checksum field, if it has one that covers `expected` bytes, which
    /// must be all there are.
    #[inline]
    fn fields(protocol: Protocol, segment: &[u8], expected: usize) -> Option<(u16, u16)> {
        let length = u16::try_from(segment.len()).ok().filter(|_| segment.len() == expected)?;
        match protocol {
            Protocol::TCP => {
                let header: &[u8; 20] = segment.first_chunk()?;
                Some((length, u16::from_be_bytes([header[16], header[17]])))
            }
            Protocol::UDP => {
                let (header, _) = udp::Header::parse(segment).ok()?;
                (header.length == length && header.checksum != 0).then_some((length, header.checksum))
            }
            _ => None,
        }
    }

    #[inline]
    fn sum(&self, frame: &[u8]) -> Option<Sum> {
        Some(Sum::of(frame.get(..self.start)?) + Sum::of_u16(!self.pseudo_header.fold()))
    }
}
