//! The three `bpf(2)` commands that no library offers as needed here.
//!
//! `BPF_PROG_RUN` on live frames is on the hot path of every worker at once. Links are made and ended by hand because
//! closing a link's descriptor ends it only when no other process has it: a child forked at that moment by another
//! thread has, until it executes. `BPF_LINK_DETACH` ends it at once.
#![expect(unsafe_code, reason = "a system call that no library offers as needed")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::LinkMode;

/// Commands (`enum bpf_cmd`, include/uapi/linux/bpf.h).
const BPF_PROG_RUN: libc::c_long = 10;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_LINK_DETACH: libc::c_long = 34;

/// The part of `union bpf_attr` for `BPF_PROG_RUN`.
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

/// The part for `BPF_LINK_CREATE`, as far as XDP has it.
#[repr(C)]
struct LinkAttributes {
    program: u32,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// The part for `BPF_LINK_DETACH`.
#[repr(C)]
struct DetachAttributes {
    link: u32,
}

/// Frames that the kernel runs before it lets devices transmit them. It keeps as many pages at hand for each call.
const BATCH: u32 = 64;

/// Runs a program `frames` times, each time on a live frame of the content and length of `initial`.
pub(crate) fn live_frames(program: &impl AsFd, initial: &[u8], frames: u32) -> io::Result<()> {
    run_live_frames(program, initial, frames, BATCH)
}

/// Runs an XDP program `frames` times in one call, each time on a live frame: what the program redirects or passes really
/// goes there (`BPF_PROG_RUN` with `BPF_F_TEST_XDP_LIVE_FRAMES`, Linux 5.18, Documentation/bpf/bpf_prog_run.rst).
///
/// A frame comes from the loopback device of the calling thread's network namespace and has the length of `initial`. Its
/// content is that of `initial` when its page is used for the first time, and afterwards what was left in it. After
/// each `batch` runs (at most 256) devices transmit what was redirected to them. More than one frame costs some 30 ms
/// unless the program is attached to a device.
///
/// # Errors
///
/// The kernel's: among them `EINTR` when a signal ended the call between two batches, and `EINVAL` when `initial` does
/// not fit into a live frame, which holds some 3400 bytes.
pub fn run_live_frames(program: &impl AsFd, initial: &[u8], frames: u32, batch: u32) -> io::Result<()> {
    const BPF_F_TEST_XDP_LIVE_FRAMES: u32 = 1 << 1;
    let mut attributes = RunAttributes {
        program: number(program),
        data_size_in: initial.len() as u32,
        data_in: initial.as_ptr() as u64,
        repeat: frames,
        flags: BPF_F_TEST_XDP_LIVE_FRAMES,
        batch_size: frames.min(batch),
        ..RunAttributes::default()
    };
    // SAFETY: the attributes are those of the command. The kernel reads `initial`, which outlives the call, and is given
    // nowhere else to write to.
    unsafe { bpf(BPF_PROG_RUN, &mut attributes) }.map(drop)
}

/// Attaches an XDP program to a device of the calling thread's network namespace. Never replaces another program.
pub(crate) fn link_create(program: &impl AsFd, ifindex: u32, mode: LinkMode) -> io::Result<OwnedFd> {
    const BPF_XDP: u32 = 37;
    const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
    const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
    let flags = match mode {
        LinkMode::Native => XDP_FLAGS_DRV_MODE,
        LinkMode::Generic => XDP_FLAGS_SKB_MODE,
    };
    let mut attributes = LinkAttributes { program: number(program), ifindex, attach_type: BPF_XDP, flags };
    // SAFETY: the attributes are those of the command and have no pointers.
    let fd = unsafe { bpf(BPF_LINK_CREATE, &mut attributes) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Ends an attachment at once, whoever else has its link.
pub(crate) fn link_detach(link: &impl AsFd) -> io::Result<()> {
    let mut attributes = DetachAttributes { link: number(link) };
    // SAFETY: the attributes are those of the command and have no pointers.
    unsafe { bpf(BPF_LINK_DETACH, &mut attributes) }.map(drop)
}

/// A descriptor as the attributes have it.
fn number(fd: &impl AsFd) -> u32 {
    fd.as_fd().as_raw_fd().cast_unsigned()
}

/// `bpf(2)`.
///
/// # Safety
///
/// `A` must be laid out as the command's part of `union bpf_attr`, and what it points to must be valid for what the
/// command does with it.
unsafe fn bpf<A>(command: libc::c_long, attributes: &mut A) -> io::Result<RawFd> {
    // SAFETY: the attributes are valid for reads and writes of the length given; the caller answers for their content.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}
