//! The arithmetic of frame memory: chunks that the rings hold against chunks that there are.

use forward::limits::{BATCH, MAX_WORKERS};

use super::fault::{Fault, RefusalKind, Subject};
use crate::config::{Config, PortConfig, UmemConfig};

/// Fewest and most chunks of the UMEM.
const CHUNKS: std::ops::RangeInclusive<u32> = 256..=1 << 20;
/// Sizes of a chunk: the kernel takes a power of two from 2048 up to a page.
const CHUNK_SIZES: [u32; 2] = [2048, 4096];
/// Fewest and most descriptors of a ring.
const RING_SIZES: std::ops::RangeInclusive<u32> = 64..=32_768;
const _: () = assert!(*RING_SIZES.start() as usize >= BATCH, "a ring takes a batch");

/// Chunks that a configuration needs.
///
/// ```text
/// least = sum over ports (queues x ring_size / 2) + workers x 2 x BATCH     fill rings half full: frames are received
/// full  = sum over ports (queues x ring_size)     + workers x 2 x BATCH     fill rings full: bursts are absorbed
/// ```
///
/// A worker holds one batch that it has received and as many copies of flooded frames. A port that does not say how
/// many queues it serves counts as one queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChunkDemand {
    /// Descriptors of all receive queues.
    pub descriptors: u64,
    /// Chunks in the hands of workers.
    pub in_hand: u64,
}

impl ChunkDemand {
    /// The demand of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let descriptors = config
            .ports
            .iter()
            .map(|port| u64::from(port.queues.unwrap_or(1)) * u64::from(port.ring_size))
            .fold(0, u64::saturating_add);
        let workers = config.workers.len().clamp(1, MAX_WORKERS) as u64;
        Self { descriptors, in_hand: workers * 2 * BATCH as u64 }
    }

    /// Chunks without which some queue cannot receive.
    #[must_use]
    pub const fn least(self) -> u64 {
        (self.descriptors / 2).saturating_add(self.in_hand)
    }

    /// Chunks that fill every fill ring.
    #[must_use]
    pub const fn full(self) -> u64 {
        self.descriptors.saturating_add(self.in_hand)
    }
}

/// Checks `[umem]` itself and that it is large enough.
pub(super) fn check(config: &Config, faults: &mut Vec<Fault>) {
    let before = faults.len();
    check_shape(config.umem, faults);
    if faults.len() == before {
        check_supply(config, Subject::Umem, "chunks", faults);
    }
}

fn check_shape(umem: UmemConfig, faults: &mut Vec<Fault>) {
    if !umem.chunks.is_power_of_two() || !CHUNKS.contains(&umem.chunks) {
        faults.push(Fault::invalid(
            Subject::Umem,
            "chunks",
            format!("the UMEM cannot have {} chunks", umem.chunks),
            nearest_power(umem.chunks, &CHUNKS),
        ));
    }
    if !CHUNK_SIZES.contains(&umem.chunk_size) {
        faults.push(Fault::invalid(
            Subject::Umem,
            "chunk_size",
            format!("a chunk cannot have {} bytes", umem.chunk_size),
            "use 2048, or 4096 for frames above 1700 bytes",
        ));
    }
}

/// Checks that there are enough chunks, and blames `subject`.
pub(super) fn check_supply(config: &Config, subject: Subject, key: &'static str, faults: &mut Vec<Fault>) {
    let demand = ChunkDemand::of(config);
    let chunks = u64::from(config.umem.chunks);
    let remedy = || {
        let enough =
            demand.full().checked_next_power_of_two().filter(|chunks| *chunks <= u64::from(*CHUNKS.end()));
        match enough {
            Some(enough) => {
                format!("set umem.chunks = {enough} (takes a restart), or lower ring_size or queues")
            }
            None => "lower ring_size or queues of the ports".to_owned(),
        }
    };
    let ports = config.ports.len();
    if demand.least() > chunks {
        let what = format!(
            "{ports} ports need at least {} chunks: half of {} ring descriptors + {} in the hands of workers; there \
             are {chunks}",
            demand.least(),
            demand.descriptors,
            demand.in_hand,
        );
        faults.push(Fault::error(RefusalKind::LimitReached, subject, what, remedy()).at(key));
    } else if demand.full() > chunks {
        let what = format!(
            "{ports} ports can take {} chunks: {} ring descriptors + {} in the hands of workers; there are {chunks}, \
             so bursts may find none free",
            demand.full(),
            demand.descriptors,
            demand.in_hand,
        );
        faults.push(Fault::error(RefusalKind::LimitReached, subject, what, remedy()).at(key).warning());
    }
}

/// Checks the size of a port's rings.
pub(super) fn check_ring(port: &PortConfig, faults: &mut Vec<Fault>) {
    if !port.ring_size.is_power_of_two() || !RING_SIZES.contains(&port.ring_size) {
        faults.push(Fault::invalid(
            Subject::Port(port.name.clone()),
            "ring_size",
            format!("a ring of port {} cannot have {} descriptors", port.name, port.ring_size),
            nearest_power(port.ring_size, &RING_SIZES),
        ));
    }
}

/// A remedy that names the range and the nearest value in it that is not less.
fn nearest_power(value: u32, range: &std::ops::RangeInclusive<u32>) -> String {
    let (least, most) = (*range.start(), *range.end());
    let nearest = value.checked_next_power_of_two().unwrap_or(most).clamp(least, most);
    format!("use a power of two from {least} to {most}, such as {nearest}")
}
