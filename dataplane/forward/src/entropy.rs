//! The hash of a frame's flow, and the UDP source port it becomes.
//!
//! Computed once per frame. It keeps a flow on one underlay path and in one queue, and spreads flows over all of them
//! (RFC 7348 section 5, RFC 6438). It is not keyed: the ports a workload chooses are its own business.

use std::net::{Ipv4Addr, Ipv6Addr};

use wire::ip::Protocol;

/// First port of the dynamic range (RFC 6335 section 6), from which source ports are taken.
pub const FIRST_SOURCE_PORT: u16 = 49_152;
/// Ports in that range.
const SOURCE_PORTS: u32 = 1 << 14;

/// Digits of pi: odd multipliers without a pattern.
const KEYS: [u64; 3] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1];

/// Folds the 128-bit product of two words.
#[inline]
const fn fold(left: u64, right: u64) -> u64 {
    let product = left as u128 * right as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Upper half of the last product: its bits depend on all bits of the words.
#[inline]
const fn finish(hash: u64) -> u32 {
    (fold(hash, KEYS[2]) >> 32) as u32
}

/// The flow of an IPv4 packet. `ports` are source and destination port, or 0: of a fragment, and where there are none.
#[inline]
#[must_use]
pub const fn of_ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol, ports: u32) -> u32 {
    let addresses = (source.to_bits() as u64) << 32 | destination.to_bits() as u64;
    let rest = (ports as u64) << 8 | protocol.0 as u64;
    finish(fold(addresses ^ KEYS[0], rest ^ KEYS[1]))
}

/// The flow of an IPv6 packet; see [`of_ipv4`].
#[inline]
#[must_use]
pub const fn of_ipv6(source: Ipv6Addr, destination: Ipv6Addr, protocol: Protocol, ports: u32) -> u32 {
    let (source, destination) = (source.to_bits(), destination.to_bits());
    let source = fold(source as u64 ^ KEYS[0], (source >> 64) as u64 ^ KEYS[1]);
    let destination = fold(destination as u64 ^ KEYS[1], (destination >> 64) as u64 ^ KEYS[2]);
    let rest = (ports as u64) << 8 | protocol.0 as u64;
    finish(fold(source ^ rest, destination.rotate_left(32) ^ KEYS[0]))
}

/// The flow of a frame that carries no IP, of its Ethernet addresses as words.
#[inline]
#[must_use]
pub const fn of_addresses(source: u64, destination: u64) -> u32 {
    finish(fold(source ^ KEYS[0], destination ^ KEYS[1]))
}

/// The outer source port of a flow, 49152 to 65535.
#[inline]
#[must_use]
pub const fn source_port(flow: u32) -> u16 {
    FIRST_SOURCE_PORT + (flow / (u32::MAX / SOURCE_PORTS + 1)) as u16
}

/// A range of outer source ports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SourcePorts {
    first: u16,
    last: u16,
}

impl SourcePorts {
    /// The dynamic range, which [`source_port`] takes them from.
    pub const DYNAMIC: Self = Self { first: FIRST_SOURCE_PORT, last: u16::MAX };

    /// From `first` to `last`, both included; `None` if there are none, or if 0 is among them.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || first > last { None } else { Some(Self { first, last }) }
    }

    /// The least.
    #[must_use]
    pub const fn first(&self) -> u16 {
        self.first
    }

    /// The greatest.
    #[must_use]
    pub const fn last(&self) -> u16 {
        self.last
    }

    /// The port of a flow.
    #[inline]
    #[must_use]
    pub const fn port(&self, flow: u32) -> u16 {
        let count = self.last as u64 - self.first as u64 + 1;
        self.first + ((flow as u64 * count) >> 32) as u16
    }
}

impl Default for SourcePorts {
    fn default() -> Self {
        Self::DYNAMIC
    }
}

/// The IPv6 flow label of a flow, below 2^20 and never 0, which would say that there is none (RFC 6437, RFC 6438).
#[inline]
#[must_use]
pub const fn flow_label(flow: u32) -> u32 {
    // The lower bits: the source port has the upper ones.
    match flow & 0x000f_ffff {
        0 => 1,
        label => label,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    #[test]
    fn source_ports_span_the_dynamic_range() {
        assert_eq!(source_port(0), 49_152);
        assert_eq!(source_port(u32::MAX), 65_535);
    }

    #[test]
    fn a_range_of_source_ports_is_kept_to_and_used_up() {
        assert_eq!((SourcePorts::new(0, 9), SourcePorts::new(9, 8)), (None, None));
        let range = SourcePorts::new(1000, 1009).unwrap();
        let ports: Vec<u16> = (0..10_u32).map(|tenth| range.port(u32::MAX / 10 * tenth + 9)).collect();
        assert_eq!(ports, (1000..=1009).collect::<Vec<u16>>());
        assert_eq!((range.port(0), range.port(u32::MAX)), (1000, 1009));
        let one = SourcePorts::new(7, 7).unwrap();
        assert_eq!((one.port(0), one.port(u32::MAX)), (7, 7));
        for flow in [0, 1, 1 << 18, 0x1234_5678, u32::MAX] {
            assert_eq!(SourcePorts::DYNAMIC.port(flow), source_port(flow));
        }
    }

    #[test]
    fn flow_labels_are_never_zero() {
        assert_eq!([0, 1, 0xfff0_0000, u32::MAX].map(flow_label), [1, 1, 1, 0xf_ffff]);
    }

    /// Neighbouring port numbers, addresses and MACs are the common case; they must not share buckets more than
    /// chance would have it.
    #[test]
    fn neighbouring_flows_spread_evenly() {
        const BUCKETS: usize = 64;
        const FLOWS: u32 = 64 * 256;
        let spread = |flow: &dyn Fn(u32) -> u32| {
            let mut buckets = [0_u32; BUCKETS];
            for number in 0..FLOWS {
                buckets[usize::from(source_port(flow(number)) - FIRST_SOURCE_PORT) * BUCKETS / 16_384] += 1;
            }
            // 256 expected in each, standard deviation 16.
            assert!(buckets.iter().all(|count| (176..=336).contains(count)), "{buckets:?}");
        };
        spread(&|number| of_ipv4(A, B, Protocol::TCP, number));
        spread(&|number| of_ipv4(A, B, Protocol::TCP, number << 16 | 80));
        spread(&|number| of_ipv4(Ipv4Addr::from_bits(A.to_bits() + number), B, Protocol::UDP, 0));
        spread(&|number| of_ipv4(A, Ipv4Addr::from_bits(A.to_bits() + number), Protocol::UDP, 0));
        let v6 = |number: u32| Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(number));
        spread(&|number| of_ipv6(v6(1), v6(2), Protocol::UDP, number));
        spread(&|number| of_ipv6(v6(number), v6(2), Protocol::UDP, 0));
        spread(&|number| of_ipv6(v6(1), v6(number), Protocol::UDP, 0));
        let mac = |number: u32| 0x0200_0000_0000 | u64::from(number);
        spread(&|number| of_addresses(mac(number), mac(7)));
        spread(&|number| of_addresses(mac(7), mac(number)));
    }
}
