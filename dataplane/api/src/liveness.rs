//! What the daemon answers about the liveness of remotes, and how it is set.

use serde::{Deserialize, Serialize};

#[cfg(test)]
use crate::reply::Fields;
use crate::reply::replies;
use crate::word::LivenessState;

replies! {
    /// A path to a remote, by which echo packets are sent.
    #[derive(Eq)]
    LivenessPath {
        /// UDP source port of the outer header, by which the underlay chooses among its ways.
        source_port: u16,
        /// Echo packets that came back or are lost.
        sent: u64,
        /// Those lost.
        lost: u64,
        /// How many in a hundred of the last 32 were lost.
        loss: u32,
        /// Whether nothing comes back any more.
        dead: bool,
        /// Microseconds until the last came back.
        #[serde(skip_serializing_if = "Option::is_none")]
        rtt_us: Option<u64>,
    }

    /// What is known of a remote by asking it.
    #[derive(Eq)]
    Liveness {
        /// Whether frames are sent to it.
        state: LivenessState,
        /// Seconds since that is so.
        since: u64,
        /// Why its session last went down.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Milliseconds between packets.
        interval: u32,
        /// Packets that may be lost in sequence.
        multiplier: u8,
        /// Microseconds that an echo packet usually takes.
        #[serde(skip_serializing_if = "Option::is_none")]
        rtt_us: Option<u64>,
        /// Seconds since one was lost.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_loss: Option<u64>,
        /// The largest packet that reaches it, in bytes, outer headers but Ethernet's included.
        #[serde(skip_serializing_if = "Option::is_none")]
        mtu: Option<u16>,
        /// Seconds since packets larger than that are lost although the uplink takes them, and no router says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        black_hole: Option<u64>,
        /// By number.
        paths: Vec<LivenessPath>,
    }
}

/// How remotes are to be asked whether they are there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LivenessItem {
    /// Whether they are.
    pub on: bool,
    /// Milliseconds between two packets; 300 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// Packets that may be lost in sequence; 3 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<i64>,
    /// Packets that must come, no two lost in sequence, before a lost one is used again; 10 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<i64>,
    /// Source ports tried in turn; 8 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<i64>,
    /// Whether the path MTU is measured; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_mtu: Option<bool>,
}

#[cfg(test)]
impl Fields for LivenessItem {
    const FIELDS: &[&str] = &["on", "interval", "multiplier", "recovery", "paths", "path_mtu"];
}
