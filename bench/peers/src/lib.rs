//! What the contestants share: the work on a frame, the clock, and the report.
//!
//! Each contestant is a program of its own, because each peer links a libbpf of its own version. All do the same on one
//! thread: receive a batch, swap the addresses of each frame, transmit it at the same device, take completions, refill.

use std::error::Error;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Frames taken at once: as many as one system call of a copy-mode socket transmits (`TX_BATCH_SIZE` of the kernel's
/// `net/xdp/xsk.c`), so that no crate is punished for how it goes on after a partial one.
pub const BATCH: usize = 32;
/// Descriptors of each ring.
pub const RING: u32 = 2048;
/// Chunks, and bytes of each.
pub const CHUNKS: u32 = 8192;
/// Bytes of a chunk.
pub const CHUNK: u32 = 2048;

/// How long the first frame is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked for on the command line: `DEVICE SECONDS`.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// The device.
    pub device: String,
    /// How long to forward.
    pub time: Duration,
}

impl Arguments {
    /// Reads the command line.
    ///
    /// # Errors
    /// How it should be.
    pub fn read() -> Result<Self, Box<dyn Error>> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [device, seconds] = arguments.as_slice() else { return Err("usage: DEVICE SECONDS".into()) };
        Ok(Self { device: device.clone(), time: Duration::from_secs_f64(seconds.parse()?) })
    }
}

/// Sends a frame back to whom it came from.
#[inline]
pub fn swap_addresses(frame: &mut [u8]) {
    if let Some(addresses) = frame.first_chunk_mut::<12>() {
        addresses.rotate_left(6);
    }
}

/// Keeps count and time.
#[derive(Debug)]
pub struct Watch {
    begin: Instant,
    cpu: Duration,
    time: Duration,
    turns: u32,
    received: u64,
    transmitted: u64,
    busy_turns: u64,
}

impl Watch {
    /// Begins. The time that is measured starts anew with the first frame.
    #[must_use]
    pub fn start(time: Duration) -> Self {
        Self { begin: Instant::now(), cpu: cpu(), time, turns: 0, received: 0, transmitted: 0, busy_turns: 0 }
    }

    /// Whether there is time for another turn of the loop. The clock is read once in 64 turns.
    #[inline]
    pub fn goes_on(&mut self) -> bool {
        self.turns = self.turns.wrapping_add(1);
        let patience = if self.received == 0 { PATIENCE } else { Duration::ZERO };
        !self.turns.is_multiple_of(64) || self.begin.elapsed() < self.time + patience
    }

    /// Counts a turn: frames received, and frames whose transmission the kernel completed.
    #[inline]
    pub fn count(&mut self, received: usize, transmitted: usize) {
        if self.received == 0 && received > 0 {
            (self.begin, self.cpu) = (Instant::now(), cpu());
        }
        self.received += received as u64;
        self.transmitted += transmitted as u64;
        self.busy_turns += u64::from(received > 0);
    }

    /// Prints one line of JSON.
    pub fn report(&self) {
        let (seconds, cpu) = (self.begin.elapsed().as_secs_f64(), (cpu() - self.cpu).as_secs_f64());
        let rate = self.transmitted as f64 / seconds;
        let batch = self.received as f64 / self.busy_turns.max(1) as f64;
        println!(
            "{{\"seconds\": {seconds:.3}, \"received\": {}, \"transmitted\": {}, \"frames_per_second\": {rate:.0}, \
             \"mean_batch\": {batch:.1}, \"cpu_seconds\": {cpu:.3}}}",
            self.received, self.transmitted
        );
    }
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}
