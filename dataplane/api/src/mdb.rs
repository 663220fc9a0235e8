//! What the daemon answers about multicast listeners.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

#[cfg(test)]
use crate::reply::Fields;
use crate::reply::replies;
use crate::word::MdbKind;

replies! {
    /// A listener of a group, a multicast router, or a querier.
    #[derive(Eq)]
    MdbEntry {
        /// The VNI, below 2^24.
        vni: u32,
        /// What it is.
        kind: MdbKind,
        /// The group that is listened to, or the querier's address.
        #[serde(skip_serializing_if = "Option::is_none")]
        grp: Option<IpAddr>,
        /// The port it is behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        ifname: Option<String>,
        /// The remote it is behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        dst: Option<IpAddr>,
        /// Seconds after which it is forgotten unless it is heard again.
        timer: u32,
    }

    /// A page of multicast listeners.
    #[derive(Eq)]
    MdbPage {
        /// By VNI, kind, group and port.
        entries: Vec<MdbEntry>,
        /// The cursor of the next page.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }
}

impl MdbEntry {
    /// Where it stands among those of its VNI: no two are alike in this.
    #[must_use]
    pub fn place(&self) -> String {
        let group = self.grp.map(|group| group.to_string()).unwrap_or_default();
        format!("{}/{group}/{}", self.kind, self.ifname.as_deref().unwrap_or_default()).replace(' ', "_")
    }
}
