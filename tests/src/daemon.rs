//! A real vtepd on a node, and vtep-ctl to talk to it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::config_text::Variant;
use crate::netns::Namespace;
use crate::process::{Finished, Process};
use crate::programs;
use crate::topology::{Node, Segment};
use crate::wait::{SOON, wait_until};

/// Lines of the log that a failed test shows.
const LOG_LINES: usize = 100;

/// A running daemon. When it is dropped at the end of a test it must balance its frames and its frame memory, end
/// cleanly on SIGTERM and leave nothing behind; when the test has failed its log is shown instead.
#[derive(Debug)]
pub struct Daemon<'a> {
    namespace: &'a Namespace,
    directory: TempDir,
    process: Option<Process>,
}

impl<'a> Daemon<'a> {
    /// Starts a daemon with an uplink and these segments; returns when all its ports are up and all its remotes
    /// reachable.
    #[must_use]
    pub fn start(node: &'a Node, variant: Variant, segments: &[Segment]) -> Self {
        Self::ready(node, &variant.config(node, segments))
    }

    /// Starts a daemon with a configuration; returns when all its ports are up and all its remotes reachable.
    #[must_use]
    pub fn ready(node: &'a Node, config: &str) -> Self {
        let daemon = Self::with_config(node, config);
        daemon.wait_for_ports();
        daemon.wait_for_remotes();
        daemon
    }

    /// Starts a daemon with a configuration, to which the place of its socket is added; returns when it answers.
    #[must_use]
    pub fn with_config(node: &'a Node, config: &str) -> Self {
        let mut daemon = Self::prepare(node, config);
        daemon.launch();
        daemon
    }

    /// Writes the configuration without starting anything.
    #[must_use]
    pub fn prepare(node: &'a Node, config: &str) -> Self {
        let directory =
            tempfile::Builder::new().prefix("vtep-daemon-").tempdir().expect("temporary directory");
        let daemon = Self { namespace: &node.namespace, directory, process: None };
        daemon.rewrite(config);
        daemon
    }

    /// Starts the program and waits until it answers.
    pub fn launch(&mut self) {
        let mut process = Process::start(&mut self.command());
        wait_until("vtepd answers", SOON, || {
            let answers = self.ctl("status").success();
            assert!(answers || process.is_running(), "vtepd ended at start: {}", process.wait(SOON));
            answers
        });
        self.process = Some(process);
    }

    /// Runs the program to its end, for configurations that it must refuse.
    #[must_use]
    pub fn refusal(&self) -> Finished {
        Process::start(&mut self.command()).wait(SOON)
    }

    /// The command that starts the program.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = self.namespace.command(programs::vtepd());
        command.arg("--config").arg(self.config_path());
        command
    }

    /// Its control socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("vtep.sock")
    }

    /// Its configuration file.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.directory.path().join("vtepd.toml")
    }

    /// Replaces its configuration file, which changes nothing by itself.
    pub fn rewrite(&self, config: &str) {
        let text = format!("[daemon]\nsocket = \"{}\"\n\n{config}", self.socket().display());
        fs::write(self.config_path(), text).expect("write a configuration");
    }

    /// Sends SIGHUP: the daemon reads its file again.
    pub fn hang_up(&self) {
        self.running().signal(Signal::HUP);
    }

    /// Runs vtep-ctl with a command line, split at white space.
    #[must_use]
    pub fn ctl(&self, line: &str) -> Finished {
        let mut command = Command::new(programs::vtep_ctl());
        command.arg("--socket").arg(self.socket()).args(line.split_whitespace());
        Finished::of(&mut command)
    }

    /// Runs vtep-ctl, which must succeed.
    #[track_caller]
    pub fn change(&self, line: &str) {
        let _ = self.ctl(line).output();
    }

    /// What vtep-ctl answers as JSON.
    #[must_use]
    #[track_caller]
    pub fn show(&self, line: &str) -> Value {
        let text = self.ctl(&format!("--json {line}")).output();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{line}` is no JSON: {error}: {text}"))
    }

    /// The entries of a listing, as JSON.
    #[must_use]
    #[track_caller]
    pub fn list(&self, line: &str) -> Vec<Value> {
        let value = self.show(line);
        value.as_array().unwrap_or_else(|| panic!("`{line}` is no list: {value}")).clone()
    }

    /// The forwarding entry of an address in a VNI.
    #[must_use]
    pub fn entry(&self, vni: u32, mac: &str) -> Option<Value> {
        self.list(&format!("fdb show vni {vni}")).into_iter().find(|entry| entry["mac"] == mac)
    }

    /// Frames dropped for a reason, on all ports.
    #[must_use]
    pub fn drops(&self, reason: &str) -> u64 {
        let drops = self.list("drops show all");
        let of_reason = drops.iter().filter(|drop| drop["reason"] == reason);
        of_reason.filter_map(|drop| drop["count"].as_u64()).sum()
    }

    /// Waits until the log tells of frames from a port that were refused.
    pub fn wait_for_refusal(&self, reason: &str, port: &str) {
        let (port, reason) = (format!("port=\"{port}\""), format!("reason=\"{reason}\""));
        wait_until("the log tells of the refusal", SOON, || {
            self.log().lines().any(|line| line.contains(&port) && line.contains(&reason))
        });
    }

    /// Waits until every configured port is up.
    pub fn wait_for_ports(&self) {
        wait_until("all ports are up", SOON, || {
            let status = self.show("status");
            status["ports_up"] == status["ports"]
        });
    }

    /// Waits until every configured remote is reachable.
    pub fn wait_for_remotes(&self) {
        wait_until("all remotes are reachable", SOON, || {
            let status = self.show("status");
            status["remotes_reachable"] == status["remotes"]
        });
    }

    /// Asserts that every frame and every chunk is accounted for. The counters are read while they move, hence the
    /// wait.
    pub fn assert_balanced(&self) {
        let number = |of: &Value, key: &str| of[key].as_u64().unwrap_or_else(|| panic!("no {key} in {of}"));
        let mut last = Value::Null;
        let mut balanced = || {
            let stats = self.show("stats show");
            let of = |key: &str| number(&stats["balance"], key);
            let gone = of("tx") + of("dropped") + of("taken");
            let frames = of("rx") + of("copies") == gone + of("in_flight");
            let chunks = ["chunks", "jumbo_chunks"].map(|memory| {
                let of = |key: &str| number(&stats[memory], key);
                of("free") + of("rings") + of("flight") == of("total")
            });
            last = stats;
            frames && chunks == [true, true]
        };
        let start = std::time::Instant::now();
        while !balanced() {
            assert!(start.elapsed() < SOON, "frames or chunks are unaccounted for: {last:#}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asserts that ports which were to burst every frame did. A port without a receiver to burst to, which must not go
    /// unnoticed in tests that are about bursts, would have used its ring.
    fn assert_burst(&self) {
        let ports = self.list("port show");
        let told = |port: &&Value| port["transmit"]["configured"] == "burst" && port["state"] == "UP";
        let told: Vec<&Value> = ports.iter().filter(told).collect();
        if told.is_empty() {
            return;
        }
        for port in &told {
            assert_eq!(port["transmit"]["active"], "burst", "{port:#}");
        }
        let sent: u64 = told.iter().filter_map(|port| port["tx_packets"].as_u64()).sum();
        assert!(sent == 0 || self.calls("bursts") > 0, "{sent} frames left without a burst");
    }

    /// A port as `port show` has it.
    #[must_use]
    pub fn port(&self, name: &str) -> Value {
        self.list(&format!("port show {name}")).swap_remove(0)
    }

    /// How many system calls sent `bursts`, or rings (`flushes`), over all workers.
    #[must_use]
    pub fn calls(&self, what: &str) -> u64 {
        let stats = self.show("stats show");
        let workers = stats["workers"].as_array().expect("workers");
        workers.iter().filter_map(|worker| worker[what].as_u64()).sum()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::stderr).unwrap_or_default()
    }

    /// Its process identifier.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.running().id()
    }

    /// Stops it in its tracks, so that frames wait in its receive rings, while `work` is done.
    pub fn while_stopped(&self, work: impl FnOnce()) {
        self.running().signal(Signal::STOP);
        work();
        self.running().signal(Signal::CONT);
    }

    /// Ends it as `kill -9` does.
    pub fn kill9(&mut self) {
        self.process.take().expect("a running daemon").kill();
    }

    /// Ends it with SIGTERM and asserts that it leaves nothing behind.
    pub fn stop(&mut self) {
        self.assert_balanced();
        self.assert_burst();
        let mut process = self.process.take().expect("a running daemon");
        process.signal(Signal::TERM);
        let finished = process.wait(SOON);
        assert!(finished.success(), "vtepd after SIGTERM: {finished}");
        assert!(!finished.stderr.contains("panicked at"), "{finished}");
        assert!(!self.socket().exists(), "the socket is still there");
        assert_eq!(xdp_programs(self.namespace), Vec::<String>::new(), "XDP programs are left");
    }

    /// Whether the program runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("a running daemon")
    }

    fn show_log(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        eprintln!("--- vtepd in {}, last lines of its log\n{}\n---", self.namespace.name(), last.join("\n"));
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if self.process.is_none() {
            return;
        }
        if thread::panicking() {
            self.show_log();
            return;
        }
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.stop()));
        if let Err(cause) = stopped {
            self.show_log();
            std::panic::resume_unwind(cause);
        }
    }
}

/// Names of a namespace's devices that have an XDP program.
#[must_use]
pub fn xdp_programs(namespace: &Namespace) -> Vec<String> {
    let text = namespace.ip("-json link show");
    let links: Vec<Value> = serde_json::from_str(&text).expect("JSON from ip");
    let with_program = links.iter().filter(|link| link.get("xdp").is_some());
    with_program.filter_map(|link| link["ifname"].as_str().map(str::to_owned)).collect()
}
