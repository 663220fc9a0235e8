//! What the daemon answers about groups of remotes.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
use crate::reply::Fields;
use crate::reply::replies;
use crate::word::MemberState;

replies! {
    /// A remote in a group.
    #[derive(Eq)]
    GroupMember {
        /// The remote's underlay address.
        dst: IpAddr,
        /// Its share in proportion to that of the others.
        weight: u16,
        /// Whether it is used only while no other can be.
        backup: bool,
        /// Whether it gets frames.
        state: MemberState,
        /// How many of the group's 256 buckets lead to it.
        buckets: u64,
    }

    /// Several remotes of one VNI, over which the flows to an address are spread.
    #[derive(Eq)]
    Group {
        /// Its name.
        name: String,
        /// The VNI, below 2^24.
        vni: u32,
        /// Whether one of its remotes, instead of each, gets flooded frames.
        flood: bool,
        /// Its remotes.
        members: Vec<GroupMember>,
    }

    /// A page of groups.
    #[derive(Eq)]
    GroupPage {
        /// By VNI and name.
        groups: Vec<Group>,
        /// The cursor of the next page.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }
}
