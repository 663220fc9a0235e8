//! The neighbour discovery proxy: what it answers, and what it leaves to the workloads. These have IPv6 addresses and
//! find each other as they always do.
//!
//! ```text
//!   a1 ── node 1 (vtepd) ── underlay ── node 2 (vtepd, or Linux vxlan + bridge) ── b1
//! ```

use std::net::Ipv6Addr;

use vtep_tests::filter::Tunnel;
use vtep_tests::frames::{Nd, RawSocket, octets};
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, LinuxVtep, Pair, Variant, Workload, wait_until};

in_every_variant!(the_proxy_answers_for_a_target_that_is_down);

const A1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const B1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// Solicited and override; with R in front of it, a router.
const HOST: u8 = 0x60;
const ROUTER: u8 = 0xe0;

/// The workloads have IPv6 addresses.
fn network() -> Pair {
    let pair = Pair::new();
    for (workload, address) in [(&pair.a1, A1), (&pair.b1, B1)] {
        workload.namespace.ip(&format!("addr add {address}/64 dev eth0 nodad"));
    }
    pair
}

fn start_near<'n>(net: &'n Pair, variant: Variant, key: &str) -> Daemon<'n> {
    let segment = net.near().key(key);
    Daemon::start(&net.a, variant, &[segment])
}

fn start_far(net: &Pair, variant: Variant) -> Daemon<'_> {
    Daemon::start(&net.b, variant, &[net.far()])
}

/// Questions to everybody for an address that node 1 has sent into the underlay.
fn asked(net: &Pair, wire: &Capture, target: Ipv6Addr) -> usize {
    wire.count(&format!("{} and src host {}", Tunnel::vxlan(100).solicitations(target), net.a.address))
}

/// A question that nobody answers and that is therefore flooded: what was sent before it has gone its way.
fn fence(net: &Pair, wire: &Capture) {
    let nobody = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x199);
    RawSocket::of(&net.a1).send(&Nd::solicitation(octets(&net.a1.mac), A1, nobody).frame());
    wire.wait_for(&Tunnel::vxlan(100).solicitations(nobody), 1);
}

fn question(net: &Pair, target: Ipv6Addr) -> Vec<u8> {
    Nd::solicitation(octets(&net.a1.mac), A1, target).frame()
}

/// b1 answers pings of a1, and node 1 knows it as a neighbour.
fn meet(net: &Pair, near: &Daemon<'_>) {
    wait_until("a1 reaches b1 by IPv6", SOON, || pings(&net.a1, B1));
    wait_until("the neighbour is learned", SOON, || knows(near, B1, &net.b1.mac));
}

/// Nobody is left to answer, but for the proxy: it does, to each question, and the kernel's own resolution takes the
/// answer as well.
fn expect_answers_alone(net: &Pair) {
    net.b1.namespace.ip("link set eth0 down");
    let (wire, at_a1) = (net.wire(), Capture::received(&net.a1));
    RawSocket::of(&net.a1).repeat(&question(net, B1), 10);
    at_a1.wait_for(&advertisements(B1, &net.b1.mac, HOST), 10);
    net.a1.namespace.ip("-6 neigh flush dev eth0");
    wait_until("the kernel takes the answer", SOON, || {
        assert!(!pings(&net.a1, B1), "b1 is down");
        let neighbours = net.a1.namespace.ip("-6 neigh show dev eth0");
        neighbours.contains(&format!("{B1} lladdr {}", net.b1.mac))
    });
    fence(net, &wire);
    assert_eq!(asked(net, &wire, B1), 0, "questions on the underlay");
}

fn pings(from: &Workload, to: Ipv6Addr) -> bool {
    from.namespace.attempt(&format!("ping -6 -n -q -c 1 -W 1 {to}")).success()
}

fn knows(daemon: &Daemon<'_>, address: Ipv6Addr, mac: &str) -> bool {
    let address = address.to_string();
    let neighbours = daemon.list("neigh show vni 100");
    neighbours.iter().any(|entry| entry["dst"] == address.as_str() && entry["lladdr"] == mac)
}

/// Advertisements with these flags that say where `target` is, in a target link-layer address option.
fn advertisements(target: Ipv6Addr, mac: &str, flags: u8) -> String {
    let words = target.octets();
    let word = |at: usize| u32::from_be_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
    let octets: Vec<&str> = mac.split(':').collect();
    format!(
        "ip6[6] = 58 and ip6[40] = 136 and ip6[44] = {flags} and ip6[48:4] = {} and ip6[60:4] = {} \
         and ip6[64:2] = 0x0201 and ip6[66:2] = 0x{} and ip6[68:4] = 0x{}",
        word(0),
        word(12),
        octets[..2].concat(),
        octets[2..].concat()
    )
}

fn the_proxy_answers_for_a_target_that_is_down(variant: Variant) {
    let net = network();
    let (near, _far) = (start_near(&net, variant, "nd_proxy = true"), start_far(&net, variant));
    meet(&net, &near);
    expect_answers_alone(&net);
    near.assert_balanced();
}

#[test]
fn the_proxy_answers_for_a_target_behind_linux() {
    let net = network();
    let _far = LinuxVtep::start(&net.b, &[net.far()]);
    let near = start_near(&net, Variant::ONE_WORKER, "nd_proxy = true");
    meet(&net, &near);
    expect_answers_alone(&net);
}

#[test]
fn the_proxy_answers_from_static_neighbours_with_their_flags() {
    let net = network();
    let (near, _far) =
        (start_near(&net, Variant::ONE_WORKER, "nd_proxy = true"), start_far(&net, Variant::ONE_WORKER));
    let (silent, mac) = (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x50), "02:00:00:00:00:50");
    let (wire, at_a1) = (net.wire(), Capture::received(&net.a1));
    let mut socket = RawSocket::of(&net.a1);

    // A neighbour alone is not enough: the answer would lead nowhere.
    near.change(&format!("neigh add {silent} lladdr {mac} vni 100"));
    socket.send(&question(&net, silent));
    wire.wait_for(&Tunnel::vxlan(100).solicitations(silent), 1);
    assert_eq!(at_a1.count(&advertisements(silent, mac, HOST)), 0);

    near.change(&format!("fdb add {mac} vni 100 dst 192.0.2.2"));
    socket.repeat(&question(&net, silent), 5);
    at_a1.wait_for(&advertisements(silent, mac, HOST), 5);
    near.change(&format!("neigh replace {silent} lladdr {mac} vni 100 router"));
    socket.repeat(&question(&net, silent), 5);
    at_a1.wait_for(&advertisements(silent, mac, ROUTER), 5);
    assert_eq!(near.list("neigh show vni 100")[0]["flags"][0], "router");
    fence(&net, &wire);
    assert_eq!(asked(&net, &wire, silent), 1);

    near.change(&format!("neigh del {silent} vni 100"));
    socket.send(&question(&net, silent));
    wire.wait_for(&Tunnel::vxlan(100).solicitations(silent), 2);
}

/// The address of a workload that is known is taken by another one: only its owner says that it is in use. Once the owner
/// is gone, nobody does.
#[test]
fn duplicate_addresses_are_found_and_left_ones_can_be_taken() {
    let net = network();
    let (near, _far) =
        (start_near(&net, Variant::ONE_WORKER, "nd_proxy = true"), start_far(&net, Variant::ONE_WORKER));
    meet(&net, &near);
    // How long an address is tentative: its owner may take a while to be heard.
    let _ = net.a1.namespace.run("sysctl -qw net.ipv6.neigh.eth0.retrans_time_ms=5000");
    let wire = net.wire();
    let probes = |count| {
        wire.wait_for(&Tunnel::vxlan(100).solicitations(B1), count);
        assert_eq!(asked(&net, &wire, B1), count, "the probe crosses the underlay");
    };
    let state = || net.a1.namespace.ip(&format!("-6 addr show dev eth0 to {B1}"));
    let take = || {
        net.a1.namespace.ip(&format!("addr add {B1}/64 dev eth0"));
        wait_until("duplicate address detection ends", SOON, || {
            let state = state();
            !state.contains("tentative") || state.contains("dadfailed")
        });
    };
    take();
    assert!(state().contains("dadfailed"), "{}", state());
    probes(1);

    net.a1.namespace.ip(&format!("addr del {B1}/64 dev eth0"));
    net.b1.namespace.ip("link set eth0 down");
    assert!(knows(&near, B1, &net.b1.mac), "the proxy still knows");
    take();
    assert!(!state().contains("dadfailed"), "{}", state());
    probes(2);
}

/// A workload that comes with a new Ethernet address is answered for with the new one.
#[test]
fn an_unsolicited_advertisement_passes_and_replaces_what_was_learned() {
    let net = network();
    let (near, _far) =
        (start_near(&net, Variant::ONE_WORKER, "nd_proxy = true"), start_far(&net, Variant::ONE_WORKER));
    meet(&net, &near);
    let at_a1 = Capture::received(&net.a1);
    let new = "02:00:00:00:0b:02";
    RawSocket::of(&net.b1).send(&Nd::announcement(octets(new), B1).frame());
    at_a1.wait_for(&advertisements(B1, new, 0x20), 1);
    wait_until("the new address is learned", SOON, || knows(&near, B1, new));
    RawSocket::of(&net.a1).send(&question(&net, B1));
    at_a1.wait_for(&advertisements(B1, new, HOST), 1);
}

#[test]
fn without_the_proxy_every_question_passes() {
    let net = network();
    let (near, _far) =
        (start_near(&net, Variant::ONE_WORKER, "nd_proxy = false"), start_far(&net, Variant::ONE_WORKER));
    meet(&net, &near);
    assert_eq!(near.list("vni show 100")[0]["nd_proxy"], false);
    let wire = net.wire();
    RawSocket::of(&net.a1).repeat(&question(&net, B1), 5);
    wire.wait_for(&Tunnel::vxlan(100).solicitations(B1), 5);
    assert_eq!(asked(&net, &wire, B1), 5);
}
