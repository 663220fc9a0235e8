//! What the host can refuse, with the remedy where there is one.

use std::io;

use crate::LinkMode;

/// A refusal by the host. Names what was asked for and keeps the kernel's reason as its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value that is not allowed.
    #[error("{0}")]
    Configuration(String),
    /// A privilege is missing.
    #[error(
        "{operation}: not permitted; the process needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON (root has them; \
         a container's user namespace does not give them, and its seccomp filter must let bpf(2) pass)"
    )]
    Privilege {
        /// What was tried.
        operation: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// No such device, or no longer.
    #[error("device {device}: {operation}: no such device")]
    DeviceMissing {
        /// Its name, or its index in words.
        device: String,
        /// What was tried.
        operation: &'static str,
    },
    /// The device is down.
    #[error("device {device}: {operation}: the device is down; `ip link set {device} up`")]
    DeviceDown {
        /// Its name.
        device: String,
        /// What was tried.
        operation: &'static str,
    },
    /// Another socket holds the queue.
    #[error("queue {queue} of {device} is in use by another AF_XDP socket; end the process that holds it")]
    QueueBusy {
        /// The device's name.
        device: String,
        /// The queue.
        queue: u32,
    },
    /// The device cannot do zero-copy.
    #[error("queue {queue} of {device}: zero-copy refused: {source}")]
    ZeroCopyRefused {
        /// The device's name.
        device: String,
        /// The queue.
        queue: u32,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A socket operation failed.
    #[error("queue {queue} of {device}: {operation}: {source}")]
    Socket {
        /// The device's name.
        device: String,
        /// The queue.
        queue: u32,
        /// What was tried.
        operation: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Frame memory could not be had or registered.
    #[error("{operation} of {bytes} bytes of frame memory: {source}; {remedy}")]
    Memory {
        /// What was tried.
        operation: &'static str,
        /// How much was asked for.
        bytes: u64,
        /// The kernel's reason.
        source: io::Error,
        /// What helps.
        remedy: &'static str,
    },
    /// The device already has an XDP program that is not ours.
    #[error(
        "device {device} already has an XDP program (id {id}), which is left alone; see `bpftool net` and \
         `ip link show {device}`, and end its owner or detach it with `ip link set {device} xdp off`"
    )]
    ProgramPresent {
        /// The device's name.
        device: String,
        /// The program's identifier.
        id: u32,
    },
    /// The device or its driver refused the program.
    #[error("device {device}: {mode} XDP refused: {source}{remedy}")]
    AttachRefused {
        /// The device's name.
        device: String,
        /// How it was to be attached.
        mode: LinkMode,
        /// The kernel's reason.
        source: io::Error,
        /// What helps, after "; ", or nothing.
        remedy: &'static str,
    },
    /// The program could not be loaded.
    #[error("the XDP program could not be loaded: {0}")]
    Program(String),
    /// A map could not be read or written.
    #[error("map {map} of the XDP program: {reason}")]
    Map {
        /// Its name.
        map: &'static str,
        /// Why.
        reason: String,
    },
    /// The kernel cannot do what burst transmit needs.
    #[error("burst transmit is not possible: {0}")]
    BurstUnsupported(String),
    /// A burst was refused.
    #[error("the kernel refuses BPF_PROG_RUN: {source}{remedy}", source = .0, remedy = run_remedy(.0))]
    Burst(#[source] io::Error),
}

impl Error {
    /// The kernel's error number, where it gave one.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        errno(self)
    }
}

/// What helps against the refusal of a live-frame run, after "; ", or nothing.
fn run_remedy(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "; the process needs CAP_NET_ADMIN and CAP_BPF, and a seccomp filter must let bpf(2) pass"
        }
        Some(libc::ENOMEM) => "; the system or the process's memory cgroup has no memory to spare",
        _ => "",
    }
}

/// The error number at the root of an error, however deeply wrapped.
pub(crate) fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error)
}

/// An error and its sources in one line.
pub(crate) fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for source in std::iter::successors(error.source(), |error| error.source()) {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
    }
    text
}
