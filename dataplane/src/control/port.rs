//! Opening and closing of ports: a device becomes a port when its XDP program is attached and each of its queues has a
//! socket in the hands of a worker.

use std::time::Duration;

use forward::ids::PortId;
use xsk::{
    Device, DeviceConfig, LinkMode, Memory, Mode, Pages, Role, Socket, StatisticsReader, Steering, Unsuitable,
};

use crate::config::{ModeWish, PortConfig, PortRole, XdpMode};
use crate::fleet::{Fleet, Returning};
use crate::underlay::Link;
use crate::worker::{Queue, QueueParts};

/// A zero-copy queue's own chunks, in rings: its receive and its transmit ring full, and as many in the worker's hands.
const OWN_RINGS: u32 = 3;
/// Chunks of a zero-copy port at most: 4 GiB of the larger ones.
const OWN_MOST: u32 = 1 << 20;

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
    /// Whether the device can be burst to, as it was found last; asking takes exchanges with the kernel.
    pub(super) burst: Result<(), Unsuitable>,
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
    /// Descriptors that its fill ring is to hold.
    pub(super) fill: u32,
    /// Reads the socket's statistics.
    pub(super) statistics: StatisticsReader,
}

/// What there is for a port beside what is configured.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Whether frames may take several chunks.
    pub(super) segments: bool,
    /// How long a busy queue is waited for.
    pub(super) patience: Duration,
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
    /// Attaches the program, opens the sockets and gives the queues to the workers with the fewest, by `load`. Frames may
    /// take several chunks if `room` says so. Of shared memory the queues have nothing until they are given their share.
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
            own_chunks: own_chunks(config.ring_size, wanted),
            own_memory: Memory::LargestPages,
            patience: room.patience,
        };
        let device = Device::open(steering, &device_config).map_err(host)?;
        let (lacking, refused): (Vec<_>, Vec<_>) =
            device.refused.iter().partition(|refusal| lacks_zero_copy(link.ifindex, &refusal.error));
        if !lacking.is_empty() {
            tracing::info!(port = config.name, device = config.device, mode = %device.mode, "the driver has no zero-copy");
        }
        let mut degraded: Vec<String> = refused.iter().map(|refusal| refusal.error.to_string()).collect();
        // Each queue, or each way to open it, may have been refused for the same reason.
        degraded.dedup();
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
            let private = shares.pop().flatten();
            let fill = private.as_ref().map_or(0, |own| own_fill(own.len(), config.ring_size));
            fleet.add(worker, Queue::new(id, index, socket, private, fill));
            queues.push(OpenQueue { index, worker, fill, statistics });
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
            burst: steering.probe_burst(ifindex),
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

    /// Detaches the program and asks the workers for the queues, which they give back once they have worked off what was
    /// received. Nobody is waited for yet, so that many ports take no longer than one.
    pub(super) fn leave(self, fleet: &Fleet) -> LeavingPort {
        drop(self.attachment);
        let ask = |queue: OpenQueue| {
            let returning = fleet.take_back(queue.worker, self.id, queue.index);
            (queue, returning)
        };
        let queues: Vec<_> = self.queues.into_iter().map(ask).collect();
        LeavingPort { name: self.config.name, queues: queues.into_iter() }
    }
}

/// A port whose queues the workers have been asked for.
pub(super) struct LeavingPort {
    name: String,
    queues: std::vec::IntoIter<(OpenQueue, Returning)>,
}

impl LeavingPort {
    /// Waits for all queues and closes their sockets.
    pub(super) fn close(mut self, fleet: &Fleet) {
        while self.close_next(fleet) {}
    }

    /// Waits for the next queue and closes its socket; says whether there was one.
    pub(super) fn close_next(&mut self, fleet: &Fleet) -> bool {
        let Some((OpenQueue { index, worker, .. }, returning)) = self.queues.next() else { return false };
        let Some(queue) = returning.wait() else {
            tracing::error!(
                port = self.name,
                queue = index,
                worker,
                "the worker does not give the queue back; its chunks are lost"
            );
            return true;
        };
        let QueueParts { socket, private } = queue.into_parts();
        let chunks = socket.close();
        // The UMEM of a zero-copy port goes with its last socket.
        if private.is_none() {
            fleet.give_chunks(chunks);
        }
        true
    }
}

/// Chunks of a zero-copy port's own UMEM.
fn own_chunks(ring_size: u32, queues: u32) -> u32 {
    OWN_RINGS.saturating_mul(ring_size).saturating_mul(queues).next_power_of_two().min(OWN_MOST)
}

/// Why a port is not open, and when that is tried again.
#[derive(Debug, Default)]
pub(super) struct Closed {
    /// What the host said last.
    pub(super) why: String,
    /// When it is asked again.
    pub(super) retry: Retry,
}

/// Attempts that come the more seldom the more of them have failed: each may hold control up.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Retry {
    due: u32,
    pause: u32,
}

impl Retry {
    /// Seconds between two attempts at most.
    const LONGEST: u32 = 30;

    /// Another attempt has failed.
    pub(super) fn failed(&mut self, now: u32) {
        self.pause = (self.pause * 2).clamp(1, Self::LONGEST);
        self.due = now.saturating_add(self.pause);
    }

    /// Whether it is time for another.
    pub(super) const fn is_due(self, now: u32) -> bool {
        self.due <= now
    }
}

/// Whether a refusal says no more than that the driver has no zero-copy, as most have none: whoever leaves the mode to us
/// misses nothing then. One that has it and does not give it is another matter.
fn lacks_zero_copy(ifindex: u32, refusal: &xsk::Error) -> bool {
    matches!(refusal, xsk::Error::ZeroCopyRefused { .. })
        && refusal.errno() == Some(libc::EOPNOTSUPP)
        && xsk::offers_zero_copy(ifindex) != Some(true)
}

/// The private chunks of each queue, or none.
fn own_shares(chunks: Option<Vec<xsk::Chunk>>, queues: usize) -> Vec<Option<Vec<xsk::Chunk>>> {
    let Some(mut chunks) = chunks else { return (0..queues).map(|_| None).collect() };
    let (total, share) = (chunks.len(), chunks.len() / queues.max(1));
    let mut take = || {
        // Queues of one worker give each other chunks, and none of them may have to grow on a frame's way.
        let mut pool = Vec::with_capacity(total);
        pool.extend(chunks.drain(chunks.len() - share..));
        pool
    };
    (0..queues).map(|_| Some(take())).collect()
}

/// Descriptors that the fill ring of a queue with so many chunks of its own is to hold: some are left to transmit with.
fn own_fill(chunks: usize, ring_size: u32) -> u32 {
    ring_size.min(u32::try_from(chunks / 4 * 3).unwrap_or(u32::MAX))
}

/// The worker with the fewest queues, which then has one more.
pub(super) fn least_loaded(load: &mut [usize]) -> u16 {
    let Some((worker, queues)) = load.iter_mut().enumerate().min_by_key(|(_, queues)| **queues) else {
        return 0;
    };
    *queues += 1;
    u16::try_from(worker).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_copy_queue_has_chunks_left_to_transmit_with() {
        for ring_size in [64, 2048, 4096, 16_384] {
            for queues in [1, 3, 16] {
                let own = own_chunks(ring_size, queues);
                let share = own / queues;
                let fill = own_fill(share as usize, ring_size);
                assert!(
                    own.is_power_of_two() && fill == ring_size && share - fill >= ring_size,
                    "{ring_size}"
                );
            }
        }
        assert_eq!(own_chunks(16_384, 64), OWN_MOST);
        assert_eq!(own_fill(16_384, 16_384), 12_288);
    }

    #[test]
    fn what_fails_again_and_again_is_tried_ever_more_seldom() {
        let mut retry = Retry::default();
        assert!(retry.is_due(0));
        let mut failed = |now| {
            retry.failed(now);
            (now..).find(|now| retry.is_due(*now)).unwrap() - now
        };
        let pauses: Vec<u32> = (100..108).map(&mut failed).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    }
}
