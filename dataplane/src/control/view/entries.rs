//! Forwarding entries and neighbours.

use api::{EntryKind, EntryState, FdbEntry, Neighbour};
use forward::fdb::{Entry, Key, Kind};
use forward::link::Place;
use forward::tables::NeighbourFlags;
use wire::Vni;

use super::super::provenance::place_version;
use super::super::state::State;
use super::super::verbs::{FdbFilter, NeighbourFilter, Page};
use crate::config::{Keyed, owner};

impl State {
    /// Whether an entry satisfies a filter.
    fn matches(&self, filter: &FdbFilter, key: Key, entry: &Entry) -> bool {
        let remote = match entry.place {
            Place::Remote(remote) => self.ids.remotes.key(remote.0).map(|(_, address)| *address),
            Place::Port(_) | Place::Group(_) => None,
        };
        let port = match entry.place {
            Place::Port(port) => Some(port),
            Place::Remote(_) | Place::Group(_) => None,
        };
        filter.kind.is_none_or(|wanted| wanted == self.kind(key, entry))
            && filter.mac.is_none_or(|mac| mac == key.mac())
            && filter.vni.is_none_or(|vni| self.domain_id(vni) == Some(key.domain()))
            && filter.remote.is_none_or(|address| remote == Some(address))
            && filter.port.as_ref().is_none_or(|name| port.is_some() && self.port_id(name) == port)
            && filter.owner.as_ref().is_none_or(|owner| self.owner(key, entry) == owner)
    }

    /// The kind of an entry as others see it: a frozen one is a learned one.
    fn kind(&self, key: Key, entry: &Entry) -> EntryKind {
        if self.is_frozen(key, entry) { EntryKind::Dynamic } else { word(entry.kind) }
    }

    /// What `bridge fdb` says of an entry beside its state, whether it is kept in its place for moving too often, and whether
    /// its remote is withdrawn, so that frames to it go nowhere.
    fn flags(&self, key: Key, entry: &Entry) -> Vec<String> {
        let of_kind = match entry.kind {
            Kind::Dynamic | Kind::Static => None,
            Kind::External => Some("extern_learn"),
            Kind::Sticky if self.is_frozen(key, entry) => Some("frozen"),
            Kind::Sticky => Some("sticky"),
        };
        let withdrawn = self.fleet.current().tables.is_withdrawn(entry.place).then_some("withdrawn");
        of_kind.into_iter().chain(withdrawn).map(str::to_owned).collect()
    }

    /// Who wrote an entry.
    fn owner(&self, key: Key, entry: &Entry) -> &str {
        let written = || self.config.fdb.get(&(self.vni(key.domain())?, key.mac()));
        let written = Some(entry).filter(|entry| entry.kind != Kind::Dynamic).and_then(|_| written());
        written.map_or(owner::LEARNED, |entry| entry.owner.as_str())
    }

    /// Offers entries that satisfy a filter to a page.
    pub(in crate::control) fn fdb_view(&self, filter: &FdbFilter, page: &mut Page<FdbEntry>) {
        if let (Some(vni), Some(mac)) = (filter.vni, filter.mac) {
            // One entry at most: no need to look at all.
            let key = self.domain_id(vni).map(|domain| Key::new(domain, mac));
            let entry = key.and_then(|key| Some((key, self.fdb.lookup(&self.fdb.probe(key))?)));
            if let Some((key, entry)) = entry.filter(|(key, entry)| self.matches(filter, *key, entry))
                && let Some(entry) = self.entry_view(key, entry)
            {
                page.offer(entry);
            }
            return;
        }
        self.fdb.for_each(|key, entry| {
            let wanted = self.matches(filter, key, &entry)
                && self.vni(key.domain()).is_some_and(|vni| page.wants(&(vni.value(), key.mac())));
            if wanted && let Some(entry) = self.entry_view(key, entry) {
                page.offer(entry);
            }
        });
    }

    fn entry_view(&self, key: Key, entry: Entry) -> Option<FdbEntry> {
        let vni = self.vni(key.domain())?;
        let now = self.now();
        let name = (vni, key.mac());
        let record = match entry.kind {
            Kind::Dynamic => self.provenance.of_moved(name),
            Kind::Static | Kind::External => self.provenance.of_fdb(name),
            Kind::Sticky => self.provenance.of_fdb(name).or_else(|| self.provenance.of_moved(name)),
        };
        let record = record.cloned().unwrap_or_default();
        let (last_move, moved_from) = record.moved.map(|(at, from)| (now.saturating_sub(at), from)).unzip();
        let group = match entry.place {
            Place::Group(group) => self.ids.groups.key(u32::from(group.0)).map(|(_, name)| name.clone()),
            Place::Port(_) | Place::Remote(_) => None,
        };
        let (ifname, dst) = match entry.place {
            Place::Port(port) => (self.ids.ports.key(u32::from(port.0)).cloned(), None),
            Place::Remote(remote) => (None, self.ids.remotes.key(remote.0).map(|(_, address)| *address)),
            Place::Group(_) => (None, None),
        };
        Some(FdbEntry {
            mac: key.mac(),
            vni: vni.value(),
            ifname,
            dst,
            group,
            kind: self.kind(key, &entry),
            state: if entry.kind.ages() { EntryState::Reachable } else { EntryState::Permanent },
            flags: self.flags(key, &entry),
            age: if entry.kind.ages() { entry.age(now) } else { now.saturating_sub(record.written) },
            owner: self.owner(key, &entry).to_owned(),
            // One that moved has a record. Of one that did not, or no longer has, what can be stale is where it is.
            version: if record.version == 0 {
                place_version(&self.describe(entry.place))
            } else {
                record.version
            },
            // Control may not have heard of every move, and the database counts only so many.
            moves: record.moves.max(entry.moves.into()),
            last_move,
            moved_from,
        })
    }

    /// Removes entries that satisfy a filter, and says how many.
    pub(in crate::control) fn flush_entries(&mut self, filter: &FdbFilter) -> u64 {
        if filter.kind == Some(EntryKind::Dynamic) {
            let flushed = self.fdb.flush(|key, entry| self.matches(filter, key, entry));
            self.forget_moves();
            return flushed as u64;
        }
        let mut doomed = Vec::new();
        self.fdb.for_each(|key, entry| {
            if self.matches(filter, key, &entry)
                && let Some(vni) = self.vni(key.domain())
            {
                doomed.push((vni, key.mac()));
            }
        });
        for &(vni, mac) in &doomed {
            self.config.fdb.remove(&(vni, mac));
            self.provenance.forget_fdb((vni, mac));
            self.uninstall(vni, mac);
        }
        doomed.len() as u64
    }

    /// Neighbours that satisfy a filter.
    pub(in crate::control) fn neighbours_view(&self, filter: &NeighbourFilter) -> Vec<Neighbour> {
        let now = self.now();
        let fixed = self.config.neighbours.iter().map(|neighbour| {
            let dst = neighbour.address;
            let record = self.provenance.of_neighbour((neighbour.vni, dst)).cloned().unwrap_or_default();
            let (last_move, moved_from) =
                record.moved.map(|(at, from)| (now.saturating_sub(at), from)).unzip();
            Neighbour {
                dst,
                lladdr: neighbour.mac,
                vni: neighbour.vni.value(),
                state: EntryState::Permanent,
                flags: flags_view(NeighbourFlags {
                    is_router: neighbour.router,
                    ..NeighbourFlags::default()
                }),
                age: now.saturating_sub(record.written),
                owner: neighbour.owner.clone(),
                version: record.version,
                moves: record.moves,
                last_move,
                moved_from,
            }
        });
        let is_configured = |vni, address| self.config.neighbours.contains(&(vni, address));
        let learned = self.book.iter().filter(|(vni, address, _)| !is_configured(*vni, *address));
        let learned = learned.map(|(vni, address, seen)| Neighbour {
            dst: address,
            lladdr: seen.mac,
            vni: vni.value(),
            state: EntryState::Reachable,
            flags: flags_view(seen.flags),
            age: now.saturating_sub(seen.at),
            owner: owner::LEARNED.to_owned(),
            version: seen.version,
            moves: seen.moves,
            last_move: seen.moved.map(|(at, _)| now.saturating_sub(at)),
            moved_from: seen.moved.map(|(_, mac)| mac.to_string()),
        });
        let mut all: Vec<Neighbour> =
            fixed.chain(learned).filter(|neighbour| filter.admits(neighbour)).collect();
        all.sort_unstable_by_key(|neighbour| (neighbour.vni, neighbour.dst));
        all
    }

    /// Removes neighbours that satisfy a filter, and says how many.
    pub(in crate::control) fn flush_neighbours(&mut self, filter: &NeighbourFilter) -> u64 {
        let is_meant = |vni: Vni, address, owner: &str| {
            filter.vni.is_none_or(|meant| meant == vni)
                && filter.address.is_none_or(|meant| meant == address)
                && filter.owner.as_ref().is_none_or(|meant| meant == owner)
        };
        let mut removed = self.book.retain(|vni, address, _| !is_meant(vni, address, owner::LEARNED));
        let written = self.config.neighbours.iter();
        let doomed: Vec<_> = written
            .filter(|neighbour| is_meant(neighbour.vni, neighbour.address, &neighbour.owner))
            .map(Keyed::key)
            .collect();
        for key in &doomed {
            self.config.neighbours.remove(key);
            self.provenance.forget_neighbour(*key);
        }
        removed += doomed.len();
        self.stale.tables |= removed != 0;
        removed as u64
    }
}

const fn word(kind: Kind) -> EntryKind {
    match kind {
        Kind::Dynamic => EntryKind::Dynamic,
        Kind::Static => EntryKind::Static,
        Kind::External => EntryKind::External,
        Kind::Sticky => EntryKind::Sticky,
    }
}

/// The flags in the words of the protocol.
fn flags_view(flags: NeighbourFlags) -> Vec<String> {
    let words = [(flags.is_router, "router"), (!flags.overrides, "anycast")];
    words.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| (*word).to_owned()).collect()
}
