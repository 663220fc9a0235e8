//! What a worker has seen and done, in numbers. One [`Counters`] per worker, written by that worker alone with relaxed
//! loads and stores (no locked instruction), read by control whenever it likes.
//!
//! Every frame that comes in or comes into being goes somewhere, and the counters show it:
//!
//! ```text
//! rx + copies = tx + drops + in flight
//! ```
//!
//! summed over all ports of all workers. `rx` counts what a port received and `tx` what a port took for transmission.
//! `copies` counts the further receivers of a flooded frame, whether or not a chunk was there for each: flooding one
//! frame to *n* receivers is one `rx` and *n* - 1 `copies`, and each of the *n* is then one `tx` or one drop (a
//! receiver without a chunk is `NO_CHUNK`, a remote without a next hop `NEIGHBOUR_UNRESOLVED`, and so on). A frame
//! that is answered by the ARP proxy is one `rx` and one `tx`. Each fragment of a packet but the last is a copy, and so is
//! what tells a sender that its packet, which is dropped, was too big. In flight is what waits in a ring between workers or in
//! the hands of the link. The pipeline counts `rx`, `copies` and its own drops at the ingress port; the link counts
//! `tx` and its own drops at the egress port.
//!
//! Numbers are of the life of the process: an index that is given to something else goes on counting, and the reader
//! subtracts what was there before.

use std::ops::{Add, AddAssign};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::{DomainId, PortId, RemoteId};
use crate::limits::{MAX_DOMAINS, MAX_PORTS, MAX_REMOTES};
use crate::verdict::DropReason;

/// Cells of a port before the drop reasons.
const RX_FRAMES: usize = 0;
const RX_BYTES: usize = 1;
const TX_FRAMES: usize = 2;
const TX_BYTES: usize = 3;
const COPIES: usize = 4;
const PROXIED: usize = 5;
const UNLEARNED: usize = 6;
const FRAGMENTED: usize = 7;
const TOO_BIG_TOLD: usize = 8;
const DROPS: usize = 9;
const PORT_CELLS: usize = DROPS + DropReason::COUNT;
/// Cells of a domain or remote: received frames and bytes, transmitted frames and bytes.
const TRAFFIC_CELLS: usize = 4;

type PortCells = [AtomicU64; PORT_CELLS];
type TrafficCells = [AtomicU64; TRAFFIC_CELLS];

/// The counters of one worker.
///
/// Room for every possible index is reserved at once; the pages of indices never used are never touched and so take
/// no memory.
#[derive(Debug)]
pub struct Counters {
    ports: Box<[PortCells]>,
    domains: Box<[TrafficCells]>,
    remotes: Box<[TrafficCells]>,
}

/// Adds as the only writer of a cell may: without a locked instruction.
#[inline]
fn add(cell: &AtomicU64, amount: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

#[inline]
fn add_traffic(cells: &TrafficCells, Traffic { received, transmitted }: Traffic) {
    let [rx_frames, rx_bytes, tx_frames, tx_bytes] = cells;
    // Frames of a batch go one way, as a rule.
    for (frames, bytes, amount) in [(rx_frames, rx_bytes, received), (tx_frames, tx_bytes, transmitted)] {
        if amount.frames != 0 {
            add(frames, amount.frames);
            add(bytes, amount.bytes);
        }
    }
}

impl Counters {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        Self {
            ports: bytemuck::zeroed_slice_box(MAX_PORTS),
            domains: bytemuck::zeroed_slice_box(MAX_DOMAINS),
            remotes: bytemuck::zeroed_slice_box(MAX_REMOTES),
        }
    }

    fn add_port(&self, port: PortId, cell: usize, amount: u64) {
        if let Some(cell) = self.ports.get(usize::from(port.0)).and_then(|cells| cells.get(cell)) {
            add(cell, amount);
        }
    }

    /// Frames came in at a port. The pipeline's.
    pub fn received(&self, port: PortId, amount: Amount) {
        self.add_port(port, RX_FRAMES, amount.frames);
        self.add_port(port, RX_BYTES, amount.bytes);
    }

    /// A port took frames for transmission. The link's.
    pub fn transmitted(&self, port: PortId, amount: Amount) {
        self.add_port(port, TX_FRAMES, amount.frames);
        self.add_port(port, TX_BYTES, amount.bytes);
    }

    /// Flooding made this many receivers more than there were frames. The pipeline's.
    pub fn copied(&self, ingress: PortId, copies: u64) {
        self.add_port(ingress, COPIES, copies);
    }

    /// ARP requests from this port were answered. The pipeline's.
    pub fn proxied(&self, ingress: PortId, answers: u64) {
        self.add_port(ingress, PROXIED, answers);
    }

    /// Source addresses seen at this port could not be learned, because the forwarding database or the share of the
    /// port or domain is full. The frames were forwarded all the same. The pipeline's.
    pub fn unlearned(&self, ingress: PortId, frames: u64) {
        self.add_port(ingress, UNLEARNED, frames);
    }

    /// Packets from this port were cut into fragments. The pipeline's.
    pub fn fragmented(&self, ingress: PortId, packets: u64) {
        self.add_port(ingress, FRAGMENTED, packets);
    }

    /// Senders behind this port were told that a packet was too big. The pipeline's.
    pub fn too_big_told(&self, ingress: PortId, errors: u64) {
        self.add_port(ingress, TOO_BIG_TOLD, errors);
    }

    /// Frames went nowhere: at the ingress port by the pipeline, at the egress port by the link.
    pub fn dropped(&self, port: PortId, reason: DropReason, frames: u64) {
        self.add_port(port, DROPS + reason.index(), frames);
    }

    /// Frames came into a domain, and left it, for its ports and remotes.
    pub fn add_domain(&self, domain: DomainId, traffic: Traffic) {
        if let Some(cells) = self.domains.get(usize::from(domain.0)) {
            add_traffic(cells, traffic);
        }
    }

    /// A frame came from a remote; `bytes` are those of the inner frame, as they are of [`Counters::sent_to`].
    #[inline]
    pub fn received_from(&self, remote: RemoteId, bytes: u16) {
        if let Some([frames, sum, _, _]) = self.remotes.get(remote.0 as usize) {
            add(frames, 1);
            add(sum, bytes.into());
        }
    }

    /// A frame was encapsulated for a remote.
    #[inline]
    pub fn sent_to(&self, remote: RemoteId, bytes: u16) {
        if let Some([_, _, frames, sum]) = self.remotes.get(remote.0 as usize) {
            add(frames, 1);
            add(sum, bytes.into());
        }
    }

    /// What a port has counted so far; zeroes for an index out of range.
    #[must_use]
    pub fn port(&self, port: PortId) -> PortCounts {
        let mut counts = PortCounts::default();
        let Some(cells) = self.ports.get(usize::from(port.0)) else { return counts };
        let [
            rx_frames,
            rx_bytes,
            tx_frames,
            tx_bytes,
            copies,
            proxied,
            unlearned,
            fragmented,
            told,
            drops @ ..,
        ] = cells;
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        counts.received = Amount { frames: read(rx_frames), bytes: read(rx_bytes) };
        counts.transmitted = Amount { frames: read(tx_frames), bytes: read(tx_bytes) };
        counts.copies = read(copies);
        counts.proxied = read(proxied);
        counts.unlearned = read(unlearned);
        counts.fragmented = read(fragmented);
        counts.too_big_told = read(told);
        for (count, cell) in counts.drops.iter_mut().zip(drops) {
            *count = read(cell);
        }
        counts
    }

    /// What a domain has counted so far; zeroes for an index out of range.
    #[must_use]
    pub fn domain(&self, domain: DomainId) -> Traffic {
        self.domains.get(usize::from(domain.0)).map(read_traffic).unwrap_or_default()
    }

    /// What a remote has counted so far; zeroes for an index out of range.
    #[must_use]
    pub fn remote(&self, remote: RemoteId) -> Traffic {
        self.remotes.get(remote.0 as usize).map(read_traffic).unwrap_or_default()
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

fn read_traffic(cells: &TrafficCells) -> Traffic {
    let [rx_frames, rx_bytes, tx_frames, tx_bytes] =
        cells.each_ref().map(|cell| cell.load(Ordering::Relaxed));
    Traffic {
        received: Amount { frames: rx_frames, bytes: rx_bytes },
        transmitted: Amount { frames: tx_frames, bytes: tx_bytes },
    }
}

/// Frames and their bytes (Ethernet header included, frame check sequence not).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    /// Frames.
    pub frames: u64,
    /// Bytes of those frames.
    pub bytes: u64,
}

impl Amount {
    /// One frame of this length.
    #[must_use]
    pub const fn frame(bytes: usize) -> Self {
        Self { frames: 1, bytes: bytes as u64 }
    }

    /// So many of these frames, and their share of the bytes, rounded down.
    #[must_use]
    pub const fn share(self, frames: u64) -> Self {
        let all = if self.frames == 0 { 1 } else { self.frames };
        Self { frames, bytes: (self.bytes as u128 * frames as u128 / all as u128) as u64 }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.frames = self.frames.wrapping_add(other.frames);
        self.bytes = self.bytes.wrapping_add(other.bytes);
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

/// Both directions of a domain or a remote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Into the switch.
    pub received: Amount,
    /// Out of the switch.
    pub transmitted: Amount,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.transmitted += other.transmitted;
    }
}

/// The counts of one port, of one worker or added up over several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortCounts {
    /// Received from the wire.
    pub received: Amount,
    /// Taken for transmission.
    pub transmitted: Amount,
    /// Receivers that flooding added.
    pub copies: u64,
    /// ARP requests and neighbour solicitations answered.
    pub proxied: u64,
    /// Frames whose source address could not be learned for want of room.
    pub unlearned: u64,
    /// Packets cut into fragments.
    pub fragmented: u64,
    /// Senders told that a packet was too big.
    pub too_big_told: u64,
    /// Frames that went nowhere, by [`DropReason::index`].
    pub drops: [u64; DropReason::COUNT],
}

impl PortCounts {
    /// Frames dropped for one reason.
    #[must_use]
    pub fn drops_for(&self, reason: DropReason) -> u64 {
        self.drops.get(reason.index()).copied().unwrap_or_default()
    }

    /// Frames dropped for any reason, but those that were taken.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.drops.iter().sum::<u64>() - self.taken()
    }

    /// Frames that were for this switch itself and went no further, which is no loss.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.drops_for(DropReason::Bfd)
    }

    /// `rx + copies - tx - drops - taken`. Summed over all ports this is the number of frames in flight; of a single port it
    /// may be negative, since frames come in at one port and leave at another.
    #[must_use]
    pub fn balance(&self) -> i64 {
        (self.received.frames + self.copies).cast_signed()
            - (self.transmitted.frames + self.dropped() + self.taken()).cast_signed()
    }
}

impl Default for PortCounts {
    fn default() -> Self {
        Self {
            received: Amount::default(),
            transmitted: Amount::default(),
            copies: 0,
            proxied: 0,
            unlearned: 0,
            fragmented: 0,
            too_big_told: 0,
            drops: [0; DropReason::COUNT],
        }
    }
}

impl AddAssign<&Self> for PortCounts {
    fn add_assign(&mut self, other: &Self) {
        self.received += other.received;
        self.transmitted += other.transmitted;
        self.copies += other.copies;
        self.proxied += other.proxied;
        self.unlearned += other.unlearned;
        self.fragmented += other.fragmented;
        self.too_big_told += other.too_big_told;
        for (sum, count) in self.drops.iter_mut().zip(other.drops) {
            *sum += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_frames_has_its_share_of_the_bytes() {
        let amount = Amount { frames: 12, bytes: 4301 };
        assert_eq!(amount.share(12), amount, "all frames have all bytes, also of unequal lengths");
        assert_eq!(amount.share(3), Amount { frames: 3, bytes: 1075 });
        assert_eq!(amount.share(0), Amount::default());
        assert_eq!(Amount::default().share(0), Amount::default());
    }

    #[test]
    fn what_is_added_is_read_and_out_of_range_is_ignored() {
        let counters = Counters::new();
        let port = PortId(3);
        counters.received(port, Amount { frames: 3, bytes: 180 });
        counters.copied(port, 2);
        counters.transmitted(port, Amount { frames: 4, bytes: 240 });
        counters.dropped(port, DropReason::NoChunk, 1);
        counters.dropped(PortId(u16::MAX), DropReason::NoChunk, 1);
        let counts = counters.port(port);
        assert_eq!(counts.received, Amount { frames: 3, bytes: 180 });
        assert_eq!(counts.drops_for(DropReason::NoChunk), 1);
        assert_eq!(counts.balance(), 0);
        assert_eq!(counters.port(PortId(u16::MAX)), PortCounts::default());

        counters.received_from(RemoteId(7), 60);
        counters.sent_to(RemoteId(7), 100);
        let traffic = counters.remote(RemoteId(7));
        assert_eq!((traffic.received.bytes, traffic.transmitted.bytes), (60, 100));
        assert_eq!(counters.remote(RemoteId(8)), Traffic::default());
    }
}
