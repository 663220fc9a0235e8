//! Configuration files: every fault is told with its place and its remedy, and every file we ship works.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vtep_tests::process::{Finished, Process};
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, Namespace, Underlay, programs, wait_until};

/// A file of values that cannot be.
const IMPOSSIBLE: &str = r#"[daemon]
colour = "red"

[umem]
chunks = 1000

[[port]]
name = "a1"
vni = 100
mode = "fast"

[[port]]
name = "a2"

[[port]]
name = "a3"
vni = 300

[[vni]]
id = 300
local = "192.0.2.1"
ageing = "soon"

[[vni]]
id = 16777216
local = "192.0.2"

[[vni]]
id = 100
local = "192.0.2.1"
remotes = ["192.0.2.1", "192.0.2.2", "192.0.2.2"]

[[fdb]]
vni = 100
mac = "01:00:00:00:00:01"
port = "nobody"
"#;

/// What is said of it: place and words.
const OF_IMPOSSIBLE: &[(&str, &str)] = &[
    ("2:1", "unknown key `colour` in [daemon]"),
    ("5:10", "the UMEM cannot have 1000 chunks"),
    ("10:8", "`mode` is \"fast\"; it must be one of \"auto\", \"zerocopy\", \"native\", \"generic\""),
    ("12:1", "port a2 is neither an uplink nor in a VNI"),
    (
        "22:10",
        "`ageing` is \"soon\"; it must be whole seconds, as a string such as \"300s\" or \"5m\" or as an integer",
    ),
    ("25:6", "`id` is 16777216; it must be an integer from 0 to 16777215"),
    ("26:9", "`local` is \"192.0.2\"; it must be a string with an IP address"),
    ("31:12", "remote 192.0.2.1 is the local address of VNI 100"),
    ("31:38", "remote 192.0.2.2 of VNI 100 is configured twice"),
    ("35:7", "01:00:00:00:00:01 is a multicast address"),
    ("36:8", "FDB entry 01:00:00:00:00:01 points to port nobody, which does not exist"),
];

/// A file of values that do not go together.
const CONTRADICTORY: &str = r#"[[port]]
name = "a"
vni = 300

[[port]]
name = "b"
device = "a"
role = "uplink"

[[port]]
name = "b"
role = "uplink"

[[vni]]
id = 100
local = "192.0.2.1"
key = 3

[[fdb]]
vni = 300
mac = "02:00:00:00:00:01"
port = "a"
remote = "192.0.2.2"

[[fdb]]
vni = 100
mac = "02:00:00:00:00:01"
port = "a"

[[neighbour]]
vni = 100
address = "224.0.0.1"
mac = "02:00:00:00:00:01"
"#;

/// What is said of it: place and words.
const OF_CONTRADICTORY: &[(&str, &str)] = &[
    ("3:7", "VNI 300 is not configured"),
    ("7:10", "device a of port b is taken by port a"),
    ("10:1", "port b is configured twice"),
    ("17:7", "`key` is of GRE, but VNI 100 is VXLAN"),
    ("23:10", "FDB entry 02:00:00:00:00:01 of VNI 300 points to a port and to a remote"),
    ("28:8", "FDB entry 02:00:00:00:00:01 of VNI 100 points to port a, which is in VNI 300"),
    ("32:11", "224.0.0.1 cannot be a neighbour: it is a multicast group"),
];

fn check(file: &Path) -> Finished {
    Finished::of(Command::new(programs::vtepd()).arg("--check").arg("--config").arg(file))
}

#[test]
fn every_fault_is_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("faulty.toml");
    for (text, faults) in [(IMPOSSIBLE, OF_IMPOSSIBLE), (CONTRADICTORY, OF_CONTRADICTORY)] {
        fs::write(&file, text).unwrap();
        let finished = check(&file);
        assert_eq!(finished.code, Some(1), "{finished}");
        let prefix = format!("{}:", file.display());
        let told: Vec<&str> = finished.stderr.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
        let expected: Vec<String> =
            faults.iter().map(|(place, words)| format!("{place}: error: {words}")).collect();
        assert_eq!(told, expected);
        assert_eq!(
            finished.stderr.matches("\n  help: ").count(),
            faults.len(),
            "without a remedy: {finished}"
        );

        // The daemon refuses it with the same words and touches nothing.
        let namespace = Namespace::new("faulty");
        let mut command = namespace.command(programs::vtepd());
        let started = Process::start(command.arg("--config").arg(&file)).wait(SOON);
        assert_eq!((started.code, started.stderr), (Some(1), finished.stderr));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.toml");
    check(&missing).assert_fails(1, &["missing.toml: error: there is no such file", "help: "]);
    let broken = directory.path().join("broken.toml");
    fs::write(&broken, "[[port]\nname = 1").unwrap();
    check(&broken).assert_fails(1, &["broken.toml:1:8: error: ", "help: "]);
    let binary = directory.path().join("binary.toml");
    fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    check(&binary).assert_fails(1, &["binary.toml", "error: ", "help: "]);
    Finished::of(Command::new(programs::vtepd()).arg("--check")).assert_fails(2, &["--config"]);
    Finished::of(Command::new(programs::vtepd()).arg("--colour")).assert_fails(2, &["--colour"]);
}

/// The files we ship.
fn shipped() -> Vec<PathBuf> {
    let entries = fs::read_dir(programs::repository().join("configs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

#[test]
fn every_shipped_file_passes_the_check() {
    let files = shipped();
    assert!(files.iter().any(|file| file.ends_with("reference.toml")), "{files:?}");
    for file in files {
        assert_eq!(check(&file).output(), format!("{}: ok\n", file.display()));
    }
}

/// Each runs on a host that has the devices it names.
#[test]
fn every_shipped_file_runs() {
    let underlay = Underlay::new();
    let node = underlay.node(1);
    for file in shipped() {
        // Its socket is ours, whatever it says; its group and its processors may not exist here.
        let text = fs::read_to_string(&file).unwrap();
        let elsewhere = ["socket_group =", "cpu ="];
        let lines = text.lines().filter(|line| !elsewhere.iter().any(|key| line.starts_with(key)));
        let daemon = Daemon::prepare(&node, "");
        fs::write(daemon.config_path(), lines.collect::<Vec<_>>().join("\n")).unwrap();
        let mut command = daemon.command();
        let mut process = Process::start(command.arg("--socket").arg(daemon.socket()));
        wait_until(&format!("{} is served", file.display()), SOON, || {
            assert!(process.is_running(), "{}: {}", file.display(), process.stderr());
            daemon.ctl("status").success()
        });
        let devices: Vec<String> =
            daemon.list("port show").iter().map(|port| port["device"].as_str().unwrap().to_owned()).collect();
        let queues = "numrxqueues 4 numtxqueues 4";
        for (number, device) in devices.iter().enumerate() {
            let peer = format!("peer{number}");
            node.namespace.ip(&format!("link add {device} {queues} type veth peer name {peer} {queues}"));
            node.namespace.ip(&format!("link set {device} up"));
            node.namespace.ip(&format!("link set {peer} up"));
        }
        wait_until(&format!("the ports of {} come up", file.display()), SOON, || {
            let status = daemon.show("status");
            status["ports_up"] == status["ports"]
        });
        daemon.assert_balanced();
        process.signal(rustix::process::Signal::TERM);
        assert!(process.wait(SOON).success(), "{}: {}", file.display(), process.stderr());
        for device in &devices {
            node.namespace.ip(&format!("link del {device}"));
        }
    }
}
