//! The IPv6 underlay: outer headers on the way in and on the way out. IPv4's are in [`crate::parse`] and
//! [`crate::remote`].

use std::net::Ipv6Addr;

use wire::ethernet::EtherType;
use wire::ip::Protocol;
use wire::{Mac, ethernet, gre, ipv6, udp, vxlan};

use crate::datagram::{DatagramSum, sum_of_frame};
use crate::description::Encapsulation;
use crate::entropy;
use crate::frame::Frame;
use crate::limits::MAX_OUTER_HEADER;
use crate::marking::{self, Marking};
use crate::remote::{Outgoing, concatenate, gre_bytes, gre_key_bytes, set, vxlan_bytes};
use crate::tunnel::{Family, Origin, TunnelTable};
use crate::verdict::DropReason;
use crate::wrapped::{self, Ends};

/// Strips the outer header of a tunnel packet over IPv6, as [`crate::parse::outer`] does.
///
/// Extension headers are none of ours (the XDP program leaves such packets to the kernel).
#[inline(never)]
pub(crate) fn strip(
    frame: &mut Frame<'_>,
    ethertype: EtherType,
    tunnels: &TunnelTable<Ipv6Addr>,
) -> Result<Origin, DropReason> {
    if ethertype != EtherType::IPV6 {
        return Err(DropReason::NotTunnel);
    }
    let packet = frame.bytes_mut().get_mut(ethernet::LENGTH..).unwrap_or_default();
    let (header, length) = ipv6::Header::parse(packet).map_err(|error| match error {
        wire::Error::Truncated => DropReason::FrameTooShort,
        wire::Error::Malformed => DropReason::IpInvalidHeader,
    })?;
    let upper = packet.get_mut(length..header.end()).unwrap_or_default();
    let ends = Ends { local: header.destination, peer: header.source };
    let found = match header.next_header {
        Protocol::UDP => wrapped::datagram(ends, upper, tunnels)?,
        Protocol::GRE => wrapped::gre(ends, upper, tunnels)?,
        Protocol::FRAGMENT => return Err(DropReason::OuterFragment),
        _ => return Err(DropReason::NotTunnel),
    };
    let origin = found.origin(ends, tunnels)?;
    wrapped::unwrap(frame, ethernet::LENGTH + length, &found.inner)?;
    marking::decapsulate(frame.bytes_mut(), header.traffic_class)?;
    Ok(origin)
}

const IP: usize = ethernet::LENGTH;
const UPPER: usize = IP + ipv6::LENGTH;
const VXLAN_LENGTH: usize = UPPER + udp::LENGTH + vxlan::LENGTH;
const GRE_LENGTH: usize = UPPER + gre::MIN_LENGTH;
const GRE_KEY_LENGTH: usize = GRE_LENGTH + 4;

const _: () = assert!(VXLAN_LENGTH <= MAX_OUTER_HEADER && GRE_KEY_LENGTH <= MAX_OUTER_HEADER);

/// A finished outer header but for flow label, lengths, checksum and source port, which are zero.
#[derive(Clone, Debug)]
pub(crate) enum OuterHeader6 {
    Vxlan {
        bytes: [u8; VXLAN_LENGTH],
        /// `None` sends no checksum (RFC 6935).
        sum: Option<DatagramSum>,
    },
    Gre([u8; GRE_LENGTH]),
    GreKey([u8; GRE_KEY_LENGTH]),
}

/// Ethernet and IPv6 from `local` to `peer`, flow label and length zero; `macs` are destination and source.
pub(crate) fn below(
    (local, peer): (Ipv6Addr, Ipv6Addr),
    (destination, source): (Mac, Mac),
    encapsulation: Encapsulation,
    marking: Marking,
) -> [u8; UPPER] {
    let ethernet = ethernet::Header { destination, source, ethertype: EtherType::IPV6 };
    let packet = ipv6::Header {
        traffic_class: marking.fixed_class(),
        flow_label: 0,
        payload_length: 0,
        next_header: encapsulation.protocol(),
        hop_limit: marking.fixed_ttl(),
        source: local,
        destination: peer,
    };
    concatenate(&ethernet.to_bytes(), &packet.to_bytes())
}

impl OuterHeader6 {
    /// The header from `local` to `peer`; `macs` are destination and source.
    pub(crate) fn new(
        (local, peer): (Ipv6Addr, Ipv6Addr),
        macs: (Mac, Mac),
        encapsulation: Encapsulation,
        marking: Marking,
        udp_checksum: bool,
    ) -> Self {
        let below = below((local, peer), macs, encapsulation, marking);
        match encapsulation {
            Encapsulation::Vxlan { vni, port } => {
                let upper = vxlan_bytes(vni, port);
                let sum = DatagramSum::new(Ipv6Addr::pseudo_header(local, peer, 0), &upper);
                Self::Vxlan { bytes: concatenate(&below, &upper), sum: udp_checksum.then_some(sum) }
            }
            Encapsulation::Gre { key: None } => Self::Gre(concatenate(&below, &gre_bytes())),
            Encapsulation::Gre { key: Some(key) } => Self::GreKey(concatenate(&below, &gre_key_bytes(key))),
            // Always extended.
            Encapsulation::Nvgre { .. } | Encapsulation::GreInUdp { .. } => Self::Gre([0; GRE_LENGTH]),
        }
    }

    pub(crate) const fn length(&self) -> usize {
        match self {
            Self::Vxlan { .. } => VXLAN_LENGTH,
            Self::Gre(_) => GRE_LENGTH,
            Self::GreKey(_) => GRE_KEY_LENGTH,
        }
    }

    /// As [`crate::remote::Egress::push`].
    #[inline(never)]
    pub(crate) fn push(&self, frame: &mut Frame<'_>, outgoing: Outgoing) -> Option<()> {
        match self {
            Self::Vxlan { bytes, sum } => {
                let source_port = entropy::source_port(outgoing.flow);
                let inner = sum.map(|sum| (sum, sum_of_frame(frame.bytes(), outgoing.is_completed)));
                let (header, length) = push(frame, bytes, outgoing.flow)?;
                set(header, UPPER + udp::offset::SOURCE_PORT, source_port);
                set(header, UPPER + udp::offset::LENGTH, length);
                if let Some((sum, inner)) = inner {
                    let checksum = sum.checksum(inner, source_port, length);
                    set(header, UPPER + udp::offset::CHECKSUM, checksum);
                }
            }
            Self::Gre(bytes) => {
                push(frame, bytes, outgoing.flow)?;
            }
            Self::GreKey(bytes) => {
                push(frame, bytes, outgoing.flow)?;
            }
        }
        Some(())
    }
}

/// Pushes a header of `N` bytes and patches what every outer IPv6 header needs. Gives the length of what follows it too.
#[inline]
fn push<'a, const N: usize>(
    frame: &'a mut Frame<'_>,
    bytes: &[u8; N],
    flow: u32,
) -> Option<(&'a mut [u8; N], u16)> {
    let (header, length) = frame.push::<N>()?;
    // The frame has the header's bytes now at least, so this does not wrap.
    let payload = length.wrapping_sub(UPPER as u16);
    *header = *bytes;
    let label = entropy::flow_label(flow);
    // Above the label's upper four bits stand the lower four of the traffic class.
    if let Some(byte) = header.get_mut(IP + 1) {
        *byte |= (label >> 16) as u8;
    }
    set(header, IP + ipv6::offset::FLOW + 2, label as u16);
    set(header, IP + ipv6::offset::PAYLOAD_LENGTH, payload);
    Some((header, payload))
}
