//! What a workload may send: one that plays the infrastructure, forged sources, a locked port. Each is dropped and counted
//! by its reason, and traffic of the others goes on without a loss.
//!
//! ```text
//!   a1, a2 (does not behave) ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b1
//! ```

mod limits;
mod underlay;

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;
use vtep_tests::frames::{self, Arp, BROADCAST, RawSocket, octets};
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, Trio, UdpStream, Variant, Workload, wait_until};

in_every_variant!(
    a_workload_is_no_infrastructure_unless_trusted,
    a_bound_workload_forges_nothing,
    a_locked_port_is_as_locked_as_a_bridge_port,
    a_bound_address_is_claimed_by_no_peer_and_no_other_port,
);

/// Frames between two looks at the traffic: no more are on their way at a time than fit into a receive ring.
const PAUSE: usize = 100;

fn streams(net: &Trio) -> [UdpStream; 2] {
    UdpStream::both_ways(&net.a1, &net.b1, Duration::from_millis(2))
}

/// An ICMPv6 message from `from` to all nodes.
fn icmpv6(from: &Workload, kind: u8) -> Vec<u8> {
    let (multicast, mac) = ([0x33, 0x33, 0, 0, 0, 1], octets(&from.mac));
    let source =
        [0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]];
    let all_nodes = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let header = [0x60, 0, 0, 0, 0, 16, 58, 255];
    let message = [kind, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    [&multicast[..], &mac, &[0x86, 0xdd], &header, &source, &all_nodes, &message].concat()
}

fn a_workload_is_no_infrastructure_unless_trusted(variant: Variant) {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, variant, &[net.segment()]);
    net.a1.reaches(&net.b1);
    net.a2.reaches(&net.b1);
    let mac = octets(&net.a2.mac);
    let nobody = Ipv4Addr::new(10, 0, 0, 250);
    let inner = frames::datagram(&net.a2, octets(&net.b1.mac), 4000);
    let addresses = (net.a2.address, nobody);
    let cases = [
        (
            frames::tunnelled((mac, BROADCAST), addresses, 100, &inner),
            "TUNNEL_FROM_WORKLOAD",
            "udp dst port 4789",
        ),
        (frames::gre((mac, BROADCAST), addresses, 100, &inner), "TUNNEL_FROM_WORKLOAD", "ip proto 47"),
        (frames::udp((mac, BROADCAST), addresses, (67, 68), b"an offer"), "ROGUE_DHCP", "udp dst port 68"),
        (icmpv6(&net.a2, 134), "ROGUE_ROUTER", "icmp6 and ip6[40] = 134"),
    ];
    let streams = streams(&net);
    let seen = Capture::received(&net.a1);
    let mut socket = RawSocket::of(&net.a2);
    for (frame, reason, _) in &cases {
        let before = daemon.drops(reason);
        socket.repeat(frame, 50);
        wait_until(reason, SOON, || daemon.drops(reason) >= before + 50);
    }
    wait_until("the log tells of it", SOON, || {
        let log = daemon.log();
        ["TUNNEL_FROM_WORKLOAD", "ROGUE_DHCP", "ROGUE_ROUTER"].iter().all(|reason| log.contains(reason))
    });
    let seen = seen.stop();
    for (_, reason, filter) in &cases {
        assert_eq!(seen.count(filter), 0, "{reason} and yet a1 got it");
    }
    streams.into_iter().for_each(|stream| stream.stop().assert_complete());
    // Being trusted is a change that costs the port nothing, in either direction.
    let own = UdpStream::start(&net.a2, &net.b1, Duration::from_millis(1));
    let seen = Capture::received(&net.a1);
    daemon.change("port guard a2 trusted on");
    assert_eq!(daemon.port("a2")["guard"]["trusted"], json!(true));
    for (frame, _, filter) in &cases {
        socket.repeat(frame, 5);
        seen.wait_for(filter, 5);
    }
    own.wait_for_more(50);
    daemon.change("port guard a2 trusted off");
    own.wait_for_more(50);
    let before = daemon.drops("ROGUE_ROUTER");
    socket.repeat(&cases[3].0, 5);
    wait_until("a2 is not trusted any more", SOON, || daemon.drops("ROGUE_ROUTER") == before + 5);
    own.stop().assert_complete();
}

fn a_bound_workload_forges_nothing(variant: Variant) {
    let net = Trio::new();
    let vni = vtep_tests::config_text::vni(&net.a, &net.segment());
    let bind = format!(
        "vni = 100\nbind = [{{ mac = \"{}\", addresses = [\"{}\", \"fd00::3\"] }}]",
        net.a2.mac, net.a2.address
    );
    let behind =
        |workload: &Workload, role: &str| format!("{role}{}", variant.namespace(workload.namespace.name()));
    let config = variant.config(&net.a, &[])
        + &variant.port("a1", &behind(&net.a1, "vni = 100"))
        + &variant.port("a2", &behind(&net.a2, &bind))
        + &vni;
    let daemon = Daemon::ready(&net.a, &config);
    net.a1.reaches(&net.b1);
    net.a2.reaches(&net.b1);
    net.a2.reaches(&net.a1);
    let streams = streams(&net);
    let (own, victim, far) = (octets(&net.a2.mac), octets(&net.a1.mac), octets(&net.b1.mac));
    let arp = |sender_mac, sender| {
        Arp { to: BROADCAST, operation: 1, sender_mac, sender, target_mac: [0; 6], target: net.b1.address }
            .frame()
    };
    let mut lying = arp(victim, net.a1.address);
    lying[6..12].copy_from_slice(&own);
    let forged = [
        // Another's Ethernet address, a stranger's, another's IPv4 address, and what would poison b1's ARP table.
        frames::udp((victim, far), (net.a1.address, net.b1.address), (1000, 2000), b"x"),
        frames::udp(([2, 0, 0, 0, 0x66, 1], far), (net.a2.address, net.b1.address), (1000, 2000), b"x"),
        frames::udp((own, far), (net.a1.address, net.b1.address), (1000, 2000), b"x"),
        arp(own, net.a1.address),
        lying,
    ];
    let before = daemon.drops("SPOOFED_SOURCE");
    let mut socket = RawSocket::of(&net.a2);
    for frame in &forged {
        socket.repeat(frame, PAUSE);
        streams.iter().for_each(|stream| stream.wait_for_more(2));
    }
    let count = (forged.len() * PAUSE) as u64;
    wait_until("all are refused", SOON, || daemon.drops("SPOOFED_SOURCE") >= before + count);
    let entry = daemon.entry(100, &net.a1.mac).unwrap();
    assert_eq!((&entry["ifname"], &entry["moves"]), (&json!("a1"), &json!(0)), "a1's address was taken over");
    assert!(daemon.entry(100, "02:00:00:00:66:01").is_none());
    streams.into_iter().for_each(|stream| stream.stop().assert_complete());
    net.a2.ping(net.b1.address, 5);
    daemon
        .ctl("port guard a2 bind 01:00:00:00:00:01")
        .assert_fails(1, &["port a2 cannot be bound to 01:00:00:00:00:01"]);
    daemon.ctl("port guard up0 trusted on").assert_fails(1, &["port up0 is an uplink and cannot be trusted"]);
    daemon.ctl("port guard nobody locked on").assert_fails(1, &["there is no port nobody"]);
}

/// Nor does anybody learn that a bound protocol address is elsewhere, from a port or from a peer; what was learned before is
/// forgotten.
#[test]
fn a_bound_protocol_address_stays_with_its_workload() {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.segment()]);
    net.a1.reaches(&net.b1);
    net.a2.reaches(&net.b1);
    let lie = |from: &Workload| {
        let (sender_mac, sender) = (octets(&from.mac), net.a2.address);
        let frame =
            Arp { to: BROADCAST, operation: 1, sender_mac, sender, target_mac: [0; 6], target: sender };
        RawSocket::of(from).repeat(&frame.frame(), 5);
    };
    let owner = || {
        let all = daemon.list("neigh show vni 100");
        let of = |entry: &serde_json::Value| entry["dst"] == net.a2.address.to_string().as_str();
        all.iter().find(|entry| of(entry)).map(|entry| entry["lladdr"].clone())
    };
    lie(&net.a1);
    wait_until("without a binding it is whoever says so", SOON, || owner() == Some(json!(net.a1.mac)));
    daemon.change(&format!("port guard a2 bind {},{}", net.a2.mac, net.a2.address));
    wait_until("with one the lie is forgotten", SOON, || owner() != Some(json!(net.a1.mac)));
    for (round, liar) in (1..).zip([&net.a1, &net.b1]) {
        let before = daemon.drops("SPOOFED_SOURCE");
        lie(liar);
        wait_until("all are refused", SOON, || daemon.drops("SPOOFED_SOURCE") >= before + 5);
        let _ = net.a2.namespace.ip("neigh flush dev eth0");
        net.a2.reaches(&net.b1);
        wait_until("its own word is taken", SOON, || owner() == Some(json!(net.a2.mac)));
        assert_ne!(owner(), Some(json!(liar.mac)), "{round}");
    }
    net.a1.namespace.ip("neigh flush dev eth0");
    net.a1.reaches(&net.a2);
}

/// Whoever used it before the binding, and whoever tries afterwards, whether or not its own workload has sent anything.
fn a_bound_address_is_claimed_by_no_peer_and_no_other_port(variant: Variant) {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, variant, &[net.segment()]);
    net.a1.reaches(&net.b1);
    net.a2.reaches(&net.b1);
    let mac = "02:00:00:00:77:03";
    let place = || daemon.entry(100, mac).map(|entry| [&entry["ifname"], &entry["dst"]].map(Clone::clone));
    let at_b1 = Some([json!(null), json!("192.0.2.2")]);
    let at_a2 = Some([json!("a2"), json!(null)]);
    let send = |from: &Workload, port: u16, count| {
        let addresses = (from.address, Ipv4Addr::BROADCAST);
        RawSocket::of(from)
            .repeat(&frames::udp((octets(mac), BROADCAST), addresses, (5000, port), b"x"), count);
    };
    send(&net.b1, 5001, 1);
    wait_until("the peer has the address", SOON, || place() == at_b1);
    let streams = streams(&net);
    daemon.change(&format!("port guard a2 bind {}/{mac}", net.a2.mac));
    wait_until("what was learned elsewhere is forgotten", SOON, || place().is_none());
    let seen = [&net.a1, &net.a2, &net.b1].map(Capture::received);
    let refuse = |port| {
        let before = daemon.drops("SPOOFED_SOURCE");
        [&net.b1, &net.a1].iter().for_each(|from| send(from, port, 20));
        wait_until("all are refused", SOON, || daemon.drops("SPOOFED_SOURCE") >= before + 40);
    };
    refuse(5002);
    assert_eq!(place(), None);
    send(&net.a2, 5003, 10);
    seen[0].wait_for("udp dst port 5003", 10);
    assert_eq!(place(), at_a2);
    refuse(5002);
    assert_eq!((place(), daemon.entry(100, mac).unwrap()["moves"].clone()), (at_a2, json!(0)));
    ["up0", "a1"].iter().for_each(|port| daemon.wait_for_refusal("SPOOFED_SOURCE", port));
    for seen in seen {
        assert_eq!(seen.stop().count("udp dst port 5002"), 0, "a forged frame came through");
    }
    // Without the binding it is anybody's again.
    daemon.change("port guard a2 bind none");
    send(&net.b1, 5004, 1);
    wait_until("the peer has the address again", SOON, || place() == at_b1);
    streams.into_iter().for_each(|stream| stream.stop().assert_complete());
}

/// A third workload on each node: behind a locked port of vtepd's, and behind a locked one of a Linux bridge.
fn a_locked_port_is_as_locked_as_a_bridge_port(variant: Variant) {
    let net = Trio::new();
    let b2 = net.b.workload("b2", "10.0.0.4");
    for command in ["link set b2 master br100 up", "link set b2 type bridge_slave learning off locked on"] {
        net.b.namespace.ip(command);
    }
    let daemon = Daemon::start(&net.a, variant, &[net.segment()]);
    net.a1.reaches(&net.b1);
    daemon.change("port guard a2 locked on");
    assert_eq!(daemon.port("a2")["guard"]["locked"], json!(true));
    let streams = streams(&net);
    let seen = [Capture::received(&net.a1), Capture::received(&net.b1)];
    let mut sockets = [RawSocket::of(&net.a2), RawSocket::of(&b2)];
    let macs = [[2, 0, 0, 0, 0x77, 1], [2, 0, 0, 0, 0x77, 2]];
    // Everything is broadcast, so that no forwarding entry has a say in where it goes: a1 and b1 see both.
    let mut send = |port: u16, count| {
        for (socket, mac) in sockets.iter_mut().zip(macs) {
            let addresses = (net.a2.address, Ipv4Addr::BROADCAST);
            socket.repeat(&frames::udp((mac, BROADCAST), addresses, (5000, port), b"x"), count);
        }
    };
    send(5001, 20);
    wait_until("the locked port refuses", SOON, || daemon.drops("LOCKED_PORT") >= 20);
    assert!(daemon.entry(100, "02:00:00:00:77:01").is_none(), "a locked port learned");
    daemon.change("fdb add 02:00:00:00:77:01 vni 100 dev a2");
    net.b.namespace.bridge("fdb add 02:00:00:00:77:02 dev b2 master static");
    send(5002, 20);
    seen.iter().for_each(|seen| seen.wait_for("udp dst port 5002", 40));
    // An entry that points elsewhere lets nobody in.
    daemon.change("fdb replace 02:00:00:00:77:01 vni 100 dev a1");
    net.b.namespace.bridge("fdb replace 02:00:00:00:77:02 dev b1 master static");
    send(5003, 20);
    wait_until("it refuses again", SOON, || daemon.drops("LOCKED_PORT") >= 40);
    daemon.change("fdb del 02:00:00:00:77:01 vni 100");
    net.b.namespace.bridge("fdb del 02:00:00:00:77:02 dev b1 master");
    // A binding is as good as an entry.
    daemon.change("port guard a2 bind 02:00:00:00:77:01");
    net.b.namespace.ip("link set b2 type bridge_slave locked off");
    send(5004, 20);
    for seen in seen {
        seen.wait_for("udp dst port 5004", 40);
        let seen = seen.stop();
        for refused in [5001, 5003] {
            // Also not as a copy that came over the overlay.
            assert_eq!(seen.count(&format!("udp dst port {refused}")), 0, "port {refused} came through");
        }
    }
    assert_eq!(daemon.entry(100, "02:00:00:00:77:01").unwrap()["ifname"], json!("a2"));
    streams.into_iter().for_each(|stream| stream.stop().assert_complete());
}
