//! ICMP for IPv4 (RFC 792), "fragmentation needed" (RFC 1191).

use core::net::Ipv4Addr;

use super::{HOP_LIMIT, Header, LENGTH, emit_error, write_checksum};
use crate::checksum::Sum;
use crate::ip::{Protocol, TrafficClass};
use crate::{Error, Result, ipv4};

/// Type: echo reply.
pub const ECHO_REPLY: u8 = 0;
/// Type: destination unreachable.
pub const DESTINATION_UNREACHABLE: u8 = 3;
/// Type: source quench.
const SOURCE_QUENCH: u8 = 4;
/// Type: redirect.
const REDIRECT: u8 = 5;
/// Type: echo request.
pub const ECHO_REQUEST: u8 = 8;
/// Type: time exceeded.
pub const TIME_EXCEEDED: u8 = 11;
/// Type: parameter problem.
const PARAMETER_PROBLEM: u8 = 12;
/// Code of [`DESTINATION_UNREACHABLE`]: fragmentation needed, but DF is set.
pub const CODE_FRAGMENTATION_NEEDED: u8 = 4;

/// Most bytes of the offending packet that an error quotes: the error stays within 576 bytes (RFC 1812
/// section 4.3.2.3).
pub const MAX_QUOTE: usize = 576 - ipv4::LENGTH - LENGTH;

/// Where the offending packet begins in a packet with an error.
pub const QUOTE_OFFSET: usize = ipv4::LENGTH + LENGTH;

/// Whether the checksum of a message is right. `message` is exactly the IPv4 payload.
#[inline]
#[must_use]
pub fn checksum_is_valid(message: &[u8]) -> bool {
    Sum::of(message).is_valid()
}

/// "Fragmentation needed and DF set" (RFC 1191 section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FragmentationNeeded<'a> {
    /// Largest packet that fits the next hop, IPv4 header included; 0 from routers older than RFC 1191.
    pub mtu: u16,
    /// The offending packet, or only its beginning.
    pub packet: &'a [u8],
}

impl<'a> FragmentationNeeded<'a> {
    /// Reads the message; the length is that of the header, the packet quoted follows. The checksum is not verified.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 bytes, [`Error::Malformed`] if it is another message.
    pub fn parse(message: &'a [u8]) -> Result<(Self, usize)> {
        let (header, length) = Header::parse(message)?;
        if (header.message_type, header.code) != (DESTINATION_UNREACHABLE, CODE_FRAGMENTATION_NEEDED) {
            return Err(Error::Malformed);
        }
        let [_, _, m0, m1] = header.content;
        let packet = message.get(length..).unwrap_or_default();
        Ok((Self { mtu: u16::from_be_bytes([m0, m1]), packet }, length))
    }

    /// Writes the message, checksum computed, with at most [`MAX_QUOTE`] bytes of the packet, and gives its length.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    pub fn emit(&self, message: &mut [u8]) -> Result<usize> {
        let length = emit_error(message, fragmentation_needed(self.mtu), self.packet, MAX_QUOTE)?;
        let message = message.get_mut(..length).ok_or(Error::Truncated)?;
        write_checksum(message, Sum::of(message).checksum());
        Ok(length)
    }

    /// Writes a whole IPv4 packet with the message and gives its length, at most 576 bytes.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    pub fn emit_packet(&self, source: Ipv4Addr, destination: Ipv4Addr, bytes: &mut [u8]) -> Result<usize> {
        let length = ipv4::LENGTH + self.emit(bytes.get_mut(ipv4::LENGTH..).ok_or(Error::Truncated)?)?;
        emit_ip_header(source, destination, length, bytes)?;
        Ok(length)
    }
}

/// Makes an IPv4 packet with "fragmentation needed" around an offending packet that already stands in place: behind
/// [`QUOTE_OFFSET`] bytes. Gives the length; what is left of the offending packet behind it is no longer needed.
///
/// # Errors
/// [`Error::Truncated`] if there is no room for the headers.
pub fn wrap_fragmentation_needed(
    mtu: u16,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    bytes: &mut [u8],
) -> Result<usize> {
    let length = bytes.len().min(QUOTE_OFFSET + MAX_QUOTE);
    let message = bytes.get_mut(ipv4::LENGTH..length).ok_or(Error::Truncated)?;
    fragmentation_needed(mtu).emit(message)?;
    write_checksum(message, Sum::of(message).checksum());
    emit_ip_header(source, destination, length, bytes)?;
    Ok(length)
}

const fn fragmentation_needed(mtu: u16) -> Header {
    let [m0, m1] = mtu.to_be_bytes();
    Header {
        message_type: DESTINATION_UNREACHABLE,
        code: CODE_FRAGMENTATION_NEEDED,
        checksum: 0,
        content: [0, 0, m0, m1],
    }
}

/// Writes the IPv4 header of an error of `length` bytes, itself included.
fn emit_ip_header(source: Ipv4Addr, destination: Ipv4Addr, length: usize, bytes: &mut [u8]) -> Result<()> {
    let header = ipv4::Header {
        // Internetwork control, as RFC 1812 section 4.3.2.5 asks of ICMP errors.
        traffic_class: TrafficClass::new(48, 0),
        total_length: u16::try_from(length).map_err(|_| Error::Malformed)?,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        ttl: HOP_LIMIT,
        protocol: Protocol::ICMP,
        source,
        destination,
    };
    header.emit(bytes)?;
    Ok(())
}

/// Whether an error about this packet may be sent at all (RFC 1122 section 3.2.2, RFC 1812 section 4.3.2.7): not about
/// an ICMP error, a later fragment, a packet to many or from nobody in particular. Whether the frame's destination
/// was one host is for the caller to check. `packet` begins with an IPv4 header.
#[must_use]
pub fn error_is_allowed(packet: &[u8]) -> bool {
    let Ok((header, length)) = ipv4::Header::parse_quoted(packet) else { return false };
    let is_host = |address: Ipv4Addr| !address.is_multicast() && !address.is_broadcast();
    let [first, ..] = header.source.octets();
    let source_is_host = is_host(header.source) && first != 0 && first != 127 && first < 240;
    if !source_is_host || !is_host(header.destination) || !header.has_upper_header() {
        return false;
    }
    header.protocol != Protocol::ICMP
        || packet.get(length).is_some_and(|message_type| !is_error(*message_type))
}

const fn is_error(message_type: u8) -> bool {
    matches!(
        message_type,
        DESTINATION_UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const THEM: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn packet(change: impl Fn(&mut ipv4::Header)) -> [u8; 1500] {
        let mut packet = [0xa5; 1500];
        let mut header = ipv4::Header {
            traffic_class: TrafficClass::default(),
            total_length: 1500,
            identification: 7,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 64,
            protocol: Protocol::TCP,
            source: THEM,
            destination: Ipv4Addr::new(10, 0, 0, 3),
        };
        change(&mut header);
        assert_eq!(header.emit(&mut packet), Ok(20));
        packet
    }

    #[test]
    fn fragmentation_needed_quotes_within_576_bytes() {
        let offending = packet(|_| ());
        let error = FragmentationNeeded { mtu: 1450, packet: &offending };
        let mut bytes = [0; 600];
        assert_eq!(error.emit_packet(US, THEM, &mut bytes), Ok(576));
        let (header, start) = ipv4::Header::parse(&bytes[..576]).unwrap();
        assert_eq!((header.source, header.destination, header.protocol), (US, THEM, Protocol::ICMP));
        let message = &bytes[start..576];
        assert!(ipv4::checksum_is_valid(&bytes[..start]) && checksum_is_valid(message));
        assert_eq!(message[..2], [3, 4]);
        assert_eq!(message[4..8], [0, 0, 0x05, 0xaa]);
        let (read, _) = FragmentationNeeded::parse(message).unwrap();
        assert_eq!((read.mtu, read.packet), (1450, &offending[..MAX_QUOTE]));
        let (quoted, _) = ipv4::Header::parse_quoted(read.packet).unwrap();
        assert_eq!((quoted.total_length, quoted.identification), (1500, 7));
        assert_eq!(error.emit_packet(US, THEM, &mut bytes[..575]), Err(Error::Truncated));
        assert_eq!(FragmentationNeeded::parse(&[3, 3, 0, 0, 0, 0, 0, 0]), Err(Error::Malformed));
    }

    #[test]
    fn an_error_can_be_put_around_a_packet_in_place() {
        for size in [20, 100, 547, 548, 549, 1500] {
            let offending = packet(|_| ());
            let error = FragmentationNeeded { mtu: 1450, packet: &offending[..size] };
            let (mut copied, mut wrapped) = ([0; 600], [0; 1600]);
            let length = error.emit_packet(US, THEM, &mut copied).unwrap();
            wrapped[QUOTE_OFFSET..QUOTE_OFFSET + size].copy_from_slice(&offending[..size]);
            let bytes = &mut wrapped[..QUOTE_OFFSET + size];
            assert_eq!(wrap_fragmentation_needed(1450, US, THEM, bytes), Ok(length));
            assert_eq!(wrapped[..length], copied[..length]);
        }
        assert_eq!(wrap_fragmentation_needed(1450, US, THEM, &mut [0; 27]), Err(Error::Truncated));
    }

    #[test]
    fn a_short_packet_is_quoted_whole() {
        let mut bytes = [0; 60];
        let error = FragmentationNeeded { mtu: 1450, packet: &[1, 2, 3] };
        assert_eq!(error.emit_packet(US, THEM, &mut bytes), Ok(31));
        assert_eq!(bytes[28..31], [1, 2, 3]);
        assert!(checksum_is_valid(&bytes[20..31]));
    }

    #[test]
    fn errors_are_not_sent_about_everything() {
        assert!(error_is_allowed(&packet(|_| ())));
        assert!(error_is_allowed(&packet(|header| header.more_fragments = true)));
        assert!(!error_is_allowed(&packet(|header| header.fragment_offset = 185)));
        for destination in [Ipv4Addr::BROADCAST, Ipv4Addr::new(239, 1, 1, 1)] {
            assert!(!error_is_allowed(&packet(|header| header.destination = destination)));
        }
        for source in
            [Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST, Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::BROADCAST]
        {
            assert!(!error_is_allowed(&packet(|header| header.source = source)), "{source}");
        }
        let mut icmp = packet(|header| header.protocol = Protocol::ICMP);
        for (message_type, allowed) in
            [(ECHO_REQUEST, true), (ECHO_REPLY, true), (3, false), (11, false), (5, false)]
        {
            icmp[20] = message_type;
            assert_eq!(error_is_allowed(&icmp), allowed, "type {message_type}");
        }
        assert!(!error_is_allowed(&icmp[..20]), "a type that is not there");
        assert!(!error_is_allowed(&[]));
    }
}
