//! What the XDP program takes from uplinks, and the three maps that tell it so.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aya::maps::{Array, HashMap, MapData};

use crate::steering::map_failure;
use crate::{Error, MAX_LOCAL_ADDRESSES, MAX_UDP_PORTS};

/// Peers that the map `peers` holds twice: those of two sets, for a moment.
const MAX_PEERS: usize = 65_536;
/// IPv4 addresses among them that the program has at hand (`FIRST_ADDRESSES`).
const FIRST_ADDRESSES: usize = 8;

/// What the program takes from uplinks. One set for all of them.
///
/// Taken are untagged, unfragmented IPv4 packets (with or without options) and IPv6 packets (without extension headers).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UplinkRules {
    /// Our underlay addresses, at most [`crate::MAX_LOCAL_ADDRESSES`]: only packets to one of them are taken.
    pub addresses: Vec<IpAddr>,
    /// UDP destination ports that are VXLAN, at most [`crate::MAX_UDP_PORTS`].
    pub udp_ports: Vec<u16>,
    /// Whether GRE (IP protocol 47) is taken.
    pub gre: bool,
    /// Outer source addresses that packets are taken from, at most 65,536; packets for us from elsewhere are dropped
    /// and counted. `None` takes them from everybody.
    pub peers: Option<Vec<IpAddr>>,
}

/// `struct rules`.
type EncodedRules = [u8; 88];

/// A set of addresses: a map, and the IPv4 addresses that need no look into it.
pub(crate) struct AddressSet {
    name: &'static str,
    map: HashMap<MapData, [u8; 16], u32>,
    current: BTreeSet<IpAddr>,
    /// In network byte order.
    first: [u32; FIRST_ADDRESSES],
}

impl AddressSet {
    pub(crate) const fn new(name: &'static str, map: HashMap<MapData, [u8; 16], u32>) -> Self {
        Self { name, map, current: BTreeSet::new(), first: [0; FIRST_ADDRESSES] }
    }

    /// Puts in what is wanted.
    fn add(&mut self, wanted: &[IpAddr]) -> Result<(), Error> {
        for address in wanted.iter().filter(|address| !self.current.contains(address)) {
            self.map.insert(mapped(*address), 1, 0).map_err(|error| map_failure(self.name, &error))?;
        }
        self.current.extend(wanted);
        self.first = keep_places(&self.first, &first_addresses(wanted)).unwrap_or_default();
        Ok(())
    }

    /// Takes out all else.
    fn keep_only(&mut self, wanted: &[IpAddr]) -> Result<(), Error> {
        let wanted: BTreeSet<IpAddr> = wanted.iter().copied().collect();
        for address in self.current.difference(&wanted) {
            self.map.remove(&mapped(*address)).map_err(|error| map_failure(self.name, &error))?;
        }
        self.current = wanted;
        Ok(())
    }
}

/// The maps `uplink_rules`, `addresses` and `peers`, and what is in them.
pub(crate) struct RuleMaps {
    rules: Array<MapData, EncodedRules>,
    addresses: AddressSet,
    peers: AddressSet,
    udp_ports: [u16; MAX_UDP_PORTS],
}

impl RuleMaps {
    pub(crate) const fn new(
        rules: Array<MapData, EncodedRules>,
        addresses: AddressSet,
        peers: AddressSet,
    ) -> Self {
        Self { rules, addresses, peers, udp_ports: [0; MAX_UDP_PORTS] }
    }

    /// Replaces the rules while the program runs. New addresses come first and old ones go last, so that no packet that
    /// is ours before and after is missed.
    pub(crate) fn set(&mut self, rules: &UplinkRules) -> Result<(), Error> {
        if rules.addresses.len() > MAX_LOCAL_ADDRESSES {
            return Err(Error::Configuration(format!("at most {MAX_LOCAL_ADDRESSES} local addresses")));
        }
        let peers = rules.peers.as_deref().unwrap_or_default();
        if peers.len() > MAX_PEERS {
            return Err(Error::Configuration(format!("at most {MAX_PEERS} peers")));
        }
        let udp_ports = keep_places(&self.udp_ports, &rules.udp_ports).ok_or_else(|| {
            Error::Configuration(format!("at most {MAX_UDP_PORTS} UDP ports for VXLAN, none of them 0"))
        })?;
        self.addresses.add(&rules.addresses)?;
        self.peers.add(peers)?;
        let value =
            encode(udp_ports, rules.gre, rules.peers.is_none(), self.addresses.first, self.peers.first);
        self.rules.set(0, value, 0).map_err(|error| map_failure("uplink_rules", &error))?;
        self.udp_ports = udp_ports;
        self.addresses.keep_only(&rules.addresses)?;
        self.peers.keep_only(peers)
    }
}

/// An address as the map has it.
fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The IPv4 addresses that the program gets at hand, in network byte order.
fn first_addresses(addresses: &[IpAddr]) -> Vec<u32> {
    let words = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) if !address.is_unspecified() => Some(u32::from_ne_bytes(address.octets())),
        _ => None,
    });
    words.take(FIRST_ADDRESSES).collect()
}

/// The rules as the program reads them.
fn encode(
    udp_ports: [u16; MAX_UDP_PORTS],
    gre: bool,
    any_peer: bool,
    first: [u32; FIRST_ADDRESSES],
    first_peers: [u32; FIRST_ADDRESSES],
) -> EncodedRules {
    let mut value = [0; size_of::<EncodedRules>()];
    for (bytes, port) in value[..16].chunks_exact_mut(2).zip(udp_ports) {
        bytes.copy_from_slice(&port.to_ne_bytes());
    }
    value[16..20].copy_from_slice(&u32::from(gre).to_ne_bytes());
    value[20..24].copy_from_slice(&u32::from(any_peer).to_ne_bytes());
    for (bytes, address) in value[24..].chunks_exact_mut(4).zip(first.into_iter().chain(first_peers)) {
        bytes.copy_from_slice(&address.to_ne_bytes());
    }
    value
}

/// The new set, with members that stay where they were: the program reads the array while it is written, and must find
/// them at any moment. `None` when there are too many, or a 0.
fn keep_places<T: Copy + PartialEq + Default, const N: usize>(
    before: &[T; N],
    wanted: &[T],
) -> Option<[T; N]> {
    let absent = T::default();
    let mut after = before.map(|member| if wanted.contains(&member) { member } else { absent });
    for member in wanted {
        if *member == absent {
            return None;
        }
        if !after.contains(member) {
            *after.iter_mut().find(|place| **place == absent)? = *member;
        }
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_stay_keep_their_places() {
        let before = [1, 2, 3, 0, 0, 0, 0, 0];
        assert_eq!(keep_places(&before, &[3, 9, 1]), Some([1, 9, 3, 0, 0, 0, 0, 0]));
        assert_eq!(keep_places(&before, &[]), Some([0; 8]));
        assert_eq!(keep_places(&before, &[9, 8, 7, 6, 5, 4, 3, 2, 1]), None);
        assert_eq!(keep_places(&before, &[0]), None);
        assert_eq!(keep_places(&[0; 8], &[5, 5]), Some([5, 0, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn rules_are_laid_out_as_the_program_reads_them() {
        let addresses = ["2001:db8::1", "0.0.0.0", "192.0.2.1"].map(|text| text.parse().unwrap());
        let first = keep_places(&[0; 8], &first_addresses(&addresses)).unwrap();
        let peers = keep_places(&[0; 8], &first_addresses(&["192.0.2.9".parse().unwrap()])).unwrap();
        let value = encode([4789, 0, 0, 0, 0, 0, 0, 8472], true, false, first, peers);
        assert_eq!(value[..2], 4789u16.to_ne_bytes());
        assert_eq!(value[14..16], 8472u16.to_ne_bytes());
        assert_eq!(value[16..20], 1u32.to_ne_bytes());
        assert_eq!(value[20..24], [0; 4]);
        assert_eq!(value[24..28], [192, 0, 2, 1]);
        assert_eq!(value[28..56], [0; 28]);
        assert_eq!(value[56..60], [192, 0, 2, 9]);
        assert_eq!(value[60..], [0; 28]);
        assert_eq!(encode([0; 8], false, true, [0; 8], [0; 8])[20..24], 1u32.to_ne_bytes());
    }

    #[test]
    fn ipv4_addresses_are_mapped_into_ipv6() {
        let expected = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1];
        assert_eq!(mapped("192.0.2.1".parse().unwrap()), expected);
    }
}
