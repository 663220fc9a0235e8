//! Limits that were lowered, or that thawed addresses count against again: what was learned beyond them is forgotten, of the
//! biggest holder first and there of what was silent for longest.

use std::collections::{BTreeMap, HashSet};

use forward::fdb::{Entry, Fdb, Key, Kind};
use forward::ids::DomainId;
use forward::link::Place;
use forward::protection::LearningLimits;

use super::shares::largest_first;
use super::state::State;

impl State {
    /// Forgets what is beyond a lowered limit, until a look finds nothing: a worker may still learn by the limits before.
    pub(super) fn trim(&mut self, now: u32) {
        if !self.enforced.may_exceed_limits {
            return;
        }
        let surplus = surplus(&self.fdb, &self.enforced.limits, now);
        self.enforced.may_exceed_limits = !surplus.is_empty();
        if !surplus.is_empty() {
            let forgotten =
                self.fdb.flush(|key, entry| entry.kind == Kind::Dynamic && surplus.contains(&key));
            tracing::info!(forgotten, "learned addresses beyond their limit are forgotten");
        }
    }
}

/// The learned entries that are beyond the limits.
fn surplus(fdb: &Fdb, limits: &LearningLimits, now: u32) -> HashSet<Key> {
    let is_over = |count: u32, limit: Option<u32>| limit.is_some_and(|limit| count > limit);
    let concerns = |key: Key, entry: &Entry| {
        is_over(fdb.learned_at(entry.place), limits.at(entry.place))
            || is_over(fdb.learned_in(key.domain()), limits.domains.get(&key.domain()).copied())
    };
    let mut places: BTreeMap<Place, Vec<(u32, Key)>> = BTreeMap::new();
    fdb.for_each(|key, entry| {
        if entry.kind == Kind::Dynamic && concerns(key, &entry) {
            places.entry(entry.place).or_default().push((entry.age(now), key));
        }
    });
    let mut surplus = HashSet::new();
    // Of each domain, by place; what was silent for longest is last.
    let mut holdings: BTreeMap<DomainId, BTreeMap<Place, Vec<Key>>> = BTreeMap::new();
    for (place, mut held) in places {
        held.sort_unstable_by_key(|(age, _)| *age);
        let most = limits.at(place).unwrap_or(u32::MAX) as usize;
        surplus.extend(held.iter().skip(most).map(|(_, key)| *key));
        for (_, key) in held.into_iter().take(most) {
            holdings.entry(key.domain()).or_default().entry(place).or_default().push(key);
        }
    }
    for (domain, held) in holdings {
        let most = limits.domains.get(&domain).copied().unwrap_or(u32::MAX) as usize;
        let beyond = held.values().map(Vec::len).sum::<usize>().saturating_sub(most);
        surplus.extend(largest_first(held).take(beyond).map(|(_, key)| key));
    }
    surplus
}

#[cfg(test)]
mod tests {
    use forward::ids::{PortId, RemoteId};
    use wire::Mac;

    use super::*;

    const DOMAIN: DomainId = DomainId(1);
    const A: Place = Place::Port(PortId(1));
    const B: Place = Place::Port(PortId(2));
    const FAR: Place = Place::Remote(RemoteId(3));

    /// As many learned entries behind each place, the later the younger.
    fn database(counts: &[(Place, u32)]) -> Fdb {
        let fdb = Fdb::new(1024, [3, 4]);
        let mut number = 0;
        for (place, count) in counts {
            for second in 0..*count {
                number += 1;
                let key = Key::new(DOMAIN, Mac::from_u64(0x0200_0000_0000 + number));
                fdb.set(key, *place, Kind::Dynamic, second).unwrap();
            }
        }
        fdb
    }

    fn left(fdb: &Fdb, limits: &LearningLimits) -> Vec<(Place, u32, u32)> {
        let surplus = surplus(fdb, limits, 1000);
        fdb.flush(|key, _| surplus.contains(&key));
        let mut left: BTreeMap<Place, (u32, u32)> = BTreeMap::new();
        fdb.for_each(|_, entry| {
            let (count, oldest) = left.entry(entry.place).or_insert((0, u32::MAX));
            (*count, *oldest) = (*count + 1, entry.seen.min(*oldest));
        });
        left.into_iter().map(|(place, (count, oldest))| (place, count, oldest)).collect()
    }

    #[test]
    fn sixteen_become_eight_and_the_youngest_stay() {
        let fdb = database(&[(A, 16), (FAR, 16)]);
        let limits = LearningLimits { ports: [(PortId(1), 8)].into(), ..LearningLimits::default() };
        assert_eq!(left(&fdb, &limits), [(A, 8, 8), (FAR, 16, 0)]);
        let limits = LearningLimits { remotes: [(RemoteId(3), 0)].into(), ..limits };
        assert_eq!(left(&fdb, &limits), [(A, 8, 8)]);
    }

    #[test]
    fn the_biggest_holder_loses() {
        let fdb = database(&[(A, 100), (B, 3), (FAR, 20)]);
        let written = Key::new(DOMAIN, Mac([2, 9, 9, 9, 9, 9]));
        fdb.set(written, A, Kind::Static, 0).unwrap();
        let limits = LearningLimits { domains: [(DOMAIN, 31)].into(), ..LearningLimits::default() };
        let left = left(&fdb, &limits);
        let counts: Vec<u32> = left.iter().map(|(_, count, _)| *count).collect();
        assert_eq!(counts, [14 + 1, 3, 14], "what is written does not count and does not go");
        assert!(surplus(&fdb, &limits, 1000).is_empty());
        assert!(fdb.lookup(&fdb.probe(written)).is_some());
    }
}
