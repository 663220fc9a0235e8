//! TCP between two workloads on two nodes: what an application gets.
//!
//! ```text
//!   work-a ── veth ── node-a ══ underlay veth ══ node-b ── veth ── work-b        inner MTU 1450
//! ```
//!
//! Everything shares the machine's CPUs, as in real life, and nothing is pinned. The kernel's overlay is measured twice:
//! "super-frames", where the underlay veth carries segments of 64 KiB unsegmented, as no wire does, and "wire", where it
//! carries packets of MTU size because segmentation offload is off at the workloads. vtepd's underlay always carries
//! packets of MTU size.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, LinuxVtep, Namespace, Node, Segment, Variant, wait_until};

use super::fault::Fault;

/// The workloads' MTU: VXLAN over IPv4 on an Ethernet with 1500.
const MTU: u32 = 1450;

/// Whose overlay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlay {
    /// vtepd with default settings.
    Vtepd,
    /// Linux, packets of MTU size on the underlay.
    LinuxWire,
    /// Linux, 64 KiB segments on the underlay.
    LinuxSuperFrames,
}

impl Overlay {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Vtepd, Self::LinuxWire, Self::LinuxSuperFrames];

    /// What it is called in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vtepd => "vtepd, default settings",
            Self::LinuxWire => "Linux bridge + vxlan, packets of MTU size on the underlay (wire)",
            Self::LinuxSuperFrames => "Linux bridge + vxlan, 64 KiB super-frames on the underlay veth",
        }
    }
}

/// TCP over one overlay with some streams.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TcpResult {
    /// Whose.
    pub overlay: Overlay,
    /// Streams at a time.
    pub streams: u32,
    /// What each round found.
    pub rounds: Vec<TcpRound>,
}

/// One transfer.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct TcpRound {
    /// Bits per second that the receiving application got.
    pub bits_per_second: f64,
    /// Segments sent again.
    pub retransmits: u64,
    /// Mean round trip of pings without other traffic, in microseconds.
    pub ping_mean: f64,
}

/// The streams that are measured.
pub const STREAMS: [u32; 2] = [1, 8];

/// Measures one overlay with each number of streams, on a network built afresh.
///
/// # Errors
/// [`Fault::Contestant`] when iperf3 or ping gave no numbers.
pub fn measure(overlay: Overlay, seconds: u32) -> Result<Vec<(u32, TcpRound)>, Fault> {
    let network = Network::new();
    let segments = [network.segment(1), network.segment(0)];
    // Held until the end: they are the overlay.
    let (mut daemons, mut devices) = (Vec::new(), Vec::new());
    for (node, segment) in network.nodes.iter().zip(&segments) {
        let segment = std::slice::from_ref(segment);
        if overlay == Overlay::Vtepd {
            daemons.push(Daemon::start(node, Variant { workers: 0, transmit: "auto" }, segment));
        } else {
            devices.push(LinuxVtep::start(node, segment));
        }
    }
    if overlay == Overlay::LinuxWire {
        for workload in &network.workloads {
            let _ = workload.run("ethtool -K eth0 tso off gso off");
        }
    }
    let from = &network.workloads[0];
    wait_until("the workloads reach each other", SOON, || from.attempt("ping -c 1 -W 1 10.0.0.2").success());
    let ping_mean = ping(from)?;
    STREAMS
        .into_iter()
        .map(|streams| {
            let (bits_per_second, retransmits) = network.transfer(streams, seconds)?;
            Ok((streams, TcpRound { bits_per_second, retransmits, ping_mean }))
        })
        .collect()
}

/// Two nodes with one workload each.
struct Network {
    workloads: [Namespace; 2],
    nodes: [Node; 2],
}

impl Network {
    fn new() -> Self {
        let workloads = [Namespace::new("work-a"), Namespace::new("work-b")];
        let hosts = [Namespace::new("node-a"), Namespace::new("node-b")];
        let names = [hosts[0].name().to_owned(), hosts[1].name().to_owned()];
        let node = |number: u8, namespace: Namespace, other: &str| Node {
            namespace,
            number,
            address: [192, 0, 2, number].into(),
            underlay_device: "up0".to_owned(),
            underlay: other.to_owned(),
        };
        let [a, b] = hosts;
        let nodes = [node(1, a, &names[1]), node(2, b, &names[0])];
        let [a, b] = [&nodes[0].namespace, &nodes[1].namespace];
        a.ip(&format!("link add up0 type veth peer name up0 netns {}", b.name()));
        for (node, workload) in nodes.iter().zip(&workloads) {
            let host = &node.namespace;
            host.ip(&format!("link add w0 type veth peer name eth0 netns {}", workload.name()));
            host.ip(&format!("addr add {}/24 dev up0", node.address));
            host.ip("link set up0 up");
            host.ip("link set w0 up");
            workload.ip(&format!("link set eth0 mtu {MTU} up"));
            workload.ip(&format!("addr add 10.0.0.{}/24 dev eth0", node.number));
        }
        Self { workloads, nodes }
    }

    /// The bridge domain of a node whose peer is the node `peer`.
    fn segment(&self, peer: usize) -> Segment {
        Segment::vxlan(100).remote(&self.nodes[peer]).device("w0", &self.workloads[1 - peer])
    }

    /// Bits per second received, and segments sent again.
    fn transfer(&self, streams: u32, seconds: u32) -> Result<(f64, u64), Fault> {
        let [from, to] = &self.workloads;
        let server = to.spawn("iperf3 --server --one-off --forceflush");
        wait_until("iperf3 listens", SOON, || server.stdout().contains("listening"));
        let limit = Duration::from_secs(u64::from(seconds)) + SOON;
        let line = format!(
            "timeout {} iperf3 --client 10.0.0.2 --time {seconds} --parallel {streams} --connect-timeout 3000 --json",
            limit.as_secs()
        );
        let finished = from.attempt(&line);
        let answer: Value = serde_json::from_str(&finished.stdout).unwrap_or_default();
        let end = &answer["end"];
        match (end["sum_received"]["bits_per_second"].as_f64(), end["sum_sent"]["retransmits"].as_u64()) {
            (Some(rate), Some(again)) => Ok((rate, again)),
            _ => Err(Fault::Contestant { who: "iperf3", step: line, why: finished.to_string() }),
        }
    }
}

/// Mean round trip in microseconds.
fn ping(from: &Namespace) -> Result<f64, Fault> {
    let line = "ping -c 200 -i 0.002 -q 10.0.0.2";
    let finished = from.attempt(line);
    mean_round_trip(&finished.stdout).ok_or_else(|| Fault::Contestant {
        who: "ping",
        step: line.to_owned(),
        why: finished.to_string(),
    })
}

/// From ping's last line, `rtt min/avg/max/mdev = 0.010/0.020/0.030/0.001 ms`.
fn mean_round_trip(text: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with("rtt "))?;
    let mean: f64 = line.split('=').nth(1)?.split('/').nth(1)?.trim().parse().ok()?;
    Some(mean * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_the_second_number_of_pings_last_line() {
        let text = "200 packets transmitted\nrtt min/avg/max/mdev = 0.010/0.025/0.030/0.001 ms\n";
        assert_eq!(mean_round_trip(text), Some(25.0));
        assert_eq!(mean_round_trip("100% packet loss"), None);
    }
}
