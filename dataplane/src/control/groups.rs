//! Groups of remotes as they are published: which members can be used, and where each bucket leads.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::MemberState;
use forward::ids::{GroupId, RemoteId};
use forward::tables::Group;
use wire::Vni;

use super::buckets::{Buckets, Standing};
use super::paths::Way;
use super::state::State;
use crate::config::{GroupConfig, Keyed};
use crate::liveness::Verdict;

/// The buckets of every group.
#[derive(Debug, Default)]
pub(super) struct Groups {
    buckets: BTreeMap<(Vni, String), Buckets>,
}

impl State {
    /// Whether frames may be sent to a remote.
    fn standing(&self, vni: Vni, remote: IpAddr) -> Standing {
        let local = self.config.local_towards(vni, remote);
        match local.and_then(|local| self.paths.way(local, remote)) {
            Some(Way::Ready { .. }) => match self.liveness.peer(vni, remote).map(|peer| peer.verdict().0) {
                None | Some(Verdict::Up) => Standing::Good,
                Some(Verdict::Init) => Standing::Unproven,
                Some(Verdict::Down) => Standing::Down,
            },
            Some(Way::Unresolved { failed: false, .. }) => Standing::Unproven,
            _ => Standing::Down,
        }
    }

    /// Brings the buckets of all groups in line with their members, and makes rows of them.
    pub(super) fn group_rows(&mut self) -> Vec<Group> {
        let mut groups = std::mem::take(&mut self.groups);
        groups.buckets.retain(|key, _| self.config.groups.contains(key));
        let mut rows = Vec::new();
        for group in &self.config.groups {
            let buckets = groups.buckets.entry(group.key()).or_default();
            let moved = buckets.follow(&group.members, |remote| self.standing(group.vni, remote));
            if moved != 0 {
                let active = group.members.iter().filter(|member| buckets.is_active(member.remote)).count();
                tracing::info!(vni = group.vni.value(), group = group.name, moved, active, "buckets moved");
            }
            rows.extend(self.group_row(group, buckets));
        }
        self.groups = groups;
        rows
    }

    fn group_row(&self, group: &GroupConfig, buckets: &Buckets) -> Option<Group> {
        let ids: BTreeMap<IpAddr, RemoteId> = group
            .members
            .iter()
            .filter_map(|member| Some((member.remote, self.remote_id(group.vni, member.remote)?)))
            .collect();
        let id = |holder: &Option<IpAddr>| holder.and_then(|holder| ids.get(&holder).copied());
        Some(Group {
            id: self.group_id(group.vni, &group.name)?,
            domain: self.domain_id(group.vni)?,
            // A group of the underlay takes the place of the whole flood list.
            flood: group.flood && self.config.vnis.get(&group.vni)?.mcast_group.is_none(),
            members: ids.values().copied().collect(),
            buckets: buckets.holders().iter().map(id).collect(),
        })
    }

    pub(super) fn group_id(&self, vni: Vni, name: &str) -> Option<GroupId> {
        let index = self.ids.groups.index(&(vni, name.to_owned()))?;
        u16::try_from(index).ok().map(GroupId)
    }

    /// Whether a group of the VNI takes the place of a remote in the flood list.
    pub(super) fn is_flooded_by_group(&self, vni: Vni, remote: IpAddr) -> bool {
        self.config.groups.in_vni(vni).any(|group| group.flood && group.has(remote))
    }

    /// Asks the kernel for next hops that are not resolved, of members and of remotes that are asked whether they are there:
    /// no frame is sent to them that would.
    pub(super) fn resolve_awaited(&mut self) {
        let Self { config, paths, underlay, liveness, .. } = self;
        let members = config.groups.iter().flat_map(|group| {
            let remotes = group.members.iter().map(|member| member.remote);
            remotes.map(|remote| (group.vni, remote))
        });
        let awaited = members.chain(liveness.keys());
        let awaited = awaited.filter_map(|(vni, remote)| Some((config.local_towards(vni, remote)?, remote)));
        for (local, remote) in awaited {
            if let Some(Way::Unresolved { ifindex, next_hop, .. }) = paths.way(local, remote)
                && let Err(error) = underlay.resolve(*ifindex, *next_hop)
            {
                tracing::debug!(%error, "the kernel does not resolve a next hop");
            }
        }
    }

    /// Groups, all or those of one VNI.
    pub(super) fn groups_view(&self, only: Option<Vni>) -> Vec<api::Group> {
        let groups = self.config.groups.iter().filter(|group| only.is_none_or(|only| group.vni == only));
        groups.map(|group| self.group_view(group)).collect()
    }

    fn group_view(&self, group: &GroupConfig) -> api::Group {
        let buckets = self.groups.buckets.get(&group.key());
        let members = group.members.iter().map(|member| {
            let usable = self.standing(group.vni, member.remote) != Standing::Down;
            let active = buckets.is_some_and(|buckets| buckets.is_active(member.remote));
            api::GroupMember {
                dst: member.remote,
                weight: member.weight,
                backup: member.backup,
                state: match (active, usable) {
                    (true, _) => MemberState::Active,
                    (false, true) => MemberState::Standby,
                    (false, false) => MemberState::Down,
                },
                buckets: buckets.map_or(0, |buckets| buckets.held_by(member.remote) as u64),
            }
        });
        api::Group {
            name: group.name.clone(),
            vni: group.vni.value(),
            flood: group.flood,
            members: members.collect(),
        }
    }
}
