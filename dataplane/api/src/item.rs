//! What requests have lists of.

use serde::{Deserialize, Serialize};

use crate::word::EntryKind;

/// Declares what requests have lists of.
macro_rules! items {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    /// A forwarding entry as an owner wants it; exactly one of `dev` and `dst` is given.
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
        /// Of which kind it is, `dynamic` excepted; `static` by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<EntryKind>,
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
}
