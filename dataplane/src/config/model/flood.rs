//! Flood control as it is configured: which kinds of frames are flooded, from and to whom, and how many.

use crate::config::trunk::TrunkTuning;

/// What is flooded from and to a port, which may be changed while frames pass. Of access ports and trunks only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortPolicy {
    /// What is flooded to it.
    pub flood: FloodConfig,
    /// Whether it neither sends to nor hears from other isolated ports; false by default.
    pub isolated: bool,
    /// Whether who leaves a multicast group there is taken for the last who listened to it; false by default.
    pub fastleave: bool,
    /// Frames a second from it that are flooded, 0 for no limit.
    pub storm_limit: u32,
}

impl Default for PortPolicy {
    fn default() -> Self {
        Self {
            flood: FloodConfig::default(),
            isolated: false,
            fastleave: false,
            storm_limit: FloodConfig::STORM_LIMIT,
        }
    }
}

/// A change of what may be changed of a port while frames pass: what is `None` stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortTuning {
    /// Frames to unknown addresses are flooded to it.
    pub unicast: Option<bool>,
    /// Frames to groups are flooded to it.
    pub multicast: Option<bool>,
    /// Frames to everybody are flooded to it.
    pub broadcast: Option<bool>,
    /// It is isolated.
    pub isolated: Option<bool>,
    /// Who leaves a multicast group there is taken for the last who listened to it.
    pub fastleave: Option<bool>,
    /// Frames a second from it that are flooded, 0 for no limit.
    pub storm_limit: Option<u32>,
    /// The VLANs, of a trunk.
    pub trunk: TrunkTuning,
}

impl PortTuning {
    /// The policy that becomes of another.
    #[must_use]
    pub fn of(&self, policy: PortPolicy) -> PortPolicy {
        let flood = policy.flood;
        PortPolicy {
            flood: FloodConfig {
                unicast: self.unicast.unwrap_or(flood.unicast),
                multicast: self.multicast.unwrap_or(flood.multicast),
                broadcast: self.broadcast.unwrap_or(flood.broadcast),
            },
            isolated: self.isolated.unwrap_or(policy.isolated),
            fastleave: self.fastleave.unwrap_or(policy.fastleave),
            storm_limit: self.storm_limit.unwrap_or(policy.storm_limit),
        }
    }
}

impl From<PortPolicy> for PortTuning {
    fn from(policy: PortPolicy) -> Self {
        Self {
            unicast: Some(policy.flood.unicast),
            multicast: Some(policy.flood.multicast),
            broadcast: Some(policy.flood.broadcast),
            isolated: Some(policy.isolated),
            fastleave: Some(policy.fastleave),
            storm_limit: Some(policy.storm_limit),
            trunk: TrunkTuning::default(),
        }
    }
}

/// Which kinds of frames without a single receiver are flooded; all by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FloodConfig {
    /// To addresses that no forwarding entry has.
    pub unicast: bool,
    /// To groups.
    pub multicast: bool,
    /// To everybody.
    pub broadcast: bool,
}

impl FloodConfig {
    /// Frames a second that are flooded of one port or remote unless it says otherwise: far more than address resolution
    /// and discovery of a whole rack need, and with copies to a dozen receivers still a fraction of what a worker sends.
    pub const STORM_LIMIT: u32 = 100_000;
}

impl Default for FloodConfig {
    fn default() -> Self {
        Self { unicast: true, multicast: true, broadcast: true }
    }
}
