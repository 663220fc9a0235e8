//! Third stage, for address resolution alone (ARP, neighbour discovery): what a message teaches about neighbours, and
//! whether we answer it for its target (RFC 9161 vocabulary). Sees the message, the neighbours and the forwarding
//! database.
//!
//! | message from an access port | becomes |
//! |---|---|
//! | broadcast request, target and its place known, elsewhere than the asker | answered, goes no further |
//! | request for an unknown target, or one behind the asker's own port | flooded |
//! | probe (no sender address), gratuitous or unsolicited message | flooded, never answered |
//! | unicast request, reply | forwarded, never answered |
//!
//! What ARP and neighbour discovery have in common is here: a message may *claim* an address and may *ask* for one.

pub mod arp;
mod claimed;
pub mod nd;

use std::net::IpAddr;

use wire::Mac;

use crate::description::Domain;
use crate::fdb::{Fdb, Key};
use crate::frame::Frame;
use crate::ids::PortId;
use crate::link::{Event, Place};
use crate::parse::{Headers, Resolution};
use crate::tables::{Neighbour, NeighbourFlags, Neighbours};

pub use claimed::{Claimed, claimed};

/// A message that resolves addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// ARP.
    Arp(wire::arp::Message),
    /// Neighbour discovery.
    Nd(nd::Message),
}

/// Who has an address, as a message says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The protocol address.
    pub address: IpAddr,
    /// The Ethernet address.
    pub mac: Mac,
    /// What else is to be known of a neighbour; a solicitation says nothing of it, and so makes no neighbour known.
    pub flags: Option<NeighbourFlags>,
}

/// What a message asks for that may be answered for somebody else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// The protocol address whose owner is looked for.
    pub target: IpAddr,
    /// The Ethernet address that the answer is for.
    pub asker: Mac,
}

/// What control is to hear, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct News {
    /// What was seen.
    pub event: Event,
    /// Seconds within which it need not be told again.
    pub period: u32,
}

impl Claim {
    /// What control is to hear of it: nothing if the tables say the same and were told so lately.
    #[must_use]
    pub fn news(self, domain: &Domain, neighbours: &Neighbours, place: Place) -> Option<News> {
        let Self { address, mac, flags } = self;
        let known = neighbours.lookup(domain.id, address);
        let flags = flags.or(known.map(|known| known.flags))?;
        let period = match known {
            Some(known) if known.fixed => return None,
            // Somebody else who may not take the address over (RFC 4861 section 7.2.5).
            Some(known) if known.mac != mac && !flags.overrides => return None,
            // An entry that is used must not age, and one that does not age needs no refreshing.
            Some(known) if (known.mac, known.flags) == (mac, flags) => match domain.ageing {
                0 => return None,
                ageing => (ageing / REFRESHES).max(1),
            },
            _ => 1,
        };
        let event = Event::NeighbourSeen { domain: domain.id, address, mac, flags, place };
        Some(News { event, period })
    }
}

impl Message {
    /// The message in a frame. One in a VLAN is left alone: neighbours belong to a domain, not to a VLAN within it.
    #[must_use]
    pub fn read(resolution: Resolution, headers: &Headers, frame: &[u8]) -> Option<Self> {
        if !headers.is_of_no_vlan(frame) {
            return None;
        }
        let packet = frame.get(usize::from(headers.offset)..)?;
        match resolution {
            Resolution::Arp => Some(Self::Arp(wire::arp::Message::parse(packet).ok()?.0)),
            Resolution::NeighbourDiscovery => Some(Self::Nd(nd::Message::read(packet)?)),
            Resolution::Hidden => None,
        }
    }

    /// What the message says about its sender.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        let claim = match self {
            Self::Arp(message) => arp::claim(message)?,
            Self::Nd(message) => message.claim()?,
        };
        is_station(claim.mac).then_some(claim)
    }

    /// The neighbour to answer a request from `ingress` with, if it is ours to answer.
    #[must_use]
    pub fn answer(
        &self,
        headers: &Headers,
        domain: &Domain,
        neighbours: &Neighbours,
        fdb: &Fdb,
        ingress: PortId,
    ) -> Option<Neighbour> {
        let Question { target, asker } = match self {
            Self::Arp(message) if domain.arp_proxy => arp::question(message, headers)?,
            Self::Nd(message) if domain.nd_proxy => message.question(headers)?,
            _ => return None,
        };
        let neighbour = neighbours.lookup(domain.id, target)?;
        if !is_station(asker) || [asker, headers.source.mac()].contains(&neighbour.mac) {
            return None;
        }
        let key = Key::new(domain.id, neighbour.mac);
        let entry = fdb.lookup(&fdb.probe(key))?;
        (entry.place != Place::Port(ingress)).then_some(neighbour)
    }

    /// Makes the frame with the request into the frame with its answer, behind the same priority tags. `None`, and nothing
    /// changed, if there is no room for it.
    pub fn write_answer(
        &self,
        frame: &mut Frame<'_>,
        headers: &Headers,
        neighbour: &Neighbour,
    ) -> Option<()> {
        let offset = usize::from(headers.offset);
        match self {
            Self::Arp(_) => wire::arp::reply_in_place(frame.bytes_mut(), offset, neighbour.mac).ok(),
            Self::Nd(message) => message.write_answer(frame, offset, neighbour),
        }
    }
}

/// How often an entry is refreshed while it would age.
const REFRESHES: u32 = 4;

/// Whether an address can be that of one station.
const fn is_station(mac: Mac) -> bool {
    !mac.is_multicast() && !mac.is_zero()
}
