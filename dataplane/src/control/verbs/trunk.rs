//! The VLANs of a trunk port: from the protocol to the configuration and back.

use api::Refusal;
use wire::Vlan;

use super::arguments;
use crate::config::{PortConfig, PortRole, TrunkConfig, TrunkTuning, TrunkVlan};

/// What a port faces, in the protocol's word, and what goes with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// What it faces.
    pub role: api::PortRole,
    /// The VNI of an access port.
    pub vni: Option<u32>,
    /// The VLANs of a trunk.
    pub vlans: Option<Vec<api::TrunkVlan>>,
    /// The native VLAN of a trunk, if it has one.
    pub native: Option<u16>,
}

/// As the protocol shows it.
#[must_use]
pub fn of(port: &PortConfig) -> Shown {
    let (role, vni) = match &port.role {
        PortRole::Uplink => (api::PortRole::Uplink, None),
        PortRole::Access { vni } => (api::PortRole::Access, Some(vni.value())),
        PortRole::Trunk(_) => (api::PortRole::Trunk, None),
    };
    let shown =
        |row: &TrunkVlan| api::TrunkVlan { vlan: row.vlan.value().into(), vni: row.vni.value().into() };
    let trunk = port.role.trunk();
    Shown {
        role,
        vni,
        vlans: trunk.map(|trunk| trunk.vlans.iter().map(shown).collect()),
        native: trunk.and_then(|trunk| trunk.native).map(Vlan::value),
    }
}

/// What a port to be added faces.
pub(super) fn role(request: &api::AddPort) -> Result<PortRole, Refusal> {
    let trunk = tuning(request.vlans.as_deref(), request.native)?;
    match (request.role, request.vni, trunk) {
        (api::PortRole::Uplink, None, trunk) if trunk.is_empty() => Ok(PortRole::Uplink),
        (api::PortRole::Access, Some(vni), trunk) if trunk.is_empty() => {
            Ok(PortRole::Access { vni: arguments::vni(vni)? })
        }
        (api::PortRole::Trunk, None, trunk) if trunk.vlans.is_some() => {
            Ok(PortRole::Trunk(trunk.of(&TrunkConfig::default())))
        }
        (api::PortRole::Uplink, Some(vni), _) => {
            let what = format!("an uplink belongs to no VNI, but {vni} was given");
            Err(Refusal::argument("vni", what, "leave the VNI out, or make it an access port"))
        }
        (api::PortRole::Access, None, _) => {
            let what = "an access port belongs to a VNI, but none was given";
            Err(Refusal::argument("vni", what, "give the VNI, or make it an uplink or a trunk"))
        }
        (api::PortRole::Trunk, Some(vni), _) => {
            let what = format!("a trunk has VLANs, but VNI {vni} was given");
            Err(Refusal::argument("vni", what, "leave the VNI out, or make it an access port"))
        }
        (api::PortRole::Trunk, None, _) => {
            let what = "a trunk has VLANs, but none were given";
            Err(Refusal::argument("vlans", what, "give its VLANs and their VNIs, or make it an access port"))
        }
        (api::PortRole::Uplink | api::PortRole::Access, _, trunk) => {
            let argument = if trunk.vlans.is_some() { "vlans" } else { "native" };
            let what = format!("VLANs are of trunks, but the port is to be an {}", request.role);
            Err(Refusal::argument(argument, what, "leave them out, or make it a trunk"))
        }
    }
}

/// What a request says of VLANs.
pub(super) fn tuning(vlans: Option<&[api::TrunkVlan]>, native: Option<i64>) -> Result<TrunkTuning, Refusal> {
    let vlans = vlans.map(|vlans| vlans.iter().map(row).collect::<Result<_, _>>()).transpose()?;
    let native = match native {
        Some(0) => Some(None),
        Some(number) => Some(Some(vlan("native", number)?)),
        None => None,
    };
    Ok(TrunkTuning { vlans, native })
}

fn row(row: &api::TrunkVlan) -> Result<TrunkVlan, Refusal> {
    Ok(TrunkVlan { vlan: vlan("vlans", row.vlan)?, vni: arguments::vni(row.vni)? })
}

fn vlan(argument: &str, value: i64) -> Result<Vlan, Refusal> {
    let (least, most) = (Vlan::MIN, Vlan::MAX);
    u16::try_from(value).ok().and_then(Vlan::new).ok_or_else(|| {
        let what = format!("VLAN {value} of {argument} is out of range");
        let none = if argument == "native" { ", or 0 for none" } else { "" };
        Refusal::argument(argument, what, format!("give a whole number from {least} to {most}{none}"))
    })
}

#[cfg(test)]
mod tests {
    use api::{RefusalKind, Request};
    use serde_json::{Value, json};

    use super::*;
    use crate::control::verbs::carry_out;
    use crate::control::verbs::ledger::{Ledger, sample};

    fn ask(ledger: &mut Ledger, method: &str, parameters: Value) -> Result<(), Refusal> {
        carry_out(Request::decode(method, Some(parameters)).unwrap(), ledger).map(|_| ())
    }

    fn shown(ledger: &Ledger) -> Shown {
        of(ledger.config.ports.get("trunk").unwrap())
    }

    #[test]
    fn vlans_arrive_are_shown_and_change() {
        let mut ledger = sample();
        let vlans = json!([{ "vlan": 20, "vni": 200 }, { "vlan": 10, "vni": 100 }]);
        let port = json!({ "name": "trunk", "role": "trunk", "vlans": vlans, "native": 10 });
        ask(&mut ledger, "AddPort", port).unwrap();
        let rows = [(10, 100), (20, 200)].map(|(vlan, vni)| api::TrunkVlan { vlan, vni });
        let expected =
            Shown { role: api::PortRole::Trunk, vni: None, vlans: Some(rows.to_vec()), native: Some(10) };
        assert_eq!(shown(&ledger), expected);
        for (change, vlans, native) in [
            (json!({ "native": 20 }), &rows[..], Some(20)),
            (json!({ "flood": false }), &rows[..], Some(20)),
            (json!({ "vlans": [{ "vlan": 20, "vni": 200 }] }), &rows[1..], Some(20)),
            (json!({ "vlans": [{ "vlan": 10, "vni": 100 }], "native": 0 }), &rows[..1], None),
            (json!({ "vlans": [] }), &[], None),
        ] {
            let mut change = change;
            change["name"] = json!("trunk");
            ask(&mut ledger, "SetPort", change).unwrap();
            assert_eq!(shown(&ledger), Shown { vlans: Some(vlans.to_vec()), native, ..expected.clone() });
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut ledger = sample();
        let vlans = json!([{ "vlan": 10, "vni": 100 }]);
        for (port, argument) in [
            (json!({ "role": "trunk" }), "vlans"),
            (json!({ "role": "trunk", "native": 10 }), "vlans"),
            (json!({ "role": "trunk", "vni": 100, "vlans": vlans }), "vni"),
            (json!({ "role": "access", "vni": 100, "vlans": vlans }), "vlans"),
            (json!({ "role": "access", "vni": 100, "native": 10 }), "native"),
            (json!({ "role": "access", "vlans": vlans }), "vni"),
            (json!({ "role": "uplink", "native": 0 }), "native"),
            (json!({ "role": "trunk", "vlans": [{ "vlan": 0, "vni": 100 }] }), "vlans"),
            (json!({ "role": "trunk", "vlans": [{ "vlan": 4095, "vni": 100 }] }), "vlans"),
            (json!({ "role": "trunk", "vlans": [{ "vlan": 1, "vni": -1 }] }), "vni"),
            (json!({ "role": "trunk", "vlans": vlans, "native": -1 }), "native"),
            (json!({ "role": "trunk", "vlans": vlans, "native": 11 }), "native"),
        ] {
            let mut port = port;
            port["name"] = json!("trunk");
            let refusal = ask(&mut ledger, "AddPort", port.clone()).unwrap_err();
            assert_eq!(refusal.argument.as_deref(), Some(argument), "{port} {refusal:?}");
            assert!(!refusal.remedy.is_empty());
        }
        let refusal = ask(&mut ledger, "SetPort", json!({ "name": "east", "native": 10 })).unwrap_err();
        assert_eq!(refusal.argument.as_deref(), Some("native"));
        let unknown = json!({ "name": "trunk", "role": "trunk", "vlans": [{ "vlan": 1, "vni": 7 }] });
        assert_eq!(ask(&mut ledger, "AddPort", unknown).unwrap_err().kind, RefusalKind::NotFound);
    }
}
