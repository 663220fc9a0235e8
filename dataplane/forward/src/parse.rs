//! First stage: what a frame is. Makes [`Headers`] once, strips the outer header of what comes from an uplink, and
//! completes checksums that a workload left to its device. Knows the tunnels we take, but no forwarding entry.

use std::ops::Range;

use wire::checksum::Sum;
use wire::ethernet::{self, EtherType};
use wire::ip::Protocol;
use wire::{Mac, checksum, gre, ipv4, ipv6, udp, vxlan};

use crate::description::Encapsulation;
use crate::entropy;
use crate::frame::Frame;
use crate::tunnel::{Origin, Tunnel, TunnelTable};
use crate::verdict::DropReason;

/// What the later stages know of a frame (the inner one, if it came from the overlay).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers {
    /// Whom the frame is for.
    pub destination: Mac,
    /// Who sent it: never multicast, never zero.
    pub source: Mac,
    /// What it carries, behind any VLAN tags.
    pub ethertype: EtherType,
    /// Where that begins, in bytes from the start of the frame.
    pub offset: u16,
    /// Bytes of the frame.
    pub length: u16,
    /// Hash of the flow.
    pub flow: u32,
}

impl Headers {
    /// Bytes of the packet that the frame carries, Ethernet header and VLAN tags excluded: what an MTU bounds.
    #[must_use]
    pub const fn packet_length(&self) -> u16 {
        self.length.saturating_sub(self.offset)
    }

    /// Whether the frame carries a VLAN tag.
    #[must_use]
    pub const fn is_tagged(&self) -> bool {
        self.offset as usize != ethernet::LENGTH
    }
}

/// Reads a frame of a workload, and completes its TCP or UDP checksum if only the pseudo-header's sum is there.
///
/// # Errors
/// `FRAME_TOO_SHORT`, or `MAC_INVALID_SOURCE` for a source address that nobody can have.
#[inline]
pub fn inner(frame: &mut [u8]) -> Result<Headers, DropReason> {
    let length = u16::try_from(frame.len()).map_err(|_| DropReason::PacketTooBig)?;
    let (header, _) = ethernet::Header::parse(frame).map_err(|_| DropReason::FrameTooShort)?;
    let payload = ethernet::payload(frame).map_err(|_| DropReason::FrameTooShort)?;
    let ethernet::Header { destination, source, .. } = header;
    if source.is_multicast() || source.is_zero() {
        return Err(DropReason::MacInvalidSource);
    }
    let packet = frame.get_mut(payload.offset..).unwrap_or_default();
    let flow = match payload.ethertype {
        EtherType::IPV4 => ipv4_flow(packet),
        EtherType::IPV6 => ipv6_flow(packet),
        _ => None,
    };
    let flow = flow.unwrap_or_else(|| entropy::of_addresses(source, destination));
    let offset = payload.offset as u16;
    Ok(Headers { destination, source, ethertype: payload.ethertype, offset, length, flow })
}

/// The flow of an IPv4 packet, its checksum completed; `None` if it is malformed.
#[inline]
fn ipv4_flow(packet: &mut [u8]) -> Option<u32> {
    let (header, length) = ipv4::Header::parse(packet).ok()?;
    let mut ports = 0;
    if !header.is_fragment() && has_ports(header.protocol) {
        let segment = packet.get(length..usize::from(header.total_length))?;
        ports = segment.first_chunk().map_or(0, |ports| u32::from_be_bytes(*ports));
        checksum::complete_partial_ipv4(packet);
    }
    Some(entropy::of_ipv4(header.source, header.destination, header.protocol, ports))
}

/// The flow of an IPv6 packet, its checksum completed; `None` if it is malformed.
#[inline]
fn ipv6_flow(packet: &mut [u8]) -> Option<u32> {
    let (header, _) = ipv6::Header::parse(packet).ok()?;
    let upper = header.upper_layer(packet).ok()?;
    let (mut protocol, mut ports) = (upper.protocol, 0);
    if upper.is_fragment() {
        // Only the first piece knows what follows further extension headers.
        protocol = Protocol::FRAGMENT;
    } else if has_ports(protocol) {
        let segment = packet.get(upper.offset..header.end())?;
        ports = segment.first_chunk().map_or(0, |ports| u32::from_be_bytes(*ports));
        checksum::complete_partial_ipv6(packet);
    }
    Some(entropy::of_ipv6(header.source, header.destination, protocol, ports))
}

/// Whether the upper-layer header begins with source and destination port.
#[inline]
const fn has_ports(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::TCP | Protocol::UDP | Protocol::SCTP)
}

/// The tunnel that the previous packet of a batch belonged to: the next one's often is the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastTunnel(Option<(Tunnel, Origin)>);

/// Strips the outer header of a tunnel packet for us, and whatever follows the packet, and tells whom it came
/// from. A frame that is refused stays as it is, but for a completed inner checksum.
///
/// # Errors
/// Why the packet is refused.
#[inline]
pub fn outer(
    frame: &mut Frame<'_>,
    tunnels: &TunnelTable,
    last: &mut LastTunnel,
) -> Result<Origin, DropReason> {
    let (header, _) = ethernet::Header::parse(frame.bytes()).map_err(|_| DropReason::FrameTooShort)?;
    if header.ethertype != EtherType::IPV4 {
        return Err(DropReason::NotTunnel);
    }
    let packet = frame.bytes_mut().get_mut(ethernet::LENGTH..).unwrap_or_default();
    let (header, length) = ipv4_header(packet)?;
    let upper = packet.get_mut(length..usize::from(header.total_length)).unwrap_or_default();
    let (encapsulation, inner) = match header.protocol {
        Protocol::UDP => vxlan_header(&header, upper, tunnels)?,
        Protocol::GRE => gre_header(&header, upper, tunnels)?,
        _ => return Err(DropReason::NotTunnel),
    };
    let tunnel = Tunnel::new(header.destination, header.source, encapsulation);
    let origin = match last.0 {
        Some((same, origin)) if same == tunnel => origin,
        _ => tunnels.lookup(tunnel).ok_or_else(|| tunnels.refusal(tunnel))?,
    };
    last.0 = Some((tunnel, origin));
    let start = ethernet::LENGTH + length;
    // Both lie within the frame, whose length is a u16.
    frame.truncate((start + inner.end) as u16);
    frame.pull((start + inner.start) as u16).ok_or(DropReason::FrameTooShort)?;
    Ok(origin)
}

/// The outer IPv4 header and its length.
#[inline]
fn ipv4_header(packet: &[u8]) -> Result<(ipv4::Header, usize), DropReason> {
    let (header, length) = ipv4::Header::parse(packet).map_err(|error| match error {
        wire::Error::Truncated => DropReason::FrameTooShort,
        wire::Error::Malformed => DropReason::IpInvalidHeader,
    })?;
    if !packet.get(..length).is_some_and(ipv4::checksum_is_valid) {
        return Err(DropReason::IpChecksum);
    }
    if header.is_fragment() {
        return Err(DropReason::OuterFragment);
    }
    Ok((header, length))
}

/// How a UDP datagram is wrapped, and where in it the inner frame lies.
#[inline]
fn vxlan_header(
    packet: &ipv4::Header,
    upper: &mut [u8],
    tunnels: &TunnelTable,
) -> Result<(Encapsulation, Range<usize>), DropReason> {
    let (header, start) = udp::Header::parse(upper).map_err(|_| DropReason::FrameTooShort)?;
    let port = header.destination_port;
    if !tunnels.takes_vxlan(packet.destination, port) {
        return Err(DropReason::NotTunnel);
    }
    let datagram = upper.get_mut(..usize::from(header.length)).unwrap_or_default();
    if header.checksum != 0 {
        let pseudo_header =
            Sum::of_pseudo_ipv4(packet.source, packet.destination, packet.protocol, header.length);
        verify_udp(datagram, pseudo_header, header.checksum)?;
    }
    let (header, length) =
        datagram.get(start..).ok_or(wire::Error::Truncated).and_then(vxlan::Header::parse).map_err(
            |error| match error {
                wire::Error::Truncated => DropReason::FrameTooShort,
                wire::Error::Malformed => DropReason::VxlanInvalidHeader,
            },
        )?;
    if header.has_reserved_beyond(0) {
        return Err(DropReason::VxlanInvalidHeader);
    }
    Ok((Encapsulation::Vxlan { vni: header.vni, port }, start + length..datagram.len()))
}

/// Verifies an outer UDP checksum that is not zero.
///
/// A Linux peer on the other end of a veth leaves checksums to the device, in one of two ways: the outer one holds
/// only its pseudo-header's sum; or the outer one is right for an inner checksum that is yet to be completed ("local
/// checksum offload", the kernel's `Documentation/networking/checksum-offloads.rst`).
#[cold]
fn verify_udp(datagram: &mut [u8], pseudo_header: Sum, checksum: u16) -> Result<(), DropReason> {
    if udp::checksum_is_valid(pseudo_header, datagram) || pseudo_header.fold() == checksum {
        return Ok(());
    }
    let inner = datagram.get_mut(udp::LENGTH + vxlan::LENGTH..).unwrap_or_default();
    if checksum::complete_partial(inner) && udp::checksum_is_valid(pseudo_header, datagram) {
        return Ok(());
    }
    Err(DropReason::UdpChecksum)
}

/// How a GRE packet is wrapped, and where in it the inner frame lies.
#[inline]
fn gre_header(
    packet: &ipv4::Header,
    upper: &mut [u8],
    tunnels: &TunnelTable,
) -> Result<(Encapsulation, Range<usize>), DropReason> {
    if !tunnels.takes_gre(packet.destination) {
        return Err(DropReason::NotTunnel);
    }
    let (header, length) = gre::Header::parse(upper).map_err(|error| match error {
        wire::Error::Truncated => DropReason::FrameTooShort,
        wire::Error::Malformed => DropReason::GreInvalidHeader,
    })?;
    if header.protocol != EtherType::ETHERNET_BRIDGING {
        return Err(DropReason::GreInvalidHeader);
    }
    if header.checksum.is_some() && !gre::checksum_is_valid(upper) {
        // As in verify_udp: right once the inner checksum is completed.
        let completed = upper.get_mut(length..).is_some_and(checksum::complete_partial);
        if !(completed && gre::checksum_is_valid(upper)) {
            return Err(DropReason::GreInvalidHeader);
        }
    }
    Ok((Encapsulation::Gre { key: header.key }, length..upper.len()))
}
