//! What an ARP message (RFC 826, RFC 5227) claims and asks.

use std::net::IpAddr;

use wire::arp::{Message, Operation};

use super::{Claim, Question};
use crate::parse::Headers;
use crate::tables::NeighbourFlags;

/// What the message says of its sender: every message does, but for a probe.
#[must_use]
pub fn claim(message: &Message) -> Option<Claim> {
    let address = message.sender_address;
    if address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
        return None;
    }
    let flags = Some(NeighbourFlags::default());
    Some(Claim { address: IpAddr::V4(address), mac: message.sender_mac, flags })
}

/// What the message asks everybody for.
#[must_use]
pub fn question(message: &Message, headers: &Headers) -> Option<Question> {
    let is_question = message.operation == Operation::Request
        && headers.destination.mac().is_broadcast()
        && !message.is_probe()
        && !message.is_gratuitous();
    let question = Question { target: IpAddr::V4(message.target_address), asker: message.sender_mac };
    is_question.then_some(question)
}
