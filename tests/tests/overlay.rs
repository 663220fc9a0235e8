//! Two vtepd nodes with several VNIs: what belongs to one stays in it, entries follow the workloads and age, static
//! ones stay.
//!
//! ```text
//!   a1, a2, … ── node 1 (vtepd) ── underlay ── node 2 (vtepd) ── b1, b2, …
//! ```

use std::time::Duration;

use vtep_tests::capture::Witnesses;
use vtep_tests::filter::Tunnel;
use vtep_tests::frames::{self, BROADCAST, RawSocket};
use vtep_tests::traffic::{Host, Transfer};
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, Pair, Segment, UdpStream, Underlay, Variant, wait_until};

in_every_variant!(
    vnis_with_the_same_addresses_are_apart,
    a_moved_workload_is_found_at_once,
    entries_age_while_traffic_goes_one_way,
);

/// VNIs 100 and 200 over VXLAN, 300 over GRE, with the same Ethernet and IP addresses in each.
fn vnis_with_the_same_addresses_are_apart(variant: Variant) {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node(1), underlay.node(2));
    let at = |node: &vtep_tests::Node, side: &str, address: &str| {
        [100, 200, 300].map(|vni| node.workload(&format!("{side}{vni}"), address))
    };
    let ([a1, a2, a3], [b1, b2, b3]) = (at(&a, "a", "10.0.0.1"), at(&b, "b", "10.0.0.2"));
    let segments = [Segment::vxlan(100), Segment::vxlan(200), Segment::gre(300)];
    let [s1, s2, s3] = segments.clone();
    let near = [s1.access(&a1).remote(&b), s2.access(&a2).remote(&b), s3.access(&a3).remote(&b)];
    let near = Daemon::start(&a, variant, &near);
    let [s1, s2, s3] = segments;
    let far = [s1.access(&b1).remote(&a), s2.access(&b2).remote(&a), s3.access(&b3).remote(&a)];
    let _far = Daemon::start(&b, variant, &far);
    for (from, to) in [(&a1, &b1), (&a2, &b2), (&b3, &a3)] {
        from.reaches(to);
        from.ping(to.address, 10);
        Transfer::SMALL.run(from, to);
        Transfer::FULL.run(to, from);
    }
    for vni in [100, 200, 300] {
        assert_eq!(near.entry(vni, &b1.mac).expect("an entry for b")["dst"], "192.0.2.2");
        assert_eq!(near.entry(vni, &a1.mac).expect("an entry for a")["ifname"], format!("a{vni}"));
    }

    let witnesses = Witnesses::at(&[&a1, &a2, &a3, &b1, &b2, &b3]);
    let wire = Capture::start(&underlay.namespace, &a.underlay_device);
    for (workload, port) in [(&a1, 5001), (&a2, 5002), (&a3, 5003)] {
        RawSocket::of(workload).repeat(&frames::datagram(workload, BROADCAST, port), 10);
    }
    witnesses.expect("broadcast in VNI 300", "udp dst port 5003", &[0, 0, 0, 0, 0, 10]);
    witnesses.expect("broadcast in VNI 200", "udp dst port 5002", &[0, 0, 0, 0, 10, 0]);
    witnesses.expect("broadcast in VNI 100", "udp dst port 5001", &[0, 0, 0, 10, 0, 0]);
    let wire = wire.stop();
    let tunnels = [Tunnel::vxlan(100), Tunnel::vxlan(200), Tunnel::gre(300)];
    assert_eq!(tunnels.map(|tunnel| wire.count(&tunnel.udp(5001))), [10, 0, 0]);
    assert_eq!(tunnels.map(|tunnel| wire.count(&tunnel.udp(5003))), [0, 0, 10]);
}

/// b1 moves from node 2 to node 1 and back, both daemons being told live.
fn a_moved_workload_is_found_at_once(variant: Variant) {
    let Pair { underlay: _underlay, a, b, a1, b1 } = Pair::new();
    let b2 = b.workload("b2", "10.0.0.3");
    let near = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    let far = Daemon::start(&b, variant, &[Segment::vxlan(100).access(&b1).access(&b2).remote(&a)]);
    a1.reaches(&b1);
    b2.reaches(&b1);

    let unaffected = UdpStream::start(&a1, &b2, Duration::from_millis(2));
    far.change("port del b1");
    b1.migrate(&a);
    near.change("port add b1 vni 100");
    near.wait_for_ports();
    b1.reaches(&a1);
    a1.ping(b1.address, 10);
    b2.reaches(&b1);
    b2.ping(b1.address, 10);
    assert_eq!(near.entry(100, &b1.mac).expect("an entry for b1")["ifname"], "b1");
    assert_eq!(far.entry(100, &b1.mac).expect("an entry for b1")["dst"], "192.0.2.1");

    near.change("port del b1");
    b1.migrate(&b);
    far.change("port add b1 vni 100");
    far.wait_for_ports();
    b1.reaches(&a1);
    a1.ping(b1.address, 10);
    assert_eq!(near.entry(100, &b1.mac).expect("an entry for b1")["dst"], "192.0.2.2");
    assert_eq!(far.entry(100, &b1.mac).expect("an entry for b1")["ifname"], "b1");
    unaffected.stop().assert_complete();
}

/// b1 only receives: its entry at node 1 ages out although traffic to it goes on, and a1's at node 2 stays.
fn entries_age_while_traffic_goes_one_way(variant: Variant) {
    let Pair { underlay: _underlay, a, b, a1, b1 } = Pair::new();
    let segment = || Segment::vxlan(100).key("ageing = 5");
    let near = Daemon::start(&a, variant, &[segment().access(&a1).remote(&b)]);
    let far = Daemon::start(&b, variant, &[segment().access(&b1).remote(&a)]);
    a1.reaches(&b1);
    // From here on b1 says nothing of its own accord: a1 does not ask, and b1 takes what comes.
    a1.namespace.ip(&format!("neigh replace {} lladdr {} dev eth0 nud permanent", b1.address, b1.mac));
    let stream = UdpStream::start(&a1, &b1, Duration::from_millis(5));
    wait_until("b1's entry ages out", SOON, || {
        assert!(far.entry(100, &a1.mac).is_some(), "a1's entry aged out although a1 sends");
        near.entry(100, &b1.mac).is_none()
    });
    stream.wait_for_more(50);
    assert!(far.entry(100, &a1.mac).is_some(), "a1's entry aged out although a1 sends");
    stream.stop().assert_complete();
}

#[test]
fn static_entries_stay_and_bind() {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node(1), underlay.node(2));
    let (a1, a2) = (a.workload("a1", "10.0.0.1"), a.workload("a2", "10.0.0.3"));
    let b1 = b.workload("b1", "10.0.0.2");
    let segment = Segment::vxlan(100).access(&a1).access(&a2).remote(&b).key("ageing = 1");
    let config = Variant::ONE_WORKER.config(&a, &[segment])
        + &format!("[[fdb]]\nvni = 100\nmac = \"{}\"\nport = \"a1\"\n", a1.mac);
    let near = Daemon::ready(&a, &config);
    let _far = Daemon::start(&b, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    near.change("fdb add 02:00:00:00:00:77 vni 100 dst 192.0.2.2");
    a1.reaches(&b1);

    // To a static address behind a remote: to that remote only.
    let witnesses = Witnesses::at(&[&a1, &a2, &b1]);
    let mut from_a1 = RawSocket::of(&a1);
    from_a1.repeat(&frames::datagram(&a1, [2, 0, 0, 0, 0, 0x77], 5001), 10);
    from_a1.send(&frames::datagram(&a1, BROADCAST, 5002));
    witnesses.expect("the frame after it", "udp dst port 5002", &[0, 1, 1]);
    witnesses.expect("unicast to a static entry", "udp dst port 5001", &[0, 0, 10]);

    // With a static source from elsewhere: dropped, and the entry stays.
    let before = near.drops("VXLAN_ENTRY_EXISTS");
    RawSocket::of(&a2).repeat(&frames::datagram(&a1, BROADCAST, 5003), 10);
    wait_until("frames from the wrong place are dropped", SOON, || {
        near.drops("VXLAN_ENTRY_EXISTS") - before == 10
    });
    let entry = near.entry(100, &a1.mac).expect("the static entry");
    assert_eq!((&entry["ifname"], &entry["state"]), (&"a1".into(), &"permanent".into()), "{entry}");

    // Ageing and a plain flush take learned entries only.
    wait_until("learned entries age out", SOON, || near.entry(100, &b1.mac).is_none());
    near.change("fdb flush vni 100");
    let kept: Vec<_> = near.list("fdb show vni 100 static");
    assert_eq!(kept.len(), 2, "{kept:?}");
    near.change("fdb del 02:00:00:00:00:77 vni 100");
    near.change("fdb flush vni 100 static");
    assert_eq!(near.list("fdb show vni 100 static").len(), 0);
}

#[test]
fn without_learning_everything_is_flooded() {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node(1), underlay.node(2));
    let (a1, a2) = (a.workload("a1", "10.0.0.1"), a.workload("a2", "10.0.0.3"));
    let b1 = b.workload("b1", "10.0.0.2");
    let segment = Segment::vxlan(100).access(&a1).access(&a2).remote(&b).key("learning = false");
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[segment]);
    let _far = Daemon::start(&b, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    a1.reaches(&b1);
    assert_eq!(near.list("fdb show vni 100").len(), 0);
    let witnesses = Witnesses::at(&[&a1, &a2, &b1]);
    RawSocket::of(&a1).repeat(&frames::datagram(&a1, frames::octets(&b1.mac), 5001), 10);
    witnesses.expect("unicast without learning", "udp dst port 5001", &[0, 10, 10]);
}

/// A workload's own VXLAN carries TCP, whose checksums the workload by default leaves to its device: nothing in the frame says
/// so, and only where the workload is told to finish them do they ever become right.
#[test]
fn a_tunnel_that_workloads_make_carries_tcp() {
    let underlay = Underlay::new();
    let a = underlay.node(1);
    let (a1, a2) = (a.workload("a1", "10.0.0.1"), a.workload("a2", "10.0.0.2"));
    // This variant names the workloads' namespaces.
    let variant = Variant::TWO_WORKERS_BURST;
    let daemon = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).access(&a2)]);
    a1.reaches(&a2);
    for name in ["a1", "a2"] {
        wait_until("nothing is left to the device", SOON, || daemon.port(name)["tags"]["seen"] == true);
    }
    let ends = [(&a1, &a2, 1), (&a2, &a1, 2)].map(|(workload, other, last)| {
        // Not to the port of VXLAN, to which a workload may not send.
        let tunnel = "type vxlan id 5 dstport 6081 dev eth0";
        let (local, remote) = (workload.address, other.address);
        workload.namespace.ip(&format!("link add in5 mtu 1450 {tunnel} local {local} remote {remote}"));
        workload.namespace.ip(&format!("addr add 10.1.0.{last}/24 dev in5"));
        workload.namespace.ip("link set in5 up");
        Host::at(&workload.namespace, [10, 1, 0, last])
    });
    let [from, to] = ends;
    Transfer::SMALL.run(from, to);
    Transfer::FULL.run(to, from);
}
