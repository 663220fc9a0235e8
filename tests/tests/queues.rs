//! Every relation of ports, queues and workers: frames arrive once and in order per flow.

use std::time::Duration;

use vtep_tests::traffic::Transfer;
use vtep_tests::{Daemon, Segment, UdpStream, Underlay, Variant};

in_every_variant!(more_ports_than_workers, more_queues_than_workers);

/// ```text
///   a1 … a6 ── node 1 (vtepd) ── underlay ── node 2 (vtepd) ── b1, b2
/// ```
fn more_ports_than_workers(variant: Variant) {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node(1), underlay.node(2));
    let near: Vec<_> = (1..=6).map(|n| a.workload(&format!("a{n}"), &format!("10.0.0.{n}"))).collect();
    let far: Vec<_> = (1..=2).map(|n| b.workload(&format!("b{n}"), &format!("10.0.0.{}", 100 + n))).collect();
    let join = |segment: Segment, workloads: &[vtep_tests::Workload]| {
        workloads.iter().fold(segment, Segment::access)
    };
    let _near = Daemon::start(&a, variant, &[join(Segment::vxlan(100).remote(&b), &near)]);
    let _far = Daemon::start(&b, variant, &[join(Segment::vxlan(100).remote(&a), &far)]);
    for (from, to) in near.iter().zip(near.iter().skip(1)) {
        from.reaches(to);
        from.ping(to.address, 5);
    }
    near[0].reaches(&far[0]);
    near[5].reaches(&far[1]);
    let streams = [
        UdpStream::start(&near[0], &far[0], Duration::from_millis(1)),
        UdpStream::start(&near[5], &far[1], Duration::from_millis(1)),
        UdpStream::start(&far[0], &near[2], Duration::from_millis(1)),
        UdpStream::start(&near[3], &near[4], Duration::from_millis(1)),
    ];
    Transfer::SMALL.run(&near[1], &far[0]);
    Transfer::FULL.run(&far[1], &near[1]);
    for stream in streams {
        stream.stop().assert_complete();
    }
}

/// Four queues on the uplink and on each workload's device.
///
/// ```text
///   a1 ══ node 1 (vtepd) ══ underlay ── node 2 (vtepd) ── b1
/// ```
fn more_queues_than_workers(variant: Variant) {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node_with_queues(1, 4), underlay.node(2));
    let a1 = a.workload_with("a1", "10.0.0.1", "numrxqueues 4 numtxqueues 4");
    let b1 = b.workload("b1", "10.0.0.2");
    let near = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    let _far = Daemon::start(&b, variant, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    a1.reaches(&b1);
    for port in near.list("port show") {
        let queues: Vec<_> =
            port["queues"].as_array().expect("queues").iter().map(|queue| &queue["queue"]).collect();
        assert_eq!(queues, [0, 1, 2, 3], "{port}");
    }
    let streams = UdpStream::both_ways(&a1, &b1, Duration::from_millis(1));
    // Each connection is a flow of its own: together they use all queues.
    for _ in 0..8 {
        Transfer::SMALL.run(&a1, &b1);
        Transfer::SMALL.run(&b1, &a1);
    }
    Transfer::FULL.run(&a1, &b1);
    Transfer::FULL.run(&b1, &a1);
    for stream in streams {
        stream.stop().assert_complete();
    }
}

/// A queue that no worker serves is never passed over in silence.
#[test]
fn a_queue_that_is_not_covered_is_told() {
    let underlay = Underlay::new();
    let a = underlay.node(1);
    let a1 = a.workload_with("a1", "10.0.0.1", "numrxqueues 4 numtxqueues 4");
    let variant = Variant::ONE_WORKER;
    let config = variant.port("up0", "role = \"uplink\"")
        + &variant.port("a1", "vni = 100\nqueues = 2")
        + &vtep_tests::config_text::vni(&a, &Segment::vxlan(100));
    let daemon = Daemon::with_config(&a, &config);
    daemon.wait_for_ports();
    let port = &daemon.list(&format!("port show {}", a1.name))[0];
    assert_eq!(port["queues"].as_array().expect("queues").len(), 2);
    assert!(port["degraded"].to_string().contains("queue"), "{port}");
    daemon.change("port del a1");
    daemon.ctl("port add a1 vni 100 queues 9").assert_fails(1, &["a1", "9", "4"]);
}

/// A device with more queues than frame memory can feed takes no other port's chunks, nor those that copies need.
#[test]
fn more_queues_than_chunks_leave_some_to_flood_with() {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node(1), underlay.node(2));
    let a1 = a.workload_with("a1", "10.0.0.1", "numrxqueues 8 numtxqueues 8");
    let a2 = a.workload("a2", "10.0.0.2");
    // So few chunks are enough for the test's own frames.
    for workload in [&a1, &a2] {
        let _ = workload.namespace.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1");
    }
    let segment = Segment::vxlan(100).access(&a1).access(&a2).remote(&b);
    let config = format!("[umem]\nchunks = 256\n\n{}", Variant::ONE_WORKER.config(&a, &[segment]));
    let daemon = Daemon::with_config(&a, &config);
    daemon.wait_for_ports();
    // Of each request to a2 the remote gets a copy.
    a1.reaches(&a2);
    a2.reaches(&a1);
    let stats = daemon.show("stats show").to_string();
    assert!(!stats.contains("NO_CHUNK"), "{stats}");
    for port in daemon.list("port show") {
        assert!(port["degraded"].to_string().contains("a queue gets 19 chunks for a ring of 2048"), "{port}");
    }
    daemon.change("port del a1");
    let port = daemon.port("a2");
    assert!(
        port["degraded"].to_string().contains("a queue gets 96 chunks"),
        "the others get its share: {port}"
    );
}
