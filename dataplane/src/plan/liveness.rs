//! Checks of how peers are asked whether they are there.

use super::fault::{Fault, Subject};
use crate::config::LivenessWish;

/// The least interval, in milliseconds: control has other things to do that take as long.
const LEAST_INTERVAL: u32 = 50;
/// The most; with more a lost peer would be noticed after minutes.
const MOST_INTERVAL: u32 = 60_000;
/// The most packets to wait for before a lost peer is used again.
const MOST_RECOVERY: u16 = 1000;
/// The most source ports.
const MOST_PATHS: u8 = 64;

/// Checks what a VNI or a remote says.
pub(super) fn check(wish: LivenessWish, subject: &Subject, faults: &mut Vec<Fault>) {
    let LivenessWish::On(config) = wish else { return };
    let mut fault = |what: String, remedy: String| {
        faults.push(Fault::invalid(subject.clone(), "liveness", what, remedy));
    };
    if !(LEAST_INTERVAL..=MOST_INTERVAL).contains(&config.interval) {
        fault(
            format!("{subject} cannot be asked every {} ms whether it is there", config.interval),
            format!("use an interval from {LEAST_INTERVAL}ms to 1m, such as 300ms"),
        );
    }
    if config.multiplier == 0 {
        let what = format!("{subject} cannot be lost before a packet is: its multiplier is 0");
        fault(what, "use a multiplier from 1 to 255, such as 3".to_owned());
    }
    if config.recovery > MOST_RECOVERY {
        fault(
            format!("{subject} would have to answer {} times before it is used again", config.recovery),
            format!("use a recovery from 0 to {MOST_RECOVERY}, such as 10"),
        );
    }
    if config.paths == 0 || config.paths > MOST_PATHS {
        fault(
            format!("{subject} cannot be asked on {} paths", config.paths),
            format!("use a number from 1 to {MOST_PATHS}, such as 8"),
        );
    }
}
