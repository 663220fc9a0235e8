//! Multicast snooping (RFC 4541): what a frame to a group is, and what it says of who listens. Asked only about frames
//! that are about to be flooded, in domains that snoop; so nothing else pays for it.
//!
//! | frame | goes to | control hears |
//! |---|---|---|
//! | query of a router (IGMP, MLD) | everybody | of the router and its port; of a group asked about |
//! | report of a host | routers | who joined or left what |
//! | hello of a multicast router (PIM) | everybody | of its port |
//! | to a link-local group, or no IP | everybody | |
//! | to a group that somebody joined, while there is a querier | members and routers | |
//! | to any other group | everybody | |

use std::net::{IpAddr, Ipv4Addr};

use arrayvec::ArrayVec;
use wire::ethernet::EtherType;
use wire::ip::Protocol;
use wire::membership::{self, Interest, Message};
use wire::{ipv4, ipv6};

use crate::ids::DomainId;
use crate::limits::MAX_RECORDS;
use crate::link::{Event, Place};
use crate::parse::Headers;

/// What is told of one frame.
pub(crate) type News = ArrayVec<Event, MAX_RECORDS>;

/// Whom a frame to a group is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Audience {
    /// Everybody in the domain.
    Everybody,
    /// Multicast routers.
    Routers {
        /// Those of MLD, not of IGMP.
        is_ipv6: bool,
    },
    /// Those who listen to this group.
    Listeners(IpAddr),
}

/// PIM (RFC 7761).
const PIM: Protocol = Protocol(103);
/// All routers that speak it.
const PIM_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 13);

/// Reads a frame to a group that came from `place`. Tagged ones are everybody's: groups belong to a domain, not to a VLAN
/// within it.
pub(crate) fn read(headers: &Headers, frame: &[u8], place: Place, news: &mut News) -> Audience {
    let packet = frame.get(usize::from(headers.offset)..).unwrap_or_default();
    let audience = match headers.ethertype {
        _ if headers.is_tagged() => None,
        EtherType::IPV4 => read_ipv4(packet, headers.domain(), place, news),
        EtherType::IPV6 => read_ipv6(packet, headers.domain(), place, news),
        _ => None,
    };
    audience.unwrap_or(Audience::Everybody)
}

fn read_ipv4(packet: &[u8], domain: DomainId, place: Place, news: &mut News) -> Option<Audience> {
    let (header, length) = ipv4::Header::parse(packet).ok()?;
    let to = header.destination;
    if !to.is_multicast() {
        return None;
    }
    let upper = packet.get(length..usize::from(header.total_length))?;
    match header.protocol {
        Protocol::IGMP if !header.is_fragment() => {
            let message = Message::parse_igmp(upper).ok()?;
            Some(listen(message, domain, header.source.into(), place, news))
        }
        PIM if to == PIM_ROUTERS => {
            tell(news, Event::RouterSeen { domain, place });
            None
        }
        _ if is_near(to.into()) => None,
        _ => Some(Audience::Listeners(to.into())),
    }
}

fn read_ipv6(packet: &[u8], domain: DomainId, place: Place, news: &mut News) -> Option<Audience> {
    let (header, _) = ipv6::Header::parse(packet).ok()?;
    let to = header.destination;
    if !to.is_multicast() {
        return None;
    }
    let found = header.upper_layer(packet).ok().filter(|found| !found.is_fragment());
    if let Some(found) = found
        && let Some(upper @ [kind, ..]) = packet.get(found.offset..header.end())
        && found.protocol == Protocol::ICMPV6
        && membership::is_mld(*kind)
    {
        let message = Message::parse_mld(&header, upper).ok()?;
        return Some(listen(message, domain, header.source.into(), place, news));
    }
    (!is_near(to.into())).then(|| Audience::Listeners(to.into()))
}

/// What a message about membership says, and whom it is for: reports are for routers only, so that hosts do not keep
/// theirs back for another's (RFC 4541 section 2.1.1).
fn listen(message: Message<'_>, domain: DomainId, from: IpAddr, place: Place, news: &mut News) -> Audience {
    let mut said = |group, interest| {
        if let Some(event) = membership(domain, group, interest, place) {
            tell(news, event);
        }
    };
    match message {
        Message::Query { group, response } => {
            let seconds = u16::try_from(response.div_ceil(1000)).unwrap_or(u16::MAX);
            tell(news, Event::Queried { domain, from, group, seconds, place });
            return Audience::Everybody;
        }
        Message::Report { group, interest } => said(group, interest),
        Message::Records(records) => records.for_each(|(group, interest)| said(group, interest)),
    }
    Audience::Routers { is_ipv6: from.is_ipv6() }
}

/// What control is to hear of a report. Peers get every frame to a group, so what is behind them is of no interest.
fn membership(domain: DomainId, group: IpAddr, interest: Interest, place: Place) -> Option<Event> {
    let Place::Port(port) = place else { return None };
    (!is_near(group)).then_some(Event::Membership { domain, group, interest, port })
}

/// Whether a group never leaves a link, those of address resolution among them. Who uses it may not have said so (RFC 4541
/// section 2.1.2).
const fn is_near(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => matches!(group.octets(), [224, 0, 0, _]),
        IpAddr::V6(group) => group.octets()[1] & 15 <= 2,
    }
}

/// What finds no room waits for the host to say it again.
fn tell(news: &mut News, event: Event) {
    let _ = news.try_push(event);
}
