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
    #[error("{operation}: not permitted; the process needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF")]
    Privilege {
        /// What was tried.
        operation: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// No such device, or no longer.
    #[error("device {device}: {operation}: no such device")]
    DeviceMissing {
        /// Name and index, or the index alone.
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
    #[error("queue {queue} of {device} is in use by another AF_XDP socket")]
    QueueBusy {
        /// Its name.
        device: String,
        /// The queue.
        queue: u32,
    },
    /// The device cannot do zero-copy.
    #[error("queue {queue} of {device}: zero-copy refused: {source}")]
    ZeroCopyRefused {
        /// Its name.
        device: String,
        /// The queue.
        queue: u32,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A socket operation failed.
    #[error("queue {queue} of {device}: {operation}: {source}")]
    Socket {
        /// Its name.
        device: String,
        /// The queue.
        queue: u32,
        /// What was tried.
        operation: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Frame memory could not be had or registered.
    #[error("{operation} for {bytes} bytes of frame memory: {source}; {remedy}")]
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
        "device {device} already has an XDP program; it is left alone; see `ip link show {device}` \
         and detach it with `ip link set {device} xdp off` or by ending its owner"
    )]
    ProgramPresent {
        /// Its name.
        device: String,
    },
    /// The driver refused the program.
    #[error("device {device}: {mode:?} XDP refused: {source}{remedy}")]
    AttachRefused {
        /// Its name.
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
    #[error("burst transmit: {0}")]
    Burst(#[source] io::Error),
}
