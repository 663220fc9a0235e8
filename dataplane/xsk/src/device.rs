//! A device with all its queues: the ladder of modes, from zero-copy down to generic.

use std::fmt;
use std::sync::Arc;

use crate::{Attachment, Chunk, Error, Memory, Role, Socket, Steering, Umem};

/// How frames get between device and sockets. Ordered: better is greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// Program in the generic path, frames copied.
    Generic,
    /// Program in the driver, frames copied.
    Native,
    /// Program in the driver, which reads and writes the frame memory itself.
    ZeroCopy,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Generic => "generic",
            Self::Native => "native",
            Self::ZeroCopy => "zerocopy",
        })
    }
}

/// How to open a device.
#[derive(Clone, Debug)]
pub struct DeviceConfig {
    /// The port that it becomes, below [`crate::MAX_PORTS`].
    pub slot: u16,
    /// The device.
    pub ifindex: u32,
    /// What it faces.
    pub role: Role,
    /// How many of its queues, from 0; [`receive_queues`] says how many there are.
    pub queues: u32,
    /// [`crate::SocketConfig::ring_size`].
    pub ring_size: u32,
    /// The best mode to try.
    pub best: Mode,
    /// The worst mode to accept.
    pub least: Mode,
    /// Chunks of its own memory, if it becomes zero-copy: a power of two.
    pub own_chunks: u32,
    /// What that memory lives in.
    pub own_memory: Memory,
}

/// A mode that was tried and refused.
#[derive(Debug)]
pub struct Refusal {
    /// The mode.
    pub mode: Mode,
    /// Why.
    pub error: Error,
}

/// An open device: program attached, one socket per queue, steered.
pub struct Device {
    /// Holds the program on the device.
    pub attachment: Attachment,
    /// One per queue, in order. Their fill rings are empty yet.
    pub sockets: Vec<Socket>,
    /// The mode really obtained.
    pub mode: Mode,
    /// Better modes that were tried, best first, and why they were refused.
    pub refused: Vec<Refusal>,
    /// The memory of a zero-copy device and all its chunks; others use the shared memory.
    pub own: Option<(Arc<Umem>, Vec<Chunk>)>,
}

impl Device {
    /// Tries the modes from `best` down to `least`, each from a clean state, and opens the device in the first that it
    /// takes.
    ///
    /// # Errors
    ///
    /// The refusal of the last mode tried. Refusals that no other mode would change (no such device, no privilege,
    /// another program, a busy queue) end the attempt at once.
    pub fn open(steering: &Steering, config: &DeviceConfig) -> Result<Self, Error> {
        let _ = (steering, config);
        unimplemented!()
    }
}

/// Receive queues of a device: as many sockets cover it.
///
/// # Errors
///
/// [`Error::DeviceMissing`].
pub fn receive_queues(ifindex: u32) -> Result<u32, Error> {
    let _ = ifindex;
    unimplemented!()
}

/// Frames that a device took for transmission and dropped, by its own count (for a veth: its peer's ring was full).
///
/// # Errors
///
/// [`Error::DeviceMissing`].
pub fn transmit_dropped(ifindex: u32) -> Result<u64, Error> {
    let _ = ifindex;
    unimplemented!()
}
