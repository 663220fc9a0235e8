//! Bytes and readings compared with etherparse, an implementation that shares nothing with ours.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::icmpv6::{NdpOptionSlice, NdpOptionsIterator, NeighborAdvertisementHeader};
use etherparse::{
    ArpEthIpv4Packet, ArpOperation, Icmpv4Type, Icmpv6Slice, Icmpv6Type, IpNumber, Ipv4Header, NetSlice,
    SlicedPacket, TcpOptionElement, TransportSlice, icmpv4,
};
use proptest::prelude::*;
use wire::checksum::Sum;
use wire::ethernet::{self, EtherType};
use wire::icmp::v4::FragmentationNeeded;
use wire::icmp::v6::PacketTooBig;
use wire::ip::Protocol;
use wire::{Mac, arp, ipv4, ipv6, ndp, tcp, udp};

use crate::frames::{Recipe, recipe};

/// Reads the IP header with both; returns ours in brief: upper-layer protocol, its offset, the packet's end.
fn network(packet: &[u8], theirs: &NetSlice<'_>) -> (Protocol, usize, usize) {
    match theirs {
        NetSlice::Ipv4(theirs) => {
            let (ours, length) = ipv4::Header::parse(packet).unwrap();
            let theirs = theirs.header();
            assert_eq!(length, theirs.slice().len());
            assert_eq!((ours.source, ours.destination), (theirs.source_addr(), theirs.destination_addr()));
            assert_eq!((ours.total_length, ours.ttl), (theirs.total_len(), theirs.ttl()));
            assert_eq!(ours.is_fragment(), theirs.is_fragmenting_payload());
            assert_eq!(ours.dont_fragment, theirs.dont_fragment());
            assert_eq!(ours.traffic_class.dscp(), theirs.dcp().value());
            assert!(ipv4::checksum_is_valid(&packet[..length]));
            (ours.protocol, length, usize::from(ours.total_length))
        }
        NetSlice::Ipv6(theirs) => {
            let (ours, _) = ipv6::Header::parse(packet).unwrap();
            let upper = ours.upper_layer(packet).unwrap();
            assert_eq!(ours.source, theirs.header().source_addr());
            assert_eq!(ours.destination, theirs.header().destination_addr());
            assert_eq!(ours.payload_length, theirs.header().payload_length());
            assert_eq!(upper.is_fragment(), theirs.extensions().is_fragmenting_payload());
            assert_eq!(upper.offset, 40 + theirs.extensions().slice().len());
            assert_eq!(upper.protocol.0, theirs.payload().ip_number.0);
            (upper.protocol, upper.offset, ours.end())
        }
        NetSlice::Arp(other) => panic!("{other:?} is no IP packet"),
    }
}

fn tcp_header(segment: &[u8], theirs: &etherparse::TcpSlice<'_>) {
    let (ours, length) = tcp::Header::parse(segment).unwrap();
    assert_eq!(length, theirs.header_slice().len());
    assert_eq!((ours.source_port, ours.destination_port), (theirs.source_port(), theirs.destination_port()));
    assert_eq!((ours.sequence, ours.checksum), (theirs.sequence_number(), theirs.checksum()));
    assert_eq!(ours.flags.contains(tcp::Flags::SYN), theirs.syn());
    let offered = theirs.options_iterator().find_map(|option| match option {
        Ok(TcpOptionElement::MaximumSegmentSize(size)) => Some(size),
        _ => None,
    });
    assert_eq!(tcp::maximum_segment_size(&segment[..length]).map(|(_, size)| size), offered);
    assert!(offered.is_some());
}

fn reads_alike(recipe: &Recipe) {
    let frame = recipe.build();
    let theirs = SlicedPacket::from_ethernet(&frame).unwrap();
    let payload = ethernet::payload(&frame).unwrap();
    assert_eq!(payload.offset, recipe.network_offset());
    assert_eq!(payload.ethertype, if recipe.is_ipv6 { EtherType::IPV6 } else { EtherType::IPV4 });
    assert_eq!(payload.tag.map(ethernet::Tag::vlan), theirs.vlan_ids().first().map(|id| id.value()));

    let packet = &frame[payload.offset..];
    let (protocol, start, end) = network(packet, theirs.net.as_ref().unwrap());
    assert_eq!(payload.offset + start, recipe.upper_offset());
    assert_eq!(end + recipe.padding, packet.len());
    let segment = &packet[start..end];
    match &theirs.transport {
        Some(TransportSlice::Tcp(theirs)) => tcp_header(segment, theirs),
        Some(TransportSlice::Udp(theirs)) => {
            let (ours, _) = udp::Header::parse(segment).unwrap();
            assert_eq!(
                (ours.source_port, ours.destination_port),
                (theirs.source_port(), theirs.destination_port())
            );
            assert_eq!((ours.length, ours.checksum), (theirs.length(), theirs.checksum()));
        }
        Some(TransportSlice::Icmpv4(_)) => assert!(wire::icmp::v4::checksum_is_valid(segment)),
        Some(TransportSlice::Icmpv6(_)) => {
            let (header, _) = ipv6::Header::parse(packet).unwrap();
            assert!(wire::icmp::v6::checksum_is_valid(header.source, header.destination, segment));
            assert_eq!(protocol, Protocol::ICMPV6);
        }
        // Fragments have no transport header for them.
        None => assert!(recipe.is_fragment),
        Some(other) => panic!("{other:?} was not built"),
    }
}

proptest! {
    #[test]
    fn frames_read_alike(recipe in recipe()) {
        reads_alike(&recipe);
    }

    #[test]
    fn udp_checksums_are_alike(
        addresses in any::<([u8; 4], [u8; 4])>(), payload in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let (source, destination) = addresses;
        let length = 8 + payload.len();
        let ip = Ipv4Header::new(length as u16, 64, IpNumber::UDP, source, destination).unwrap();
        let theirs = etherparse::UdpHeader::with_ipv4_checksum(1, 2, &ip, &payload).unwrap();
        let mut ours = udp::Header { source_port: 1, destination_port: 2, length: length as u16, checksum: 0 };
        let sum = Sum::of_pseudo_ipv4(source.into(), destination.into(), Protocol::UDP, ours.length)
            + Sum::of(&ours.to_bytes())
            + Sum::of(&payload);
        ours.checksum = udp::checksum(sum);
        prop_assert_eq!(ours.to_bytes(), theirs.to_bytes());
    }

    #[test]
    fn neighbour_advertisements_are_alike(
        target in any::<Ipv6Addr>().prop_filter("unicast", |target| !target.is_multicast()), octets in any::<[u8; 6]>(),
        (source, destination) in any::<(Ipv6Addr, Ipv6Addr)>(), is_router in any::<bool>(),
    ) {
        let asked = ndp::Solicitation { target, source_mac: None };
        let mut bytes = [0; 72];
        asked.answer(Mac(octets), is_router).emit_packet(source, destination, &mut bytes).unwrap();
        let theirs = Icmpv6Slice::from_slice(&bytes[40..]).unwrap();
        prop_assert!(theirs.is_checksum_valid(source.octets(), destination.octets()));
        let header = NeighborAdvertisementHeader { router: is_router, solicited: true, r#override: true };
        prop_assert_eq!(theirs.icmp_type(), Icmpv6Type::NeighborAdvertisement(header));
        prop_assert_eq!(&theirs.payload()[..16], &target.octets());
        let options: Vec<_> = NdpOptionsIterator::from_slice(&theirs.payload()[16..]).collect();
        let [Ok(NdpOptionSlice::TargetLinkLayerAddress(address))] = options.as_slice() else {
            panic!("{options:?} is not one link-layer address");
        };
        prop_assert_eq!(address.link_layer_address(), &octets);
    }

    #[test]
    fn path_mtu_errors_are_alike(
        mtu in any::<u16>(), packet in prop::collection::vec(any::<u8>(), 0..1500),
        (source, destination) in any::<(Ipv6Addr, Ipv6Addr)>(),
    ) {
        let mut bytes = [0; 1280];
        let (us, them) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let length = FragmentationNeeded { mtu, packet: &packet }.emit_packet(us, them, &mut bytes).unwrap();
        let read = SlicedPacket::from_ip(&bytes[..length]).unwrap();
        let Some(TransportSlice::Icmpv4(theirs)) = read.transport else { panic!("no ICMP") };
        let kind = icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu };
        prop_assert_eq!(theirs.icmp_type(), Icmpv4Type::DestinationUnreachable(kind));
        prop_assert_eq!(theirs.checksum(), theirs.icmp_type().calc_checksum(theirs.payload()));
        prop_assert!(packet.starts_with(theirs.payload()));

        let mut bytes = [0; 1280];
        let error = PacketTooBig { mtu: u32::from(mtu), packet: &packet };
        let length = error.emit_packet(source, destination, &mut bytes).unwrap();
        let theirs = Icmpv6Slice::from_slice(&bytes[40..length]).unwrap();
        prop_assert_eq!(theirs.icmp_type(), Icmpv6Type::PacketTooBig { mtu: u32::from(mtu) });
        prop_assert!(theirs.is_checksum_valid(source.octets(), destination.octets()));
    }
}

#[test]
fn arp_replies_are_alike() {
    let asked = arp::Message {
        operation: arp::Operation::Request,
        sender_mac: Mac([2, 0, 0, 0, 0, 1]),
        sender_address: Ipv4Addr::new(10, 0, 0, 1),
        target_mac: Mac::ZERO,
        target_address: Ipv4Addr::new(10, 0, 0, 2),
    };
    let theirs = ArpEthIpv4Packet {
        operation: ArpOperation::REPLY,
        sender_mac: [2, 0, 0, 0, 0, 2],
        sender_ipv4: [10, 0, 0, 2],
        target_mac: [2, 0, 0, 0, 0, 1],
        target_ipv4: [10, 0, 0, 1],
    };
    assert_eq!(asked.reply(Mac([2, 0, 0, 0, 0, 2])).to_bytes(), theirs.to_bytes());
    let frame =
        [&[0xff; 6], [2, 0, 0, 0, 0, 1].as_slice(), &EtherType::ARP.0.to_be_bytes(), &asked.to_bytes()];
    let mut frame = frame.concat();
    arp::reply_in_place(&mut frame, 14, Mac([2, 0, 0, 0, 0, 2])).unwrap();
    let expected = [[2, 0, 0, 0, 0, 1].as_slice(), &[2, 0, 0, 0, 0, 2], &[8, 6], &theirs.to_bytes()].concat();
    assert_eq!(frame, expected);
}
