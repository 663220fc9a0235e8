//! Who wrote forwarding entries and neighbours, when, and how often they moved, as far as the configuration, the
//! forwarding database and the book of neighbours do not say so themselves.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use wire::{Mac, Vni};

/// Learned entries whose moves are remembered. Of one more, the one that moved longest ago is forgotten; the database
/// itself still counts its first fifteen moves.
const MOST_MOVED: usize = 4096;

/// What counted versions begin with at least, though the clock be wrong: all below are of places.
const FIRST: u64 = 1 << 40;

/// The version of a learned entry that has not moved, which says where it is and is the same for any there. It is a hash,
/// below all versions that are counted, so that an entry's version grows when it moves.
pub(super) fn place_version(place: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    1 + hasher.finish() % (FIRST - 1)
}

/// What is known of one entry beside what it says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Record {
    /// The version of its last change.
    pub(super) version: u64,
    /// The second of its last change.
    pub(super) written: u32,
    /// How often it moved.
    pub(super) moves: u32,
    /// When it last did, and where it was before.
    pub(super) moved: Option<(u32, String)>,
}

impl Record {
    /// A change at `now`, and with it a move if `from` says where the entry was.
    fn change(&mut self, version: u64, now: u32, from: Option<String>) {
        (self.version, self.written) = (version, now);
        if let Some(from) = from {
            self.moves = self.moves.saturating_add(1);
            self.moved = Some((now, from));
        }
    }
}

/// All records. Those of written entries are as many as these; those of learned ones are bounded.
#[derive(Debug)]
pub(super) struct Provenance {
    last: u64,
    fdb: BTreeMap<(Vni, Mac), Record>,
    neighbours: BTreeMap<(Vni, IpAddr), Record>,
    moved: Moved,
}

/// Records of learned entries that moved, and their keys in the order of their last moves.
#[derive(Debug, Default)]
struct Moved {
    records: BTreeMap<(Vni, Mac), Record>,
    order: BTreeMap<u64, (Vni, Mac)>,
}

impl Moved {
    fn note(&mut self, key: (Vni, Mac), version: u64, now: u32, from: String) {
        let record = self.records.entry(key).or_default();
        self.order.remove(&record.version);
        record.change(version, now, Some(from));
        self.order.insert(version, key);
        if self.records.len() > MOST_MOVED
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.records.remove(&oldest);
        }
    }

    fn remove(&mut self, key: (Vni, Mac)) {
        if let Some(record) = self.records.remove(&key) {
            self.order.remove(&record.version);
        }
    }
}

impl Provenance {
    /// No records. Versions begin with the time in microseconds, so that what an earlier run of the daemon gave out
    /// is older than all that comes, unless it made more than a million changes a second.
    pub(super) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::beginning_with(u64::try_from(since_epoch.as_micros()).unwrap_or_default().max(FIRST))
    }

    fn beginning_with(last: u64) -> Self {
        Self { last, fdb: BTreeMap::new(), neighbours: BTreeMap::new(), moved: Moved::default() }
    }

    /// A version that nothing has had.
    pub(super) const fn next_version(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// An entry was written at `now`; `from` is where it was, if it was elsewhere.
    pub(super) fn fdb_written(&mut self, key: (Vni, Mac), now: u32, from: Option<String>) {
        let version = self.next_version();
        self.moved.remove(key);
        self.fdb.entry(key).or_default().change(version, now, from);
    }

    /// A neighbour was written at `now`; `from` is the Ethernet address it had, if it had another.
    pub(super) fn neighbour_written(&mut self, key: (Vni, IpAddr), now: u32, from: Option<String>) {
        let version = self.next_version();
        self.neighbours.entry(key).or_default().change(version, now, from);
    }

    /// A learned entry moved at `now`, away from `from`.
    pub(super) fn fdb_moved(&mut self, key: (Vni, Mac), now: u32, from: String) {
        let version = self.next_version();
        self.moved.note(key, version, now, from);
    }

    /// A learned entry that moved was put back where it was first, away from `from`. It is the move that counts for it.
    pub(super) fn fdb_frozen(&mut self, key: (Vni, Mac), from: String) {
        if let Some((_, moved_from)) =
            self.moved.records.get_mut(&key).and_then(|record| record.moved.as_mut())
        {
            *moved_from = from;
        }
    }

    /// The record of a written entry.
    pub(super) fn of_fdb(&self, key: (Vni, Mac)) -> Option<&Record> {
        self.fdb.get(&key)
    }

    /// The record of a learned entry that moved.
    pub(super) fn of_moved(&self, key: (Vni, Mac)) -> Option<&Record> {
        self.moved.records.get(&key)
    }

    /// The record of a written neighbour.
    pub(super) fn of_neighbour(&self, key: (Vni, IpAddr)) -> Option<&Record> {
        self.neighbours.get(&key)
    }

    /// Forgets a written entry.
    pub(super) fn forget_fdb(&mut self, key: (Vni, Mac)) {
        self.fdb.remove(&key);
    }

    /// Forgets the moves of a learned entry that was removed: learned anew, it has not moved.
    pub(super) fn forget_moved(&mut self, key: (Vni, Mac)) {
        self.moved.remove(key);
    }

    /// Forgets a written neighbour.
    pub(super) fn forget_neighbour(&mut self, key: (Vni, IpAddr)) {
        self.neighbours.remove(&key);
    }

    /// Forgets what is not written any more.
    pub(super) fn retain_written(
        &mut self,
        fdb: impl Fn((Vni, Mac)) -> bool,
        neighbours: impl Fn((Vni, IpAddr)) -> bool,
    ) {
        self.fdb.retain(|key, _| fdb(*key));
        self.neighbours.retain(|key, _| neighbours(*key));
    }

    /// Forgets the moves of entries that are not there any more.
    pub(super) fn retain_moved(&mut self, is_there: impl Fn((Vni, Mac)) -> bool) {
        let gone: Vec<(Vni, Mac)> =
            self.moved.records.keys().filter(|key| !is_there(**key)).copied().collect();
        gone.into_iter().for_each(|key| self.moved.remove(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> (Vni, Mac) {
        (Vni::new(7).unwrap(), Mac::from_u64(number))
    }

    #[test]
    fn every_change_has_a_version_of_its_own() {
        let mut provenance = Provenance::beginning_with(100);
        provenance.fdb_written(key(1), 5, None);
        provenance.fdb_written(key(2), 5, None);
        provenance.fdb_written(key(1), 9, Some("a".into()));
        let first = provenance.of_fdb(key(1)).unwrap();
        assert_eq!(*first, Record { version: 103, written: 9, moves: 1, moved: Some((9, "a".into())) });
        assert_eq!(provenance.of_fdb(key(2)).unwrap().version, 102);
        provenance.forget_fdb(key(1));
        provenance.fdb_written(key(1), 10, None);
        assert_eq!(provenance.of_fdb(key(1)).unwrap().version, 104, "not one that was given before");
        assert!(Provenance::new().next_version() > 1_700_000_000_000_000);
    }

    #[test]
    fn the_version_of_a_place_is_its_own_and_below_all_that_are_counted() {
        let versions = ["p1", "p2", "192.0.2.1"].map(place_version);
        assert!(versions.iter().all(|version| (1..FIRST).contains(version)));
        assert!(versions[0] != versions[1] && versions[1] != versions[2]);
        assert_eq!(place_version("p1"), versions[0]);
        assert!(Provenance::new().next_version() > FIRST);
    }

    #[test]
    fn where_a_frozen_address_came_in_last_is_where_it_was_before() {
        let mut provenance = Provenance::beginning_with(0);
        provenance.fdb_moved(key(1), 3, "p1".into());
        provenance.fdb_frozen(key(1), "p2".into());
        provenance.fdb_frozen(key(2), "p2".into());
        assert_eq!(provenance.of_moved(key(1)).unwrap().moved, Some((3, "p2".into())));
        assert_eq!(provenance.of_moved(key(2)), None);
    }

    #[test]
    fn moves_of_learned_entries_are_counted_and_bounded() {
        let mut provenance = Provenance::beginning_with(0);
        for number in 0..MOST_MOVED as u64 + 10 {
            provenance.fdb_moved(key(number), 1, "a".into());
        }
        provenance.fdb_moved(key(20), 2, "b".into());
        assert_eq!((provenance.moved.records.len(), provenance.moved.order.len()), (MOST_MOVED, MOST_MOVED));
        assert!(provenance.of_moved(key(9)).is_none() && provenance.of_moved(key(10)).is_some());
        let record = provenance.of_moved(key(20)).unwrap();
        assert_eq!((record.moves, record.moved.clone()), (2, Some((2, "b".into()))));
        provenance.retain_moved(|key| key.1 != Mac::from_u64(20));
        assert_eq!(provenance.moved.records.len(), MOST_MOVED - 1);
        provenance.fdb_written(key(30), 3, None);
        assert!(provenance.of_moved(key(30)).is_none(), "it is not a learned one any more");
    }
}
