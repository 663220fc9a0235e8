//! What the commands about VNIs and remotes say of liveness.

use api::LivenessItem;

use crate::words::{Given, Usage};

pub(super) const ON: (&str, &str) = ("liveness", "on|off");
pub(super) const INTERVAL: (&str, &str) = ("interval", "MS");
pub(super) const MULTIPLIER: (&str, &str) = ("multiplier", "N");
pub(super) const RECOVERY: (&str, &str) = ("recovery", "N");
pub(super) const PATHS: (&str, &str) = ("paths", "N");
pub(super) const PATH_MTU: (&str, &str) = ("path-mtu", "on|off");

/// How remotes are to be asked; nothing if nothing is said of it. Whoever says how wants it on.
pub(super) fn item(given: &Given) -> Result<Option<LivenessItem>, Usage> {
    let item = LivenessItem {
        on: given.switch("liveness")?.unwrap_or(true),
        interval: given.number_in("interval", 50..=60_000)?,
        multiplier: given.number_in("multiplier", 1..=u8::MAX.into())?,
        recovery: given.number("recovery", 1000)?,
        paths: given.number_in("paths", 1..=64)?,
        path_mtu: given.switch("path-mtu")?,
    };
    let keywords = [ON, INTERVAL, MULTIPLIER, RECOVERY, PATHS, PATH_MTU];
    Ok(keywords.iter().any(|(word, _)| given.text(word).is_some()).then_some(item))
}
