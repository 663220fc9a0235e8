//! Forwarding entries and neighbours.

use api::{EntryKind, EntryState, FdbEntry, Neighbour};
use forward::fdb::{Entry, Key, Kind};
use forward::link::Place;
use forward::tables::NeighbourFlags;
use wire::Vni;

use super::super::state::State;
use super::super::verbs::{FdbFilter, Page};

/// Who wrote an entry that nobody configured.
const LEARNED: &str = "learned";
/// Who wrote an entry that stands in the file.
const CONFIGURATION: &str = "configuration";
/// Who wrote an entry that a request made.
const CONTROL: &str = "control";

impl State {
    /// Whether an entry satisfies a filter.
    fn matches(&self, filter: &FdbFilter, key: Key, entry: &Entry) -> bool {
        let remote = match entry.place {
            Place::Remote(remote) => self.ids.remotes.key(remote.0).map(|(_, address)| *address),
            Place::Port(_) => None,
        };
        let port = match entry.place {
            Place::Port(port) => Some(port),
            Place::Remote(_) => None,
        };
        let kind = if entry.kind == Kind::Dynamic { EntryKind::Dynamic } else { EntryKind::Static };
        filter.kind.is_none_or(|wanted| wanted == kind)
            && filter.mac.is_none_or(|mac| mac == key.mac())
            && filter.vni.is_none_or(|vni| self.domain_id(vni) == Some(key.domain()))
            && filter.remote.is_none_or(|address| remote == Some(address))
            && filter.port.as_ref().is_none_or(|name| port.is_some() && self.port_id(name) == port)
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
        let dynamic = entry.kind == Kind::Dynamic;
        let owner = if dynamic {
            LEARNED
        } else if self.loaded.fdb.contains(&(vni, key.mac())) {
            CONFIGURATION
        } else {
            CONTROL
        };
        let (ifname, dst) = match entry.place {
            Place::Port(port) => (self.ids.ports.key(u32::from(port.0)).cloned(), None),
            Place::Remote(remote) => (None, self.ids.remotes.key(remote.0).map(|(_, address)| *address)),
        };
        Some(FdbEntry {
            mac: key.mac(),
            vni: vni.value(),
            ifname,
            dst,
            state: if dynamic { EntryState::Reachable } else { EntryState::Permanent },
            flags: Vec::new(),
            age: dynamic.then(|| self.now().saturating_sub(entry.seen)),
            owner: owner.to_owned(),
        })
    }

    /// Removes entries that satisfy a filter, and says how many.
    pub(in crate::control) fn flush_entries(&mut self, filter: &FdbFilter) -> u64 {
        if filter.kind != Some(EntryKind::Static) {
            return self.fdb.flush(|key, entry| self.matches(filter, key, entry)) as u64;
        }
        let mut doomed = Vec::new();
        self.fdb.for_each(|key, entry| {
            if self.matches(filter, key, &entry)
                && let Some(vni) = self.vni(key.domain())
            {
                doomed.push((vni, key.mac()));
            }
        });
        for (vni, mac) in &doomed {
            self.config.fdb.remove(&(*vni, *mac));
            self.uninstall(*vni, *mac);
        }
        doomed.len() as u64
    }

    /// Neighbours, all or those of one VNI.
    pub(in crate::control) fn neighbours_view(&self, only: Option<Vni>) -> Vec<Neighbour> {
        let now = self.now();
        let fixed = self.config.neighbours.iter().map(|neighbour| Neighbour {
            dst: neighbour.address,
            lladdr: neighbour.mac,
            vni: neighbour.vni.value(),
            state: EntryState::Permanent,
            flags: flags_view(NeighbourFlags { is_router: neighbour.router, ..NeighbourFlags::default() }),
            age: None,
            owner: if self.loaded.neighbours.contains(&(neighbour.vni, neighbour.address)) {
                CONFIGURATION.to_owned()
            } else {
                CONTROL.to_owned()
            },
        });
        let is_configured = |vni, address| self.config.neighbours.contains(&(vni, address));
        let learned = self.book.iter().filter(|(vni, address, _)| !is_configured(*vni, *address));
        let learned = learned.map(|(vni, address, seen)| Neighbour {
            dst: address,
            lladdr: seen.mac,
            vni: vni.value(),
            state: EntryState::Reachable,
            flags: flags_view(seen.flags),
            age: Some(now.saturating_sub(seen.at)),
            owner: LEARNED.to_owned(),
        });
        let mut all: Vec<Neighbour> = fixed
            .chain(learned)
            .filter(|neighbour| only.is_none_or(|only| neighbour.vni == only.value()))
            .collect();
        all.sort_unstable_by_key(|neighbour| (neighbour.vni, neighbour.dst));
        all
    }

    /// Forgets learned neighbours, all or those of one VNI, and says how many.
    pub(in crate::control) fn flush_neighbours(&mut self, only: Option<Vni>) -> u64 {
        let forgotten = self.book.retain(|vni, _, _| only.is_some_and(|only| only != vni));
        self.stale.tables |= forgotten != 0;
        forgotten as u64
    }
}

/// The flags in the words of the protocol.
fn flags_view(flags: NeighbourFlags) -> Vec<String> {
    let words = [(flags.is_router, "router"), (!flags.overrides, "anycast")];
    words.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| (*word).to_owned()).collect()
}
