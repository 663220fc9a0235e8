//! Checks of groups of remotes.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use forward::limits::{GROUP_BUCKETS, MAX_GROUPS};
use wire::Vni;

use super::domain::missing_vni;
use super::entry::is_name;
use super::fault::{Fault, RefusalKind, Subject};
use crate::config::{Config, GroupConfig, RemoteConfig};

/// The greatest weight of a member: with one more, a member of weight 1 beside it might get no bucket at all.
const MAX_WEIGHT: u16 = 256;

/// Members of a group: each has some buckets at least.
const MAX_MEMBERS: usize = GROUP_BUCKETS / 4;

pub(super) fn check_all(config: &Config, faults: &mut Vec<Fault>) {
    if let Some(beyond) = config.groups.iter().nth(MAX_GROUPS) {
        faults.push(limit(beyond, config.groups.len()));
    }
    for group in &config.groups {
        check_alone(config, group, faults);
    }
    let mut flooded: HashMap<(Vni, IpAddr), &GroupConfig> = HashMap::new();
    for group in config.groups.iter().filter(|group| group.flood) {
        faults.extend(members(config, group).filter_map(|remote| flooded_unasked(group, remote)));
        let keys = || group.members.iter().map(|member| (group.vni, member.remote));
        let other = keys().find_map(|key| flooded.get(&key).copied());
        // Once for each group, however many remotes it shares.
        faults.extend(other.and_then(|other| flooded_twice(group, other)));
        flooded.extend(keys().map(|key| (key, group)));
    }
}

/// The members of a group that are remotes.
fn members<'c>(config: &'c Config, group: &'c GroupConfig) -> impl Iterator<Item = &'c RemoteConfig> {
    group.members.iter().filter_map(|member| config.remotes.get(&(group.vni, member.remote)))
}

/// Checks a group that is about to be put into a configuration that is right.
pub(super) fn check_set(config: &Config, group: &GroupConfig, faults: &mut Vec<Fault>) {
    if config.groups.len() >= MAX_GROUPS && !config.groups.contains(&(group.vni, group.name.clone())) {
        faults.push(limit(group, config.groups.len() + 1));
    }
    check_alone(config, group, faults);
    if group.flood {
        faults.extend(members(config, group).filter_map(|remote| flooded_unasked(group, remote)));
        let others = config.groups.in_vni(group.vni).filter(|other| other.flood && other.name != group.name);
        faults.extend(others.filter_map(|other| flooded_twice(group, other)));
    }
}

/// Checks a remote that has just been put into a configuration that was right: groups may have it already.
pub(super) fn check_remote(config: &Config, remote: &RemoteConfig, faults: &mut Vec<Fault>) {
    if remote.flood {
        return;
    }
    let groups = config.groups.in_vni(remote.vni).filter(|group| group.flood);
    faults.extend(groups.filter_map(|group| flooded_unasked(group, remote)));
}

/// Two groups that are both flooded to and share a remote, which would get each frame twice.
fn flooded_twice(group: &GroupConfig, other: &GroupConfig) -> Option<Fault> {
    let GroupConfig { vni, name, .. } = group;
    let shared = group.members.iter().find(|member| other.vni == *vni && other.has(member.remote))?.remote;
    let what = format!(
        "groups {} and {name} of VNI {vni} both have remote {shared} and `flood`: it would get flooded frames twice",
        other.name
    );
    let fault = Fault::invalid(subject(group), "flood", what, "leave `flood` off in one of them");
    Some(fault.with(subject(other)))
}

/// A group that is flooded to with a remote that is not to be.
fn flooded_unasked(group: &GroupConfig, remote: &RemoteConfig) -> Option<Fault> {
    let GroupConfig { vni, name, .. } = group;
    let RemoteConfig { address, .. } = remote;
    if remote.flood || !group.has(*address) {
        return None;
    }
    let what = format!(
        "group {name} of VNI {vni} has `flood`, but its remote {address} has `flood = false`: it would get flooded frames all the same"
    );
    let remedy = "leave `flood` off in the group, or on in the remote";
    let fault = Fault::invalid(subject(group), "flood", what, remedy);
    Some(fault.with(Subject::Remote(*vni, *address)))
}

fn subject(group: &GroupConfig) -> Subject {
    Subject::Group(group.vni, group.name.clone())
}

fn limit(group: &GroupConfig, count: usize) -> Fault {
    let what = format!("{count} groups are configured, {MAX_GROUPS} are possible");
    Fault::error(RefusalKind::LimitReached, subject(group), what, "remove some")
}

fn check_alone(config: &Config, group: &GroupConfig, faults: &mut Vec<Fault>) {
    let GroupConfig { vni, name, members, .. } = group;
    if !is_name(name) {
        let what = format!("\"{}\" cannot be the name of a group", name.escape_debug());
        let remedy = "use 1 to 63 letters, digits and . _ - : @";
        faults.push(Fault::invalid(subject(group), "name", what, remedy));
    }
    if !config.vnis.contains(vni) {
        faults.push(missing_vni(config, *vni, subject(group)));
        return;
    }
    if members.is_empty() {
        let what = format!("group {name} of VNI {vni} has no members: frames to it are dropped");
        let fault = Fault::invalid(subject(group), "members", what, "name some remotes of the VNI");
        faults.push(fault.warning());
    }
    if members.len() > MAX_MEMBERS {
        let what = format!(
            "group {name} of VNI {vni} has {} members, {MAX_MEMBERS} are possible: they share {GROUP_BUCKETS} buckets",
            members.len()
        );
        let fault = Fault::error(RefusalKind::LimitReached, subject(group), what, "remove some");
        faults.push(fault.at("members"));
    }
    let mut seen = BTreeSet::new();
    for member in members {
        let remote = member.remote;
        let mut fault = |what: String, remedy: &str| {
            faults.push(Fault::invalid(subject(group), "members", what, remedy));
        };
        if !seen.insert(remote) {
            fault(
                format!("{remote} is in group {name} twice"),
                "keep one of the two, with the sum of their weights",
            );
        }
        if !(1..=MAX_WEIGHT).contains(&member.weight) {
            fault(
                format!("{remote} cannot have the weight {} in group {name}", member.weight),
                "use a number from 1 to 256",
            );
        }
        if !config.remotes.contains(&(*vni, remote)) {
            let what = format!("{remote} is in group {name}, but is no remote of VNI {vni}");
            let remedy = format!("add remote {remote} to VNI {vni} first, or leave it out");
            let fault = Fault::error(RefusalKind::NotFound, subject(group), what, remedy);
            faults.push(fault.at("members").with(Subject::Remote(*vni, remote)));
        }
    }
}
