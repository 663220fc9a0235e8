//! Three vtepd nodes: head-end replication sends to each remote exactly once, and nobody sends on what came from the
//! overlay.
//!
//! ```text
//!   a1, a2 ── node 1 ──┐
//!   b1, b2 ── node 2 ──┼── underlay
//!   c1     ── node 3 ──┘
//! ```

use std::net::Ipv4Addr;

use vtep_tests::capture::Witnesses;
use vtep_tests::filter::Tunnel;
use vtep_tests::frames::{self, BROADCAST, RawSocket};
use vtep_tests::{Capture, Daemon, LinuxVtep, Node, Segment, Underlay, Variant, Workload};

in_every_variant!(
    floods_are_replicated_exactly,
    a_silent_peer_delays_nobody,
    ten_of_ten_reach_every_port_and_remote
);

struct Net {
    underlay: Underlay,
    nodes: [Node; 3],
    a: [Workload; 2],
    b: [Workload; 2],
    c: [Workload; 1],
}

impl Net {
    fn new() -> Self {
        let underlay = Underlay::new();
        let nodes = [1, 2, 3].map(|number| underlay.node(number));
        let a = [nodes[0].workload("a1", "10.0.0.1"), nodes[0].workload("a2", "10.0.0.2")];
        let b = [nodes[1].workload("b1", "10.0.0.3"), nodes[1].workload("b2", "10.0.0.4")];
        let c = [nodes[2].workload("c1", "10.0.0.5")];
        Self { underlay, nodes, a, b, c }
    }

    /// A full mesh of the three.
    fn segment(&self, node: usize, workloads: &[Workload]) -> Segment {
        let mut segment = Segment::vxlan(100);
        for workload in workloads {
            segment = segment.access(workload);
        }
        for (_, remote) in self.nodes.iter().enumerate().filter(|(number, _)| *number != node) {
            segment = segment.remote(remote);
        }
        segment
    }

    fn start(&self, variant: Variant) -> [Daemon<'_>; 3] {
        let [n1, n2, n3] = &self.nodes;
        [
            Daemon::start(n1, variant, &[self.segment(0, &self.a)]),
            Daemon::start(n2, variant, &[self.segment(1, &self.b)]),
            Daemon::start(n3, variant, &[self.segment(2, &self.c)]),
        ]
    }

    fn witnesses(&self) -> Witnesses {
        Witnesses::at(&[&self.a[0], &self.a[1], &self.b[0], &self.b[1], &self.c[0]])
    }
}

fn floods_are_replicated_exactly(variant: Variant) {
    let net = Net::new();
    let daemons = net.start(variant);
    let (a1, b1, c1) = (&net.a[0], &net.b[0], &net.c[0]);
    for workload in [&net.a[1], b1, &net.b[1], c1] {
        a1.reaches(workload);
    }

    let witnesses = net.witnesses();
    let wire =
        net.nodes.each_ref().map(|node| Capture::start(&net.underlay.namespace, &node.underlay_device));
    let mut from_a1 = RawSocket::of(a1);
    from_a1.repeat(&frames::datagram(a1, BROADCAST, 5001), 10);
    from_a1.repeat(&frames::datagram(a1, [1, 0, 0x5e, 1, 2, 3], 5002), 10);
    from_a1.repeat(&frames::datagram(a1, [2, 9, 9, 9, 9, 9], 5003), 10);
    from_a1.repeat(&frames::datagram(a1, frames::octets(&c1.mac), 5004), 10);
    from_a1.send(&frames::datagram(a1, BROADCAST, 5009));
    witnesses.expect("the last frame", "udp dst port 5009", &[0, 1, 1, 1, 1]);
    witnesses.expect("broadcast", "udp dst port 5001", &[0, 10, 10, 10, 10]);
    witnesses.expect("multicast", "udp dst port 5002", &[0, 10, 10, 10, 10]);
    witnesses.expect("unknown unicast", "udp dst port 5003", &[0, 10, 10, 10, 10]);
    witnesses.expect("unicast to c1", "udp dst port 5004", &[0, 0, 0, 0, 10]);

    let wire = wire.map(Capture::stop);
    let sent = |from: usize, to: usize, port: u16| {
        let (source, destination): (Ipv4Addr, Ipv4Addr) = (net.nodes[from].address, net.nodes[to].address);
        let filter =
            format!("{} and src host {source} and dst host {destination}", Tunnel::vxlan(100).udp(port));
        wire[from].count(&filter)
    };
    for port in [5001, 5002, 5003] {
        assert_eq!([sent(0, 1, port), sent(0, 2, port)], [10, 10], "node 1 to each remote, port {port}");
        let onwards = [sent(1, 0, port), sent(1, 2, port), sent(2, 0, port), sent(2, 1, port)];
        assert_eq!(onwards, [0; 4], "sent on by nodes 2 and 3, port {port}");
    }
    assert_eq!([sent(0, 1, 5004), sent(0, 2, 5004)], [0, 10]);
    let copies = daemons[0].show("stats show")["balance"]["copies"].as_u64().expect("a count");
    assert!(copies >= 60, "31 floods to 3 receivers each made {copies} copies");
}

/// Node 2 is gone without a word: node 3 gets everything, once.
fn a_silent_peer_delays_nobody(variant: Variant) {
    let net = Net::new();
    let mut daemons = net.start(variant);
    let (a1, c1) = (&net.a[0], &net.c[0]);
    a1.reaches(c1);
    daemons[1].kill9();
    let witnesses = net.witnesses();
    RawSocket::of(a1).repeat(&frames::datagram(a1, BROADCAST, 5001), 100);
    witnesses.expect("broadcast", "udp dst port 5001", &[0, 100, 0, 0, 100]);
    a1.ping(c1.address, 10);
}

/// As `vxlan_bridge_1d.sh` of the kernel's selftests: of ten frames to nobody known each port but the sender's, and each
/// remote, gets exactly ten, whoever sends them; of ten to a known address its own port gets ten and nobody else any. Ten
/// ports, and a Linux bridge, another vtepd, each with a workload.
fn ten_of_ten_reach_every_port_and_remote(variant: Variant) {
    let underlay = Underlay::new();
    let [a, b, c] = [1, 2, 3].map(|number| underlay.node(number));
    let near: Vec<Workload> =
        (1..=10).map(|number| a.workload(&format!("a{number}"), &format!("10.0.0.{number}"))).collect();
    let (b1, c1) = (b.workload("b1", "10.0.0.21"), c.workload("c1", "10.0.0.22"));
    let _linux = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a).remote(&c)]);
    let far = Segment::vxlan(100).access(&c1).remote(&a).remote(&b);
    let _far = Daemon::start(&c, Variant::ONE_WORKER, &[far]);
    let segment = near.iter().fold(Segment::vxlan(100).remote(&b).remote(&c), Segment::access);
    let daemon = Daemon::start(&a, variant, &[segment]);
    let all: Vec<&Workload> = near.iter().chain([&b1, &c1]).collect();
    for workload in &all[1..] {
        all[0].reaches(workload);
    }
    let witnesses = Witnesses::at(&all);
    // Every switch has to know everybody, and hears of two local workloads that ping each other nothing.
    for workload in &all {
        RawSocket::of(workload).send(&frames::datagram(workload, BROADCAST, 4999));
    }
    witnesses.expect("a word from each", "udp dst port 4999", &[11; 12]);
    let but = |sender: usize| -> Vec<usize> { (0..12).map(|at| if at == sender { 0 } else { 10 }).collect() };
    let only =
        |receiver: usize| -> Vec<usize> { (0..12).map(|at| if at == receiver { 10 } else { 0 }).collect() };
    // The first port, one in the middle, and a workload behind either remote.
    for (turn, sender) in [0, 4, 10, 11].into_iter().enumerate() {
        let port = |kind: usize| 5000 + u16::try_from(turn * 20 + kind).expect("a small number");
        let mut socket = RawSocket::of(all[sender]);
        for (kind, to) in [BROADCAST, [1, 0, 0x5e, 1, 2, 3], [2, 9, 9, 9, 9, 9]].into_iter().enumerate() {
            socket.repeat(&frames::datagram(all[sender], to, port(kind)), 10);
        }
        let receivers = (0..12).filter(|receiver| *receiver != sender);
        for receiver in receivers.clone() {
            let to = frames::octets(&all[receiver].mac);
            socket.repeat(&frames::datagram(all[sender], to, port(5 + receiver)), 10);
        }
        socket.send(&frames::datagram(all[sender], BROADCAST, port(19)));
        let ends: Vec<usize> = (0..12).map(|at| usize::from(at != sender)).collect();
        witnesses.expect("the last frame", &format!("udp dst port {}", port(19)), &ends);
        for kind in 0..3 {
            let what = format!("kind {kind} from {}", all[sender].name);
            witnesses.expect(&what, &format!("udp dst port {}", port(kind)), &but(sender));
        }
        for receiver in receivers {
            let what = format!("unicast from {} to {}", all[sender].name, all[receiver].name);
            witnesses.expect(&what, &format!("udp dst port {}", port(5 + receiver)), &only(receiver));
        }
    }
    daemon.assert_balanced();
}
