//! One AF_XDP socket: the four rings of one (device, queue), as a worker uses them. How it comes to be is `open`'s.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

use crate::ring::{Consumer, Descriptor, Mapped, Producer};
use crate::segments::Chain;
use crate::umem::{Held, Holder};
use crate::{Chunk, Error, LinkMode, Mode, Umem};

/// What a socket is opened on.
#[derive(Clone, Debug)]
pub struct SocketConfig {
    /// The device.
    pub ifindex: u32,
    /// Its receive queue, below [`crate::MAX_QUEUES`].
    pub queue: u32,
    /// Entries of the receive and transmit ring; fill and completion ring have twice as many. A power of two, at most
    /// 16384.
    pub ring_size: u32,
    /// Ask for zero-copy and refuse anything else; otherwise ask for copy.
    pub zero_copy: bool,
    /// Ask that frames may have several chunks; [`Socket::segments`] tells what was obtained. Then [`Socket::receive_whole`]
    /// is the way to receive.
    pub segments: bool,
    /// How the XDP program is attached to the device ([`crate::Attachment::mode`]).
    pub link: LinkMode,
    /// How long a queue that is busy is waited for: another socket may be about to let go of it.
    pub patience: Duration,
}

/// Chunks in the rings of a socket at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outstanding {
    /// In the fill ring, not yet taken by the kernel.
    pub fill: u32,
    /// In the receive ring, not yet taken by us.
    pub receive: u32,
    /// Enqueued to transmit and not yet given back by [`Socket::complete`].
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

/// What became of a [`Socket::flush`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct Flushed {
    /// Frames that the kernel took from the transmit ring and the device refused to send: dropped. Their chunks come
    /// back through [`Socket::complete`] as all others do.
    pub dropped: u32,
    /// Descriptors still in the transmit ring, for the next flush.
    pub pending: u32,
}

/// The kernel would not transmit, and the frames stay in the ring. Made without a system call, since while a device is down
/// a worker meets it again and again; [`Error`] has the device's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransmitRefused {
    ifindex: u32,
    queue: u32,
    errno: Errno,
}

impl From<TransmitRefused> for Error {
    fn from(TransmitRefused { ifindex, queue, errno }: TransmitRefused) -> Self {
        let (device, operation) = (crate::netdev::name(ifindex), "transmit");
        match errno {
            Errno::NETDOWN => Self::DeviceDown { device, operation },
            Errno::NXIO | Errno::NODEV => Self::DeviceMissing { device, operation },
            errno => Self::Socket { device, queue, operation, source: errno.into() },
        }
    }
}

/// One AF_XDP socket. It belongs to one worker; it can be sent to another thread, not shared.
///
/// Dropping it instead of [`Socket::close`] loses its chunks' tokens for as long as the frame memory lives.
pub struct Socket {
    /// Strong here alone but for the moment that a [`StatisticsReader`] reads.
    pub(crate) fd: Arc<OwnedFd>,
    pub(crate) umem: Arc<Umem>,
    pub(crate) holder: Holder,
    pub(crate) fill: Producer<Mapped<u64>>,
    pub(crate) completion: Consumer<Mapped<u64>>,
    pub(crate) receive: Consumer<Mapped<Descriptor>>,
    pub(crate) transmit: Producer<Mapped<Descriptor>>,
    /// Chunks enqueued and not yet completed.
    pub(crate) in_transmission: u32,
    /// Chunks that a frame may have.
    pub(crate) segments: u32,
    pub(crate) chain: Chain,
    pub(crate) ifindex: u32,
    pub(crate) queue: u32,
    pub(crate) mode: Mode,
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
    /// [`Error::Memory`], [`Error::Configuration`]; [`Error::Socket`] for anything else.
    pub fn open(umem: &Arc<Umem>, config: &SocketConfig) -> Result<Self, Error> {
        crate::open::open(umem, config)
    }

    /// Appends up to `max` received frames, of one chunk each, to `out` and says how many. No system call, and no allocation
    /// if `out` has the capacity.
    #[inline]
    pub fn receive(&mut self, out: &mut Vec<Chunk>, max: usize) -> usize {
        let (umem, holder) = (&self.umem, &self.holder);
        let before = out.len();
        self.receive.drain(max, |frame| {
            if let Some(chunk) = umem.take(frame.address, frame.len, holder, Held::Fill) {
                out.push(chunk);
            }
        });
        out.len() - before
    }

    /// Hands free chunks to the kernel until its fill ring holds `level` of them (at most
    /// [`Socket::fill_capacity`]), taking from the end of `free`; says how many. No system call in copy mode.
    ///
    /// Keep it at least half full: a burst of frames needs as many chunks at once.
    ///
    /// # Panics
    ///
    /// If a chunk belongs to another frame memory.
    #[inline]
    pub fn fill(&mut self, free: &mut Vec<Chunk>, level: u32) -> usize {
        let held = self.fill.size() - self.fill.room();
        let wanted = level.min(self.fill.size()).saturating_sub(held) as usize;
        let count = wanted.min(free.len());
        for mut chunk in free.drain(free.len() - count..) {
            chunk.set_span(0, 0);
            // There is room for `count` entries: counted above, and only this thread adds any.
            let written = self.fill.write(self.umem.give(chunk, &self.holder, Held::Fill));
            debug_assert!(written, "the fill ring had room");
        }
        if count > 0 {
            self.fill.publish();
        }
        self.wake_driver();
        count
    }

    /// Tells a zero-copy driver that found the fill ring empty, and waits, to look at it again: a system call only where one
    /// does. [`Socket::fill`] does it too, but a driver may begin to wait just after that has looked, so that this is to be
    /// called from time to time while there is nothing to fill.
    #[inline]
    pub fn wake_driver(&self) {
        if self.mode == Mode::ZeroCopy && self.fill.wants_wakeup() {
            // That there is nothing to read is no failure.
            let _ = recv(&self.fd, &mut [0u8; 0], RecvFlags::DONTWAIT);
        }
    }

    /// Entries of the fill ring.
    #[must_use]
    pub fn fill_capacity(&self) -> u32 {
        self.fill.size()
    }

    /// Puts a frame into the transmit ring; it leaves with the next [`Socket::flush`].
    ///
    /// # Errors
    ///
    /// The chunk comes back when the ring is full, when its frame has less than 14 bytes or leaves the chunk, or when
    /// it belongs to another memory.
    #[inline]
    pub fn enqueue(&mut self, chunk: Chunk) -> Result<(), Chunk> {
        if !self.umem.sendable(&chunk) || !self.transmit.has_room() {
            return Err(chunk);
        }
        let len = u32::from(chunk.len());
        let address = self.umem.give(chunk, &self.holder, Held::Transmit);
        let written = self.transmit.write(Descriptor { address, len, options: 0 });
        debug_assert!(written, "the transmit ring had room");
        self.in_transmission += 1;
        Ok(())
    }

    /// Publishes what was enqueued and makes the kernel transmit it: one system call as a rule, a bounded number
    /// when the kernel takes less than everything at once. What it does not take stays in the ring for the next call.
    /// Costs nothing when the ring is empty.
    ///
    /// # Errors
    ///
    /// [`TransmitRefused`], as an error [`Error::DeviceMissing`] when the device is gone and [`Error::DeviceDown`] while it is
    /// down; frames stay in the ring.
    #[inline]
    pub fn flush(&mut self) -> Result<Flushed, TransmitRefused> {
        self.transmit.publish();
        let pending = self.transmit.pending();
        if pending == 0 {
            return Ok(Flushed::default());
        }
        if !self.transmit.wants_wakeup() {
            return Ok(Flushed { dropped: 0, pending });
        }
        self.kick(pending)
    }

    /// Calls the kernel until it has taken everything or makes no progress.
    fn kick(&mut self, mut pending: u32) -> Result<Flushed, TransmitRefused> {
        // A call takes at least one frame or is no progress, so this many calls always suffice.
        let limit = pending + 1;
        let mut dropped = 0;
        for _ in 0..limit {
            let result = send(&self.fd, &[], SendFlags::DONTWAIT);
            let left = self.transmit.pending();
            let progress = left < pending;
            pending = left;
            match result {
                Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS | Errno::INTR) => {}
                // The device refused one frame, which is gone; those behind it wait for the next call.
                Err(Errno::BUSY) => dropped += u32::from(progress),
                // What was dropped before is told now, the error by the next call.
                Err(_) if dropped != 0 => break,
                Err(errno) => {
                    return Err(TransmitRefused { ifindex: self.ifindex, queue: self.queue, errno });
                }
            }
            if pending == 0 || !progress {
                break;
            }
        }
        Ok(Flushed { dropped, pending })
    }

    /// Appends the chunks of transmitted frames to `free` and says how many. No system call, and no allocation if
    /// `free` has the capacity.
    #[inline]
    pub fn complete(&mut self, free: &mut Vec<Chunk>) -> usize {
        if self.in_transmission == 0 {
            return 0;
        }
        let (umem, holder) = (&self.umem, &self.holder);
        let before = free.len();
        self.completion.drain(usize::MAX, |address| {
            if let Some(chunk) = umem.take(address, 0, holder, Held::Transmit) {
                free.push(chunk);
            }
        });
        let count = free.len() - before;
        self.in_transmission -= count as u32;
        count
    }

    /// Free entries of the transmit ring, after a look at the kernel's progress.
    #[must_use]
    #[inline]
    pub fn transmit_room(&mut self) -> u32 {
        self.transmit.room()
    }

    /// Chunks in the rings.
    #[must_use]
    pub fn outstanding(&self) -> Outstanding {
        Outstanding {
            fill: self.fill.pending(),
            receive: self.receive.waiting(),
            transmit: self.in_transmission,
        }
    }

    /// The mode really obtained: `XDP_OPTIONS` and how the program is attached.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The device.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> u32 {
        self.queue
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
        read_statistics(&self.fd, self.ifindex, self.queue)
    }

    /// Reads the same counters from another thread, for as long as the socket is open.
    #[must_use]
    pub fn statistics_reader(&self) -> StatisticsReader {
        StatisticsReader { fd: Arc::downgrade(&self.fd), ifindex: self.ifindex, queue: self.queue }
    }

    /// Closes the socket and gives back every chunk that it held, each exactly once: those in its rings and those
    /// that the kernel had taken from them. Frames not yet received or transmitted are lost.
    ///
    /// Waits until the kernel has let go of the queue, which takes a moment in zero-copy mode or while another thread
    /// starts a process. If it has not within two seconds, the chunks are lost rather than shared with the kernel, and
    /// [`Umem::held`] goes on counting them.
    #[must_use]
    pub fn close(self) -> Vec<Chunk> {
        let Self { fd, umem, holder, fill, completion, receive, transmit, chain, ifindex, queue, .. } = self;
        // The mappings keep the socket alive: they go before its descriptor. Once it is released (`xsk_release`) the
        // kernel has waited for its last receiver and touches the chunks no more.
        drop((fill, completion, receive, transmit));
        release(fd);
        let mut chunks = chain.segments;
        if crate::open::wait_for_teardown(ifindex, queue) {
            chunks.extend(umem.end_holder(holder));
        }
        chunks
    }
}

impl AsFd for Socket {
    /// For `poll(2)`: readable when frames have been received. A duplicate of it that outlives [`Socket::close`] would keep
    /// the kernel writing to chunks that are free: do not make one.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Closes the descriptor for certain: a reader of statistics may hold it for the length of one system call.
fn release(mut fd: Arc<OwnedFd>) {
    loop {
        match Arc::try_unwrap(fd) {
            Ok(last) => return drop(last),
            Err(shared) => fd = shared,
        }
        std::thread::yield_now();
    }
}

fn read_statistics(fd: &OwnedFd, ifindex: u32, queue: u32) -> Result<Statistics, Error> {
    let read = sockopt::xdp_statistics(fd).map_err(|errno| Error::Socket {
        device: crate::netdev::name(ifindex),
        queue,
        operation: "statistics",
        source: errno.into(),
    })?;
    Ok(Statistics {
        rx_dropped: read.rx_dropped,
        rx_invalid_descriptors: read.rx_invalid_descs,
        tx_invalid_descriptors: read.tx_invalid_descs,
        rx_ring_full: read.rx_ring_full.unwrap_or(0),
        rx_fill_ring_empty: read.rx_fill_ring_empty_descs.unwrap_or(0),
        tx_ring_empty: read.tx_ring_empty_descs.unwrap_or(0),
    })
}

/// Reads a socket's counters from a thread that does not own the socket. Does not keep it open.
#[derive(Clone, Debug)]
pub struct StatisticsReader {
    fd: Weak<OwnedFd>,
    ifindex: u32,
    queue: u32,
}

impl StatisticsReader {
    /// The kernel's counters; `None` once the socket is closed.
    ///
    /// # Errors
    ///
    /// [`Error::Socket`].
    pub fn read(&self) -> Result<Option<Statistics>, Error> {
        self.fd.upgrade().map(|fd| read_statistics(&fd, self.ifindex, self.queue)).transpose()
    }
}
