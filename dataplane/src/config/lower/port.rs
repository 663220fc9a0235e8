//! Ports.

use super::{Lowering, Record, Row, flood};
use crate::config::guard::GuardConfig;
use crate::config::model::{PortConfig, PortPolicy, PortRole};
use crate::config::schema::Slot;
use crate::config::source::Span;
use crate::config::tables::PortRow;
use crate::config::trunk::TrunkConfig;
use crate::config::value::Facing;
use crate::plan::Subject;

impl Lowering<'_, '_> {
    pub(super) fn port(&mut self, row: &Row<'_>) {
        let record = PortRow::read(row, self.reader);
        let Some(name) = record.name.value.clone() else {
            self.places.nameless.ports = true;
            return;
        };
        let subject = Subject::Port(name.clone());
        let Some(role) = self.role(&name, row, &record) else {
            self.places.insert_unread(subject);
            return;
        };
        let port = PortConfig {
            device: record.device.value.clone().unwrap_or_else(|| name.clone()),
            name,
            role,
            mode: record.mode.value,
            require: record.require.value,
            queues: record.queues.value,
            ring_size: record.ring_size.value,
            transmit: record.transmit.value,
            namespace: record.namespace.value.clone(),
            policy: PortPolicy {
                flood: flood(&record.flood, &record.mcast_flood, &record.bcast_flood),
                isolated: record.isolated.value,
                fastleave: record.fastleave.value,
                storm_limit: record.storm_limit.value,
            },
            guard: GuardConfig {
                trusted: record.trusted.value,
                locked: record.locked.value,
                bind: record.bind.value.iter().map(|binding| binding.value.clone()).collect(),
                learn_limit: record.learn_limit.value,
            },
        };
        if record.device.is_malformed() {
            self.places.insert_malformed(subject.clone(), "device");
        }
        self.add(|config| &mut config.ports, port, &subject, row, &record);
    }

    fn role(&mut self, name: &str, row: &Row<'_>, record: &PortRow) -> Option<PortRole> {
        if record.role.is_malformed() || record.vni.is_malformed() || record.vlans.is_malformed() {
            return None;
        }
        let native = record.native.value.0;
        match (record.role.value, record.vni.value, &record.vlans.value) {
            (Some(Facing::Uplink), None, None) if native.is_none() => Some(PortRole::Uplink),
            (None | Some(Facing::Access), Some(vni), None) if native.is_none() => {
                Some(PortRole::Access { vni })
            }
            (None | Some(Facing::Trunk), None, Some(vlans)) => {
                let vlans = vlans.iter().map(|placed| placed.value).collect();
                Some(PortRole::Trunk(TrunkConfig::new(vlans, native)))
            }
            // A line that could not be read may have said what would set this right.
            _ if row.torn => None,
            (facing, _, _) => {
                let (at, what, remedy) = contradiction(name, facing, record);
                self.reader.fault(at.unwrap_or(&row.header), what, remedy);
                None
            }
        }
    }
}

/// What is wrong with what a row says of what its port faces, where, and what to do about it.
fn contradiction<'r>(
    name: &str,
    facing: Option<Facing>,
    record: &'r PortRow,
) -> (Option<&'r Span>, String, &'static str) {
    let [vni, vlans, native] = [record.vni.span(), record.vlans.span(), record.native.span()];
    match (facing, record.vni.value) {
        (Some(Facing::Uplink), Some(vni)) => (
            record.vni.span(),
            format!("port {name} is an uplink and cannot be in VNI {vni}"),
            "remove `vni` for an uplink, or `role` for an access port",
        ),
        (Some(Facing::Uplink), None) => (
            vlans.or(native),
            format!("port {name} is an uplink and cannot have VLANs"),
            "remove `vlans` and `native` for an uplink, or `role` for a trunk",
        ),
        (_, Some(number)) if vlans.is_some() => (
            vlans,
            format!("port {name} is in VNI {number} and has VLANs"),
            "remove `vni` for a trunk, or `vlans` for an access port",
        ),
        (Some(Facing::Trunk), _) => (
            vni,
            format!("port {name} is a trunk and has no VLANs"),
            "add `vlans`, such as [{ vlan = 10, vni = 100 }], or remove `role` for an access port",
        ),
        (_, Some(_)) => (
            native,
            format!("port {name} is an access port and has no native VLAN"),
            "remove `native`, or use `vlans` in the place of `vni` for a trunk",
        ),
        (Some(Facing::Access), None) if vlans.is_some() => (
            vlans,
            format!("port {name} is an access port and cannot have VLANs"),
            "remove `role` for a trunk, or use `vni` in the place of `vlans`",
        ),
        (_, None) => (
            None,
            format!("port {name} is neither an uplink nor in a VNI"),
            "add role = \"uplink\" if it faces the underlay, vni = NUMBER or `vlans` if it faces workloads",
        ),
    }
}
