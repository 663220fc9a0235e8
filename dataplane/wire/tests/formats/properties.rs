//! Properties that hold for all headers and all bytes.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use wire::checksum::{Sum, update};
use wire::ethernet::EtherType;
use wire::ip::{Protocol, TrafficClass};
use wire::{Mac, Vni, arp, ethernet, gre, icmp, ipv4, ipv6, ndp, tcp, udp, vxlan};

use crate::exercise::exercise;
use crate::frames::recipe;

prop_compose! {
    fn mac()(octets in any::<[u8; 6]>()) -> Mac { Mac(octets) }
}

prop_compose! {
    fn ipv4_header()(
        class in any::<u8>(), total_length in 20..2000_u16, identification in any::<u16>(),
        (dont_fragment, more_fragments) in any::<(bool, bool)>(), fragment_offset in 0..8192_u16,
        (ttl, protocol) in any::<(u8, u8)>(), (source, destination) in any::<(Ipv4Addr, Ipv4Addr)>(),
    ) -> ipv4::Header {
        ipv4::Header {
            traffic_class: TrafficClass(class), total_length, identification, dont_fragment, more_fragments,
            fragment_offset, ttl, protocol: Protocol(protocol), source, destination,
        }
    }
}

prop_compose! {
    fn ipv6_header()(
        class in any::<u8>(), flow_label in 0..1_u32 << 20, payload_length in 0..2000_u16,
        (next_header, hop_limit) in any::<(u8, u8)>(), (source, destination) in any::<(Ipv6Addr, Ipv6Addr)>(),
    ) -> ipv6::Header {
        ipv6::Header {
            traffic_class: TrafficClass(class), flow_label, payload_length,
            next_header: Protocol(next_header), hop_limit, source, destination,
        }
    }
}

prop_compose! {
    fn tcp_header()(
        (source_port, destination_port, window, checksum, urgent_pointer) in any::<(u16, u16, u16, u16, u16)>(),
        (sequence, acknowledgment) in any::<(u32, u32)>(), flags in 0..0x1000_u16,
    ) -> tcp::Header {
        tcp::Header {
            source_port, destination_port, sequence, acknowledgment, flags: tcp::Flags(flags), window, checksum,
            urgent_pointer,
        }
    }
}

fn unicast() -> impl Strategy<Value = Ipv6Addr> {
    any::<Ipv6Addr>().prop_filter("targets are never multicast", |address| !address.is_multicast())
}

/// Writes with `emit` into 4096 bytes of noise, reads with `parse`, and compares; with one byte less than the header
/// neither works.
macro_rules! goes_both_ways {
    ($value:expr, $kind:path) => {{
        let value = $value;
        let mut bytes = [0xa5; 4096];
        let length = value.emit(&mut bytes).unwrap();
        prop_assert_eq!(<$kind>::parse(&bytes), Ok((value, length)));
        prop_assert!(bytes[length..].iter().all(|byte| *byte == 0xa5));
        for short in 0..length {
            prop_assert_eq!(value.emit(&mut bytes[..short]), Err(wire::Error::Truncated));
            prop_assert!(<$kind>::parse(&bytes[..short]).is_err());
        }
    }};
}

proptest! {
    #[test]
    fn headers_go_both_ways(
        (destination, source, ethertype) in (mac(), mac(), any::<u16>()), ipv4 in ipv4_header(), ipv6 in ipv6_header(),
        tcp in tcp_header(), (source_port, destination_port, checksum) in any::<(u16, u16, u16)>(),
        length in 8..2000_u16, (message_type, code, content) in any::<(u8, u8, [u8; 4])>(),
    ) {
        let ethertype = EtherType(ethertype);
        goes_both_ways!(ethernet::Header { destination, source, ethertype }, ethernet::Header);
        goes_both_ways!(ipv4, ipv4::Header);
        prop_assert!(ipv4::checksum_is_valid(&ipv4.to_bytes()));
        goes_both_ways!(ipv6, ipv6::Header);
        goes_both_ways!(tcp, tcp::Header);
        goes_both_ways!(udp::Header { source_port, destination_port, length, checksum }, udp::Header);
        goes_both_ways!(icmp::Header { message_type, code, checksum, content }, icmp::Header);
    }

    #[test]
    fn tunnels_and_neighbours_go_both_ways(
        vni in 0..1_u32 << 24, reserved in any::<u64>(), protocol in any::<u16>(),
        (checksum, key, sequence) in any::<(Option<u16>, Option<u32>, Option<u32>)>(), is_request in any::<bool>(),
        (sender_mac, target_mac) in (mac(), mac()), (sender_address, target_address) in any::<(Ipv4Addr, Ipv4Addr)>(),
    ) {
        let vni = Vni::new(vni).unwrap();
        goes_both_ways!(vxlan::Header { vni, reserved: reserved & vxlan::RESERVED }, vxlan::Header);
        goes_both_ways!(gre::Header { protocol: EtherType(protocol), checksum, key, sequence }, gre::Header);
        let operation = if is_request { arp::Operation::Request } else { arp::Operation::Reply };
        let message = arp::Message { operation, sender_mac, sender_address, target_mac, target_address };
        goes_both_ways!(message, arp::Message);
    }

    #[test]
    fn neighbour_discovery_goes_both_ways(
        target in unicast(), mac in prop::option::of(mac()), (source, destination) in any::<(Ipv6Addr, Ipv6Addr)>(),
        (is_router, is_solicited, overrides) in any::<(bool, bool, bool)>(),
    ) {
        let mut bytes = [0; 72];
        let asked = ndp::Solicitation { target, source_mac: mac };
        let length = asked.emit_packet(source, destination, &mut bytes).unwrap();
        let (header, start) = ipv6::Header::parse(&bytes[..length]).unwrap();
        prop_assert_eq!(ndp::validate(&header, &bytes[start..length]), Ok(()));
        prop_assert_eq!(ndp::Solicitation::parse(&bytes[start..length]), Ok((asked, length - 40)));

        let told = ndp::Advertisement { is_router, is_solicited, overrides, target, target_mac: mac };
        let length = told.emit_packet(source, destination, &mut bytes).unwrap();
        let (header, start) = ipv6::Header::parse(&bytes[..length]).unwrap();
        prop_assert_eq!(ndp::validate(&header, &bytes[start..length]), Ok(()));
        prop_assert_eq!(ndp::Advertisement::parse(&bytes[start..length]), Ok((told, length - 40)));
    }

    #[test]
    fn an_incremental_checksum_is_the_full_one(
        mut bytes in prop::collection::vec(any::<u8>(), 4..200), at in any::<prop::sample::Index>(), new in any::<u16>(),
    ) {
        // What RFC 1624 promises needs something else in the sum that is not zero.
        bytes.splice(..0, [0x45, 0x00]);
        let at = 2 + at.index((bytes.len() - 4) / 2 + 1) * 2;
        let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let before = Sum::of(&bytes).checksum();
        bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
        prop_assert_eq!(update(before, old, new), Sum::of(&bytes).checksum());
    }

    #[test]
    fn no_bytes_are_trouble(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise(&bytes);
    }

    #[test]
    fn no_change_to_a_frame_is_trouble(
        recipe in recipe(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut frame = recipe.build();
        for (at, value) in changes {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        // Each layer's parsers see the layer that they are made for.
        for offset in [0, recipe.network_offset(), recipe.upper_offset()] {
            exercise(&frame[offset..]);
        }
    }
}

proptest! {
    // Each case is hundreds of frames.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_truncation_is_trouble(recipe in recipe()) {
        let frame = recipe.build();
        for length in 0..=frame.len() {
            for offset in [0, recipe.network_offset(), recipe.upper_offset()] {
                if let Some(layer) = frame[..length].get(offset..) {
                    exercise(layer);
                }
            }
        }
    }
}
