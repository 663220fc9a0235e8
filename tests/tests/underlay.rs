//! Routes and neighbours of the underlay: the daemon follows the kernel's, live.

use std::net::Ipv4Addr;
use std::time::Duration;

use vtep_tests::filter::Tunnel;
use vtep_tests::frames::{self, BROADCAST, RawSocket};
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, LinuxVtep, Pair, Segment, UdpStream, Underlay, Variant, wait_until};

/// ```text
///   a1 ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b1
/// ```
#[test]
fn a_next_hop_with_a_new_ethernet_address_is_followed() {
    let Pair { underlay, a, b, a1, b1 } = Pair::new();
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    a1.reaches(&b1);

    let (new, wire) = ("02:00:00:00:02:02", Capture::start(&underlay.namespace, &a.underlay_device));
    let stream = UdpStream::start(&a1, &b1, Duration::from_millis(2));
    b.namespace.ip(&format!("link set up0 address {new}"));
    a.namespace.ip(&format!("neigh replace {} lladdr {new} dev up0 nud reachable", b.address));
    wait_until("frames go to the new address", SOON, || {
        wire.count(&format!("ether dst {new} and {}", Tunnel::vxlan(100).all())) > 0
    });
    assert_eq!(near.list("remote show vni 100")[0]["lladdr"], new);
    stream.wait_for_more(100);
    let _ = stream.stop();
    a1.ping(b1.address, 10);
}

/// The remote is a loopback address that both node 2 and node 3 have; the route decides who gets it.
///
/// ```text
///                                      ┌── node 2 (Linux, 198.51.100.9) ── b1
///   a1 ── node 1 (vtepd) ── underlay ──┤
///                                      └── node 3 (Linux, 198.51.100.9) ── c1
/// ```
#[test]
fn a_changed_route_is_followed() {
    let underlay = Underlay::new();
    let (a, b, c) = (underlay.node(1), underlay.node(2), underlay.node(3));
    let a1 = a.workload("a1", "10.0.0.1");
    let anycast = Ipv4Addr::new(198, 51, 100, 9);
    for node in [&b, &c] {
        node.namespace.ip(&format!("addr add {anycast}/32 dev lo"));
    }
    a.namespace.ip(&format!("route add {anycast}/32 via {}", b.address));
    let mut segment = Segment::vxlan(100).access(&a1);
    segment.remotes.push(anycast.into());
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[segment]);
    let (at_b, at_c) = (
        Capture::start(&underlay.namespace, &b.underlay_device),
        Capture::start(&underlay.namespace, &c.underlay_device),
    );
    let mut socket = RawSocket::of(&a1);
    let mut send = |port| socket.repeat(&frames::datagram(&a1, BROADCAST, port), 10);
    let to = |mac: &str, port| format!("ether dst {mac} and {}", Tunnel::vxlan(100).udp(port));
    let (mac_b, mac_c) = ("02:00:00:00:01:02", "02:00:00:00:01:03");
    send(5001);
    at_b.wait_for(&to(mac_b, 5001), 10);

    a.namespace.ip(&format!("route replace {anycast}/32 via {}", c.address));
    wait_until("the remote has the new next hop", SOON, || {
        near.list("remote show vni 100")[0]["lladdr"] == mac_c
    });
    send(5002);
    at_c.wait_for(&to(mac_c, 5002), 10);
    assert_eq!(at_b.count(&to(mac_b, 5002)), 0);

    a.namespace.ip(&format!("route del {anycast}/32"));
    wait_until("the remote has no route", SOON, || near.list("remote show vni 100")[0]["state"] == "noroute");
    let before = near.drops("NO_ROUTE");
    send(5003);
    wait_until("frames without a route are counted", SOON, || near.drops("NO_ROUTE") - before == 10);

    a.namespace.ip(&format!("route add {anycast}/32 via {}", b.address));
    near.wait_for_remotes();
    send(5004);
    at_b.wait_for(&to(mac_b, 5004), 10);
}

/// Why there is no way to a remote, and what helps, is told wherever one looks.
#[test]
fn a_remote_that_cannot_be_reached_says_why() {
    let Pair { underlay: _underlay, a, b, a1, b1: _b1 } = Pair::new();
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    assert_eq!(near.show("status")["degraded"].to_string().matches("remote").count(), 0);
    let told = |vni: u32, words: &str| {
        let remote = &near.list(&format!("remote show vni {vni}"))[0];
        let named = format!("remote 192.0.2.2 in VNI {vni}: {words}");
        remote["state"] == "noroute"
            && remote["degraded"][0].as_str().is_some_and(|why| why.contains(words))
            && near.show("status")["degraded"].to_string().contains(&named)
            && near
                .ctl("remote show")
                .output()
                .contains(&format!("degraded: 192.0.2.2 in VNI {vni}: {words}"))
            && near.log().matches(&named).count() == 1
    };
    near.change("vni add 300 local 203.0.113.9");
    near.change("remote add 192.0.2.2 vni 300");
    wait_until("a strange local address is named", SOON, || {
        told(300, "203.0.113.9 is not an address of this host; add it with")
    });
    assert_eq!(near.show("status")["remotes_reachable"], 1);
    near.change("port del up0");
    wait_until("a device that is no uplink is named", SOON, || {
        told(
            100,
            "the route to 192.0.2.2 leaves by up0, which is no port; `vtep-ctl port add NAME dev up0 uplink`",
        )
    });
    assert_eq!(near.show("status")["remotes_reachable"], 0);
    near.change("port add up0 uplink");
    wait_until("the way is back", SOON, || {
        let remote = &near.list("remote show vni 100")[0];
        remote["state"] == "reachable" && remote["degraded"] == serde_json::json!([])
    });
}

/// Node 3 is not there yet: frames to it are counted, others are not delayed, and it is found when it comes.
#[test]
fn an_absent_next_hop_is_counted_and_found_later() {
    let Pair { underlay, a, b, a1, b1 } = Pair::new();
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    let mut segment = Segment::vxlan(100).access(&a1).remote(&b);
    segment.remotes.push(Ipv4Addr::new(192, 0, 2, 3).into());
    let near = Daemon::with_config(&a, &Variant::ONE_WORKER.config(&a, &[segment]));
    near.wait_for_ports();
    a1.reaches(&b1);
    let state =
        || near.list("remote show vni 100").iter().find(|remote| remote["dst"] == "192.0.2.3").cloned();
    assert_eq!(state().expect("the remote")["state"], "unresolved");
    let before = near.drops("NEIGHBOUR_UNRESOLVED");
    RawSocket::of(&a1).repeat(&frames::datagram(&a1, BROADCAST, 5001), 10);
    wait_until("frames to it are counted", SOON, || near.drops("NEIGHBOUR_UNRESOLVED") - before >= 10);
    a1.ping(b1.address, 10);

    let c = underlay.node(3);
    let c1 = c.workload("c1", "10.0.0.3");
    let _third = LinuxVtep::start(&c, &[Segment::vxlan(100).access(&c1).remote(&a)]);
    a1.reaches(&c1);
    assert_eq!(state().expect("the remote")["state"], "reachable");
}
