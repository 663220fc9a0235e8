//! System calls that the kernel refuses to a program: from its start on, as in a container with a seccomp filter, or from
//! some moment on in one of its threads.

use std::fs;
use std::process::Command;
use std::thread;

use rustix::process::Signal;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use crate::process::Process;
use crate::wait::SOON;

/// A command of bpf(2), by its number in `enum bpf_cmd` of `linux/bpf.h`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BpfCommand {
    /// A program is verified and loaded.
    ProgLoad = 5,
    /// A program is run on data or frames: bursts.
    ProgRun = 10,
    /// A program is attached to a device.
    LinkCreate = 28,
}

/// Runs `work` on a thread to which this command is refused with EPERM. What it starts inherits that.
pub fn without<T: Send>(command: BpfCommand, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            apply_filter(&filter(command).expect("a seccomp filter")).expect("install a seccomp filter");
            work()
        });
        inside.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
    })
}

fn filter(command: BpfCommand) -> Result<BpfProgram, seccompiler::BackendError> {
    let refused = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, command as u64)?;
    let rules = [(libc::SYS_bpf, vec![SeccompRule::new(vec![refused])?])].into();
    let errno = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, errno, arch)?.try_into()
}

/// strace at one thread of a program, to which it makes the kernel refuse every bpf(2). Ends when dropped.
#[derive(Debug)]
pub struct Tampering {
    strace: Process,
}

impl Tampering {
    /// Begins at the first thread of a process with this name, with an error by its name, such as `ENOMEM`.
    #[must_use]
    pub fn begin(process: u32, thread: &str, error: &str) -> Self {
        let mut command = Command::new("strace");
        command.args(["-e", "trace=bpf", "-e", &format!("inject=bpf:error={error}")]);
        let mut strace = Process::start(command.arg("-p").arg(task(process, thread)));
        strace.wait_for_stderr("attached", SOON);
        Self { strace }
    }

    /// System calls refused so far.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.strace.stderr().matches("(INJECTED)").count()
    }
}

impl Drop for Tampering {
    fn drop(&mut self) {
        // Detaches, and the thread goes on.
        self.strace.signal(Signal::INT);
        let _ = self.strace.wait(SOON);
    }
}

/// The number of a thread.
fn task(process: u32, thread: &str) -> String {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the threads of a process");
    let named = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim_end() == thread)
    };
    let found = tasks.filter_map(Result::ok).find(named);
    let found = found.unwrap_or_else(|| panic!("process {process} has no thread {thread}"));
    found.file_name().to_string_lossy().into_owned()
}
