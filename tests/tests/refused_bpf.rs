//! bpf(2) refused, at the start and later: told with a remedy, and whatever can do without goes on.
//!
//! ```text
//!   a1, a2 ── node 1 (vtepd): one VNI, no peers
//! ```

use serde_json::Value;
use vtep_tests::daemon::xdp_programs;
use vtep_tests::process::Process;
use vtep_tests::refusal::{BpfCommand, Tampering, without};
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, Node, Segment, Surge, Underlay, Variant, Workload, programs, wait_until};

struct Net {
    _underlay: Underlay,
    a: Node,
    a1: Workload,
    a2: Workload,
}

impl Net {
    fn new() -> Self {
        let underlay = Underlay::new();
        let a = underlay.node(1);
        let (a1, a2) = (a.workload("a1", "10.0.0.1"), a.workload("a2", "10.0.0.2"));
        for workload in [&a1, &a2] {
            workload.namespace.run("ethtool -K eth0 gro on");
        }
        Self { _underlay: underlay, a, a1, a2 }
    }

    fn prepare(&self) -> Daemon<'_> {
        let segment = Segment::vxlan(100).access(&self.a1).access(&self.a2);
        Daemon::prepare(&self.a, &Variant::ONE_WORKER.config(&self.a, &[segment]))
    }
}

fn transmit(daemon: &Daemon<'_>, port: &str) -> Value {
    daemon.port(port)["transmit"].take()
}

/// The program cannot be loaded: by a seccomp filter, and in a user namespace, whose root has no rights over BPF.
#[test]
fn a_program_that_may_not_be_loaded_ends_the_start() {
    let net = Net::new();
    let daemon = net.prepare();
    let words = ["loading the XDP program: not permitted", "CAP_BPF", "seccomp", "user namespace"];
    without(BpfCommand::ProgLoad, || daemon.refusal()).assert_fails(1, &words);
    let mut command = net.a.namespace.command("unshare");
    command.args(["--user", "--map-root-user"]).arg(programs::vtepd());
    let finished = Process::start(command.arg("--config").arg(daemon.config_path())).wait(SOON);
    finished.assert_fails(1, &words[1..]);
    assert!(!daemon.socket().exists(), "a socket is left");
    assert_eq!(xdp_programs(&net.a.namespace), Vec::<String>::new());
}

/// It cannot be attached: every port says so, and the daemon can be asked.
#[test]
fn a_program_that_may_not_be_attached_leaves_ports_down() {
    let net = Net::new();
    let mut daemon = net.prepare();
    without(BpfCommand::LinkCreate, || daemon.launch());
    for port in daemon.list("port show") {
        assert_eq!(port["state"], "DOWN", "{port}");
        let why = port["degraded"].to_string();
        assert!(
            why.contains("attaching the XDP program: not permitted") && why.contains("seccomp"),
            "{port}"
        );
    }
}

/// Bursts are refused from the start: the rings do, and every port says why.
#[test]
fn a_daemon_that_may_not_run_programs_uses_its_rings() {
    let net = Net::new();
    let mut daemon = net.prepare();
    without(BpfCommand::ProgRun, || daemon.launch());
    daemon.wait_for_ports();
    net.a1.reaches(&net.a2);
    let mut surge = Surge::open(&net.a1, &net.a2);
    for _ in 0..10 {
        surge.send(100);
        surge.assert_in_order();
    }
    surge.assert_arrived(9);
    let transmit = transmit(&daemon, "a2");
    assert_eq!(transmit["active"], "ring", "{transmit}");
    for part in ["BPF_PROG_RUN", "CAP_BPF", "seccomp"] {
        assert!(transmit["reason"].to_string().contains(part), "{transmit}");
    }
    assert!(daemon.log().contains("frames leave by rings only"), "the log does not tell");
    assert_eq!(daemon.calls("bursts"), 0);
}

/// Nobody may listen to what devices refuse from a burst: bursts go on, and whoever reads the counts is told.
#[test]
fn a_daemon_that_cannot_count_what_devices_refuse_says_so() {
    let net = Net::new();
    let mut daemon = net.prepare();
    without(BpfCommand::RawTracepointOpen, || daemon.launch());
    daemon.wait_for_ports();
    net.a1.reaches(&net.a2);
    wait_until("a2 is burst to", SOON, || transmit(&daemon, "a2")["active"] == "burst");
    let port = daemon.port("a2");
    for part in ["count as sent", "Operation not permitted", "CAP_PERFMON", "btf", "ring"] {
        assert!(port["degraded"].to_string().contains(part), "{port}");
    }
    assert_eq!(daemon.log().matches("count as sent").count(), 1, "told in the log, once");
}

/// Bursts are refused while they are in use: their frames leave by rings, the port says so, and bursts come back.
#[test]
fn bursts_refused_under_way_fall_back_to_rings_and_come_back() {
    let net = Net::new();
    let mut daemon = net.prepare();
    daemon.launch();
    daemon.wait_for_ports();
    net.a1.reaches(&net.a2);
    let mut surge = Surge::open(&net.a1, &net.a2);
    let mut until = |what: &str, daemon: &Daemon<'_>, reached: &dyn Fn() -> bool| {
        wait_until(what, SOON * 2, || {
            // Well within the queue of the device's other end, also when some still wait there.
            surge.send(100);
            surge.assert_in_order();
            assert_eq!(daemon.drops("TX_REFUSED") + daemon.drops("TX_RING_FULL"), 0, "{surge:?}");
            reached()
        });
    };
    until("frames leave by burst", &daemon, &|| daemon.calls("bursts") > 0);
    let tampering = Tampering::begin(daemon.id(), "worker-0", "ENOMEM");
    until("the port uses its ring", &daemon, &|| transmit(&daemon, "a2")["active"] == "ring");
    assert!(tampering.refused() > 0);
    let told = transmit(&daemon, "a2");
    assert!(told["reason"].to_string().contains("no memory to spare"), "{told}");
    let before = daemon.calls("bursts");
    drop(tampering);
    until("frames leave by burst again", &daemon, &|| {
        transmit(&daemon, "a2")["active"] == "burst" && daemon.calls("bursts") > before
    });
    assert!(daemon.log().contains("bursts are tried again"), "the log does not tell");
    surge.assert_arrived(9);
}
