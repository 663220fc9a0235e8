//! Which changes lead from one configuration to another, in an order in which each of them is accepted.

use std::fmt::Debug;

use wire::Vni;

use super::fault::Refusal;
use crate::config::{
    Change, Config, GroupConfig, Items, Keyed, PortConfig, PortTuning, RemoteConfig, VniConfig,
};

/// A setting that differs and takes effect at the next start only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeedsRestart {
    /// The setting as the file spells it, such as `umem.chunks`.
    pub key: &'static str,
    /// What runs, for people.
    pub old: String,
    /// What it is to be, for people.
    pub new: String,
}

/// The changes that lead from `old` to `new`.
///
/// Both must be free of errors ([`super::validate`]). Removals come first, ports before the VNI that they are in;
/// then what others depend upon before its dependents. What goes together with something else (a VNI's remotes, the
/// static entries of a port) is not removed a second time, and is set again where `new` keeps it. Ports that
/// differ in more than what can be tuned are removed and added; everything else is replaced in place, so that a set is never
/// refused for existing already.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    Way::through(old, new, Changed::InPlace)
        .or_else(|_| Way::through(old, new, Changed::WithoutRemotes))
        .or_else(|_| Way::through(old, new, Changed::Anew))
        .unwrap_or_else(|_| Way::blind(old, new))
}

/// How a changed VNI is dealt with, the gentlest way first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Changed {
    /// It is replaced in place, its remotes stay.
    InPlace,
    /// Its remotes are removed before and set afterwards: two VNIs that swap their GRE keys may never show the same.
    WithoutRemotes,
    /// It is removed with its ports, and both are added anew. What is left then is part of the new configuration, as is
    /// everything that is added to it, so that no limit can be in the way.
    Anew,
}

/// The changes so far and where they have led.
struct Way {
    at: Config,
    changes: Vec<Change>,
    /// Whether a refusal ends the way; otherwise the change is kept in the list all the same.
    strict: bool,
}

impl Way {
    /// `old` as it will be after the restart that some settings need: what lacks memory until then is to be refused
    /// when the change is made, with a remedy that says so.
    fn start(old: &Config, new: &Config) -> Config {
        let Config { daemon, umem, workers, .. } = new.clone();
        Config { daemon, umem, workers, ..old.clone() }
    }

    fn through(old: &Config, new: &Config, changed: Changed) -> Result<Vec<Change>, Refusal> {
        let mut way = Self { at: Self::start(old, new), changes: Vec::new(), strict: true };
        way.walk(new, changed)?;
        Ok(way.changes)
    }

    /// For configurations with errors: every difference once, whether or not it will be accepted.
    fn blind(old: &Config, new: &Config) -> Vec<Change> {
        let mut way = Self { at: Self::start(old, new), changes: Vec::new(), strict: false };
        // No refusal ends a way that is not strict.
        let _ = way.walk(new, Changed::InPlace);
        way.changes
    }

    fn walk(&mut self, new: &Config, changed: Changed) -> Result<(), Refusal> {
        self.remove(new)?;
        if changed >= Changed::WithoutRemotes {
            self.remove_remotes_of_changed(new)?;
        }
        if changed >= Changed::Anew {
            self.remove_changed(new)?;
        }
        self.hush_groups(new)?;
        self.set(new)
    }

    /// Turns off `flood` of groups that are about to give a remote to another group with `flood`, or to nobody: in whatever
    /// order the rest follows, no remote is flooded to by two groups, or against its own word, meanwhile.
    fn hush_groups(&mut self, new: &Config) -> Result<(), Refusal> {
        let is_in_the_way = |group: &GroupConfig| {
            group.members.iter().any(|member| {
                let remote = new.remotes.get(&(group.vni, member.remote));
                let mut others = new.groups.in_vni(group.vni).filter(|other| other.name != group.name);
                remote.is_some_and(|remote| !remote.flood)
                    || others.any(|other| other.flood && other.has(member.remote))
            })
        };
        let hushed: Vec<GroupConfig> =
            self.at.groups.iter().filter(|group| group.flood && is_in_the_way(group)).cloned().collect();
        for group in hushed {
            let group = GroupConfig { flood: false, ..group };
            self.step(Change::SetGroup { group, replace: true })?;
        }
        Ok(())
    }

    fn step(&mut self, change: Change) -> Result<(), Refusal> {
        let made = self.at.apply(&change);
        self.changes.push(change);
        if self.strict { made } else { Ok(()) }
    }

    fn remove(&mut self, new: &Config) -> Result<(), Refusal> {
        let differs =
            |port: &PortConfig| new.ports.get(port.name.as_str()).is_none_or(|wanted| !wanted.opens_as(port));
        for name in keys(&self.at.ports, differs) {
            self.step(Change::RemovePort(name))?;
        }
        let gone = keys(&self.at.vnis, |vni| !new.vnis.contains(&vni.vni));
        self.take_from_trunks(&gone)?;
        for vni in gone {
            self.step(Change::RemoveVni(vni))?;
        }
        for (vni, address) in keys(&self.at.remotes, |remote| !new.remotes.contains(&remote.key())) {
            self.step(Change::RemoveRemote { vni, address })?;
        }
        for (vni, name) in keys(&self.at.groups, |group| !new.groups.contains(&group.key())) {
            self.step(Change::RemoveGroup { vni, name })?;
        }
        for (vni, mac) in keys(&self.at.fdb, |entry| !new.fdb.contains(&entry.key())) {
            self.step(Change::RemoveFdb { vni, mac })?;
        }
        for (vni, address) in
            keys(&self.at.neighbours, |neighbour| !new.neighbours.contains(&neighbour.key()))
        {
            self.step(Change::RemoveNeighbour { vni, address })?;
        }
        Ok(())
    }

    fn changed(&self, new: &Config) -> Vec<Vni> {
        keys(&self.at.vnis, |vni: &VniConfig| new.vnis.get(&vni.vni) != Some(vni))
    }

    fn remove_changed(&mut self, new: &Config) -> Result<(), Refusal> {
        let changed = self.changed(new);
        self.take_from_trunks(&changed)?;
        for vni in changed {
            for name in keys(&self.at.ports, |port| port.role.is_in(vni)) {
                self.step(Change::RemovePort(name))?;
            }
            self.step(Change::RemoveVni(vni))?;
        }
        Ok(())
    }

    /// Takes VNIs that are about to go from all trunks; the others' traffic goes on.
    fn take_from_trunks(&mut self, gone: &[Vni]) -> Result<(), Refusal> {
        let affected = |port: &PortConfig| {
            let trunk = port.role.trunk()?;
            let less = trunk.without(|vni| !gone.contains(&vni));
            (less != *trunk).then(|| (port.name.clone(), less))
        };
        let affected: Vec<_> = self.at.ports.iter().filter_map(affected).collect();
        for (name, less) in affected {
            let tuning = PortTuning { trunk: less.into(), ..PortTuning::default() };
            self.step(Change::TunePort { name, tuning })?;
        }
        Ok(())
    }

    fn remove_remotes_of_changed(&mut self, new: &Config) -> Result<(), Refusal> {
        let changed = self.changed(new);
        let affected = |remote: &RemoteConfig| {
            changed.binary_search(&remote.vni).is_ok() || new.remotes.get(&remote.key()) != Some(remote)
        };
        for (vni, address) in keys(&self.at.remotes, affected) {
            self.step(Change::RemoveRemote { vni, address })?;
        }
        Ok(())
    }

    fn set(&mut self, new: &Config) -> Result<(), Refusal> {
        for vni in lacking(&self.at.vnis, &new.vnis) {
            self.step(Change::SetVni { vni, replace: true })?;
        }
        for port in lacking(&self.at.ports, &new.ports) {
            if !self.at.ports.contains(&port.name) {
                self.step(Change::AddPort(port))?;
                continue;
            }
            // What had to go is gone; what is still there differs only in what changes in place.
            let differs = |at: &PortConfig| at.policy != port.policy || at.role != port.role;
            if self.at.ports.get(&port.name).is_some_and(differs) {
                let trunk = port.role.trunk().cloned().map(Into::into).unwrap_or_default();
                let tuning = PortTuning { trunk, ..port.policy.into() };
                self.step(Change::TunePort { name: port.name.clone(), tuning })?;
            }
            if self.at.ports.get(&port.name).is_some_and(|at| at.guard != port.guard) {
                self.step(Change::GuardPort { name: port.name, tuning: port.guard.into() })?;
            }
        }
        for remote in lacking(&self.at.remotes, &new.remotes) {
            self.step(Change::SetRemote { remote, replace: true })?;
        }
        for group in lacking(&self.at.groups, &new.groups) {
            self.step(Change::SetGroup { group, replace: true })?;
        }
        for entry in lacking(&self.at.fdb, &new.fdb) {
            self.step(Change::SetFdb { entry, replace: true })?;
        }
        for neighbour in lacking(&self.at.neighbours, &new.neighbours) {
            self.step(Change::SetNeighbour { neighbour, replace: true })?;
        }
        Ok(())
    }
}

fn keys<T: Keyed>(items: &Items<T>, wanted: impl Fn(&T) -> bool) -> Vec<T::Key> {
    items.iter().filter(|item| wanted(item)).map(Keyed::key).collect()
}

/// What `new` has and `at` has not, or has differently.
fn lacking<T: Keyed + Clone + PartialEq>(at: &Items<T>, new: &Items<T>) -> Vec<T> {
    new.iter().filter(|item| at.get(&item.key()) != Some(item)).cloned().collect()
}

/// The settings in which `new` differs from what runs and that only a restart can change.
#[must_use]
pub fn restarts(old: &Config, new: &Config) -> Vec<NeedsRestart> {
    let mut found = Vec::new();
    compare(&mut found, "daemon.socket", &old.daemon.socket, &new.daemon.socket);
    compare(&mut found, "daemon.socket_group", &old.daemon.socket_group, &new.daemon.socket_group);
    compare(&mut found, "daemon.log", &old.daemon.log, &new.daemon.log);
    compare(&mut found, "daemon.log_target", &old.daemon.log_target, &new.daemon.log_target);
    compare(&mut found, "umem.chunks", &old.umem.chunks, &new.umem.chunks);
    compare(&mut found, "umem.chunk_size", &old.umem.chunk_size, &new.umem.chunk_size);
    compare(&mut found, "umem.jumbo_chunks", &old.umem.jumbo_chunks, &new.umem.jumbo_chunks);
    compare(&mut found, "worker", &old.workers, &new.workers);
    found
}

fn compare<T: PartialEq + Debug>(found: &mut Vec<NeedsRestart>, key: &'static str, old: &T, new: &T) {
    if old != new {
        found.push(NeedsRestart { key, old: format!("{old:?}"), new: format!("{new:?}") });
    }
}
