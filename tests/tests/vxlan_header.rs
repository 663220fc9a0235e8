//! The bits, ports and checksums of VXLAN packets, with Linux's vxlan as the far side and as the oracle: both ends get the
//! same packets, made by hand, and what they deliver of them is compared.
//!
//! ```text
//!   a1 ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b1
//! ```

use std::collections::BTreeSet;

use vtep_tests::filter::Tunnel;
use vtep_tests::frames::{self, RawSocket, octets};
use vtep_tests::traffic::Transfer;
use vtep_tests::{Capture, Daemon, LinuxVtep, Pair, Segment, Variant};

in_every_variant!(each_reserved_bit_alone_is_refused_as_linux_refuses_it, several_ports_are_taken_at_once);

/// What every VXLAN header has set.
const IDENTIFIER_FLAG: u64 = 1 << 59;
/// What is no reserved bit: the I flag and the VNI.
const DEFINED: u64 = IDENTIFIER_FLAG | 0xffff_ff00;
/// Bits that Linux lets pass with `gbp`: G, and all of the 24 reserved bits before the VNI.
const LINUX_GROUP_POLICY: u64 = 0x80ff_ffff_0000_0000;
/// Ports inside packets are these and those from here on.
const FIRST: u16 = 20_000;
/// The port inside the packet after which no more comes.
const LAST: u16 = 29_999;

fn reserved() -> impl Iterator<Item = u16> {
    (0..64).filter(|bit| DEFINED >> bit & 1 == 0)
}

/// Both nodes, to which packets are sent as if each came from the other.
struct Ends<'n> {
    net: &'n Pair,
    /// Ethernet addresses of their uplinks.
    macs: [[u8; 6]; 2],
    sockets: [RawSocket; 2],
    received: [Capture; 2],
}

impl<'n> Ends<'n> {
    fn of(net: &'n Pair) -> Self {
        let nodes = [&net.a, &net.b];
        let macs = nodes.map(|node| octets(&node.namespace.mac("up0")));
        let sockets = nodes.map(|node| RawSocket::open(&net.underlay.namespace, &node.underlay_device));
        Self { net, macs, sockets, received: [&net.a1, &net.b1].map(Capture::received) }
    }

    /// Sends a packet to each node around a datagram to the workload there, whose port is `number` above the first. `change`
    /// may do anything to the packets: UDP begins behind 34 bytes, VXLAN behind 42, the frame behind 50.
    fn send(&mut self, number: u16, change: impl Fn(&mut Vec<u8>)) {
        self.send_to_port(FIRST + number, change);
    }

    fn send_to_port(&mut self, port: u16, change: impl Fn(&mut Vec<u8>)) {
        let Pair { a, b, a1, b1, .. } = self.net;
        let [near, far] = self.macs;
        let ways = [((far, near), (b, a), (b1, a1)), ((near, far), (a, b), (a1, b1))];
        for ((outer, ends, workloads), socket) in ways.into_iter().zip(&mut self.sockets) {
            let (sender, receiver) = workloads;
            let macs = (octets(&sender.mac), octets(&receiver.mac));
            let inner = frames::udp(macs, (sender.address, receiver.address), (40_000, port), b"a payload");
            let mut packet = frames::tunnelled(outer, (ends.0.address, ends.1.address), 100, &inner);
            change(&mut packet);
            socket.send(&packet);
        }
    }

    /// The numbers of the packets that vtepd and Linux delivered.
    fn delivered(mut self) -> [BTreeSet<u16>; 2] {
        self.send_to_port(LAST, |_| ());
        self.received.map(|capture| {
            capture.wait_for(&format!("udp dst port {LAST}"), 1);
            let ports = capture.stop().decoded(&format!("!icmp && udp.dstport >= {FIRST}"), &["udp.dstport"]);
            let ports = ports.iter().map(|port| port.parse::<u16>().expect("a port"));
            let numbers: Vec<u16> = ports.filter(|port| *port != LAST).map(|port| port - FIRST).collect();
            let once = BTreeSet::from_iter(numbers.iter().copied());
            assert_eq!(once.len(), numbers.len(), "a packet came twice: {numbers:?}");
            once
        })
    }
}

/// Gives a VXLAN packet a header.
fn set_header(packet: &mut [u8], word: u64) {
    packet[42..50].copy_from_slice(&word.to_be_bytes());
}

/// The header of VNI 100, with these bits instead of none.
fn header(bits: u64) -> u64 {
    IDENTIFIER_FLAG | 100 << 8 | bits
}

fn switches<'n>(net: &'n Pair, variant: Variant, words: &str, keys: &[&str]) -> (Daemon<'n>, LinuxVtep<'n>) {
    let far = LinuxVtep::start_with(&net.b, &[net.far()], words);
    let near = keys.iter().fold(net.near(), |segment, key| segment.key(key));
    let near = Daemon::start(&net.a, variant, &[near]);
    net.a1.reaches(&net.b1);
    (near, far)
}

/// And a missing I flag. Between bad packets are good ones, so that the bad ones come through a tunnel that is known.
fn each_reserved_bit_alone_is_refused_as_linux_refuses_it(variant: Variant) {
    let net = Pair::new();
    let (near, _far) = switches(&net, variant, "", &[]);
    let mut ends = Ends::of(&net);
    let bits: Vec<u16> = reserved().collect();
    assert_eq!(bits.len(), 39);
    for bit in &bits {
        ends.send(*bit, |packet| set_header(packet, header(1 << bit)));
        ends.send(100 + bit, |_| ());
    }
    ends.send(99, |packet| set_header(packet, header(0) ^ IDENTIFIER_FLAG));
    let good: BTreeSet<u16> = bits.iter().map(|bit| 100 + bit).collect();
    assert_eq!(ends.delivered(), [good.clone(), good], "vtepd and Linux");
    assert_eq!(near.drops("VXLAN_INVALID_HDR"), 40);
    near.wait_for_refusal("VXLAN_INVALID_HDR", "up0");
}

/// Sends every reserved bit alone.
fn send_each(ends: &mut Ends<'_>) {
    reserved().for_each(|bit| ends.send(bit, |packet| set_header(packet, header(1 << bit))));
}

/// The reserved bits that a mask has.
fn of_mask(mask: u64) -> BTreeSet<u16> {
    reserved().filter(|bit| mask >> bit & 1 != 0).collect()
}

/// Those of the group policy extension, which Linux lets pass with `gbp`: alone, and all of them together.
#[test]
fn chosen_reserved_bits_pass_as_with_linux() {
    let net = Pair::new();
    let key = format!("reserved_bits = \"{LINUX_GROUP_POLICY:#018x}\"");
    let (near, _far) = switches(&net, Variant::ONE_WORKER, "gbp", &[&key]);
    assert_eq!(near.list("vni show 100")[0]["reserved_bits"], format!("{LINUX_GROUP_POLICY:#018x}"));
    let mut ends = Ends::of(&net);
    send_each(&mut ends);
    ends.send(99, |packet| set_header(packet, header(LINUX_GROUP_POLICY)));
    ends.send(98, |packet| set_header(packet, header(LINUX_GROUP_POLICY | 1)));
    let mut expected = of_mask(LINUX_GROUP_POLICY);
    assert_eq!(expected.len(), 25);
    expected.insert(99);
    assert_eq!(ends.delivered(), [expected.clone(), expected], "vtepd and Linux");
    assert_eq!(near.drops("VXLAN_INVALID_HDR"), 39 - 25 + 1);
}

/// From the moment that the mask is changed.
#[test]
fn the_mask_of_reserved_bits_is_changed_live() {
    let net = Pair::new();
    let (near, _far) = switches(&net, Variant::ONE_WORKER, "", &[]);
    let mut drops = 0;
    for mask in [0x4000_0000_0000_0001, !DEFINED, 0] {
        near.change(&format!("vni replace 100 local 192.0.2.1 reserved-bits {mask:#x}"));
        let mut ends = Ends::of(&net);
        send_each(&mut ends);
        let [delivered, _] = ends.delivered();
        assert_eq!(delivered, of_mask(mask), "{mask:#x}");
        drops += 39 - delivered.len() as u64;
        assert_eq!(near.drops("VXLAN_INVALID_HDR"), drops, "{mask:#x}");
    }
}

/// A Linux peer at the old port and one at the registered one, both in one VNI, and packets to both ports from one peer, as
/// while it moves from one port to the other.
fn several_ports_are_taken_at_once(variant: Variant) {
    let net = Pair::new();
    let old = net.underlay.node(3);
    let c1 = old.workload("c1", "10.0.0.3");
    let _far = LinuxVtep::start(&net.b, &[net.far()]);
    let behind_old = Segment::vxlan(100).access(&c1).remote(&net.a);
    let _old = LinuxVtep::start_with(&old, &[behind_old], "dstport 8472");
    let config = variant.config(&net.a, &[net.near().key("udp_port = [4789, 8472]")]);
    let remote = format!("[[remote]]\nvni = 100\naddress = \"{}\"\nudp_port = 8472\n", old.address);
    let _near = Daemon::ready(&net.a, &(config + &remote));
    for workload in [&net.b1, &c1] {
        net.a1.reaches(workload);
        net.a1.ping(workload.address, 10);
        Transfer::SMALL.run(&net.a1, workload);
        Transfer::SMALL.run(workload, &net.a1);
    }

    let mut ends = Ends::of(&net);
    for (number, port) in [4789_u16, 8472, 8473, 4788].into_iter().enumerate() {
        let number = u16::try_from(number).expect("a small number");
        ends.send(number, |packet| packet[36..38].copy_from_slice(&port.to_be_bytes()));
    }
    let [ours, of_linux] = ends.delivered();
    assert_eq!((ours, of_linux), ([0, 1].into(), [0].into()));
    // Packets leave for the first of the ports, or for that of the remote.
    let wire = net.wire();
    net.a1.ping(net.b1.address, 5);
    net.a1.ping(c1.address, 5);
    let to =
        |port: u16, to: &str| format!("udp dst port {port} and src host {} and dst host {to}", net.a.address);
    let sent = |port, host| wire.count(&to(port, host));
    wire.wait_for(&to(4789, "192.0.2.2"), 5);
    wire.wait_for(&to(8472, "192.0.2.3"), 5);
    assert_eq!([sent(8472, "192.0.2.2"), sent(4789, "192.0.2.3")], [0, 0]);
}

/// 256 flows leave from ports of the range alone, and each from one of its own choice; live, from one port.
#[test]
fn source_ports_are_of_the_range() {
    let net = Pair::new();
    let (near, _far) = switches(&net, Variant::ONE_WORKER, "", &["srcport = { min = 50000, max = 50063 }"]);
    let macs = (octets(&net.a1.mac), octets(&net.b1.mac));
    let mut socket = RawSocket::of(&net.a1);
    let mut ports_of_flows = |first: u16| {
        let wire = net.wire();
        let flows = (0..256_u16).chain(0..256);
        for (sent, flow) in (1..).zip(flows) {
            let ports = (first + flow, FIRST);
            socket.send(&frames::udp(macs, (net.a1.address, net.b1.address), ports, b"x"));
            // No more at a time than a receive ring holds.
            if sent % 64 == 0 {
                wire.wait_for(&Tunnel::vxlan(100).udp(FIRST), sent);
            }
        }
        let lines = wire.stop().decoded(&format!("!icmp && udp.dstport == {FIRST}"), &["udp.srcport"]);
        assert_eq!(lines.len(), 512);
        let flows: BTreeSet<String> = lines.into_iter().collect();
        assert_eq!(flows.len(), 256, "a flow has several ports");
        let outer =
            |flow: &String| flow.split(',').next().and_then(|port| port.parse().ok()).expect("a port");
        flows.iter().map(outer).collect::<BTreeSet<u16>>()
    };
    let ports = ports_of_flows(30_000);
    assert!(ports.iter().all(|port| (50_000..=50_063).contains(port)), "{ports:?}");
    // All but one in fifty of 64 ports are expected to be among 256 at random.
    assert!(ports.len() > 48, "{ports:?}");
    near.change("vni replace 100 local 192.0.2.1 srcport 777-777");
    assert_eq!(ports_of_flows(31_000), [777].into());
}

/// One that is there is verified, over IPv4 as well, and none is needed; Linux judges alike.
#[test]
fn a_checksum_that_is_there_is_verified() {
    let net = Pair::new();
    let (near, _far) = switches(&net, Variant::ONE_WORKER, "udpcsum", &["udp_checksum = true"]);
    let mut ends = Ends::of(&net);
    let fill = |packet: &mut Vec<u8>| {
        let (header, payload) = etherparse::Ipv4Header::from_slice(&packet[14..]).expect("an IPv4 header");
        let (udp, payload) = etherparse::UdpHeader::from_slice(payload).expect("a UDP header");
        let sum = udp.calc_checksum_ipv4(&header, payload).expect("a datagram that fits");
        packet[40..42].copy_from_slice(&sum.to_be_bytes());
    };
    ends.send(0, |_| ());
    ends.send(1, fill);
    let mut bad = 0;
    // The sum itself, the source port, the VNI's header, the frame's addresses and its last byte.
    for (number, at) in [(2, 40), (3, 41), (4, 34), (5, 43), (6, 50), (7, 61), (8, usize::MAX)] {
        ends.send(number, |packet| {
            fill(packet);
            let at = at.min(packet.len() - 1);
            packet[at] ^= 0x10;
        });
        bad += 1;
    }
    assert_eq!(ends.delivered(), [[0, 1].into(), [0, 1].into()], "vtepd and Linux");
    assert_eq!(near.drops("UDP_CSUM"), bad);
    // What vtepd sends is right, as Linux and tshark see it.
    let wire = net.wire();
    Transfer::SMALL.run(&net.a1, &net.b1);
    Transfer::SMALL.run(&net.b1, &net.a1);
    let sums = wire.stop().decoded("vxlan && ip.src == 192.0.2.1", &["udp.checksum.status", "udp.checksum"]);
    assert!(sums.len() > 100, "{} packets", sums.len());
    assert!(sums.iter().all(|sum| sum.starts_with('1') && !sum.contains("0x0000")), "{:?}", sums.first());
}
