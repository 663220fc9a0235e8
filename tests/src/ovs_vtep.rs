//! Open vSwitch's userspace datapath as a far side: the kernel of a test machine need not have GRE.
//!
//! Each switch is a database server and a daemon of its own, in the node's namespace, with its own directory for
//! sockets and files.
//!
//! ```text
//!   workload ── br-int ── gre<VNI>                 br-phy ── up0 ── underlay
//!                            └── native tunnel ──▶ (192.0.2.n, routed by OVS itself)
//! ```

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Finished, Process};
use crate::topology::{Encapsulation, Node, Segment, UNDERLAY_MTU, Workload};
use crate::wait::{SOON, wait_until};

/// Where the package puts the database's schema.
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A running Open vSwitch. Dropping it ends its programs.
#[derive(Debug)]
pub struct OvsVtep {
    directory: TempDir,
    // The daemon first: it complains at length when its database goes away.
    _daemon: Process,
    _database: Process,
}

impl OvsVtep {
    /// Starts a switch on `node` with one bridge and one tunnel port per remote for each segment.
    #[must_use]
    pub fn start(node: &Node, segments: &[Segment]) -> Self {
        let directory = tempfile::Builder::new().prefix("vtep-ovs-").tempdir().expect("temporary directory");
        let path = |name: &str| directory.path().join(name);
        let _ =
            Finished::of(Command::new("ovsdb-tool").arg("create").arg(path("conf.db")).arg(SCHEMA)).output();
        let program = |name: &str, words: &[String]| {
            let mut command = node.namespace.command(name);
            command.args(words).env("OVS_RUNDIR", directory.path()).env("OVS_LOGDIR", directory.path());
            Process::start(&mut command)
        };
        let text = |prefix: &str, name: &str| format!("{prefix}{}", path(name).display());
        let database = program(
            "ovsdb-server",
            &[text("", "conf.db"), text("--remote=punix:", "db.sock"), text("--unixctl=", "database.ctl")],
        );
        wait_until("ovsdb-server listens", SOON, || path("db.sock").exists());
        let configure = |words: &str| {
            let mut command = Command::new("ovs-vsctl");
            command.arg("--timeout=10").arg(text("--db=unix:", "db.sock")).args(words.split_whitespace());
            let _ = Finished::of(&mut command).output();
        };
        configure("--no-wait init");
        let daemon = program("ovs-vswitchd", &[text("unix:", "db.sock"), text("--unixctl=", "switch.ctl")]);
        configure("add-br br-phy -- set bridge br-phy datapath_type=netdev -- add-port br-phy up0");
        node.namespace.ip("addr flush dev up0");
        node.namespace.ip(&format!("addr add {}/24 dev br-phy", node.address));
        node.namespace.ip(&format!("link set br-phy mtu {UNDERLAY_MTU} up"));
        for segment in segments {
            configure(&segment_words(node.address, segment));
        }
        Self { directory, _daemon: daemon, _database: database }
    }

    /// The addresses that the bridge of a segment has learned, with the number of the port each is behind.
    #[must_use]
    pub fn learned(&self, vni: u32) -> Vec<(String, u32)> {
        let control: PathBuf = self.directory.path().join("switch.ctl");
        let mut command = Command::new("ovs-appctl");
        command.arg("--target").arg(control).arg("fdb/show").arg(format!("br-{vni}"));
        let text = Finished::of(&mut command).output();
        let entry = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some((words.get(2)?.to_string(), words.first()?.parse().ok()?))
        };
        text.lines().filter_map(entry).collect()
    }

    /// Makes a workload of this switch send complete checksums: its userspace datapath passes a workload's frames on
    /// as they are and does not complete them.
    pub fn complete_checksums(workload: &Workload) {
        let _ = workload.namespace.run("ethtool -K eth0 tx off");
    }
}

/// The configuration of one segment. Workloads are ports 1, 2, …, tunnels 101, 102, ….
fn segment_words(local: Ipv4Addr, segment: &Segment) -> String {
    let Segment { vni, encapsulation, devices, remotes, .. } = segment;
    let kind = match encapsulation {
        Encapsulation::Vxlan => "vxlan",
        Encapsulation::Gre => "gre",
    };
    let mut words = format!("add-br br-{vni} -- set bridge br-{vni} datapath_type=netdev");
    for (number, device) in (1..).zip(devices) {
        words += &format!(" -- add-port br-{vni} {device} -- set interface {device} ofport_request={number}");
    }
    for (number, remote) in (1..).zip(remotes) {
        words += &format!(
            " -- add-port br-{vni} {kind}{vni}-{number} -- set interface {kind}{vni}-{number} type={kind} \
             ofport_request={} options:local_ip={local} options:remote_ip={remote} options:key={vni}",
            100 + number
        );
    }
    words
}
