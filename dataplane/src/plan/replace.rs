//! What it takes to make everything that an owner wrote exactly what is wanted, found out before anything is changed.

use std::collections::BTreeMap;

use super::apply::first_error;
use super::entry;
use super::fault::{Fault, Refusal, RefusalKind, Subject};
use crate::config::{Config, FdbConfig, Items, Keyed, NeighbourConfig, Owned, Replacement};

/// The way from what an owner wrote to what it wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference<T: Owned> {
    /// What was not there.
    pub added: Vec<T>,
    /// What said something else.
    pub changed: Vec<T>,
    /// What is not wanted any more.
    pub removed: Vec<T::Key>,
    /// How many stand as they did.
    pub unchanged: usize,
}

/// Things that an owner can replace, with the checks that each has to pass.
pub trait Checked: Owned + Clone + PartialEq {
    /// Those that are configured.
    fn items(config: &Config) -> &Items<Self>;

    /// What a fault of this one is about.
    fn subject(&self) -> Subject;

    /// Checks this one against everything else.
    fn check(&self, config: &Config, faults: &mut Vec<Fault>);
}

impl Checked for FdbConfig {
    fn items(config: &Config) -> &Items<Self> {
        &config.fdb
    }

    fn subject(&self) -> Subject {
        Subject::Fdb(self.vni, self.mac)
    }

    fn check(&self, config: &Config, faults: &mut Vec<Fault>) {
        entry::check_fdb(config, self, faults);
    }
}

impl Checked for NeighbourConfig {
    fn items(config: &Config) -> &Items<Self> {
        &config.neighbours
    }

    fn subject(&self) -> Subject {
        Subject::Neighbour(self.vni, self.address)
    }

    fn check(&self, config: &Config, faults: &mut Vec<Fault>) {
        entry::check_neighbour(config, self, faults);
    }
}

impl Config {
    /// What a replacement changes. Adding, changing and removing that is right in any order.
    ///
    /// # Errors
    ///
    /// [`Refusal`] of the first item that cannot be: it has faults, comes twice, is outside the replacement's VNI, or
    /// is another owner's.
    pub fn difference<T: Checked>(&self, wanted: &Replacement<T>) -> Result<Difference<T>, Refusal> {
        if let Some((what, remedy)) = entry::unusable_owner(&wanted.owner) {
            return Err(Refusal { key: Some("owner"), ..Refusal::new(RefusalKind::Invalid, what, remedy) });
        }
        let present = T::items(self);
        let mut items = BTreeMap::new();
        for item in &wanted.items {
            self.may_be(item, wanted)?;
            if items.insert(item.key(), item).is_some() {
                return Err(Refusal::new(
                    RefusalKind::Invalid,
                    format!("{} is in the list twice", item.subject()),
                    "keep one of the two",
                ));
            }
        }
        let mut difference =
            Difference { added: Vec::new(), changed: Vec::new(), removed: Vec::new(), unchanged: 0 };
        let owned = present.iter().filter(|item| item.owner() == wanted.owner);
        let within = owned.filter(|item| wanted.vni.is_none_or(|vni| vni == item.vni()));
        let gone = within.map(Keyed::key).filter(|key| !items.contains_key(key));
        difference.removed.extend(gone);
        for (key, item) in items {
            match present.get(&key) {
                None => difference.added.push(item.clone()),
                Some(same) if same == item => difference.unchanged += 1,
                Some(_) => difference.changed.push(item.clone()),
            }
        }
        Ok(difference)
    }

    fn may_be<T: Checked>(&self, item: &T, wanted: &Replacement<T>) -> Result<(), Refusal> {
        if let Some(vni) = wanted.vni.filter(|vni| *vni != item.vni()) {
            return Err(Refusal::new(
                RefusalKind::Invalid,
                format!("{} is not in VNI {vni}, which is to be replaced", item.subject()),
                "leave it out, or replace what is in every VNI",
            ));
        }
        if let Some(other) = T::items(self).get(&item.key()).filter(|other| other.owner() != wanted.owner) {
            return Err(Refusal::new(
                RefusalKind::OwnedByAnother,
                format!("{} belongs to {}, not to {}", item.subject(), other.owner(), wanted.owner),
                "leave it out, or remove it in its owner's name first",
            ));
        }
        let mut faults = Vec::new();
        item.check(self, &mut faults);
        first_error(faults)
    }
}
