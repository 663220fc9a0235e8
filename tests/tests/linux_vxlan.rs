//! vtepd against the kernel's VXLAN: what one sends the other understands, and both learn the same.
//!
//! ```text
//!   a1, a2, … ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b1, b2, …
//! ```

use std::collections::HashSet;

use vtep_tests::capture::Witnesses;
use vtep_tests::filter::Tunnel;
use vtep_tests::frames::{self, BROADCAST, RawSocket};
use vtep_tests::traffic::Transfer;
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, LinuxVtep, Pair, Segment, Underlay, Variant, wait_until};

in_every_variant!(
    workloads_ping_and_both_sides_learn,
    arp_crosses_both_ways,
    tcp_crosses_both_ways_with_default_offloads,
    floods_reach_every_member_once_and_unicast_one,
    outer_headers_are_as_the_rfc_has_them,
);

fn workloads_ping_and_both_sides_learn(variant: Variant) {
    let Pair { underlay: _underlay, a, b, a1, b1 } = Pair::new();
    let far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let near = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).remote(&b)]);

    a1.reaches(&b1);
    a1.ping(b1.address, 20);
    b1.ping(a1.address, 20);

    assert!(far.learned(100, a.address).contains(&a1.mac));
    let local = near.entry(100, &a1.mac).expect("an entry for a1");
    assert_eq!((&local["ifname"], &local["state"]), (&"a1".into(), &"reachable".into()), "{local}");
    let distant = near.entry(100, &b1.mac).expect("an entry for b1");
    assert_eq!((&distant["dst"], &distant["state"]), (&"192.0.2.2".into(), &"reachable".into()), "{distant}");
    assert_eq!(near.show(&format!("fdb get {} vni 100", b1.mac))["dst"], "192.0.2.2");
    assert!(near.list("fdb show dst 192.0.2.2").iter().all(|entry| entry["mac"] != a1.mac.as_str()));
}

fn arp_crosses_both_ways(variant: Variant) {
    let Pair { underlay: _underlay, a, b, a1, b1 } = Pair::new();
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let segment = Segment::vxlan(100).access(&a1).remote(&b).key("arp_proxy = false");
    let _near = Daemon::start(&a, variant, &[segment]);
    a1.reaches(&b1);

    // A kernel that waits for an answer longer than another second would ask again.
    for workload in [&a1, &b1] {
        let _ = workload.namespace.run("sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=10000");
    }
    let at_b1 = Capture::received(&b1);
    a1.namespace.ip("neigh flush dev eth0");
    a1.ping(b1.address, 1);
    at_b1.wait_for("arp[6:2] = 1 and arp[24:4] = 0x0a000002 and ether broadcast", 1);

    let at_a1 = Capture::received(&a1);
    b1.namespace.ip("neigh flush dev eth0");
    b1.ping(a1.address, 1);
    at_a1.wait_for("arp[6:2] = 1 and arp[24:4] = 0x0a000001 and ether broadcast", 1);
    assert_eq!(at_a1.stop().count("arp[6:2] = 1 and ether broadcast"), 1, "a request was repeated");
    assert_eq!(at_b1.stop().count("arp[6:2] = 1 and ether broadcast"), 1, "a request was repeated");
}

fn tcp_crosses_both_ways_with_default_offloads(variant: Variant) {
    let Pair { underlay, a, b, a1, b1 } = Pair::new();
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let _near = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    a1.reaches(&b1);

    let capture = Capture::start(&underlay.namespace, &a.underlay_device);
    Transfer::FULL.run(&a1, &b1);
    Transfer::FULL.run(&b1, &a1);
    Transfer::SMALL.run(&a1, &b1);
    Transfer::SMALL.run(&b1, &a1);
    let full = format!("{} and src host {} and greater 1500", Tunnel::vxlan(100).all(), a.address);
    assert!(capture.count(&full) > 1000, "segments were not of full size");
}

fn floods_reach_every_member_once_and_unicast_one(variant: Variant) {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node(1), underlay.node(2));
    let (a1, a2) = (a.workload("a1", "10.0.0.1"), a.workload("a2", "10.0.0.3"));
    let other = a.workload("other", "10.0.0.9");
    let (b1, b2) = (b.workload("b1", "10.0.0.2"), b.workload("b2", "10.0.0.4"));
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).access(&b2).remote(&a)]);
    let segments = [
        Segment::vxlan(100).access(&a1).access(&a2).remote(&b),
        Segment::vxlan(200).access(&other).remote(&b),
    ];
    let _near = Daemon::start(&a, variant, &segments);
    for workload in [&a2, &b1, &b2] {
        a1.reaches(workload);
    }

    let witnesses = Witnesses::at(&[&a1, &a2, &b1, &b2, &other]);
    let wire = Capture::start(&underlay.namespace, &a.underlay_device);
    let mut from_a1 = RawSocket::of(&a1);
    from_a1.repeat(&frames::datagram(&a1, BROADCAST, 5001), 10);
    from_a1.repeat(&frames::datagram(&a1, [2, 9, 9, 9, 9, 9], 5002), 10);
    from_a1.repeat(&frames::datagram(&a1, frames::octets(&b1.mac), 5003), 10);
    from_a1.repeat(&frames::datagram(&a1, frames::octets(&a2.mac), 5004), 10);
    from_a1.send(&frames::datagram(&a1, BROADCAST, 5009));
    witnesses.expect("the last frame from a1", "udp dst port 5009", &[0, 1, 1, 1, 0]);
    let mut from_b1 = RawSocket::of(&b1);
    from_b1.repeat(&frames::datagram(&b1, BROADCAST, 5005), 10);
    from_b1.repeat(&frames::datagram(&b1, frames::octets(&a1.mac), 5006), 10);
    from_b1.send(&frames::datagram(&b1, BROADCAST, 5010));
    witnesses.expect("the last frame from b1", "udp dst port 5010", &[1, 1, 0, 1, 0]);

    witnesses.expect("broadcast from a1", "udp dst port 5001", &[0, 10, 10, 10, 0]);
    witnesses.expect("unknown unicast from a1", "udp dst port 5002", &[0, 10, 10, 10, 0]);
    witnesses.expect("unicast from a1 to b1", "udp dst port 5003", &[0, 0, 10, 0, 0]);
    witnesses.expect("unicast from a1 to a2", "udp dst port 5004", &[0, 10, 0, 0, 0]);
    witnesses.expect("broadcast from b1", "udp dst port 5005", &[10, 10, 0, 10, 0]);
    witnesses.expect("unicast from b1 to a1", "udp dst port 5006", &[10, 0, 0, 0, 0]);
    let wire = wire.stop();
    let sent = |port| wire.count(&format!("{} and src host {}", Tunnel::vxlan(100).udp(port), a.address));
    assert_eq!([5001, 5002, 5003, 5004, 5005, 5006].map(sent), [10, 10, 10, 0, 0, 0], "sent by node 1");
}

fn outer_headers_are_as_the_rfc_has_them(variant: Variant) {
    let Pair { underlay, a, b, a1, b1 } = Pair::new();
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(0xab_cdef).access(&b1).remote(&a)]);
    let _near = Daemon::start(&a, variant, &[Segment::vxlan(0xab_cdef).access(&a1).remote(&b)]);
    a1.reaches(&b1);

    let wire = Capture::start(&underlay.namespace, &a.underlay_device);
    let mut socket = RawSocket::of(&a1);
    let macs = (frames::octets(&a1.mac), frames::octets(&b1.mac));
    for flow in 0..64_u16 {
        for payload in [&b"one"[..], &b"another"[..]] {
            socket.send(&frames::udp(macs, (a1.address, b1.address), (30_000 + flow, 6000), payload));
        }
    }
    let tunnel = Tunnel::vxlan(0xab_cdef);
    wire.wait_for(&tunnel.udp(6000), 128);
    let fields =
        ["ip.ttl", "ip.flags.df", "ip.checksum.status", "vxlan.flags", "vxlan.vni", "eth.src", "udp.srcport"];
    let lines = wire.stop().decoded("vxlan && udp.dstport == 6000 && ip.src == 192.0.2.1", &fields);
    assert_eq!(lines.len(), 128);
    let mut flows: HashSet<(String, String)> = HashSet::new();
    for line in &lines {
        // Each field has the outer value first, then the inner one.
        let columns: Vec<&str> =
            line.split('\t').map(|column| column.split(',').next().unwrap_or("")).collect();
        assert_eq!(columns[..6], ["64", "1", "1", "0x0800", "11259375", "02:00:00:00:01:01"], "{line}");
        let ports: Vec<&str> = line.rsplit('\t').next().unwrap().split(',').collect();
        let [outer, inner] = ports[..] else { panic!("{line}") };
        assert!(outer.parse::<u16>().unwrap() >= 49_152, "{line}");
        flows.insert((inner.to_owned(), outer.to_owned()));
    }
    assert_eq!(flows.len(), 64, "a flow has one source port: {flows:?}");
    let ports: HashSet<&String> = flows.iter().map(|(_, outer)| outer).collect();
    assert!(ports.len() > 48, "64 flows have {} source ports", ports.len());
}

/// The underlay takes packets of 1600 bytes: a workload's packet of 1550 just fits, one of 1551 is counted.
#[test]
fn frames_that_do_not_fit_are_counted() {
    let Pair { underlay, a, b, a1, b1 } = Pair::new();
    a1.namespace.ip("link set eth0 mtu 1700");
    a.namespace.ip("link set a1 mtu 1700");
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    a1.reaches(&b1);
    let wire = Capture::start(&underlay.namespace, &a.underlay_device);
    let macs = (frames::octets(&a1.mac), frames::octets(&b1.mac));
    let mut socket = RawSocket::of(&a1);
    let packet =
        |size: usize, port| frames::udp(macs, (a1.address, b1.address), (40_000, port), &vec![0; size - 28]);
    socket.repeat(&packet(1550, 5001), 10);
    socket.repeat(&packet(1551, 5002), 10);
    wait_until("those that do not fit are counted", SOON, || near.drops("PKT_TOO_BIG") == 10);
    wire.wait_for(&Tunnel::vxlan(100).udp(5001), 10);
    assert_eq!(wire.count(&Tunnel::vxlan(100).udp(5002)), 0);
}

/// A tagged frame is carried as it is.
#[test]
fn an_inner_tag_is_carried() {
    let Pair { underlay: _underlay, a, b, a1, b1 } = Pair::new();
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let _near = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    a1.reaches(&b1);
    let received = [Capture::received(&a1), Capture::received(&b1)];
    for (number, from) in [(0, &b1), (1, &a1)] {
        let mut frame = frames::datagram(from, BROADCAST, 5001);
        frame.splice(12..12, [0x81, 0x00, 0xa0, 0x07]);
        RawSocket::of(from).repeat(&frame, 10);
        // Priority 5, VLAN 7.
        received[number].wait_for("vlan 7 and udp dst port 5001", 10);
    }
}
