//! How peers are asked whether they are there.

use std::time::Duration;

/// What is asked of a peer, and when it is believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LivenessConfig {
    /// Milliseconds between two packets while the peer answers, 50 to 60000; 300 by default.
    pub interval: u32,
    /// Packets that may be lost in sequence before the peer counts as lost, 1 to 255; 3 by default.
    pub multiplier: u8,
    /// Packets that must come, no two lost in sequence, before a lost peer is used again, 0 to 1000; 10 by default.
    pub recovery: u16,
    /// Source ports that are tried in turn, 1 to 64; 8 by default.
    pub paths: u8,
    /// Whether the path MTU is measured; true by default.
    pub path_mtu: bool,
}

impl LivenessConfig {
    /// Echo packets of peers are looped back as often as they come.
    pub const ECHO: Duration = Duration::from_millis(10);

    /// The interval as a duration.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        Duration::from_millis(self.interval as u64)
    }
}

impl Default for LivenessConfig {
    fn default() -> Self {
        Self { interval: 300, multiplier: 3, recovery: 10, paths: 8, path_mtu: true }
    }
}

/// Whether peers are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LivenessWish {
    /// They are not, and count as there.
    #[default]
    Off,
    /// They are, like this.
    On(LivenessConfig),
}

impl LivenessWish {
    /// How, if at all.
    #[must_use]
    pub const fn config(self) -> Option<LivenessConfig> {
        match self {
            Self::Off => None,
            Self::On(config) => Some(config),
        }
    }
}
