//! What is between the outer IP header and the inner frame, over either address family: VXLAN in UDP, GRE, or GRE in
//! UDP. Part of the first stage.

use std::ops::Range;

use wire::checksum::{self, Sum};
use wire::ethernet::EtherType;
use wire::{gre, udp, vxlan};

use crate::description::Encapsulation;
use crate::frame::Frame;
use crate::tunnel::{Datagram, Family, Origin, Tunnel, TunnelTable};
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
    /// Reserved bits that a VXLAN header has set.
    reserved: u64,
    /// Whether a GRE header has a field that NVGRE has not (RFC 7637 section 3.2).
    is_optioned: bool,
}

impl Wrapped {
    /// Whom the packet came from.
    ///
    /// # Errors
    /// That it comes from nobody, or not as whom it comes from sends.
    #[inline]
    pub(crate) fn origin<A: Family>(
        &self,
        ends: Ends<A>,
        tunnels: &TunnelTable<A>,
    ) -> Result<Origin, DropReason> {
        let tunnel = |encapsulation| Tunnel::new(ends.local, ends.peer, encapsulation);
        let Some((origin, terms)) = tunnels.lookup(tunnel(self.encapsulation)) else {
            let subnet = self.subnet().filter(|_| tunnels.takes_nvgre(ends.local));
            let Some((origin, _)) = subnet.and_then(|subnet| tunnels.lookup(tunnel(subnet))) else {
                let [as_it_is, as_nvgre] = [Some(self.encapsulation), subnet].map(|seen| {
                    seen.map_or(DropReason::VxlanVniNotFound, |seen| tunnels.refusal(ends.local, seen))
                });
                let is_expected = as_it_is == DropReason::PeerNotAllowed;
                return Err(if is_expected { as_it_is } else { as_nvgre });
            };
            return if self.is_optioned { Err(DropReason::GreFlags) } else { Ok(origin) };
        };
        if terms.has_checksum && !self.has_checksum {
            return Err(DropReason::UdpChecksum);
        }
        if self.reserved & !terms.reserved_bits != 0 {
            return Err(DropReason::VxlanInvalidHeader);
        }
        Ok(origin)
    }

    /// A GRE packet with a key, taken for one of NVGRE.
    fn subnet(&self) -> Option<Encapsulation> {
        match self.encapsulation {
            Encapsulation::Gre { key: Some(key) } => {
                Some(Encapsulation::Nvgre { subnet: gre::nvgre_split(key).0 })
            }
            _ => None,
        }
    }
}

/// Reads a UDP datagram.
#[inline]
pub(crate) fn datagram<A: Family>(
    ends: Ends<A>,
    upper: &mut [u8],
    tunnels: &TunnelTable<A>,
) -> Result<Wrapped, DropReason> {
    let (header, start) = udp::Header::parse(upper).map_err(|_| DropReason::FrameTooShort)?;
    let port = header.destination_port;
    let kind = tunnels.datagram(ends.local, port).ok_or(DropReason::NotTunnel)?;
    let datagram = upper.get_mut(..usize::from(header.length)).unwrap_or_default();
    let has_checksum = header.checksum != 0;
    if has_checksum {
        let pseudo_header = A::pseudo_header(ends.peer, ends.local, header.length);
        verify_udp(datagram, kind, pseudo_header, header.checksum)?;
    }
    if kind == Datagram::Gre {
        return gre_in_udp(datagram, start, port, has_checksum);
    }
    let (header, length) =
        datagram.get(start..).ok_or(wire::Error::Truncated).and_then(vxlan::Header::parse).map_err(
            |error| match error {
                wire::Error::Truncated => DropReason::FrameTooShort,
                wire::Error::Malformed => DropReason::VxlanInvalidHeader,
            },
        )?;
    let encapsulation = Encapsulation::Vxlan { vni: header.vni, port };
    let (inner, reserved) = (start + length..datagram.len(), header.reserved);
    Ok(Wrapped { encapsulation, inner, has_checksum, reserved, is_optioned: false })
}

#[inline(never)]
fn gre_in_udp(
    datagram: &mut [u8],
    start: usize,
    port: u16,
    has_checksum: bool,
) -> Result<Wrapped, DropReason> {
    let packet = datagram.get_mut(start..).unwrap_or_default();
    let (gre::Header { key, .. }, length) = gre_header(packet)?;
    let encapsulation = Encapsulation::GreInUdp { key, port };
    let inner = start + length..datagram.len();
    Ok(Wrapped { encapsulation, inner, has_checksum, reserved: 0, is_optioned: false })
}

/// Verifies an outer UDP checksum that is not zero.
///
/// A Linux peer on the other end of a veth leaves checksums to the device, in one of two ways: the outer one holds
/// only its pseudo-header's sum; or the outer one is right for an inner checksum that is yet to be completed ("local
/// checksum offload", the kernel's `Documentation/networking/checksum-offloads.rst`). The inner one is completed by
/// [`crate::parse::inner`], so a look at the headers is enough then.
#[inline(never)]
fn verify_udp(datagram: &[u8], kind: Datagram, pseudo_header: Sum, checksum: u16) -> Result<(), DropReason> {
    let start = match kind {
        Datagram::Vxlan => vxlan::LENGTH,
        Datagram::Gre => datagram.get(udp::LENGTH..).map_or(0, gre::length),
    };
    let local = datagram.split_at_checked(udp::LENGTH + start).and_then(|(headers, inner)| {
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
    let (header, length) = gre_header(upper)?;
    let encapsulation = Encapsulation::Gre { key: header.key };
    let is_optioned = header.checksum.is_some() || header.sequence.is_some();
    Ok(Wrapped { encapsulation, inner: length..upper.len(), has_checksum: true, reserved: 0, is_optioned })
}

/// Reads the header of a GRE packet around a frame, and its length. Sequence numbers are taken in any order (RFC 2890
/// section 2.2 leaves that to the receiver): workers overtake each other, and who is behind a bridge puts things in order
/// itself.
#[inline]
fn gre_header(upper: &mut [u8]) -> Result<(gre::Header, usize), DropReason> {
    let (header, length) = gre::Header::parse(upper).map_err(|error| match error {
        wire::Error::Truncated => DropReason::FrameTooShort,
        wire::Error::Malformed if gre::version(upper) != 0 => DropReason::GreVersion,
        wire::Error::Malformed => DropReason::GreFlags,
    })?;
    if header.protocol != EtherType::ETHERNET_BRIDGING {
        return Err(DropReason::GreInvalidHeader);
    }
    if header.checksum.is_some() && !gre::checksum_is_valid(upper) {
        // As in verify_udp: right once the inner checksum is completed.
        let completed = upper.get_mut(length..).is_some_and(checksum::complete_partial);
        if !(completed && gre::checksum_is_valid(upper)) {
            return Err(DropReason::GreChecksum);
        }
    }
    Ok((header, length))
}

/// Strips what is around the inner frame; the upper layer begins at `start`.
#[inline]
pub(crate) fn unwrap(frame: &mut Frame<'_>, start: usize, inner: &Range<usize>) -> Result<(), DropReason> {
    // Both lie within the frame, whose length is a u16.
    frame.truncate((start + inner.end) as u16);
    frame.pull((start + inner.start) as u16).ok_or(DropReason::FrameTooShort)
}
