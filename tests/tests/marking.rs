//! What outer headers and inner packets tell each other (RFC 6040, RFC 2983), with Linux's vxlan as the far side and as the
//! oracle: both get the same packets, and what they make of them is compared.
//!
//! ```text
//!   a1 ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b1
//! ```

use std::collections::BTreeMap;

use etherparse::{IpDscp, IpEcn};
use vtep_tests::frames::{self, RawSocket};
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, LinuxVtep, Node, Pair, Variant, Workload, wait_until};

fn switches<'n>(net: &'n Pair, words: &str, keys: &[&str]) -> (Daemon<'n>, LinuxVtep<'n>) {
    let far = [net.far()];
    let far = LinuxVtep::start_with(&net.b, &far, words);
    let near = net.near();
    let near = keys.iter().fold(near, |segment, key| segment.key(key));
    let near = Daemon::start(&net.a, Variant::ONE_WORKER, &[near]);
    net.a1.reaches(&net.b1);
    (near, far)
}

/// A datagram with this traffic class, TTL and DF, to a port that tells which one it is.
fn packet(
    from: &Workload,
    to: &Workload,
    number: u16,
    (class, ttl, dont_fragment): (u8, u8, bool),
) -> Vec<u8> {
    let macs = (frames::octets(&from.mac), frames::octets(&to.mac));
    let frame = frames::udp(macs, (from.address, to.address), (40_000, 20_000 + number), b"marked");
    frames::with_ipv4(&frame, 14, |header| {
        header.dscp = IpDscp::try_new(class >> 2).expect("six bits");
        header.ecn = IpEcn::try_new(class & 3).expect("two bits");
        header.time_to_live = ttl;
        header.dont_fragment = dont_fragment;
    })
}

/// What is sent: every traffic class once, with TTLs and DF of all kinds.
fn packets() -> impl Iterator<Item = (u16, (u8, u8, bool))> {
    (0..=255_u8).map(|class| (class.into(), (class, 1 + class / 2, class % 3 != 0)))
}

/// Outer class, TTL and DF by inner port, of the tunnel packets that a node sent.
fn outer_headers(wire: &Capture, from: &Node) -> BTreeMap<String, String> {
    let sent =
        format!("udp dst port 4789 and src host {} and udp[52:2] >= 20000 and udp[25] = 0", from.address);
    wire.wait_for(&sent, 256);
    let fields = ["udp.dstport", "ip.dsfield", "ip.ttl", "ip.flags.df", "ip.checksum.status"];
    let lines = wire
        .decoded(&format!("vxlan && !icmp && ip.src == {} && udp.dstport >= 20000", from.address), &fields);
    let header = |line: &String| {
        let columns: Vec<Vec<&str>> = line.split('\t').map(|column| column.split(',').collect()).collect();
        let outer: Vec<&str> = columns[1..].iter().map(|column| column[0]).collect();
        (columns[0][1].to_owned(), outer.join(" "))
    };
    lines.iter().map(header).collect()
}

/// `ecn = "reset"` is what Linux does: no packet tells the two apart.
#[test]
fn everything_inherited_is_as_linux_inherits_it() {
    let net = Pair::new();
    let keys = ["tos = \"inherit\"", "ttl = \"inherit\"", "df = \"inherit\"", "ecn = \"reset\""];
    let (_near, _far) = switches(&net, "tos inherit ttl inherit df inherit", &keys);
    let wire = net.wire();
    for (from, to) in [(&net.a1, &net.b1), (&net.b1, &net.a1)] {
        let mut socket = RawSocket::of(from);
        packets().for_each(|(number, marks)| socket.send(&packet(from, to, number, marks)));
    }
    let ours = outer_headers(&wire, &net.a);
    let theirs = outer_headers(&wire, &net.b);
    assert_eq!(ours.len(), 256);
    assert_eq!(ours, theirs);
    for (number, (class, ttl, dont_fragment)) in packets() {
        let class = if class & 3 == 3 { class & 0xfc | 2 } else { class };
        let expected = format!("0x{class:02x} {ttl} {} 1", u8::from(dont_fragment));
        assert_eq!(ours[&(20_000 + number).to_string()], expected);
    }
}

/// What is fixed stays so whatever is inside, but for ECN, which RFC 6040 copies.
#[test]
fn fixed_marks_stay_and_ecn_is_copied() {
    let net = Pair::new();
    let (near, _far) = switches(&net, "", &["tos = 184", "ttl = 9", "df = \"unset\""]);
    let vni = &near.list("vni show 100")[0];
    assert_eq!(
        (&vni["tos"], &vni["ttl"], &vni["df"], &vni["ecn"]),
        (&"184".into(), &"9".into(), &"unset".into(), &"normal".into())
    );
    let wire = net.wire();
    let at_b1 = Capture::received(&net.b1);
    let mut socket = RawSocket::of(&net.a1);
    let all: Vec<_> = packets().collect();
    all.iter().for_each(|(number, marks)| socket.send(&packet(&net.a1, &net.b1, *number, *marks)));
    for (number, outer) in outer_headers(&wire, &net.a) {
        let class: u16 = 184 | (number.parse::<u16>().expect("a port") - 20_000) & 3;
        assert_eq!(outer, format!("0x{class:02x} 9 0 1"), "{number}");
    }
    at_b1.wait_for("udp dst portrange 20000-20255", 256);
    let lines =
        at_b1.stop().decoded("!icmp && udp.dstport >= 20000", &["udp.dstport", "ip.dsfield", "ip.ttl"]);
    for (number, (class, ttl, _)) in all {
        assert!(lines.contains(&format!("{}\t0x{class:02x}\t{ttl}", 20_000 + number)), "{number}: {lines:?}");
    }

    // Live, too.
    near.change("vni replace 100 local 192.0.2.1 tos inherit ttl inherit ecn compatibility");
    let wire = net.wire();
    packets().for_each(|(number, marks)| socket.send(&packet(&net.a1, &net.b1, number, marks)));
    for (number, outer) in outer_headers(&wire, &net.a) {
        let class = u8::try_from(number.parse::<u16>().expect("a port") - 20_000).expect("a class");
        assert_eq!(outer, format!("0x{:02x} {} 1 1", class & 0xfc, 1 + class / 2), "{number}");
    }
}

/// Every inner ECN field in every outer one: vtepd delivers and drops what Linux does, and counts the drop.
#[test]
fn what_congestion_becomes_is_as_linux_has_it() {
    let net = Pair::new();
    let (near, _far) = switches(&net, "", &[]);
    let captures = [Capture::received(&net.a1), Capture::received(&net.b1)];
    let mut socket = RawSocket::open(&net.underlay.namespace, &net.a.underlay_device);
    let mut other = RawSocket::open(&net.underlay.namespace, &net.b.underlay_device);
    let macs = [([2, 0, 0, 0, 1, 2], [2, 0, 0, 0, 1, 1]), ([2, 0, 0, 0, 1, 1], [2, 0, 0, 0, 1, 2])];
    let tunnelled = |which: usize, number: u16, inner: u8, outer: u8| {
        let (from, to, ends) = match which {
            0 => (&net.b1, &net.a1, (net.b.address, net.a.address)),
            _ => (&net.a1, &net.b1, (net.a.address, net.b.address)),
        };
        let inside = packet(from, to, number, (46 << 2 | inner, 9, true));
        let packet = frames::tunnelled(macs[which], ends, 100, &inside);
        frames::with_ipv4(&packet, 14, |header| header.ecn = IpEcn::try_new(outer).expect("two bits"))
    };
    for inner in 0..4 {
        for outer in 0..4 {
            let number = u16::from(inner * 4 + outer);
            socket.send(&tunnelled(0, number, inner, outer));
            other.send(&tunnelled(1, number, inner, outer));
        }
    }
    wait_until("what met congestion and does not speak ECN is counted", SOON, || {
        near.drops("IP_TUNNEL_ECN") == 1
    });
    let received = captures.map(|capture| {
        capture.wait_for("udp dst portrange 20000-20015", 15);
        let mut lines = capture
            .stop()
            .decoded("!icmp && udp.dstport >= 20000", &["udp.dstport", "ip.dsfield", "ip.checksum.status"]);
        lines.sort_unstable();
        lines
    });
    // RFC 6040 figure 4, rows by the inner field, columns by the outer one; the fourth of the first row is dropped.
    let table = [[0, 0, 0, 9], [1, 1, 1, 3], [2, 1, 2, 3], [3, 3, 3, 3]];
    let cells = table.iter().flatten().zip(20_000..).filter(|(field, _)| **field != 9);
    let expected: Vec<String> =
        cells.map(|(field, port)| format!("{port}\t0x{:02x}\t1", 46 << 2 | field)).collect();
    assert_eq!(received[0], expected, "vtepd");
    assert_eq!(received[1], expected, "Linux");
}
