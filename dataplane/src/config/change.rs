//! One change of the desired state, whoever asks for it.

use std::net::IpAddr;

use wire::{Mac, Vni};

use super::entry::FdbConfig;
use super::group::GroupConfig;
use super::guard::GuardTuning;
use super::items::{Items, Keyed};
use super::model::{Config, NeighbourConfig, PortConfig, PortTuning, RemoteConfig, VniConfig};

/// Everything of one kind that an owner wants there to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replacement<T> {
    /// Who wrote each of the items.
    pub owner: String,
    /// The VNI that this is about, or all.
    pub vni: Option<Vni>,
    /// What there is to be, in any order.
    pub items: Vec<T>,
}

/// One change of the desired state: what a control request asks for, and what the difference of two files is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Adds a port; one of this name must not exist.
    AddPort(PortConfig),
    /// Changes what a port's frames are held against.
    GuardPort {
        /// The port.
        name: String,
        /// What changes.
        tuning: GuardTuning,
    },
    /// Removes a port by name, with the static entries that point to it.
    RemovePort(String),
    /// Changes what can be changed of a port while frames pass.
    TunePort {
        /// Its name.
        name: String,
        /// What changes.
        tuning: PortTuning,
    },
    /// Adds a VNI, or with `replace` changes one.
    SetVni {
        /// The new state.
        vni: VniConfig,
        /// Whether it may exist already.
        replace: bool,
    },
    /// Removes a VNI with its remotes, groups, static entries and neighbours; refused while a port is in it.
    RemoveVni(Vni),
    /// Adds a remote, or with `replace` changes one.
    SetRemote {
        /// The new state.
        remote: RemoteConfig,
        /// Whether it may exist already.
        replace: bool,
    },
    /// Removes a remote, with the static entries that point to it; it is no member of any group any more.
    RemoveRemote {
        /// The VNI.
        vni: Vni,
        /// The peer.
        address: IpAddr,
    },
    /// Adds a group of remotes, or with `replace` changes one.
    SetGroup {
        /// The new state.
        group: GroupConfig,
        /// Whether it may exist already.
        replace: bool,
    },
    /// Removes a group, with the static entries that point to it.
    RemoveGroup {
        /// The VNI.
        vni: Vni,
        /// Its name.
        name: String,
    },
    /// Adds a static entry, or with `replace` changes one.
    SetFdb {
        /// The new state.
        entry: FdbConfig,
        /// Whether it may exist already.
        replace: bool,
    },
    /// Removes an entry, static or learned.
    RemoveFdb {
        /// The VNI.
        vni: Vni,
        /// The address.
        mac: Mac,
    },
    /// Adds a static neighbour, or with `replace` changes one.
    SetNeighbour {
        /// The new state.
        neighbour: NeighbourConfig,
        /// Whether it may exist already.
        replace: bool,
    },
    /// Removes a neighbour, static or learned.
    RemoveNeighbour {
        /// The VNI.
        vni: Vni,
        /// The workload's address.
        address: IpAddr,
    },
}

impl Config {
    /// Makes what a change is about what it is in another configuration.
    pub fn revert(&mut self, change: &Change, to: &Self) {
        match change {
            Change::AddPort(PortConfig { name, .. })
            | Change::GuardPort { name, .. }
            | Change::RemovePort(name)
            | Change::TunePort { name, .. } => copy(&mut self.ports, &to.ports, name),
            Change::SetVni { vni: VniConfig { vni, .. }, .. } | Change::RemoveVni(vni) => {
                copy(&mut self.vnis, &to.vnis, vni);
            }
            Change::SetRemote { remote, .. } => copy(&mut self.remotes, &to.remotes, &remote.key()),
            Change::RemoveRemote { vni, address } => copy(&mut self.remotes, &to.remotes, &(*vni, *address)),
            Change::SetGroup { group, .. } => copy(&mut self.groups, &to.groups, &group.key()),
            Change::RemoveGroup { vni, name } => copy(&mut self.groups, &to.groups, &(*vni, name.clone())),
            Change::SetFdb { entry, .. } => copy(&mut self.fdb, &to.fdb, &entry.key()),
            Change::RemoveFdb { vni, mac } => copy(&mut self.fdb, &to.fdb, &(*vni, *mac)),
            Change::SetNeighbour { neighbour, .. } => {
                copy(&mut self.neighbours, &to.neighbours, &neighbour.key());
            }
            Change::RemoveNeighbour { vni, address } => {
                copy(&mut self.neighbours, &to.neighbours, &(*vni, *address));
            }
        }
    }
}

fn copy<T: Keyed + Clone>(items: &mut Items<T>, from: &Items<T>, key: &T::Key) {
    match from.get(key) {
        Some(item) => drop(items.insert(item.clone())),
        None => drop(items.remove(key)),
    }
}
