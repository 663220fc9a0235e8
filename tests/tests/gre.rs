//! GRE with all that it may have: checksums and sequence numbers with Open vSwitch as the far side; NVGRE and GRE in UDP,
//! which no other switch here speaks, between two vtepd and as tshark decodes them.
//!
//! ```text
//!   a1 ── node 1 (vtepd) ── underlay ── node 2 (OVS, userspace datapath, or vtepd) ── b1
//! ```

use std::collections::{BTreeMap, BTreeSet};

use etherparse::checksum::Sum16BitWords;
use vtep_tests::frames::{self, RawSocket, octets};
use vtep_tests::traffic::Transfer;
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Captured, Daemon, OvsVtep, Pair, Segment, Variant, wait_until};

in_every_variant!(
    ovs_sends_checksums_and_vtepd_both,
    ovs_sends_sequences_and_vtepd_both,
    nvgre_carries_the_subnet_and_the_flow_in_its_key,
    gre_in_udp_spreads_flows_by_source_ports,
);

const NVGRE: u32 = 0xab_cde;
const GRE_UDP: u32 = 4711;

/// TCP and pings both ways; gives what was on the underlay.
fn talk(net: &Pair, variant: Variant) -> Captured {
    net.a1.reaches(&net.b1);
    let transfers = || {
        for transfer in [Transfer::FULL, Transfer::SMALL] {
            transfer.run(&net.a1, &net.b1);
            transfer.run(&net.b1, &net.a1);
        }
    };
    // Where NAPI runs on the underlay the kernel joins segments, and a capture has not what was sent.
    let joined = variant.transmit == "burst";
    if joined {
        transfers();
    }
    let wire = net.wire();
    if !joined {
        transfers();
    }
    net.a1.ping(net.b1.address, 20);
    net.b1.ping(net.a1.address, 20);
    // tcpdump ends without reading what still waits for it.
    wire.wait_for("", if joined { 80 } else { 4000 });
    wire.stop()
}

/// Fields of each packet that a node sent, the outermost of each.
fn outer(captured: &Captured, from: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let lines = captured.decoded(&format!("gre && ip.src == {from}"), fields);
    assert!(lines.len() >= 40, "{} packets from {from}", lines.len());
    let first = |column: &str| column.split(',').next().unwrap_or_default().to_owned();
    lines.iter().map(|line| line.split('\t').map(first).collect()).collect()
}

/// Open vSwitch on node 2 with these options of its tunnel, vtepd on node 1 with these keys.
fn beside_ovs<'n>(net: &'n Pair, variant: Variant, options: &str, keys: &[&str]) -> (Daemon<'n>, OvsVtep) {
    OvsVtep::complete_checksums(&net.b1);
    let far = OvsVtep::start(&net.b, &[Segment::gre(33).access(&net.b1).remote(&net.a)]);
    far.configure(&format!("set interface gre33-1 {options}"));
    let near = Segment::gre(33).access(&net.a1).remote(&net.b);
    let near = keys.iter().fold(near, |segment, key| segment.key(key));
    (Daemon::start(&net.a, variant, &[near]), far)
}

fn ovs_sends_checksums_and_vtepd_both(variant: Variant) {
    exchange_with_ovs(variant, "options:csum=true", "0xa000");
}

fn ovs_sends_sequences_and_vtepd_both(variant: Variant) {
    exchange_with_ovs(variant, "options:seq=true", "0x3000");
}

/// Open vSwitch 3.1 takes both but does not send both right: it sums before it writes the sequence number, so that only the
/// first packet's checksum is good.
fn exchange_with_ovs(variant: Variant, options: &str, flags: &str) {
    let net = Pair::new();
    let (near, far) = beside_ovs(&net, variant, options, &["gre_checksum = true", "gre_sequence = true"]);
    let captured = talk(&net, variant);
    assert!(far.learned(33).contains(&(net.a1.mac.clone(), 101)), "{:?}", far.learned(33));
    assert_eq!(near.drops("GRE_CSUM"), 0);
    let fields = ["gre.flags_and_version", "gre.checksum.status", "gre.key", "gre.sequence_number"];
    for (from, flags) in [("192.0.2.1", "0xb000"), ("192.0.2.2", flags)] {
        let [has_checksum, has_sequence] =
            [0x8000, 0x1000].map(|flag| u32::from_str_radix(&flags[2..], 16).unwrap() & flag != 0);
        let mut numbers = Vec::new();
        for columns in outer(&captured, from, &fields) {
            let status = if has_checksum { "1" } else { "" };
            assert_eq!(columns[..3], [flags, status, "0x00000021"], "{from}: {columns:?}");
            numbers.push(columns[3].clone());
        }
        if has_sequence {
            assert_counted(from, &numbers, variant.workers > 1);
        }
    }
}

/// Asserts that numbers are a sequence without repetitions and gaps; in order, unless workers that share it overtake each
/// other.
fn assert_counted(from: &str, numbers: &[String], may_overtake: bool) {
    let mut numbers: Vec<u32> = numbers.iter().map(|number| number.parse().expect("a number")).collect();
    assert!(numbers.is_sorted() || may_overtake, "{from} sent out of order");
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{from} does not count: {numbers:?}");
}

/// Packets made by hand, to both ends: both refuse a wrong checksum, and take a sequence that goes backwards.
#[test]
fn a_wrong_checksum_is_refused_and_an_old_sequence_taken_as_by_ovs() {
    let net = Pair::new();
    let (near, _far) = beside_ovs(&net, Variant::ONE_WORKER, "options:csum=true", &[]);
    net.a1.reaches(&net.b1);
    let received = [&net.a1, &net.b1].map(Capture::received);
    // The underlay address of Open vSwitch is its bridge's.
    let uplinks = [octets(&net.a.namespace.mac("up0")), octets(&net.b.namespace.mac("br-phy"))];
    let ways = [(&net.b, &net.b1, &net.a, &net.a1), (&net.a, &net.a1, &net.b, &net.b1)];
    for ((from, sender, to, receiver), uplink) in ways.into_iter().zip(uplinks) {
        let macs = (octets(&sender.mac), octets(&receiver.mac));
        let outer = ([2, 0, 0, 0, 1, 9], uplink);
        let mut socket = RawSocket::open(&net.underlay.namespace, &to.underlay_device);
        for (port, sequence, damage) in [(5001, 900, 0), (5002, 901, 0x10), (5003, 3, 0), (5009, 902, 0)] {
            let inner = frames::udp(macs, (sender.address, receiver.address), (40_000, port), b"a payload");
            let mut gre =
                [&[0xb0, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 0, 0, 33][..], &u32::to_be_bytes(sequence)].concat();
            gre.extend(inner);
            let checksum = Sum16BitWords::new().add_slice(&gre).ones_complement();
            gre[4..6].copy_from_slice(&checksum.to_ne_bytes());
            *gre.last_mut().expect("a payload") ^= damage;
            socket.send(&frames::ipv4(outer, (from.address, to.address), 47, &gre));
        }
    }
    for (capture, who) in received.into_iter().zip(["vtepd", "OVS"]) {
        capture.wait_for("udp dst port 5009", 1);
        let captured = capture.stop();
        let counts = [5001, 5002, 5003].map(|port| captured.count(&format!("udp dst port {port}")));
        assert_eq!(counts, [1, 0, 1], "{who}");
    }
    wait_until("the wrong one is counted", SOON, || near.drops("GRE_CSUM") == 1);
}

/// Two vtepd with a segment of these keys.
fn two_vtepd<'n>(net: &'n Pair, variant: Variant, vni: u32, keys: &[&str]) -> [Daemon<'n>; 2] {
    let ends = [(&net.a, &net.a1, &net.b), (&net.b, &net.b1, &net.a)];
    ends.map(|(node, workload, remote)| {
        // The key `encapsulation` of the segment's own kind is written anew below.
        let segment = Segment::vxlan(vni).access(workload).remote(remote);
        let config = keys.iter().fold(segment, |segment, key| segment.key(key));
        let text = variant.config(node, &[config]).replace("encapsulation = \"vxlan\"\n", "");
        Daemon::ready(node, &text)
    })
}

/// Sends two datagrams each of 64 flows, and gives by inner source port what the outer packets said: their UDP source port,
/// if they have one, and key.
fn by_flow(net: &Pair) -> BTreeMap<String, Vec<(String, String)>> {
    let wire = net.wire();
    let received = Capture::received(&net.b1);
    let macs = (octets(&net.a1.mac), octets(&net.b1.mac));
    let mut socket = RawSocket::of(&net.a1);
    for flow in (0..64_u16).chain(0..64) {
        let ports = (30_000 + flow, 6000);
        socket.send(&frames::udp(macs, (net.a1.address, net.b1.address), ports, b"a flow"));
    }
    received.wait_for("udp dst port 6000", 128);
    let decoded = || wire.decoded("gre && udp.dstport == 6000 && !icmp", &["udp.srcport", "gre.key"]);
    wait_until("all are captured", SOON, || decoded().len() >= 128);
    let lines = decoded();
    assert_eq!(lines.len(), 128);
    let mut flows: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in &lines {
        let (ports, key) = line.split_once('\t').expect("two columns");
        let (outer, inner) = ports.split_once(',').unwrap_or(("", ports));
        flows.entry(inner.to_owned()).or_default().push((outer.to_owned(), key.to_owned()));
    }
    flows
}

/// Asserts that each of 64 flows says one thing, and gives how many different ones there are.
fn distinct(flows: &BTreeMap<String, Vec<(String, String)>>) -> usize {
    assert_eq!(flows.len(), 64);
    assert!(flows.values().all(|said| said.len() == 2 && said[0] == said[1]), "{flows:?}");
    flows.values().map(|said| &said[0]).collect::<BTreeSet<_>>().len()
}

fn nvgre_carries_the_subnet_and_the_flow_in_its_key(variant: Variant) {
    let net = Pair::new();
    let daemons = two_vtepd(&net, variant, NVGRE, &["encapsulation = \"nvgre\""]);
    assert_eq!(daemons[0].list("vni show")[0]["encap"], "nvgre");
    let captured = talk(&net, variant);
    let fields = ["gre.flags_and_version", "gre.proto", "gre.key", "ip.proto", "ip.checksum.status"];
    for from in ["192.0.2.1", "192.0.2.2"] {
        for columns in outer(&captured, from, &fields) {
            // A key, and neither checksum nor sequence (RFC 7637 section 3.2).
            assert_eq!(columns[..2], ["0x2000", "0x6558"], "{columns:?}");
            let key = u32::from_str_radix(columns[2].trim_start_matches("0x"), 16).expect("a key");
            assert_eq!(key >> 8, NVGRE, "{columns:?}");
            assert_eq!(columns[3..], ["47", "1"], "{columns:?}");
        }
    }
    let flows = by_flow(&net);
    assert!(distinct(&flows) > 40, "64 flows have few identifiers: {flows:?}");
}

fn gre_in_udp_spreads_flows_by_source_ports(variant: Variant) {
    let net = Pair::new();
    let keys = ["encapsulation = \"greudp\"", "gre_checksum = true", "gre_sequence = true"];
    let daemons = two_vtepd(&net, variant, GRE_UDP, &keys);
    assert_eq!(daemons[0].list("vni show")[0]["encap"], "greudp");
    let captured = talk(&net, variant);
    let fields = [
        "udp.dstport",
        "gre.flags_and_version",
        "gre.proto",
        "gre.key",
        "gre.checksum.status",
        "udp.checksum",
        "udp.srcport",
    ];
    for from in ["192.0.2.1", "192.0.2.2"] {
        for columns in outer(&captured, from, &fields) {
            // Over IPv4 no UDP checksum is needed (RFC 8086 section 4.1): the GRE header's covers the frame.
            assert_eq!(
                columns[..6],
                ["4754", "0xb000", "0x6558", "0x00001267", "1", "0x0000"],
                "{columns:?}"
            );
            assert!(columns[6].parse::<u16>().unwrap() >= 49_152, "{columns:?}");
        }
    }
    let flows = by_flow(&net);
    assert!(distinct(&flows) > 48, "64 flows have few source ports: {flows:?}");
}
