//! Addresses that move to and fro: a loop through two ports, or two stations with one address. An address that has moved
//! too often stays where it was first, for a while (RFC 7432 section 15.1): what comes from elsewhere under its name is
//! dropped, which ends the loop.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use forward::fdb::{Entry, Fdb, Key, Kind};
use forward::ids::DomainId;
use forward::link::Place;
use forward::protection::LearningLimits;
use wire::{Mac, Vni};

use super::shares::largest_first;
use super::state::State;

/// Seconds within which moves count.
pub(super) const WINDOW: u32 = 180;
/// Seconds that an address stays frozen.
pub(super) const FREEZE: u32 = 180;
/// Addresses that are watched at most. A workload with two ports can make them up at will, each of one move.
const MOST: usize = 8192;
/// How many of them are forgotten at once when there are more: a look at all is then one in so many new ones.
const AT_ONCE: usize = 512;

/// Lines of the log of one kind, domain and second; how many others there were is said with the next line.
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

/// What the log says of an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Line {
    /// It moved.
    Moved,
    /// It moved too often and is frozen, or would be.
    Frozen,
    /// It may move again.
    Thawed,
}

/// What the log says of one kind in one domain.
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
    frozen: BTreeMap<Address, Frozen>,
    /// How many are frozen at each place, and in each domain.
    frozen_at: BTreeMap<Place, u32>,
    frozen_in: BTreeMap<DomainId, u32>,
    said: BTreeMap<(DomainId, Line), Said>,
    /// Histories that were forgotten for want of room since that was last told, and whose the first of them was.
    crowded_out: Option<(u64, Place)>,
}

/// An address that is kept where it is.
#[derive(Debug)]
struct Frozen {
    home: Place,
    /// The second up to which it is.
    until: u32,
}

impl Moves {
    /// Notes a move at `now`, in seconds. Where the address is to be frozen, if this was move `limit` within the window;
    /// a limit of zero freezes nothing.
    pub(super) fn note(&mut self, address: Address, from: Place, limit: u32, now: u32) -> Option<Place> {
        if limit == 0 || self.frozen.contains_key(&address) {
            return None;
        }
        if !self.histories.contains_key(&address) && self.histories.len() >= MOST {
            self.make_room();
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
        Some(home)
    }

    /// Forgets some histories: of the place with most of them, each time. There those of fewest moves go first, and of these
    /// the one that is over soonest. So whoever makes addresses up pushes out his own, and neither another's loop nor, for
    /// long, one of his own goes unseen.
    fn make_room(&mut self) {
        let mut by_home: BTreeMap<Place, Vec<_>> = BTreeMap::new();
        for (address, History { home, moves }) in &self.histories {
            let worth = (moves.len(), moves.back().copied());
            by_home.entry(*home).or_default().push((worth, *address));
        }
        // What goes first is at the end, from where it is taken.
        by_home.values_mut().for_each(|held| held.sort_unstable_by(|one, other| other.cmp(one)));
        for (home, (_, address)) in largest_first(by_home).take(AT_ONCE) {
            self.histories.remove(&address);
            self.crowded_out.get_or_insert((0, home)).0 += 1;
        }
    }

    /// Whether one more address may be frozen at a place: as many as may be learned there, and in the domain.
    fn may_freeze(&self, domain: DomainId, home: Place, limits: &LearningLimits) -> bool {
        let at = self.frozen_at.get(&home).copied().unwrap_or(0);
        let within = self.frozen_in.get(&domain).copied().unwrap_or(0);
        limits.at(home).is_none_or(|limit| at < limit)
            && limits.domains.get(&domain).is_none_or(|limit| within < *limit)
    }

    /// From `now` on an address is frozen.
    fn freeze(&mut self, address: Address, home: Place, now: u32) {
        if self.frozen.insert(address, Frozen { home, until: now + FREEZE }).is_none() {
            *self.frozen_at.entry(home).or_default() += 1;
            *self.frozen_in.entry(address.0).or_default() += 1;
        }
    }

    /// Keeps of the frozen addresses those that `keep` says so of.
    fn retain_frozen(&mut self, keep: impl Fn(&Address, &Frozen) -> bool) {
        self.frozen.retain(|address, frozen| keep(address, frozen));
        (self.frozen_at, self.frozen_in) = (BTreeMap::new(), BTreeMap::new());
        for ((domain, _), Frozen { home, .. }) in &self.frozen {
            *self.frozen_at.entry(*home).or_default() += 1;
            *self.frozen_in.entry(*domain).or_default() += 1;
        }
    }

    /// Whether one more line of a kind is to be said in a domain, and if so, how many were not before.
    fn say(&mut self, domain: DomainId, line: Line, now: u32) -> Option<u64> {
        let said = self.said.entry((domain, line)).or_default();
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
        let is_over = |frozen: &Frozen| frozen.until <= now;
        let over: Vec<Address> =
            self.frozen.iter().filter(|(_, frozen)| is_over(frozen)).map(|(address, _)| *address).collect();
        if !over.is_empty() {
            self.retain_frozen(|_, frozen| !is_over(frozen));
        }
        over
    }

    /// Ends the freeze of what is frozen beyond limits that have been lowered since, and tells which addresses that is.
    /// Those that would have been free soonest go first.
    fn release_beyond(&mut self, limits: &LearningLimits) -> Vec<Address> {
        let mut soonest: Vec<(u32, Address, Place)> =
            self.frozen.iter().map(|(address, frozen)| (frozen.until, *address, frozen.home)).collect();
        soonest.sort_unstable();
        let mut over = BTreeSet::new();
        let Self { frozen_at, frozen_in, .. } = self;
        for (_, address, home) in soonest {
            let (Some(at), Some(within)) = (frozen_at.get_mut(&home), frozen_in.get_mut(&address.0)) else {
                continue;
            };
            let is_beyond = limits.at(home).is_some_and(|limit| *at > limit)
                || limits.domains.get(&address.0).is_some_and(|limit| *within > *limit);
            if is_beyond {
                (*at, *within) = (*at - 1, *within - 1);
                over.insert(address);
            }
        }
        self.retain_frozen(|address, _| !over.contains(address));
        over.into_iter().collect()
    }

    /// Keeps of the frozen addresses those for which `holds` says that the forwarding database holds them.
    pub(super) fn keep_frozen(&mut self, holds: impl Fn(Address) -> bool) {
        if !self.frozen.is_empty() {
            self.retain_frozen(|address, _| holds(*address));
        }
    }

    /// Forgets addresses for which `unwanted` holds, as domains and places go.
    pub(super) fn forget(&mut self, unwanted: impl Fn(DomainId, Option<Place>) -> bool) {
        self.histories.retain(|(domain, _), history| !unwanted(*domain, Some(history.home)));
        self.retain_frozen(|(domain, _), _| !unwanted(*domain, None));
        self.said.retain(|(domain, _), _| !unwanted(*domain, None));
    }
}

/// Makes frozen entries learned ones again. As before they are counted with what was learned, wherever they were seen last
/// and however often they moved; those that are gone or were written over are left alone.
fn melt(fdb: &Fdb, addresses: Vec<Address>) -> Vec<Address> {
    let melts = |&(domain, mac): &Address| {
        let key = Key::new(domain, mac);
        let entry = fdb.lookup(&fdb.probe(key)).filter(|entry| entry.kind == Kind::Sticky);
        entry.is_some_and(|entry| fdb.convert(key, entry.place, Kind::Dynamic, entry.seen).is_ok())
    };
    addresses.into_iter().filter(melts).collect()
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
        if let Some(unsaid) = self.moves.say(key.domain(), Line::Moved, now) {
            let unsaid = (unsaid != 0).then_some(unsaid);
            tracing::info!(vni = number, %mac, from = place, to = other, unsaid, "address moved");
        }
        self.provenance.fdb_moved((vni, mac), now, place.clone());
        let limit = self.config.vnis.get(&vni).map_or(0, |vni| vni.move_limit);
        let Some(home) = self.moves.note((key.domain(), mac), from, limit, now) else { return };
        if self.config.fdb.contains(&(vni, mac)) {
            return;
        }
        let unsaid = self.moves.say(key.domain(), Line::Frozen, now);
        let said = unsaid.map(|unsaid| (unsaid != 0).then_some(unsaid));
        // What is frozen gives way to nobody, so it must not be more than may be learned. One address more stays learned, where
        // it came in last: to forget it would flood all that is sent to it, into what may well be a loop.
        if !self.moves.may_freeze(key.domain(), home, &self.enforced.limits) {
            if let Some(unsaid) = said {
                let at = self.describe(home);
                tracing::warn!(vni = number, %mac, at, unsaid, "an address that moves too often is not frozen: as many are as may be learned there");
            }
            return;
        }
        // It ages as before, so that it does not outlive its station.
        if let Err(full) = self.fdb.convert(key, home, Kind::Sticky, now) {
            if let Some(unsaid) = said {
                tracing::warn!(vni = number, %mac, %full, unsaid, "an address that moves too often is not frozen");
            }
            return;
        }
        self.moves.freeze((key.domain(), mac), home, now);
        if home != to {
            // It came in there last, and nobody would name that place otherwise.
            self.provenance.fdb_frozen((vni, mac), other.clone());
        }
        let Some(unsaid) = said else { return };
        tracing::warn!(
            vni = number,
            %mac,
            at = self.describe(home),
            between = place,
            and = other,
            moves = limit,
            seconds = WINDOW,
            frozen = FREEZE,
            unsaid,
            "address moves too often and is frozen: look for a loop, or for two stations with one address"
        );
    }

    /// Lets addresses move again that were frozen for long enough, or that are more than may be learned where they are.
    pub(super) fn thaw(&mut self, now: u32) {
        let is_frozen =
            |key: Key| self.fdb.lookup(&self.fdb.probe(key)).is_some_and(|entry| entry.kind == Kind::Sticky);
        let is_written = |domain: DomainId, mac| {
            let vni = self.ids.domains.key(u32::from(domain.0));
            vni.is_some_and(|vni| self.config.fdb.contains(&(*vni, mac)))
        };
        // Whoever removed the entry, let it age, or wrote one of their own has ended the matter.
        self.moves.keep_frozen(|(domain, mac)| is_frozen(Key::new(domain, mac)) && !is_written(domain, mac));
        let mut over = self.moves.expire(now);
        if self.enforced.may_exceed_limits {
            over.extend(self.moves.release_beyond(&self.enforced.limits));
        }
        for (domain, mac) in melt(&self.fdb, over) {
            // Others may have been learned in their stead meanwhile.
            self.enforced.may_exceed_limits = true;
            if let Some(unsaid) = self.moves.say(domain, Line::Thawed, now) {
                let unsaid = (unsaid != 0).then_some(unsaid);
                tracing::info!(vni = self.vni(domain).map(Vni::value), %mac, unsaid, "address may move again");
            }
        }
        if let Some((count, most)) = self.moves.crowded_out.take() {
            let most = self.describe(most);
            tracing::warn!(
                count,
                most,
                "more addresses move than are watched: of some the moves so far are forgotten"
            );
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
        let mut note = |now, from| {
            let home = moves.note(ADDRESS, from, limit, now)?;
            moves.freeze(ADDRESS, home, now);
            Some(home)
        };
        times.iter().zip(places).map(|(now, from)| note(*now, from)).collect()
    }

    fn address(number: u32) -> Address {
        (DomainId(1), Mac::from_u64(0x0201_0000_0000 + u64::from(number)))
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
        let mut said = |domain, now, line| {
            (0..100).filter_map(|_| moves.say(DomainId(domain), line, now)).collect::<Vec<_>>()
        };
        assert_eq!(said(1, 7, Line::Moved), [0; LINES as usize]);
        assert_eq!(said(2, 7, Line::Moved), [0; LINES as usize], "each domain has its own");
        assert_eq!(said(1, 7, Line::Frozen), [0; LINES as usize], "warnings have theirs");
        assert_eq!(said(1, 8, Line::Moved)[..2], [100 - u64::from(LINES), 0]);
        assert_eq!(said(1, 8, Line::Frozen)[..2], [100 - u64::from(LINES), 0]);
    }

    #[test]
    fn whoever_makes_addresses_up_pushes_out_his_own() {
        let mut moves = Moves::default();
        let (loop_elsewhere, loop_here) = (address(1_000_000), address(1_000_001));
        assert_eq!(moves.note(loop_elsewhere, Place::Port(PortId(7)), 5, 10), None);
        (0..2).for_each(|_| assert_eq!(moves.note(loop_here, HOME, 5, 10), None));
        for number in 0..3 * MOST as u32 {
            assert_eq!(moves.note(address(number), HOME, 5, 10 + number / 1000), None);
            assert!(moves.histories.len() <= MOST);
        }
        let left = moves.histories.len() as u64;
        assert_eq!(moves.crowded_out, Some((3 * MOST as u64 + 2 - left, HOME)), "which can be told");
        for (address, limit) in [(loop_elsewhere, 2), (loop_here, 3)] {
            assert!(moves.note(address, HOME, limit, 40).is_some(), "what it had moved is not forgotten");
        }
        assert!(!moves.histories.contains_key(&address(0)), "the oldest are");
        assert!(moves.histories.contains_key(&address(3 * MOST as u32 - 1)));
        moves.expire(100 + WINDOW);
        assert!(moves.histories.is_empty());
        noted(&mut moves, 5, &[300; 5]);
        moves.forget(|domain, _| domain == ADDRESS.0);
        assert!(!moves.is_frozen(ADDRESS));
        assert!(moves.frozen_at.is_empty() && moves.frozen_in.is_empty());
    }

    /// Limits of one place and of the domain.
    fn limits(home: u32, domain: u32) -> LearningLimits {
        LearningLimits {
            ports: [(PortId(1), home)].into(),
            domains: [(DomainId(1), domain)].into(),
            ..LearningLimits::default()
        }
    }

    #[test]
    fn no_more_is_frozen_than_may_be_learned_and_what_is_beyond_a_lowered_limit_is_released() {
        let mut moves = Moves::default();
        let freeze = |moves: &mut Moves, number, home, now, limits: &LearningLimits| {
            let may = moves.may_freeze(DomainId(1), home, limits);
            if may {
                moves.freeze(address(number), home, now);
            }
            may
        };
        let may: Vec<bool> = (0..4).map(|n| freeze(&mut moves, n, HOME, 10 + n, &limits(3, 5))).collect();
        assert_eq!(may, [true, true, true, false]);
        let may: Vec<bool> = (4..7).map(|n| freeze(&mut moves, n, ELSEWHERE, 20, &limits(3, 5))).collect();
        assert_eq!(may, [true, true, false], "the domain has a limit, too");
        assert_eq!(moves.release_beyond(&limits(3, 5)), []);
        assert_eq!(moves.release_beyond(&limits(1, 5)), [address(0), address(1)]);
        assert_eq!(moves.release_beyond(&limits(1, 1)), [address(2), address(4)]);
        assert!(moves.is_frozen(address(5)));
        assert!(freeze(&mut moves, 8, HOME, 30, &limits(1, 2)), "what is released leaves room");
        moves.keep_frozen(|_| false);
        assert!(freeze(&mut moves, 9, HOME, 30, &limits(1, 2)), "and so does what is removed");
    }

    #[test]
    fn a_thawed_entry_is_as_it_was_before_it_was_frozen() {
        let fdb = Fdb::new(64, [3, 4]);
        let key = |number| Key::new(DomainId(1), address(number).1);
        let entry = |number| fdb.lookup(&fdb.probe(key(number)));
        for number in 1..=3 {
            fdb.set(key(number), ELSEWHERE, Kind::Dynamic, 5).unwrap();
            for (now, place) in [(10, HOME), (20, ELSEWHERE), (30, HOME)] {
                let _ = fdb.learn(&fdb.probe(key(number)), place, now, None, |_| 300);
            }
        }
        let learned = entry(1).unwrap();
        assert_eq!((learned.place, learned.moves), (HOME, 3));
        for number in [1, 2] {
            fdb.convert(key(number), ELSEWHERE, Kind::Sticky, 40).unwrap();
        }
        fdb.set(key(2), HOME, Kind::Static, 50).unwrap();
        assert_eq!((fdb.learned_at(HOME), fdb.learned_at(ELSEWHERE)), (1, 0));
        let all = (1..=4).map(address).collect();
        assert_eq!(melt(&fdb, all), [address(1)], "others were written over, have moved on, or are gone");
        let thawed = Entry { place: ELSEWHERE, kind: Kind::Dynamic, moves: 3, seen: 40 };
        assert_eq!(entry(1), Some(thawed), "its moves stay, and it ages from when it was seen");
        assert_eq!((fdb.learned_at(HOME), fdb.learned_at(ELSEWHERE)), (1, 1), "it counts again");
        assert_eq!(entry(2).unwrap().kind, Kind::Static);
    }
}
