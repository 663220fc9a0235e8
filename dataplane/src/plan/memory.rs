//! The arithmetic of frame memory: chunks that there are against chunks that the rings can hold.

use std::ops::RangeInclusive;

use forward::limits::BATCH;

use super::fault::{Fault, RefusalKind, Subject};
use crate::config::{Config, PortConfig, UmemConfig};

/// Fewest and most chunks of the UMEM. The most are 4 GiB of large chunks.
const CHUNKS: RangeInclusive<u32> = 256..=1 << 20;
/// Sizes of a chunk: the kernel takes a power of two from 2048 up to a page.
const CHUNK_SIZES: [u32; 2] = [2048, 4096];
/// Fewest and most chunks of jumbo memory for each worker, where there is any: a batch, and what makes 4 GiB for as many
/// workers as there can be.
const JUMBO_CHUNKS: RangeInclusive<u32> = 64..=4096;
/// Fewest and most descriptors of a receive or transmit ring; fill and completion rings have twice as many.
const RING_SIZES: RangeInclusive<u32> = 64..=16_384;
const _: () = assert!(*RING_SIZES.start() as usize >= BATCH, "a ring takes a batch");

/// How the chunks of one worker are shared out, which are its part of the UMEM.
///
/// ```text
/// for rings = chunks / workers x 3/4        the rest is in the hands of the worker and in transmit rings
/// per queue = its ring_size                 where for rings are enough for all its queues
///             for rings / queues            otherwise, but at most the queue's ring_size
/// ```
///
/// With less than ring_size per queue a port works, and loses frames of a burst sooner than its ring suggests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChunkBudget {
    /// Chunks for fill rings.
    pub for_rings: u32,
    /// The worker's receive queues.
    pub queues: u32,
    /// Descriptors of these queues' rings.
    pub descriptors: u64,
}

impl ChunkBudget {
    /// Chunks that each queue is to have at least: one batch.
    pub const LEAST: u32 = BATCH as u32;

    /// The budget of one of so many workers, as yet without queues.
    #[must_use]
    pub fn of_worker(chunks: u32, workers: usize) -> Self {
        let share = chunks / u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        Self { for_rings: share / 4 * 3, ..Self::default() }
    }

    /// The budget of the busiest worker, for all that a configuration tells: queues are shared out evenly. A port that
    /// does not say how many it serves counts as one queue, because how many its device has is known only when it is
    /// opened.
    fn of(config: &Config) -> Self {
        let workers = config.workers.len().max(1);
        let queues = |port: &PortConfig| port.queues.unwrap_or(1);
        let all = config.ports.iter().map(queues).fold(0, u32::saturating_add);
        let descriptors = config.ports.iter().map(|port| u64::from(queues(port)) * u64::from(port.ring_size));
        let queues = all.div_ceil(u32::try_from(workers).unwrap_or(u32::MAX));
        let sum = descriptors.fold(0, u64::saturating_add);
        // Its part of the queues, with rings of the mean size.
        let descriptors = sum.saturating_mul(u64::from(queues)).div_ceil(u64::from(all.max(1)));
        Self { queues, descriptors, ..Self::of_worker(config.umem.chunks, workers) }
    }

    /// Adds a queue with a ring of this size.
    pub fn add(&mut self, ring_size: u32) {
        self.queues = self.queues.saturating_add(1);
        self.descriptors = self.descriptors.saturating_add(u64::from(ring_size));
    }

    /// Chunks that a queue with a ring of this size may have in its fill ring.
    #[must_use]
    pub fn fill(self, ring_size: u32) -> u32 {
        if self.descriptors <= u64::from(self.for_rings) {
            return ring_size;
        }
        ring_size.min((self.for_rings / self.queues.max(1)).max(1))
    }
}

/// Checks `[umem]` itself and that it is large enough.
pub(super) fn check(config: &Config, faults: &mut Vec<Fault>) {
    let before = faults.len();
    check_shape(config.umem, faults);
    check_jumbo(config.umem.jumbo_chunks, faults);
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

fn check_jumbo(chunks: u32, faults: &mut Vec<Fault>) {
    let (least, most) = (*JUMBO_CHUNKS.start(), *JUMBO_CHUNKS.end());
    if chunks != 0 && !JUMBO_CHUNKS.contains(&chunks) {
        faults.push(Fault::invalid(
            Subject::Umem,
            "jumbo_chunks",
            format!("a worker cannot have {chunks} jumbo chunks"),
            format!("use {least} to {most}, or 0 to do without frames that take several chunks"),
        ));
    }
}

/// Checks that there are enough chunks, and blames `subject`.
pub(super) fn check_supply(config: &Config, subject: Subject, key: &'static str, faults: &mut Vec<Fault>) {
    let budget = ChunkBudget::of(config);
    let ChunkBudget { for_rings, queues, descriptors } = budget;
    let workers = config.workers.len().max(1) as u64;
    let least = u64::from(queues) * u64::from(ChunkBudget::LEAST);
    let chunks = u64::from(config.umem.chunks) / workers;
    let (whose, sum) = if workers == 1 {
        (format!("{queues} queues"), format!("{for_rings} of {chunks} chunks are for rings"))
    } else {
        let sum = format!("{for_rings} of each worker's {chunks} chunks are for rings");
        (format!("the queues of a worker ({queues})"), sum)
    };
    if least > u64::from(for_rings) {
        let what = format!("{whose} need {} chunks each, {least} in all; {sum}", ChunkBudget::LEAST);
        let remedy = enough(least * workers, "lower `queues` of the ports");
        faults.push(Fault::error(RefusalKind::LimitReached, subject, what, remedy).at(key));
    } else if descriptors > u64::from(for_rings) {
        let share = budget.fill(u32::MAX);
        let what = format!("{whose} have rings for {descriptors} frames; {sum}: each queue gets {share}");
        let remedy = enough(descriptors * workers, "lower `ring_size` or `queues` of the ports");
        faults.push(Fault::error(RefusalKind::LimitReached, subject, what, remedy).at(key).warning());
    }
}

/// A remedy that names the `umem.chunks` of which three quarters are enough, if there may be so many.
fn enough(for_rings: u64, otherwise: &str) -> String {
    let chunks = for_rings.saturating_mul(4).div_ceil(3).checked_next_power_of_two();
    match chunks.filter(|chunks| *chunks <= u64::from(*CHUNKS.end())) {
        Some(chunks) => format!("set `umem.chunks` to {chunks} and restart, or {otherwise}"),
        None => otherwise.to_owned(),
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
fn nearest_power(value: u32, range: &RangeInclusive<u32>) -> String {
    let (least, most) = (*range.start(), *range.end());
    let nearest = value.checked_next_power_of_two().unwrap_or(most).clamp(least, most);
    format!("use a power of two from {least} to {most}, such as {nearest}")
}
