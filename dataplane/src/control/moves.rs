//! Addresses that move to and fro: a loop through two ports, or two stations with one address. An address that has moved
//! too often stays where it was first, for a while (RFC 7432 section 15.1): what comes from elsewhere under its name is
//! dropped, which ends the loop.

use std::collections::{BTreeMap, VecDeque};

use forward::fdb::{Entry, Key, Kind};
use forward::ids::DomainId;
use forward::link::Place;
use wire::{Mac, Vni};

use super::state::State;

/// Seconds within which moves count.
pub(super) const WINDOW: u32 = 180;
/// Seconds that an address stays frozen.
pub(super) const FREEZE: u32 = 180;
/// Addresses that are watched at most. A workload can make them up at will; beyond it none is added.
const MOST: usize = 8192;

/// Lines of the log about moves in one domain and second; how many others there were is said with the next line.
const LINES: u32 = 10;

/// An address of a domain.
type Address = (DomainId, Mac);

/// The moves of one address.
#[derive(Debug)]
struct History {
    /// Where it was before the first of them.
    home: Place,
    /// When it moved, oldest first.
    moves: VecDeque<u32>,
}

/// What the log says of moves in one domain.
#[derive(Debug, Default)]
struct Said {
    second: u32,
    lines: u32,
    unsaid: u64,
}

/// What is known of addresses that move.
#[derive(Debug, Default)]
pub(super) struct Moves {
    histories: BTreeMap<Address, History>,
    /// Until when an address is frozen.
    frozen: BTreeMap<Address, u32>,
    said: BTreeMap<DomainId, Said>,
}

impl Moves {
    /// Notes a move at `now`, in seconds. Where the address is to be frozen, if this was move `limit` within the window;
    /// a limit of zero freezes nothing.
    pub(super) fn note(&mut self, address: Address, from: Place, limit: u32, now: u32) -> Option<Place> {
        if limit == 0 || self.frozen.contains_key(&address) {
            return None;
        }
        if !self.histories.contains_key(&address) && self.histories.len() >= MOST {
            return None;
        }
        let History { home, moves } =
            self.histories.entry(address).or_insert_with(|| History { home: from, moves: VecDeque::new() });
        while moves.front().is_some_and(|at| now.saturating_sub(*at) >= WINDOW) {
            moves.pop_front();
        }
        if moves.is_empty() {
            *home = from;
        }
        moves.push_back(now);
        if moves.len() < limit as usize {
            return None;
        }
        let home = *home;
        self.histories.remove(&address);
        self.frozen.insert(address, now + FREEZE);
        Some(home)
    }

    /// Whether one more move in a domain is to be said, and if so, how many were not before.
    fn say(&mut self, domain: DomainId, now: u32) -> Option<u64> {
        let said = self.said.entry(domain).or_default();
        if said.second != now {
            (said.second, said.lines) = (now, 0);
        }
        if said.lines == LINES {
            said.unsaid += 1;
            return None;
        }
        said.lines += 1;
        Some(std::mem::take(&mut said.unsaid))
    }

    /// Whether an address is frozen.
    pub(super) fn is_frozen(&self, address: Address) -> bool {
        self.frozen.contains_key(&address)
    }

    /// Forgets what is over by `now`, and tells which addresses are frozen no longer.
    pub(super) fn expire(&mut self, now: u32) -> Vec<Address> {
        let recent =
            |history: &History| history.moves.back().is_some_and(|at| now.saturating_sub(*at) < WINDOW);
        self.histories.retain(|_, history| recent(history));
        let over: Vec<Address> =
            self.frozen.iter().filter(|(_, until)| **until <= now).map(|(address, _)| *address).collect();
        for address in &over {
            self.frozen.remove(address);
        }
        over
    }

    /// Keeps of the frozen addresses those for which `holds` says that the forwarding database holds them.
    pub(super) fn keep_frozen(&mut self, holds: impl Fn(Address) -> bool) {
        self.frozen.retain(|address, _| holds(*address));
    }

    /// Forgets addresses for which `unwanted` holds, as domains and places go.
    pub(super) fn forget(&mut self, unwanted: impl Fn(DomainId, Option<Place>) -> bool) {
        self.histories.retain(|(domain, _), history| !unwanted(*domain, Some(history.home)));
        self.frozen.retain(|(domain, _), _| !unwanted(*domain, None));
        self.said.retain(|domain, _| !unwanted(*domain, None));
    }
}

impl State {
    /// Whether an entry is a learned one that is kept in its place for having moved too often.
    pub(super) fn is_frozen(&self, key: Key, entry: &Entry) -> bool {
        entry.kind == Kind::Sticky && self.is_learned(key, entry)
    }

    /// An address came in elsewhere than before.
    pub(super) fn moved(&mut self, key: Key, from: Place, to: Place, now: u32) {
        let Some(vni) = self.vni(key.domain()) else { return };
        let (mac, number) = (key.mac(), vni.value());
        let (place, other) = (self.describe(from), self.describe(to));
        if let Some(unsaid) = self.moves.say(key.domain(), now) {
            let unsaid = (unsaid != 0).then_some(unsaid);
            tracing::info!(vni = number, %mac, from = place, to = other, unsaid, "address moved");
        }
        self.provenance.fdb_moved((vni, mac), now, place.clone());
        let limit = self.config.vnis.get(&vni).map_or(0, |vni| vni.move_limit);
        let Some(home) = self.moves.note((key.domain(), mac), from, limit, now) else { return };
        if self.config.fdb.contains(&(vni, mac)) {
            return;
        }
        // It ages as before, so that it does not outlive its station.
        if let Err(full) = self.fdb.set(key, home, Kind::Sticky, now) {
            tracing::warn!(vni = number, %mac, %full, "an address that moves too often is not frozen");
            return;
        }
        if home != to {
            // It came in there last, and nobody would name that place otherwise.
            self.provenance.fdb_frozen((vni, mac), other.clone());
        }
        tracing::warn!(
            vni = number,
            %mac,
            at = self.describe(home),
            between = place,
            and = other,
            moves = limit,
            seconds = WINDOW,
            frozen = FREEZE,
            "address moves too often and is frozen: look for a loop, or for two stations with one address"
        );
    }

    /// Lets addresses move again that were frozen for long enough.
    pub(super) fn thaw(&mut self, now: u32) {
        let frozen_at = |key: Key| {
            let entry = self.fdb.lookup(&self.fdb.probe(key))?;
            (entry.kind == Kind::Sticky).then_some(entry.place)
        };
        let is_written = |domain: DomainId, mac| {
            let vni = self.ids.domains.key(u32::from(domain.0));
            vni.is_some_and(|vni| self.config.fdb.contains(&(*vni, mac)))
        };
        // Whoever removed the entry, let it age, or wrote one of their own has ended the matter.
        self.moves.keep_frozen(|(domain, mac)| {
            frozen_at(Key::new(domain, mac)).is_some() && !is_written(domain, mac)
        });
        for (domain, mac) in self.moves.expire(now) {
            let key = Key::new(domain, mac);
            if let Some(place) = frozen_at(key)
                && self.fdb.set(key, place, Kind::Dynamic, now).is_ok()
            {
                tracing::info!(vni = self.vni(domain).map(Vni::value), %mac, "address may move again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use forward::ids::PortId;

    use super::*;

    const ADDRESS: Address = (DomainId(1), Mac([2, 0, 0, 0, 0, 1]));
    const HOME: Place = Place::Port(PortId(1));
    const ELSEWHERE: Place = Place::Port(PortId(2));

    /// Where the last of these moves, to and fro, freezes the address.
    fn noted(moves: &mut Moves, limit: u32, times: &[u32]) -> Vec<Option<Place>> {
        let places = [HOME, ELSEWHERE].into_iter().cycle();
        times.iter().zip(places).map(|(now, from)| moves.note(ADDRESS, from, limit, *now)).collect()
    }

    #[test]
    fn the_fifth_move_within_the_window_freezes_where_it_began() {
        let mut moves = Moves::default();
        let frozen = noted(&mut moves, 5, &[100, 100, 101, 150, 279]);
        assert_eq!(frozen, [None, None, None, None, Some(HOME)]);
        assert!(moves.is_frozen(ADDRESS));
        assert_eq!(noted(&mut moves, 5, &[280; 9]), [None; 9], "a frozen address does not move");
        assert_eq!(moves.expire(279 + FREEZE - 1), []);
        assert_eq!(moves.expire(279 + FREEZE), [ADDRESS]);
        assert!(!moves.is_frozen(ADDRESS));
    }

    #[test]
    fn slow_moves_and_a_limit_of_zero_freeze_nothing() {
        let mut moves = Moves::default();
        assert_eq!(noted(&mut moves, 5, &[0, 50, 100, 150, 200, 250, 300, 350]), [None; 8]);
        assert_eq!(noted(&mut moves, 0, &[400; 9]), [None; 9]);
        assert_eq!(noted(&mut Moves::default(), 1, &[7]), [Some(HOME)]);
    }

    #[test]
    fn of_many_moves_in_a_second_a_few_are_said_and_the_rest_is_counted() {
        let mut moves = Moves::default();
        let mut said =
            |domain, now| (0..100).filter_map(|_| moves.say(DomainId(domain), now)).collect::<Vec<_>>();
        assert_eq!(said(1, 7), [0; LINES as usize]);
        assert_eq!(said(2, 7), [0; LINES as usize], "each domain has its own");
        assert_eq!(said(1, 8)[..2], [100 - u64::from(LINES), 0]);
    }

    #[test]
    fn addresses_beyond_the_bound_are_not_watched_and_old_ones_are_forgotten() {
        let mut moves = Moves::default();
        let address = |number: u32| {
            (DomainId(1), Mac([2, 1, 0, (number >> 16) as u8, (number >> 8) as u8, number as u8]))
        };
        for number in 0..=MOST as u32 {
            moves.note(address(number), HOME, 5, 10);
        }
        assert_eq!(moves.histories.len(), MOST);
        moves.expire(10 + WINDOW);
        assert!(moves.histories.is_empty());
        noted(&mut moves, 5, &[300; 5]);
        moves.forget(|domain, _| domain == ADDRESS.0);
        assert!(!moves.is_frozen(ADDRESS));
    }
}
