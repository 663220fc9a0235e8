//! Outer headers that say more than the plain ones: GRE with a checksum, a sequence number or a flow in its key, GRE in
//! UDP, source ports out of another range. Over either address family; pushed out of the way of the plain ones.

use std::sync::Arc;

use wire::checksum::Sum;
use wire::{ethernet, gre, ipv4, ipv6, udp};

use crate::datagram::sum_of_frame;
use crate::description::{Encapsulation, Remote};
use crate::entropy::{self, SourcePorts};
use crate::frame::Frame;
use crate::limits::MAX_OUTER_HEADER;
use crate::remote::{Outgoing, vxlan_bytes};
use crate::sync::{AtomicU32, Ordering};

/// The sequence numbers of a GRE tunnel (RFC 2890 section 2.2), from 0. Every worker takes the next one, so packets of
/// different workers may overtake each other.
#[derive(Debug)]
pub struct Sequence(AtomicU32);

impl Default for Sequence {
    fn default() -> Self {
        Self(AtomicU32::new(0))
    }
}

impl Sequence {
    /// The next number. It says nothing of anything else in memory, so no order is asked for.
    fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// What stands below the upper layer.
#[derive(Clone, Debug)]
pub(crate) enum Below {
    /// Ethernet and IPv4 without lengths, identification and checksum; and the sum of the IPv4 header.
    V4([u8; ethernet::LENGTH + ipv4::LENGTH], u16),
    /// Ethernet and IPv6 without flow label and length.
    V6([u8; ethernet::LENGTH + ipv6::LENGTH]),
}

/// A finished outer header but for what differs from frame to frame, which is zero.
#[derive(Clone, Debug)]
pub(crate) struct ExtendedHeader {
    bytes: [u8; MAX_OUTER_HEADER],
    length: usize,
    below: Below,
    udp: Option<Udp>,
    gre: Option<Gre>,
}

#[derive(Clone, Debug)]
struct Udp {
    source_ports: SourcePorts,
    /// The sum of the pseudo-header of an empty datagram; `None` sends no checksum.
    pseudo_header: Option<Sum>,
}

#[derive(Clone, Debug)]
struct Gre {
    /// Where it begins.
    at: usize,
    has_checksum: bool,
    sequence: Option<Arc<Sequence>>,
    /// Whether the key's last octet is a flow (RFC 7637 section 3.2).
    has_flow: bool,
}

impl ExtendedHeader {
    /// The header of a remote. `pseudo_header` is that of an empty UDP datagram.
    pub(crate) fn new(remote: &Remote, below: Below, pseudo_header: Sum) -> Self {
        let mut header = Self { bytes: [0; MAX_OUTER_HEADER], length: 0, below, udp: None, gre: None };
        match header.below.clone() {
            Below::V4(bytes, _) => header.append(&bytes),
            Below::V6(bytes) => header.append(&bytes),
        }
        let pseudo_header = remote.udp_checksum.then_some(pseudo_header);
        let udp = Udp { source_ports: remote.options.source_ports, pseudo_header };
        match remote.encapsulation {
            Encapsulation::Vxlan { vni, port } => {
                header.udp = Some(udp);
                header.append(&vxlan_bytes(vni, port));
            }
            Encapsulation::Gre { key } => header.append_gre(remote, key, false),
            Encapsulation::Nvgre { subnet } => {
                header.append_gre(remote, Some(gre::nvgre_key(subnet, 0)), true);
            }
            Encapsulation::GreInUdp { key, port } => {
                header.udp = Some(udp);
                let fields = udp::Header { source_port: 0, destination_port: port, length: 0, checksum: 0 };
                header.append(&fields.to_bytes());
                header.append_gre(remote, key, false);
            }
        }
        header
    }

    fn append(&mut self, bytes: &[u8]) {
        let rest = self.bytes.get_mut(self.length..).unwrap_or_default();
        for (to, from) in rest.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.length = (self.length + bytes.len()).min(MAX_OUTER_HEADER);
    }

    fn append_gre(&mut self, remote: &Remote, key: Option<u32>, has_flow: bool) {
        let (has_checksum, sequence) = (remote.options.gre_checksum, remote.options.gre_sequence.clone());
        let header = gre::Header {
            protocol: ethernet::EtherType::ETHERNET_BRIDGING,
            checksum: has_checksum.then_some(0),
            key,
            sequence: sequence.as_ref().map(|_| 0),
        };
        let mut bytes = [0; gre::MAX_LENGTH];
        // It has the room of the longest header.
        let length = header.emit(&mut bytes).unwrap_or(gre::MIN_LENGTH);
        self.gre = Some(Gre { at: self.length, has_checksum, sequence, has_flow });
        self.append(bytes.get(..length).unwrap_or_default());
    }

    /// Bytes of it.
    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    /// As [`crate::remote::Egress::push`].
    #[inline(never)]
    pub(crate) fn push(&self, frame: &mut Frame<'_>, outgoing: Outgoing) -> Option<()> {
        let sums = self.gre.as_ref().is_some_and(|gre| gre.has_checksum)
            || self.udp.as_ref().is_some_and(|udp| udp.pseudo_header.is_some());
        let mut payload =
            if sums { sum_of_frame(frame.bytes(), outgoing.is_completed) } else { Sum::default() };
        let (header, length) = frame.push_slice(self.bytes.get(..self.length)?)?;
        if let Some(gre) = &self.gre {
            let header = header.get_mut(gre.at..)?;
            gre.finish(header, outgoing.flow, payload)?;
            if sums {
                payload = payload + Sum::of(header);
            }
        }
        let upper = match &self.below {
            Below::V4(_, sum) => finish_ipv4(header, length, *sum, outgoing.identification)?,
            Below::V6(_) => finish_ipv6(header, length, outgoing.flow)?,
        };
        if let Some(udp) = &self.udp {
            // VXLAN's header is a part of what the checksum covers, GRE's has been added.
            let (udp_header, rest) = header.get_mut(upper.at..)?.split_at_mut_checked(udp::LENGTH)?;
            let payload = if self.gre.is_none() { payload + Sum::of(rest) } else { payload };
            udp.finish(udp_header, upper.length, outgoing.flow, payload)?;
        }
        Some(())
    }
}

/// Where the upper layer begins, and its length.
struct Upper {
    at: usize,
    length: u16,
}

impl Gre {
    fn finish(&self, header: &mut [u8], flow: u32, payload: Sum) -> Option<()> {
        let key = gre::MIN_LENGTH + if self.has_checksum { 4 } else { 0 };
        if self.has_flow {
            *header.get_mut(key + 3)? = (flow >> 24) as u8;
        }
        if let Some(sequence) = &self.sequence {
            // The last field of the header.
            let at = header.len().checked_sub(4)?;
            header.get_mut(at..)?.copy_from_slice(&sequence.next().to_be_bytes());
        }
        if self.has_checksum {
            let checksum = (Sum::of(header) + payload).checksum();
            put(header, gre::MIN_LENGTH, checksum)?;
        }
        Some(())
    }
}

impl Udp {
    fn finish(&self, header: &mut [u8], length: u16, flow: u32, payload: Sum) -> Option<()> {
        put(header, udp::offset::SOURCE_PORT, self.source_ports.port(flow))?;
        put(header, udp::offset::LENGTH, length)?;
        if let Some(pseudo_header) = self.pseudo_header {
            let sum = pseudo_header + Sum::of_u16(length) + Sum::of(header) + payload;
            put(header, udp::offset::CHECKSUM, udp::checksum(sum))?;
        }
        Some(())
    }
}

fn finish_ipv4(header: &mut [u8], length: u16, sum: u16, identification: u16) -> Option<Upper> {
    let total = length.checked_sub(ethernet::LENGTH as u16)?;
    let packet = header.get_mut(ethernet::LENGTH..)?;
    put(packet, ipv4::offset::TOTAL_LENGTH, total)?;
    put(packet, ipv4::offset::IDENTIFICATION, identification)?;
    let sum = Sum::of_u16(sum) + Sum::of_u16(total) + Sum::of_u16(identification);
    put(packet, ipv4::offset::CHECKSUM, sum.checksum())?;
    Some(Upper { at: ethernet::LENGTH + ipv4::LENGTH, length: total.checked_sub(ipv4::LENGTH as u16)? })
}

fn finish_ipv6(header: &mut [u8], length: u16, flow: u32) -> Option<Upper> {
    let at = ethernet::LENGTH + ipv6::LENGTH;
    let payload = length.checked_sub(at as u16)?;
    let packet = header.get_mut(ethernet::LENGTH..)?;
    let label = entropy::flow_label(flow);
    // Above the label's upper four bits stand the lower four of the traffic class.
    *packet.get_mut(1)? |= (label >> 16) as u8;
    put(packet, ipv6::offset::FLOW + 2, label as u16)?;
    put(packet, ipv6::offset::PAYLOAD_LENGTH, payload)?;
    Some(Upper { at, length: payload })
}

fn put(header: &mut [u8], offset: usize, value: u16) -> Option<()> {
    header.get_mut(offset..offset + 2)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}
