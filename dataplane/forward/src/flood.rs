//! Flooding: which kinds of frames are flooded, to which ports, and how many of them a worker lets through. Whoever
//! replicates asks here; nothing here knows how a frame is sent.

use std::collections::HashMap;

use wire::Mac;

use crate::description::{Domain, Port};
use crate::ids::{DomainId, PortId, RemoteId};
use crate::limits::{MAX_PORTS, MAX_REMOTES};
use crate::link::{Now, Place};

/// Why a frame has no single receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The forwarding database does not know the address.
    UnknownUnicast,
    /// The address is that of a group.
    Multicast,
    /// The address is everybody's.
    Broadcast,
}

impl Kind {
    /// The kind of a frame to an address that no forwarding entry has.
    #[must_use]
    pub const fn of(destination: Mac) -> Self {
        if destination.is_broadcast() {
            Self::Broadcast
        } else if destination.is_multicast() {
            Self::Multicast
        } else {
            Self::UnknownUnicast
        }
    }
}

/// Which kinds are flooded: in a domain at all, or to one of its ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flooding {
    /// Frames to unknown addresses.
    pub unknown_unicast: bool,
    /// Frames to groups.
    pub multicast: bool,
    /// Frames to everybody.
    pub broadcast: bool,
}

impl Default for Flooding {
    /// Everything, as a bridge does.
    fn default() -> Self {
        Self { unknown_unicast: true, multicast: true, broadcast: true }
    }
}

impl Flooding {
    /// Whether frames of a kind are.
    #[must_use]
    pub const fn includes(self, kind: Kind) -> bool {
        match kind {
            Kind::UnknownUnicast => self.unknown_unicast,
            Kind::Multicast => self.multicast,
            Kind::Broadcast => self.broadcast,
        }
    }
}

/// How many frames of one ingress are flooded: so many a second, and a tenth of these at once, though never fewer than
/// [`StormLimit::AT_ONCE`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StormLimit {
    /// Nanoseconds of frame time that each frame costs; zero if there is no limit.
    cost: u32,
}

impl StormLimit {
    /// No limit.
    pub const NONE: Self = Self { cost: 0 };

    /// Frames that are flooded at once after a silence however low the limit is: what a host says when it comes up.
    pub const AT_ONCE: u32 = 32;

    /// This many frames a second, up to a thousand million; zero for no limit.
    #[must_use]
    pub const fn frames_per_second(frames: u32) -> Self {
        match SECOND.checked_div(frames as u64) {
            // At most a second in nanoseconds, which 32 bits hold.
            Some(cost) => Self { cost: cost as u32 },
            None => Self::NONE,
        }
    }

    /// Nanoseconds that a full bucket holds.
    const fn depth(self) -> u64 {
        let least = self.cost as u64 * Self::AT_ONCE as u64;
        if least > SECOND / 10 { least } else { SECOND / 10 }
    }
}

/// A second in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// One worker's token buckets, one for each port and remote that frames come from. Each is the moment at which it will
/// be full again: taking a token moves it ahead, and further ahead than the bucket holds it cannot be moved. What another,
/// slower limit has left there, of before a change or of an earlier owner of the index, counts as an empty bucket.
#[derive(Debug)]
pub(crate) struct Meters {
    ports: Box<[u64]>,
    remotes: Box<[u64]>,
}

impl Meters {
    /// All full. What is not used is zero pages, which take no memory.
    pub(crate) fn new() -> Self {
        Self { ports: vec![0; MAX_PORTS].into(), remotes: vec![0; MAX_REMOTES].into() }
    }

    /// Takes a token for a frame from `from`; whether there was one.
    pub(crate) fn admit(&mut self, from: Place, limit: StormLimit, now: Now) -> bool {
        if limit == StormLimit::NONE {
            return true;
        }
        let bucket = match from {
            Place::Port(PortId(index)) => self.ports.get_mut(usize::from(index)),
            Place::Remote(RemoteId(index)) => self.remotes.get_mut(index as usize),
            Place::Group(_) => None,
        };
        // An index beyond the tables has been refused before.
        let Some(full_at) = bucket else { return false };
        let empty = now.nanoseconds + limit.depth();
        // Twice as far, because readings of the clock differ: each that is a little older must not give tokens back.
        if *full_at > empty + limit.depth() {
            *full_at = empty;
        }
        let next = (*full_at).max(now.nanoseconds) + u64::from(limit.cost);
        let admitted = next <= empty;
        if admitted {
            *full_at = next;
        }
        admitted
    }
}

/// The ports of a domain that frames of one kind are flooded to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    /// Isolated ones at the end, so that those that are not are a slice as well.
    ports: Box<[PortId]>,
    shared: usize,
}

impl Members {
    /// Of these ports.
    pub(crate) fn new<'a>(ports: impl Iterator<Item = &'a Port>) -> Self {
        let (isolated, shared): (Vec<&Port>, Vec<&Port>) = ports.partition(|port| port.isolated);
        let count = shared.len();
        let ports = shared.into_iter().chain(isolated).map(|port| port.id).collect();
        Self { ports, shared: count }
    }

    /// Those that hear a frame: all, or without the isolated ones if it comes from an `isolated` port.
    pub(crate) fn heard_by(&self, isolated: bool) -> &[PortId] {
        let end = if isolated { self.shared } else { self.ports.len() };
        self.ports.get(..end).unwrap_or_default()
    }
}

/// Whom each domain floods what to, in the shape in which it is looked up.
#[derive(Debug)]
pub(crate) struct FloodLists {
    domains: Box<[[Members; 3]]>,
}

impl FloodLists {
    pub(crate) fn new(domains: &[Domain], ports: &HashMap<PortId, &Port>) -> Self {
        let length = domains.iter().map(|domain| usize::from(domain.id.0) + 1).max().unwrap_or_default();
        let mut lists = vec![<[Members; 3]>::default(); length];
        for domain in domains {
            if let Some(place) = lists.get_mut(usize::from(domain.id.0)) {
                *place = [Kind::UnknownUnicast, Kind::Multicast, Kind::Broadcast].map(|kind| {
                    let of_domain = domain.ports.iter().filter_map(|id| ports.get(id).copied());
                    Members::new(of_domain.filter(|port| port.flooding.includes(kind)))
                });
            }
        }
        Self { domains: lists.into() }
    }

    /// The ports for a frame of this kind; `isolated` if it comes from an isolated port, which others of that sort do not
    /// hear. The ingress may be among them.
    pub(crate) fn ports(&self, domain: DomainId, kind: Kind, isolated: bool) -> &[PortId] {
        let Some(lists) = self.domains.get(usize::from(domain.0)) else { return &[] };
        lists[kind as usize].heard_by(isolated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(
        meters: &mut Meters,
        place: Place,
        limit: StormLimit,
        milliseconds: u64,
        frames: usize,
    ) -> usize {
        let now = Now { nanoseconds: 5 * SECOND + milliseconds * 1_000_000 };
        (0..frames).filter(|_| meters.admit(place, limit, now)).count()
    }

    #[test]
    fn a_raised_limit_takes_effect_at_once_and_a_new_owner_of_an_index_is_not_held_to_the_debts_of_the_last()
    {
        let [slow, fast] = [1, 1000].map(StormLimit::frames_per_second);
        for place in [Place::Port(PortId(3)), Place::Remote(RemoteId(3))] {
            let mut meters = Meters::new();
            assert_eq!(admitted(&mut meters, place, slow, 0, 5000), 32, "its bucket is full again in 32 s");
            assert_eq!(admitted(&mut meters, place, fast, 1, 5000), 0, "an empty bucket of the new limit");
            assert_eq!(admitted(&mut meters, place, fast, 11, 5000), 10);
            assert_eq!(admitted(&mut meters, place, fast, 60_000, 5000), 100);
            assert_eq!(admitted(&mut meters, place, slow, 60_000, 5000), 31, "a tenth of a second is owed");
        }
    }

    #[test]
    fn a_bucket_holds_a_tenth_of_a_second_and_fills_at_its_rate() {
        let (mut meters, limit) = (Meters::new(), StormLimit::frames_per_second(1000));
        let (port, remote) = (Place::Port(PortId(3)), Place::Remote(RemoteId(3)));
        assert_eq!(admitted(&mut meters, port, limit, 0, 5000), 100);
        assert_eq!(admitted(&mut meters, remote, limit, 0, 5000), 100, "each has its own");
        assert_eq!(admitted(&mut meters, port, limit, 10, 5000), 10);
        assert_eq!(admitted(&mut meters, port, limit, 10, 5000), 0);
        assert_eq!(admitted(&mut meters, port, limit, 9, 10), 0, "another reading of the clock may be older");
        assert_eq!(admitted(&mut meters, port, limit, 60_000, 5000), 100, "no more than full");
        let rates = [1, 7, 1_000_000_000].map(StormLimit::frames_per_second);
        let counts = rates.map(|limit| admitted(&mut Meters::new(), port, limit, 0, 5000));
        assert_eq!(counts, [32, 32, 5000]);
        for limit in [StormLimit::NONE, StormLimit::frames_per_second(0)] {
            assert_eq!(admitted(&mut meters, port, limit, 60_000, 5000), 5000);
        }
        assert!(!meters.admit(Place::Port(PortId(u16::MAX)), limit, Now::default()));
    }

    #[test]
    fn kinds_are_told_by_the_destination() {
        assert_eq!(Kind::of(Mac::BROADCAST), Kind::Broadcast);
        assert_eq!(Kind::of(Mac([0x33, 0x33, 0, 0, 0, 1])), Kind::Multicast);
        assert_eq!(Kind::of(Mac([2, 0, 0, 0, 0, 1])), Kind::UnknownUnicast);
        let quiet = Flooding { multicast: false, ..Flooding::default() };
        assert!(!quiet.includes(Kind::Multicast) && quiet.includes(Kind::Broadcast));
        assert!(quiet.includes(Kind::UnknownUnicast));
    }
}
