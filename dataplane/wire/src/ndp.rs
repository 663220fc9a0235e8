//! Neighbour discovery (RFC 4861): solicitation and advertisement.
//!
//! ```text
//! 0     1     2         4       8       24
//! type  code  checksum  flags   target  options: type, length in units of 8 bytes, value
//! ```

use core::net::Ipv6Addr;

use crate::icmp::{self, v6};
use crate::{Error, Mac, Result, ipv6};

/// Bytes of a message without options.
pub const LENGTH: usize = 24;
/// Bytes of a message with one link-layer address.
pub const MAX_LENGTH: usize = LENGTH + OPTION_LENGTH;
/// Hop limit of every message, so that none comes from beyond a router (RFC 4861 section 7.1).
pub const HOP_LIMIT: u8 = 255;

/// Option type: the sender's link-layer address.
const SOURCE_LINK_LAYER: u8 = 1;
/// Option type: the target's link-layer address.
const TARGET_LINK_LAYER: u8 = 2;
/// Bytes of an option with an Ethernet address.
const OPTION_LENGTH: usize = 8;

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// Who has the target address?
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Solicitation {
    /// The address asked for; never multicast.
    pub target: Ipv6Addr,
    /// The asker's Ethernet address; none in duplicate address detection.
    pub source_mac: Option<Mac>,
}

/// The target address is at this link-layer address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Advertisement {
    /// R: the sender is a router.
    pub is_router: bool,
    /// S: this answers a solicitation.
    pub is_solicited: bool,
    /// O: what receivers have cached is to be overwritten.
    pub overrides: bool,
    /// The address; never multicast.
    pub target: Ipv6Addr,
    /// Its Ethernet address; none means that the receiver has it already.
    pub target_mac: Option<Mac>,
}

/// Checks what [`Solicitation::parse`] and [`Advertisement::parse`] cannot see: hop limit 255 and the checksum.
/// `message` is exactly the upper-layer packet of the packet with this header.
///
/// # Errors
/// [`Error::Malformed`] if one of them is wrong.
pub fn validate(header: &ipv6::Header, message: &[u8]) -> Result<()> {
    let is_valid =
        header.hop_limit == HOP_LIMIT && v6::checksum_is_valid(header.source, header.destination, message);
    if is_valid { Ok(()) } else { Err(Error::Malformed) }
}

/// The multicast address at which the owner of `target` listens for solicitations (RFC 4291 section 2.7.1).
#[must_use]
pub const fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b] = target.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a & 0xff, b)
}

impl Solicitation {
    /// Reads a message and all its options; the length is that of the whole message. `message` is exactly the
    /// upper-layer packet. Hop limit and checksum are for [`validate`].
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Malformed`] if it is another message or one that RFC 4861 section 7.1.1 has
    /// receivers discard.
    pub fn parse(message: &[u8]) -> Result<(Self, usize)> {
        let (_, target) = parse_fixed(message, v6::NEIGHBOUR_SOLICITATION)?;
        let source_mac = link_layer_address(message, SOURCE_LINK_LAYER)?;
        Ok((Self { target, source_mac }, message.len()))
    }

    /// Writes the message and gives its length. The checksum is left zero: [`v6::fill_checksum`].
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    pub fn emit(&self, message: &mut [u8]) -> Result<usize> {
        let option = self.source_mac.map(|mac| (SOURCE_LINK_LAYER, mac));
        emit_message(message, v6::NEIGHBOUR_SOLICITATION, 0, self.target, option)
    }

    /// Writes a whole IPv6 packet with the message, checksum computed, and gives its length.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    pub fn emit_packet(&self, source: Ipv6Addr, destination: Ipv6Addr, bytes: &mut [u8]) -> Result<usize> {
        let length = self.emit(bytes.get_mut(ipv6::LENGTH..).ok_or(Error::Truncated)?)?;
        v6::finish_packet(source, destination, HOP_LIMIT, bytes, length)
    }

    /// The advertisement that answers: the target is at `mac`, and receivers take it over (RFC 4861 section 7.2.4).
    #[must_use]
    pub const fn answer(&self, mac: Mac, is_router: bool) -> Advertisement {
        Advertisement {
            is_router,
            is_solicited: true,
            overrides: true,
            target: self.target,
            target_mac: Some(mac),
        }
    }
}

impl Advertisement {
    /// Reads a message and all its options; the length is that of the whole message. `message` is exactly the
    /// upper-layer packet. Hop limit and checksum are for [`validate`].
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Malformed`] if it is another message or one that RFC 4861 section 7.1.2 has
    /// receivers discard.
    pub fn parse(message: &[u8]) -> Result<(Self, usize)> {
        let (flags, target) = parse_fixed(message, v6::NEIGHBOUR_ADVERTISEMENT)?;
        let advertisement = Self {
            is_router: flags & ROUTER != 0,
            is_solicited: flags & SOLICITED != 0,
            overrides: flags & OVERRIDE != 0,
            target,
            target_mac: link_layer_address(message, TARGET_LINK_LAYER)?,
        };
        Ok((advertisement, message.len()))
    }

    /// Writes the message and gives its length. The checksum is left zero: [`v6::fill_checksum`].
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    pub fn emit(&self, message: &mut [u8]) -> Result<usize> {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags = flag(self.is_router, ROUTER)
            | flag(self.is_solicited, SOLICITED)
            | flag(self.overrides, OVERRIDE);
        let option = self.target_mac.map(|mac| (TARGET_LINK_LAYER, mac));
        emit_message(message, v6::NEIGHBOUR_ADVERTISEMENT, flags, self.target, option)
    }

    /// Writes a whole IPv6 packet with the message, checksum computed, and gives its length.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    pub fn emit_packet(&self, source: Ipv6Addr, destination: Ipv6Addr, bytes: &mut [u8]) -> Result<usize> {
        let length = self.emit(bytes.get_mut(ipv6::LENGTH..).ok_or(Error::Truncated)?)?;
        v6::finish_packet(source, destination, HOP_LIMIT, bytes, length)
    }
}

/// One option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NdpOption<'a> {
    /// What it is (IANA "IPv6 Neighbor Discovery Option Formats").
    pub option_type: u8,
    /// Its value with any padding, without type and length: 6 bytes and a multiple of 8.
    pub value: &'a [u8],
}

/// The options of a message; after an error there are no more.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
}

/// The options that follow the fixed part of a message, here `options`.
#[must_use]
pub const fn options(options: &[u8]) -> Options<'_> {
    Options { rest: options }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<NdpOption<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match *self.rest {
            [] => return None,
            [_, 0, ..] => Err(Error::Malformed),
            [option_type, units, ..] => match self.rest.split_at_checked(usize::from(units) * 8) {
                Some(([_, _, value @ ..], rest)) => {
                    self.rest = rest;
                    return Some(Ok(NdpOption { option_type, value }));
                }
                _ => Err(Error::Truncated),
            },
            [_] => Err(Error::Truncated),
        };
        self.rest = &[];
        Some(found)
    }
}

/// The flags and the target of a message of this type.
fn parse_fixed(message: &[u8], message_type: u8) -> Result<(u8, Ipv6Addr)> {
    let (header, length) = icmp::Header::parse(message)?;
    let rest = message.get(length..).unwrap_or_default();
    let target = Ipv6Addr::from_octets(*rest.first_chunk().ok_or(Error::Truncated)?);
    if header.message_type != message_type || header.code != 0 || target.is_multicast() {
        return Err(Error::Malformed);
    }
    Ok((header.content[0], target))
}

/// The first link-layer address option of this type. Every option is looked at: one that is malformed spoils the
/// message.
fn link_layer_address(message: &[u8], option_type: u8) -> Result<Option<Mac>> {
    let mut address = None;
    for option in options(message.get(LENGTH..).ok_or(Error::Truncated)?) {
        let option = option?;
        if option.option_type == option_type && address.is_none() {
            address = Some(Mac(option.value.try_into().map_err(|_| Error::Malformed)?));
        }
    }
    Ok(address)
}

fn emit_message(
    message: &mut [u8],
    message_type: u8,
    flags: u8,
    target: Ipv6Addr,
    option: Option<(u8, Mac)>,
) -> Result<usize> {
    let header = icmp::Header { message_type, code: 0, checksum: 0, content: [flags, 0, 0, 0] };
    let length = if option.is_some() { MAX_LENGTH } else { LENGTH };
    let message = message.get_mut(..length).ok_or(Error::Truncated)?;
    let (fixed, place) = message.split_at_mut(LENGTH);
    let start = header.emit(fixed)?;
    fixed[start..].copy_from_slice(&target.octets());
    if let Some((option_type, mac)) = option {
        let [a, b, c, d, e, f] = mac.0;
        place.copy_from_slice(&[option_type, 1, a, b, c, d, e, f]);
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 0x0a]);
    const US: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const THEM: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

    fn solicitation() -> [u8; 72] {
        let mut packet = [0; 72];
        let message = Solicitation { target: THEM, source_mac: Some(MAC) };
        assert_eq!(message.emit_packet(US, solicited_node(THEM), &mut packet), Ok(72));
        packet
    }

    #[test]
    fn solicited_node_address_of_rfc_4291() {
        let address: Ipv6Addr = "4037::01:800:200e:8c6c".parse().unwrap();
        assert_eq!(solicited_node(address), "ff02::1:ff0e:8c6c".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn solicitation_reads_and_writes() {
        let packet = solicitation();
        let (header, start) = ipv6::Header::parse(&packet).unwrap();
        let message = &packet[start..header.end()];
        assert_eq!(validate(&header, message), Ok(()));
        assert_eq!(
            Solicitation::parse(message),
            Ok((Solicitation { target: THEM, source_mac: Some(MAC) }, 32))
        );
        assert_eq!(message[24..], [1, 1, 2, 0, 0, 0, 0, 0x0a]);
        for length in 0..32 {
            // Without its options a message is a shorter message; its checksum no longer fits.
            let parsed = Solicitation::parse(&message[..length]);
            if length == 24 {
                assert_eq!(parsed, Ok((Solicitation { target: THEM, source_mac: None }, 24)));
            } else {
                assert_eq!(parsed, Err(Error::Truncated), "{length} bytes");
            }
            assert_eq!(validate(&header, &message[..length]), Err(Error::Malformed));
        }
        let routed = ipv6::Header { hop_limit: 254, ..header };
        assert_eq!(validate(&routed, message), Err(Error::Malformed));
        assert_eq!(Advertisement::parse(message), Err(Error::Malformed));
    }

    #[test]
    fn an_answer_is_solicited_and_overrides() {
        let (asked, _) = Solicitation::parse(&solicitation()[40..]).unwrap();
        let answer = asked.answer(MAC, true);
        let mut packet = [0; 72];
        assert_eq!(answer.emit_packet(THEM, US, &mut packet), Ok(72));
        let (header, start) = ipv6::Header::parse(&packet).unwrap();
        assert_eq!((header.source, header.destination, header.hop_limit), (THEM, US, 255));
        let message = &packet[start..];
        assert_eq!((message[0], message[1], message[4]), (136, 0, 0xe0));
        assert_eq!(message[24..], [2, 1, 2, 0, 0, 0, 0, 0x0a]);
        assert_eq!(validate(&header, message), Ok(()));
        assert_eq!(Advertisement::parse(message), Ok((answer, 32)));
        assert_eq!(answer.emit_packet(THEM, US, &mut packet[..71]), Err(Error::Truncated));
        assert_eq!(answer.emit_packet(THEM, US, &mut packet[..39]), Err(Error::Truncated));
    }

    #[test]
    fn malformed_messages_are_refused() {
        let change = |at: usize, value: u8| {
            let mut packet = solicitation();
            packet[40 + at] = value;
            Solicitation::parse(&packet[40..]).map(|_| ())
        };
        assert_eq!(change(1, 1), Err(Error::Malformed), "code");
        assert_eq!(change(8, 0xff), Err(Error::Malformed), "multicast target");
        assert_eq!(change(25, 0), Err(Error::Malformed), "option of length zero");
        assert_eq!(change(25, 2), Err(Error::Truncated), "option beyond the end");
        assert_eq!(change(24, 14), Ok(()), "an unknown option is skipped");
    }

    #[test]
    fn a_link_layer_address_of_another_size_is_refused() {
        let mut message = [0; 40];
        message[..24].copy_from_slice(&solicitation()[40..64]);
        message[24..26].copy_from_slice(&[1, 2]);
        assert_eq!(Solicitation::parse(&message), Err(Error::Malformed));
        // The first address counts, and what follows it must still be well-formed.
        message[24..34].copy_from_slice(&[1, 1, 2, 0, 0, 0, 0, 0x0a, 1, 1]);
        assert_eq!(Solicitation::parse(&message).unwrap().0.source_mac, Some(MAC));
        message[33] = 0;
        assert_eq!(Solicitation::parse(&message), Err(Error::Malformed));
    }
}
