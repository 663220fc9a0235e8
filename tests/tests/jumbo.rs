//! Packets that take several chunks of frame memory: an underlay of 9000 bytes, workloads of 8950. They arrive whole, once
//! and in order among small ones, whatever way they leave; where they cannot, it is said what helps.

use std::net::UdpSocket;
use std::time::Duration;

use serde_json::Value;
use vtep_tests::capture::Witnesses;
use vtep_tests::filter::Tunnel;
use vtep_tests::traffic::Transfer;
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, LinuxVtep, Pair, Segment, Surge, Trio, UdpStream, Variant, Workload, wait_until};

use crate::mtu::{narrow, path_mtu, told_mtu};

in_every_variant!(
    packets_of_8950_bytes_pass_between_vtepd_and_linux,
    large_and_small_packets_of_a_flow_arrive_whole_and_in_order,
    a_large_frame_is_flooded_to_everybody_once,
    large_packets_are_cut_for_a_narrow_path_or_their_sender_is_told,
);

/// MTU of the underlay, and of workloads: 50 bytes less.
pub(crate) const UNDERLAY: u32 = 9000;
pub(crate) const WORKLOADS: u32 = UNDERLAY - 50;
/// Bytes in an echo request, and in a UDP datagram, of a packet of that size.
pub(crate) const ECHO: usize = WORKLOADS as usize - 28;

pub(crate) fn pings(from: &Workload, words: &str, to: &Workload) {
    // One at a time: once one has been answered quickly, ping leaves the last of several little time.
    for _ in 0..5 {
        let finished = from.namespace.attempt(&format!("ping -c 1 -W 10 {words} {}", to.address));
        assert!(finished.stdout.contains("1 received"), "{finished}");
    }
}

/// `[umem]` with so many jumbo chunks, and the rest.
fn with_jumbo_chunks(count: u32, config: &str) -> String {
    format!("[umem]\njumbo_chunks = {count}\n\n{config}")
}

/// All jumbo chunks are free: nobody keeps one.
fn wait_for_free(daemon: &Daemon<'_>) {
    wait_until("all jumbo chunks are free", SOON, || {
        let chunks = daemon.show("stats show")["jumbo_chunks"].clone();
        chunks["free"] == chunks["total"] && chunks["total"] != 0
    });
}

/// Linux on node 2, and everything as wide as it is to be: the underlay, the workloads, Linux's own devices.
fn wide_linux(net: &Pair) -> LinuxVtep<'_> {
    let far = LinuxVtep::start(&net.b, &[net.far()]);
    net.set_mtu(UNDERLAY, WORKLOADS);
    far.set_mtu(100, WORKLOADS);
    far
}

/// The devices grow while they are served.
///
/// ```text
///   a1 ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b1
/// ```
fn packets_of_8950_bytes_pass_between_vtepd_and_linux(variant: Variant) {
    let net = Pair::new();
    let far = LinuxVtep::start(&net.b, &[net.far()]);
    let near = Daemon::start(&net.a, variant, &[net.near()]);
    net.a1.reaches(&net.b1);
    assert_eq!(path_mtu(&near)["inner"], 1550);
    net.set_mtu(UNDERLAY, WORKLOADS);
    far.set_mtu(100, WORKLOADS);
    wait_until("the path is wide", SOON, || path_mtu(&near)["inner"] == WORKLOADS);
    for port in near.list("port show") {
        assert!(port["mtu"].as_u64().unwrap() >= WORKLOADS.into(), "{port}");
        assert!(!port["degraded"].to_string().contains("MTU"), "{port}");
    }

    let wire = net.wire();
    pings(&net.a1, &format!("-M do -s {ECHO}"), &net.b1);
    pings(&net.b1, &format!("-M do -s {ECHO}"), &net.a1);
    let whole = format!("{} and greater {}", Tunnel::vxlan(100).all(), UNDERLAY + 14);
    wire.wait_for(&whole, 20);
    // Segments of 8898 bytes: 8950 less the headers of IP and TCP with its time stamps.
    Transfer::FULL.run(&net.a1, &net.b1);
    Transfer::FULL.run(&net.b1, &net.a1);
    for host in [net.a.address, net.b.address] {
        let sent = format!("{whole} and src host {host}");
        wait_until("full segments have passed", SOON, || wire.count(&sent) > 500);
    }
    Transfer::SMALL.run(&net.a1, &net.b1);
    let too_big = net.a1.namespace.attempt(&format!("ping -c 1 -W 1 -M do -s {} 10.0.0.2", ECHO + 1));
    assert!(too_big.stderr.contains("message too long"), "{too_big}");
    for reason in ["NO_JUMBO_CHUNK", "NO_CHUNK", "PKT_TOO_BIG", "TX_RING_FULL", "TX_REFUSED"] {
        assert_eq!(near.drops(reason), 0, "{reason}");
    }
    wait_for_free(&near);
}

/// Small frames may be burst, large ones not; with two workers a flow's ports may belong to different ones.
///
/// ```text
///   a1, a2 ── node 1 (vtepd) ── underlay ── node 2 (vtepd) ── b1
/// ```
fn large_and_small_packets_of_a_flow_arrive_whole_and_in_order(variant: Variant) {
    let net = Pair::new();
    let a2 = net.a.workload("a2", "10.0.0.3");
    net.set_mtu(UNDERLAY, WORKLOADS);
    a2.set_mtu(&net.a, WORKLOADS);
    let near = Daemon::start(&net.a, variant, &[net.near().access(&a2)]);
    let far = Daemon::start(&net.b, variant, &[net.far()]);
    net.a1.reaches(&net.b1);
    a2.reaches(&net.a1);
    let streams = [(&net.a1, &net.b1), (&net.b1, &a2), (&a2, &net.a1)]
        .map(|(from, to)| UdpStream::mixed(from, to, Duration::from_millis(1), ECHO));
    for stream in &streams {
        stream.wait_for_more(300);
    }
    for stream in streams {
        stream.stop().assert_complete();
    }
    for (from, to) in [(&net.a1, &net.b1), (&a2, &net.a1), (&net.b1, &a2)] {
        let mut surge = Surge::open(from, to);
        for round in 0..200_usize {
            // Between 1 and 40 datagrams, one in three large, now this one, now that.
            let lengths = (0..=round % 40).map(|n| if (n + round) % 3 == 0 { ECHO } else { n * 30 });
            surge.send_of(lengths);
            if round % 20 == 19 {
                surge.assert_in_order();
            }
        }
        surge.assert_arrived(5);
    }
    Transfer::FULL.run(&net.a1, &net.b1);
    Transfer::FULL.run(&net.b1, &net.a1);
    Transfer::FULL.run(&a2, &net.a1);
    assert!(variant.workers == 1 || near.calls("handed_over") > 0, "nothing crossed between workers");
    wait_for_free(&near);
    wait_for_free(&far);
}

/// Each receiver's copy is one more chunk of jumbo memory.
///
/// ```text
///   a1, a2, a3 ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b1
/// ```
fn a_large_frame_is_flooded_to_everybody_once(variant: Variant) {
    let net = Pair::new();
    let (a2, a3) = (net.a.workload("a2", "10.0.0.3"), net.a.workload("a3", "10.0.0.4"));
    let _far = wide_linux(&net);
    a2.set_mtu(&net.a, WORKLOADS);
    a3.set_mtu(&net.a, WORKLOADS);
    let near = Daemon::start(&net.a, variant, &[net.near().access(&a2).access(&a3)]);
    net.a1.reaches(&net.b1);
    let witnesses = Witnesses::at(&[&a2, &a3, &net.b1]);
    let socket = net.a1.namespace.within(|| UdpSocket::bind((net.a1.address, 0))).unwrap();
    socket.set_broadcast(true).unwrap();
    for number in 0..10 {
        socket.send_to(&[number; ECHO], ("10.0.0.255", 9999)).unwrap();
    }
    let filter = format!("udp dst port 9999 and greater {}", WORKLOADS + 14);
    witnesses.expect("a large broadcast", &filter, &[10, 10, 10]);
    assert_eq!(near.drops("NO_CHUNK"), 0);
    wait_for_free(&near);
}

/// ```text
///   a1 ── node 1 (vtepd) ── underlay, 9000 bytes, of which the route allows 1500 ── node 2 (Linux vxlan + bridge) ── b1
/// ```
fn large_packets_are_cut_for_a_narrow_path_or_their_sender_is_told(variant: Variant) {
    let net = Pair::new();
    let _far = wide_linux(&net);
    let near = Daemon::start(&net.a, variant, &[net.near()]);
    net.a1.reaches(&net.b1);
    narrow(&net.a, &net.b, &near, 1500);
    let wire = net.wire();
    pings(&net.a1, &format!("-M dont -s {ECHO}"), &net.b1);
    let from_a = format!("{} and src host {}", Tunnel::vxlan(100).all(), net.a.address);
    // 1448 bytes in each piece but the last.
    wire.wait_for(&format!("{from_a} and greater 200"), 5 * 7);
    assert_eq!(wire.count(&format!("{from_a} and greater 1515")), 0, "packets beyond the path's MTU");
    assert_eq!(near.drops("PKT_TOO_BIG"), 0);
    Transfer::FULL.run(&net.a1, &net.b1);
    assert_eq!(told_mtu(&net.a1.namespace, "10.0.0.2"), Some(1450));
    assert!(near.drops("PKT_TOO_BIG") > 0);
    wait_for_free(&near);
}

/// More large frames at once than there are jumbo chunks: what is lost is counted, and small frames lose nothing.
///
/// ```text
///   a1, a2 ── node 1 (vtepd, 64 jumbo chunks) ── underlay ── node 2 (Linux vxlan + bridge) ── b1
/// ```
#[test]
fn too_few_jumbo_chunks_cost_large_frames_and_no_small_ones() {
    let net = Trio::new();
    net.set_mtu(UNDERLAY, WORKLOADS);
    net.a2.set_mtu(&net.a, WORKLOADS);
    let config = Variant::ONE_WORKER.config(&net.a, &[net.segment()]);
    let near = Daemon::ready(&net.a, &with_jumbo_chunks(64, &config));
    net.a1.reaches(&net.a2);
    let (mut large, mut small) = (Surge::open(&net.a1, &net.a2), Surge::open(&net.a2, &net.a1));
    // How many chunks are taken at one time depends on when the kernel gives back those of frames that have left.
    wait_until("jumbo chunks run out", SOON, || {
        near.while_stopped(|| {
            // Within what the receive rings hold.
            large.send_of([ECHO; 150]);
            small.send(150);
        });
        wait_until("no small frame is lost", SOON, || {
            small.assert_in_order();
            small.received() == small.sent()
        });
        wait_until("each large frame arrives or is counted", SOON, || {
            large.assert_in_order();
            large.received() + near.drops("NO_JUMBO_CHUNK") == large.sent()
        });
        near.drops("NO_JUMBO_CHUNK") > 0
    });
    wait_until("the log tells", SOON, || {
        near.log()
            .lines()
            .any(|line| line.contains("frames lost for want of memory") && line.contains("NO_JUMBO_CHUNK"))
            && near.log().contains("raise umem.jumbo_chunks")
    });
    wait_for_free(&near);
    pings(&net.a1, &format!("-M do -s {ECHO}"), &net.a2);
    near.assert_balanced();
}

/// Without jumbo memory a port says what does not pass and what helps, and what does pass is unharmed.
#[test]
fn without_jumbo_memory_ports_say_what_they_do_not_take() {
    let net = Pair::new();
    let _far = wide_linux(&net);
    let config = Variant::ONE_WORKER.config(&net.a, &[net.near()]);
    let near = Daemon::ready(&net.a, &with_jumbo_chunks(0, &config));
    for (name, mtu) in [("up0", UNDERLAY), ("a1", WORKLOADS)] {
        let port = near.port(name);
        assert_eq!((&port["mode"], &port["mtu"]), (&"native".into(), &1774.into()), "{port}");
        let told = format!(
            "device {name} has an MTU of {mtu}, and packets of more than 1774 bytes are dropped; set \
             `umem.jumbo_chunks = 1024` and start again, or `ip link set {name} mtu 1774`, at both ends"
        );
        assert!(port["degraded"].to_string().contains(&told), "{port}");
        assert!(near.show("status")["degraded"].to_string().contains(&told));
        assert!(near.log().contains(&told), "the log does not tell");
    }
    assert_eq!(near.show("status")["jumbo_chunks"]["total"], 0);
    assert!(!near.ctl("status").output().contains("jumbo "));
    net.a1.reaches(&net.b1);
    pings(&net.a1, "-M do -s 1600", &net.b1);
    let lost = net.a1.namespace.attempt(&format!("ping -c 3 -i 0.1 -W 1 -M do -s {ECHO} 10.0.0.2"));
    assert!(lost.stdout.contains(" 0 received"), "{lost}");
    assert!(near.drops("RX_DROPPED") >= 3);
    drop(near);
    // And what the sentence says does help.
    let near = Daemon::ready(&net.a, &with_jumbo_chunks(1024, &config));
    net.a1.reaches(&net.b1);
    pings(&net.a1, &format!("-M do -s {ECHO}"), &net.b1);
    assert!(near.ctl("status").output().contains("jumbo "));
}

/// Over IPv6 the outer UDP checksum covers all of it, and Linux takes no wrong one; nor does vtepd.
#[test]
fn large_packets_over_ipv6_have_right_checksums() {
    let net = Pair::with_ipv6();
    let far = LinuxVtep::start(&net.b, &[Segment::vxlan(100).access(&net.b1).remote6(&net.a)]);
    net.set_mtu(UNDERLAY, UNDERLAY - 70);
    far.set_mtu(100, UNDERLAY - 70);
    let near = Segment::vxlan(100).access(&net.a1).remote6(&net.b);
    let near = Daemon::start(&net.a, Variant::TWO_WORKERS, &[near]);
    net.a1.reaches(&net.b1);
    let wire = net.wire();
    for (from, to) in [(&net.a1, &net.b1), (&net.b1, &net.a1)] {
        pings(from, &format!("-M do -s {}", ECHO - 20), to);
        Transfer::FULL.run(from, to);
    }
    wire.wait_for(&format!("udp dst port 4789 and greater {}", UNDERLAY + 14), 1000);
    assert_eq!(near.drops("UDP_CSUM"), 0);
    wait_for_free(&near);
}

/// With large chunks a frame takes fewer, and in the generic path the kernel cuts it up as well.
#[test]
fn chunks_of_4096_bytes_and_generic_xdp_take_large_packets_too() {
    let net = Pair::new();
    let _far = wide_linux(&net);
    let config = Variant::ONE_WORKER.config(&net.a, &[net.near()]);
    let generic = config.replace("transmit =", "mode = \"generic\"\ntransmit =");
    for (config, mode) in [(config, "native"), (generic, "generic")] {
        let near = Daemon::ready(&net.a, &format!("[umem]\nchunk_size = 4096\n\n{config}"));
        assert_eq!(near.port("a1")["mode"], mode);
        if mode == "generic" {
            // Native XDP turns super-frames off at a veth's other end; of 64 KiB no chunk takes one.
            for (end, device) in
                [(&net.a1.namespace, "eth0"), (&net.b1.namespace, "eth0"), (&net.b.namespace, "up0")]
            {
                let _ = end.run(&format!("ethtool -K {device} tso off"));
            }
        }
        net.a1.reaches(&net.b1);
        for (from, to) in [(&net.a1, &net.b1), (&net.b1, &net.a1)] {
            pings(from, &format!("-M do -s {ECHO}"), to);
            Transfer::FULL.run(from, to);
        }
        wait_for_free(&near);
    }
}

/// The path MTU is measured with echo packets of that size.
#[test]
fn a_path_of_9000_bytes_is_measured() {
    let net = Pair::new();
    net.set_mtu(UNDERLAY, WORKLOADS);
    let liveness = "liveness = { interval = \"100ms\", multiplier = 100 }";
    let _far = Daemon::start(&net.b, Variant::ONE_WORKER, &[net.far().key(liveness)]);
    let near = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.near().key(liveness)]);
    let found = || near.list("remote show")[0]["liveness"].clone();
    wait_until("the path MTU is known", SOON, || {
        let found = found();
        found["mtu"] == UNDERLAY && found["black_hole"] == Value::Null
    });
    wait_for_free(&near);
}
