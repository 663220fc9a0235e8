//! The answer to a packet that is too big for the path to a remote and may not be cut: "fragmentation needed" (RFC 1191)
//! or "packet too big" (RFC 4443 section 3.2), made of the frame in place. As Linux does (`skb_tunnel_check_pmtu`), it
//! comes from the packet's own destination, the one address that the sender surely takes an answer from.

use wire::ethernet::{self, EtherType};
use wire::icmp::{v4, v6};
use wire::{ipv4, ipv6};

use crate::frame::Frame;
use crate::parse::Headers;

/// Least MTU of a link that carries IPv4 (RFC 791), and with it the least that is told.
const MIN_IPV4: u16 = 68;
/// Least MTU of a link that carries IPv6 (RFC 8200 section 5). A path below it does not carry IPv6, and a host told of
/// less would go on sending 1280 bytes.
const MIN_IPV6: u16 = 1280;

/// Whether the sender of a frame, whose packet exceeds `room` bytes, may be told.
pub(crate) fn is_answerable(headers: &Headers, frame: &[u8], room: u16) -> bool {
    let Some(packet) = frame.get(usize::from(headers.offset)..) else { return false };
    let (is_too_big, is_allowed) = match headers.ethertype {
        EtherType::IPV4 => (
            room >= MIN_IPV4
                && ipv4::Header::parse(packet)
                    .is_ok_and(|(header, _)| header.dont_fragment && header.total_length > room),
            v4::error_is_allowed(packet),
        ),
        EtherType::IPV6 => (
            room >= MIN_IPV6
                && ipv6::Header::parse(packet).is_ok_and(|(header, _)| header.end() > usize::from(room)),
            v6::error_is_allowed(packet),
        ),
        _ => return false,
    };
    is_too_big && is_allowed && !headers.destination.mac().is_multicast()
}

/// Makes the frame into its answer. `None` if there is no room for the headers; the frame is of no more use then.
pub(crate) fn write_answer(frame: &mut Frame<'_>, headers: &Headers, room: u16) -> Option<()> {
    let offset = usize::from(headers.offset);
    let length = match headers.ethertype {
        EtherType::IPV4 => {
            let packet = make_room::<{ v4::QUOTE_OFFSET }>(frame, offset)?;
            let (header, _) = ipv4::Header::parse_quoted(packet.get(v4::QUOTE_OFFSET..)?).ok()?;
            v4::wrap_fragmentation_needed(room, header.destination, header.source, packet).ok()?
        }
        EtherType::IPV6 => {
            let packet = make_room::<{ v6::QUOTE_OFFSET }>(frame, offset)?;
            let (header, _) = ipv6::Header::parse_quoted(packet.get(v6::QUOTE_OFFSET..)?).ok()?;
            v6::wrap_packet_too_big(room.into(), header.destination, header.source, packet).ok()?
        }
        _ => return None,
    };
    let addresses = frame.bytes_mut().first_chunk_mut::<{ ethernet::offset::ETHERTYPE }>()?;
    addresses[..ethernet::offset::SOURCE].copy_from_slice(&headers.source.mac().0);
    addresses[ethernet::offset::SOURCE..].copy_from_slice(&headers.destination.mac().0);
    frame.truncate(u16::try_from(offset + length).ok()?);
    Some(())
}

/// Makes room for `N` bytes between the Ethernet header with its tags, `offset` bytes, and the packet; gives room and
/// packet.
fn make_room<'f, const N: usize>(frame: &'f mut Frame<'_>, offset: usize) -> Option<&'f mut [u8]> {
    frame.push::<N>()?;
    let bytes = frame.bytes_mut();
    if bytes.len() < N + offset {
        return None;
    }
    bytes.copy_within(N..N + offset, 0);
    bytes.get_mut(offset..)
}
