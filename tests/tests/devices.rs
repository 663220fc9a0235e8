//! Devices that are missing, vanish, go down, or belong to somebody else: only their own ports suffer, and come back
//! when the device does.
//!
//! ```text
//!   a1, a2 ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b1
//! ```

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use vtep_tests::refusal::Strace;
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, Segment, Surge, Trio, UdpStream, Variant, wait_until};

in_every_variant!(a_device_that_vanishes_comes_back, an_uplink_that_goes_down_comes_back);

fn wait_for_state(daemon: &Daemon<'_>, name: &str, state: &str) {
    wait_until(&format!("port {name} is {state}"), SOON, || daemon.port(name)["state"] == state);
}

fn a_device_that_vanishes_comes_back(variant: Variant) {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, variant, &[net.segment()]);
    net.a1.reaches(&net.b1);
    net.a2.reaches(&net.b1);

    let others = UdpStream::start(&net.a1, &net.b1, Duration::from_millis(1));
    for _ in 0..3 {
        net.a2.namespace.ip("link del eth0");
        wait_for_state(&daemon, "a2", "DOWN");
        assert_ne!(daemon.port("a2")["degraded"], Value::Array(Vec::new()), "it does not say why");
        others.wait_for_more(20);
        net.a2.reconnect(&net.a);
        wait_for_state(&daemon, "a2", "UP");
        net.a2.reaches(&net.b1);
        net.b1.reaches(&net.a2);
    }
    // Down and up again without vanishing.
    net.a.namespace.ip("link set a2 down");
    wait_for_state(&daemon, "a2", "DOWN");
    others.wait_for_more(20);
    net.a.namespace.ip("link set a2 up");
    wait_for_state(&daemon, "a2", "UP");
    net.a2.reaches(&net.b1);
    others.stop().assert_complete();
}

fn an_uplink_that_goes_down_comes_back(variant: Variant) {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, variant, &[net.segment()]);
    net.a1.reaches(&net.b1);
    net.a1.reaches(&net.a2);
    let local = UdpStream::start(&net.a1, &net.a2, Duration::from_millis(1));
    net.a.namespace.ip("link set up0 down");
    wait_for_state(&daemon, "up0", "DOWN");
    local.wait_for_more(20);
    net.a.namespace.ip("link set up0 up");
    wait_for_state(&daemon, "up0", "UP");
    daemon.wait_for_remotes();
    net.a1.reaches(&net.b1);
    local.stop().assert_complete();
}

/// Frames that a device left in its ring when it went down are offered to it again now and then, whatever else passes.
#[test]
fn a_device_that_is_down_costs_the_others_little() {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER_RING, &[net.segment()]);
    net.a1.reaches(&net.a2);
    net.a1.reaches(&net.b1);
    let strace = Strace::attach(daemon.id(), "worker-0", &["-e", "trace=socket,sendto"]);
    let mut surge = Surge::open(&net.a1, &net.a2);
    // Only until the control thread knows of it do frames go to a device that is down.
    wait_until("frames stay in the ring", SOON * 2, || {
        net.a.namespace.ip("link set a2 up");
        wait_for_state(&daemon, "a2", "UP");
        net.a1.reaches(&net.a2);
        thread::scope(|scope| {
            let down = scope.spawn(|| net.a.namespace.ip("link set a2 down"));
            while !down.is_finished() {
                surge.send(10);
            }
        });
        wait_for_state(&daemon, "a2", "DOWN");
        strace.count("ENETDOWN") != 0
    });
    let (begin, before) = (Instant::now(), strace.count("ENETDOWN"));
    let others = UdpStream::start(&net.a1, &net.b1, Duration::from_millis(1));
    others.wait_for_more(300);
    let (asked, pauses) = (strace.count("ENETDOWN") - before, begin.elapsed().as_millis() / 10);
    assert!(asked as u128 <= pauses + 1, "{asked} times in {pauses} pauses of 10 ms");
    assert_eq!(strace.count("socket("), 0, "a worker asks netlink");
    others.stop().assert_complete();
    net.a.namespace.ip("link set a2 up");
    wait_for_state(&daemon, "a2", "UP");
    net.a1.reaches(&net.a2);
    daemon.assert_balanced();
}

/// A device that is not there yet keeps nothing else from working, and its port comes up when it appears.
#[test]
fn a_missing_device_is_waited_for() {
    let net = Trio::new();
    let config =
        Variant::ONE_WORKER.config(&net.a, &[net.segment()]) + "[[port]]\nname = \"later\"\nvni = 100\n";
    let daemon = Daemon::with_config(&net.a, &config);
    wait_for_state(&daemon, "a1", "UP");
    net.a1.reaches(&net.b1);
    let later = daemon.port("later");
    assert_eq!((&later["state"], &later["mode"]), (&"DOWN".into(), &"".into()), "{later}");
    let reasons = later["degraded"].to_string();
    assert!(reasons.contains("no device") && reasons.contains("later"), "{reasons}");
    assert!(daemon.log().contains("later"), "the log does not tell");
    let status = daemon.show("status");
    assert!(status["degraded"].to_string().contains("later"), "{status}");

    let workload = net.a.workload("later", "10.0.0.4");
    wait_for_state(&daemon, "later", "UP");
    workload.reaches(&net.b1);
}

/// Somebody else's AF_XDP socket or XDP program on a device is left alone, and the port says so.
#[test]
fn a_device_that_is_taken_is_refused() {
    let net = Trio::new();
    let first = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.segment()]);
    net.a1.reaches(&net.b1);
    let second = Daemon::with_config(&net.a, &Variant::ONE_WORKER.config(&net.a, &[net.segment()]));
    for name in ["up0", "a1", "a2"] {
        let port = second.port(name);
        assert_eq!(port["state"], "DOWN", "{port}");
        assert!(port["degraded"].to_string().contains("already"), "{port}");
    }
    net.a1.ping(net.b1.address, 5);
    drop(first);
    // What was taken is free now.
    second.wait_for_ports();
    second.wait_for_remotes();
    net.a1.reaches(&net.b1);
}

/// veth has no zero-copy: a port that requires it is refused, and one that leaves the mode to us lacks nothing.
#[test]
fn less_than_required_is_refused_and_what_no_driver_has_is_not_missed() {
    let net = Trio::new();
    let daemon =
        Daemon::start(&net.a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&net.a1).remote(&net.b)]);
    let a1 = daemon.port("a1");
    assert_eq!(a1["mode"], "native", "{a1}");
    assert_eq!(a1["degraded"], Value::Array(Vec::new()), "{a1}");
    assert!(daemon.log().contains("the driver has no zero-copy"), "{}", daemon.log());
    let refused = daemon.ctl("port add a2 vni 100 require zerocopy");
    refused.assert_fails(1, &["a2", "zero-copy"]);
    daemon.change("port add a2 vni 100 mode generic");
    wait_for_state(&daemon, "a2", "UP");
    assert_eq!(daemon.port("a2")["mode"], "generic");
    net.a2.reaches(&net.b1);
    net.a2.reaches(&net.a1);
}

/// Where every port uses rings, frame memory lies on 2 MiB pages, if the kernel makes any; bursts need the array that the
/// XDP program reads, which has none.
#[test]
fn frame_memory_lies_on_large_pages_where_nothing_is_burst() {
    let net = Trio::new();
    for variant in [Variant::ONE_WORKER_RING, Variant::ONE_WORKER] {
        let daemon = Daemon::start(&net.a, variant, &[net.segment()]);
        net.a1.reaches(&net.b1);
        let settings = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")
            .expect("a kernel with THP");
        let rings = variant == Variant::ONE_WORKER_RING;
        let expected: &[&str] = match (rings, settings.contains("[never]")) {
            (true, false) => &["thp", "hugetlb"],
            (true, true) => &["base", "hugetlb"],
            (false, _) => &["base"],
        };
        let told = daemon.port("a1");
        assert!(expected.contains(&told["pages"].as_str().unwrap_or_default()), "{told:#}");
        if rings {
            daemon.change("port del a2");
            daemon.change("port add a2 vni 100 transmit auto");
            wait_for_state(&daemon, "a2", "UP");
            let transmit = &daemon.port("a2")["transmit"];
            assert_eq!(transmit["active"], "ring", "{transmit}");
            assert!(transmit["reason"].to_string().contains("restart vtepd to burst"), "{transmit}");
        }
    }
}
