//! The way to a remote: its outer header, built once per publication, and what has to be patched in for each frame.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::checksum::Sum;
use wire::ethernet::EtherType;
use wire::{Mac, Vni, ethernet, gre, ipv4, udp, vxlan};

use crate::datagram::{DatagramSum, sum_of_frame};
use crate::description::{Encapsulation, Path, Remote};
use crate::entropy;
use crate::extended::{Below, ExtendedHeader};
use crate::frame::Frame;
use crate::ids::{DomainId, PortId, RemoteId};
use crate::limits::MAX_OUTER_HEADER;
use crate::marking::DontFragment;
use crate::outer6::{self, OuterHeader6};
use crate::parse::Headers;
use crate::size::Size;
use crate::tunnel::Family;
use crate::verdict::DropReason;

/// Where frames for a remote leave, and the header they leave with.
#[derive(Clone, Debug)]
pub struct Egress {
    remote: Remote,
    uplink: PortId,
    /// Why no frame can leave, if so.
    closed: Option<DropReason>,
    /// Longest frame that can leave, in bytes; 0 if none can.
    longest: u16,
    /// The same of BFD packets, which also go to a remote that does not answer.
    reach: u16,
    /// The same for frames whose packet the outer header says nothing of; 0 where it always does, or numbers packets, or where
    /// not every frame can go.
    longest_ordinary: u16,
    header: OuterHeader,
}

impl Egress {
    /// The way to a remote whose uplink takes packets of at most `mtu` bytes.
    pub(crate) fn new(remote: Remote, mtu: u16) -> Self {
        let nowhere = (PortId(0), Mac::ZERO, Mac::ZERO);
        let (closed, (uplink, source, next_hop), path_mtu) = match remote.path {
            Path::Resolved { uplink, source, next_hop, mtu } => (None, (uplink, source, next_hop), mtu),
            Path::Withdrawn { uplink, source, next_hop } => {
                (Some(DropReason::NoRemote), (uplink, source, next_hop), 0)
            }
            Path::NoRoute => (Some(DropReason::NoRoute), nowhere, 0),
            Path::Unresolved => (Some(DropReason::NeighbourUnresolved), nowhere, 0),
        };
        let header = OuterHeader::new(&remote, source, next_hop);
        let longest = |mtu: u16| (usize::from(mtu) + ethernet::LENGTH).saturating_sub(header.length()) as u16;
        let reach = longest(mtu);
        let longest = if closed.is_some() { 0 } else { longest(mtu.min(path_mtu)) };
        let aside = remote.marking.inherits()
            || remote.options.gre_sequence.is_some()
            || !remote.encapsulation.carries_tags();
        let longest_ordinary = if aside { 0 } else { longest };
        Self { remote, uplink, closed, longest, reach, longest_ordinary, header }
    }

    /// The remote as control describes it.
    #[must_use]
    pub const fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Its index.
    #[must_use]
    pub const fn id(&self) -> RemoteId {
        self.remote.id
    }

    /// The bridge domain of its frames.
    #[must_use]
    pub const fn domain(&self) -> DomainId {
        self.remote.domain
    }

    /// Whether a frame can go there.
    ///
    /// # Errors
    /// `NO_ROUTE`, `NEIGHBOUR_UNRESOLVED`, `PKT_TOO_BIG` if the outer packet exceeds the uplink's MTU, or `VLAN_TAGGED`.
    #[inline]
    pub fn takes(&self, headers: &Headers) -> Result<(), DropReason> {
        if headers.is_tagged() && !self.remote.encapsulation.carries_tags() {
            return Err(DropReason::VlanTagged);
        }
        if headers.length > self.longest {
            return Err(self.closed.unwrap_or(DropReason::PacketTooBig));
        }
        Ok(())
    }

    /// Whether [`Egress::push`] is all that a frame needs to go there.
    #[inline(always)]
    #[must_use]
    pub const fn takes_ordinarily(&self, size: Size) -> bool {
        size.is_ordinary(self.longest_ordinary)
    }

    /// Whether its packets are numbered (RFC 2890), and so have to leave in the order in which they got their headers.
    #[inline]
    #[must_use]
    pub const fn is_numbered(&self) -> bool {
        self.remote.options.gre_sequence.is_some()
    }

    /// The uplink that its frames leave by.
    #[inline]
    #[must_use]
    pub const fn uplink(&self) -> PortId {
        self.uplink
    }

    /// The uplink that a BFD packet of `length` bytes can take.
    ///
    /// # Errors
    /// As [`Egress::takes`], but for a remote that does not answer.
    pub fn reach_for(&self, length: usize) -> Result<PortId, DropReason> {
        if length > usize::from(self.reach) {
            return Err(self.closed.unwrap_or(DropReason::PacketTooBig));
        }
        Ok(self.uplink)
    }

    /// The longest frame that the uplink takes, whether or not the remote answers.
    #[must_use]
    pub const fn reach(&self) -> u16 {
        self.reach
    }

    /// Bytes that encapsulation adds to an Ethernet frame, beside the outer Ethernet header: what a packet on the underlay
    /// has more than the frame in it.
    #[must_use]
    pub fn overhead(&self) -> u16 {
        (self.header.length() - ethernet::LENGTH) as u16
    }

    /// Longest frame that can leave, in bytes; 0 if none can.
    #[must_use]
    pub const fn longest(&self) -> u16 {
        self.longest
    }

    /// Puts the outer header before a frame.
    ///
    /// # Errors
    /// `NO_HEADROOM` if the chunk has no room for it.
    #[inline(always)]
    pub fn push(&self, frame: &mut Frame<'_>, outgoing: Outgoing) -> Result<(), DropReason> {
        self.header.push(frame, outgoing).ok_or(DropReason::Headroom)
    }

    /// The same, with what the outer header has to say of the inner packet.
    ///
    /// # Errors
    /// As [`Egress::push`].
    #[inline(never)]
    pub fn push_marked(&self, frame: &mut Frame<'_>, outgoing: Outgoing) -> Result<(), DropReason> {
        self.push(frame, outgoing)?;
        self.remote.marking.apply(frame.bytes_mut(), self.header.length());
        Ok(())
    }
}

/// What differs from frame to frame in the outer header.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// Hash of the inner flow.
    pub flow: u32,
    /// Whether the inner TCP or UDP checksum is known to be right.
    pub is_completed: bool,
    /// Identification of the outer IPv4 packet.
    pub identification: u16,
}

const IP: usize = ethernet::LENGTH;
const UPPER: usize = IP + ipv4::LENGTH;
const VXLAN_LENGTH: usize = UPPER + udp::LENGTH + vxlan::LENGTH;
const GRE_LENGTH: usize = UPPER + gre::MIN_LENGTH;
const GRE_KEY_LENGTH: usize = GRE_LENGTH + 4;

const _: () = assert!(VXLAN_LENGTH <= MAX_OUTER_HEADER && GRE_KEY_LENGTH <= MAX_OUTER_HEADER);

/// A finished outer header but for lengths, identification, checksum and source port, which are zero.
#[derive(Clone, Debug)]
struct OuterHeader {
    /// Ones' complement sum of the IPv4 header.
    sum: u16,
    bytes: Bytes,
}

/// One variant per length, so that copying and patching need no bounds.
#[derive(Clone, Debug)]
enum Bytes {
    Vxlan([u8; VXLAN_LENGTH]),
    Gre([u8; GRE_LENGTH]),
    GreKey([u8; GRE_KEY_LENGTH]),
    /// With a UDP checksum, which over IPv4 is there on request only.
    VxlanChecksum(Box<([u8; VXLAN_LENGTH], DatagramSum)>),
    /// Behind a pointer, so that the headers of IPv4 stay close together.
    V6(Box<OuterHeader6>),
    /// With more than the others say, over either family.
    Extended(Box<ExtendedHeader>),
}

impl OuterHeader {
    fn new(remote: &Remote, source: Mac, next_hop: Mac) -> Self {
        let Remote { encapsulation, marking, udp_checksum, .. } = *remote;
        match (remote.local, remote.address) {
            (IpAddr::V4(local), IpAddr::V4(peer)) => {
                Self::over_ipv4((local, peer), (next_hop, source), remote)
            }
            (IpAddr::V6(local), IpAddr::V6(peer)) => {
                let (ends, macs) = ((local, peer), (next_hop, source));
                if remote.options.extend(encapsulation) {
                    let below = Below::V6(outer6::below(ends, macs, encapsulation, marking));
                    let pseudo_header = Ipv6Addr::pseudo_header(local, peer, 0);
                    return Self::extended(remote, below, pseudo_header);
                }
                let header = OuterHeader6::new(ends, macs, encapsulation, marking, udp_checksum);
                Self { sum: 0, bytes: Bytes::V6(Box::new(header)) }
            }
            // Refused when the tables are built; a header without addresses goes nowhere.
            _ => Self { sum: 0, bytes: Bytes::Gre([0; GRE_LENGTH]) },
        }
    }

    fn extended(remote: &Remote, below: Below, pseudo_header: Sum) -> Self {
        let header = ExtendedHeader::new(remote, below, pseudo_header);
        Self { sum: 0, bytes: Bytes::Extended(Box::new(header)) }
    }

    fn over_ipv4(
        (local, peer): (Ipv4Addr, Ipv4Addr),
        (destination, source): (Mac, Mac),
        remote: &Remote,
    ) -> Self {
        let protocol = remote.encapsulation.protocol();
        let ethernet = ethernet::Header { destination, source, ethertype: EtherType::IPV4 };
        let packet = ipv4::Header {
            traffic_class: remote.marking.fixed_class(),
            total_length: 0,
            identification: 0,
            dont_fragment: remote.marking.df == DontFragment::Set,
            more_fragments: false,
            fragment_offset: 0,
            ttl: remote.marking.fixed_ttl(),
            protocol,
            source: local,
            destination: peer,
        };
        let mut packet = packet.to_bytes();
        let [.., c0, c1, _, _, _, _, _, _, _, _] = packet;
        let sum = !u16::from_be_bytes([c0, c1]);
        packet[ipv4::offset::CHECKSUM..ipv4::offset::CHECKSUM + 2].fill(0);
        let below: [u8; UPPER] = concatenate(&ethernet.to_bytes(), &packet);
        if remote.options.extend(remote.encapsulation) {
            let pseudo_header = Ipv4Addr::pseudo_header(local, peer, 0);
            return Self::extended(remote, Below::V4(below, sum), pseudo_header);
        }
        let bytes = match remote.encapsulation {
            Encapsulation::Vxlan { vni, port } => {
                let upper = vxlan_bytes(vni, port);
                let bytes = concatenate(&below, &upper);
                if remote.udp_checksum {
                    let sum = DatagramSum::new(Ipv4Addr::pseudo_header(local, peer, 0), &upper);
                    Bytes::VxlanChecksum(Box::new((bytes, sum)))
                } else {
                    Bytes::Vxlan(bytes)
                }
            }
            Encapsulation::Gre { key: None } => Bytes::Gre(concatenate(&below, &gre_bytes())),
            Encapsulation::Gre { key: Some(key) } => Bytes::GreKey(concatenate(&below, &gre_key_bytes(key))),
            // Always extended.
            Encapsulation::Nvgre { .. } | Encapsulation::GreInUdp { .. } => Bytes::Gre([0; GRE_LENGTH]),
        };
        Self { sum, bytes }
    }

    fn length(&self) -> usize {
        match &self.bytes {
            Bytes::Vxlan(_) | Bytes::VxlanChecksum(_) => VXLAN_LENGTH,
            Bytes::Gre(_) => GRE_LENGTH,
            Bytes::GreKey(_) => GRE_KEY_LENGTH,
            Bytes::V6(header) => header.length(),
            Bytes::Extended(header) => header.length(),
        }
    }

    #[inline(always)]
    fn push(&self, frame: &mut Frame<'_>, outgoing: Outgoing) -> Option<()> {
        if let Bytes::Vxlan(bytes) = &self.bytes {
            push_vxlan(frame, bytes, self.sum, outgoing)?;
            return Some(());
        }
        // A window of its own, so that only here it has to be in memory.
        let Frame { room, head, len } = frame;
        self.push_any(&mut Frame { room, head, len }, outgoing)
    }

    #[inline(never)]
    fn push_any(&self, frame: &mut Frame<'_>, outgoing: Outgoing) -> Option<()> {
        let identification = outgoing.identification;
        match &self.bytes {
            Bytes::Vxlan(bytes) => {
                push_vxlan(frame, bytes, self.sum, outgoing)?;
            }
            Bytes::Gre(bytes) => {
                push(frame, bytes, self.sum, identification)?;
            }
            Bytes::GreKey(bytes) => {
                push(frame, bytes, self.sum, identification)?;
            }
            Bytes::VxlanChecksum(template) => push_vxlan_with_checksum(frame, template, self.sum, outgoing)?,
            Bytes::V6(header) => header.push(frame, outgoing)?,
            Bytes::Extended(header) => header.push(frame, outgoing)?,
        }
        Some(())
    }
}

/// Pushes a VXLAN header without a UDP checksum. Gives the datagram's length too.
#[inline(always)]
fn push_vxlan<'a>(
    frame: &'a mut Frame<'_>,
    bytes: &[u8; VXLAN_LENGTH],
    sum: u16,
    outgoing: Outgoing,
) -> Option<(&'a mut [u8; VXLAN_LENGTH], u16)> {
    let (header, packet) = push(frame, bytes, sum, outgoing.identification)?;
    let length = packet.wrapping_sub(ipv4::LENGTH as u16);
    set(header, UPPER + udp::offset::SOURCE_PORT, entropy::source_port(outgoing.flow));
    set(header, UPPER + udp::offset::LENGTH, length);
    Some((header, length))
}

/// Pushes a VXLAN header with a UDP checksum.
#[inline(never)]
fn push_vxlan_with_checksum(
    frame: &mut Frame<'_>,
    (bytes, datagram): &([u8; VXLAN_LENGTH], DatagramSum),
    sum: u16,
    outgoing: Outgoing,
) -> Option<()> {
    let inner = sum_of_frame(frame.bytes(), outgoing.is_completed);
    let (header, length) = push_vxlan(frame, bytes, sum, outgoing)?;
    let checksum = datagram.checksum(inner, entropy::source_port(outgoing.flow), length);
    set(header, UPPER + udp::offset::CHECKSUM, checksum);
    Some(())
}

/// Pushes a header of `N` bytes and patches what every outer IPv4 header needs. Gives the packet's length too.
#[inline(always)]
fn push<'a, const N: usize>(
    frame: &'a mut Frame<'_>,
    bytes: &[u8; N],
    sum: u16,
    identification: u16,
) -> Option<(&'a mut [u8; N], u16)> {
    let (header, length) = frame.push::<N>()?;
    // The frame has the header's bytes now at least, so neither this nor the datagram's length wraps.
    let packet = length.wrapping_sub(IP as u16);
    *header = *bytes;
    let sum = u32::from(sum) + u32::from(packet) + u32::from(identification);
    // The halves' ones' complement sum, in the upper half (as in wire::checksum).
    let sum = sum.wrapping_add(sum.rotate_left(16));
    set(header, IP + ipv4::offset::TOTAL_LENGTH, packet);
    set(header, IP + ipv4::offset::IDENTIFICATION, identification);
    set(header, IP + ipv4::offset::CHECKSUM, !((sum >> 16) as u16));
    Some((header, packet))
}

/// Writes a field; the offset is a constant below `N`, so no check remains.
#[inline]
pub(crate) fn set<const N: usize>(header: &mut [u8; N], offset: usize, value: u16) {
    if let Some(field) = header.get_mut(offset..offset + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// UDP and VXLAN header without source port, length and checksum.
pub(crate) fn vxlan_bytes(vni: Vni, port: u16) -> [u8; udp::LENGTH + vxlan::LENGTH] {
    let datagram = udp::Header { source_port: 0, destination_port: port, length: 0, checksum: 0 };
    concatenate(&datagram.to_bytes(), &vxlan::Header::new(vni).to_bytes())
}

/// GRE header without a key.
pub(crate) const fn gre_bytes() -> [u8; gre::MIN_LENGTH] {
    (EtherType::ETHERNET_BRIDGING.0 as u32).to_be_bytes()
}

/// GRE header with a key.
pub(crate) fn gre_key_bytes(key: u32) -> [u8; gre::MIN_LENGTH + 4] {
    let first = u32::from(gre::KEY_FLAG) << 16 | u32::from(EtherType::ETHERNET_BRIDGING.0);
    concatenate(&first.to_be_bytes(), &key.to_be_bytes())
}

/// Two parts as one; `N` is the sum of their lengths.
pub(crate) fn concatenate<const N: usize>(first: &[u8], second: &[u8]) -> [u8; N] {
    debug_assert_eq!(first.len() + second.len(), N);
    let mut whole = [0; N];
    for (to, from) in whole.iter_mut().zip(first.iter().chain(second)) {
        *to = *from;
    }
    whole
}
