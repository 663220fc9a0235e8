//! What goes with a port, a VLAN, a VNI, a remote or a group that is removed: forwarding entries that point there, whoever
//! wrote them, and places in groups. An owner who misses one finds in the log where it went.

use std::collections::BTreeMap;

use super::state::State;
use crate::config::{Change, Config};

/// What may go with something, before it goes.
pub(super) struct Belongings {
    /// What is about to be removed, in words.
    what: String,
    /// Forwarding entries by owner.
    entries: BTreeMap<String, usize>,
    /// Members of groups, by name of the group.
    members: BTreeMap<String, usize>,
}

impl State {
    /// What there is before a change that may take something with it.
    pub(super) fn belongings(&self, change: &Change) -> Option<Belongings> {
        let what = match change {
            Change::RemovePort(name) => format!("port {name}"),
            Change::TunePort { name, tuning } if !tuning.trunk.is_empty() => format!("VLANs of port {name}"),
            Change::RemoveVni(vni) => format!("VNI {vni}"),
            Change::RemoveRemote { vni, address } => format!("remote {address} of VNI {vni}"),
            Change::RemoveGroup { vni, name } => format!("group {name} of VNI {vni}"),
            _ => return None,
        };
        Some(Belongings { what, entries: entries(&self.config), members: members(&self.config) })
    }

    /// Tells what has gone since.
    pub(super) fn tell_gone(&self, before: &Belongings) {
        let what = &before.what;
        for (owner, entries) in gone(&before.entries, &entries(&self.config)) {
            tracing::info!(
                removed = what,
                owner,
                entries,
                "forwarding entries went with what they pointed to"
            );
        }
        for (group, gone) in fewer(&before.members, &members(&self.config)) {
            tracing::info!(removed = what, group, gone, "a group has fewer members");
        }
    }
}

fn entries(config: &Config) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in config.fdb.iter() {
        *counts.entry(entry.owner.clone()).or_default() += 1;
    }
    counts
}

fn members(config: &Config) -> BTreeMap<String, usize> {
    let groups = config.groups.iter();
    groups.map(|group| (format!("{} of VNI {}", group.name, group.vni), group.members.len())).collect()
}

/// What there is less of than before, and how much.
fn gone(before: &BTreeMap<String, usize>, now: &BTreeMap<String, usize>) -> Vec<(String, usize)> {
    let left = |name| now.get(name).copied().unwrap_or(0);
    let gone = before.iter().map(|(name, count)| (name.clone(), count.saturating_sub(left(name))));
    gone.filter(|(_, count)| *count != 0).collect()
}

/// The same of what is still there: a group that is gone itself, perhaps with its VNI, misses nobody.
fn fewer(before: &BTreeMap<String, usize>, now: &BTreeMap<String, usize>) -> Vec<(String, usize)> {
    gone(before, now).into_iter().filter(|(name, _)| now.contains_key(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_become_less_is_gone() {
        let counts =
            |all: &[(&str, usize)]| all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let (before, now) =
            (counts(&[("a", 3), ("b", 2), ("c", 1)]), counts(&[("a", 3), ("b", 1), ("d", 9)]));
        assert_eq!(gone(&before, &now), [("b".to_owned(), 1), ("c".to_owned(), 1)]);
        assert_eq!(fewer(&before, &now), [("b".to_owned(), 1)]);
    }
}
