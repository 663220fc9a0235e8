//! Burst transmit: many frames to any mix of ports by one system call, without socket buffers.
//!
//! `BPF_PROG_RUN` in live-frame mode (Linux 5.18) runs our XDP program once per frame; each run takes the next
//! descriptor of the worker's ring, copies that frame out of the shared frame memory and redirects it to its port.

use std::fmt;

use crate::{Chunk, Error};

/// The burst transmitter of one worker.
pub struct Burst {
    _ring: (),
}

/// What became of the frames of one port in one [`Burst::flush`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortReport {
    /// The port.
    pub slot: u16,
    /// Frames that its device took.
    pub sent: u32,
    /// Frames that did not get to the device: no such port any more, or the device refused the redirect.
    pub refused: u32,
    /// Frames that its device dropped (a veth: its peer's ring was full).
    pub dropped: u32,
}

/// What became of one [`Burst::flush`], port by port.
#[derive(Clone, Copy, Debug)]
pub struct BurstReport<'a> {
    /// One entry per port that frames were pushed for, in order of first appearance.
    pub ports: &'a [PortReport],
}

impl Burst {
    /// Adds a frame for a port ([`crate::Steering::attach`]); it leaves with the next [`Burst::flush`]. Frames of one
    /// port leave in the order pushed.
    ///
    /// # Errors
    ///
    /// The chunk comes back when [`crate::MAX_BURST`] frames wait, when [`Burst::fits`] says no, or when it belongs to
    /// another memory.
    #[inline]
    pub fn push(&mut self, slot: u16, chunk: Chunk) -> Result<(), Chunk> {
        let _ = slot;
        Err(chunk)
    }

    /// Whether a frame can be burst: the program has bounds on offset and length (2048-byte chunks: head ≤ 448, length
    /// ≤ 1600; 4096-byte chunks: head ≤ 576, length ≤ 3520; at least 14 bytes). Others take the ring.
    #[must_use]
    #[inline]
    pub fn fits(&self, chunk: &Chunk) -> bool {
        let _ = chunk;
        unimplemented!()
    }

    /// Frames that wait.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a count, not a collection")]
    pub fn len(&self) -> usize {
        unimplemented!()
    }

    /// Sends what waits, in one system call (more if a signal interrupts it), and appends every chunk to `free`: the
    /// kernel is done with them when this returns. Costs nothing when nothing waits.
    ///
    /// # Errors
    ///
    /// [`Error::Burst`]: the frames not yet sent are still in the burst, in order; flush again or take them back with
    /// [`Burst::reclaim`].
    pub fn flush(&mut self, free: &mut Vec<Chunk>) -> Result<BurstReport<'_>, Error> {
        let _ = free;
        unimplemented!()
    }

    /// Takes the frames that wait back unsent, in order.
    pub fn reclaim(&mut self, out: &mut Vec<(u16, Chunk)>) {
        let _ = out;
        unimplemented!()
    }
}

/// Why frames cannot be burst to a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unsuitable {
    /// The driver cannot take redirected frames (no `ndo_xdp_xmit`, or not enabled now).
    NoRedirectTarget,
    /// The other end of the veth has neither an XDP program nor GRO: it would drop every frame.
    PeerWithoutNapi,
    /// The kernel cannot run a program on live frames.
    KernelTooOld,
    /// The device could not be examined.
    Unknown(String),
}

impl fmt::Display for Unsuitable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRedirectTarget => f.write_str("the driver takes no redirected frames"),
            Self::PeerWithoutNapi => f.write_str(
                "the other end of the veth runs no NAPI; turn it on there with `ethtool -K DEVICE gro on`",
            ),
            Self::KernelTooOld => {
                f.write_str("the kernel has no live-frame program runs; Linux 5.18 is needed")
            }
            Self::Unknown(why) => write!(f, "the device could not be examined: {why}"),
        }
    }
}
