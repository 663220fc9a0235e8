//! The forwarding database against a hash map, under random operations, ageing, and growing.
#![cfg(not(loom))]

use std::collections::HashMap;

use forward::fdb::{Entry, Fdb, Key, Kind, Learned, Limits, Migration, NeedsGrowth};
use forward::ids::{DomainId, PortId, RemoteId};
use forward::link::Place;
use proptest::prelude::*;
use wire::Mac;

const DOMAINS: u16 = 3;
const MACS: u64 = 24;
const PLACES: usize = 5;
/// Near the wrap of the 24-bit seconds.
const START: u32 = (1 << 24) - 20;
const SECONDS: u32 = (1 << 24) - 1;

fn ageing(domain: DomainId) -> u32 {
    [0, 10, 40, 0][usize::from(domain.0)]
}

fn place(index: usize) -> Place {
    if index < 3 { Place::Port(PortId(index as u16)) } else { Place::Remote(RemoteId(index as u32)) }
}

fn universe() -> impl Iterator<Item = Key> {
    (1..=DOMAINS)
        .flat_map(|domain| (0..MACS).map(move |mac| Key::new(DomainId(domain), Mac::from_u64(mac * mac))))
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Learn { key: Key, place: Place, limits: Option<Limits>, view: usize },
    Set { key: Key, place: Place, kind: Kind, view: usize },
    Remove { key: Key, view: usize },
    FlushDomain(DomainId),
    FlushPlace(Place),
    Age,
    Wait(u32),
    Grow(usize),
    Migrate(usize),
    Grown,
    DropOldest,
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = || {
        (1..=DOMAINS, 0..MACS).prop_map(|(domain, mac)| Key::new(DomainId(domain), Mac::from_u64(mac * mac)))
    };
    let places = || (0..PLACES).prop_map(place);
    let limits = || {
        let some = (0u32..12, 0u32..30).prop_map(|(place, domain)| Some(Limits { place, domain }));
        prop_oneof![3 => Just(None), 1 => some]
    };
    let kind = || {
        prop_oneof![Just(Kind::Dynamic), Just(Kind::Static), Just(Kind::External), Just(Kind::Sticky)].boxed()
    };
    prop_oneof![
        40 => (key(), places(), limits(), 0..3usize)
            .prop_map(|(key, place, limits, view)| Operation::Learn { key, place, limits, view }),
        6 => (key(), places(), kind(), 0..3usize)
            .prop_map(|(key, place, kind, view)| Operation::Set { key, place, kind, view }),
        4 => (key(), 0..3usize).prop_map(|(key, view)| Operation::Remove { key, view }),
        1 => (1..=DOMAINS).prop_map(|domain| Operation::FlushDomain(DomainId(domain))),
        1 => places().prop_map(Operation::FlushPlace),
        2 => Just(Operation::Age),
        6 => (0..8u32).prop_map(Operation::Wait),
        2 => (0..64usize).prop_map(Operation::Grow),
        4 => (0..5usize).prop_map(Operation::Migrate),
        4 => Just(Operation::Grown),
        4 => Just(Operation::DropOldest),
    ]
}

/// Which entries an operation may have pushed out, for want of room.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Nothing,
    OneExpired,
    OneLearned,
    Learned,
}

struct Model {
    entries: HashMap<Key, Entry>,
    now: u32,
    /// The views that somebody holds, oldest first. The last one is control's.
    views: Vec<Fdb>,
    /// Whether nothing may ever be refused or pushed out.
    roomy: bool,
}

impl Model {
    fn new(capacity: usize, seed: u64, roomy: bool) -> Self {
        let views = vec![Fdb::new(capacity, [seed, !seed])];
        Self { entries: HashMap::new(), now: START, views, roomy }
    }

    fn view(&self, index: usize) -> &Fdb {
        &self.views[index % self.views.len()]
    }

    fn control(&self) -> &Fdb {
        &self.views[self.views.len() - 1]
    }

    fn count(&self, counted: impl Fn(&Key, &Entry) -> bool) -> u32 {
        self.entries.iter().filter(|(key, entry)| entry.kind == Kind::Dynamic && counted(key, entry)).count()
            as u32
    }

    fn apply(&mut self, operation: Operation) {
        let mut loss = Loss::Nothing;
        match operation {
            Operation::Learn { key, place, limits, view } => loss = self.learn(key, place, limits, view),
            Operation::Set { key, place, kind, view } => loss = self.set(key, place, kind, view),
            Operation::Remove { key, view } => {
                assert_eq!(self.view(view).remove(key), self.entries.remove(&key));
            }
            Operation::FlushDomain(domain) => self.flush(|key, _| key.domain() == domain),
            Operation::FlushPlace(place) => {
                self.flush(|_, entry| entry.place == place && entry.kind == Kind::Dynamic);
            }
            Operation::Age => {
                let now = self.now;
                let before = self.entries.len();
                self.entries.retain(|key, entry| !entry.is_expired(now, ageing(key.domain())));
                assert_eq!(self.control().age(now, ageing), before - self.entries.len());
            }
            Operation::Wait(seconds) => self.now += seconds,
            Operation::Grow(capacity) => self.views.extend(self.control().grow(capacity)),
            Operation::Migrate(buckets) => {
                let migration = self.control().migrate(buckets);
                let growing = self.control().grow(1).is_none();
                assert_eq!(migration == Migration::Waiting, growing && self.views.len() > 1);
                loss = Loss::Learned;
            }
            Operation::Grown => self.views.extend(self.control().grown()),
            Operation::DropOldest => {
                if self.views.len() > 1 {
                    self.views.remove(0);
                }
            }
        }
        self.check(loss);
    }

    fn flush(&mut self, unwanted: impl Fn(Key, &Entry) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|key, entry| !unwanted(*key, entry));
        assert_eq!(self.control().flush(unwanted), before - self.entries.len());
    }

    fn learn(&mut self, key: Key, place: Place, limits: Option<Limits>, view: usize) -> Loss {
        let fdb = self.view(view);
        let learned = fdb.learn(&fdb.probe(key), place, self.now, limits, ageing);
        let limits = limits.unwrap_or(Limits::NONE);
        let crowded = self.count(|_, entry| entry.place == place) >= limits.place;
        let full = self.count(|other, _| other.domain() == key.domain()) >= limits.domain;
        let (now, seen) = (self.now, self.now & SECONDS);
        match self.entries.get_mut(&key) {
            Some(entry) if entry.place == place => {
                let stale = entry.kind.ages() && entry.age(now) > 0;
                assert_eq!(learned, if stale { Learned::Refreshed } else { Learned::Known });
                if stale {
                    entry.seen = seen;
                }
            }
            Some(entry) if entry.kind != Kind::Dynamic => assert_eq!(learned, Learned::Bound),
            Some(_) if crowded => assert_eq!(learned, Learned::Limited),
            Some(entry) => {
                assert_eq!(learned, Learned::Moved { from: entry.place });
                *entry = Entry { place, kind: Kind::Dynamic, moves: (entry.moves + 1).min(15), seen };
            }
            None if crowded || full => {
                assert_eq!(learned, Learned::Limited);
            }
            None if learned == Learned::Full => {
                assert!(!self.roomy && self.entries.len() >= 4 && self.control().wants_growth());
            }
            None => {
                assert_eq!(learned, Learned::New);
                self.entries.insert(key, Entry { place, kind: Kind::Dynamic, moves: 0, seen });
                return Loss::OneExpired;
            }
        }
        Loss::Nothing
    }

    fn set(&mut self, key: Key, place: Place, kind: Kind, view: usize) -> Loss {
        let entry = Entry { place, kind, moves: 0, seen: self.now & SECONDS };
        match self.view(view).set(key, place, kind, self.now) {
            Ok(before) => {
                assert_eq!(before, self.entries.insert(key, entry));
                if before.is_none() { Loss::OneLearned } else { Loss::Nothing }
            }
            Err(NeedsGrowth) => {
                assert!(!self.roomy && !self.entries.contains_key(&key) && self.control().wants_growth());
                Loss::Nothing
            }
        }
    }

    /// Compares everything that can be seen, through every view.
    fn check(&mut self, loss: Loss) {
        let mut dump = HashMap::new();
        self.control()
            .for_each(|key, entry| assert!(dump.insert(key, entry).is_none(), "{key:?} is there twice"));
        let (now, roomy) = (self.now, self.roomy);
        let mut lost = 0;
        self.entries.retain(|key, entry| {
            let here = dump.contains_key(key);
            if !here {
                lost += 1;
                assert!(!roomy, "{key:?} vanished");
                let allowed = match loss {
                    Loss::Nothing => false,
                    Loss::OneExpired => lost == 1 && entry.is_expired(now, ageing(key.domain())),
                    Loss::OneLearned => lost == 1 && entry.kind == Kind::Dynamic,
                    Loss::Learned => entry.kind == Kind::Dynamic,
                };
                assert!(allowed, "{key:?} {entry:?} vanished");
            }
            here
        });
        assert_eq!(dump, self.entries);
        for fdb in &self.views {
            assert_eq!(fdb.len(), self.entries.len());
            for key in universe() {
                assert_eq!(fdb.lookup(&fdb.probe(key)), self.entries.get(&key).copied());
            }
        }
        for place in (0..PLACES).map(place) {
            assert_eq!(self.control().learned_at(place), self.count(|_, entry| entry.place == place));
        }
        for domain in (1..=DOMAINS).map(DomainId) {
            assert_eq!(self.control().learned_in(domain), self.count(|key, _| key.domain() == domain));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn with_room_for_all(seed: u64, operations in prop::collection::vec(operation(), 1..300)) {
        let mut model = Model::new(128, seed, true);
        operations.into_iter().for_each(|operation| model.apply(operation));
    }

    #[test]
    fn with_little_room(capacity in 1..20usize, seed: u64, operations in prop::collection::vec(operation(), 1..300)) {
        let mut model = Model::new(capacity, seed, false);
        operations.into_iter().for_each(|operation| model.apply(operation));
    }
}
