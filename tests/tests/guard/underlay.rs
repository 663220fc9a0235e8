//! What comes from the underlay: strangers, peers of another VNI, and peers that forge what is inside.

use std::net::Ipv4Addr;

use vtep_tests::frames::{self, RawSocket, octets};
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, Segment, Trio, Variant, wait_until};

use super::{PAUSE, streams};

in_every_variant!(forged_inner_sources_take_nothing_over);

#[test]
fn strangers_in_the_underlay_reach_no_worker() {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.segment(), Segment::gre(300)]);
    net.a1.reaches(&net.b1);
    let streams = streams(&net);
    let macs = ([2, 0, 0, 0, 1, 2], octets(&net.a.namespace.mac("up0")));
    let stranger = (Ipv4Addr::new(192, 0, 2, 66), net.a.address);
    let inner = frames::datagram(&net.a2, octets(&net.a1.mac), 4000);
    let received = || daemon.port("up0")["rx_packets"].as_u64().unwrap();
    let mut socket = RawSocket::open(&net.underlay.namespace, &net.a.underlay_device);
    let seen = Capture::received(&net.a1);
    for _ in 0..100 {
        socket.repeat(&frames::tunnelled(macs, stranger, 100, &inner), PAUSE);
        socket.repeat(&frames::gre(macs, stranger, 300, &inner), 10);
        // What comes by the same ring, so that no more waits there than it holds.
        streams[1].wait_for_more(1);
    }
    let mut sent = 110 * 100;
    wait_until("all are counted", SOON, || daemon.drops("PEER_UNKNOWN") == sent);
    // Again when the stream alone has brought as many while we looked.
    wait_until("the workers do not get what the XDP program counts", SOON, || {
        let before = received();
        socket.repeat(&frames::tunnelled(macs, stranger, 100, &inner), PAUSE);
        sent += PAUSE as u64;
        wait_until("the last are counted", SOON, || daemon.drops("PEER_UNKNOWN") == sent);
        received() < before + PAUSE as u64
    });
    // A peer of one VNI is no peer of another.
    socket.repeat(&frames::gre(macs, (net.b.address, net.a.address), 300, &inner), 10);
    wait_until("they are counted", SOON, || daemon.drops("PEER_NOT_ALLOWED") == 10);
    assert_eq!(seen.stop().count("udp dst port 4000"), 0, "a stranger's frame came through");
    // Who becomes a peer is heard at once.
    let seen = Capture::received(&net.a1);
    daemon.change("remote add 192.0.2.66 vni 100");
    socket.repeat(&frames::tunnelled(macs, stranger, 100, &inner), 5);
    seen.wait_for("udp dst port 4000", 5);
    streams.into_iter().for_each(|stream| stream.stop().assert_complete());
}

/// A peer, or whoever sends with its address, wraps frames as if they came from here.
fn forged_inner_sources_take_nothing_over(variant: Variant) {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, variant, &[net.segment()]);
    daemon.change(&format!("fdb add {} vni 100 dev a1", net.a1.mac));
    net.a1.reaches(&net.b1);
    net.a2.reaches(&net.a1);
    let streams = streams(&net);
    let seen = Capture::received(&net.a2);
    let outer = ([2, 0, 0, 0, 1, 2], octets(&net.a.namespace.mac("up0")));
    let ends = (net.b.address, net.a.address);
    let mut socket = RawSocket::open(&net.underlay.namespace, &net.a.underlay_device);
    let a2 = octets(&net.a2.mac);
    // From a written entry's address, from a port's own, from a group, from nobody.
    let cases = [
        (octets(&net.a1.mac), "VXLAN_ENTRY_EXISTS"),
        (octets(&net.a.namespace.mac("a1")), "MAC_INVALID_SOURCE"),
        ([3, 0, 0, 0, 0, 1], "MAC_INVALID_SOURCE"),
        ([0; 6], "MAC_INVALID_SOURCE"),
    ];
    for (source, reason) in cases {
        let addresses = (net.a1.address, net.a2.address);
        let inner = frames::udp((source, a2), addresses, (1000, 4000), b"x");
        let before = daemon.drops(reason);
        socket.repeat(&frames::tunnelled(outer, ends, 100, &inner), PAUSE);
        wait_until(reason, SOON, || daemon.drops(reason) == before + PAUSE as u64);
        streams.iter().for_each(|stream| stream.wait_for_more(2));
    }
    let entry = daemon.entry(100, &net.a1.mac).unwrap();
    assert_eq!((&entry["ifname"], &entry["moves"]), (&"a1".into(), &0.into()));
    net.a2.ping(net.a1.address, 5);
    assert_eq!(seen.stop().count("udp dst port 4000"), 0, "a forged frame came through");
    wait_until("the log tells of it", SOON, || {
        let log = daemon.log();
        cases.iter().all(|(_, reason)| log.contains(reason))
    });
    streams.into_iter().for_each(|stream| stream.stop().assert_complete());
}
