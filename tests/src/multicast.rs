//! Multicast as it looks on the wire: Ethernet addresses of groups, and messages about who listens.

use std::net::{IpAddr, Ipv4Addr};

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpNumber, PacketBuilder};

/// The Ethernet address of an IPv4 multicast group (RFC 1112 section 6.4).
#[must_use]
pub fn group_mac(group: Ipv4Addr) -> [u8; 6] {
    let [_, b, c, d] = group.octets();
    [0x01, 0x00, 0x5e, b & 0x7f, c, d]
}

/// The same of either family (RFC 2464 section 7).
#[must_use]
pub fn any_group_mac(group: IpAddr) -> [u8; 6] {
    match group {
        IpAddr::V4(group) => group_mac(group),
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        }
    }
}

/// An IGMP message of type `kind` about a group, from one address to another; hosts are to answer within so many tenths
/// of a second.
#[must_use]
pub fn igmp(
    mac: [u8; 6],
    (from, to): (Ipv4Addr, Ipv4Addr),
    kind: u8,
    tenths: u8,
    group: Ipv4Addr,
) -> Vec<u8> {
    let [a, b, c, d] = group.octets();
    let sum = Sum16BitWords::new().add_2bytes([kind, tenths]).add_4bytes([a, b, c, d]);
    let [high, low] = sum.ones_complement().to_be().to_be_bytes();
    in_ipv4(mac, (from, to), &[kind, tenths, high, low, a, b, c, d])
}

/// A question of IGMP version 3 to all hosts about all groups, to be answered within so many tenths of a second. Hosts that
/// hear it say all that they listen to, whatever others say, and always when they leave.
#[must_use]
pub fn general_query(mac: [u8; 6], from: Ipv4Addr, tenths: u8) -> Vec<u8> {
    // The robustness variable is 2, the querier's interval 125 s.
    let robustness = [2, 125];
    let sum = Sum16BitWords::new().add_2bytes([0x11, tenths]).add_2bytes(robustness);
    let [high, low] = sum.ones_complement().to_be().to_be_bytes();
    let message = [0x11, tenths, high, low, 0, 0, 0, 0, robustness[0], robustness[1], 0, 0];
    in_ipv4(mac, (from, Ipv4Addr::new(224, 0, 0, 1)), &message)
}

fn in_ipv4(mac: [u8; 6], (from, to): (Ipv4Addr, Ipv4Addr), message: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(mac, group_mac(to)).ipv4(from.octets(), to.octets(), 1);
    let mut frame = Vec::with_capacity(builder.size(message.len()));
    builder.write(&mut frame, IpNumber::IGMP, message).expect("a packet that fits");
    frame
}
