//! Third stage, for ARP alone: what a message teaches about neighbours, and whether we answer it for its target
//! (RFC 9161 vocabulary). Sees the message, the neighbours and the forwarding database.
//!
//! | message from an access port | becomes |
//! |---|---|
//! | broadcast request, target and its place known, elsewhere than the asker | answered, goes no further |
//! | request for an unknown target, or one behind the asker's own port | flooded |
//! | probe (sender address 0), gratuitous message | flooded, never answered |
//! | unicast request, reply | forwarded, never answered |

use std::net::IpAddr;

use wire::Mac;
use wire::arp::{Message, Operation};
use wire::ethernet::EtherType;

use crate::description::Domain;
use crate::fdb::{Fdb, Key};
use crate::ids::PortId;
use crate::link::{Event, Place};
use crate::parse::Headers;
use crate::tables::Neighbours;

/// The ARP message in a frame. Tagged ones are left alone: neighbours belong to a domain, not to a VLAN within it.
#[inline]
#[must_use]
pub fn message(headers: &Headers, frame: &[u8]) -> Option<Message> {
    if headers.ethertype != EtherType::ARP || headers.is_tagged() {
        return None;
    }
    let (message, _) = Message::parse(frame.get(usize::from(headers.offset)..)?).ok()?;
    Some(message)
}

/// What the message says about its sender, if the tables do not say the same.
#[must_use]
pub fn news(message: &Message, domain: &Domain, neighbours: &Neighbours, place: Place) -> Option<Event> {
    let address = message.sender_address;
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return None;
    }
    if !is_station(message.sender_mac) {
        return None;
    }
    let (address, mac) = (IpAddr::V4(address), message.sender_mac);
    match neighbours.lookup(domain.id, address) {
        Some(known) if known.fixed || known.mac == mac => None,
        _ => Some(Event::NeighbourSeen { domain: domain.id, address, mac, place }),
    }
}

/// The address to answer a request from `ingress` with, if it is ours to answer.
#[must_use]
pub fn answer(
    message: &Message,
    headers: &Headers,
    domain: &Domain,
    neighbours: &Neighbours,
    fdb: &Fdb,
    ingress: PortId,
) -> Option<Mac> {
    let is_question = message.operation == Operation::Request
        && headers.destination.mac().is_broadcast()
        && !message.is_probe()
        && !message.is_gratuitous()
        && is_station(message.sender_mac);
    if !domain.arp_proxy || !is_question {
        return None;
    }
    let target = neighbours.lookup(domain.id, IpAddr::V4(message.target_address))?.mac;
    if target == message.sender_mac || target == headers.source.mac() {
        return None;
    }
    let key = Key::new(domain.id, target);
    let entry = fdb.lookup(&fdb.probe(key))?;
    (entry.place != Place::Port(ingress)).then_some(target)
}

/// Whether an address can be that of one station.
const fn is_station(mac: Mac) -> bool {
    !mac.is_multicast() && !mac.is_zero()
}
