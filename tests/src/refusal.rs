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
    /// A program is attached to a tracepoint.
    RawTracepointOpen = 17,
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

/// strace at one thread of a program. Ends when dropped.
#[derive(Debug)]
pub struct Strace {
    process: Process,
}

impl Strace {
    /// Begins at the first thread of a process with this name, with strace's own options.
    #[must_use]
    pub fn attach(process: u32, thread: &str, options: &[&str]) -> Self {
        let mut command = Command::new("strace");
        let mut strace = Process::start(command.args(options).arg("-p").arg(task(process, thread)));
        strace.wait_for_stderr("attached", SOON);
        Self { process: strace }
    }

    /// How often these words stand in what it has printed so far.
    #[must_use]
    pub fn count(&self, words: &str) -> usize {
        self.process.stderr().matches(words).count()
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // Detaches, and the thread goes on.
        self.process.signal(Signal::INT);
        let _ = self.process.wait(SOON);
    }
}

/// A thread of a program to which the kernel refuses every bpf(2), by strace. Ends when dropped.
#[derive(Debug)]
pub struct Tampering {
    strace: Strace,
}

impl Tampering {
    /// Begins at the first thread of a process with this name, with an error by its name, such as `ENOMEM`.
    #[must_use]
    pub fn begin(process: u32, thread: &str, error: &str) -> Self {
        let injected = format!("inject=bpf:error={error}");
        Self { strace: Strace::attach(process, thread, &["-e", "trace=bpf", "-e", &injected]) }
    }

    /// System calls refused so far.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.strace.count("(INJECTED)")
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
