//! Completing checksums that a workload left to its device.
//!
//! A veth peer offers checksum offload, so the kernel hands over TCP and UDP with only the pseudo-header's sum in the
//! checksum field (`CHECKSUM_PARTIAL` in the kernel's `include/linux/skbuff.h`). Nothing else in the frame says so.
//! A field that equals that sum is therefore recomputed: if it was right by chance, it comes out the same.

use crate::checksum::Sum;
use crate::ethernet::{self, EtherType};
use crate::ip::Protocol;
use crate::{ipv4, ipv6, udp};

/// Computes the TCP or UDP checksum of an Ethernet frame in which only the pseudo-header's sum stands, and tells
/// whether it did. Any other frame stays as it is: other protocols, fragments, complete checksums, malformed frames.
/// Bytes behind the IP packet (Ethernet padding) do not count.
#[inline]
pub fn complete_partial(frame: &mut [u8]) -> bool {
    let Ok(payload) = ethernet::payload(frame) else { return false };
    let Some(packet) = frame.get_mut(payload.offset..) else { return false };
    match payload.ethertype {
        EtherType::IPV4 => complete_partial_ipv4(packet),
        EtherType::IPV6 => complete_partial_ipv6(packet),
        _ => false,
    }
}

/// As [`complete_partial`] for an IPv4 packet.
#[inline]
pub fn complete_partial_ipv4(packet: &mut [u8]) -> bool {
    let Ok((header, length)) = ipv4::Header::parse(packet) else { return false };
    if header.is_fragment() {
        return false;
    }
    let Some(segment) = packet.get_mut(length..usize::from(header.total_length)) else { return false };
    complete(segment, header.protocol, |length| {
        Sum::of_pseudo_ipv4(header.source, header.destination, header.protocol, length)
    })
}

/// As [`complete_partial`] for an IPv6 packet. One with a routing header that has addresses left stays as it is too.
#[inline]
pub fn complete_partial_ipv6(packet: &mut [u8]) -> bool {
    let Ok((header, _)) = ipv6::Header::parse(packet) else { return false };
    let Ok(upper) = header.upper_layer(packet) else { return false };
    if upper.is_fragment() || upper.is_source_routed {
        return false;
    }
    let Some(segment) = packet.get_mut(upper.offset..header.end()) else { return false };
    complete(segment, upper.protocol, |length| {
        Sum::of_pseudo_ipv6(header.source, header.destination, upper.protocol, u32::from(length))
    })
}

/// Completes an upper-layer packet, given its pseudo-header's sum for its length.
#[inline]
fn complete(segment: &mut [u8], protocol: Protocol, pseudo_header: impl Fn(u16) -> Sum) -> bool {
    let (segment, offset) = match protocol {
        Protocol::TCP if segment.len() >= 20 => (segment, 16),
        Protocol::UDP => {
            // A datagram may be shorter than the packet around it; its own length counts.
            let Ok((header, _)) = udp::Header::parse(segment) else { return false };
            match segment.get_mut(..usize::from(header.length)) {
                Some(datagram) => (datagram, udp::offset::CHECKSUM),
                None => return false,
            }
        }
        _ => return false,
    };
    let Ok(length) = u16::try_from(segment.len()) else { return false };
    let Some(&[c0, c1]) = segment.get(offset..).and_then(<[u8]>::first_chunk) else { return false };
    let pseudo_header = pseudo_header(length);
    if pseudo_header.fold() != u16::from_be_bytes([c0, c1]) {
        return false;
    }
    // The field already holds the sum of the pseudo-header, so the segment as it stands is the whole sum.
    let sum = Sum::of(segment);
    let checksum = if protocol == Protocol::UDP { udp::checksum(sum) } else { sum.checksum() };
    if let Some(field) = segment.get_mut(offset..offset + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    true
}
