//! What requests say of liveness.

use api::{LivenessItem, Refusal};

use super::arguments::whole;
use crate::config::{LivenessConfig, LivenessWish};

/// How remotes are to be asked.
pub(super) fn liveness(item: &LivenessItem) -> Result<LivenessWish, Refusal> {
    let LivenessItem { on, interval, multiplier, recovery, paths, path_mtu } = item;
    let numbers = [interval, multiplier, recovery, paths];
    if !on && (path_mtu.is_some() || numbers.iter().any(|number| number.is_some())) {
        // Whoever says how wants it on, or has forgotten that it would be lost.
        let what = "liveness is off, and yet it is said how remotes are to be asked";
        return Err(Refusal::argument("liveness", what, "turn it on, or leave the rest away"));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_remotes_are_asked_is_not_said_of_those_that_are_not() {
        let off = LivenessItem {
            on: false,
            interval: None,
            multiplier: None,
            recovery: None,
            paths: None,
            path_mtu: None,
        };
        assert_eq!(liveness(&off), Ok(LivenessWish::Off));
        let wrong = [
            LivenessItem { paths: Some(3), ..off.clone() },
            LivenessItem { interval: Some(300), ..off.clone() },
            LivenessItem { path_mtu: Some(false), ..off.clone() },
        ];
        for item in wrong {
            let refusal = liveness(&item).unwrap_err();
            assert_eq!(refusal.argument.as_deref(), Some("liveness"));
            assert_eq!(refusal.remedy, "turn it on, or leave the rest away");
            assert!(liveness(&LivenessItem { on: true, ..item }).is_ok());
        }
    }
}
