//! Groups of remotes: several peers that an address is behind.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use wire::Vni;

use super::items::{InVni, Items, Keyed};

/// Several remotes of a VNI, over which the flows to an address are spread (Linux: a nexthop group of FDB entries).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupConfig {
    /// The VNI.
    pub vni: Vni,
    /// Its name, by which forwarding entries point to it.
    pub name: String,
    /// Its remotes, each once.
    pub members: Vec<GroupMember>,
    /// Whether one of its remotes, instead of each of them, gets flooded frames; false by default.
    pub flood: bool,
}

/// One remote of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupMember {
    /// The remote's underlay address.
    pub remote: IpAddr,
    /// Its share of the flows in proportion to that of the others, 1 to 256; 1 by default.
    pub weight: u16,
    /// Whether it is used only while no other can be; false by default.
    pub backup: bool,
}

impl GroupMember {
    /// Its share unless it says otherwise.
    pub const WEIGHT: u16 = 1;

    /// A member with every other key at its default.
    #[must_use]
    pub const fn new(remote: IpAddr) -> Self {
        Self { remote, weight: Self::WEIGHT, backup: false }
    }
}

impl GroupConfig {
    /// Whether a remote is a member.
    #[must_use]
    pub fn has(&self, remote: IpAddr) -> bool {
        self.members.iter().any(|member| member.remote == remote)
    }
}

impl Keyed for GroupConfig {
    type Key = (Vni, String);

    fn key(&self) -> Self::Key {
        (self.vni, self.name.clone())
    }
}

impl Items<GroupConfig> {
    /// Takes a remote of a VNI out of its groups.
    pub fn leave(&mut self, vni: Vni, remote: IpAddr) {
        let left: Vec<GroupConfig> = self.in_vni(vni).filter(|group| group.has(remote)).cloned().collect();
        for mut group in left {
            group.members.retain(|member| member.remote != remote);
            self.insert(group);
        }
    }
}

impl InVni for GroupConfig {
    fn bounds(vni: Vni) -> RangeInclusive<Self::Key> {
        // Names are ASCII.
        (vni, String::new())..=(vni, char::MAX.to_string())
    }
}
