//! The headers that the program writes before each frame, and where in them it must patch.

use std::net::IpAddr;

use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, UdpHeader};
use wire::Mac;

use super::Error;
use super::traffic::{Encapsulation, Outer, Traffic};

/// Room for headers (`HEADERS`).
pub(super) const ROOM: usize = 128;
/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
const TTL: u8 = 64;

/// `enum encapsulation`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Plain = 0,
    Vxlan = 1,
    Gre = 2,
}

/// A template of all headers. What varies between frames is the program's to fill in: lengths, checksums, ports and the
/// addresses of hosts.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) bytes: [u8; ROOM],
    pub(super) len: usize,
    /// Where the inner Ethernet header is.
    pub(super) inner: usize,
    pub(super) kind: Kind,
    pub(super) outer_ipv6: bool,
    /// Sums of the words of the IPv4 headers that do not vary.
    pub(super) outer_sum: u32,
    pub(super) inner_sum: u32,
}

impl Headers {
    pub(super) fn new(traffic: &Traffic) -> Result<Self, Error> {
        let (mut all, kind) = match traffic.encapsulation {
            Encapsulation::Plain => (Vec::new(), Kind::Plain),
            Encapsulation::Vxlan { outer, vni, port } => (vxlan(&outer, vni.value(), port)?, Kind::Vxlan),
            Encapsulation::Gre { outer, key } => (gre(&outer, key)?, Kind::Gre),
        };
        let inner = all.len();
        let outer_ipv6 = inner > 0 && all[ETHERNET] >> 4 == 6;
        let outer_sum =
            if inner == 0 || outer_ipv6 { 0 } else { constant_sum(&all[ETHERNET..ETHERNET + 20], true) };
        let (source, destination) = (traffic.sources.first_mac, traffic.destinations.first_mac);
        all.extend(ethernet(source, destination, EtherType::IPV4));
        let addresses = (traffic.sources.first_address.into(), traffic.destinations.first_address.into());
        all.extend(internet(addresses, IpNumber::UDP)?);
        all.extend(UdpHeader { source_port: 0, destination_port: 0, length: 0, checksum: 0 }.to_bytes());
        let inner_ip = inner + ETHERNET;
        let inner_sum = constant_sum(&all[inner_ip..inner_ip + 20], false);
        let mut bytes = [0; ROOM];
        bytes[..all.len()].copy_from_slice(&all);
        Ok(Self { bytes, len: all.len(), inner, kind, outer_ipv6, outer_sum, inner_sum })
    }
}

fn ethernet(source: Mac, destination: Mac, ether_type: EtherType) -> [u8; ETHERNET] {
    Ethernet2Header { source: source.0, destination: destination.0, ether_type }.to_bytes()
}

fn internet(addresses: (IpAddr, IpAddr), protocol: IpNumber) -> Result<Vec<u8>, Error> {
    match addresses {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = Ipv4Header::new(0, TTL, protocol, source.octets(), destination.octets())
                .map_err(|error| Error::Traffic(error.to_string()))?;
            Ok(header.to_bytes().to_vec())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => Ok(Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: 0,
            next_header: protocol,
            hop_limit: TTL,
            source: source.octets(),
            destination: destination.octets(),
        }
        .to_bytes()
        .to_vec()),
        _ => Err(Error::Traffic("a tunnel between addresses of two families".to_owned())),
    }
}

/// Ethernet and IP header of a tunnel.
fn underlay(outer: &Outer, protocol: IpNumber) -> Result<Vec<u8>, Error> {
    let ether_type = if outer.source.is_ipv4() { EtherType::IPV4 } else { EtherType::IPV6 };
    let mut all = ethernet(outer.source_mac, outer.destination_mac, ether_type).to_vec();
    all.extend(internet((outer.source, outer.destination), protocol)?);
    Ok(all)
}

/// RFC 7348 section 5. The UDP checksum is 0, over IPv6 by RFC 6935.
fn vxlan(outer: &Outer, vni: u32, port: u16) -> Result<Vec<u8>, Error> {
    let mut all = underlay(outer, IpNumber::UDP)?;
    all.extend(UdpHeader { source_port: 0, destination_port: port, length: 0, checksum: 0 }.to_bytes());
    all.extend([8, 0, 0, 0]);
    all.extend((vni << 8).to_be_bytes());
    Ok(all)
}

/// RFC 2784 section 2 and RFC 2890 section 2.
fn gre(outer: &Outer, key: Option<u32>) -> Result<Vec<u8>, Error> {
    const KEY_PRESENT: u8 = 0x20;
    const TRANSPARENT_ETHERNET: [u8; 2] = [0x65, 0x58];
    let mut all = underlay(outer, IpNumber::GRE)?;
    all.extend([if key.is_some() { KEY_PRESENT } else { 0 }, 0]);
    all.extend(TRANSPARENT_ETHERNET);
    all.extend(key.into_iter().flat_map(u32::to_be_bytes));
    Ok(all)
}

/// Sum of an IPv4 header's words without length and checksum, and without the addresses unless they are constant.
fn constant_sum(header: &[u8], with_addresses: bool) -> u32 {
    let varies = |word: &usize| *word == 1 || *word == 5 || (!with_addresses && *word >= 6);
    (0..10)
        .filter(|word| !varies(word))
        .map(|word| u32::from(header[2 * word]) << 8 | u32::from(header[2 * word + 1]))
        .sum()
}
