//! The neighbours that workers have seen: who has which protocol address in which VNI. Configured ones stand in the
//! configuration; both together are what the proxies answer from.
//!
//! A VNI has room for so many. In a full one whoever has more of them than the newcomer's port or remote gives way, as in
//! the forwarding database: a workload that makes up addresses takes nothing from anybody who has fewer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use forward::link::Place;
use forward::tables::NeighbourFlags;
use wire::{Mac, Vni};

/// Learned neighbours of one VNI at most. A workload can make them up at will.
pub(super) const LEARNED_PER_VNI: usize = 16_384;

/// A neighbour that was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    /// Its Ethernet address.
    pub(super) mac: Mac,
    /// What else is known of it.
    pub(super) flags: NeighbourFlags,
    /// Where it was seen.
    pub(super) place: Place,
    /// The second it was seen.
    pub(super) at: u32,
    /// Given when it was first seen, and anew with every move.
    pub(super) version: u64,
    /// How often it came to have another Ethernet address.
    pub(super) moves: u32,
    /// When it last did, and the address before.
    pub(super) moved: Option<(u32, Mac)>,
}

impl Seen {
    /// A neighbour that was not seen elsewhere before. `version` is what it is known by.
    pub(super) const fn new(mac: Mac, flags: NeighbourFlags, place: Place, at: u32, version: u64) -> Self {
        Self { mac, flags, place, at, version, moves: 0, moved: None }
    }
}

/// All learned neighbours.
#[derive(Debug, Default)]
pub(super) struct Book {
    chapters: BTreeMap<Vni, Chapter>,
}

impl Book {
    /// Notes a neighbour as it was just seen; says whether that changes anything for the proxies. The version of
    /// `seen` is what a change is known by; its moves are counted here.
    pub(super) fn note(&mut self, vni: Vni, address: IpAddr, seen: Seen) -> bool {
        let chapter = self.chapters.entry(vni).or_default();
        let Some(before) = chapter.remove(address) else {
            if chapter.entries.len() >= LEARNED_PER_VNI {
                chapter.unlearned += 1;
                if !chapter.make_room(seen.place) {
                    return false;
                }
            }
            chapter.insert(address, seen);
            return true;
        };
        let Seen { version, moves, moved, .. } = if before.mac == seen.mac {
            before
        } else {
            Seen { moves: before.moves.saturating_add(1), moved: Some((seen.at, before.mac)), ..seen }
        };
        chapter.insert(address, Seen { version, moves, moved, ..seen });
        (before.mac, before.flags) != (seen.mac, seen.flags)
    }

    /// All, by VNI and address.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Vni, IpAddr, Seen)> {
        self.chapters.iter().flat_map(|(&vni, chapter)| {
            chapter.entries.iter().map(move |(&address, &seen)| (vni, address, seen))
        })
    }

    /// One of them.
    #[cfg(test)]
    pub(super) fn get(&self, vni: Vni, address: IpAddr) -> Option<Seen> {
        self.chapters.get(&vni)?.entries.get(&address).copied()
    }

    /// How many there are.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.chapters.values().map(|chapter| chapter.entries.len()).sum()
    }

    /// How many a VNI has.
    #[must_use]
    pub(super) fn learned_in(&self, vni: Vni) -> usize {
        self.chapters.get(&vni).map_or(0, |chapter| chapter.entries.len())
    }

    /// How often a VNI was full when another one was seen: either that or one of whoever had most was left out.
    #[must_use]
    pub(super) fn unlearned_in(&self, vni: Vni) -> u64 {
        self.chapters.get(&vni).map_or(0, |chapter| chapter.unlearned)
    }

    /// Who has most in a VNI, and how many.
    #[must_use]
    pub(super) fn largest_in(&self, vni: Vni) -> Option<(Place, usize)> {
        self.chapters.get(&vni)?.shares.last().map(|&(share, place)| (place, share))
    }

    /// Forgets one; says whether it was there.
    pub(super) fn remove(&mut self, vni: Vni, address: IpAddr) -> bool {
        self.chapters.get_mut(&vni).is_some_and(|chapter| chapter.remove(address).is_some())
    }

    /// Forgets a VNI that is gone.
    pub(super) fn remove_vni(&mut self, vni: Vni) {
        self.chapters.remove(&vni);
    }

    /// Forgets all that `keep` refuses, and says how many.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Vni, IpAddr, Seen) -> bool) -> usize {
        let mut forgotten = 0;
        for (&vni, chapter) in &mut self.chapters {
            let entries = chapter.entries.iter();
            let doomed: Vec<IpAddr> = entries
                .filter(|&(&address, &seen)| !keep(vni, address, seen))
                .map(|(&address, _)| address)
                .collect();
            forgotten += doomed.len();
            for address in doomed {
                chapter.remove(address);
            }
        }
        forgotten
    }
}

/// The neighbours of one VNI. Every step is of logarithmic cost, as a workload decides how many there are of them.
#[derive(Debug, Default)]
struct Chapter {
    entries: BTreeMap<IpAddr, Seen>,
    /// Those of each port and remote, whoever was silent for longest first.
    places: BTreeMap<Place, BTreeSet<(u32, IpAddr)>>,
    /// How many each has, the largest last.
    shares: BTreeSet<(usize, Place)>,
    unlearned: u64,
}

impl Chapter {
    fn share(&self, place: Place) -> usize {
        self.places.get(&place).map_or(0, BTreeSet::len)
    }

    /// Enters one that is not there.
    fn insert(&mut self, address: IpAddr, seen: Seen) {
        let share = self.share(seen.place);
        self.shares.remove(&(share, seen.place));
        self.shares.insert((share + 1, seen.place));
        self.places.entry(seen.place).or_default().insert((seen.at, address));
        self.entries.insert(address, seen);
    }

    fn remove(&mut self, address: IpAddr) -> Option<Seen> {
        let seen = self.entries.remove(&address)?;
        let share = self.share(seen.place);
        self.shares.remove(&(share, seen.place));
        if share > 1 {
            self.shares.insert((share - 1, seen.place));
            if let Some(of_place) = self.places.get_mut(&seen.place) {
                of_place.remove(&(seen.at, address));
            }
        } else {
            self.places.remove(&seen.place);
        }
        Some(seen)
    }

    /// Forgets the longest silent neighbour of the place that has most, so that `place` can have one more. Not for a
    /// place that has as many itself, or would then: what a flooder makes up replaces nothing, so that it does not keep
    /// us publishing either.
    fn make_room(&mut self, place: Place) -> bool {
        let Some(&(most, largest)) = self.shares.last() else { return false };
        if most <= self.share(place) + 1 {
            return false;
        }
        let silent = self.places.get(&largest).and_then(|of_place| of_place.first());
        silent.map(|&(_, address)| address).and_then(|address| self.remove(address)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use forward::ids::{PortId, RemoteId};

    use super::*;

    const FLOODER: Place = Place::Port(PortId(1));
    const OTHER: Place = Place::Port(PortId(2));
    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn vni(number: u32) -> Vni {
        Vni::new(number).unwrap()
    }

    fn seen(mac: Mac, place: Place, at: u32) -> Seen {
        Seen::new(mac, NeighbourFlags::default(), place, at, 100 + u64::from(at))
    }

    /// Fills a VNI with what one port makes up.
    fn flooded() -> Book {
        let mut book = Book::default();
        for number in 0..LEARNED_PER_VNI as u32 + 10 {
            book.note(vni(7), Ipv4Addr::from(0x0b00_0000 + number).into(), seen(MAC, FLOODER, 3 + number));
        }
        book
    }

    #[test]
    fn a_neighbour_counts_once_and_its_moves_are_counted() {
        let mut book = Book::default();
        let router = NeighbourFlags { is_router: true, ..NeighbourFlags::default() };
        let (vni, address) = (vni(7), [10, 0, 0, 1].into());
        assert!(book.note(vni, address, seen(MAC, OTHER, 1)));
        assert!(!book.note(vni, address, seen(MAC, OTHER, 2)));
        assert!(book.note(vni, address, Seen { flags: router, ..seen(MAC, OTHER, 2) }));
        assert_eq!(book.get(vni, address), Some(Seen { flags: router, version: 101, ..seen(MAC, OTHER, 2) }));
        let other_mac = Mac([2, 0, 0, 0, 0, 2]);
        assert!(book.note(vni, address, seen(other_mac, FLOODER, 3)));
        assert_eq!(
            book.get(vni, address),
            Some(Seen { moves: 1, moved: Some((3, MAC)), ..seen(other_mac, FLOODER, 3) })
        );
        assert_eq!((book.len(), book.largest_in(vni)), (1, Some((FLOODER, 1))));
        assert!(book.remove(vni, address) && !book.remove(vni, address));
        assert_eq!((book.len(), book.largest_in(vni)), (0, None));
    }

    #[test]
    fn a_flood_of_neighbours_is_bounded_and_keeps_nobody_else_out() {
        let mut book = flooded();
        assert_eq!((book.len(), book.unlearned_in(vni(7))), (LEARNED_PER_VNI, 10));
        let remote = Place::Remote(RemoteId(5));
        assert!(book.note(vni(7), [10, 0, 0, 1].into(), seen(MAC, OTHER, 4)));
        assert!(book.note(vni(7), [10, 0, 0, 2].into(), seen(MAC, remote, 4)));
        assert_eq!((book.learned_in(vni(7)), book.unlearned_in(vni(7))), (LEARNED_PER_VNI, 12));
        let first = |number: u32| book.get(vni(7), Ipv4Addr::from(0x0b00_0000 + number).into());
        assert!(
            first(0).is_none() && first(1).is_none() && first(2).is_some(),
            "the longest silent give way"
        );
        assert_eq!(book.largest_in(vni(7)), Some((FLOODER, LEARNED_PER_VNI - 2)));
        assert!(!book.note(vni(7), [10, 0, 0, 3].into(), seen(MAC, FLOODER, 4)));
        assert!(book.get(vni(7), [10, 0, 0, 1].into()).is_some());
        assert!(
            book.note(vni(8), [10, 0, 0, 1].into(), seen(MAC, FLOODER, 1)),
            "another VNI has room of its own"
        );
        assert_eq!(book.retain(|of, _, _| of == vni(8)), LEARNED_PER_VNI);
        assert!(book.note(vni(7), [10, 0, 0, 3].into(), seen(MAC, FLOODER, 4)));
    }

    #[test]
    fn two_that_flood_come_to_have_half_each() {
        let mut book = flooded();
        for number in 0..LEARNED_PER_VNI as u32 {
            book.note(vni(7), Ipv4Addr::from(0x0c00_0000 + number).into(), seen(MAC, OTHER, 90_000));
        }
        assert_eq!(book.len(), LEARNED_PER_VNI);
        assert_eq!(book.largest_in(vni(7)).map(|(_, share)| share), Some(LEARNED_PER_VNI / 2));
    }
}
