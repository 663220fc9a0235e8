//! ICMP errors that an attacker made up: none of them narrows the way to a peer. The right one does, which shows that the
//! others were refused for what they say.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{Icmpv4Type, Icmpv6Type, PacketBuilder, icmpv4};
use serde_json::Value;
use vtep_tests::frames::{self, RawSocket};
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, Segment, Underlay, Variant, wait_until};

const ATTACKER: [u8; 6] = [2, 0, 0, 0, 9, 9];
const NODE_1: [u8; 6] = [2, 0, 0, 0, 1, 1];
const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// "Fragmentation needed" about a packet.
fn too_big(mtu: u16, packet: &[u8]) -> Vec<u8> {
    let needed = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu };
    let builder = PacketBuilder::ethernet2(ATTACKER, NODE_1)
        .ipv4([192, 0, 2, 99], LOCAL.octets(), 64)
        .icmpv4(Icmpv4Type::DestinationUnreachable(needed));
    let mut frame = Vec::new();
    builder.write(&mut frame, packet).expect("a message that fits");
    frame
}

/// The beginning of a VXLAN packet of 1550 bytes, without Ethernet header.
fn quoted(ends: (Ipv4Addr, Ipv4Addr), vni: u32, length: usize) -> Vec<u8> {
    frames::tunnelled((ATTACKER, NODE_1), ends, vni, &[0; 1514])[14..14 + length].to_vec()
}

/// The same with other UDP ports, by which the checksum of an outer UDP header would be wrong if there were one.
fn with_ports(source: u16, destination: u16) -> Vec<u8> {
    let mut packet = quoted((LOCAL, PEER), 100, 400);
    packet[20..22].copy_from_slice(&source.to_be_bytes());
    packet[22..24].copy_from_slice(&destination.to_be_bytes());
    packet
}

/// "Packet too big" about a VXLAN packet over IPv6.
fn too_big6(mtu: u32, vni: u32) -> Vec<u8> {
    let (local, peer) =
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));
    let mut packet = Vec::new();
    PacketBuilder::ipv6(local.octets(), peer.octets(), 63)
        .udp(50_000, 4789)
        .write(&mut packet, &frames::vxlan(vni, &[0; 1400]))
        .expect("a packet that fits");
    let builder = PacketBuilder::ethernet2(ATTACKER, NODE_1)
        .ipv6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99).octets(), local.octets(), 64)
        .icmpv6(Icmpv6Type::PacketTooBig { mtu });
    let mut frame = Vec::new();
    builder.write(&mut frame, &packet[..1000]).expect("a message that fits");
    frame
}

fn counts(daemon: &Daemon<'_>) -> [u64; 5] {
    let stats = daemon.show("stats show");
    let count = |name: &str| stats["path_mtu"][name].as_u64().unwrap_or_else(|| panic!("{stats}"));
    ["accepted", "unreadable", "foreign", "implausible", "below_floor"].map(count)
}

fn path_mtus(daemon: &Daemon<'_>) -> Vec<(Value, Value)> {
    let remotes = daemon.list("remote show vni 100");
    remotes
        .iter()
        .map(|remote| &remote["path_mtu"])
        .map(|path| (path["mtu"].clone(), path["source"].clone()))
        .collect()
}

#[test]
fn forged_messages_change_nothing() {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node_with_ipv6(1), underlay.node_with_ipv6(2));
    let a1 = a.workload("a1", "10.0.0.1");
    let segment = Segment::vxlan(100).access(&a1).remote(&b).remote6(&b);
    let near = Daemon::start(&a, Variant::ONE_WORKER, &[segment]);
    let mut attacker = RawSocket::open(&underlay.namespace, "br0");
    let link = (Value::from(1600), Value::from("link"));
    assert_eq!(path_mtus(&near), [link.clone(), link.clone()]);

    let good = quoted((LOCAL, PEER), 100, 400);
    for forgery in [
        too_big(1300, &quoted((LOCAL, PEER), 101, 400)),
        too_big(1300, &quoted((LOCAL, Ipv4Addr::new(192, 0, 2, 3)), 100, 400)),
        too_big(1300, &quoted((Ipv4Addr::new(192, 0, 2, 3), PEER), 100, 400)),
        too_big(1300, &quoted((PEER, LOCAL), 100, 400)),
        too_big(1300, &with_ports(50_000, 4790)),
        too_big(1300, &with_ports(4789, 4789)),
        too_big6(1300, 101),
    ] {
        attacker.send(&forgery);
    }
    wait_until("what is of no tunnel is refused", SOON, || counts(&near) == [0, 0, 7, 0, 0]);
    // Without the VXLAN header, as routers that quote 8 bytes of payload send it, nobody can tell whose it was.
    attacker.send(&too_big(1300, &good[..28]));
    attacker.send(&too_big(1550, &good));
    attacker.send(&too_big(575, &good));
    attacker.send(&too_big(0, &good));
    attacker.send(&too_big6(1279, 100));
    wait_until("the others are refused, too", SOON, || counts(&near) == [0, 1, 7, 1, 3]);
    // The kernel does not hand over a message with a wrong checksum, or this does not take it.
    let mut damaged = too_big(1300, &good);
    damaged[60] ^= 1;
    attacker.send(&damaged);
    assert_eq!(path_mtus(&near), [link.clone(), link.clone()]);
    assert!(near.log().contains("a message about a path MTU is not believed"), "{}", near.log());

    attacker.send(&too_big(1300, &good));
    attacker.send(&too_big6(1400, 100));
    let router = Value::from("router");
    wait_until("the right ones are believed", SOON, || {
        path_mtus(&near) == [(1300.into(), router.clone()), (1400.into(), router.clone())]
    });
    assert_eq!(counts(&near), [2, 1, 7, 1, 3]);
    // A wider way is not told by anybody.
    attacker.send(&too_big(1500, &good));
    wait_until("it is taken note of", SOON, || counts(&near)[0] == 3);
    assert_eq!(path_mtus(&near)[0].0, 1300);
}
