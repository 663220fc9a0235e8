//! The neighbours that workers have seen: who has which protocol address in which VNI. Configured ones stand in the
//! configuration; both together are what the proxies answer from.

use std::collections::BTreeMap;
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
}

/// All learned neighbours.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: BTreeMap<(Vni, IpAddr), Seen>,
    counts: BTreeMap<Vni, usize>,
}

impl Book {
    /// Notes a neighbour; says whether that changes anything for the proxy.
    pub(super) fn note(&mut self, vni: Vni, address: IpAddr, seen: Seen) -> bool {
        let count = self.counts.entry(vni).or_default();
        if !self.entries.contains_key(&(vni, address)) {
            if *count >= LEARNED_PER_VNI {
                return false;
            }
            *count += 1;
        }
        let before = self.entries.insert((vni, address), seen);
        before.is_none_or(|before| (before.mac, before.flags) != (seen.mac, seen.flags))
    }

    /// All, by VNI and address.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Vni, IpAddr, Seen)> {
        self.entries.iter().map(|(&(vni, address), &seen)| (vni, address, seen))
    }

    /// How many there are.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets one; says whether it was there.
    pub(super) fn remove(&mut self, vni: Vni, address: IpAddr) -> bool {
        self.retain(|of, entry, _| (of, entry) != (vni, address)) != 0
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
        let seen = |mac, at| Seen { mac, flags: NeighbourFlags::default(), at };
        let router = NeighbourFlags { is_router: true, ..NeighbourFlags::default() };
        assert!(book.note(vni, [10, 0, 0, 1].into(), seen(mac, 1)));
        assert!(!book.note(vni, [10, 0, 0, 1].into(), seen(mac, 2)));
        assert!(book.note(vni, [10, 0, 0, 1].into(), Seen { flags: router, ..seen(mac, 2) }));
        assert!(book.note(vni, [10, 0, 0, 1].into(), seen(Mac([2, 0, 0, 0, 0, 2]), 2)));
        for number in 0..=LEARNED_PER_VNI as u32 {
            book.note(vni, std::net::Ipv4Addr::from(0x0b00_0000 + number).into(), seen(mac, 3));
        }
        assert_eq!(book.len(), LEARNED_PER_VNI);
        assert!(book.note(other, [10, 0, 0, 1].into(), seen(mac, 1)), "another VNI has room of its own");
        assert_eq!(book.retain(|vni, _, _| vni == other), LEARNED_PER_VNI);
    }
}
