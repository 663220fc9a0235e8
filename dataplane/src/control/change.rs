//! One change asked for by a request or by the difference of two files.

use forward::fdb::Key;

use super::reconcile::kind;
use super::state::State;
use crate::config::{Change, Config, FdbConfig, Keyed, PortConfig};
use crate::plan::{NeedsRestart, Refusal, diff, restarts};

/// What a reload did.
#[derive(Debug)]
pub struct Reloaded {
    /// Changes made.
    pub changes: usize,
    /// Settings of the file that differ from what runs and need a restart.
    pub restart: Vec<NeedsRestart>,
    /// Changes of the file that could not be made, because a request had made others meanwhile.
    pub refused: Vec<Refusal>,
}

impl State {
    /// Makes a change that a request asks for, and acts upon it at once. A port that cannot be opened is refused.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn change(&mut self, change: &Change) -> Result<(), api::Refusal> {
        self.make(change)?;
        if let Change::AddPort(port) = change {
            self.reconcile();
            if let Some(why) = self.closed.get(&port.name).map(|closed| closed.why.clone()) {
                self.make(&Change::RemovePort(port.name.clone()))?;
                self.reconcile();
                let remedy = "the port was not added; `vtep-ctl port add` again once that is mended";
                return Err(api::Refusal::new(api::RefusalKind::Unavailable, why, remedy));
            }
        }
        Ok(())
    }

    /// Makes a change of the desired state and marks what must follow.
    pub(super) fn make(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::RemoveFdb { vni, mac } if !self.config.fdb.contains(&(*vni, *mac)) => {
                // Not configured, but perhaps learned.
                self.provenance.forget_moved((*vni, *mac));
                let learned = self.domain_id(*vni).and_then(|domain| self.fdb.remove(Key::new(domain, *mac)));
                return learned.map_or_else(|| self.config.apply(change), |_| Ok(()));
            }
            Change::RemoveNeighbour { vni, address } => {
                let learned = self.book.remove(*vni, *address);
                let configured = self.config.neighbours.contains(&(*vni, *address));
                self.stale.tables = true;
                self.provenance.forget_neighbour((*vni, *address));
                return if configured || !learned { self.config.apply(change) } else { Ok(()) };
            }
            _ => {
                let before = self.before(change);
                let belongings = self.belongings(change);
                self.config.apply(change)?;
                self.record(change, before);
                if let Some(belongings) = belongings {
                    self.tell_gone(&belongings);
                }
            }
        }
        match change {
            Change::SetFdb { entry, .. } => self.entry_set(entry),
            Change::RemoveFdb { vni, mac } => self.uninstall(*vni, *mac),
            Change::AddPort(PortConfig { name, .. }) | Change::RemovePort(name) => {
                // What an earlier port of this name was refused says nothing of another.
                self.closed.remove(name);
                self.stale.ports = true;
            }
            // A VLAN that leaves a trunk takes the static entries of its VNI that point there.
            Change::TunePort { tuning, .. } => self.stale.entries |= !tuning.trunk.is_empty(),
            // What goes takes its static entries with it.
            Change::RemoveVni(_) | Change::RemoveRemote { .. } | Change::RemoveGroup { .. } => {
                self.stale.entries = true;
            }
            Change::GuardPort { .. }
            | Change::SetVni { .. }
            | Change::SetRemote { .. }
            | Change::SetGroup { .. }
            | Change::SetNeighbour { .. }
            | Change::RemoveNeighbour { .. } => {}
        }
        if let Change::SetVni { vni, .. } = change
            && let Some(reason) = self.absent_local(vni)
        {
            tracing::warn!(vni = vni.vni.value(), reason, "the VNI does with less");
        }
        if let Change::RemoveVni(gone) = change {
            self.book.remove_vni(*gone);
        }
        let entry = matches!(change, Change::SetFdb { .. } | Change::RemoveFdb { .. });
        self.stale.tables |= !entry;
        Ok(())
    }

    /// Where what a change writes is to be found before it, in words.
    fn before(&self, change: &Change) -> Option<String> {
        match change {
            Change::SetFdb { entry, .. } => {
                let before = self.config.fdb.get(&entry.key())?;
                (before.destination != entry.destination).then(|| before.destination.to_string())
            }
            Change::SetNeighbour { neighbour, .. } => {
                let before = self.config.neighbours.get(&neighbour.key())?;
                (before.mac != neighbour.mac).then(|| before.mac.to_string())
            }
            _ => None,
        }
    }

    /// Remembers who wrote what; `before` is where it was, if it was elsewhere.
    fn record(&mut self, change: &Change, before: Option<String>) {
        let now = self.now();
        match change {
            Change::SetFdb { entry, .. } => self.provenance.fdb_written(entry.key(), now, before),
            Change::RemoveFdb { vni, mac } => self.provenance.forget_fdb((*vni, *mac)),
            Change::SetNeighbour { neighbour, .. } => {
                let key = neighbour.key();
                self.provenance.neighbour_written(key, now, before);
            }
            Change::RemovePort(_)
            | Change::TunePort { .. }
            | Change::RemoveVni(_)
            | Change::RemoveRemote { .. }
            | Change::RemoveGroup { .. } => {
                let Self { provenance, config: Config { fdb, neighbours, .. }, .. } = self;
                provenance.retain_written(|key| fdb.contains(&key), |key| neighbours.contains(&key));
            }
            Change::AddPort(_)
            | Change::GuardPort { .. }
            | Change::SetVni { .. }
            | Change::SetRemote { .. }
            | Change::SetGroup { .. }
            | Change::RemoveNeighbour { .. } => {}
        }
    }

    /// An entry was written: a single write where the place has its index already.
    pub(super) fn entry_set(&mut self, entry: &FdbConfig) {
        match self.place(entry.vni, &entry.destination) {
            Some(place) => self.install(entry.vni, entry.mac, place, kind(entry.kind)),
            None => self.stale.entries = true,
        }
    }

    /// Applies what differs between the file as last read and as it is now. What requests have changed meanwhile stays
    /// as it is unless the file changes the same thing. What is refused is tried again by the next reload.
    pub fn reload(&mut self, new: Config) -> Reloaded {
        let changes = diff(&self.loaded, &new);
        let restart = restarts(&self.config, &new);
        let mut reloaded = Reloaded { changes: 0, restart, refused: Vec::new() };
        let before = std::mem::replace(&mut self.loaded, new);
        for change in &changes {
            if self.stands(change) {
                continue;
            }
            match self.make(change) {
                Ok(()) => reloaded.changes += 1,
                Err(refusal) => {
                    self.loaded.revert(change, &before);
                    reloaded.refused.push(refusal);
                }
            }
        }
        self.put_in_force();
        reloaded
    }

    /// Whether the desired state is already what the change would make it.
    fn stands(&self, change: &Change) -> bool {
        let Config { ports, vnis, remotes, groups, fdb, neighbours, .. } = &self.config;
        match change {
            Change::AddPort(port) => ports.get(&port.name) == Some(port),
            Change::GuardPort { name, tuning } => {
                ports.get(name.as_str()).is_some_and(|port| tuning.of(&port.guard) == port.guard)
            }
            Change::RemovePort(name) => !ports.contains(name),
            Change::TunePort { name, tuning } => ports.get(name).is_some_and(|port| {
                let stays = port.role.trunk().is_none_or(|trunk| tuning.trunk.of(trunk) == *trunk);
                tuning.of(port.policy) == port.policy && stays
            }),
            Change::SetVni { vni, .. } => vnis.get(&vni.vni) == Some(vni),
            Change::RemoveVni(vni) => !vnis.contains(vni),
            Change::SetRemote { remote, .. } => remotes.get(&remote.key()) == Some(remote),
            Change::RemoveRemote { vni, address } => !remotes.contains(&(*vni, *address)),
            Change::SetGroup { group, .. } => groups.get(&group.key()) == Some(group),
            Change::RemoveGroup { vni, name } => !groups.contains(&(*vni, name.clone())),
            Change::SetFdb { entry, .. } => fdb.get(&entry.key()) == Some(entry),
            Change::RemoveFdb { vni, mac } => !fdb.contains(&(*vni, *mac)),
            Change::SetNeighbour { neighbour, .. } => neighbours.get(&neighbour.key()) == Some(neighbour),
            Change::RemoveNeighbour { vni, address } => !neighbours.contains(&(*vni, *address)),
        }
    }
}
