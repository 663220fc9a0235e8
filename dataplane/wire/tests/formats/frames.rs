//! Valid frames of every kind that a workload sends, made by etherparse.

use etherparse::{
    IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6FragmentHeader,
    Ipv6Header, Ipv6RawExtHeader, PacketBuilder, TcpHeader, TcpOptionElement, VlanHeader, VlanId,
};
use proptest::prelude::*;

/// The upper layer of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Upper {
    Tcp,
    Udp,
    Icmp,
}

/// What a frame is made of.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub(crate) tags: usize,
    pub(crate) is_ipv6: bool,
    /// IPv4 options or an IPv6 destination options header.
    pub(crate) has_options: bool,
    pub(crate) is_fragment: bool,
    pub(crate) upper: Upper,
    pub(crate) addresses: [u8; 32],
    pub(crate) ports: (u16, u16),
    pub(crate) payload: Vec<u8>,
    /// Bytes behind the packet, as Ethernet pads short frames.
    pub(crate) padding: usize,
}

pub(crate) fn recipe() -> impl Strategy<Value = Recipe> {
    (
        0..3_usize,
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.1),
        prop_oneof![Just(Upper::Tcp), Just(Upper::Udp), Just(Upper::Icmp)],
        any::<[u8; 32]>(),
        any::<(u16, u16)>(),
        prop::collection::vec(any::<u8>(), 0..300),
        0..20_usize,
    )
        .prop_map(
            |(tags, is_ipv6, has_options, is_fragment, upper, addresses, ports, payload, padding)| Recipe {
                tags,
                is_ipv6,
                has_options,
                is_fragment,
                upper,
                addresses,
                ports,
                payload,
                padding,
            },
        )
}

impl Recipe {
    /// The frame, its checksums complete.
    pub(crate) fn build(&self) -> Vec<u8> {
        let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let vlan = |id: u16| VlanId::try_new(id).unwrap();
        let single = etherparse::SingleVlanHeader { vlan_id: vlan(7), ..Default::default() };
        let network = match self.tags {
            0 => link.ip(self.network()),
            1 => link.vlan(VlanHeader::Single(single)).ip(self.network()),
            _ => link.double_vlan(vlan(100), vlan(7)).ip(self.network()),
        };
        let mut frame = Vec::new();
        let payload = &self.payload;
        let written = match self.upper {
            Upper::Tcp => network.tcp_header(self.tcp()).write(&mut frame, payload),
            Upper::Udp => network.udp(self.ports.0, self.ports.1).write(&mut frame, payload),
            Upper::Icmp if self.is_ipv6 => network.icmpv6_echo_request(1, 2).write(&mut frame, payload),
            Upper::Icmp => network.icmpv4_echo_request(1, 2).write(&mut frame, payload),
        };
        written.unwrap();
        frame.resize(frame.len() + self.padding, 0xd5);
        frame
    }

    /// Where the IP header begins.
    pub(crate) fn network_offset(&self) -> usize {
        14 + 4 * self.tags
    }

    /// Where the upper layer begins.
    pub(crate) fn upper_offset(&self) -> usize {
        let options = usize::from(self.has_options) * 8;
        let fragment = usize::from(self.is_ipv6 && self.is_fragment) * 8;
        self.network_offset() + if self.is_ipv6 { 40 } else { 20 } + options + fragment
    }

    /// Where the checksum of the upper layer stands.
    pub(crate) fn checksum_offset(&self) -> usize {
        self.upper_offset()
            + match self.upper {
                Upper::Tcp => 16,
                Upper::Udp => 6,
                Upper::Icmp => 2,
            }
    }

    fn tcp(&self) -> TcpHeader {
        let mut header = TcpHeader::new(self.ports.0, self.ports.1, 1, 65_000);
        header.syn = true;
        let options = [TcpOptionElement::Noop, TcpOptionElement::MaximumSegmentSize(1460)];
        header.set_options(&options).unwrap();
        header
    }

    fn network(&self) -> IpHeaders {
        if self.is_ipv6 { self.ipv6() } else { self.ipv4() }
    }

    fn ipv4(&self) -> IpHeaders {
        let [s0, s1, s2, s3, d0, d1, d2, d3, ..] = self.addresses;
        let mut header = Ipv4Header::new(0, 64, IpNumber::UDP, [s0, s1, s2, s3], [d0, d1, d2, d3]).unwrap();
        if self.has_options {
            header.options = [148, 4, 0, 0, 1, 1, 1, 0].into();
        }
        header.more_fragments = self.is_fragment;
        header.dont_fragment = !self.is_fragment;
        IpHeaders::Ipv4(header, Ipv4Extensions::default())
    }

    fn ipv6(&self) -> IpHeaders {
        let (source, destination) = self.addresses.split_at(16);
        let header = Ipv6Header {
            hop_limit: 64,
            source: source.try_into().unwrap(),
            destination: destination.try_into().unwrap(),
            ..Default::default()
        };
        let mut extensions = Ipv6Extensions::default();
        if self.has_options {
            let options = Ipv6RawExtHeader::new_raw(IpNumber::UDP, &[1, 4, 0, 0, 0, 0]).unwrap();
            extensions.destination_options = Some(options);
        }
        if self.is_fragment {
            let offset = IpFragOffset::try_new(0).unwrap();
            extensions.fragment = Some(Ipv6FragmentHeader::new(IpNumber::UDP, offset, true, 9));
        }
        IpHeaders::Ipv6(header, extensions)
    }
}
