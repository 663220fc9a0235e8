//! What can be refused, with the remedy where there is one.

use std::io;

/// A refusal: by the host, or of a value that makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Traffic that cannot be generated.
    #[error("traffic: {0}")]
    Traffic(String),
    /// A rate that is no rate.
    #[error("rate {0}: give frames per second, 0 or more")]
    Rate(f64),
    /// A network namespace cannot be entered.
    #[error("network namespace {name}: {operation}: {source}; `ip netns` lists them")]
    Namespace {
        /// Its name.
        name: String,
        /// What was tried.
        operation: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A device does not do what is asked of it.
    #[error("device {device}: {operation}: {reason}")]
    Device {
        /// Its name, with that of its namespace.
        device: String,
        /// What was tried.
        operation: &'static str,
        /// Why not, and what helps.
        reason: String,
    },
    /// The thread cannot be bound to a CPU.
    #[error("CPU {cpu}: {source}; `nproc --all` says how many there are")]
    Cpu {
        /// The CPU.
        cpu: usize,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A BPF program cannot be loaded or attached.
    #[error("BPF program {name}: {operation}: {reason}")]
    Program {
        /// Its name.
        name: &'static str,
        /// What was tried.
        operation: &'static str,
        /// Why not.
        reason: String,
    },
    /// A BPF map cannot be read or written.
    #[error("BPF map {map}: {reason}")]
    Map {
        /// Its name.
        map: &'static str,
        /// Why not.
        reason: String,
    },
    /// The frames do not fit into a live frame.
    #[error(
        "frames of {bytes} bytes with all headers are too long: the kernel's live frames hold some 3400 bytes"
    )]
    TooLong {
        /// Their length.
        bytes: usize,
    },
    /// The kernel does not run the generator.
    #[error("generating frames: {0}; Linux 5.18 or later and root's privileges are needed")]
    Run(#[source] io::Error),
    /// The generator's thread has ended.
    #[error("the generator has stopped")]
    Stopped,
}

/// An error and its sources in one line.
pub(super) fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for source in std::iter::successors(error.source(), |error| error.source()) {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
    }
    text
}

/// The error number at the root of an error, however deeply wrapped.
pub(super) fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error)
}
