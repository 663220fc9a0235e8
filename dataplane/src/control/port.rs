//! Opening and closing of ports: a device becomes a port when its XDP program is attached and each of its queues has a
//! socket in the hands of a worker.

use forward::ids::PortId;
use xsk::{Device, DeviceConfig, LinkMode, Memory, Mode, Pages, Role, Socket, StatisticsReader, Steering};

use crate::config::{ModeWish, PortConfig, PortRole, XdpMode};
use crate::fleet::Fleet;
use crate::underlay::Link;
use crate::worker::{Queue, QueueParts};

/// Chunks of the UMEM that a zero-copy queue has to itself.
const OWN_CHUNKS: u32 = 4096;

/// A port with its device.
pub(super) struct OpenPort {
    /// Its index.
    pub(super) id: PortId,
    /// What it was opened from.
    pub(super) config: PortConfig,
    /// The device's index; another device of the same name is another device.
    pub(super) ifindex: u32,
    /// The mode obtained.
    pub(super) mode: Mode,
    /// The pages that its frames lie on.
    pub(super) pages: Pages,
    /// Chunks that a frame may have; 1 where jumbo memory is off or the host has no multi-buffer AF_XDP.
    pub(super) segments: u32,
    /// What is less than asked for.
    pub(super) degraded: Vec<String>,
    /// The device at the other end at which NAPI was turned on, or why it could not be.
    pub(super) napi: Option<Result<String, String>>,
    /// Whether VLAN tags are surely in the frames that come in, or why not; not yet known at first, nor of an uplink.
    pub(super) tags: Option<Result<(), String>>,
    /// Its queues.
    pub(super) queues: Vec<OpenQueue>,
    attachment: Option<xsk::Attachment>,
}

/// A queue of an open port.
pub(super) struct OpenQueue {
    /// Its number.
    pub(super) index: u32,
    /// The worker that has it.
    pub(super) worker: u16,
    /// Reads the socket's statistics.
    pub(super) statistics: StatisticsReader,
}

/// What frame memory there is for a port.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Descriptors that each fill ring is to hold.
    pub(super) fill: u32,
    /// Whether frames may take several chunks.
    pub(super) segments: bool,
}

/// A port could not be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// The host refused.
    #[error("port {port}: {source}")]
    Host {
        /// The port.
        port: String,
        /// What it said.
        source: xsk::Error,
    },
    /// More queues were asked for than there are.
    #[error(
        "port {port}: `queues = {wanted}`, but {device} has {present}; add queues with `ethtool -L {device}` or lower the key"
    )]
    Queues {
        /// The port.
        port: String,
        /// Its device.
        device: String,
        /// As configured.
        wanted: u32,
        /// As the device has.
        present: u32,
    },
}

impl From<Mode> for XdpMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Generic => Self::Generic,
            Mode::Native => Self::Native,
            Mode::ZeroCopy => Self::ZeroCopy,
        }
    }
}

const fn mode(mode: XdpMode) -> Mode {
    match mode {
        XdpMode::Generic => Mode::Generic,
        XdpMode::Native => Mode::Native,
        XdpMode::ZeroCopy => Mode::ZeroCopy,
    }
}

/// The best mode to try and the least to accept.
fn ladder(config: &PortConfig) -> (Mode, Mode) {
    let (best, least) = match config.mode {
        ModeWish::Auto => (Mode::ZeroCopy, Mode::Generic),
        ModeWish::Only(only) => (mode(only), mode(only)),
    };
    (best, config.require.map_or(least, |required| least.max(mode(required))))
}

impl OpenPort {
    /// Attaches the program, opens the sockets and gives the queues to the workers with the fewest, by `load`.
    ///
    /// # Errors
    /// [`OpenError`]; nothing of the attempt is left.
    pub(super) fn open(
        steering: &Steering,
        fleet: &Fleet,
        id: PortId,
        config: &PortConfig,
        link: &Link,
        room: Room,
        load: &mut [usize],
    ) -> Result<Self, OpenError> {
        let host = |source| OpenError::Host { port: config.name.clone(), source };
        let present = xsk::receive_queues(link.ifindex).map_err(host)?;
        let wanted = config.queues.unwrap_or(present);
        if wanted > present {
            let (port, device) = (config.name.clone(), config.device.clone());
            return Err(OpenError::Queues { port, device, wanted, present });
        }
        let (best, least) = ladder(config);
        let device_config = DeviceConfig {
            slot: id.0,
            ifindex: link.ifindex,
            role: match config.role {
                PortRole::Uplink => Role::Uplink,
                PortRole::Access { .. } | PortRole::Trunk(_) => Role::Access,
            },
            queues: wanted,
            ring_size: config.ring_size,
            segments: room.segments,
            best,
            least,
            own_chunks: (OWN_CHUNKS * wanted).next_power_of_two(),
            own_memory: Memory::LargestPages,
        };
        let device = Device::open(steering, &device_config).map_err(host)?;
        let mut degraded: Vec<String> =
            device.refused.iter().map(|refusal| refusal.error.to_string()).collect();
        if wanted < present {
            degraded.push(format!("{wanted} of {present} queues are served; frames of the others are lost"));
        }
        if device.mode == Mode::Generic && device.attachment.mode() == LinkMode::Generic {
            degraded.push("generic XDP: every frame is copied by the kernel's slow path".to_owned());
        }
        let pages = device.own.as_ref().map_or_else(|| steering.umem().pages(), |(umem, _)| umem.pages());
        let segments = device.sockets.iter().map(Socket::segments).min().unwrap_or(1);
        let mut shares = own_shares(device.own.map(|(_, chunks)| chunks), wanted as usize);
        let mut queues = Vec::new();
        for (index, socket) in (0u32..).zip(device.sockets) {
            let statistics = socket.statistics_reader();
            let worker = least_loaded(load);
            let queue =
                Queue::new(id, index, socket, shares.pop().flatten(), room.fill.min(config.ring_size));
            fleet.add(worker, queue);
            queues.push(OpenQueue { index, worker, statistics });
        }
        let (ifindex, config) = (link.ifindex, config.clone());
        Ok(Self {
            id,
            config,
            ifindex,
            mode: device.mode,
            pages,
            segments,
            degraded,
            napi: None,
            tags: None,
            queues,
            attachment: Some(device.attachment),
        })
    }

    /// Gives the attachment away: no frame comes in once it is dropped.
    pub(super) fn detach(mut self) -> (Option<xsk::Attachment>, Self) {
        (self.attachment.take(), self)
    }

    /// Detaches the program, waits until the workers have worked off what was received, and closes the sockets.
    pub(super) fn close(self, fleet: &Fleet) {
        drop(self.attachment);
        for queue in self.queues {
            if let Some(queue) = fleet.remove(queue.worker, self.id, queue.index) {
                let QueueParts { socket, private } = queue.into_parts();
                let chunks = socket.close();
                // The UMEM of a zero-copy port goes with its last socket.
                if private.is_none() {
                    fleet.give_chunks(chunks);
                }
            } else {
                tracing::error!(
                    port = self.config.name,
                    queue = queue.index,
                    worker = queue.worker,
                    "the worker does not give the queue back; its chunks are lost"
                );
            }
        }
    }
}

/// The private chunks of each queue, or none.
fn own_shares(chunks: Option<Vec<xsk::Chunk>>, queues: usize) -> Vec<Option<Vec<xsk::Chunk>>> {
    let Some(mut chunks) = chunks else { return (0..queues).map(|_| None).collect() };
    let share = chunks.len() / queues.max(1);
    (0..queues).map(|_| Some(chunks.split_off(chunks.len() - share))).collect()
}

/// The worker with the fewest queues, which then has one more.
fn least_loaded(load: &mut [usize]) -> u16 {
    let Some((worker, queues)) = load.iter_mut().enumerate().min_by_key(|(_, queues)| **queues) else {
        return 0;
    };
    *queues += 1;
    u16::try_from(worker).unwrap_or_default()
}
