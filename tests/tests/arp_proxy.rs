//! The ARP proxy: what it answers, and what it leaves to the workloads.
//!
//! ```text
//!   a1 ── node 1 (vtepd) ── underlay ── node 2 (vtepd) ── b1
//! ```

use std::net::Ipv4Addr;

use vtep_tests::filter::Tunnel;
use vtep_tests::frames::{Arp, RawSocket, octets};
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, Pair, Variant, wait_until};

in_every_variant!(the_proxy_answers_for_a_target_that_is_down);

fn daemons<'n>(net: &'n Pair, variant: Variant, key: &str) -> [Daemon<'n>; 2] {
    let near = net.near().key(key);
    let far = net.far();
    [Daemon::start(&net.a, variant, &[near]), Daemon::start(&net.b, variant, &[far])]
}

/// Requests for an address that node 1 sends into the underlay, as a filter.
fn requests(net: &Pair, target: Ipv4Addr) -> String {
    format!("{} and src host {}", Tunnel::vxlan(100).arp_requests(target), net.a.address)
}

/// How many of them there have been.
fn asked(net: &Pair, wire: &Capture, target: Ipv4Addr) -> usize {
    wire.count(&requests(net, target))
}

/// A request that nobody answers and that is therefore flooded: what was sent before it has gone its way.
fn fence(net: &Pair, wire: &Capture) {
    let nobody = Ipv4Addr::new(10, 0, 0, 199);
    RawSocket::of(&net.a1).send(&Arp::request(&net.a1, nobody).frame());
    wire.wait_for(&Tunnel::vxlan(100).arp_requests(nobody), 1);
}

/// Replies to a1 that say where `address` is.
fn replies(address: Ipv4Addr, mac: &str) -> String {
    let octets: Vec<&str> = mac.split(':').collect();
    format!(
        "arp[6:2] = 2 and arp[14:4] = {} and arp[8:4] = 0x{} and arp[12:2] = 0x{}",
        u32::from(address),
        octets[..4].concat(),
        octets[4..].concat()
    )
}

fn the_proxy_answers_for_a_target_that_is_down(variant: Variant) {
    let net = Pair::new();
    let [near, _far] = daemons(&net, variant, "arp_proxy = true");
    net.a1.reaches(&net.b1);
    wait_until("the neighbour is learned", SOON, || {
        near.list("neigh show vni 100").iter().any(|entry| entry["dst"] == "10.0.0.2")
    });
    net.b1.namespace.ip("link set eth0 down");

    let (wire, at_a1) = (net.wire(), Capture::received(&net.a1));
    RawSocket::of(&net.a1).repeat(&Arp::request(&net.a1, net.b1.address).frame(), 10);
    at_a1.wait_for(&replies(net.b1.address, &net.b1.mac), 10);
    // The kernel's own resolution takes the answer as well.
    net.a1.namespace.ip("neigh flush dev eth0");
    wait_until("the kernel takes the answer", SOON, || {
        net.a1.does_not_reach(net.b1.address);
        let neighbours = net.a1.namespace.ip("neigh show dev eth0");
        neighbours.contains(&format!("10.0.0.2 lladdr {}", net.b1.mac))
    });
    fence(&net, &wire);
    assert_eq!(asked(&net, &wire, net.b1.address), 0, "requests on the underlay");
}

#[test]
fn the_proxy_answers_from_static_neighbours() {
    let net = Pair::new();
    let [near, _far] = daemons(&net, Variant::ONE_WORKER, "arp_proxy = true");
    let (silent, mac) = (Ipv4Addr::new(10, 0, 0, 50), "02:00:00:00:00:50");
    let request = Arp::request(&net.a1, silent).frame();
    let (wire, at_a1) = (net.wire(), Capture::received(&net.a1));
    let mut socket = RawSocket::of(&net.a1);

    // A neighbour alone is not enough: the answer would lead nowhere.
    near.change(&format!("neigh add {silent} lladdr {mac} vni 100"));
    socket.send(&request);
    wire.wait_for(&Tunnel::vxlan(100).arp_requests(silent), 1);
    assert_eq!(at_a1.count(&replies(silent, mac)), 0);

    near.change(&format!("fdb add {mac} vni 100 dst 192.0.2.2"));
    socket.repeat(&request, 5);
    at_a1.wait_for(&replies(silent, mac), 5);
    fence(&net, &wire);
    assert_eq!(asked(&net, &wire, silent), 1);

    near.change(&format!("neigh del {silent} vni 100"));
    socket.send(&request);
    wire.wait_for(&Tunnel::vxlan(100).arp_requests(silent), 2);
    assert_eq!(at_a1.count(&replies(silent, mac)), 5);
}

#[test]
fn probes_announcements_and_unicast_requests_pass() {
    let net = Pair::new();
    let [_near, _far] = daemons(&net, Variant::ONE_WORKER, "arp_proxy = true");
    net.a1.reaches(&net.b1);
    net.b1.reaches(&net.a1);
    let (wire, at_a1, at_b1) = (net.wire(), Capture::received(&net.a1), Capture::received(&net.b1));
    let mut socket = RawSocket::of(&net.a1);
    let request = Arp::request(&net.a1, net.b1.address);
    let asked = |target, count| {
        wire.wait_for(&requests(&net, target), count);
        assert_eq!(asked(&net, &wire, target), count);
    };

    // A probe (RFC 5227) asks whether anybody has the address: only who has it may say so.
    socket.send(&Arp { sender: Ipv4Addr::UNSPECIFIED, ..request }.frame());
    asked(net.b1.address, 1);
    at_a1.wait_for("arp[6:2] = 2 and arp[24:4] = 0", 1);
    assert_eq!(at_a1.count("arp[6:2] = 2 and arp[24:4] = 0"), 1, "b1 answers a probe, the proxy does not");

    // A gratuitous request announces the asker's own address.
    socket.send(&Arp { target: net.a1.address, ..request }.frame());
    asked(net.a1.address, 1);
    at_b1.wait_for("arp[6:2] = 1 and arp[14:4] = 0x0a000001 and arp[24:4] = 0x0a000001", 1);

    // A unicast request checks whether the neighbour is still there.
    socket.send(&Arp { to: octets(&net.b1.mac), target_mac: octets(&net.b1.mac), ..request }.frame());
    asked(net.b1.address, 2);
}

#[test]
fn without_the_proxy_every_request_passes() {
    let net = Pair::new();
    let [near, _far] = daemons(&net, Variant::ONE_WORKER, "arp_proxy = false");
    net.a1.reaches(&net.b1);
    assert_eq!(near.list("vni show 100")[0]["arp_proxy"], false);
    let wire = net.wire();
    RawSocket::of(&net.a1).repeat(&Arp::request(&net.a1, net.b1.address).frame(), 5);
    wire.wait_for(&Tunnel::vxlan(100).arp_requests(net.b1.address), 5);
    assert_eq!(asked(&net, &wire, net.b1.address), 5);
}

/// A workload that comes with a new Ethernet address is answered for with the new one.
#[test]
fn an_announcement_replaces_what_was_learned() {
    let net = Pair::new();
    let [near, _far] = daemons(&net, Variant::ONE_WORKER, "arp_proxy = true");
    net.a1.reaches(&net.b1);
    let new = "02:00:00:00:0b:02";
    net.b1.namespace.ip(&format!("link set eth0 address {new}"));
    let mut socket = RawSocket::of(&net.b1);
    let announcement = Arp { sender_mac: octets(new), ..Arp::request(&net.b1, net.b1.address) };
    socket.send(&announcement.frame());
    wait_until("the new address is learned", SOON, || {
        let neighbours = near.list("neigh show vni 100");
        neighbours.iter().any(|entry| entry["dst"] == "10.0.0.2" && entry["lladdr"] == new)
    });
    let at_a1 = Capture::received(&net.a1);
    RawSocket::of(&net.a1).send(&Arp::request(&net.a1, net.b1.address).frame());
    at_a1.wait_for(&replies(net.b1.address, new), 1);
}
