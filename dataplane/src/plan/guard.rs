//! Checks of what a port's frames are held against.

use std::collections::BTreeSet;

use super::domain::unusable;
use super::fault::{Fault, RefusalKind, Subject};
use crate::config::{BindingConfig, GuardConfig, PortConfig, PortRole};

pub(super) fn check(port: &PortConfig, faults: &mut Vec<Fault>) {
    let PortConfig { name, guard, .. } = port;
    let subject = || Subject::Port(name.clone());
    if port.role == PortRole::Uplink {
        let believed = "leave it out; from an uplink only the remotes of a VNI are believed";
        let limited = "leave it out; [[vni]] and [[remote]] have a `learn_limit` for what comes from peers";
        let is_limited = guard.learn_limit != GuardConfig::LEARN_LIMIT;
        let keys = [
            ("trusted", "trusted", guard.trusted, believed),
            ("locked", "locked", guard.locked, believed),
            ("bind", "bound", !guard.bind.is_empty(), believed),
            ("learn_limit", "limited in what it learns", is_limited, limited),
        ];
        for (key, what, _, remedy) in keys.into_iter().filter(|(_, _, given, _)| *given) {
            let what = format!("port {name} is an uplink and cannot be {what}: that is for access ports");
            faults.push(Fault::invalid(subject(), key, what, remedy));
        }
        return;
    }
    if guard.bind.len() > GuardConfig::MAX_BINDINGS {
        faults.push(
            Fault::error(
                RefusalKind::LimitReached,
                subject(),
                format!(
                    "port {name} has {} bindings, {} are possible",
                    guard.bind.len(),
                    GuardConfig::MAX_BINDINGS
                ),
                "leave `bind` out for a port with that many workloads behind it",
            )
            .at("bind"),
        );
    }
    let mut seen = BTreeSet::new();
    for binding in &guard.bind {
        if !seen.insert(binding.mac) {
            let what = format!("port {name} binds {} twice", binding.mac);
            faults.push(Fault::invalid(subject(), "bind", what, "put all its addresses into one binding"));
        }
        faults.extend(check_binding(name, binding));
    }
}

fn check_binding(name: &str, binding: &BindingConfig) -> Option<Fault> {
    let subject = Subject::Port(name.to_owned());
    let BindingConfig { mac, addresses } = binding;
    if mac.is_zero() || mac.is_multicast() {
        let what = format!("port {name} cannot be bound to {mac}, which is no address of a workload");
        return Some(Fault::invalid(subject, "bind", what, "use one such as 02:00:00:00:00:01"));
    }
    let (address, trouble) = addresses.iter().find_map(|address| Some((address, unusable(*address)?)))?;
    let what = format!("port {name} cannot be bound to {address}: {trouble}");
    Some(Fault::invalid(subject, "bind", what, "use the address of one workload"))
}
