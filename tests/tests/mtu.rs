//! Underlays narrower than workloads think: senders are told, packets are cut, segments are clamped, and pieces of one
//! packet stay together. The far side is Linux vxlan and bridge, the narrow place a route or a Linux router.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use serde_json::Value;
use vtep_tests::filter::Tunnel;
use vtep_tests::traffic::{Host, Transfer};
use vtep_tests::wait::{SOON, uninterrupted};
use vtep_tests::{
    Capture, Daemon, LinuxVtep, Namespace, Node, Pair, Router, Segment, Underlay, Variant, Workload,
    wait_until,
};

use crate::jumbo::pings;

in_every_variant!(
    tcp_completes_through_a_narrow_underlay,
    tcp_over_ipv6_completes_through_a_narrow_ipv6_underlay,
    packets_that_may_be_cut_arrive_whole,
    pieces_of_a_datagram_take_one_path_in_order,
);

/// A session comes up at one packet a second, and a size is tried four times.
const PATIENT: Duration = Duration::from_secs(60);

/// Bytes of a packet that a host believes to fit on the way to an address, where it has been told; see `ip route get`.
pub(crate) fn told_mtu(host: &Namespace, to: &str) -> Option<u32> {
    let text = host.ip(&format!("route get {to}"));
    let mut words = text.split_whitespace().skip_while(|word| *word != "mtu");
    words.nth(1).and_then(|mtu| mtu.parse().ok())
}

pub(crate) fn path_mtu(daemon: &Daemon<'_>) -> Value {
    daemon.list("remote show vni 100")[0]["path_mtu"].clone()
}

/// Without an answer the sender's TCP would send its first full segment again and again: it probes for no smaller size
/// by itself (`net.ipv4.tcp_mtu_probing` is 0). That its kernel has been told is seen in its route.
///
/// ```text
///   a1 ── node 1 (vtepd) ── router, 1400 bytes ── node 2 (Linux vxlan + bridge) ── b1
/// ```
fn tcp_completes_through_a_narrow_underlay(variant: Variant) {
    let (near_side, far_side) = (Underlay::new(), Underlay::new());
    let (a, b) = (near_side.node(1), far_side.node(2));
    let _router = Router::between((&near_side, &a), (&far_side, &b), 1400);
    let (a1, b1) = (a.workload("a1", "10.0.0.1"), b.workload("b1", "10.0.0.2"));
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let near = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    a1.reaches(&b1);
    let before = path_mtu(&near);
    assert_eq!(
        (&before["mtu"], &before["source"], &before["inner"]),
        (&1600.into(), &"link".into(), &1550.into())
    );
    assert_eq!(told_mtu(&a1.namespace, "10.0.0.2"), None);

    Transfer::FULL.run(&a1, &b1);
    assert_eq!(told_mtu(&a1.namespace, "10.0.0.2"), Some(1350), "1400 less 50 of outer headers");
    let after = path_mtu(&near);
    assert_eq!(
        (&after["mtu"], &after["source"], &after["inner"]),
        (&1400.into(), &"router".into(), &1350.into())
    );
    assert_eq!(after["router"], "192.0.2.251");
    assert!(after["age"].as_u64().unwrap() + after["expires"].as_u64().unwrap() == 600, "{after}");
    let stats = near.show("stats show");
    assert!(stats["path_mtu"]["accepted"].as_u64().unwrap() > 0, "{stats}");
    let told = stats["ports"].as_array().unwrap().iter().find(|port| port["ifname"] == "a1").unwrap();
    assert!(told["too_big_told"].as_u64().unwrap() > 0, "{told}");
    assert!(near.drops("PKT_TOO_BIG") > 0);

    // What routers on another way said does not hold for this one.
    a.namespace.ip("route replace 192.0.2.2/32 via 192.0.2.252 dev up0");
    wait_until("it is forgotten", SOON, || path_mtu(&near)["source"] != "router");
}

/// What is larger than the router passes on is lost, but not in silence.
///
/// ```text
///   a1 ── node 1 (vtepd) ── router, 1400 bytes ── node 2 (vtepd) ── b1
/// ```
#[test]
fn what_a_router_tells_is_measured_and_no_black_hole() {
    let (near_side, far_side) = (Underlay::new(), Underlay::new());
    let (a, b) = (near_side.node(1), far_side.node(2));
    let _router = Router::between((&near_side, &a), (&far_side, &b), 1400);
    let (a1, b1) = (a.workload("a1", "10.0.0.1"), b.workload("b1", "10.0.0.2"));
    let segment = Segment::vxlan(100).key("liveness = { interval = \"50ms\", multiplier = 200 }");
    let start = |node, workload, other| {
        Daemon::start(node, Variant::ONE_WORKER, &[segment.clone().access(workload).remote(other)])
    };
    let [near, _far] = [start(&a, &a1, &b), start(&b, &b1, &a)];
    let liveness = || near.list("remote show")[0]["liveness"].clone();
    wait_until("the path MTU is measured", PATIENT, || liveness()["mtu"] == 1400);
    assert_eq!(path_mtu(&near)["source"], "router");
    assert_eq!(liveness()["black_hole"], Value::Null);
    assert!(!near.log().contains("black hole"), "{}", near.log());
}

/// The same by IPv6 inside and outside.
fn tcp_over_ipv6_completes_through_a_narrow_ipv6_underlay(variant: Variant) {
    let (near_side, far_side) = (Underlay::new(), Underlay::new());
    let (a, b) = (near_side.node_with_ipv6(1), far_side.node_with_ipv6(2));
    let _router = Router::between((&near_side, &a), (&far_side, &b), 1400);
    let (a1, b1) = (a.workload("a1", "10.0.0.1"), b.workload("b1", "10.0.0.2"));
    for (workload, address) in [(&a1, "fd00::1"), (&b1, "fd00::2")] {
        workload.namespace.ip(&format!("addr add {address}/64 dev eth0 nodad"));
    }
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote6(&a)]);
    let near = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).remote6(&b)]);
    a1.reaches(&b1);

    let host = |workload: &'static str| workload.parse::<std::net::Ipv6Addr>().unwrap();
    Transfer::FULL.run(Host::at(&a1.namespace, host("fd00::1")), Host::at(&b1.namespace, host("fd00::2")));
    assert_eq!(told_mtu(&a1.namespace, "fd00::2"), Some(1330), "1400 less 70 of outer headers");
    let path = path_mtu(&near);
    assert_eq!(
        (&path["mtu"], &path["source"], &path["inner"]),
        (&1400.into(), &"router".into(), &1330.into())
    );
    assert_eq!(path["router"], "2001:db8::fe01");
}

/// A workload's own kernel cuts 3000 bytes into packets of 1500, and those are cut again. The path's MTU is the route's.
fn packets_that_may_be_cut_arrive_whole(variant: Variant) {
    let Pair { underlay, a, b, a1, b1 } = Pair::new();
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let near = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    a1.reaches(&b1);
    narrow(&a, &b, &near, 1200);
    let wire = Capture::start(&underlay.namespace, &a.underlay_device);
    pings(&a1, "-s 3000 -M dont", &b1);
    let from_a = format!("{} and src host {}", Tunnel::vxlan(100).all(), a.address);
    // 1500 + 1500 + 68 bytes, each 1500 cut into two.
    wire.wait_for(&format!("{from_a} and greater 200"), 5 * 4);
    assert_eq!(wire.count(&format!("{from_a} and greater 1215")), 0, "packets beyond the path's MTU");
    let stats = near.show("stats show");
    let cut = stats["ports"].as_array().unwrap().iter().find(|port| port["ifname"] == "a1").unwrap();
    assert_eq!(cut["fragmented"], 10, "{cut}");
    assert_eq!(near.drops("PKT_TOO_BIG"), 0);
}

/// Gives a node's route to another an MTU, and waits for the daemon to know.
pub(crate) fn narrow(from: &Node, to: &Node, daemon: &Daemon<'_>, mtu: u32) {
    from.namespace.ip(&format!("route replace {}/32 dev up0 mtu {mtu}", to.address));
    wait_until("the route's MTU is known", SOON, || {
        let path = path_mtu(daemon);
        path["source"] == "route" && path["mtu"] == mtu && path["inner"] == mtu - 50
    });
}

/// Datagrams of many flows, cut by the workload's kernel and some of them again: all pieces of one have one outer source
/// port, and come in order.
fn pieces_of_a_datagram_take_one_path_in_order(variant: Variant) {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node_with_queues(1, 2), underlay.node(2));
    let a1 = a.workload_with("a1", "10.0.0.1", "numrxqueues 2 numtxqueues 2");
    let b1 = b.workload("b1", "10.0.0.2");
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let near = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    a1.reaches(&b1);
    narrow(&a, &b, &near, 1400);
    for last in 100..108 {
        a1.namespace.ip(&format!("addr add 10.0.0.{last}/24 dev eth0"));
    }
    let sink = b1.namespace.within(|| UdpSocket::bind((b1.address, 6000))).expect("bind");
    sink.set_read_timeout(Some(SOON)).expect("set a timeout");
    let wire = Capture::start(&underlay.namespace, &a.underlay_device);
    let sent = send_large_datagrams(&a1, &b1, &sink);
    // 1500 + 1500 + 1500 + 568 bytes, each 1500 cut into two.
    let pieces = format!("{} and src host {} and greater 200", Tunnel::vxlan(100).all(), a.address);
    wire.wait_for(&pieces, sent * 7);
    let filter =
        "vxlan && ip.src == 192.0.2.1 && ip.dst == 10.0.0.2 && (ip.flags.mf == 1 || ip.frag_offset > 0)";
    let captured = wire.stop().decoded(filter, &["ip.src", "ip.id", "ip.frag_offset", "udp.srcport"]);
    let mut datagrams: BTreeMap<(String, String), Vec<(u32, String)>> = BTreeMap::new();
    for line in &captured {
        let columns: Vec<Vec<&str>> = line.split('\t').map(|column| column.split(',').collect()).collect();
        let [sources, ids, offsets, ports] = &columns[..] else { panic!("{line}") };
        let name = (sources[1].to_owned(), ids[1].to_owned());
        let offset = offsets[1].parse().unwrap_or_else(|_| panic!("{line}"));
        datagrams.entry(name).or_default().push((offset, ports[0].to_owned()));
    }
    assert_eq!(datagrams.len(), sent);
    for (name, pieces) in &datagrams {
        assert_eq!(pieces.len(), 7, "{name:?}: {pieces:?}");
        assert!(pieces.is_sorted_by(|before, after| before.0 < after.0), "{name:?}: {pieces:?}");
        assert!(pieces.iter().all(|piece| piece.1 == pieces[0].1), "{name:?}: {pieces:?}");
    }
    let ports: HashSet<&String> = datagrams.values().map(|pieces| &pieces[0].1).collect();
    assert!(ports.len() >= 6, "8 pairs of addresses have {} source ports", ports.len());
}

/// Sends ten datagrams of 5000 bytes from each of eight addresses, a port each, and sees each arrive; gives their number.
fn send_large_datagrams(from: &Workload, to: &Workload, sink: &UdpSocket) -> usize {
    let mut buffer = [0; 6000];
    let mut sent = 0;
    for last in (100..108_u8).flat_map(|last| [last; 10]) {
        let address = Ipv4Addr::new(10, 0, 0, last);
        let source = from.namespace.within(|| UdpSocket::bind((address, 0))).expect("bind");
        assert_eq!(source.send_to(&[last; 5000], (to.address, 6000)).expect("send"), 5000);
        let received = uninterrupted(|| sink.recv(&mut buffer)).expect("a datagram that arrives whole");
        assert_eq!(buffer[..received], [last; 5000]);
        sent += 1;
    }
    sent
}

/// The maximum segment sizes of SYNs as `b1` gets them, and of what answers them as `a1` does.
fn offers(a1: &Workload, b1: &Workload) -> (HashSet<String>, HashSet<String>) {
    // A kernel that has been told of the narrow path offers less by itself.
    for workload in [a1, b1] {
        workload.namespace.ip("route flush cache");
    }
    let (at_a1, at_b1) = (Capture::received(a1), Capture::received(b1));
    Transfer::SMALL.run(a1, b1);
    let offers = |capture: Capture| -> HashSet<String> {
        capture.wait_for("tcp[tcpflags] & tcp-syn != 0", 1);
        let lines =
            capture.stop().decoded("tcp.flags.syn == 1", &["tcp.options.mss_val", "tcp.checksum.status"]);
        lines.into_iter().collect()
    };
    (offers(at_b1), offers(at_a1))
}

#[test]
fn the_maximum_segment_size_is_clamped_where_it_is_wanted() {
    let Pair { underlay: _underlay, a, b, a1, b1 } = Pair::new();
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let near = Daemon::start(&a, Variant::TWO_WORKERS, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    a1.reaches(&b1);
    narrow(&a, &b, &near, 1400);
    let size = |offers: &HashSet<String>| -> Vec<String> {
        offers.iter().map(|offer| offer.split('\t').next().unwrap_or_default().to_owned()).collect()
    };
    let (syn, answer) = offers(&a1, &b1);
    assert_eq!((size(&syn), size(&answer)), (vec!["1460".to_owned()], vec!["1460".to_owned()]));
    for (clamp, expected) in [("on", "1310"), ("1200", "1200"), ("off", "1460")] {
        let line = format!("vni replace 100 local 192.0.2.1 mss-clamp {clamp}");
        near.change(&line);
        assert_eq!(near.list("vni show 100")[0]["mss_clamp"], clamp);
        let (syn, answer) = offers(&a1, &b1);
        assert_eq!(
            (size(&syn), size(&answer)),
            (vec![expected.to_owned()], vec![expected.to_owned()]),
            "{clamp}"
        );
    }
}

/// The MTU of the uplink's device is followed as it changes.
#[test]
fn the_mtu_of_the_uplink_is_followed() {
    let Pair { underlay: _underlay, a, b, a1, b1 } = Pair::new();
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    a1.reaches(&b1);
    a.namespace.ip("link set up0 mtu 1400");
    wait_until("the new MTU is known", SOON, || {
        let path = path_mtu(&near);
        path["mtu"] == 1400 && path["source"] == "link" && path["inner"] == 1350
    });
    Transfer::FULL.run(&a1, &b1);
    assert_eq!(told_mtu(&a1.namespace, "10.0.0.2"), Some(1350));
}

/// A device that may receive longer frames than any takes says so, and what to do about it.
#[test]
fn a_device_with_too_large_an_mtu_says_so() {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node(1), underlay.node(2));
    let a1 = a.workload("a1", "10.0.0.1");
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    let degraded = || near.show("port show a1")[0]["degraded"].to_string();
    assert!(!degraded().contains("MTU"), "{}", degraded());
    a1.set_mtu(&a, 20_000);
    wait_until("the port says so", SOON, || {
        degraded().contains("MTU of 20000, and packets of more than 16110 bytes are dropped")
            && degraded().contains("`ip link set a1 mtu 16110`")
            && near.show("status")["degraded"].to_string().contains("port a1: device a1 has an MTU of 20000")
    });
    assert_eq!(near.port("a1")["mtu"], 16_110);
    a.namespace.ip("link set a1 mtu 1500");
    wait_until("it is no longer so", SOON, || !degraded().contains("MTU"));
}

/// With chunks of 4096 bytes, packets of 3500 bytes arrive whole.
#[test]
fn large_packets_fit_large_chunks() {
    let underlay = Underlay::new();
    underlay.namespace.ip("link set br0 mtu 3506");
    let (a, b) = (underlay.node(1), underlay.node(2));
    let (a1, b1) = (a.workload("a1", "10.0.0.1"), b.workload("b1", "10.0.0.2"));
    for (node, workload) in [(&a, &a1), (&b, &b1)] {
        underlay.namespace.ip(&format!("link set {} mtu 3506", node.underlay_device));
        node.namespace.ip("link set up0 mtu 3506");
        workload.namespace.ip("link set eth0 mtu 3456");
        node.namespace.ip(&format!("link set {} mtu 3456", workload.name));
    }
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    b.namespace.ip("link set vx100 mtu 3456");
    b.namespace.ip("link set br100 mtu 3456");
    let segment = Segment::vxlan(100).access(&a1).remote(&b);
    let config = Variant::ONE_WORKER.config(&a, &[segment]) + "\n[umem]\nchunk_size = 4096\nchunks = 8192\n";
    let near = Daemon::ready(&a, &config);
    assert_eq!(near.show("status")["degraded"].to_string().matches("MTU").count(), 0);
    a1.reaches(&b1);
    let wire = Capture::start(&underlay.namespace, &a.underlay_device);
    Transfer::FULL.run(&a1, &b1);
    Transfer::FULL.run(&b1, &a1);
    let full = format!("{} and src host {} and greater 3400", Tunnel::vxlan(100).all(), a.address);
    assert!(wire.count(&full) > 100, "segments were not of full size");
}

/// A peer that lets routers cut its packets: tunnels have no fragments (RFC 7348 section 4.3), and what is lost is counted.
///
/// ```text
///   a1 ── node 1 (vtepd) ── router, 1400 bytes ── node 2 (Linux vxlan, DF unset) ── b1
/// ```
#[test]
fn tunnel_packets_that_were_cut_are_counted() {
    let (near_side, far_side) = (Underlay::new(), Underlay::new());
    let (a, b) = (near_side.node(1), far_side.node(2));
    let _router = Router::between((&near_side, &a), (&far_side, &b), 1400);
    let (a1, b1) = (a.workload("a1", "10.0.0.1"), b.workload("b1", "10.0.0.2"));
    let _far = LinuxVtep::start_with(&b, &[Segment::vxlan(100).access(&b1).remote(&a)], "df unset");
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    a1.reaches(&b1);
    assert_eq!(near.drops("OUTER_FRAGMENT"), 0);
    let wire = Capture::start(&near_side.namespace, &a.underlay_device);
    let pings = b1.namespace.attempt("ping -c 5 -i 0.2 -W 1 -s 1400 10.0.0.1");
    assert!(pings.stdout.contains(" 0 received"), "{pings}");
    let from_b = format!("src host {} and ip[6:2] & 0x1fff", b.address);
    wire.wait_for(&format!("{from_b} != 0"), 5);
    wait_until("each packet is counted once", SOON, || near.drops("OUTER_FRAGMENT") == 5);
}

/// Where less than IPv6's least MTU is left for workloads, larger IPv6 packets vanish, and nobody can tell their senders. So
/// the operator is told.
#[test]
fn a_path_too_narrow_for_ipv6_says_so() {
    let Pair { underlay: _underlay, a, b, a1, b1: _b1 } = Pair::new();
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    let words = "remote 192.0.2.2 in VNI 100: IPv6 packets of more than 1270 bytes are dropped";
    let status = || near.show("status")["degraded"].to_string();
    narrow(&a, &b, &near, 1330);
    assert!(!status().contains("IPv6"), "{}", status());
    narrow(&a, &b, &near, 1320);
    assert!(status().contains(words), "{}", status());
    let remote = near.list("remote show vni 100")[0]["degraded"][0].to_string();
    assert!(remote.contains("1270 bytes") && remote.contains("packets of 1330 bytes"), "{remote}");
    wait_until("it is logged", SOON, || near.log().contains(words));
    narrow(&a, &b, &near, 1400);
    assert!(!status().contains("IPv6"), "{}", status());
    assert_eq!(near.log().matches(words).count(), 1);
}
