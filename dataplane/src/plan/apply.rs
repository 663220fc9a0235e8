//! One change of the desired state: made whole, or refused and nothing changed.

use wire::Vni;

use super::fault::{Fault, Refusal, RefusalKind, Severity, Subject};
use super::{domain, entry, group, guard, port, remote, trunk};
use crate::config::{
    Change, Config, FdbConfig, FdbDestination, GroupConfig, GuardTuning, Items, Keyed, NeighbourConfig,
    PortConfig, PortRole, PortTuning, RemoteConfig, VniConfig,
};

impl Config {
    /// Makes one change. What depends on a thing goes with it, as [`Change`] says.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when the result would not be right, with nothing changed. Warnings refuse nothing.
    pub fn apply(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::AddPort(port) => self.add_port(port),
            Change::GuardPort { name, tuning } => self.guard_port(name, tuning),
            Change::RemovePort(name) => self.remove_port(name),
            Change::TunePort { name, tuning } => self.tune_port(name, tuning),
            Change::SetVni { vni, replace } => self.set_vni(vni, *replace),
            Change::RemoveVni(vni) => self.remove_vni(*vni),
            Change::SetRemote { remote, replace } => self.set_remote(remote, *replace),
            Change::RemoveRemote { vni, address } => {
                let subject = Subject::Remote(*vni, *address);
                self.remotes.remove(&(*vni, *address)).ok_or_else(|| missing(&subject))?;
                let destination = FdbDestination::Remote(*address);
                self.fdb.remove_in_vni(*vni, |entry| entry.destination == destination);
                self.groups.leave(*vni, *address);
                Ok(())
            }
            Change::SetGroup { group, replace } => self.set_group(group, *replace),
            Change::RemoveGroup { vni, name } => {
                let subject = Subject::Group(*vni, name.clone());
                self.groups.remove(&(*vni, name.clone())).ok_or_else(|| missing(&subject))?;
                let destination = FdbDestination::Group(name.clone());
                self.fdb.remove_in_vni(*vni, |entry| entry.destination == destination);
                Ok(())
            }
            Change::SetFdb { entry, replace } => self.set_fdb(entry, *replace),
            Change::RemoveFdb { vni, mac } => {
                let subject = Subject::Fdb(*vni, *mac);
                self.fdb.remove(&(*vni, *mac)).map(drop).ok_or_else(|| missing(&subject))
            }
            Change::SetNeighbour { neighbour, replace } => self.set_neighbour(neighbour, *replace),
            Change::RemoveNeighbour { vni, address } => {
                let subject = Subject::Neighbour(*vni, *address);
                self.neighbours.remove(&(*vni, *address)).map(drop).ok_or_else(|| missing(&subject))
            }
        }
    }

    fn add_port(&mut self, port: &PortConfig) -> Result<(), Refusal> {
        refuse_existing(&self.ports, port, false, || Subject::Port(port.name.clone()))?;
        self.ports.insert(port.clone());
        let mut faults = Vec::new();
        port::check_added(self, port, &mut faults);
        first_error(faults).inspect_err(|_| drop(self.ports.remove(&port.name)))
    }

    fn guard_port(&mut self, name: &str, tuning: &GuardTuning) -> Result<(), Refusal> {
        let before = self.ports.get(name).ok_or_else(|| missing(&Subject::Port(name.to_owned())))?.clone();
        let after = PortConfig { guard: tuning.of(&before.guard), ..before };
        let mut faults = Vec::new();
        guard::check(&after, &mut faults);
        first_error(faults)?;
        self.ports.insert(after);
        Ok(())
    }

    fn remove_port(&mut self, name: &str) -> Result<(), Refusal> {
        let removed = self.ports.remove(name).ok_or_else(|| missing(&Subject::Port(name.to_owned())))?;
        let destination = FdbDestination::Port(removed.name);
        for vni in removed.role.vnis() {
            self.fdb.remove_in_vni(vni, |entry| entry.destination == destination);
        }
        Ok(())
    }

    fn tune_port(&mut self, name: &str, tuning: &PortTuning) -> Result<(), Refusal> {
        let before = self.ports.get(name).ok_or_else(|| missing(&Subject::Port(name.to_owned())))?;
        let mut faults = Vec::new();
        let role = match &before.role {
            PortRole::Trunk(vlans) => PortRole::Trunk(tuning.trunk.of(vlans)),
            role if tuning.trunk.is_empty() => role.clone(),
            _ => return Err(no_trunk(name, tuning)),
        };
        let left: Vec<Vni> = before.role.vnis().filter(|vni| !role.is_in(*vni)).collect();
        let port = PortConfig { policy: tuning.of(before.policy), role, ..before.clone() };
        port::check_policy(&port, &mut faults);
        if let Some(vlans) = port.role.trunk() {
            trunk::check(self, name, vlans, &mut faults);
        }
        first_error(faults)?;
        self.ports.insert(port);
        let destination = FdbDestination::Port(name.to_owned());
        for vni in left {
            self.fdb.remove_in_vni(vni, |entry| entry.destination == destination);
        }
        Ok(())
    }

    fn set_vni(&mut self, vni: &VniConfig, replace: bool) -> Result<(), Refusal> {
        refuse_existing(&self.vnis, vni, replace, || Subject::Vni(vni.vni))?;
        let before = self.vnis.insert(vni.clone());
        let mut faults = Vec::new();
        domain::check_set(self, vni, before.as_ref(), &mut faults);
        first_error(faults).inspect_err(|_| put_back(&mut self.vnis, vni, before))
    }

    fn remove_vni(&mut self, vni: Vni) -> Result<(), Refusal> {
        if !self.vnis.contains(&vni) {
            return Err(missing(&Subject::Vni(vni)));
        }
        let inside = self.ports.iter().filter(|port| port.role.is_in(vni));
        let names: Vec<&str> = inside.map(|port| port.name.as_str()).collect();
        if !names.is_empty() {
            let named = super::fault::some_of(names.iter());
            return Err(Refusal::new(
                RefusalKind::InUse,
                format!("VNI {vni} has ports: {named}"),
                "remove its ports first, take it from its trunks, or put them into another VNI",
            ));
        }
        self.vnis.remove(&vni);
        self.remotes.remove_in_vni(vni, |_| true);
        self.groups.remove_in_vni(vni, |_| true);
        self.fdb.remove_in_vni(vni, |_| true);
        self.neighbours.remove_in_vni(vni, |_| true);
        Ok(())
    }

    fn set_remote(&mut self, remote: &RemoteConfig, replace: bool) -> Result<(), Refusal> {
        let subject = || Subject::Remote(remote.vni, remote.address);
        refuse_existing(&self.remotes, remote, replace, subject)?;
        let before = self.remotes.insert(remote.clone());
        let mut faults = Vec::new();
        remote::check_set(self, remote, &mut faults);
        first_error(faults).inspect_err(|_| put_back(&mut self.remotes, remote, before))
    }

    fn set_group(&mut self, group: &GroupConfig, replace: bool) -> Result<(), Refusal> {
        refuse_existing(&self.groups, group, replace, || Subject::Group(group.vni, group.name.clone()))?;
        let mut faults = Vec::new();
        group::check_set(self, group, &mut faults);
        first_error(faults)?;
        self.groups.insert(group.clone());
        Ok(())
    }

    fn set_fdb(&mut self, entry: &FdbConfig, replace: bool) -> Result<(), Refusal> {
        refuse_existing(&self.fdb, entry, replace, || Subject::Fdb(entry.vni, entry.mac))?;
        let mut faults = Vec::new();
        entry::check_fdb(self, entry, &mut faults);
        first_error(faults)?;
        self.fdb.insert(entry.clone());
        Ok(())
    }

    fn set_neighbour(&mut self, neighbour: &NeighbourConfig, replace: bool) -> Result<(), Refusal> {
        let subject = || Subject::Neighbour(neighbour.vni, neighbour.address);
        refuse_existing(&self.neighbours, neighbour, replace, subject)?;
        let mut faults = Vec::new();
        entry::check_neighbour(self, neighbour, &mut faults);
        first_error(faults)?;
        self.neighbours.insert(neighbour.clone());
        Ok(())
    }
}

/// VLANs are given to a port that has none.
fn no_trunk(name: &str, tuning: &PortTuning) -> Refusal {
    let key = if tuning.trunk.vlans.is_some() { "vlans" } else { "native" };
    let what = format!("port {name} is no trunk and has no VLANs");
    Fault::invalid(Subject::Port(name.to_owned()), key, what, "remove the port, and add it with `vlans`")
        .into()
}

/// Undoes an insertion.
fn put_back<T: Keyed>(items: &mut Items<T>, item: &T, before: Option<T>) {
    match before {
        Some(before) => drop(items.insert(before)),
        None => drop(items.remove(&item.key())),
    }
}

fn refuse_existing<T: Keyed>(
    items: &Items<T>,
    item: &T,
    replace: bool,
    subject: impl FnOnce() -> Subject,
) -> Result<(), Refusal> {
    if replace || !items.contains(&item.key()) {
        return Ok(());
    }
    let subject = subject();
    let remedy = match subject {
        Subject::Port(_) => "remove it first, or choose another name",
        _ => "use replace to change it",
    };
    Err(Refusal::new(RefusalKind::AlreadyExists, format!("{subject} exists already"), remedy))
}

fn missing(subject: &Subject) -> Refusal {
    let noun = match subject {
        Subject::Port(_) => "port",
        Subject::Vni(_) => "vni",
        Subject::Remote(..) => "remote",
        Subject::Group(..) => "group",
        Subject::Fdb(..) => "fdb",
        Subject::Neighbour(..) => "neigh",
        Subject::Daemon | Subject::Umem | Subject::Worker(_) => "status",
    };
    let remedy = format!("`vtep-ctl {noun} show` tells what there is");
    Refusal::new(RefusalKind::NotFound, format!("there is no {subject}"), remedy)
}

pub(super) fn first_error(faults: Vec<Fault>) -> Result<(), Refusal> {
    match faults.into_iter().find(|fault| fault.severity == Severity::Error) {
        Some(fault) => Err(fault.into()),
        None => Ok(()),
    }
}
