//! Several remotes for one address: which flows go where, and which of them move when a remote is lost.
//!
//! ```text
//!                                      ┌── node 2 (vtepd) ── b1 (10.0.0.2)
//!   a1 ── node 1 (vtepd) ── underlay ──┤
//!                                      └── node 3 (vtepd) ── c1 (10.0.0.2, the same Ethernet address)
//! ```

use std::collections::BTreeMap;

use serde_json::json;
use vtep_tests::filter::Tunnel;
use vtep_tests::frames::{self, RawSocket};
use vtep_tests::trouble::Trouble;
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, Node, Segment, Underlay, Variant, Workload, wait_until};

/// Flows of a test: UDP datagrams to as many ports from here on.
const FIRST_PORT: u16 = 5000;
const FLOWS: u16 = 48;

struct Net {
    underlay: Underlay,
    nodes: [Node; 3],
    a1: Workload,
    b1: Workload,
    c1: Workload,
}

impl Net {
    fn new() -> Self {
        let underlay = Underlay::new();
        let nodes = [1, 2, 3].map(|number| underlay.node(number));
        let [a, b, c] = &nodes;
        let a1 = a.workload("a1", "10.0.0.1");
        let (b1, c1) = (b.workload("b1", "10.0.0.2"), c.workload("c1", "10.0.0.2"));
        for workload in [&b1, &c1] {
            // An answer to either of them may go to the other: who asks must know already.
            workload.namespace.ip(&format!("neigh add {} lladdr {} dev eth0", a1.address, a1.mac));
        }
        Self { underlay, nodes, a1, b1, c1 }
    }

    /// Node 1, whose two remotes are a group.
    fn near(&self, variant: Variant, group: &str, words: &str) -> Daemon<'_> {
        let [a, b, c] = &self.nodes;
        let segment = Segment::vxlan(100).access(&self.a1).remote(b).remote(c).key(words);
        let more = format!(
            "[[group]]\nvni = 100\nname = \"pair\"\nmembers = {group}\n\n\
             [[fdb]]\nvni = 100\nmac = \"{mac}\"\ngroup = \"pair\"\n\n\
             [[neighbour]]\nvni = 100\naddress = \"10.0.0.2\"\nmac = \"{mac}\"\n",
            mac = self.b1.mac
        );
        Daemon::ready(a, &(variant.config(a, &[segment]) + &more))
    }

    /// Both remotes as equal members.
    fn both(&self) -> String {
        format!("[\"{}\", \"{}\"]", self.nodes[1].address, self.nodes[2].address)
    }

    /// Nodes 2 and 3, which know node 1 alone.
    fn far(&self, words: &str) -> [Daemon<'_>; 2] {
        let [a, b, c] = &self.nodes;
        [(b, &self.b1), (c, &self.c1)].map(|(node, workload)| {
            let segment = Segment::vxlan(100).access(workload).remote(a).key(words);
            Daemon::start(node, Variant::ONE_WORKER, &[segment])
        })
    }

    /// Sends a datagram of each flow, and tells which of nodes 2 and 3 each went to.
    fn places(&self) -> BTreeMap<u16, u8> {
        let captures: Vec<(u8, Capture)> = self.nodes[1..]
            .iter()
            .map(|node| (node.number, Capture::start(&self.underlay.namespace, &node.underlay_device)))
            .collect();
        let mut socket = RawSocket::of(&self.a1);
        let macs = (frames::octets(&self.a1.mac), frames::octets(&self.b1.mac));
        for port in FIRST_PORT..FIRST_PORT + FLOWS {
            let addresses = (self.a1.address, self.b1.address);
            socket.send(&frames::udp(macs, addresses, (40_000, port), b"one of many flows"));
        }
        let tunnel = Tunnel::vxlan(100);
        // Of the test's own flows: a workload may say something else to this address.
        let all = format!("{} and udp[50:2] = 40000", tunnel.to(&self.b1.mac));
        let total = || -> usize { captures.iter().map(|(_, capture)| capture.count(&all)).sum() };
        wait_until("every flow's datagram is captured", SOON, || total() >= usize::from(FLOWS));
        let mut places = BTreeMap::new();
        for (node, capture) in captures {
            // Both destination ports; the last is that of the inner datagram.
            let ports = capture.stop().decoded("vxlan && udp.srcport == 40000 && !icmp", &["udp.dstport"]);
            for port in ports.iter().filter_map(|ports| ports.rsplit(',').next()) {
                let before = places.insert(port.parse().unwrap(), node);
                assert_eq!(before, None, "flow {port} went to two remotes");
            }
        }
        assert_eq!(places.len(), usize::from(FLOWS));
        places
    }
}

/// Whether a member of the group is in a state.
fn is(daemon: &Daemon<'_>, node: &Node, state: &str) -> bool {
    let groups = daemon.list("group show vni 100");
    let members = groups[0]["members"].as_array().unwrap();
    members
        .iter()
        .any(|member| member["dst"] == node.address.to_string().as_str() && member["state"] == state)
}

in_every_variant!(only_the_flows_of_a_lost_remote_move);

fn only_the_flows_of_a_lost_remote_move(variant: Variant) {
    let net = Net::new();
    let _far = net.far("");
    let near = net.near(variant, &net.both(), "");
    let [a, b, c] = &net.nodes;
    wait_until("both are in use", SOON, || is(&near, b, "active") && is(&near, c, "active"));
    net.a1.reaches(&net.b1);

    let whole = net.places();
    let of_c: Vec<u16> = whole.iter().filter(|(_, node)| **node == 3).map(|(port, _)| *port).collect();
    assert!(of_c.len() > 12 && of_c.len() < 36, "half of the flows, more or less: {whole:?}");

    a.namespace.ip(&format!("route add unreachable {}/32", c.address));
    wait_until("node 3 is out of use", SOON, || is(&near, c, "down"));
    let without = net.places();
    assert!(without.values().all(|node| *node == 2), "{without:?}");
    let shown = near.list("group show")[0]["members"].clone();
    assert_eq!((&shown[0]["buckets"], &shown[1]["buckets"]), (&json!(256), &json!(0)));

    a.namespace.ip(&format!("route del unreachable {}/32", c.address));
    wait_until("node 3 is in use again", SOON, || is(&near, c, "active"));
    assert_eq!(net.places(), whole, "every flow is where it was");
    assert_eq!(near.drops("VXLAN_ENTRY_EXISTS"), 0, "either remote may send from the address");
}

/// Nothing but silence says that the remote is lost: its routes, its next hop and its link are as they were.
#[test]
fn the_flows_of_a_silent_remote_move_and_come_back() {
    const ASKED: &str = "liveness = { interval = \"100ms\", multiplier = 30 }";
    let net = Net::new();
    let _far = net.far(ASKED);
    let near = net.near(Variant::ONE_WORKER, &net.both(), ASKED);
    let [_, _, c] = &net.nodes;
    let is_up = |daemon: &Daemon<'_>| {
        daemon.list("remote show").iter().all(|remote| remote["liveness"]["state"] == "up")
    };
    wait_until("both answer", SOON, || is_up(&near));
    let whole = net.places();
    assert!(whole.values().any(|node| *node == 3) && whole.values().any(|node| *node == 2), "{whole:?}");

    let silence = Trouble::from_node(&net.underlay, c, "");
    wait_until("node 3 is out of use", SOON, || is(&near, c, "down"));
    assert!(net.places().values().all(|node| *node == 2));
    drop(silence);
    wait_until("node 3 is in use again", SOON, || is(&near, c, "active"));
    assert_eq!(net.places(), whole, "every flow is where it was");
}

#[test]
fn a_backup_is_used_while_it_must_be_and_weights_share() {
    let net = Net::new();
    let _far = net.far("");
    let [a, b, c] = &net.nodes;
    let near = net.near(
        Variant::ONE_WORKER,
        &format!("[\"{}\", {{ remote = \"{}\", backup = true }}]", b.address, c.address),
        "",
    );
    wait_until("the backup stands by", SOON, || is(&near, b, "active") && is(&near, c, "standby"));
    assert!(net.places().values().all(|node| *node == 2));
    a.namespace.ip(&format!("route add unreachable {}/32", b.address));
    wait_until("the backup is used", SOON, || is(&near, b, "down") && is(&near, c, "active"));
    assert!(net.places().values().all(|node| *node == 3));
    a.namespace.ip(&format!("route add unreachable {}/32", c.address));
    wait_until("nobody is left", SOON, || is(&near, c, "down"));
    let before = near.drops("VXLAN_NO_REMOTE");
    let macs = (frames::octets(&net.a1.mac), frames::octets(&net.b1.mac));
    let frame = frames::udp(macs, (net.a1.address, net.b1.address), (1, 2), b"to nobody");
    RawSocket::of(&net.a1).repeat(&frame, 10);
    wait_until("frames to the group are counted", SOON, || near.drops("VXLAN_NO_REMOTE") >= before + 10);
    for node in [b, c] {
        a.namespace.ip(&format!("route del unreachable {}/32", node.address));
    }

    near.change(&format!("group replace pair vni 100 members {},3/{}", b.address, c.address));
    wait_until("both are in use", SOON, || is(&near, b, "active") && is(&near, c, "active"));
    let shown = near.list("group show")[0]["members"].clone();
    assert_eq!((&shown[0]["buckets"], &shown[1]["buckets"]), (&json!(192), &json!(64)));
    assert_eq!(near.entry(100, &net.b1.mac).unwrap()["group"], "pair");
    let refused = near.ctl("group replace pair vni 100 members 192.0.2.77");
    refused.assert_fails(1, &["192.0.2.77 is in group pair, but is no remote of VNI 100"]);
    near.change(&format!("remote del {} vni 100", c.address));
    assert_eq!(near.list("group show")[0]["members"].as_array().unwrap().len(), 1);
    near.change("group del pair vni 100");
    wait_until("its entry is gone too", SOON, || near.list("fdb show vni 100 static").is_empty());
}
