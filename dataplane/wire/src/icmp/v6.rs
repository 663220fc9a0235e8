//! ICMPv6 (RFC 4443).

use core::net::Ipv6Addr;

use super::{HOP_LIMIT, Header, LENGTH, emit_error, write_checksum};
use crate::checksum::Sum;
use crate::ip::{Protocol, TrafficClass};
use crate::{Error, Result, ipv6};

/// Type: packet too big.
pub const PACKET_TOO_BIG: u8 = 2;
/// Type: echo request.
pub const ECHO_REQUEST: u8 = 128;
/// Type: echo reply.
pub const ECHO_REPLY: u8 = 129;
/// Type: router solicitation (RFC 4861).
pub const ROUTER_SOLICITATION: u8 = 133;
/// Type: router advertisement (RFC 4861).
pub const ROUTER_ADVERTISEMENT: u8 = 134;
/// Type: neighbour solicitation (RFC 4861).
pub const NEIGHBOUR_SOLICITATION: u8 = 135;
/// Type: neighbour advertisement (RFC 4861).
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Type: redirect (RFC 4861).
pub const REDIRECT: u8 = 137;

/// Most bytes of the offending packet that an error quotes: the error stays within the least MTU of IPv6.
pub const MAX_QUOTE: usize = 1280 - ipv6::LENGTH - LENGTH;

/// Where the offending packet begins in a packet with an error.
pub const QUOTE_OFFSET: usize = ipv6::LENGTH + LENGTH;

/// Whether the checksum of a message is right. `message` is exactly the upper-layer packet.
#[inline]
#[must_use]
pub fn checksum_is_valid(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> bool {
    sum(source, destination, message).is_valid()
}

/// Computes the checksum of a message. `message` is exactly the upper-layer packet; below 4 bytes nothing is done.
#[inline]
pub fn fill_checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &mut [u8]) {
    write_checksum(message, 0);
    write_checksum(message, sum(source, destination, message).checksum());
}

#[inline]
fn sum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> Sum {
    // No slice of a packet comes near 4 GiB.
    let length = message.len() as u32;
    Sum::of_pseudo_ipv6(source, destination, Protocol::ICMPV6, length) + Sum::of(message)
}

/// Writes the IPv6 header before a message of `length` bytes that already stands behind it, computes the message's
/// checksum, and gives the packet's length.
pub(crate) fn finish_packet(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
    bytes: &mut [u8],
    length: usize,
) -> Result<usize> {
    let header = ipv6::Header {
        traffic_class: TrafficClass::default(),
        flow_label: 0,
        payload_length: u16::try_from(length).map_err(|_| Error::Malformed)?,
        next_header: Protocol::ICMPV6,
        hop_limit,
        source,
        destination,
    };
    let message = bytes.get_mut(ipv6::LENGTH..header.end()).ok_or(Error::Truncated)?;
    fill_checksum(source, destination, message);
    header.emit(bytes)?;
    Ok(header.end())
}

/// "Packet too big" (RFC 4443 section 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketTooBig<'a> {
    /// Largest packet that fits the next hop, IPv6 header included.
    pub mtu: u32,
    /// The offending packet, or only its beginning.
    pub packet: &'a [u8],
}

impl<'a> PacketTooBig<'a> {
    /// Reads the message; the length is that of the header, the packet quoted follows. The checksum is not verified.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 bytes, [`Error::Malformed`] if it is another message.
    pub fn parse(message: &'a [u8]) -> Result<(Self, usize)> {
        let (header, length) = Header::parse(message)?;
        if header.message_type != PACKET_TOO_BIG {
            return Err(Error::Malformed);
        }
        let packet = message.get(length..).unwrap_or_default();
        Ok((Self { mtu: u32::from_be_bytes(header.content), packet }, length))
    }

    /// Writes the message with at most [`MAX_QUOTE`] bytes of the packet and gives its length. The checksum, which
    /// depends on the addresses, is left zero: [`fill_checksum`].
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    pub fn emit(&self, message: &mut [u8]) -> Result<usize> {
        emit_error(message, packet_too_big(self.mtu), self.packet, MAX_QUOTE)
    }

    /// Writes a whole IPv6 packet with the message, checksum computed, and gives its length, at most 1280 bytes.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    pub fn emit_packet(&self, source: Ipv6Addr, destination: Ipv6Addr, bytes: &mut [u8]) -> Result<usize> {
        let length = self.emit(bytes.get_mut(ipv6::LENGTH..).ok_or(Error::Truncated)?)?;
        finish_packet(source, destination, HOP_LIMIT, bytes, length)
    }
}

/// Makes an IPv6 packet with "packet too big" around an offending packet that already stands in place: behind
/// [`QUOTE_OFFSET`] bytes. Gives the length; what is left of the offending packet behind it is no longer needed.
///
/// # Errors
/// [`Error::Truncated`] if there is no room for the headers.
pub fn wrap_packet_too_big(
    mtu: u32,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    bytes: &mut [u8],
) -> Result<usize> {
    let length = bytes.len().min(QUOTE_OFFSET + MAX_QUOTE);
    let message = bytes.get_mut(ipv6::LENGTH..length).ok_or(Error::Truncated)?;
    packet_too_big(mtu).emit(message)?;
    let length = message.len();
    finish_packet(source, destination, HOP_LIMIT, bytes, length)
}

const fn packet_too_big(mtu: u32) -> Header {
    Header { message_type: PACKET_TOO_BIG, code: 0, checksum: 0, content: mtu.to_be_bytes() }
}

/// Whether "packet too big" may be sent about this packet (RFC 4443 section 2.4 e): not about an ICMPv6 error or
/// redirect, and not to a source that is no single host. `packet` begins with an IPv6 header.
#[must_use]
pub fn error_is_allowed(packet: &[u8]) -> bool {
    let Ok((header, _)) = ipv6::Header::parse_quoted(packet) else { return false };
    let Ok(upper) = header.upper_layer(packet) else { return false };
    if header.source.is_unspecified() || header.source.is_multicast() {
        return false;
    }
    if upper.protocol != Protocol::ICMPV6 {
        return true;
    }
    // Types below 128 are errors; in a later fragment the type is unknown.
    let message_type = packet.get(upper.offset).filter(|_| upper.has_upper_header());
    message_type.is_some_and(|message_type| *message_type >= 128 && *message_type != REDIRECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const THEM: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

    fn packet(source: Ipv6Addr, next_header: Protocol, payload: &[u8]) -> [u8; 1500] {
        let mut packet = [0; 1500];
        let header = ipv6::Header {
            traffic_class: TrafficClass::default(),
            flow_label: 0,
            payload_length: 1460,
            next_header,
            hop_limit: 64,
            source,
            destination: THEM,
        };
        assert_eq!(header.emit(&mut packet), Ok(40));
        packet[40..40 + payload.len()].copy_from_slice(payload);
        packet
    }

    #[test]
    fn packet_too_big_quotes_within_1280_bytes() {
        let offending = packet(THEM, Protocol::UDP, &[1; 1460]);
        let error = PacketTooBig { mtu: 1400, packet: &offending };
        let mut bytes = [0; 1300];
        assert_eq!(error.emit_packet(US, THEM, &mut bytes), Ok(1280));
        let (header, start) = ipv6::Header::parse(&bytes[..1280]).unwrap();
        assert_eq!((header.source, header.destination, header.end()), (US, THEM, 1280));
        let message = &bytes[start..1280];
        assert_eq!((message[0], message[1]), (2, 0));
        assert!(checksum_is_valid(US, THEM, message));
        assert!(!checksum_is_valid(US, US, message));
        let (read, _) = PacketTooBig::parse(message).unwrap();
        assert_eq!((read.mtu, read.packet), (1400, &offending[..MAX_QUOTE]));
        assert_eq!(error.emit_packet(US, THEM, &mut bytes[..1279]), Err(Error::Truncated));
        assert_eq!(PacketTooBig::parse(&[3, 0, 0, 0, 0, 0, 0, 0]), Err(Error::Malformed));
    }

    #[test]
    fn an_error_can_be_put_around_a_packet_in_place() {
        for size in [40, 100, 1231, 1232, 1233, 1500] {
            let offending = packet(THEM, Protocol::UDP, &[1; 1460]);
            let error = PacketTooBig { mtu: 1400, packet: &offending[..size] };
            let (mut copied, mut wrapped) = ([0; 1300], [0; 1600]);
            let length = error.emit_packet(US, THEM, &mut copied).unwrap();
            wrapped[QUOTE_OFFSET..QUOTE_OFFSET + size].copy_from_slice(&offending[..size]);
            let bytes = &mut wrapped[..QUOTE_OFFSET + size];
            assert_eq!(wrap_packet_too_big(1400, US, THEM, bytes), Ok(length));
            assert_eq!(wrapped[..length], copied[..length]);
        }
        assert_eq!(wrap_packet_too_big(1400, US, THEM, &mut [0; 47]), Err(Error::Truncated));
    }

    #[test]
    fn errors_are_not_sent_about_everything() {
        assert!(error_is_allowed(&packet(US, Protocol::UDP, &[])));
        assert!(!error_is_allowed(&packet(Ipv6Addr::UNSPECIFIED, Protocol::UDP, &[])));
        assert!(!error_is_allowed(&packet("ff02::1".parse().unwrap(), Protocol::UDP, &[])));
        for (message_type, allowed) in [(1, false), (127, false), (ECHO_REQUEST, true), (REDIRECT, false)] {
            assert_eq!(error_is_allowed(&packet(US, Protocol::ICMPV6, &[message_type])), allowed);
        }
        let first = [58, 0, 0, 1, 0, 0, 0, 1, ECHO_REQUEST];
        assert!(error_is_allowed(&packet(US, Protocol::FRAGMENT, &first)));
        let later = [58, 0, 1, 0, 0, 0, 0, 1, ECHO_REQUEST];
        assert!(!error_is_allowed(&packet(US, Protocol::FRAGMENT, &later)));
        assert!(!error_is_allowed(&[0x60]));
    }
}
