//! First stage: what a frame is. Makes [`Headers`] once, strips the outer header of what comes from an uplink, and
//! completes checksums that a workload left to its device. Knows the tunnels we take, but no forwarding entry.

use std::net::Ipv4Addr;

use wire::checksum::Sum;
use wire::ethernet::{self, EtherType};
use wire::icmp::v6;
use wire::ip::Protocol;
use wire::{checksum, ecn, ipv4, ipv6, udp};

use crate::description::{Encapsulation, InnerTags};
use crate::entropy;
use crate::fdb::Key;
use crate::frame::Frame;
use crate::guard::hidden;
use crate::ids::{DomainId, RemoteId};
use crate::marking;
use crate::outer6;
use crate::signature::KnownTunnels;
use crate::size::Size;
use crate::trust::Trust;
use crate::tunnel::{Origin, Tunnels};
use crate::verdict::DropReason;
use crate::wrapped::{self, Ends};

/// What the later stages know of a frame (the inner one, if it came from the overlay).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers {
    /// Whom the frame is for, in its bridge domain.
    pub destination: Key,
    /// Who sent it: never multicast, never zero.
    pub source: Key,
    /// What it carries, behind any VLAN tags.
    pub ethertype: EtherType,
    /// Where that begins, in bytes from the start of the frame.
    pub offset: u16,
    /// Bytes of the frame.
    pub length: u16,
    /// The same, and whether the packet's ECN field says anything.
    pub size: Size,
    /// Hash of the flow.
    pub flow: u32,
    /// Whether its TCP or UDP checksum was completed here, and so is known to be right.
    pub is_completed: bool,
    /// By which protocol the frame resolves addresses, if it does.
    pub resolution: Option<Resolution>,
}

/// A protocol of address resolution: what the proxy looks into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// ARP (RFC 826).
    Arp,
    /// A message of neighbour or router discovery (RFC 4861), in one piece.
    NeighbourDiscovery,
    /// Perhaps such a message, but nobody can tell: its packet's headers do not end, or it comes in pieces, in which
    /// nobody may send one (RFC 6980).
    Hidden,
}

impl Headers {
    /// Of no frame.
    pub const NONE: Self = Self {
        destination: Key::NONE,
        source: Key::NONE,
        ethertype: EtherType(0),
        offset: 0,
        length: 0,
        size: Size::new(0, false),
        flow: 0,
        is_completed: false,
        resolution: None,
    };

    /// The bridge domain.
    #[inline]
    #[must_use]
    pub const fn domain(&self) -> DomainId {
        self.source.domain()
    }

    /// Bytes of the packet that the frame carries, Ethernet header and one VLAN tag excluded: what an MTU bounds. A device
    /// takes one tag beyond it, and no more.
    #[inline]
    #[must_use]
    pub const fn packet_length(&self) -> u16 {
        const ONE_TAG: u16 = (ethernet::LENGTH + ethernet::TAG_LENGTH) as u16;
        self.length.saturating_sub(if self.offset < ONE_TAG { self.offset } else { ONE_TAG })
    }

    /// Whether the frame carries a VLAN tag.
    #[must_use]
    pub const fn is_tagged(&self) -> bool {
        self.offset as usize != ethernet::LENGTH
    }

    /// Whether the frame, which is this one, is of no VLAN within its domain: it has no tag, or none but of VLAN 0, which
    /// say a priority. Receivers take it as if it had none.
    #[must_use]
    pub fn is_of_no_vlan(&self, frame: &[u8]) -> bool {
        const TYPE: usize = 2;
        let end = usize::from(self.offset).saturating_sub(TYPE);
        let tags = frame.get(ethernet::offset::ETHERTYPE..end).unwrap_or_default();
        let (tags, _) = tags.as_chunks::<{ ethernet::TAG_LENGTH }>();
        tags.iter().all(|bytes| ethernet::Tag::of_bytes(*bytes).vlan() == 0)
    }
}

/// Reads a frame of a workload, and completes its TCP or UDP checksum if only the pseudo-header's sum is there. `trust` is
/// what whoever sent it is trusted with.
///
/// # Errors
/// `FRAME_TOO_SHORT`, `MAC_INVALID_SOURCE` for a source address that nobody can have, `VLAN_TAGGED` for a tag where there
/// must be none, or what [`crate::trust`] says.
#[inline(always)]
pub fn inner(
    frame: &mut [u8],
    domain: DomainId,
    tags: InnerTags,
    trust: Trust<'_>,
    headers: &mut Headers,
) -> Result<(), DropReason> {
    if plain(frame, domain, trust, headers).is_some() {
        return Ok(());
    }
    *headers = any(frame, domain, tags, trust)?;
    Ok(())
}

const IP: usize = ethernet::LENGTH;
const UPPER: usize = IP + ipv4::LENGTH;
/// Bytes of a plain frame's headers up to the checksum of TCP.
const PLAIN: usize = UPPER + 18;
/// The Ethernet type, version and header length of the packet, and ECN, which says nothing; DSCP beside that may be any.
const SHAPE: u32 = 0x0800_4500;
const SHAPE_MASK: u32 = 0xffff_ff03;

/// [`inner`] of nearly every frame: untagged, with a whole IPv4 packet without options and ECN, TCP or UDP with a checksum
/// that is complete, and above suspicion. All others are left to [`any`], which says the same of these.
#[inline(always)]
fn plain(frame: &[u8], domain: DomainId, trust: Trust<'_>, headers: &mut Headers) -> Option<()> {
    let header = frame.first_chunk::<PLAIN>()?;
    let length = u16::try_from(frame.len()).ok()?;
    let address = |at| u64::from_be_bytes(bytes(header, at)) >> 16;
    let (destination, source) = (address(0), address(ethernet::offset::SOURCE));
    let total = u16::from_be_bytes(bytes(header, IP + ipv4::offset::TOTAL_LENGTH));
    let shape = u32::from_ne_bytes(bytes(header, ethernet::offset::ETHERTYPE)) & SHAPE_MASK.to_be();
    let fragment =
        u16::from_ne_bytes(bytes(header, IP + ipv4::offset::FRAGMENT)) & (!ipv4::DONT_FRAGMENT).to_be();
    if shape != SHAPE.to_be()
        || fragment != 0
        || source == 0
        || source & GROUP_BIT != 0
        || usize::from(total) + IP > usize::from(length)
    {
        return None;
    }
    let protocol = Protocol(header[IP + ipv4::offset::PROTOCOL]);
    let ports = u32::from_be_bytes(bytes(header, UPPER));
    let (checksum, covered, is_suspect) = match protocol {
        Protocol::TCP => {
            let covered = total.checked_sub(ipv4::LENGTH as u16 + 18)? + 18;
            (u16::from_ne_bytes(bytes(header, UPPER + 16)), covered, false)
        }
        Protocol::UDP => {
            total.checked_sub((ipv4::LENGTH + udp::LENGTH) as u16)?;
            let length = u16::from_be_bytes(bytes(header, UPPER + udp::offset::LENGTH));
            let checksum = u16::from_ne_bytes(bytes(header, UPPER + udp::offset::CHECKSUM));
            (checksum, length, trust.suspects(ports as u16))
        }
        _ => return None,
    };
    let [from, to] =
        [ipv4::offset::SOURCE, ipv4::offset::DESTINATION].map(|at| Ipv4Addr::from(bytes(header, IP + at)));
    let is_partial = Sum::of_pseudo_ipv4(from, to, protocol, covered).fold_ne() == checksum;
    if is_partial | is_suspect {
        return None;
    }
    *headers = Headers {
        destination: Key::of_bits(domain, destination),
        source: Key::of_bits(domain, source),
        ethertype: EtherType::IPV4,
        offset: IP as u16,
        length,
        size: Size::new(length, false),
        flow: entropy::of_ipv4(from, to, protocol, ports),
        is_completed: false,
        resolution: None,
    };
    Some(())
}

/// Bytes at a constant place of a header, which the compiler sees to be there.
#[inline(always)]
fn bytes<const N: usize>(header: &[u8; PLAIN], at: usize) -> [u8; N] {
    header.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

/// [`inner`] of any frame.
#[inline(never)]
fn any(frame: &mut [u8], domain: DomainId, tags: InnerTags, trust: Trust<'_>) -> Result<Headers, DropReason> {
    let length = u16::try_from(frame.len()).map_err(|_| DropReason::PacketTooBig)?;
    let Some((destination, source, ethertype)) = addresses(frame) else {
        return Err(DropReason::FrameTooShort);
    };
    if source == 0 || source & GROUP_BIT != 0 {
        return Err(DropReason::MacInvalidSource);
    }
    let (ethertype, offset) = behind_tags(frame, ethertype, tags)?;
    let packet = frame.get_mut(usize::from(offset)..).unwrap_or_default();
    let (flow, resolution) = match ethertype {
        EtherType::IPV4 => (ipv4_flow(packet, trust)?, None),
        EtherType::IPV6 => ipv6_flow(packet, trust)?,
        EtherType::ARP => (None, Some(Resolution::Arp)),
        _ => (None, None),
    };
    let Flow { hash: flow, is_completed, has_ecn } =
        flow.unwrap_or_else(|| Flow::plain(entropy::of_addresses(source, destination)));
    let size = Size::new(length, has_ecn);
    let (destination, source) = (Key::of_bits(domain, destination), Key::of_bits(domain, source));
    Ok(Headers { destination, source, ethertype, offset, length, size, flow, is_completed, resolution })
}

/// What a packet says of its flow and itself.
#[derive(Clone, Copy)]
struct Flow {
    hash: u32,
    /// Whether its TCP or UDP checksum was completed here.
    is_completed: bool,
    /// Whether its ECN field says anything.
    has_ecn: bool,
}

impl Flow {
    const fn plain(hash: u32) -> Self {
        Self { hash, is_completed: false, has_ecn: false }
    }
}

/// The group bit of an address in a word.
const GROUP_BIT: u64 = 1 << 40;

/// Destination, source and type. Two words read them at once, and as words the addresses go into keys.
#[inline]
fn addresses(frame: &[u8]) -> Option<(u64, u64, EtherType)> {
    let header = frame.first_chunk::<{ ethernet::LENGTH }>()?;
    let word =
        |at: usize| header.get(at..).and_then(<[u8]>::first_chunk).map(|word| u64::from_be_bytes(*word));
    let (first, second) = (word(0)?, word(ethernet::offset::SOURCE)?);
    Some((first >> 16, second >> 16, EtherType(second as u16)))
}

/// What follows the VLAN tags, and where.
fn behind_tags(frame: &[u8], ethertype: EtherType, tags: InnerTags) -> Result<(EtherType, u16), DropReason> {
    if !ethertype.is_tag() {
        return Ok((ethertype, ethernet::LENGTH as u16));
    }
    if tags == InnerTags::Dropped {
        return Err(DropReason::VlanTagged);
    }
    let payload = ethernet::payload(frame).map_err(hidden)?;
    Ok((payload.ethertype, payload.offset as u16))
}

/// The flow of an IPv4 packet; `None` if it is malformed.
fn ipv4_flow(packet: &mut [u8], trust: Trust<'_>) -> Result<Option<Flow>, DropReason> {
    let Ok((header, length)) = ipv4::Header::parse(packet) else { return Ok(None) };
    let segment = packet.get(length..usize::from(header.total_length)).unwrap_or_default();
    trust.check_ipv4(&header, segment)?;
    let ipv4::Header { source, destination, protocol, traffic_class, .. } = header;
    let has_ecn = traffic_class.ecn() != ecn::NOT_ECT;
    if header.is_fragment() {
        let hash = entropy::of_ipv4(source, destination, protocol, 0);
        return Ok(Some(Flow { has_ecn, ..Flow::plain(hash) }));
    }
    let upper = Upper::read(protocol, segment);
    let is_completed = upper.holds(|length| Sum::of_pseudo_ipv4(source, destination, protocol, length))
        && checksum::complete_partial_ipv4(packet);
    let hash = entropy::of_ipv4(source, destination, protocol, upper.ports);
    Ok(Some(Flow { hash, is_completed, has_ecn }))
}

/// The flow of an IPv6 packet, `None` if it is malformed, and whether it resolves addresses.
fn ipv6_flow(packet: &mut [u8], trust: Trust<'_>) -> Result<(Option<Flow>, Option<Resolution>), DropReason> {
    let Ok((header, _)) = ipv6::Header::parse(packet) else { return Ok((None, None)) };
    let ipv6::Header { source, destination, traffic_class, .. } = header;
    let has_ecn = traffic_class.ecn() != ecn::NOT_ECT;
    let upper = header.upper_layer(packet);
    trust.check_ipv6(&header, upper, packet)?;
    let found = upper.ok();
    if found.map_or_else(|| header.is_fragment(packet), |found| found.is_fragment()) {
        // Only the first piece knows what follows further extension headers, and perhaps not even that one.
        let hash = entropy::of_ipv6(source, destination, Protocol::FRAGMENT, 0);
        let may_resolve = found.is_none_or(|found| {
            found.has_upper_header() && Upper::of(&header, found, packet).resolution.is_some()
        });
        let resolution = may_resolve.then_some(Resolution::Hidden);
        return Ok((Some(Flow { has_ecn, ..Flow::plain(hash) }), resolution));
    }
    let Some(found) = found else { return Ok((None, Some(Resolution::Hidden))) };
    let upper = Upper::of(&header, found, packet);
    let is_completed = upper
        .holds(|length| Sum::of_pseudo_ipv6(source, destination, found.protocol, length.into()))
        && checksum::complete_partial_ipv6(packet);
    let hash = entropy::of_ipv6(source, destination, found.protocol, upper.ports);
    Ok((Some(Flow { hash, is_completed, has_ecn }), upper.resolution))
}

/// What an upper-layer header says about the flow, and about its checksum.
#[derive(Clone, Copy)]
struct Upper {
    /// Source and destination port; zero if there are none.
    ports: u32,
    /// The checksum of TCP and UDP, and the length that goes into their pseudo-header.
    checksum: Option<(u16, u16)>,
    /// Whether it is a message of neighbour or router discovery.
    resolution: Option<Resolution>,
}

impl Upper {
    #[inline]
    fn of(header: &ipv6::Header, found: ipv6::UpperLayer, packet: &[u8]) -> Self {
        Self::read(found.protocol, packet.get(found.offset..header.end()).unwrap_or_default())
    }

    #[inline]
    fn read(protocol: Protocol, segment: &[u8]) -> Self {
        let ports = segment.first_chunk().map_or(0, |ports| u32::from_be_bytes(*ports));
        match protocol {
            Protocol::TCP => {
                let checksum = segment.first_chunk().map(|header: &[u8; 18]| {
                    let [.., c0, c1] = *header;
                    (u16::from_be_bytes([c0, c1]), segment.len() as u16)
                });
                Self { ports, checksum, resolution: None }
            }
            Protocol::UDP => {
                let checksum = segment.first_chunk().map(|header: &[u8; udp::LENGTH]| {
                    let [.., l0, l1, c0, c1] = *header;
                    (u16::from_be_bytes([c0, c1]), u16::from_be_bytes([l0, l1]))
                });
                Self { ports, checksum, resolution: None }
            }
            Protocol::SCTP => Self { ports, checksum: None, resolution: None },
            Protocol::ICMPV6 => {
                let is_resolution = matches!(segment, [v6::ROUTER_SOLICITATION..=v6::REDIRECT, ..]);
                let resolution = is_resolution.then_some(Resolution::NeighbourDiscovery);
                Self { ports: 0, checksum: None, resolution }
            }
            _ => Self { ports: 0, checksum: None, resolution: None },
        }
    }

    /// Whether the checksum is left to the device: the field holds the sum of the pseudo-header of this length. By
    /// chance it does so in one of 65,535 finished segments too, which completing does not change.
    #[inline]
    fn holds(&self, pseudo_header: impl Fn(u16) -> Sum) -> bool {
        self.checksum.is_some_and(|(checksum, length)| pseudo_header(length).fold() == checksum)
    }
}

/// Strips the outer header of a tunnel packet for us, and whatever follows the packet, reads the inner frame, and tells
/// whom it came from. Of a tunnel that is known ([`KnownTunnels::recognise`]) only the inner frame is left to read.
///
/// # Errors
/// Why the packet is refused. The frame may have lost its outer header then.
#[inline(never)]
pub fn tunnelled(
    frame: &mut Frame<'_>,
    tunnels: &Tunnels,
    known: &mut KnownTunnels,
    headers: &mut Headers,
) -> Result<RemoteId, DropReason> {
    let Origin { remote, domain, tags } = outer(frame, tunnels, known)?;
    inner(frame.bytes_mut(), domain, tags, Trust::FULL, headers)?;
    Ok(remote)
}

/// Strips the outer header of a tunnel packet for us, and tells whom it came from.
fn outer(frame: &mut Frame<'_>, tunnels: &Tunnels, known: &mut KnownTunnels) -> Result<Origin, DropReason> {
    let (header, _) = ethernet::Header::parse(frame.bytes()).map_err(|_| DropReason::FrameTooShort)?;
    if header.ethertype != EtherType::IPV4 {
        return outer6::strip(frame, header.ethertype, &tunnels.v6);
    }
    let tunnels = &tunnels.v4;
    let packet = frame.bytes_mut().get_mut(ethernet::LENGTH..).unwrap_or_default();
    let (header, length) = ipv4_header(packet)?;
    let upper = packet.get_mut(length..usize::from(header.total_length)).unwrap_or_default();
    let ends = Ends { local: header.destination, peer: header.source };
    let found = match header.protocol {
        Protocol::UDP => wrapped::datagram(ends, upper, tunnels)?,
        Protocol::GRE => wrapped::gre(ends, upper, tunnels)?,
        _ => return Err(DropReason::NotTunnel),
    };
    let origin = found.origin(ends, tunnels)?;
    if matches!(found.encapsulation, Encapsulation::Vxlan { .. }) {
        known.remember(frame.bytes(), origin);
    }
    let class = header.traffic_class;
    wrapped::unwrap(frame, ethernet::LENGTH + length, &found.inner)?;
    marking::decapsulate(frame.bytes_mut(), class)?;
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
