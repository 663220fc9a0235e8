//! A device with all its queues: the ladder of modes, from zero-copy down to generic.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Attachment, Chunk, Error, LinkMode, Memory, Role, Socket, SocketConfig, Steering, Umem, UmemConfig,
};

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
    /// How many of its queues, from 0; [`crate::receive_queues`] says how many there are.
    pub queues: u32,
    /// [`crate::SocketConfig::ring_size`].
    pub ring_size: u32,
    /// [`crate::SocketConfig::segments`].
    pub segments: bool,
    /// The best mode to try.
    pub best: Mode,
    /// The worst mode to accept.
    pub least: Mode,
    /// Chunks of its own memory, if it becomes zero-copy: a power of two.
    pub own_chunks: u32,
    /// What that memory lives in.
    pub own_memory: Memory,
    /// [`crate::SocketConfig::patience`].
    pub patience: Duration,
}

/// A mode that was tried and refused.
#[derive(Debug)]
pub struct Refusal {
    /// The mode.
    pub mode: Mode,
    /// Why.
    pub error: Error,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.mode, self.error)
    }
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
        let mut refused = Vec::new();
        for mode in [Mode::ZeroCopy, Mode::Native, Mode::Generic] {
            if !(config.least..=config.best).contains(&mode) {
                continue;
            }
            match attempt(steering, config, mode) {
                Ok(device) => return Ok(Self { refused, ..device }),
                Err(error) if depends_on_mode(&error) => refused.push(Refusal { mode, error }),
                Err(error) => return Err(error),
            }
        }
        let none =
            || Error::Configuration(format!("no mode lies between {} and {}", config.least, config.best));
        Err(refused.pop().map_or_else(none, |refusal| refusal.error))
    }
}

/// Opens a device in one mode. What was done is undone on failure, by drop.
fn attempt(steering: &Steering, config: &DeviceConfig, mode: Mode) -> Result<Device, Error> {
    let link = if mode == Mode::Generic { LinkMode::Generic } else { LinkMode::Native };
    let zero_copy = mode == Mode::ZeroCopy;
    let own = zero_copy
        .then(|| {
            let chunk_size = steering.umem().chunk_size();
            Umem::new(&UmemConfig { chunks: config.own_chunks, chunk_size, memory: config.own_memory })
        })
        .transpose()?;
    let umem = own.as_ref().map_or_else(|| steering.umem(), |(umem, _)| umem);
    let attachment = steering.attach(config.slot, config.ifindex, config.role, link)?;
    let DeviceConfig { slot, ifindex, ring_size, segments, patience, .. } = *config;
    let mut sockets = Vec::new();
    let opened = (0..config.queues).try_for_each(|queue| {
        let socket_config = SocketConfig { ifindex, queue, ring_size, zero_copy, segments, link, patience };
        let socket = Socket::open(umem, &socket_config)?;
        let steered = steering.set_socket(slot, queue, socket.as_fd());
        sockets.push(socket);
        steered
    });
    if let Err(error) = opened {
        // Closed rather than dropped: their identities in the ledger are for others.
        let _none_yet: Vec<Chunk> = sockets.into_iter().flat_map(Socket::close).collect();
        return Err(error);
    }
    Ok(Device { attachment, sockets, mode, refused: Vec::new(), own })
}

/// Whether another mode might succeed where this error came.
fn depends_on_mode(error: &Error) -> bool {
    matches!(error, Error::ZeroCopyRefused { .. } | Error::AttachRefused { .. } | Error::Memory { .. })
}
