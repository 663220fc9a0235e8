//! Malformed frames by the many thousand, from the underlay and from a workload, while traffic passes: nothing of it
//! is lost, and the daemon does not so much as restart.
//!
//! ```text
//!   a1, a2 (sends rubbish) ── node 1 (vtepd) ── underlay (sends rubbish) ── node 2 (Linux vxlan + bridge) ── b1
//! ```

use std::net::Ipv4Addr;
use std::time::Duration;

use vtep_tests::frames::{self, Arp, BROADCAST, Noise, RawSocket};
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, LinuxVtep, Pair, Segment, UdpStream, Underlay, Variant, wait_until};

in_every_variant!(rubbish_from_the_underlay_harms_nobody, rubbish_from_a_workload_harms_nobody);

/// Frames of each kind that are sent.
const ROUNDS: usize = 4000;
/// Rounds between two looks at the traffic: no more rubbish is on its way at a time than fits into a receive ring, for
/// this is a test of what is in the frames, not of how many there are.
const PAUSE: usize = 20;

/// Inner addresses of the rubbish; no workload has them.
const STRANGERS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0x66, 1], [2, 0, 0, 0, 0x66, 2]);

fn inner() -> Vec<u8> {
    let addresses = (Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 9, 0, 2));
    frames::udp(STRANGERS, addresses, (1000, 2000), b"what was a payload")
}

fn stranger_arp() -> Vec<u8> {
    let (sender, target) = (Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 9, 0, 2));
    let (sender_mac, target_mac) = (STRANGERS.0, [0; 6]);
    Arp { to: BROADCAST, operation: 1, sender_mac, sender, target_mac, target }.frame()
}

/// What a third party behind the underlay's bridge sends that claims to be node `peer`, or nobody we know.
fn tunnel_packets(local: Ipv4Addr, peer: Ipv4Addr) -> [Vec<u8>; 6] {
    let macs = ([2, 0, 0, 0, 1, 2], [2, 0, 0, 0, 1, 1]);
    let (addresses, stranger) = ((peer, local), (Ipv4Addr::new(192, 0, 2, 66), local));
    let tunnelled = |frame: &[u8]| frames::tunnelled(macs, addresses, 100, frame);
    [
        tunnelled(&inner()),
        tunnelled(&stranger_arp()),
        tunnelled(&tunnelled(&inner())),
        frames::udp(macs, addresses, (55_555, 4789), &frames::vxlan(100, &inner())),
        frames::gre(macs, addresses, 300, &inner()),
        frames::tunnelled(macs, stranger, 100, &inner()),
    ]
}

fn rubbish_from_the_underlay_harms_nobody(variant: Variant) {
    let Pair { underlay, a, b, a1, b1 } = Pair::new();
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let segments = [Segment::vxlan(100).access(&a1).remote(&b), Segment::gre(300).remote(&b)];
    let mut daemon = Daemon::start(&a, variant, &segments);
    a1.reaches(&b1);
    let id = daemon.id();

    let streams = UdpStream::both_ways(&a1, &b1, Duration::from_millis(2));
    let originals = tunnel_packets(a.address, b.address);
    let mut socket = RawSocket::open(&underlay.namespace, &a.underlay_device);
    let mut noise = Noise::new(1);
    for round in 0..ROUNDS {
        if round % PAUSE == 0 {
            streams.iter().for_each(|stream| stream.wait_for_more(2));
        }
        for original in &originals {
            // The first 12 bytes stay, so that the frame reaches the daemon rather than the bridge's bin.
            socket.send(&noise.mutated(original, 12));
        }
        socket.send(&noise.random(12, &originals[0]));
    }
    for stream in streams {
        stream.wait_for_more(20);
        stream.stop().assert_complete();
    }
    a1.ping(b1.address, 10);
    assert!(daemon.is_running() && daemon.id() == id);
    let reasons = daemon.list("drops show port up0");
    for reason in ["VXLAN_INVALID_HDR", "VXLAN_VNI_NOT_FOUND", "GRE_FLAGS", "PEER_UNKNOWN"] {
        assert!(reasons.iter().any(|drop| drop["reason"] == reason), "{reason} was not counted: {reasons:?}");
    }
}

fn rubbish_from_a_workload_harms_nobody(variant: Variant) {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node(1), underlay.node(2));
    let (a1, a2) = (a.workload("a1", "10.0.0.1"), a.workload("a2", "10.0.0.3"));
    let b1 = b.workload("b1", "10.0.0.2");
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let mut daemon = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).access(&a2).remote(&b)]);
    a1.reaches(&b1);
    let id = daemon.id();

    let streams = UdpStream::both_ways(&a1, &b1, Duration::from_millis(2));
    let originals = [inner(), stranger_arp()];
    let mut socket = RawSocket::of(&a2);
    let mut noise = Noise::new(2);
    for round in 0..ROUNDS {
        if round % PAUSE == 0 {
            streams.iter().for_each(|stream| stream.wait_for_more(2));
        }
        for original in &originals {
            // Sources stay those of strangers: a forged source of a1 would be a move, not rubbish.
            socket.send(&noise.mutated(original, 12));
        }
        socket.send(&noise.random(12, &originals[0]));
    }
    for stream in streams {
        stream.wait_for_more(20);
        // Much of the rubbish is forwarded, by another worker than the stream where there are two.
        stream.stop().assert_none_lost();
    }
    a1.ping(b1.address, 10);
    assert!(daemon.is_running() && daemon.id() == id);
    wait_until("the rubbish is counted", SOON, || {
        let port = &daemon.list("port show a2")[0];
        port["rx_packets"].as_u64().is_some_and(|count| count >= (3 * ROUNDS) as u64 / 2)
    });
}

/// From both sides at once, a million in all.
#[test]
fn a_million_malformed_frames_end_nothing() {
    const MILLION: usize = 1_000_000;
    const AT_ONCE: usize = 20;
    let underlay = Underlay::new();
    let (a, b) = (underlay.node(1), underlay.node(2));
    let (a1, a2) = (a.workload("a1", "10.0.0.1"), a.workload("a2", "10.0.0.3"));
    let b1 = b.workload("b1", "10.0.0.2");
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let segments = [Segment::vxlan(100).access(&a1).access(&a2).remote(&b), Segment::gre(300).remote(&b)];
    let mut daemon = Daemon::start(&a, Variant::ONE_WORKER, &segments);
    a1.reaches(&b1);
    // Among so many frames are some that claim a1's addresses: what is pinned must not be taken over.
    daemon.change(&format!("fdb add {} vni 100 dev a1", a1.mac));
    daemon.change(&format!("fdb add {} vni 100 dst {}", b1.mac, b.address));
    for (here, there) in [(&a1, &b1), (&b1, &a1)] {
        let (address, mac) = (there.address, &there.mac);
        here.namespace.ip(&format!("neigh replace {address} lladdr {mac} nud permanent dev eth0"));
    }
    let id = daemon.id();
    let streams = UdpStream::both_ways(&a1, &b1, Duration::from_millis(2));
    let outside = tunnel_packets(a.address, b.address);
    let inside = [inner(), stranger_arp()];
    let mut sockets = [RawSocket::open(&underlay.namespace, &a.underlay_device), RawSocket::of(&a2)];
    let mut noise = Noise::new(3);
    let mut sent = 0;
    while sent < MILLION {
        for (socket, originals) in sockets.iter_mut().zip([&outside[..], &inside]) {
            for original in originals.iter().cycle().take(AT_ONCE * 6) {
                socket.send(&noise.mutated(original, 12));
            }
            for _ in 0..AT_ONCE {
                socket.send(&noise.random(12, &originals[0]));
            }
            sent += AT_ONCE * 7;
        }
        streams.iter().for_each(|stream| stream.wait_for_more(1));
    }
    for stream in streams {
        stream.wait_for_more(20);
        stream.stop().assert_complete();
    }
    a1.ping(b1.address, 10);
    assert!(daemon.is_running() && daemon.id() == id);
    daemon.stop();
}
