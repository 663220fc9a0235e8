//! Groups: several remotes of one bridge domain that an address is behind. A flow goes to the remote of the bucket that
//! it is hashed into; which bucket leads where is control's to say, so that the loss of a remote moves the flows of its
//! buckets alone.

use std::collections::{HashMap, HashSet};

use crate::consistency::Inconsistency;
use crate::ids::{DomainId, GroupId, RemoteId};
use crate::limits::{GROUP_BUCKETS, MAX_GROUPS};
use crate::tables::{TablesParts, dense};

/// A group as control describes it.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its index.
    pub id: GroupId,
    /// The bridge domain of its remotes.
    pub domain: DomainId,
    /// Whether one of its remotes gets each flooded frame.
    pub flood: bool,
    /// Every remote that frames may come from which the group's addresses send.
    pub members: Vec<RemoteId>,
    /// The remote of each bucket, [`GROUP_BUCKETS`] of them; `None` in all of them if no remote can be used.
    pub buckets: Vec<Option<RemoteId>>,
}

impl Group {
    /// The bucket of a flow. The source port of the outer header comes from the upper bits of the hash, this from the
    /// lower ones: the flows of one remote still spread over all paths of the underlay.
    #[inline]
    #[must_use]
    pub const fn bucket(flow: u32) -> usize {
        flow as usize % GROUP_BUCKETS
    }

    /// Where a flow goes.
    #[inline]
    #[must_use]
    pub fn remote(&self, flow: u32) -> Option<RemoteId> {
        self.buckets.get(Self::bucket(flow)).copied().flatten()
    }

    /// Whether a remote is a member, in use or not.
    #[must_use]
    pub fn has(&self, remote: RemoteId) -> bool {
        self.members.contains(&remote)
    }
}

/// All groups.
#[derive(Debug)]
pub(crate) struct Groups {
    rows: Box<[Option<Group>]>,
    /// By domain: those that stand in its flood list.
    flooding: Box<[Vec<GroupId>]>,
}

impl Groups {
    pub(crate) fn new(groups: Vec<Group>) -> Self {
        let flooding = groups.iter().filter(|group| group.flood);
        let domains = flooding.clone().map(|group| usize::from(group.domain.0) + 1).max().unwrap_or_default();
        let mut lists = vec![Vec::new(); domains];
        for group in flooding {
            if let Some(list) = lists.get_mut(usize::from(group.domain.0)) {
                list.push(group.id);
            }
        }
        Self { rows: dense(groups, |group| usize::from(group.id.0)), flooding: lists.into() }
    }

    #[inline]
    pub(crate) fn get(&self, id: GroupId) -> Option<&Group> {
        self.rows.get(usize::from(id.0))?.as_ref()
    }

    pub(crate) fn flooding(&self, domain: DomainId) -> &[GroupId] {
        self.flooding.get(usize::from(domain.0)).map_or(&[], Vec::as_slice)
    }
}

/// What contradicts something else.
pub(crate) fn check(parts: &TablesParts, faults: &mut Vec<Inconsistency>) {
    let owners: HashMap<RemoteId, DomainId> =
        parts.remotes.iter().map(|remote| (remote.id, remote.domain)).collect();
    let mut seen = HashSet::new();
    for group in &parts.groups {
        if usize::from(group.id.0) >= MAX_GROUPS || !seen.insert(group.id) {
            faults.push(Inconsistency::GroupIndex(group.id));
        }
        if group.buckets.len() != GROUP_BUCKETS {
            faults.push(Inconsistency::GroupBuckets(group.id, group.buckets.len()));
        }
        let used: HashSet<RemoteId> =
            group.members.iter().copied().chain(group.buckets.iter().copied().flatten()).collect();
        let strangers = used.into_iter().filter(|remote| owners.get(remote) != Some(&group.domain));
        faults.extend(strangers.map(|remote| Inconsistency::GroupMember(group.id, remote)));
    }
}
