//! The other switches alone, with the same checks that the tests of vtepd make: when these pass and those fail, it is
//! vtepd's fault.

use vtep_tests::filter::Tunnel;
use vtep_tests::frames::{self, RawSocket};
use vtep_tests::traffic::Transfer;
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, LinuxVtep, Namespace, OvsVtep, Pair, Segment, UdpStream, Underlay, wait_until};

use std::time::Duration;

/// ```text
///   a1 ── node 1 (Linux) ── underlay ── node 2 (Linux) ── b1
/// ```
#[test]
fn linux_vxlan_carries_the_traffic_of_the_tests() {
    let Pair { underlay, a, b, a1, b1 } = Pair::new();
    let _near = LinuxVtep::start(&a, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    let far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);

    let capture = Capture::start(&underlay.namespace, &a.underlay_device);
    a1.reaches(&b1);
    b1.ping(a1.address, 5);
    Transfer::FULL.run(&a1, &b1);
    Transfer::SMALL.run(&b1, &a1);
    assert!(far.learned(100, a.address).contains(&a1.mac));

    let stream = UdpStream::start(&a1, &b1, Duration::from_millis(1));
    stream.wait_for_more(100);
    let report = stream.stop();
    report.assert_complete();

    let tunnel = Tunnel::vxlan(100);
    capture.wait_for(&tunnel.udp(vtep_tests::stream::PORT), usize::try_from(report.sent).unwrap());
    let captured = capture.stop();
    assert_eq!(captured.count(&tunnel.udp(vtep_tests::stream::PORT)), usize::try_from(report.sent).unwrap());
    assert!(captured.count(&tunnel.arp_requests(b1.address)) >= 1);
    assert!(captured.count(&format!("{} and greater 1500", tunnel.to(&b1.mac))) > 100, "no full-size frames");
    assert_eq!(captured.count(&Tunnel::vxlan(101).all()), 0);
    assert!(captured.decoded("vxlan.vni == 100 && arp", &["eth.src", "arp.opcode"]).len() >= 2);
}

/// ```text
///   a1 ── node 1 (OVS) ── underlay, GRE ── node 2 (OVS) ── b1
/// ```
#[test]
fn ovs_gre_carries_the_traffic_of_the_tests() {
    let Pair { underlay, a, b, a1, b1 } = Pair::new();
    let near = OvsVtep::start(&a, &[Segment::gre(300).access(&a1).remote(&b)]);
    let far = OvsVtep::start(&b, &[Segment::gre(300).access(&b1).remote(&a)]);
    OvsVtep::complete_checksums(&a1);
    OvsVtep::complete_checksums(&b1);

    let capture = Capture::start(&underlay.namespace, &a.underlay_device);
    a1.reaches(&b1);
    b1.ping(a1.address, 5);
    Transfer::FULL.run(&a1, &b1);
    Transfer::SMALL.run(&b1, &a1);
    assert!(near.learned(300).contains(&(b1.mac.clone(), 101)));
    assert!(far.learned(300).contains(&(a1.mac.clone(), 101)));

    let tunnel = Tunnel::gre(300);
    let captured = capture.stop();
    assert!(captured.count(&tunnel.arp_requests(b1.address)) >= 1);
    assert!(captured.count(&tunnel.to(&b1.mac)) > 100);
}

/// What a raw socket sends arrives as it is.
#[test]
fn crafted_frames_arrive_unchanged() {
    let underlay = Underlay::new();
    let node = underlay.node(1);
    let workload = node.workload("a1", "10.0.0.1");
    let capture = Capture::start(&node.namespace, "a1");
    let mut socket = RawSocket::open(&workload.namespace, "eth0");
    let target = "10.0.0.77".parse().unwrap();
    for _ in 0..10 {
        socket.send(&frames::Arp::request(&workload, target).frame());
    }
    let macs = (frames::octets(&workload.mac), [2, 0, 0, 0, 0, 9]);
    let inner = frames::udp(macs, (workload.address, target), (1, 2), b"inner");
    let addresses = (workload.address, target);
    socket.send(&frames::udp(macs, addresses, (50_000, 4789), &frames::vxlan(77, &inner)));
    let tunnel = Tunnel::vxlan(77);
    capture.wait_for(&tunnel.udp(2), 1);
    assert_eq!(capture.stop().count(&format!("arp and arp[24:4] = {}", u32::from(target))), 10);
}

/// A namespace goes with all its processes; one that a dead test process left is swept at the next start.
#[test]
fn namespaces_go_with_their_processes() {
    let namespace = Namespace::new("going");
    let name = namespace.name().to_owned();
    let mut sleeper = namespace.spawn("sleep 1000");
    assert!(sleeper.is_running());
    wait_until("the process is in the namespace", SOON, || {
        namespace.attempt(&format!("ip netns pids {name}")).stdout.contains(&sleeper.id().to_string())
    });
    drop(namespace);
    assert!(!std::path::Path::new("/run/netns").join(&name).exists());
    wait_until("the process ends", SOON, || !sleeper.is_running());
}
