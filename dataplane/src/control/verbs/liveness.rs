//! What requests say of liveness.

use api::{LivenessItem, Refusal};

use super::arguments::whole;
use crate::config::{LivenessConfig, LivenessWish};

/// How remotes are to be asked.
pub(super) fn liveness(item: &LivenessItem) -> Result<LivenessWish, Refusal> {
    let mut config = LivenessConfig::default();
    if let Some(interval) = item.interval {
        config.interval = whole("interval", interval, 50..=60_000)?;
    }
    if let Some(multiplier) = item.multiplier {
        config.multiplier = whole("multiplier", multiplier, 1..=u8::MAX)?;
    }
    if let Some(recovery) = item.recovery {
        config.recovery = whole("recovery", recovery, 0..=1000)?;
    }
    if let Some(paths) = item.paths {
        config.paths = whole("paths", paths, 1..=64)?;
    }
    config.path_mtu = item.path_mtu.unwrap_or(config.path_mtu);
    Ok(if item.on { LivenessWish::On(config) } else { LivenessWish::Off })
}

/// How remotes are asked, in the words of the protocol; `None` if they are not.
#[must_use]
pub fn item(wish: LivenessWish) -> Option<LivenessItem> {
    let config = wish.config()?;
    Some(LivenessItem {
        on: true,
        interval: Some(config.interval.into()),
        multiplier: Some(config.multiplier.into()),
        recovery: Some(config.recovery.into()),
        paths: Some(config.paths.into()),
        path_mtu: Some(config.path_mtu),
    })
}
