//! Burst transmit: flows keep their order over it, and whatever goes wrong with it is counted, told, and harms nobody
//! else. Every daemon here balances its frames and its frame memory at the end.
//!
//! ```text
//!   a1, a2, a3 ── node 1 (vtepd): one VNI, no peers
//! ```

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use vtep_tests::wait::SOON;
use vtep_tests::{
    Daemon, Finished, Node, Segment, Surge, UdpStream, Underlay, Variant, Workload, wait_until,
};

struct Net {
    _underlay: Underlay,
    a: Node,
    workloads: [Workload; 3],
}

impl Net {
    fn new() -> Self {
        let underlay = Underlay::new();
        let a = underlay.node(1);
        let workloads = [1, 2, 3].map(|n| a.workload(&format!("a{n}"), &format!("10.0.0.{n}")));
        Self { _underlay: underlay, a, workloads }
    }

    /// A daemon with the three workloads, of which these run NAPI.
    fn daemon(&self, variant: Variant, with_napi: &[usize]) -> Daemon<'_> {
        for place in with_napi {
            self.workloads[*place].namespace.run("ethtool -K eth0 gro on");
        }
        let segment = self.workloads.iter().fold(Segment::vxlan(100), Segment::access);
        let daemon = Daemon::start(&self.a, variant, &[segment]);
        let [a1, a2, a3] = &self.workloads;
        a1.reaches(a2);
        a1.reaches(a3);
        daemon
    }
}

/// Frames that a port's device did not take.
fn refused_at(daemon: &Daemon<'_>, name: &str) -> u64 {
    let drops = daemon.list(&format!("drops show port {name} all"));
    let reasons = ["TX_REFUSED", "PORT_DOWN", "TX_RING_FULL"];
    let of_port = drops.iter().filter(|drop| reasons.iter().any(|reason| drop["reason"] == *reason));
    of_port.filter_map(|drop| drop["count"].as_u64()).sum()
}

/// The worker of a port's only queue.
fn worker(daemon: &Daemon<'_>, name: &str) -> u64 {
    daemon.port(name)["queues"][0]["worker"].as_u64().expect("a queue with a worker")
}

/// Batches swing around the threshold, so that a flow's frames leave now by ring, now by burst. With two workers one of
/// the two receivers is the port of another worker than the sender's, which must burst to it in any case.
fn a_flow_keeps_its_order_between_ring_and_burst(variant: Variant) {
    let net = Net::new();
    let daemon = net.daemon(variant, &[0, 1, 2]);
    let [a1, a2, a3] = &net.workloads;
    for to in [a2, a3] {
        let mut surge = Surge::open(a1, to);
        let has_ring = worker(&daemon, &to.name) == worker(&daemon, &a1.name);
        assert!(has_ring || variant == Variant::TWO_WORKERS);
        let one_at_a_time = |way: &str, surge: &mut Surge| {
            let before = daemon.calls(way);
            wait_until("a lone frame leaves this way", SOON, || {
                surge.send(1);
                surge.assert_in_order();
                daemon.calls(way) > before
            });
        };
        wait_until("many leave by burst", SOON * 3, || {
            let before = daemon.calls("bursts");
            for size in [1, 3, 200, 1, 2, 60, 5, 17, 1, 400, 9, 30] {
                surge.send(size);
            }
            surge.assert_in_order();
            daemon.calls("bursts") > before
        });
        if has_ring {
            one_at_a_time("flushes", &mut surge);
        }
        // While somebody else's frames go there too, in the other worker's bursts if there are two.
        let third = if to.name == "a2" { a3 } else { a2 };
        let mut other = Surge::open(third, to);
        for round in 0..200 {
            other.send(1 + round * 53 % 200);
            surge.send(1 + round * 37 % 300);
            surge.assert_in_order();
            other.assert_in_order();
        }
        surge.assert_arrived(9);
    }
    assert_eq!(daemon.port("a2")["transmit"]["active"], "burst");
}

#[test]
fn one_worker_keeps_the_order_of_a_flow() {
    a_flow_keeps_its_order_between_ring_and_burst(Variant::ONE_WORKER);
}

#[test]
fn two_workers_keep_the_order_of_a_flow() {
    a_flow_keeps_its_order_between_ring_and_burst(Variant::TWO_WORKERS);
}

/// A workload without NAPI takes no bursts: its port says so with a remedy and uses the ring, others burst.
#[test]
fn a_peer_without_napi_is_told_and_gets_its_frames_by_ring() {
    let net = Net::new();
    let daemon = net.daemon(Variant::ONE_WORKER, &[1]);
    let [a1, a2, a3] = &net.workloads;
    wait_until("a2 is burst to", SOON, || daemon.port("a2")["transmit"]["active"] == "burst");
    let transmit = &daemon.port("a3")["transmit"];
    assert_eq!(transmit["active"], "ring", "{transmit}");
    assert!(transmit["reason"].to_string().contains("ethtool -K DEVICE gro on"), "{transmit}");
    UdpStream::start(a1, a3, Duration::from_millis(1)).stop().assert_complete();
    // NAPI goes while bursts are under way, which nobody is told: what is lost until the daemon finds out is counted.
    let mut surge = Surge::open(a1, a2);
    surge.send(100);
    a2.namespace.run("ethtool -K eth0 gro off");
    wait_until("a2 is found to take no bursts", SOON, || {
        surge.send(100);
        daemon.port("a2")["transmit"]["active"] == "ring"
    });
    wait_until("frames arrive by ring", SOON, || {
        let before = surge.received();
        surge.send(20);
        surge.assert_in_order();
        surge.received() >= before + 20
    });
}

/// The other end goes down, and the device goes away, while bursts go to it: counted against its port, and nobody else
/// loses a frame.
#[test]
fn a_port_that_fails_in_mid_burst_harms_no_other() {
    let net = Net::new();
    let daemon = net.daemon(Variant::ONE_WORKER, &[0, 1, 2]);
    let [a1, a2, a3] = &net.workloads;
    let others = UdpStream::start(a3, a1, Duration::from_millis(1));
    let mut surge = Surge::open(a1, a2);
    for _ in 0..3 {
        for _ in 0..20 {
            surge.send(100);
        }
        a2.namespace.ip("link set eth0 down");
        for _ in 0..20 {
            surge.send(100);
        }
        wait_until("a2 is down", SOON, || daemon.port("a2")["state"] == "DOWN");
        others.wait_for_more(20);
        a2.namespace.ip("link set eth0 up");
        wait_until("a2 is up", SOON, || daemon.port("a2")["state"] == "UP");
        daemon.assert_balanced();
    }
    a1.reaches(a2);
    for _ in 0..20 {
        surge.send(100);
    }
    a2.namespace.ip("link del eth0");
    for _ in 0..20 {
        surge.send(100);
    }
    wait_until("a2 is gone", SOON, || daemon.port("a2")["state"] == "DOWN");
    others.wait_for_more(20);
    others.stop().assert_complete();
    daemon.assert_balanced();
    assert!(daemon.calls("bursts") > 0, "nothing was burst");
}

/// A workload that never reads its socket, with its receive work in a thread that competes for a CPU: its frames are
/// dropped and counted or wait in its kernel, never in ours.
#[test]
fn a_workload_that_does_not_read_harms_no_other() {
    let net = Net::new();
    let [a1, a2, a3] = &net.workloads;
    a2.namespace.run("ethtool -K eth0 gro on");
    let mut threaded = a2.namespace.command("sh");
    let _ = Finished::of(threaded.args(["-c", "echo 1 > /sys/class/net/eth0/threaded"])).output();
    let daemon = net.daemon(Variant::ONE_WORKER, &[0, 1, 2]);
    let address = SocketAddr::from((a2.address, 9));
    let never_read = a2.namespace.within(|| UdpSocket::bind(address)).expect("bind a UDP socket");
    set_socket_recv_buffer_size(&never_read, 4096).expect("set the size of a socket buffer");
    let others = UdpStream::start(a1, a3, Duration::from_millis(1));
    let sender = a1.namespace.within(|| UdpSocket::bind((a1.address, 0))).expect("bind a UDP socket");
    // How many are in a burst, and how many come as far, depends on when who runs.
    wait_until("many have been sent to it, in bursts", SOON * 2, || {
        for _ in 0..100 {
            for _ in 0..200 {
                // A full queue of the sender's own is none of ours.
                let _ = sender.send_to(&[0; 1000], address);
            }
            others.wait_for_more(1);
        }
        let sent = daemon.port("a2")["tx_packets"].as_u64().unwrap_or_default();
        sent + refused_at(&daemon, "a2") > 10_000 && daemon.calls("bursts") > 0
    });
    others.stop().assert_complete();
    daemon.assert_balanced();
    drop(never_read);
}

/// Where a workload's namespace is configured, NAPI is turned on in it: at the start, for a device that comes back, for
/// one that is moved there later, and by a live port. What cannot be is told.
#[test]
fn napi_is_turned_on_in_the_workloads_namespace() {
    let net = Net::new();
    let [a1, a2, a3] = &net.workloads;
    let key = |workload: &Workload| format!("vni = 100\nnamespace = \"{}\"", workload.namespace.name());
    let variant = Variant::ONE_WORKER;
    let config = variant.port("up0", "role = \"uplink\"")
        + &variant.port("a1", &key(a1))
        // The wrong one: a2 is not there.
        + &variant.port("a2", &key(a3))
        + &vtep_tests::config_text::vni(&net.a, &Segment::vxlan(100));
    let daemon = Daemon::with_config(&net.a, &config);
    daemon.wait_for_ports();
    let bursts = |name: &str| {
        wait_until(&format!("{name} is burst to"), SOON, || {
            let port = daemon.port(name);
            port["transmit"]["active"] == "burst" && port["netns_device"] == "eth0"
        });
    };
    let gro = |workload: &Workload| {
        let features = workload.namespace.run("ethtool -k eth0");
        features.contains("generic-receive-offload: on")
    };
    bursts("a1");
    assert!(gro(a1) && !gro(a2) && !gro(a3));
    assert!(daemon.log().contains("NAPI turned on"), "the log does not tell");
    let wrong = daemon.port("a2");
    assert_eq!(wrong["transmit"]["active"], "ring", "{wrong}");
    for place in [&wrong["transmit"]["reason"], &wrong["degraded"]] {
        assert!(place.to_string().contains("the other end of a2 is not in"), "{wrong}");
    }
    // Again, and at a new device.
    a1.namespace.ip("link del eth0");
    wait_until("a1 is gone", SOON, || daemon.port("a1")["state"] == "DOWN");
    a1.reconnect(&net.a);
    bursts("a1");
    assert!(gro(a1));
    // Live.
    daemon.change(&format!("port add a3 vni 100 netns {}", a3.namespace.name()));
    bursts("a3");
    a1.reaches(a3);
    daemon.change("port del a3");
    daemon.change("port add a3 vni 100 netns vtep-no-such-namespace");
    assert!(gro(a3), "it stays on");
    daemon.change("port del a2");
    daemon.change("port add a2 vni 100 netns vtep-no-such-namespace");
    let missing = daemon.port("a2");
    assert!(missing["degraded"].to_string().contains("cannot be opened"), "{missing}");
    daemon.ctl("port add a4 vni 100 netns no/path").assert_fails(1, &["no/path", "ip netns list"]);
}
