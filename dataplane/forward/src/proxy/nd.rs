//! What a message of neighbour discovery (RFC 4861) claims and asks, and the advertisement that answers it.
//!
//! Neighbours are learned from advertisements, which alone say whether somebody is a router and whether the address is
//! his alone (RFC 9161 section 3.2): an answer that denied a router to be one would make workloads drop their routes
//! through it. A solicitation only says where a neighbour that is known has gone.

use std::net::{IpAddr, Ipv6Addr};

use wire::ethernet;
use wire::ip::Protocol;
use wire::ipv6;
use wire::ndp::{self, Advertisement, Solicitation};

use super::{Claim, Question};
use crate::frame::Frame;
use crate::parse::Headers;
use crate::tables::{Neighbour, NeighbourFlags};

/// A message with the addresses of its packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    content: Content,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    Solicitation(Solicitation),
    Advertisement(Advertisement),
}

impl Message {
    /// The message in an IPv6 packet, if receivers would take it (RFC 4861 sections 7.1.1 and 7.1.2). One behind
    /// extension headers is left to them: no stack sends such, and whoever does has something to hide (RFC 7113).
    #[must_use]
    pub fn read(packet: &[u8]) -> Option<Self> {
        let (header, start) = ipv6::Header::parse(packet).ok()?;
        if header.next_header != Protocol::ICMPV6 {
            return None;
        }
        let message = packet.get(start..header.end())?;
        ndp::validate(&header, message).ok()?;
        let content = match Solicitation::parse(message) {
            Ok((solicitation, _)) => Content::Solicitation(solicitation),
            Err(_) => Content::Advertisement(Advertisement::parse(message).ok()?.0),
        };
        let answers_everybody = matches!(content, Content::Advertisement(message) if message.is_solicited)
            && header.destination.is_multicast();
        if answers_everybody {
            return None;
        }
        Some(Self { source: header.source, destination: header.destination, content })
    }

    /// What the message says of its sender or, an advertisement, of its target.
    #[must_use]
    pub(super) fn claim(&self) -> Option<Claim> {
        let (address, mac, flags) = match self.content {
            Content::Solicitation(message) => (self.source, message.source_mac?, None),
            Content::Advertisement(message) => {
                let flags = NeighbourFlags { is_router: message.is_router, overrides: message.overrides };
                (message.target, message.target_mac?, Some(flags))
            }
        };
        let is_station = !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
        is_station.then_some(Claim { address: IpAddr::V6(address), mac, flags })
    }

    /// What the message asks everybody for. Duplicate address detection asks from no address at all, and only who has
    /// the address may answer that.
    #[must_use]
    pub(super) fn question(&self, headers: &Headers) -> Option<Question> {
        let Content::Solicitation(message) = self.content else { return None };
        let is_question = headers.destination.mac().is_multicast()
            && self.destination == ndp::solicited_node(message.target)
            && !self.source.is_unspecified()
            && !self.source.is_multicast()
            && self.source != message.target;
        is_question.then_some(Question { target: IpAddr::V6(message.target), asker: message.source_mac? })
    }

    /// Makes the frame with a solicitation, whose packet begins at `offset`, into the frame with its advertisement. What
    /// the question has beyond the answer's length is cut off; its source option takes the room of the answer's target
    /// option.
    pub(super) fn write_answer(
        &self,
        frame: &mut Frame<'_>,
        offset: usize,
        neighbour: &Neighbour,
    ) -> Option<()> {
        let Content::Solicitation(message) = self.content else { return None };
        let advertisement = Advertisement {
            overrides: neighbour.flags.overrides,
            ..message.answer(neighbour.mac, neighbour.flags.is_router)
        };
        let (addresses, packet) = frame.bytes_mut().split_at_mut_checked(offset)?;
        let length = advertisement.emit_packet(message.target, self.source, packet).ok()?;
        let ethernet = addresses.first_chunk_mut::<{ ethernet::offset::ETHERTYPE }>()?;
        ethernet[..ethernet::offset::SOURCE].copy_from_slice(&message.source_mac?.0);
        ethernet[ethernet::offset::SOURCE..].copy_from_slice(&neighbour.mac.0);
        frame.truncate(u16::try_from(offset + length).ok()?);
        Some(())
    }
}
