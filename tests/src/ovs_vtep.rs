//! Open vSwitch's userspace datapath as a far side: the kernel of a test machine need not have GRE.
//!
//! Each switch is a database server and a daemon of its own, in the node's namespace, with its own directory for
//! sockets and files.
//!
//! ```text
//!   workload ── br-int ── gre<VNI>                 br-phy ── up0 ── underlay
//!                            └── native tunnel ──▶ (192.0.2.n, routed by OVS itself)
//! ```

use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::{Finished, Process};
use crate::topology::{Access, Encapsulation, Node, Segment, UNDERLAY_MTU, Workload};
use crate::wait::{SOON, wait_until};

/// Where the package puts the database's schema.
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// How Open vSwitch takes frames from devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortKind {
    /// By packet sockets, in its main thread.
    Packet,
    /// By AF_XDP in native mode, in a polling thread on this CPU.
    Afxdp {
        /// The CPU.
        cpu: usize,
    },
}

impl PortKind {
    /// What to say of a device's interface.
    fn words(self, device: &str) -> String {
        match self {
            Self::Packet => String::new(),
            Self::Afxdp { .. } => {
                format!(" -- set interface {device} type=afxdp options:n_rxq=1 options:xdp-mode=native")
            }
        }
    }
}

/// A running Open vSwitch. Dropping it ends its programs.
#[derive(Debug)]
pub struct OvsVtep {
    directory: TempDir,
    // The daemon first: it complains at length when its database goes away.
    daemon: Process,
    _database: Process,
}

impl OvsVtep {
    /// Starts a switch on `node` with one bridge and one tunnel port per remote for each segment.
    #[must_use]
    pub fn start(node: &Node, segments: &[Segment]) -> Self {
        Self::with_ports(node, segments, PortKind::Packet)
    }

    /// The same with ports of a kind.
    #[must_use]
    pub fn with_ports(node: &Node, segments: &[Segment], ports: PortKind) -> Self {
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
        // The socket is there before anybody listens at it.
        wait_until("ovsdb-server listens", SOON, || UnixStream::connect(path("db.sock")).is_ok());
        configure(directory.path(), "--no-wait init");
        if let PortKind::Afxdp { cpu } = ports {
            let mask = 1_u64 << cpu;
            configure(directory.path(), &format!("--no-wait set open . other_config:pmd-cpu-mask={mask:#x}"));
        }
        if ports == PortKind::Packet {
            Self::cut_as_by_a_wire(node);
        }
        let daemon = program("ovs-vswitchd", &[text("unix:", "db.sock"), text("--unixctl=", "switch.ctl")]);
        let uplink = ports.words("up0");
        let words =
            format!("add-br br-phy -- set bridge br-phy datapath_type=netdev -- add-port br-phy up0{uplink}");
        configure(directory.path(), &words);
        node.namespace.ip("addr flush dev up0");
        node.namespace.ip(&format!("addr add {}/24 dev br-phy", node.address));
        if segments.iter().any(|segment| segment.families().0) {
            node.namespace.ip(&format!("addr add {}/64 dev br-phy nodad", node.address6()));
        }
        node.namespace.ip(&format!("link set br-phy mtu {UNDERLAY_MTU} up"));
        for segment in segments {
            configure(directory.path(), &segment_words(node, segment, ports));
        }
        Self { directory, daemon, _database: database }
    }

    /// Says something to `ovs-vsctl`, split at white space; gives its answer.
    pub fn configure(&self, words: &str) -> String {
        configure(self.directory.path(), words)
    }

    /// The socket that `ovs-appctl` talks to.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.directory.path().join("switch.ctl")
    }

    /// The daemon's process identifier.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// The addresses that the bridge of a segment has learned, with the number of the port each is behind.
    #[must_use]
    pub fn learned(&self, vni: u32) -> Vec<(String, u32)> {
        let mut command = Command::new("ovs-appctl");
        command.arg("--target").arg(self.control()).arg("fdb/show").arg(format!("br-{vni}"));
        let text = Finished::of(&mut command).output();
        let entry = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            Some((words.get(2)?.to_string(), words.first()?.parse().ok()?))
        };
        text.lines().filter_map(entry).collect()
    }

    /// Makes the underlay hand this switch what a wire would. Where NAPI runs on the underlay the kernel joins packets to
    /// larger ones; on a veth nobody cuts them and completes their checksums, and the userspace datapath takes them as
    /// they are.
    fn cut_as_by_a_wire(node: &Node) {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &node.underlay, "ethtool", "-K", &node.underlay_device, "tx", "off"]);
        let _ = Finished::of(&mut command).output();
    }

    /// Makes a workload of this switch send complete checksums: its userspace datapath passes a workload's frames on
    /// as they are and does not complete them.
    pub fn complete_checksums(workload: &Workload) {
        let _ = workload.namespace.run("ethtool -K eth0 tx off");
    }
}

/// Runs `ovs-vsctl` on the database in a directory.
fn configure(directory: &Path, words: &str) -> String {
    let mut command = Command::new("ovs-vsctl");
    command.arg("--timeout=60").arg(format!("--db=unix:{}", directory.join("db.sock").display()));
    Finished::of(command.args(words.split_whitespace())).output()
}

/// The configuration of one segment. Workloads are ports 1, 2, …, tunnels 101, 102, ….
fn segment_words(node: &Node, segment: &Segment, ports: PortKind) -> String {
    let Segment { vni, encapsulation, devices, remotes, .. } = segment;
    let kind = match encapsulation {
        Encapsulation::Vxlan => "vxlan",
        Encapsulation::Gre => "gre",
    };
    let mut words = format!("add-br br-{vni} -- set bridge br-{vni} datapath_type=netdev");
    for (number, Access { name: device, .. }) in (1..).zip(devices) {
        words += &format!(" -- add-port br-{vni} {device} -- set interface {device} ofport_request={number}");
        words += &ports.words(device);
    }
    for (number, remote) in (1..).zip(remotes) {
        let local = if remote.is_ipv6() { IpAddr::V6(node.address6()) } else { IpAddr::V4(node.address) };
        words += &format!(
            " -- add-port br-{vni} {kind}{vni}-{number} -- set interface {kind}{vni}-{number} type={kind} \
             ofport_request={} options:local_ip={local} options:remote_ip={remote} options:key={vni}",
            100 + number
        );
    }
    words
}
