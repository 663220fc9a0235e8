//! A packet socket, the far end's view of the wire, independent of what is under test; and signals.
#![expect(unsafe_code, reason = "rustix has neither packet socket addresses nor signal handlers")]

use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

/// Sees every frame that its device receives and sends frames out of it.
pub(crate) struct Raw {
    fd: OwnedFd,
}

impl Raw {
    /// Opens on a device of the calling thread's network namespace.
    pub(crate) fn open(ifindex: u32) -> Self {
        let protocol = u16::try_from(libc::ETH_P_ALL).unwrap().to_be();
        // SAFETY: a plain system call.
        let fd = unsafe {
            libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, i32::from(protocol))
        };
        assert!(fd >= 0, "packet socket: {}", std::io::Error::last_os_error());
        // SAFETY: the descriptor was just opened and is nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: all-zero bytes are a valid `sockaddr_ll`.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
        address.sll_protocol = protocol;
        address.sll_ifindex = ifindex.cast_signed();
        let len = u32::try_from(size_of_val(&address)).unwrap();
        // SAFETY: the address is valid for its length.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) };
        assert_eq!(bound, 0, "bind: {}", std::io::Error::last_os_error());
        sockopt::set_socket_recv_buffer_size_force(&fd, 64 << 20).unwrap();
        Self { fd }
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        assert_eq!(send(&self.fd, frame, SendFlags::empty()).unwrap(), frame.len());
    }

    /// Frames that wait, oldest first. Those that this host sent itself are not among them.
    pub(crate) fn receive(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while let Ok((len, _)) = recv(&self.fd, &mut buffer, RecvFlags::DONTWAIT) {
            frames.push(buffer[..len].to_vec());
        }
        frames
    }

    /// Waits for so many frames that satisfy a condition, and returns them.
    pub(crate) fn expect(&self, count: usize, wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut frames = Vec::new();
        while frames.len() < count {
            frames.extend(self.receive().into_iter().filter(|frame| wanted(frame)));
            assert!(Instant::now() < deadline, "{} of {count} frames arrived", frames.len());
            std::thread::sleep(Duration::from_millis(1));
        }
        frames
    }
}

/// Sends the calling thread a signal over and over, while a closure runs on it. The signal's handler does nothing: all it
/// does is interrupt system calls.
pub(crate) fn under_signals<T>(work: impl FnOnce() -> T) -> T {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the handler touches nothing.
    let before =
        unsafe { libc::signal(libc::SIGUSR1, nothing as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    assert_ne!(before, libc::SIG_ERR);
    let done = AtomicBool::new(false);
    // SAFETY: a plain system call.
    let target = unsafe { libc::gettid() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                // SAFETY: a plain system call; the thread exists, it waits for this one.
                unsafe { libc::tgkill(std::process::id().cast_signed(), target, libc::SIGUSR1) };
            }
        });
        let result = work();
        done.store(true, Relaxed);
        result
    })
}
