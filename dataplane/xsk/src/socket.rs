//! One AF_XDP socket: the four rings of one (device, queue).

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crate::{Chunk, Error, LinkMode, Mode, Umem};

/// What a socket is opened on.
#[derive(Clone, Debug)]
pub struct SocketConfig {
    /// The device.
    pub ifindex: u32,
    /// Its receive queue, below [`crate::MAX_QUEUES`].
    pub queue: u32,
    /// Entries of the receive and transmit ring; fill and completion ring have twice as many. A power of two.
    pub ring_size: u32,
    /// Ask for zero-copy and refuse anything else; otherwise ask for copy.
    pub zero_copy: bool,
    /// How the XDP program is attached to the device ([`crate::Attachment::mode`]).
    pub link: LinkMode,
}

/// Chunks in the rings of a socket at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outstanding {
    /// In the fill ring, not yet taken by the kernel.
    pub fill: u32,
    /// In the receive ring, not yet taken by us.
    pub receive: u32,
    /// Enqueued to transmit and not yet seen in the completion ring.
    pub transmit: u32,
}

/// `XDP_STATISTICS`, all six (Documentation/networking/af_xdp.rst).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Received frames dropped for a reason other than a full ring.
    pub rx_dropped: u64,
    /// Received frames dropped because a descriptor of the fill ring was invalid.
    pub rx_invalid_descriptors: u64,
    /// Descriptors of the transmit ring that the kernel refused.
    pub tx_invalid_descriptors: u64,
    /// Received frames dropped because the receive ring was full.
    pub rx_ring_full: u64,
    /// Times that the kernel wanted a chunk and the fill ring was empty.
    pub rx_fill_ring_empty: u64,
    /// Times that the kernel wanted to transmit and the transmit ring was empty.
    pub tx_ring_empty: u64,
}

/// One AF_XDP socket. It belongs to one worker; it can be sent to another thread, not shared.
pub struct Socket {
    umem: Arc<Umem>,
}

impl Socket {
    /// Opens, maps the rings and binds. A queue whose last socket has just been closed stays busy for a moment (its
    /// teardown is asynchronous): that is retried with growing pauses, for two seconds at most.
    ///
    /// No frame arrives before [`crate::Steering::set_socket`] and [`Socket::fill`].
    ///
    /// # Errors
    ///
    /// [`Error::QueueBusy`], [`Error::DeviceMissing`], [`Error::ZeroCopyRefused`], [`Error::Privilege`],
    /// [`Error::Socket`] for anything else.
    pub fn open(umem: &Arc<Umem>, config: &SocketConfig) -> Result<Self, Error> {
        let _ = (umem, config);
        unimplemented!()
    }

    /// Appends up to `max` received frames to `out` and says how many. No system call.
    pub fn receive(&mut self, out: &mut Vec<Chunk>, max: usize) -> usize {
        let _ = (out, max);
        unimplemented!()
    }

    /// Hands free chunks to the kernel until its fill ring holds `level` of them (at most
    /// [`Socket::fill_capacity`]), taking from the end of `free`; says how many. No system call in copy mode.
    ///
    /// Keep it at least half full: a burst of frames needs as many chunks at once.
    pub fn fill(&mut self, free: &mut Vec<Chunk>, level: u32) -> usize {
        let _ = (free, level);
        unimplemented!()
    }

    /// Entries of the fill ring.
    #[must_use]
    pub fn fill_capacity(&self) -> u32 {
        unimplemented!()
    }

    /// Puts a frame into the transmit ring; it leaves with the next [`Socket::flush`].
    ///
    /// # Errors
    ///
    /// The chunk comes back when the ring is full, when its frame is empty or leaves the chunk, or when it belongs
    /// to another memory.
    pub fn enqueue(&mut self, chunk: Chunk) -> Result<(), Chunk> {
        Err(chunk)
    }

    /// Publishes what was enqueued and makes the kernel transmit it: one system call as a rule, a bounded number
    /// when the kernel takes less than everything at once. What it does not take stays in the ring for the next call.
    /// Costs nothing when the ring is empty.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceMissing`] when the device is gone, [`Error::DeviceDown`] while it is down; frames stay in the ring.
    pub fn flush(&mut self) -> Result<(), Error> {
        unimplemented!()
    }

    /// Appends the chunks of transmitted frames to `free` and says how many. No system call.
    pub fn complete(&mut self, free: &mut Vec<Chunk>) -> usize {
        let _ = free;
        unimplemented!()
    }

    /// Free entries of the transmit ring, after a look at the kernel's progress.
    pub fn transmit_room(&mut self) -> u32 {
        unimplemented!()
    }

    /// Chunks in the rings.
    #[must_use]
    pub fn outstanding(&self) -> Outstanding {
        unimplemented!()
    }

    /// The mode really obtained: `XDP_OPTIONS` and how the program is attached.
    #[must_use]
    pub fn mode(&self) -> Mode {
        unimplemented!()
    }

    /// The device.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        unimplemented!()
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> u32 {
        unimplemented!()
    }

    /// The memory that its chunks belong to.
    #[must_use]
    pub fn umem(&self) -> &Arc<Umem> {
        &self.umem
    }

    /// The kernel's counters of this socket.
    ///
    /// # Errors
    ///
    /// [`Error::Socket`].
    pub fn statistics(&self) -> Result<Statistics, Error> {
        unimplemented!()
    }

    /// Closes the socket and gives back every chunk that it held, each exactly once: those in its rings and those
    /// that the kernel had taken from them. Frames not yet received or transmitted are lost.
    ///
    /// A socket that is dropped instead loses its chunks' tokens for as long as the memory lives.
    #[must_use]
    pub fn close(self) -> Vec<Chunk> {
        unimplemented!()
    }
}

impl AsFd for Socket {
    /// For `poll(2)`: readable when frames have been received.
    fn as_fd(&self) -> BorrowedFd<'_> {
        unimplemented!()
    }
}
