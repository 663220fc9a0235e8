//! Network namespaces, veth pairs and patience.

use std::os::fd::AsFd;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace with a name of its own, deleted on drop.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("xsk-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        run(&["ip", "netns", "add", &name]);
        let namespace = Self { name };
        namespace.run(&["ip", "link", "set", "lo", "up"]);
        // No router solicitations and the like among the test's frames.
        namespace.run(&["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"]);
        namespace
    }

    /// Runs a command inside, which must succeed.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        run(&[&["ip", "netns", "exec", &self.name], command].concat())
    }

    /// Runs a closure on a thread inside.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(&self.name);
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    pub(crate) fn ifindex(&self, device: &str) -> u32 {
        let line = self.run(&["ip", "-o", "link", "show", device]);
        line.split(':').next().unwrap().trim().parse().unwrap()
    }

    /// Attaches an XDP program as `ip` does: by netlink, without a link.
    pub(crate) fn attach_foreign_program(&self, device: &str) {
        let directory = tempfile::tempdir().unwrap();
        let (source, object) = (directory.path().join("pass.c"), directory.path().join("pass.o"));
        let text = "__attribute__((section(\"xdp\"), used)) int pass(void *frame) { return 2; }";
        std::fs::write(&source, text).unwrap();
        let (source, object) = (source.to_str().unwrap(), object.to_str().unwrap());
        run(&["clang", "-O2", "-g", "-target", "bpf", "-c", source, "-o", object]);
        self.run(&["ip", "link", "set", device, "xdp", "object", object, "section", "xdp"]);
    }

    /// Whether a device has an XDP program.
    pub(crate) fn has_program(&self, device: &str) -> bool {
        self.run(&["ip", "link", "show", device]).contains("prog/xdp")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// Moves the calling thread into a namespace.
pub(crate) fn enter(name: &str) {
    let file = open(format!("/run/netns/{name}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

/// A veth pair `near` in one namespace and `far` in another, both up, with so many queues on each side.
pub(crate) fn veth(here: &Namespace, near: &str, there: &Namespace, far: &str, queues: u32) {
    let queues = queues.to_string();
    let sizes = ["numrxqueues", &queues, "numtxqueues", &queues];
    run(&[
        &["ip", "link", "add", "name", near, "netns", &here.name],
        &sizes[..],
        &["type", "veth", "peer", "name", far, "netns", &there.name],
        &sizes,
    ]
    .concat());
    here.run(&["ip", "link", "set", near, "up"]);
    there.run(&["ip", "link", "set", far, "up"]);
    wait_for("carrier", || here.run(&["ip", "link", "show", near]).contains("LOWER_UP"));
}

pub(crate) fn output(command: &[&str]) -> Output {
    Command::new(command[0]).args(&command[1..]).output().expect(command[0])
}

fn run(command: &[&str]) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until a condition holds.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
