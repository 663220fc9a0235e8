//! What requests have lists of.

use serde::{Deserialize, Serialize};

use crate::word::EntryKind;

/// Declares what requests have lists of.
macro_rules! items {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        #[cfg(test)]
        impl crate::reply::Fields for $name {
            const FIELDS: &[&str] = &[$(stringify!($field)),*];
        }
    )*};
}

items! {
    /// A forwarding entry as an owner wants it; exactly one of `dev`, `dst` and `group` is given.
    FdbItem {
        /// The address.
        mac: String,
        /// The VNI.
        vni: i64,
        /// The port it is behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        dev: Option<String>,
        /// The remote it is behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        dst: Option<String>,
        /// The group of remotes it is behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// Of which kind it is, `dynamic` excepted; `static` by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<EntryKind>,
    }

    /// A member of a group as it is to be.
    GroupMemberItem {
        /// The remote's underlay address.
        dst: String,
        /// Its share in proportion to that of the others, 1 to 256; 1 by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        weight: Option<i64>,
        /// Whether it is used only while no other can be; false by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        backup: Option<bool>,
    }

    /// A VLAN of a trunk port.
    TrunkVlan {
        /// The identifier in the tag, 1 to 4094.
        vlan: i64,
        /// The VNI that its frames are in.
        vni: i64,
    }

    /// A neighbour as an owner wants it.
    NeighbourItem {
        /// The workload's protocol address.
        dst: String,
        /// Its Ethernet address.
        lladdr: String,
        /// The VNI.
        vni: i64,
        /// Whether it is a router, of IPv6; false by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        router: Option<bool>,
    }

    /// What an access port's frames are held against. What is absent is at its default, or stays as it is where a port is
    /// changed.
    Guard {
        /// Whether the workload may act as a router, a DHCP server or the end of a tunnel; false by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        trusted: Option<bool>,
        /// Whether only addresses that are bound or written may send; false by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        locked: Option<bool>,
        /// The addresses that the workload may use; all by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        bind: Option<Vec<Binding>>,
        /// Most addresses that are learned from it; 8192 by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        learn_limit: Option<i64>,
    }

    /// An Ethernet address that a workload may use.
    Binding {
        /// The address.
        mac: String,
        /// The protocol addresses that go with it; with none, any.
        addresses: Vec<String>,
    }
}
