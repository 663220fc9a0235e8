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
use vtep_tests::{Capture, Daemon, LinuxVtep, Node, Segment, Underlay, Variant, Workload, wait_until};

in_every_variant!(the_proxy_answers_for_a_target_that_is_down);

const A1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const B1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
/// Solicited and override; with R in front of it, a router.
const HOST: u8 = 0x60;
const ROUTER: u8 = 0xe0;

struct Net {
    underlay: Underlay,
    a: Node,
    b: Node,
    a1: Workload,
    b1: Workload,
}

impl Net {
    fn new() -> Self {
        let underlay = Underlay::new();
        let (a, b) = (underlay.node(1), underlay.node(2));
        let (a1, b1) = (a.workload("a1", "10.0.0.1"), b.workload("b1", "10.0.0.2"));
        for (workload, address) in [(&a1, A1), (&b1, B1)] {
            workload.namespace.ip(&format!("addr add {address}/64 dev eth0 nodad"));
        }
        Self { underlay, a, b, a1, b1 }
    }

    fn near(&self, variant: Variant, key: &str) -> Daemon<'_> {
        let segment = Segment::vxlan(100).access(&self.a1).remote(&self.b).key(key);
        Daemon::start(&self.a, variant, &[segment])
    }

    fn far(&self, variant: Variant) -> Daemon<'_> {
        Daemon::start(&self.b, variant, &[Segment::vxlan(100).access(&self.b1).remote(&self.a)])
    }

    fn wire(&self) -> Capture {
        Capture::start(&self.underlay.namespace, &self.a.underlay_device)
    }

    /// Questions to everybody for an address that node 1 has sent into the underlay.
    fn asked(&self, wire: &Capture, target: Ipv6Addr) -> usize {
        wire.count(&format!("{} and src host {}", Tunnel::vxlan(100).solicitations(target), self.a.address))
    }

    /// A question that nobody answers and that is therefore flooded: what was sent before it has gone its way.
    fn fence(&self, wire: &Capture) {
        let nobody = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x199);
        RawSocket::of(&self.a1).send(&Nd::solicitation(octets(&self.a1.mac), A1, nobody).frame());
        wire.wait_for(&Tunnel::vxlan(100).solicitations(nobody), 1);
    }

    fn question(&self, target: Ipv6Addr) -> Vec<u8> {
        Nd::solicitation(octets(&self.a1.mac), A1, target).frame()
    }

    /// b1 answers pings of a1, and node 1 knows it as a neighbour.
    fn meet(&self, near: &Daemon<'_>) {
        wait_until("a1 reaches b1 by IPv6", SOON, || pings(&self.a1, B1));
        wait_until("the neighbour is learned", SOON, || knows(near, B1, &self.b1.mac));
    }

    /// Nobody is left to answer, but for the proxy: it does, to each question, and the kernel's own resolution takes the
    /// answer as well.
    fn expect_answers_alone(&self) {
        self.b1.namespace.ip("link set eth0 down");
        let (wire, at_a1) = (self.wire(), Capture::received(&self.a1));
        RawSocket::of(&self.a1).repeat(&self.question(B1), 10);
        at_a1.wait_for(&advertisements(B1, &self.b1.mac, HOST), 10);
        self.a1.namespace.ip("-6 neigh flush dev eth0");
        assert!(!pings(&self.a1, B1), "b1 is down");
        let neighbour = self.a1.namespace.ip("-6 neigh show dev eth0");
        assert!(neighbour.contains(&format!("{B1} lladdr {}", self.b1.mac)), "{neighbour}");
        self.fence(&wire);
        assert_eq!(self.asked(&wire, B1), 0, "questions on the underlay");
    }
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
    let net = Net::new();
    let (near, _far) = (net.near(variant, "nd_proxy = true"), net.far(variant));
    net.meet(&near);
    net.expect_answers_alone();
    near.assert_balanced();
}

#[test]
fn the_proxy_answers_for_a_target_behind_linux() {
    let net = Net::new();
    let _far = LinuxVtep::start(&net.b, &[Segment::vxlan(100).access(&net.b1).remote(&net.a)]);
    let near = net.near(Variant::ONE_WORKER, "nd_proxy = true");
    net.meet(&near);
    net.expect_answers_alone();
}

#[test]
fn the_proxy_answers_from_static_neighbours_with_their_flags() {
    let net = Net::new();
    let (near, _far) = (net.near(Variant::ONE_WORKER, "nd_proxy = true"), net.far(Variant::ONE_WORKER));
    let (silent, mac) = (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x50), "02:00:00:00:00:50");
    let (wire, at_a1) = (net.wire(), Capture::received(&net.a1));
    let mut socket = RawSocket::of(&net.a1);

    // A neighbour alone is not enough: the answer would lead nowhere.
    near.change(&format!("neigh add {silent} lladdr {mac} vni 100"));
    socket.send(&net.question(silent));
    wire.wait_for(&Tunnel::vxlan(100).solicitations(silent), 1);
    assert_eq!(at_a1.count(&advertisements(silent, mac, HOST)), 0);

    near.change(&format!("fdb add {mac} vni 100 dst 192.0.2.2"));
    socket.repeat(&net.question(silent), 5);
    at_a1.wait_for(&advertisements(silent, mac, HOST), 5);
    near.change(&format!("neigh replace {silent} lladdr {mac} vni 100 router"));
    socket.repeat(&net.question(silent), 5);
    at_a1.wait_for(&advertisements(silent, mac, ROUTER), 5);
    assert_eq!(near.list("neigh show vni 100")[0]["flags"][0], "router");
    net.fence(&wire);
    assert_eq!(net.asked(&wire, silent), 1);

    near.change(&format!("neigh del {silent} vni 100"));
    socket.send(&net.question(silent));
    wire.wait_for(&Tunnel::vxlan(100).solicitations(silent), 2);
}

/// The address of a workload that is known is taken by another one: only its owner says that it is in use. Once the owner
/// is gone, nobody does.
#[test]
fn duplicate_addresses_are_found_and_left_ones_can_be_taken() {
    let net = Net::new();
    let (near, _far) = (net.near(Variant::ONE_WORKER, "nd_proxy = true"), net.far(Variant::ONE_WORKER));
    net.meet(&near);
    let wire = net.wire();
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
    assert_eq!(net.asked(&wire, B1), 1, "the probe crosses the underlay");

    net.a1.namespace.ip(&format!("addr del {B1}/64 dev eth0"));
    net.b1.namespace.ip("link set eth0 down");
    assert!(knows(&near, B1, &net.b1.mac), "the proxy still knows");
    take();
    assert!(!state().contains("dadfailed"), "{}", state());
    assert_eq!(net.asked(&wire, B1), 2);
}

/// A workload that comes with a new Ethernet address is answered for with the new one.
#[test]
fn an_unsolicited_advertisement_passes_and_replaces_what_was_learned() {
    let net = Net::new();
    let (near, _far) = (net.near(Variant::ONE_WORKER, "nd_proxy = true"), net.far(Variant::ONE_WORKER));
    net.meet(&near);
    let at_a1 = Capture::received(&net.a1);
    let new = "02:00:00:00:0b:02";
    RawSocket::of(&net.b1).send(&Nd::announcement(octets(new), B1).frame());
    at_a1.wait_for(&advertisements(B1, new, 0x20), 1);
    wait_until("the new address is learned", SOON, || knows(&near, B1, new));
    RawSocket::of(&net.a1).send(&net.question(B1));
    at_a1.wait_for(&advertisements(B1, new, HOST), 1);
}

#[test]
fn without_the_proxy_every_question_passes() {
    let net = Net::new();
    let (near, _far) = (net.near(Variant::ONE_WORKER, "nd_proxy = false"), net.far(Variant::ONE_WORKER));
    net.meet(&near);
    assert_eq!(near.list("vni show 100")[0]["nd_proxy"], false);
    let wire = net.wire();
    RawSocket::of(&net.a1).repeat(&net.question(B1), 5);
    wire.wait_for(&Tunnel::vxlan(100).solicitations(B1), 5);
    assert_eq!(net.asked(&wire, B1), 5);
}
