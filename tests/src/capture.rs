//! Captures: tcpdump writes a file, tcpdump and tshark count what is in it.

use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::netns::Namespace;
use crate::process::{Finished, Process};
use crate::topology::Workload;
use crate::wait::{SOON, wait_until};

/// A running capture of everything that passes a device.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    captured: Captured,
}

/// A capture that has ended, or what a running one has so far.
#[derive(Debug)]
pub struct Captured {
    directory: TempDir,
}

impl Capture {
    /// Starts to capture what passes a device in either direction; what passes after the return is in the capture.
    #[must_use]
    pub fn start(namespace: &Namespace, device: &str) -> Self {
        Self::direction(namespace, device, "inout", 65_536)
    }

    /// Starts to capture what a workload receives.
    #[must_use]
    pub fn received(workload: &Workload) -> Self {
        Self::direction(&workload.namespace, "eth0", "in", 8192)
    }

    fn direction(namespace: &Namespace, device: &str, direction: &str, kibibytes: u32) -> Self {
        let directory =
            tempfile::Builder::new().prefix("vtep-capture-").tempdir().expect("temporary directory");
        let captured = Captured { directory };
        let mut command = namespace.command("tcpdump");
        // tcpdump would give up root, and with it the right to write to our directory. In immediate mode the kernel's
        // buffer has one slot of the snapshot length per frame: 64 MiB are some 32,000.
        command.args(["-Z", "root", "-n", "-U", "--immediate-mode", "-s", "2000"]);
        command.args(["-B", &kibibytes.to_string(), "-Q", direction, "-i", device, "-w"]);
        let mut process = Process::start(command.arg(captured.file()));
        process.wait_for_stderr("listening on", SOON);
        Self { process, captured }
    }

    /// Frames so far that a tcpdump filter selects.
    #[must_use]
    pub fn count(&self, filter: &str) -> usize {
        self.captured.count(filter)
    }

    /// Waits until at least `count` frames that the filter selects have been seen.
    pub fn wait_for(&self, filter: &str, count: usize) {
        let what = format!("{count} frames of \"{filter}\" are captured");
        wait_until(&what, SOON, || self.count(filter) >= count);
    }

    /// What it has so far; see [`Captured::decoded`].
    #[must_use]
    pub fn decoded(&self, filter: &str, fields: &[&str]) -> Vec<String> {
        self.captured.decoded(filter, fields)
    }

    /// Ends the capture, which must not have lost anything. What has passed before the call is in it.
    #[must_use]
    pub fn stop(mut self) -> Captured {
        // tcpdump leaves what it has not read yet when it is told to end, and tells nobody. Each frame wakes it, so it
        // sleeps only after it has read them all.
        wait_until("tcpdump has read every frame", SOON, || self.process.is_idle());
        self.process.signal(Signal::INT);
        // Its socket goes under the same lock of the kernel that others wait for.
        let finished = self.process.wait(SOON);
        assert!(finished.success(), "{finished}");
        assert!(finished.stderr.contains("\n0 packets dropped by kernel"), "{finished}");
        self.captured
    }
}

impl Captured {
    fn file(&self) -> PathBuf {
        self.directory.path().join("capture.pcap")
    }

    /// Frames that a tcpdump filter selects; all for the empty filter.
    #[must_use]
    pub fn count(&self, filter: &str) -> usize {
        let mut command = Command::new("tcpdump");
        command.args(["-n", "-q", "-t", "-r"]).arg(self.file()).arg(filter);
        let finished = Finished::of(&mut command);
        // A capture in progress may end within a frame; whatever else goes wrong is the filter's fault.
        assert!(finished.success() || finished.stderr.contains("truncated dump file"), "{finished}");
        finished.stdout.lines().filter(|line| !line.starts_with(char::is_whitespace)).count()
    }

    /// One line per frame that a tshark display filter selects, with the fields asked for, separated by tabs.
    #[must_use]
    pub fn decoded(&self, filter: &str, fields: &[&str]) -> Vec<String> {
        let mut command = Command::new("tshark");
        command.args([
            "-o",
            "ip.check_checksum:TRUE",
            "-o",
            "udp.check_checksum:TRUE",
            // GRE in UDP, which it does not know by its port.
            "-d",
            "udp.port==4754,gre",
            "-T",
            "fields",
            "-Y",
            filter,
        ]);
        for field in fields {
            command.args(["-e", field]);
        }
        let finished = Finished::of(command.arg("-r").arg(self.file()));
        // As above: what has been read so far is all there.
        assert!(finished.success() || finished.stderr.contains("cut short"), "{finished}");
        finished.stdout.lines().map(str::to_owned).collect()
    }
}

/// Captures at several workloads, to see who receives a frame and who does not.
#[derive(Debug)]
pub struct Witnesses {
    captures: Vec<Capture>,
}

impl Witnesses {
    /// Starts a capture of what each workload receives.
    #[must_use]
    pub fn at(workloads: &[&Workload]) -> Self {
        Self { captures: workloads.iter().map(|workload| Capture::received(workload)).collect() }
    }

    /// The capture at one of them, in their order.
    #[must_use]
    pub fn of(&self, index: usize) -> &Capture {
        &self.captures[index]
    }

    /// Waits until each workload has received as many frames that the filter selects as `expected` says, in the order
    /// of the workloads, and asserts that none has received more. What must not come at all needs a frame after it
    /// that does come, and is waited for first.
    #[track_caller]
    pub fn expect(&self, what: &str, filter: &str, expected: &[usize]) {
        let counts = || -> Vec<usize> { self.captures.iter().map(|capture| capture.count(filter)).collect() };
        let enough = || counts().iter().zip(expected).all(|(count, least)| count >= least);
        let start = Instant::now();
        while !enough() && start.elapsed() < SOON {
            sleep(Duration::from_millis(20));
        }
        assert_eq!(counts(), expected, "{what}: frames of \"{filter}\" at each workload");
    }
}
