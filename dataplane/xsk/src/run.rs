//! The system call of burst transmit: `BPF_PROG_RUN` on live frames. By hand, because it is on the hot path of every
//! worker at once, which a library's `&Program` behind the control thread's lock is not.
#![expect(unsafe_code, reason = "a system call that no library offers as needed")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The part of `union bpf_attr` for `BPF_PROG_RUN` (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct RunAttributes {
    program: u32,
    result: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    reserved: u32,
}

/// Frames that the kernel runs before it lets devices transmit them. It keeps as many pages at hand for each call.
const BATCH: u32 = 64;

/// Runs a program `frames` times, each time on a fresh live frame of the content and length of `initial`.
pub(crate) fn live_frames(program: &impl AsFd, initial: &[u8], frames: u32) -> io::Result<()> {
    const BPF_PROG_RUN: libc::c_long = 10;
    const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
    let attributes = RunAttributes {
        program: program.as_fd().as_raw_fd().cast_unsigned(),
        data_size_in: initial.len() as u32,
        data_in: initial.as_ptr() as u64,
        repeat: frames,
        flags: BPF_F_TEST_XDP_LIVE_FRAMES,
        batch_size: frames.min(BATCH),
        ..RunAttributes::default()
    };
    // SAFETY: the attributes are laid out as the kernel's and of the length given; the kernel reads `initial`, which
    // outlives the call, and writes only result words within `attributes`, which is not looked at afterwards.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_RUN, &raw const attributes, size_of::<RunAttributes>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
