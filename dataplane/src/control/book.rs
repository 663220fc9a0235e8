//! The neighbours that workers have seen: who has which protocol address in which VNI. Configured ones stand in the
//! configuration; both together are what the proxies answer from.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;

use forward::tables::NeighbourFlags;
use wire::{Mac, Vni};

/// Learned neighbours of one VNI beyond which no more are learned. A workload can make them up at will.
const LEARNED_PER_VNI: usize = 16_384;

/// A neighbour that was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    /// Its Ethernet address.
    pub(super) mac: Mac,
    /// What else is known of it.
    pub(super) flags: NeighbourFlags,
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
    pub(super) const fn new(mac: Mac, flags: NeighbourFlags, at: u32, version: u64) -> Self {
        Self { mac, flags, at, version, moves: 0, moved: None }
    }
}

/// All learned neighbours.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: BTreeMap<(Vni, IpAddr), Seen>,
    counts: BTreeMap<Vni, usize>,
}

impl Book {
    /// Notes a neighbour as it was just seen; says whether that changes anything for the proxies. The version of
    /// `seen` is what a change is known by; its moves are counted here.
    pub(super) fn note(&mut self, vni: Vni, address: IpAddr, seen: Seen) -> bool {
        let count = self.counts.entry(vni).or_default();
        if !self.entries.contains_key(&(vni, address)) {
            if *count >= LEARNED_PER_VNI {
                return false;
            }
            *count += 1;
        }
        match self.entries.entry((vni, address)) {
            Entry::Vacant(place) => {
                place.insert(seen);
                true
            }
            Entry::Occupied(mut place) => {
                let before = *place.get();
                let Seen { version, moves, moved, .. } = if before.mac == seen.mac {
                    before
                } else {
                    Seen { moves: before.moves.saturating_add(1), moved: Some((seen.at, before.mac)), ..seen }
                };
                place.insert(Seen { version, moves, moved, ..seen });
                (before.mac, before.flags) != (seen.mac, seen.flags)
            }
        }
    }

    /// All, by VNI and address.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Vni, IpAddr, Seen)> {
        self.entries.iter().map(|(&(vni, address), &seen)| (vni, address, seen))
    }

    /// One of them.
    #[cfg(test)]
    pub(super) fn get(&self, vni: Vni, address: IpAddr) -> Option<Seen> {
        self.entries.get(&(vni, address)).copied()
    }

    /// How many there are.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets one; says whether it was there.
    pub(super) fn remove(&mut self, vni: Vni, address: IpAddr) -> bool {
        let was_there = self.entries.remove(&(vni, address)).is_some();
        if was_there && let Some(count) = self.counts.get_mut(&vni) {
            *count -= 1;
        }
        was_there
    }

    /// Forgets all that `keep` refuses, and says how many.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Vni, IpAddr, Seen) -> bool) -> usize {
        let before = self.entries.len();
        let counts = &mut self.counts;
        self.entries.retain(|&(vni, address), seen| {
            let keep = keep(vni, address, *seen);
            if !keep && let Some(count) = counts.get_mut(&vni) {
                *count -= 1;
            }
            keep
        });
        before - self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_counts_once_and_floods_of_them_are_bounded() {
        let (vni, other) = (Vni::new(7).unwrap(), Vni::new(8).unwrap());
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        let mut book = Book::default();
        let seen = |mac, at| Seen::new(mac, NeighbourFlags::default(), at, 100 + u64::from(at));
        let router = NeighbourFlags { is_router: true, ..NeighbourFlags::default() };
        let address = [10, 0, 0, 1].into();
        assert!(book.note(vni, address, seen(mac, 1)));
        assert!(!book.note(vni, address, seen(mac, 2)));
        assert!(book.note(vni, address, Seen { flags: router, ..seen(mac, 2) }));
        assert_eq!(book.get(vni, address), Some(Seen { flags: router, version: 101, ..seen(mac, 2) }));
        let other_mac = Mac([2, 0, 0, 0, 0, 2]);
        assert!(book.note(vni, address, seen(other_mac, 3)));
        assert_eq!(
            book.get(vni, address),
            Some(Seen { moves: 1, moved: Some((3, mac)), ..seen(other_mac, 3) })
        );
        for number in 0..=LEARNED_PER_VNI as u32 {
            book.note(vni, std::net::Ipv4Addr::from(0x0b00_0000 + number).into(), seen(mac, 3));
        }
        assert_eq!(book.len(), LEARNED_PER_VNI);
        assert!(book.note(other, [10, 0, 0, 1].into(), seen(mac, 1)), "another VNI has room of its own");
        assert!(!book.note(vni, [10, 0, 0, 9].into(), seen(mac, 3)), "there is no room left");
        assert!(book.remove(vni, address) && !book.remove(vni, address));
        assert!(book.note(vni, [10, 0, 0, 9].into(), seen(mac, 3)), "there is room again");
        assert_eq!(book.retain(|vni, _, _| vni == other), LEARNED_PER_VNI);
    }
}
