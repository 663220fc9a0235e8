//! Checks of groups of remotes.

use std::collections::BTreeSet;

use forward::limits::{GROUP_BUCKETS, MAX_GROUPS};

use super::domain::missing_vni;
use super::entry::is_name;
use super::fault::{Fault, RefusalKind, Subject};
use crate::config::{Config, GroupConfig};

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
}

/// Checks a group that is about to be put into a configuration that is right.
pub(super) fn check_set(config: &Config, group: &GroupConfig, faults: &mut Vec<Fault>) {
    if config.groups.len() >= MAX_GROUPS && !config.groups.contains(&(group.vni, group.name.clone())) {
        faults.push(limit(group, config.groups.len() + 1));
    }
    check_alone(config, group, faults);
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
