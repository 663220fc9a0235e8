//! What can be known to be wrong, or to need doing, from the configuration alone. No device is looked at, nothing is
//! opened: the same checks serve a file, the difference of two files and a request for a change.
//!
//! [`validate`] judges a whole configuration and finds every fault, [`Config::apply`] makes one change or refuses it,
//! [`diff`] says which changes lead from one configuration to another.

mod apply;
mod daemon;
mod diff;
mod domain;
mod entry;
mod fault;
mod group;
mod guard;
mod liveness;
mod marking;
mod memory;
mod port;
mod remote;
mod replace;
mod trunk;
mod tunnel;
mod udp;

pub use diff::{NeedsRestart, diff, restarts};
pub use fault::{Fault, Refusal, RefusalKind, Severity, Subject};
pub use memory::ChunkBudget;
pub use replace::{Checked, Difference};

use crate::config::Config;

/// Every fault of a configuration, errors and warnings, in the order of the things they are about.
#[must_use]
pub fn validate(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    daemon::check(&config.daemon, &mut faults);
    memory::check(config, &mut faults);
    daemon::check_workers(&config.workers, &mut faults);
    port::check_all(config, &mut faults);
    domain::check_all(config, &mut faults);
    remote::check_all(config, &mut faults);
    udp::check_all(config, &mut faults);
    group::check_all(config, &mut faults);
    entry::check_all(config, &mut faults);
    faults
}
