//! What the outer headers of one tunnel's packets have in common. Packets mostly come through few tunnels, and to see that
//! one comes through a tunnel that was seen before takes a tenth of the work of finding out which it is.

use std::fmt;

use crate::tunnel::Origin;
use wire::{ecn, ethernet, ipv4, udp, vxlan};

/// Bytes of the outer headers of VXLAN over IPv4 without options.
pub(crate) const LENGTH: usize = ethernet::LENGTH + ipv4::LENGTH + udp::LENGTH + vxlan::LENGTH;

/// Bytes before the datagram.
const UPPER: usize = ethernet::LENGTH + ipv4::LENGTH;

/// Where the words of a signature begin; they cover everything from the Ethernet type on.
const PLACES: [usize; WORDS] = [12, 20, 28, 36, 42];
const WORDS: usize = 5;

/// The bits that count, as big-endian numbers:
///
/// ```text
/// 12  Ethernet type, version and length of the IPv4 header | DSCP, total length, identification: any; ECN: zero
/// 20  flags and offset | time to live: any | protocol | checksum: any | source …
/// 28  … source, destination | UDP source port: any
/// 36  UDP destination port | length: any | UDP checksum, which is then zero | VXLAN flags …
/// 42  the VXLAN header
/// ```
const MASKS: [u64; WORDS] = [
    0xffff_ff03_0000_0000,
    0xffff_00ff_0000_ffff,
    0xffff_ffff_ffff_0000,
    0xffff_0000_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// What the outer headers of one VXLAN tunnel over IPv4 have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Signature([u64; WORDS]);

impl Signature {
    /// The signature of a packet that has been found good: unfragmented IPv4 without options, and VXLAN in UDP without
    /// a checksum, that met no congestion and could not have told of any. `None` if it has another form.
    fn new(frame: &[u8]) -> Option<Self> {
        let header = frame.first_chunk::<LENGTH>()?;
        let plain = header[ethernet::LENGTH] == 0x45
            && header[ethernet::LENGTH + ipv4::offset::TRAFFIC_CLASS] & 3 == ecn::NOT_ECT
            && header[UPPER + udp::offset::CHECKSUM..][..2] == [0, 0];
        plain.then(|| Self::of(header))
    }

    #[inline(always)]
    fn of(header: &[u8; LENGTH]) -> Self {
        let mut words = [0; WORDS];
        for ((word, place), mask) in words.iter_mut().zip(PLACES).zip(MASKS) {
            let bytes = header.get(place..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
            *word = u64::from_ne_bytes(bytes) & mask.to_be();
        }
        Self(words)
    }

    /// Where it is kept: peers differ in the last bits of their addresses, tunnels of one peer in the VNI.
    #[inline(always)]
    const fn place(&self) -> usize {
        let [_, _, addresses, _, vxlan] = self.0;
        ((addresses ^ vxlan).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - KEPT.ilog2())) as usize
    }
}

/// If the packet with this outer header is all there, and its IPv4 header as sent: where in the frame of `length` bytes the
/// inner frame ends. It begins at [`LENGTH`]. For a header of a known signature, which leaves nothing else to ask.
#[inline(always)]
fn end(header: &[u8; LENGTH], length: usize) -> Option<u16> {
    let packet = header.get(ethernet::LENGTH..).and_then(<[u8]>::first_chunk::<{ ipv4::LENGTH }>)?;
    let number =
        |at: usize| header.get(at..).and_then(<[u8]>::first_chunk).map(|two| u16::from_be_bytes(*two));
    let total = usize::from(number(ethernet::LENGTH + ipv4::offset::TOTAL_LENGTH)?);
    let datagram = usize::from(number(UPPER + udp::offset::LENGTH)?);
    let good = ipv4::checksum_is_valid(packet)
        && total + ethernet::LENGTH <= length
        && datagram + ipv4::LENGTH <= total
        && datagram >= udp::LENGTH + vxlan::LENGTH;
    good.then_some((UPPER + datagram) as u16)
}

/// Tunnels that are remembered at once; a power of two. A tunnel takes the place of another one now and then.
const KEPT: usize = 64;

/// The tunnels that packets came through lately, as one state of the tables has them.
pub struct KnownTunnels {
    version: u64,
    tunnels: Box<[(Signature, Option<Origin>); KEPT]>,
}

impl KnownTunnels {
    /// Where the inner frame begins in a packet that is recognised.
    pub const INNER: u16 = LENGTH as u16;

    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self { version: 0, tunnels: Box::new([(Signature::default(), None); KEPT]) }
    }

    /// Forgets all tunnels if the tables are not those of the last time.
    #[inline]
    pub(crate) fn turn_to(&mut self, version: u64) {
        if version != self.version {
            self.version = version;
            self.tunnels.fill((Signature::default(), None));
        }
    }

    /// If a frame is a good packet through a tunnel that is known: whom it comes from, and where in it the inner frame
    /// ends. It begins at [`KnownTunnels::INNER`].
    #[inline(always)]
    pub fn recognise(&self, frame: &[u8]) -> Option<(&Origin, u16)> {
        let header = frame.first_chunk::<LENGTH>()?;
        let signature = Signature::of(header);
        let (known, origin) = &self.tunnels[signature.place() % KEPT];
        let differences = known.0.iter().zip(signature.0).fold(0, |sum, (word, other)| sum | (word ^ other));
        if differences != 0 {
            return None;
        }
        Some((origin.as_ref()?, end(header, frame.len())?))
    }

    /// Remembers the tunnel of a packet that has been found good.
    pub(crate) fn remember(&mut self, frame: &[u8], origin: Origin) {
        if let Some(signature) = Signature::new(frame) {
            self.tunnels[signature.place() % KEPT] = (signature, Some(origin));
        }
    }
}

impl Default for KnownTunnels {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KnownTunnels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("KnownTunnels").field("version", &self.version).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_cover_the_header_and_the_masks_what_differs() {
        let mut header = [0_u8; LENGTH];
        header[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        let base = Signature::of(&header);
        let ignored = |at: usize| {
            let mut other = header;
            // Of the traffic class DSCP alone.
            other[at] ^= if at == 15 { 0xfc } else { 0xff };
            Signature::of(&other) == base
        };
        let any: Vec<usize> = (0..LENGTH).filter(|at| ignored(*at)).collect();
        // Addresses; traffic class, length, identification; time to live; checksum; source port; UDP length.
        let expected: Vec<usize> = (0..12).chain([15, 16, 17, 18, 19, 22, 24, 25, 34, 35, 38, 39]).collect();
        assert_eq!(any, expected);
        for ecn in 1..4 {
            header[15] = ecn;
            assert!(Signature::of(&header) != base && Signature::new(&header).is_none(), "ECN {ecn}");
        }
    }
}
