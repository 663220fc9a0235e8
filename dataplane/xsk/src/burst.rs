//! Burst transmit: many frames to any mix of ports by one system call, without socket buffers.
//!
//! `BPF_PROG_RUN` in live-frame mode (Linux 5.18, Documentation/bpf/bpf_prog_run.rst) runs our XDP program once per
//! frame; each run takes the next descriptor of the worker's ring, copies that frame out of the shared frame memory and
//! redirects it to its port's device. Everything happens within the call: when it returns, the chunks are free.
//!
//! A frame can get lost in three places, and each is counted against its port. The device map has no such port: the
//! program sees it. The device is down, takes no redirected frames or has too small an MTU, or its receiver has no room:
//! the kernel's tracepoints `xdp_redirect_err` and `xdp_devmap_xmit` say so, within the call and on the same CPU, and two
//! small programs of ours listen there.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32};

use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf};

use crate::mapping::Mapping;
use crate::steering::{Shared, patiently};
use crate::{Chunk, Error, MAX_BURST, MAX_PORTS, MAX_WORKERS, Umem, netdev, syscall};

/// Bytes of the ring of one worker (`struct burst`), and where its parts are.
const RING: usize = 20480;
const NEXT: usize = 0;
const END: usize = 4;
const DESCRIPTORS: usize = 64;
const DESCRIPTOR: usize = 12;
const DROPPED: usize = DESCRIPTORS + MAX_BURST * DESCRIPTOR;
const ERRORS: usize = DROPPED + MAX_PORTS as usize * 2;
const _: () = assert!(ERRORS + MAX_PORTS as usize * 2 <= RING);

/// `enum outcome`.
const WAITING: u16 = 0;
const REDIRECTED: u16 = 1;
const UNFIT: u16 = 3;

/// Length of a live run's initial frame for worker 0 (`FIRST_LENGTH`); worker n's is n bytes longer.
const FIRST_LENGTH: usize = 128;

/// The rings of all workers.
pub(crate) struct Rings {
    mapping: Mapping,
    taken: Vec<AtomicBool>,
    /// Why drops in devices are not counted.
    pub(crate) uncounted: Option<String>,
}

impl Rings {
    pub(crate) fn new(map: BorrowedFd<'_>, uncounted: Option<String>) -> Result<Self, Error> {
        let mapping = Mapping::of(map, RING * usize::from(MAX_WORKERS), 0)
            .map_err(|error| Error::Map { map: "bursts", reason: error.to_string() })?;
        let taken = (0..MAX_WORKERS).map(|_| AtomicBool::new(false)).collect();
        Ok(Self { mapping, taken, uncounted })
    }
}

/// The burst transmitter of one worker.
pub struct Burst {
    shared: Arc<Shared>,
    umem: Arc<Umem>,
    worker: u16,
    /// The frames that wait, in the order of the ring's descriptors, and their ports. Two lists, because a token is moved
    /// in one piece only where it is alone.
    waiting: Vec<Chunk>,
    slots: Vec<u16>,
    reports: Vec<PortReport>,
    /// By slot: its index in `reports`, or [`ABSENT`].
    places: Box<[u16]>,
    head_limit: u16,
    len_limit: u16,
}

const ABSENT: u16 = u16::MAX;

/// What became of the frames of one port in one [`Burst::flush`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortReport {
    /// The port.
    pub slot: u16,
    /// Frames that its device took.
    pub sent: u32,
    /// Frames that found no such port.
    pub refused: u32,
    /// Frames that its device did not take: it is down, its MTU is too small, or its receiver has no room.
    pub dropped: u32,
    /// Why the last of `dropped` was: an error number, or 0 when there was no room.
    pub errno: i32,
}

/// What became of one [`Burst::flush`], port by port.
#[derive(Debug)]
#[must_use]
pub struct BurstReport<'a> {
    /// One entry per port that frames were sent for, in order of first appearance.
    pub ports: &'a [PortReport],
    /// Why the kernel refused to go on, if it did ([`Error::Burst`]). The frames that are not in `ports` are still in the
    /// burst, in order: flush again or take them back with [`Burst::reclaim`].
    pub refusal: Option<Error>,
}

impl Burst {
    pub(crate) fn new(shared: Arc<Shared>, umem: Arc<Umem>, worker: u16) -> Result<Self, Error> {
        if worker >= MAX_WORKERS {
            return Err(Error::Configuration(format!(
                "workers are numbered below {MAX_WORKERS}, not {worker}"
            )));
        }
        if shared.bursts.taken[usize::from(worker)].swap(true, Acquire) {
            return Err(Error::Configuration(format!("worker {worker} has a burst transmitter already")));
        }
        let (head_limit, len_limit) = if umem.chunk_size() == 4096 { (576, 3520) } else { (448, 1600) };
        let mut burst = Self {
            waiting: Vec::with_capacity(MAX_BURST),
            slots: Vec::with_capacity(MAX_BURST),
            reports: Vec::with_capacity(MAX_BURST),
            places: vec![ABSENT; usize::from(MAX_PORTS)].into(),
            shared,
            umem,
            worker,
            head_limit,
            len_limit,
        };
        burst.clear();
        burst.len_limit = burst.longest_frame().map_err(|error| {
            Error::BurstUnsupported(match error.raw_os_error() {
                Some(libc::EINVAL) => "the kernel has no live-frame runs; Linux 5.18 is needed".to_owned(),
                _ => Error::Burst(error).to_string(),
            })
        })?;
        Ok(burst)
    }

    /// The length, up to `len_limit`, that fits into a live frame of this kernel: a page less some headers whose size
    /// depends on its configuration. Found by trial, with frames to a port that cannot be.
    fn longest_frame(&self) -> io::Result<u16> {
        let (mut fits, mut limit) = (64, self.len_limit);
        while fits < limit {
            let middle = (fits + limit).div_ceil(2);
            self.describe(0, MAX_PORTS, (0, 0, middle));
            self.word(NEXT).store(0, Relaxed);
            self.word(END).store(1, Release);
            let result = self.run(1);
            self.word(END).store(0, Relaxed);
            result?;
            if self.outcome(0) == UNFIT { limit = middle - 1 } else { fits = middle }
        }
        self.word(NEXT).store(0, Relaxed);
        Ok(fits)
    }

    /// Adds a frame for a port ([`crate::Steering::attach`]); it leaves with the next [`Burst::flush`]. Frames of one
    /// port leave in the order pushed.
    ///
    /// # Errors
    ///
    /// The chunk comes back when [`crate::MAX_BURST`] frames wait, when [`Burst::fits`] says no, or when there can be no
    /// such port.
    #[inline]
    pub fn push(&mut self, slot: u16, chunk: Chunk) -> Result<(), Chunk> {
        if self.waiting.len() == MAX_BURST || slot >= MAX_PORTS || !self.fits(&chunk) {
            return Err(chunk);
        }
        self.describe(self.waiting.len(), slot, (chunk.index(), chunk.head(), chunk.len()));
        self.waiting.push(chunk);
        self.slots.push(slot);
        Ok(())
    }

    /// Whether a frame can be burst: it is in the shared memory, has at least 14 bytes and is within the program's bounds.
    /// With chunks of 2048 bytes the head is at most 448 and the length 1600; with 4096 the head is at most 576 and the
    /// length what a live frame holds (3408 as a rule, found by trial at the start, at most 3520). Others take the ring.
    #[must_use]
    #[inline]
    pub fn fits(&self, chunk: &Chunk) -> bool {
        chunk.umem() == self.umem.id()
            && chunk.head() <= self.head_limit
            && (14..=self.len_limit).contains(&chunk.len())
    }

    /// Bytes of the longest frame that can be burst.
    #[must_use]
    pub fn longest(&self) -> u16 {
        self.len_limit
    }

    /// Frames that wait.
    #[must_use]
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a count, not a collection")]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Sends what waits, in one system call (more if a signal interrupts it), and appends every chunk to `free`: the
    /// kernel is done with them when this returns. Costs nothing when nothing waits.
    pub fn flush(&mut self, free: &mut Vec<Chunk>) -> BurstReport<'_> {
        for report in self.reports.drain(..) {
            self.places[usize::from(report.slot)] = ABSENT;
        }
        if self.waiting.is_empty() {
            return BurstReport { ports: &self.reports, refusal: None };
        }
        let count = self.waiting.len() as u32;
        // Release: pairs with the system call's entry into the kernel; the program reads the descriptors after it.
        self.word(END).store(count, Release);
        let mut done = 0;
        let mut result = Ok(());
        while done < count && result.is_ok() {
            result = self.run(count - done);
            let now = self.word(NEXT).load(Acquire).min(count);
            // A signal ends a run between two batches; the rest is for another run.
            if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
                result = Ok(());
            } else if result.is_ok() && now == done {
                result = Err(io::Error::other("the kernel ran none of the frames"));
            }
            done = now;
        }
        self.word(END).store(0, Relaxed);
        self.account(done as usize);
        free.extend(self.waiting.drain(..done as usize));
        self.slots.drain(..done as usize);
        self.word(NEXT).store(0, Relaxed);
        for (place, (slot, chunk)) in self.slots.iter().zip(&self.waiting).enumerate() {
            self.describe(place, *slot, (chunk.index(), chunk.head(), chunk.len()));
        }
        BurstReport { ports: &self.reports, refusal: result.err().map(Error::Burst) }
    }

    /// Takes the frames that wait back unsent, in order.
    pub fn reclaim(&mut self, out: &mut Vec<(u16, Chunk)>) {
        out.extend(self.slots.drain(..).zip(self.waiting.drain(..)));
    }

    /// Fills `reports` from the outcomes of the first `done` frames and from what the devices dropped.
    fn account(&mut self, done: usize) {
        for place in 0..done {
            let slot = self.slots[place];
            let outcome = self.outcome(place);
            let report = self.report(slot);
            if outcome == REDIRECTED {
                report.sent += 1;
            } else {
                report.refused += 1;
            }
        }
        for index in 0..self.reports.len() {
            let place = usize::from(self.reports[index].slot) * 2;
            let dropped = u32::from(self.half(DROPPED + place).swap(0, Relaxed));
            let errno = i32::from(self.half(ERRORS + place).swap(0, Relaxed));
            let report = &mut self.reports[index];
            report.dropped = dropped.min(report.sent);
            report.sent -= report.dropped;
            report.errno = errno;
        }
    }

    /// The report of a port, new if need be.
    fn report(&mut self, slot: u16) -> &mut PortReport {
        let place = &mut self.places[usize::from(slot)];
        if *place == ABSENT {
            *place = self.reports.len() as u16;
            self.reports.push(PortReport { slot, ..PortReport::default() });
        }
        &mut self.reports[usize::from(*place)]
    }

    /// Writes the descriptor of a frame: its chunk, where in it it begins, its length.
    #[inline]
    fn describe(&self, place: usize, slot: u16, (chunk, head, len): (u32, u16, u16)) {
        let start = DESCRIPTORS + place * DESCRIPTOR;
        self.word(start).store(chunk, Relaxed);
        self.half(start + 4).store(head, Relaxed);
        self.half(start + 6).store(len, Relaxed);
        self.half(start + 8).store(slot, Relaxed);
        self.half(start + 10).store(WAITING, Relaxed);
    }

    /// What the program made of the frame at a place.
    #[inline]
    fn outcome(&self, place: usize) -> u16 {
        self.half(DESCRIPTORS + place * DESCRIPTOR + 10).load(Relaxed)
    }

    /// Forgets whatever an earlier owner of the ring left.
    fn clear(&self) {
        self.word(NEXT).store(0, Relaxed);
        self.word(END).store(0, Relaxed);
        for slot in 0..usize::from(MAX_PORTS) {
            self.half(DROPPED + slot * 2).store(0, Relaxed);
            self.half(ERRORS + slot * 2).store(0, Relaxed);
        }
    }

    /// Runs the program on so many frames.
    fn run(&self, frames: u32) -> io::Result<()> {
        const INITIAL: [u8; FIRST_LENGTH + MAX_WORKERS as usize] = [0; FIRST_LENGTH + MAX_WORKERS as usize];
        syscall::live_frames(
            &self.shared.program,
            &INITIAL[..FIRST_LENGTH + usize::from(self.worker)],
            frames,
        )
    }

    #[inline]
    fn word(&self, offset: usize) -> &AtomicU32 {
        self.shared.bursts.mapping.word32(usize::from(self.worker) * RING + offset)
    }

    #[inline]
    fn half(&self, offset: usize) -> &AtomicU16 {
        self.shared.bursts.mapping.word16(usize::from(self.worker) * RING + offset)
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        self.shared.bursts.taken[usize::from(self.worker)].store(false, Release);
    }
}

/// Why frames cannot be burst to a device.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsuitable {
    /// The driver cannot take redirected frames (no `ndo_xdp_xmit`, or not enabled now).
    #[error("the driver takes no redirected frames (no ndo_xdp_xmit)")]
    NoRedirectTarget,
    /// The other end of the veth has neither an XDP program nor GRO: it would drop every frame.
    #[error("the other end of the veth runs no NAPI; turn it on there with `ethtool -K DEVICE gro on`")]
    PeerWithoutNapi,
    /// The device could not be examined.
    #[error("the device could not be examined: {0}")]
    Unknown(String),
}

/// Asks the kernel whether a device of the calling thread's network namespace takes redirected frames now. It keeps the
/// answer current: for a veth it depends on the other end.
///
/// # Errors
///
/// Why not.
pub fn probe(ifindex: u32) -> Result<(), Unsuitable> {
    let unknown = |error: io::Error| Unsuitable::Unknown(error.to_string());
    let features = netdev::xdp_features(ifindex).map_err(unknown)?;
    if features & netdev::XDP_FEATURE_TRANSMIT != 0 {
        return Ok(());
    }
    let link = netdev::link(ifindex).map_err(unknown)?;
    Err(if link.is_veth { Unsuitable::PeerWithoutNapi } else { Unsuitable::NoRedirectTarget })
}

/// Attaches the programs that count what devices do not take; says why not, if not.
pub(crate) fn count_drops(ebpf: &mut Ebpf) -> Option<String> {
    let attach = |ebpf: &mut Ebpf| -> Result<(), Box<dyn std::error::Error>> {
        let btf = Btf::from_sys_fs()?;
        for (name, tracepoint) in [("devmap_xmit", "xdp_devmap_xmit"), ("redirect_err", "xdp_redirect_err")] {
            let program: &mut BtfTracePoint =
                ebpf.program_mut(name).ok_or("missing from the object")?.try_into()?;
            patiently(|| program.load(tracepoint, &btf))?;
            program.attach()?;
        }
        Ok(())
    };
    attach(ebpf).err().map(|error| crate::error::in_full(error.as_ref()))
}

/// The inode that names the calling thread's network namespace.
pub(crate) fn network_namespace() -> io::Result<u32> {
    let inode = std::fs::metadata("/proc/thread-self/ns/net")?.ino();
    u32::try_from(inode).map_err(io::Error::other)
}

impl fmt::Debug for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Burst {{ worker: {}, waiting: {} }}", self.worker, self.waiting.len())
    }
}
