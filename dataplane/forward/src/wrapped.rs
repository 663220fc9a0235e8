//! What is between the outer IP header and the inner frame, over either address family: VXLAN in UDP, or GRE. Part of
//! the first stage.

use std::ops::Range;

use wire::checksum::{self, Sum};
use wire::ethernet::EtherType;
use wire::{gre, udp, vxlan};

use crate::description::Encapsulation;
use crate::frame::Frame;
use crate::tunnel::{Family, TunnelTable};
use crate::verdict::DropReason;

/// The two ends of a tunnel packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<A> {
    /// Where it came to.
    pub(crate) local: A,
    /// Where it came from.
    pub(crate) peer: A,
}

/// How an inner frame is wrapped.
#[derive(Clone, Debug)]
pub(crate) struct Wrapped {
    pub(crate) encapsulation: Encapsulation,
    /// Where the inner frame lies behind the outer IP header.
    pub(crate) inner: Range<usize>,
    /// Whether a UDP checksum was there, which is right then; GRE over IPv6 needs none (RFC 7676 section 4.2).
    pub(crate) has_checksum: bool,
}

/// Reads a UDP datagram.
#[inline]
pub(crate) fn vxlan<A: Family>(
    ends: Ends<A>,
    upper: &mut [u8],
    tunnels: &TunnelTable<A>,
) -> Result<Wrapped, DropReason> {
    let (header, start) = udp::Header::parse(upper).map_err(|_| DropReason::FrameTooShort)?;
    let port = header.destination_port;
    if !tunnels.takes_vxlan(ends.local, port) {
        return Err(DropReason::NotTunnel);
    }
    let datagram = upper.get_mut(..usize::from(header.length)).unwrap_or_default();
    let has_checksum = header.checksum != 0;
    if has_checksum {
        verify_udp(datagram, A::pseudo_header(ends.peer, ends.local, header.length), header.checksum)?;
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
    let encapsulation = Encapsulation::Vxlan { vni: header.vni, port };
    Ok(Wrapped { encapsulation, inner: start + length..datagram.len(), has_checksum })
}

/// Verifies an outer UDP checksum that is not zero.
///
/// A Linux peer on the other end of a veth leaves checksums to the device, in one of two ways: the outer one holds
/// only its pseudo-header's sum; or the outer one is right for an inner checksum that is yet to be completed ("local
/// checksum offload", the kernel's `Documentation/networking/checksum-offloads.rst`). The inner one is completed by
/// [`crate::parse::inner`], so a look at the headers is enough then.
#[inline(never)]
fn verify_udp(datagram: &[u8], pseudo_header: Sum, checksum: u16) -> Result<(), DropReason> {
    let local = datagram.split_at_checked(udp::LENGTH + vxlan::LENGTH).and_then(|(headers, inner)| {
        let inner = checksum::sum_of_partial(inner)?;
        Some(pseudo_header + Sum::of(headers) + inner)
    });
    if local.is_some_and(Sum::is_valid)
        || udp::checksum_is_valid(pseudo_header, datagram)
        || pseudo_header.fold() == checksum
    {
        Ok(())
    } else {
        Err(DropReason::UdpChecksum)
    }
}

/// Reads a GRE packet.
#[inline]
pub(crate) fn gre<A: Family>(
    ends: Ends<A>,
    upper: &mut [u8],
    tunnels: &TunnelTable<A>,
) -> Result<Wrapped, DropReason> {
    if !tunnels.takes_gre(ends.local) {
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
    let encapsulation = Encapsulation::Gre { key: header.key };
    Ok(Wrapped { encapsulation, inner: length..upper.len(), has_checksum: true })
}

/// Strips what is around the inner frame; the upper layer begins at `start`.
#[inline]
pub(crate) fn unwrap(frame: &mut Frame<'_>, start: usize, inner: &Range<usize>) -> Result<(), DropReason> {
    // Both lie within the frame, whose length is a u16.
    frame.truncate((start + inner.end) as u16);
    frame.pull((start + inner.start) as u16).ok_or(DropReason::FrameTooShort)
}
