//! Network namespaces of a test: named uniquely, removed with the value.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use dataplane::underlay::Underlay;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

static MADE: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let name = format!("underlay-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        run(Command::new("ip").args(["netns", "add", &name]));
        Self { name }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with these words in the namespace, and returns what it prints.
    pub(crate) fn ip(&self, words: &str) -> String {
        run(Command::new("ip").args(["-n", &self.name]).args(words.split_whitespace()))
    }

    /// Runs many `ip` commands, one a line, in one process.
    pub(crate) fn ip_batch(&self, lines: &str) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, lines.as_bytes()).unwrap();
        run(Command::new("ip").args(["-n", &self.name, "-batch"]).arg(file.path()));
    }

    /// Runs `inside` on a thread of its own in the namespace.
    pub(crate) fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(Path::new("/run/netns").join(&self.name)).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                inside()
            });
            thread.join().unwrap()
        })
    }

    /// Sets a file below `/proc/sys/net`.
    pub(crate) fn set(&self, key: &str, value: u32) {
        self.enter(|| std::fs::write(Path::new("/proc/sys/net").join(key), value.to_string()).unwrap());
    }

    pub(crate) fn underlay(&self) -> Underlay {
        self.enter(|| Underlay::open().unwrap())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Not `run`: a panic while panicking would abort the other tests.
        let outcome = Command::new("ip").args(["netns", "del", &self.name]).status();
        if !outcome.is_ok_and(|status| status.success()) {
            eprintln!("the namespace {} is left over", self.name);
        }
    }
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Two hosts on one wire: `up0` of both, 10.0.0.1 and fd00::1 on the near one, .2 and ::2 on the far one.
pub(crate) struct Pair {
    pub(crate) near: Namespace,
    pub(crate) far: Namespace,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let (near, far) = (Namespace::new(), Namespace::new());
        near.ip(&format!("link add up0 type veth peer name up0 netns {}", far.name()));
        let pair = Self { near, far };
        pair.configure("up0", "10.0.0", "fd00:");
        pair
    }

    /// Gives both ends of a wire their addresses, and nothing that would change by itself later.
    pub(crate) fn configure(&self, device: &str, four: &str, six: &str) {
        for (host, number) in [(&self.near, 1), (&self.far, 2)] {
            host.ip(&format!("link set {device} addrgenmode none"));
            host.ip(&format!("address add {four}.{number}/24 dev {device}"));
            host.ip(&format!("address add {six}:{number}/64 dev {device} nodad"));
            // Neighbour solicitations come from it.
            host.ip(&format!("address add fe80::{number}/64 dev {device} nodad"));
            host.ip(&format!("link set {device} up"));
        }
    }
}
