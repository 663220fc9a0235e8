//! An IPv6 underlay: vtepd against the kernel's VXLAN and Open vSwitch's GRE, and beside peers over IPv4 in one VNI.

use vtep_tests::frames::{self, BROADCAST, RawSocket};
use vtep_tests::traffic::Transfer;
use vtep_tests::wait::SOON;
use vtep_tests::{
    Capture, Daemon, LinuxVtep, OvsVtep, Pair, Segment, Underlay, Variant, Workload, wait_until,
};

in_every_variant!(
    linux_vxlan_and_vtepd_understand_each_other,
    ovs_gre_and_vtepd_understand_each_other,
    one_vni_has_peers_of_both_families,
);

/// ```text
///   a1 ── node 1 (vtepd) ── IPv6 ── node 2 (Linux vxlan + bridge) ── b1
/// ```
fn linux_vxlan_and_vtepd_understand_each_other(variant: Variant) {
    let Pair { underlay, a, b, a1, b1 } = Pair::with_ipv6();
    // By default Linux computes checksums, and refuses packets without.
    let far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote6(&a)]);
    let near = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).remote6(&b)]);
    let wire = Capture::start(&underlay.namespace, &a.underlay_device);
    a1.reaches(&b1);
    a1.ping(b1.address, 20);
    b1.ping(a1.address, 20);
    assert!(far.learned(100, a.address6()).contains(&a1.mac));
    assert_eq!(near.entry(100, &b1.mac).expect("an entry for b1")["dst"], "2001:db8::2");
    send_every_kind(&a1, &b1);
    wire.wait_for("src host 2001:db8::1 and udp dst port 4789", 40 + 64 + 1);
    let captured = wire.stop();
    Transfer::FULL.run(&a1, &b1);
    Transfer::FULL.run(&b1, &a1);
    Transfer::SMALL.run(&a1, &b1);
    Transfer::SMALL.run(&b1, &a1);
    assert_eq!(udp_errors(&b.namespace), 0, "the kernel refused checksums");
    assert_eq!(near.drops("UDP_CSUM"), 0);

    let fields = ["ipv6.hlim", "udp.checksum.status", "vxlan.flags", "vxlan.vni", "udp.srcport", "ipv6.flow"];
    let lines = captured.decoded("vxlan && ipv6.src == 2001:db8::1", &fields);
    assert!(lines.len() > 40 + 64);
    for line in &lines {
        let columns: Vec<&str> =
            line.split('\t').map(|column| column.split(',').next().unwrap_or("")).collect();
        assert_eq!(columns[..4], ["64", "1", "0x0800", "100"], "{line}");
        assert!(columns[4].parse::<u16>().unwrap() >= 49_152, "{line}");
        assert!(!columns[5].ends_with("0x000000") && columns[5].starts_with("0x"), "{line}");
    }
}

/// Frames whose checksums a workload completed itself: of all lengths, and one with bytes behind its packet.
fn send_every_kind(from: &Workload, to: &Workload) {
    let macs = (frames::octets(&from.mac), frames::octets(&to.mac));
    let mut socket = RawSocket::of(from);
    for length in 0..64 {
        let mut frame = frames::udp(macs, (from.address, to.address), (40_000, 6000), &vec![0xa5; length]);
        frame.extend(vec![0xee; length % 3]);
        socket.send(&frame);
    }
    socket.send(&frames::datagram(from, BROADCAST, 6001));
}

/// What the kernel of a namespace counted as wrong UDP checksums over IPv6, or found nobody to take.
fn udp_errors(namespace: &vtep_tests::netns::Namespace) -> u64 {
    let text = namespace.run("cat /proc/net/snmp6");
    let count = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace().last().and_then(|count| count.parse::<u64>().ok()).expect("a count")
    };
    count("Udp6InCsumErrors") + count("Udp6InErrors")
}

/// ```text
///   a1 ── node 1 (vtepd) ── IPv6 ── node 2 (OVS, userspace datapath) ── b1
/// ```
fn ovs_gre_and_vtepd_understand_each_other(variant: Variant) {
    let Pair { underlay: _underlay, a, b, a1, b1 } = Pair::with_ipv6();
    OvsVtep::complete_checksums(&b1);
    let far = OvsVtep::start(&b, &[Segment::gre(33).access(&b1).remote6(&a)]);
    let near = Daemon::start(&a, variant, &[Segment::gre(33).access(&a1).remote6(&b)]);
    a1.reaches(&b1);
    a1.ping(b1.address, 20);
    b1.ping(a1.address, 20);
    assert!(far.learned(33).contains(&(a1.mac.clone(), 101)), "{:?}", far.learned(33));
    assert_eq!(near.entry(33, &b1.mac).expect("an entry for b1")["dst"], "2001:db8::2");
    Transfer::FULL.run(&a1, &b1);
    Transfer::FULL.run(&b1, &a1);
    Transfer::SMALL.run(&a1, &b1);
    Transfer::SMALL.run(&b1, &a1);
}

/// ```text
///                                  ┌── IPv6 ── node 2 (Linux) ── b1
///   a1 ── node 1 (vtepd) ──────────┤
///                                  └── IPv4 ── node 3 (Linux) ── c1
/// ```
fn one_vni_has_peers_of_both_families(variant: Variant) {
    let underlay = Underlay::new();
    let (a, b, c) = (underlay.node_with_ipv6(1), underlay.node_with_ipv6(2), underlay.node(3));
    let a1 = a.workload("a1", "10.0.0.1");
    let (b1, c1) = (b.workload("b1", "10.0.0.2"), c.workload("c1", "10.0.0.3"));
    let _over_ipv6 = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote6(&a)]);
    let _over_ipv4 = LinuxVtep::start(&c, &[Segment::vxlan(100).access(&c1).remote(&a)]);
    let near = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).remote6(&b).remote(&c)]);
    a1.reaches(&b1);
    a1.reaches(&c1);
    Transfer::SMALL.run(&a1, &b1);
    Transfer::SMALL.run(&c1, &a1);
    assert_eq!(near.entry(100, &b1.mac).expect("an entry for b1")["dst"], "2001:db8::2");
    assert_eq!(near.entry(100, &c1.mac).expect("an entry for c1")["dst"], "192.0.2.3");
    assert_eq!(near.list("vni show 100")[0]["local"], serde_json::json!(["192.0.2.1", "2001:db8::1"]));
    let remotes = near.list("remote show vni 100");
    let seen: Vec<_> = remotes.iter().map(|remote| (&remote["local"], &remote["udp_checksum"])).collect();
    assert_eq!(seen, [(&"192.0.2.1".into(), &false.into()), (&"2001:db8::1".into(), &true.into())]);

    let received = [&b1, &c1].map(Capture::received);
    RawSocket::of(&a1).repeat(&frames::datagram(&a1, BROADCAST, 5001), 10);
    for capture in &received {
        capture.wait_for("udp dst port 5001", 10);
    }
    // No way leads from one peer to the other.
    b1.does_not_reach(c1.address);
}

/// Packets without a checksum pass where both ends are configured for them, and nowhere else.
#[test]
fn zero_checksums_are_configured_at_both_ends() {
    let Pair { underlay, a, b, a1, b1 } = Pair::with_ipv6();
    let segment = [Segment::vxlan(100).access(&b1).remote6(&a)];
    let _far = LinuxVtep::start_with(&b, &segment, "udp6zerocsumtx udp6zerocsumrx");
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).remote6(&b)]);
    b1.does_not_reach(a1.address);
    wait_until("it is counted", SOON, || near.drops("UDP_CSUM") > 0);

    near.change("remote replace 2001:db8::2 vni 100 udp-checksum off");
    assert_eq!(near.list("remote show vni 100")[0]["udp_checksum"], false);
    a1.reaches(&b1);
    // What was sent before the change had a checksum.
    let wire = Capture::start(&underlay.namespace, &a.underlay_device);
    b1.ping(a1.address, 10);
    Transfer::SMALL.run(&a1, &b1);
    let sums = wire.stop().decoded("vxlan && ipv6.src == 2001:db8::1", &["udp.checksum"]);
    assert!(sums.len() > 30, "{} packets", sums.len());
    assert!(sums.iter().all(|sum| sum.starts_with("0x0000")), "{:?}", sums.first());
}

/// The daemon follows the kernel's neighbour over IPv6.
#[test]
fn a_next_hop_with_a_new_ethernet_address_is_followed() {
    let Pair { underlay: _underlay, a, b, a1, b1 } = Pair::with_ipv6();
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote6(&a)]);
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).remote6(&b)]);
    a1.reaches(&b1);
    let new = "02:00:00:00:02:02";
    b.namespace.ip(&format!("link set up0 address {new}"));
    a.namespace.ip(&format!("neigh replace {} lladdr {new} dev up0 nud reachable", b.address6()));
    wait_until("the remote has the new next hop", SOON, || {
        near.list("remote show vni 100")[0]["lladdr"] == new
    });
    a1.ping(b1.address, 10);

    a.namespace.ip(&format!("addr del {}/64 dev up0", a.address6()));
    wait_until("the remote has no route", SOON, || near.list("remote show vni 100")[0]["state"] == "noroute");
    // With duplicate address detection: usable only after a second or so.
    a.namespace.ip(&format!("addr add {}/64 dev up0", a.address6()));
    near.wait_for_remotes();
    a1.reaches(&b1);
}
