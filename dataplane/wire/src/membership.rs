//! Membership of multicast groups, as hosts and routers tell each other of it: IGMP (RFC 1112, RFC 2236, RFC 3376) and
//! MLD (RFC 2710, RFC 3810). The two say the same with addresses of another length, so they have one type here.
//!
//! ```text
//! 0     1         2         4               8 or 24
//! type  response  checksum  group                                           IGMPv1, IGMPv2
//! type  response  checksum  group           flags, interval, 2 sources …    IGMPv3 query
//! type  0         checksum  2 response, 0   group                           MLD: as ICMPv6 has it
//! type  0         checksum  2 reserved, 2   records …                       reports of IGMPv3, MLDv2
//!
//! record: type, length of what else there is, 2 number of sources, group, sources …, what else there is
//! ```

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::Sum;
use crate::icmp::v6;
use crate::{Error, Result, ipv6};

/// Bytes of a message of IGMPv1 and IGMPv2, and of what comes before the records of any report.
pub const LENGTH: usize = 8;

const IGMP_QUERY: u8 = 0x11;
const IGMP_V1_REPORT: u8 = 0x12;
const IGMP_V2_REPORT: u8 = 0x16;
const IGMP_LEAVE: u8 = 0x17;
const IGMP_V3_REPORT: u8 = 0x22;
const MLD_QUERY: u8 = 130;
const MLD_REPORT: u8 = 131;
const MLD_DONE: u8 = 132;
const MLD_V2_REPORT: u8 = 143;

/// Types of records (RFC 3376 section 4.2.12).
const MODE_IS_INCLUDE: u8 = 1;
const CHANGE_TO_INCLUDE: u8 = 3;
const BLOCK_OLD_SOURCES: u8 = 6;

/// Milliseconds that hosts of IGMPv1 take to answer at most (RFC 1112 appendix I).
const V1_RESPONSE: u32 = 10_000;

/// Whether the sender of a report wants a group's frames from now on. Which sources it wants them from is not told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Interest {
    /// It does, from some source at least.
    Joined,
    /// It does not.
    Left,
}

/// A message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// A router asks who listens.
    Query {
        /// The group that it asks about; none for all of them.
        group: Option<IpAddr>,
        /// Milliseconds within which hosts answer.
        response: u32,
    },
    /// A host says it of one group.
    Report {
        /// The group, always multicast.
        group: IpAddr,
        /// What it says.
        interest: Interest,
    },
    /// A host says it of several.
    Records(Records<'a>),
}

impl<'a> Message<'a> {
    /// Reads an IGMP message; `message` is exactly the upper-layer packet.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Malformed`] for what is no such message, or one whose checksum is wrong.
    pub fn parse_igmp(message: &'a [u8]) -> Result<Self> {
        let (header, rest) = message.split_first_chunk::<LENGTH>().ok_or(Error::Truncated)?;
        if !Sum::of(message).is_valid() {
            return Err(Error::Malformed);
        }
        let [kind, response, _, _, a, b, c, d] = *header;
        let group = Ipv4Addr::new(a, b, c, d);
        match kind {
            IGMP_QUERY => {
                // Tenths of a second; the first version has none.
                let response = match response {
                    0 if rest.is_empty() => V1_RESPONSE,
                    tenths if rest.is_empty() => u32::from(tenths) * 100,
                    code => scaled(code.into(), 4) * 100,
                };
                query(group.into(), response)
            }
            IGMP_V1_REPORT | IGMP_V2_REPORT => report(group.into(), Interest::Joined),
            IGMP_LEAVE => report(group.into(), Interest::Left),
            IGMP_V3_REPORT => {
                Ok(Self::Records(Records { left: u16::from_be_bytes([c, d]), rest, family: 4 }))
            }
            _ => Err(Error::Malformed),
        }
    }

    /// Reads an MLD message, which is one of ICMPv6; `message` is exactly the upper-layer packet of the packet with this
    /// header.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Malformed`] for what is no such message, or one whose checksum or hop limit is
    /// wrong.
    pub fn parse_mld(header: &ipv6::Header, message: &'a [u8]) -> Result<Self> {
        let (fixed, rest) = message.split_first_chunk::<LENGTH>().ok_or(Error::Truncated)?;
        if header.hop_limit != 1 || !v6::checksum_is_valid(header.source, header.destination, message) {
            return Err(Error::Malformed);
        }
        let [kind, _, _, _, r0, r1, c0, c1] = *fixed;
        if kind == MLD_V2_REPORT {
            return Ok(Self::Records(Records { left: u16::from_be_bytes([c0, c1]), rest, family: 16 }));
        }
        let (group, rest) = rest.split_first_chunk::<16>().ok_or(Error::Truncated)?;
        let group = IpAddr::V6(Ipv6Addr::from_octets(*group));
        let response = u16::from_be_bytes([r0, r1]);
        match kind {
            // Milliseconds, in the second version with an exponent where they are many.
            MLD_QUERY if rest.is_empty() => query(group, response.into()),
            MLD_QUERY => query(group, scaled(response, 12)),
            MLD_REPORT => report(group, Interest::Joined),
            MLD_DONE => report(group, Interest::Left),
            _ => Err(Error::Malformed),
        }
    }
}

/// Whether an ICMPv6 message of this type is one of MLD.
#[must_use]
pub const fn is_mld(message_type: u8) -> bool {
    matches!(message_type, MLD_QUERY | MLD_REPORT | MLD_DONE | MLD_V2_REPORT)
}

/// A number as it stands, or with its highest bit set one with an exponent of three bits above `mantissa` bits (RFC 3376
/// section 4.1.1, RFC 3810 section 5.1.3).
const fn scaled(code: u16, mantissa: u32) -> u32 {
    let code = code as u32;
    if code >> (mantissa + 3) == 0 {
        return code;
    }
    let value = code & ((1 << mantissa) - 1) | 1 << mantissa;
    value << ((code >> mantissa & 7) + 3)
}

fn query<'a>(group: IpAddr, response: u32) -> Result<Message<'a>> {
    match group {
        group if group.is_unspecified() => Ok(Message::Query { group: None, response }),
        group if group.is_multicast() => Ok(Message::Query { group: Some(group), response }),
        _ => Err(Error::Malformed),
    }
}

fn report<'a>(group: IpAddr, interest: Interest) -> Result<Message<'a>> {
    if group.is_multicast() { Ok(Message::Report { group, interest }) } else { Err(Error::Malformed) }
}

/// The records of a report that say whether a group is wanted; those of sources alone are passed over. After one that is
/// cut off or malformed there are no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Records<'a> {
    left: u16,
    rest: &'a [u8],
    /// Bytes of an address.
    family: usize,
}

impl Iterator for Records<'_> {
    type Item = (IpAddr, Interest);

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            self.left -= 1;
            let (kind, sources, group) = self.record()?;
            match kind {
                MODE_IS_INCLUDE | CHANGE_TO_INCLUDE if sources == 0 => return Some((group, Interest::Left)),
                // What is blocked is a source, not the group.
                BLOCK_OLD_SOURCES => {}
                MODE_IS_INCLUDE..BLOCK_OLD_SOURCES => return Some((group, Interest::Joined)),
                // To be ignored (RFC 3376 section 4.2.12).
                _ => {}
            }
        }
        None
    }
}

impl Records<'_> {
    /// Type, number of sources and group of the next record.
    fn record(&mut self) -> Option<(u8, u16, IpAddr)> {
        let (fixed, rest) = self.rest.split_first_chunk::<4>()?;
        let [kind, words, s0, s1] = *fixed;
        let sources = u16::from_be_bytes([s0, s1]);
        let (group, rest) = if self.family == 4 {
            let (group, rest) = rest.split_first_chunk::<4>()?;
            (IpAddr::from(*group), rest)
        } else {
            let (group, rest) = rest.split_first_chunk::<16>()?;
            (IpAddr::from(*group), rest)
        };
        self.rest = rest.get(usize::from(sources) * self.family + usize::from(words) * 4..)?;
        group.is_multicast().then_some((kind, sources, group))
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// A message with its checksum.
    fn igmp(bytes: &[u8]) -> Vec<u8> {
        let mut message = bytes.to_vec();
        let checksum = Sum::of(&message).checksum();
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        message
    }

    fn mld(bytes: &[u8]) -> (ipv6::Header, Vec<u8>) {
        let (source, destination) = ("fe80::1".parse().unwrap(), "ff02::16".parse().unwrap());
        let mut message = bytes.to_vec();
        v6::fill_checksum(source, destination, &mut message);
        let mut packet = std::vec![0; ipv6::LENGTH];
        packet.extend(&message);
        v6::finish_packet(source, destination, 1, &mut packet, message.len()).unwrap();
        (ipv6::Header::parse(&packet).unwrap().0, message)
    }

    fn group(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn igmp_of_all_versions() {
        let read = |bytes: &[u8]| match Message::parse_igmp(&igmp(bytes)) {
            Ok(Message::Query { group, response }) => Ok((group, response)),
            other => Err(std::format!("{other:?}")),
        };
        assert_eq!(read(&[0x11, 0, 0, 0, 0, 0, 0, 0]), Ok((None, 10_000)), "IGMPv1");
        assert_eq!(read(&[0x11, 200, 0, 0, 239, 1, 1, 1]), Ok((Some(group("239.1.1.1")), 20_000)), "IGMPv2");
        assert_eq!(read(&[0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]), Ok((None, 10_000)), "IGMPv3");
        // Mantissa 9, exponent 1: (9 | 16) << 4 tenths of a second.
        assert_eq!(read(&[0x11, 0x99, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]), Ok((None, 40_000)));
        assert!(read(&[0x11, 0, 0, 0, 10, 0, 0, 1]).is_err(), "no group");
        for (kind, interest) in [(0x12, Interest::Joined), (0x16, Interest::Joined), (0x17, Interest::Left)] {
            let message = igmp(&[kind, 0, 0, 0, 239, 1, 1, 1]);
            assert_eq!(
                Message::parse_igmp(&message),
                Ok(Message::Report { group: group("239.1.1.1"), interest })
            );
            let mut damaged = message.clone();
            damaged[7] = 2;
            assert_eq!(Message::parse_igmp(&damaged), Err(Error::Malformed));
            assert_eq!(Message::parse_igmp(&message[..7]), Err(Error::Truncated));
        }
    }

    #[test]
    fn records_say_who_listens_whatever_the_sources() {
        let record = |kind: u8, sources: u8, last: u8| {
            let mut record = std::vec![kind, 1, 0, sources, 239, 0, 0, last];
            record.resize(8 + usize::from(sources) * 4 + 4, 9);
            record
        };
        let mut message = std::vec![0x22, 0, 0, 0, 0, 0, 0, 9];
        let kinds =
            [(1, 0), (1, 2), (2, 0), (2, 3), (3, 0), (3, 1), (4, 0), (5, 1), (6, 1)].into_iter().zip(1..);
        for ((kind, sources), last) in kinds {
            message.extend(record(kind, sources, last));
        }
        let message = igmp(&message);
        let Ok(Message::Records(records)) = Message::parse_igmp(&message) else { panic!("no records") };
        let said: Vec<(IpAddr, Interest)> = records.collect();
        let expected = |last: u8| {
            let interest = if [1, 5].contains(&last) { Interest::Left } else { Interest::Joined };
            (IpAddr::from([239, 0, 0, last]), interest)
        };
        assert_eq!(said, (1..=8).map(expected).collect::<Vec<_>>());
        // A record that is cut off ends them, and so does one of no group.
        let cut = Records { rest: &records.rest[..33], ..records };
        assert_eq!(cut.count(), 2);
        let unicast = Records { left: 1, rest: &[4, 0, 0, 0, 10, 0, 0, 1], family: 4 };
        assert_eq!(unicast.count(), 0);
    }

    #[test]
    fn mld_of_both_versions() {
        let mut query = [0; 24];
        query[0] = 130;
        query[4..6].copy_from_slice(&[3, 0xe8]);
        let (header, message) = mld(&query);
        assert_eq!(Message::parse_mld(&header, &message), Ok(Message::Query { group: None, response: 1000 }));
        let routed = ipv6::Header { hop_limit: 2, ..header };
        assert_eq!(Message::parse_mld(&routed, &message), Err(Error::Malformed));
        assert_eq!(Message::parse_mld(&header, &message[..23]), Err(Error::Malformed), "checksum");

        let address: Ipv6Addr = "ff1e::1".parse().unwrap();
        let mut done = [0; 24];
        done[0] = 132;
        done[8..].copy_from_slice(&address.octets());
        let (header, message) = mld(&done);
        let left = Message::Report { group: address.into(), interest: Interest::Left };
        assert_eq!(Message::parse_mld(&header, &message), Ok(left));

        let mut records = std::vec![143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0];
        records.extend(address.octets());
        let (header, message) = mld(&records);
        let Ok(Message::Records(records)) = Message::parse_mld(&header, &message) else {
            panic!("no records")
        };
        assert_eq!(records.collect::<Vec<_>>(), [(IpAddr::from(address), Interest::Joined)]);

        // Mantissa 0x001, exponent 0: 0x1001 << 3 milliseconds.
        let mut long = [0; 28];
        (long[0], long[4], long[5]) = (130, 0x80, 1);
        let (header, message) = mld(&long);
        assert_eq!(
            Message::parse_mld(&header, &message),
            Ok(Message::Query { group: None, response: 0x1001 << 3 })
        );
        assert!([130, 131, 132, 143].into_iter().all(is_mld) && !is_mld(135));
    }
}
