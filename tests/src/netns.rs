//! Network namespaces that a test owns.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::{Finished, Process};
use crate::wait::{SOON, wait_until};

/// Where iproute2 keeps named namespaces.
const DIRECTORY: &str = "/run/netns";
/// What the names of ours begin with; the process that made them follows.
const PREFIX: &str = "vtep-test-";

/// A named network namespace. Dropping it ends every process in it and deletes it, also while a test panics.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace, with loopback up, whose name is unique on this machine; `label` is for people.
    #[must_use]
    pub fn new(label: &str) -> Self {
        static SWEEP: Once = Once::new();
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        SWEEP.call_once(sweep);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}-{label}", std::process::id());
        let namespace = Self { name };
        let _ = Finished::of(Command::new("ip").args(["netns", "add", &namespace.name])).output();
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run in the namespace.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program.as_ref());
        command
    }

    /// Runs a command line, split at white space, which must succeed; gives its standard output.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        self.attempt(line).output()
    }

    /// Runs a command line, split at white space.
    #[must_use]
    pub fn attempt(&self, line: &str) -> Finished {
        Finished::of(&mut self.split(line))
    }

    /// Starts a command line, split at white space, in the background.
    #[must_use]
    pub fn spawn(&self, line: &str) -> Process {
        Process::start(&mut self.split(line))
    }

    /// Runs `ip` on this namespace; it must succeed.
    #[track_caller]
    pub fn ip(&self, line: &str) -> String {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name]).args(line.split_whitespace());
        Finished::of(&mut command).output()
    }

    /// Runs `bridge` on this namespace; it must succeed.
    #[track_caller]
    pub fn bridge(&self, line: &str) -> String {
        let mut command = Command::new("bridge");
        command.args(["-n", &self.name]).args(line.split_whitespace());
        Finished::of(&mut command).output()
    }

    fn split(&self, line: &str) -> Command {
        let mut parts = line.split_whitespace();
        let program = parts.next().unwrap_or_else(|| panic!("an empty command line"));
        let mut command = self.command(program);
        command.args(parts);
        command
    }

    /// Runs `work` on a thread that is in the namespace. What sockets it makes stay in the namespace wherever they are
    /// used later.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let file = File::open(Path::new(DIRECTORY).join(&self.name)).expect("open the namespace");
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("enter the namespace");
                work()
            });
            inside.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
        })
    }

    /// The Ethernet address of one of its devices.
    #[must_use]
    pub fn mac(&self, device: &str) -> String {
        let text = self.ip(&format!("-o link show dev {device}"));
        let mut words = text.split_whitespace().skip_while(|word| *word != "link/ether");
        words.nth(1).unwrap_or_else(|| panic!("{device} has no Ethernet address: {text}")).to_owned()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

/// Deletes namespaces whose test process is gone without having cleaned up.
fn sweep() {
    let Ok(entries) = fs::read_dir(DIRECTORY) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            delete(&name);
        }
    }
}

/// Ends every process in a namespace and deletes it. Never fails: it runs while tests panic.
fn delete(name: &str) {
    let ip = |arguments: &[&str]| Command::new("ip").args(arguments).output();
    let processes = || {
        ip(&["netns", "pids", name])
            .map(|output| {
                String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
            })
            .unwrap_or_else(|_| Vec::<String>::new())
    };
    let remaining = processes();
    if !remaining.is_empty() {
        let _ = Command::new("kill").arg("-9").args(&remaining).output();
        if !thread::panicking() {
            wait_until("processes of a namespace end", SOON, || processes().is_empty());
        }
    }
    let _ = ip(&["netns", "del", name]);
}
