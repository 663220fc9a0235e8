//! Opening a socket: registration of the frame memory, the rings' sizes and mappings, and the bind with its retries.
//!
//! Every socket registers the frame memory for itself, rather than joining the registration of another
//! (`XDP_SHARED_UMEM`). Addresses mean the same to all of them, so a chunk received on one can be sent on another; but no
//! socket depends on another's life or mode. The price is some 16 bytes of kernel memory per page and socket.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING, XDP_UMEM_PGOFF_COMPLETION_RING,
    XDP_UMEM_PGOFF_FILL_RING, XdpOptionsFlags, XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::ring::{Consumer, Mapped, Producer};
use crate::segments::Chain;
use crate::{Error, LinkMode, MAX_QUEUES, Memory, Mode, Socket, SocketConfig, Umem, UmemConfig, netdev};

/// Largest ring: the transmit ring's frames may all be socket buffers at once.
const MAX_RING: u32 = 1 << 14;
/// How long a queue whose last socket was closed may stay busy.
const PATIENCE: Duration = Duration::from_secs(2);
/// Chunks that a frame may have in copy mode: the kernel makes a socket buffer of them, with a first part and as many
/// fragments as it has at least in every configuration (`MAX_SKB_FRAGS`).
const COPIED_SEGMENTS: u32 = 18;

pub(crate) fn open(umem: &Arc<Umem>, config: &SocketConfig) -> Result<Socket, Error> {
    let SocketConfig { ifindex, queue, ring_size, zero_copy, link, .. } = *config;
    if !ring_size.is_power_of_two() || !(2..=MAX_RING).contains(&ring_size) {
        let text = format!("a ring has a power of two of entries, from 2 to {MAX_RING}, not {ring_size}");
        return Err(Error::Configuration(text));
    }
    if queue >= MAX_QUEUES {
        return Err(Error::Configuration(format!(
            "queues are numbered from 0 to {}, not {queue}",
            MAX_QUEUES - 1
        )));
    }
    let failed = |operation, errno: Errno| failure(config, operation, errno.into());
    let fd = socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None)
        .map_err(|errno| failed("opening an AF_XDP socket", errno))?;
    register(&fd, umem)?;
    let sizes = || {
        sockopt::set_xdp_umem_fill_ring_size(&fd, ring_size * 2)?;
        sockopt::set_xdp_umem_completion_ring_size(&fd, ring_size * 2)?;
        sockopt::set_xdp_rx_ring_size(&fd, ring_size)?;
        sockopt::set_xdp_tx_ring_size(&fd, ring_size)?;
        sockopt::xdp_mmap_offsets(&fd)
    };
    let offsets = sizes().map_err(|errno| failed("sizing its rings", errno))?;
    raise_send_buffer(&fd, ring_size);
    let mapped = |source| failure(config, "mapping its rings", source);
    let fill =
        Mapped::new(fd.as_fd(), XDP_UMEM_PGOFF_FILL_RING, &offsets.fr, ring_size * 2).map_err(mapped)?;
    let completion = Mapped::new(fd.as_fd(), XDP_UMEM_PGOFF_COMPLETION_RING, &offsets.cr, ring_size * 2)
        .map_err(mapped)?;
    let receive = Mapped::new(fd.as_fd(), XDP_PGOFF_RX_RING, &offsets.rx, ring_size).map_err(mapped)?;
    let transmit = Mapped::new(fd.as_fd(), XDP_PGOFF_TX_RING, &offsets.tx, ring_size).map_err(mapped)?;
    let is_segmented = bind_patiently(&fd, config)?;
    let options = sockopt::xdp_options(&fd).map_err(|errno| failed("reading its mode", errno))?;
    let mode = match (options.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY), link) {
        (true, _) => Mode::ZeroCopy,
        (false, LinkMode::Native) => Mode::Native,
        (false, LinkMode::Generic) => Mode::Generic,
    };
    debug_assert_eq!(mode == Mode::ZeroCopy, zero_copy, "bind gives what was asked for or fails");
    let segments = match mode {
        _ if !is_segmented => 1,
        Mode::ZeroCopy => netdev::zero_copy_segments(ifindex).unwrap_or(1),
        Mode::Native | Mode::Generic => COPIED_SEGMENTS,
    };
    let holder = umem
        .new_holder()
        .ok_or_else(|| Error::Configuration("too many sockets on one frame memory".to_owned()))?;
    Ok(Socket {
        umem: Arc::clone(umem),
        holder,
        fill: Producer::new(fill, ring_size * 2),
        completion: Consumer::new(completion, ring_size * 2),
        receive: Consumer::new(receive, ring_size),
        transmit: Producer::new(transmit, ring_size),
        in_transmission: 0,
        segments,
        chain: Chain::new(ring_size),
        ifindex,
        queue,
        mode,
        fd: Arc::new(fd),
    })
}

/// Registers the frame memory. Its pages are pinned, which counts against `RLIMIT_MEMLOCK` unless the process has
/// CAP_IPC_LOCK; so the limit is raised as far as it goes.
fn register(fd: &OwnedFd, umem: &Umem) -> Result<(), Error> {
    raise_locked_memory();
    let (start, bytes) = umem.region();
    let registration = XdpUmemReg {
        addr: start as u64,
        len: bytes,
        chunk_size: umem.chunk_size(),
        headroom: 0,
        flags: XdpUmemRegFlags::empty(),
        tx_metadata_len: 0,
    };
    sockopt::set_xdp_umem_reg(fd, registration).map_err(|errno| Error::Memory {
        operation: "registration with an AF_XDP socket",
        bytes,
        source: errno.into(),
        remedy: "raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=infinity) or grant CAP_IPC_LOCK, or use fewer chunks",
    })
}

/// Raises the limit on locked memory: without bound if allowed, else as far as the hard limit.
pub(crate) fn raise_locked_memory() {
    let limit = getrlimit(Resource::Memlock);
    if limit.current.is_some()
        && setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }).is_err()
    {
        // What stays too low fails at the registration, with the remedy in the text.
        let _ = setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// A copy-mode transmission counts each frame's socket buffer against the socket's send buffer: a full transmit ring
/// must fit. Beyond the system's limit (`net.core.wmem_max`) it takes CAP_NET_ADMIN, which opening took anyway.
fn raise_send_buffer(fd: &OwnedFd, ring_size: u32) {
    let bytes = ring_size as usize * 4096;
    if sockopt::set_socket_send_buffer_size_force(fd, bytes).is_err() {
        // A smaller buffer makes the kernel say EAGAIN earlier, which a flush handles.
        let _ = sockopt::set_socket_send_buffer_size(fd, bytes);
    }
}

/// Binds; while the queue is busy and there is patience, tries again after growing pauses. Says whether frames may have
/// several chunks: without it where that is refused, which it is by kernels before 6.6 and by drivers whose zero-copy has
/// one buffer per frame.
fn bind_patiently(fd: &OwnedFd, config: &SocketConfig) -> Result<bool, Error> {
    const SEGMENTS: SocketAddrXdpFlags = SocketAddrXdpFlags::XDP_USE_SG;
    let mode = if config.zero_copy { SocketAddrXdpFlags::XDP_ZEROCOPY } else { SocketAddrXdpFlags::XDP_COPY };
    let mut flags = mode | SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
    flags.set(SEGMENTS, config.segments);
    let deadline = Instant::now() + config.patience;
    let mut pause = Duration::from_millis(1);
    loop {
        match bind(fd, &SocketAddrXdp::new(flags, config.ifindex, config.queue)) {
            Err(Errno::BUSY) if Instant::now() < deadline => {
                sleep(pause.min(deadline.saturating_duration_since(Instant::now())));
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            Err(Errno::INVAL | Errno::OPNOTSUPP) if flags.contains(SEGMENTS) => flags.remove(SEGMENTS),
            Ok(()) => return Ok(flags.contains(SEGMENTS)),
            Err(errno) => return Err(bind_failure(config, errno)),
        }
    }
}

/// Waits until the kernel has let go of the last socket of a queue, and says whether it did: until another one, with
/// memory of its own, is no longer told that the queue is busy. It asks for zero-copy, because a device that cannot do
/// that refuses after it has looked whether the queue is busy, which leaves nothing to tear down.
///
/// Closing a descriptor does not suffice to know. The teardown of a zero-copy socket is asynchronous, and any socket
/// lives on while a child that another thread has just forked still has its descriptor.
pub(crate) fn wait_for_teardown(ifindex: u32, queue: u32) -> bool {
    let memory = UmemConfig { chunks: 2, chunk_size: 4096, memory: Memory::Anonymous };
    let Ok((umem, _)) = Umem::new(&memory) else { return false };
    let config = SocketConfig {
        ifindex,
        queue,
        ring_size: 2,
        zero_copy: true,
        segments: false,
        link: LinkMode::Native,
        patience: PATIENCE,
    };
    match open(&umem, &config) {
        // A device that is gone has been taken from its sockets.
        Ok(_) | Err(Error::ZeroCopyRefused { .. } | Error::DeviceMissing { .. }) => true,
        Err(_) => false,
    }
}

fn bind_failure(config: &SocketConfig, errno: Errno) -> Error {
    let (device, queue) = (netdev::name(config.ifindex), config.queue);
    match errno {
        Errno::BUSY => Error::QueueBusy { device, queue },
        Errno::OPNOTSUPP | Errno::INVAL if config.zero_copy => {
            Error::ZeroCopyRefused { device, queue, source: errno.into() }
        }
        Errno::INVAL => Error::Configuration(format!("{device} has no queue {queue}")),
        errno => failure(config, "binding an AF_XDP socket", errno.into()),
    }
}

/// The error for a failed operation on a socket.
fn failure(config: &SocketConfig, operation: &'static str, source: io::Error) -> Error {
    let device = netdev::name(config.ifindex);
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::PERM | Errno::ACCESS) => Error::Privilege { operation, source },
        Some(Errno::NODEV | Errno::NXIO) => Error::DeviceMissing { device, operation },
        Some(Errno::NETDOWN) => Error::DeviceDown { device, operation },
        _ => Error::Socket { device, queue: config.queue, operation, source },
    }
}
