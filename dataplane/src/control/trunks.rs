//! Trunk ports: their rows in the tables, which ports are in which VNI, and what is forgotten when a VLAN leaves a trunk.

use std::collections::{BTreeMap, BTreeSet};

use forward::ids::{DomainId, PortId};
use forward::tables::Trunk;
use wire::{Vlan, Vni};

use super::port::OpenPort;
use super::state::State;
use crate::config::PortRole;

/// The VLANs of all trunks, as they were last published.
pub(super) type Lanes = BTreeSet<(PortId, DomainId, Vlan)>;

impl State {
    /// What a port faces: as it is configured now, unless it must be opened anew for that.
    pub(super) fn role<'s>(&'s self, port: &'s OpenPort) -> &'s PortRole {
        let config = self.config.ports.get(&port.config.name).filter(|config| config.opens_as(&port.config));
        &config.unwrap_or(&port.config).role
    }

    /// The VLANs of open trunks.
    pub(super) fn trunk_rows(&self) -> BTreeMap<PortId, Trunk> {
        let rows = self.ports.values().filter_map(|port| {
            let trunk = self.role(port).trunk()?;
            // A port without a link is in no table.
            self.underlay.link_by_index(port.ifindex)?;
            let vlans: BTreeMap<Vlan, DomainId> =
                trunk.vlans.iter().filter_map(|row| Some((row.vlan, self.domain_id(row.vni)?))).collect();
            let native = trunk.native.filter(|native| vlans.contains_key(native));
            Some((port.id, Trunk { vlans, native }))
        });
        rows.collect()
    }

    /// The open access ports and trunks of each VNI.
    pub(super) fn members(&self) -> BTreeMap<Vni, Vec<PortId>> {
        let mut members: BTreeMap<Vni, Vec<PortId>> = BTreeMap::new();
        for port in self.ports.values().filter(|port| self.underlay.link_by_index(port.ifindex).is_some()) {
            for vni in self.role(port).vnis() {
                members.entry(vni).or_default().push(port.id);
            }
        }
        members
    }

    /// Brings the VLANs that are remembered in line with the configuration, and returns those that are gone: trunk and
    /// domain. A VNI that has got another VLAN is among them, since others are behind that.
    pub(super) fn leave_lanes(&mut self) -> BTreeSet<(PortId, DomainId)> {
        let mut lanes = Lanes::new();
        for port in &self.config.ports {
            let Some((id, trunk)) = self.port_id(&port.name).zip(port.role.trunk()) else { continue };
            let rows = trunk.vlans.iter().filter_map(|row| Some((id, self.domain_id(row.vni)?, row.vlan)));
            lanes.extend(rows);
        }
        let before = std::mem::replace(&mut self.lanes, lanes);
        before.difference(&self.lanes).map(|(port, domain, _)| (*port, *domain)).collect()
    }
}
