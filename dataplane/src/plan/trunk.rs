//! Checks of the VLANs of trunk ports.

use std::collections::BTreeMap;

use forward::limits::MAX_TRUNK_VLANS;

use super::domain::missing_vni;
use super::fault::{Fault, RefusalKind, Subject, some_of};
use crate::config::{Config, TrunkConfig};

pub(super) fn check(config: &Config, name: &str, trunk: &TrunkConfig, faults: &mut Vec<Fault>) {
    let subject = || Subject::Port(name.to_owned());
    let TrunkConfig { vlans, native } = trunk;
    if vlans.len() > MAX_TRUNK_VLANS {
        let what = format!("port {name} has {} VLANs, {MAX_TRUNK_VLANS} are possible", vlans.len());
        let remedy = "spread them over several trunks";
        faults.push(Fault::error(RefusalKind::LimitReached, subject(), what, remedy).at("vlans"));
    }
    let (mut by_vlan, mut by_vni) = (BTreeMap::new(), BTreeMap::new());
    for row in vlans {
        let (vlan, vni) = (row.vlan, row.vni);
        if let Some(other) = by_vlan.insert(vlan, vni) {
            let what = format!("VLAN {vlan} of port {name} is VNI {other} and VNI {vni}");
            faults.push(Fault::invalid(subject(), "vlans", what, "keep one of the two"));
        }
        if let Some(other) = by_vni.insert(vni, vlan) {
            let what = format!("VNI {vni} is VLAN {other} and VLAN {vlan} of port {name}");
            let remedy = "keep one of the two: a frame that leaves the trunk has one tag";
            faults.push(Fault::invalid(subject(), "vlans", what, remedy));
        }
        if !config.vnis.contains(&vni) {
            faults.push(missing_vni(config, vni, subject()).at("vlans"));
        }
    }
    if let Some(native) = native.filter(|native| !by_vlan.contains_key(native)) {
        let what = format!("the native VLAN {native} of port {name} is none of its VLANs");
        let remedy = if by_vlan.is_empty() {
            "leave it out, or add it to `vlans`".to_owned()
        } else {
            format!("use one of its VLANs ({}), or add it to `vlans`", some_of(by_vlan.keys()))
        };
        faults.push(Fault::invalid(subject(), "native", what, remedy));
    }
}
