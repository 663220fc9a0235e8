//! Which protocol address a message says to be its sender's, for whoever has to judge whether that may be said.
//!
//! [`super::Message::read`] takes what is worth an answer or a neighbour's entry. Here more is taken, because whoever is up
//! to something sends what its victim takes and we would not: nothing is asked for in which receivers differ, or which
//! they might leave unchecked. What nobody takes is judged too, and nobody misses it.

use std::net::{IpAddr, Ipv6Addr};

use wire::icmp::v6;
use wire::{arp, ipv6};

use crate::parse::{Headers, Resolution};

/// What a message says of its sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claimed {
    /// That it has this address.
    Address(IpAddr),
    /// That it has any, since it cannot be read.
    Anything,
}

/// What the message in a frame says of its sender, if anything. That of another VLAN within the domain is no business of
/// it.
#[must_use]
pub fn claimed(resolution: Resolution, headers: &Headers, frame: &[u8]) -> Option<Claimed> {
    if !headers.is_of_no_vlan(frame) {
        return None;
    }
    let packet = frame.get(usize::from(headers.offset)..)?;
    let address = match resolution {
        Resolution::Arp => IpAddr::V4(arp::Message::claimed_address_of(packet)?),
        Resolution::NeighbourDiscovery => IpAddr::V6(of_discovery(packet)?),
        Resolution::Hidden => return Some(Claimed::Anything),
    };
    // Who has none and asks for none, either.
    (!address.is_unspecified()).then_some(Claimed::Address(address))
}

/// The address that a message of neighbour or router discovery gives a link-layer address for (RFC 4861 section 4). Whether it
/// does, in an option, is not asked: without one an advertisement still denies that somebody is a router. Whoever asks from no
/// address is about to take the target, and keeps everybody else from it (RFC 4862 section 5.4.3).
fn of_discovery(packet: &[u8]) -> Option<Ipv6Addr> {
    const TARGET: usize = 8;
    let (header, _) = ipv6::Header::parse(packet).ok()?;
    let upper = header.upper_layer(packet).ok()?;
    let message = packet.get(upper.offset..header.end())?;
    let target = || message.get(TARGET..)?.first_chunk().copied().map(Ipv6Addr::from_octets);
    match message {
        [v6::NEIGHBOUR_ADVERTISEMENT | v6::REDIRECT, ..] => target(),
        [v6::NEIGHBOUR_SOLICITATION, ..] if header.source.is_unspecified() => target(),
        _ => Some(header.source),
    }
}
