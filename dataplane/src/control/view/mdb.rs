//! Multicast listeners, routers and queriers.

use api::{MdbEntry, MdbKind};
use forward::ids::PortId;
use forward::link::Place;
use wire::Vni;

use super::super::state::State;

impl State {
    /// What snooping knows, of all VNIs or one.
    pub(in crate::control) fn mdb_view(&self, only: Option<Vni>) -> Vec<MdbEntry> {
        let now = self.now();
        let left = |until: u32| until.saturating_sub(now);
        let name = |port: PortId| self.ids.ports.key(u32::from(port.0)).cloned();
        let members = self.mdb.members().map(|(vni, grp, port, member)| MdbEntry {
            vni: vni.value(),
            kind: MdbKind::Group,
            grp: Some(grp),
            ifname: name(port),
            dst: None,
            timer: left(member.until),
        });
        let routers = self.mdb.routers().map(|(vni, port, until)| MdbEntry {
            vni: vni.value(),
            kind: MdbKind::Router,
            grp: None,
            ifname: name(port),
            dst: None,
            timer: left(until),
        });
        let queriers = self.mdb.queriers().map(|(vni, querier)| MdbEntry {
            vni: vni.value(),
            kind: MdbKind::Querier,
            grp: Some(querier.address),
            ifname: match querier.place {
                Place::Port(port) => name(port),
                Place::Remote(_) | Place::Group(_) => None,
            },
            dst: match querier.place {
                Place::Port(_) | Place::Group(_) => None,
                Place::Remote(remote) => self.ids.remotes.key(remote.0).map(|(_, address)| *address),
            },
            timer: left(querier.until),
        });
        let all = members.chain(routers).chain(queriers);
        all.filter(|entry| only.is_none_or(|only| only.value() == entry.vni)).collect()
    }
}
