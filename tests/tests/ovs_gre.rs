//! vtepd against Open vSwitch over GRE, with a key that is not the VNI.
//!
//! ```text
//!   a1 ── node 1 (vtepd) ── underlay ── node 2 (OVS, userspace datapath) ── b1
//! ```

use vtep_tests::filter::Tunnel;
use vtep_tests::frames::{self, BROADCAST, RawSocket};
use vtep_tests::traffic::Transfer;
use vtep_tests::{Capture, Daemon, Node, OvsVtep, Pair, Segment, Variant};

in_every_variant!(workloads_ping_and_both_sides_learn, tcp_crosses_both_ways, floods_are_sent_once);

/// The key on the wire; OVS has nothing like a VNI.
const KEY: u32 = 4711;

fn network() -> Pair {
    let pair = Pair::new();
    OvsVtep::complete_checksums(&pair.b1);
    pair
}

fn switches(net: &Pair, variant: Variant) -> (Daemon<'_>, OvsVtep) {
    let far = OvsVtep::start(&net.b, &[Segment::gre(KEY).access(&net.b1).remote(&net.a)]);
    let segment = Segment::gre(33).access(&net.a1).remote(&net.b).key(&format!("key = {KEY}"));
    let near = Daemon::start(&net.a, variant, &[segment]);
    net.a1.reaches(&net.b1);
    (near, far)
}

fn workloads_ping_and_both_sides_learn(variant: Variant) {
    let net = network();
    let (near, far) = switches(&net, variant);
    let wire = net.wire();
    net.a1.ping(net.b1.address, 20);
    net.b1.ping(net.a1.address, 20);
    assert!(far.learned(KEY).contains(&(net.a1.mac.clone(), 101)), "{:?}", far.learned(KEY));
    assert_eq!(near.entry(33, &net.a1.mac).expect("an entry for a1")["ifname"], "a1");
    assert_eq!(near.entry(33, &net.b1.mac).expect("an entry for b1")["dst"], "192.0.2.2");
    let wire = wire.stop();
    let echoes = |node: &Node, mac: &str| {
        wire.count(&format!("{} and src host {} and ip[51] = 1", Tunnel::gre(KEY).to(mac), node.address))
    };
    assert_eq!(echoes(&net.a, &net.b1.mac), 40, "echo requests and replies from node 1");
    assert_eq!(echoes(&net.b, &net.a1.mac), 40, "echo requests and replies from node 2");
}

fn tcp_crosses_both_ways(variant: Variant) {
    let net = network();
    let _switches = switches(&net, variant);
    Transfer::FULL.run(&net.a1, &net.b1);
    Transfer::FULL.run(&net.b1, &net.a1);
    Transfer::SMALL.run(&net.a1, &net.b1);
    Transfer::SMALL.run(&net.b1, &net.a1);
}

fn floods_are_sent_once(variant: Variant) {
    let net = network();
    let _switches = switches(&net, variant);
    let at_b1 = Capture::received(&net.b1);
    let wire = net.wire();
    let mut socket = RawSocket::of(&net.a1);
    socket.repeat(&frames::datagram(&net.a1, BROADCAST, 5001), 10);
    socket.repeat(&frames::datagram(&net.a1, frames::octets(&net.b1.mac), 5002), 10);
    at_b1.wait_for("udp dst port 5002", 10);
    assert_eq!(at_b1.stop().count("udp dst port 5001"), 10);
    let wire = wire.stop();
    assert_eq!([5001, 5002].map(|port| wire.count(&Tunnel::gre(KEY).udp(port))), [10, 10]);
}
