//! The protocol's enumerations. One list makes variants, words and both directions of text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Declares an enumeration: documentation, variants, the word of each.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Every variant.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word for it in requests, replies and commands.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(self.word())
            }
        }

        impl FromStr for $name {
            type Err = String;

            /// The error lists the words that would have been right.
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err([$($word),*].join(" | ")),
                }
            }
        }
    )*};
}

words! {
    /// What a port faces.
    PortRole {
        /// The underlay.
        Uplink "uplink",
        /// A workload in one VNI.
        Access "access",
        /// Workloads in several VNIs, told apart by a VLAN tag.
        Trunk "trunk",
    }

    /// How AF_XDP receives.
    XdpMode {
        /// The device writes into the frame memory.
        ZeroCopy "zerocopy",
        /// XDP in the driver, frames copied.
        Native "native",
        /// XDP in the kernel's generic receive path, frames copied.
        Generic "generic",
    }

    /// The pages that frame memory lies on, in the kernel's words.
    Pages {
        /// 4 KiB.
        Base "base",
        /// 2 MiB, for the most part, put together by the kernel.
        Transparent "thp",
        /// 2 MiB, from the administrator's reserve.
        HugeTlb "hugetlb",
    }

    /// Which mode to try.
    ModeWish {
        /// From best to worst.
        Auto "auto",
        /// Zero-copy only.
        ZeroCopy "zerocopy",
        /// Native only.
        Native "native",
        /// Generic only.
        Generic "generic",
    }

    /// How frames should leave a port.
    TransmitWish {
        /// Chosen per batch.
        Auto "auto",
        /// Always by the TX ring.
        Ring "ring",
        /// Always by burst.
        Burst "burst",
    }

    /// How frames leave a port at present.
    TransmitPath {
        /// Always by the TX ring.
        Ring "ring",
        /// Large batches by burst.
        Burst "burst",
    }

    /// Whether a port takes and gives frames.
    PortState {
        /// It does.
        Up "UP",
        /// It does not.
        Down "DOWN",
    }

    /// How frames to a remote are wrapped.
    Encapsulation {
        /// RFC 7348.
        Vxlan "vxlan",
        /// RFC 2784 with an Ethernet payload.
        Gre "gre",
        /// RFC 7637.
        Nvgre "nvgre",
        /// RFC 8086 with an Ethernet payload.
        GreUdp "greudp",
    }

    /// What becomes of frames that have a VLAN tag.
    InnerTags {
        /// They are carried as they are.
        Carry "carry",
        /// They are dropped.
        Drop "drop",
    }

    /// The DF flag of outer IPv4 headers.
    DontFragment {
        /// Set.
        Set "set",
        /// Not set.
        Unset "unset",
        /// As the inner packet's.
        Inherit "inherit",
    }

    /// How the outer ECN field is made from the inner one (RFC 6040).
    EcnMode {
        /// The inner one.
        Normal "normal",
        /// The inner one, but ECT(0) for CE, as RFC 3168 and Linux have it.
        Reset "reset",
        /// Not-ECT always.
        Compatibility "compatibility",
    }

    /// What is known of the way to a remote.
    RemoteState {
        /// Ready to send.
        Reachable "reachable",
        /// The next hop's Ethernet address is not known yet.
        Unresolved "unresolved",
        /// No route through an uplink of ours.
        NoRoute "noroute",
    }

    /// Whether frames are sent to a remote that is asked whether it is there.
    LivenessState {
        /// It has never answered: they are.
        Init "init",
        /// It answers: they are.
        Up "up",
        /// It answered, and does not any more, or not for long enough yet: they are not.
        Down "down",
    }

    /// Whether a member of a group gets frames.
    MemberState {
        /// It does.
        Active "active",
        /// It could, but others are better.
        Standby "standby",
        /// Nothing can be sent to it, or it does not answer.
        Down "down",
    }

    /// How a path MTU is known.
    MtuSource {
        /// It is the uplink's.
        Link "link",
        /// It is the route's.
        Route "route",
        /// A router on the way has told it.
        Router "router",
        /// Larger packets were tried and lost: a black hole.
        Probe "probe",
    }

    /// Whether an entry stays or ages.
    EntryState {
        /// It stays until it is removed.
        Permanent "permanent",
        /// It ages.
        Reachable "reachable",
    }

    /// A kind of multicast entry.
    MdbKind {
        /// Somebody listens to a group.
        Group "group",
        /// There is a multicast router.
        Router "router",
        /// A router asks who listens.
        Querier "querier",
    }

    /// A kind of forwarding entry.
    EntryKind {
        /// Learned.
        Dynamic "dynamic",
        /// Written; stays until it is removed.
        Static "static",
        /// The same, marked as a control plane's.
        External "external",
        /// Written; keeps its place, but ages as a learned one does.
        Sticky "sticky",
    }
}
