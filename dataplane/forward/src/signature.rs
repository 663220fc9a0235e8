//! What the outer headers of one tunnel's packets have in common. The packets of a batch mostly come through few tunnels,
//! and to see that a packet comes through the same one as the last takes a tenth of the work of finding out which.

use wire::{ethernet, ipv4, udp, vxlan};

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
/// 12  Ethernet type, version and length of the IPv4 header | traffic class, total length, identification: any
/// 20  flags and offset | time to live: any | protocol | checksum: any | source …
/// 28  … source, destination | UDP source port: any
/// 36  UDP destination port | length: any | UDP checksum, which is then zero | VXLAN flags …
/// 42  the VXLAN header
/// ```
const MASKS: [u64; WORDS] = [
    0xffff_ff00_0000_0000,
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
    /// a checksum. `None` if it has another form.
    pub(crate) fn new(frame: &[u8]) -> Option<Self> {
        let header = frame.first_chunk::<LENGTH>()?;
        let plain = header[ethernet::LENGTH] == 0x45 && header[UPPER + udp::offset::CHECKSUM..][..2] == [0, 0];
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

    /// If a frame is a good packet through the same tunnel: where in it the inner frame ends. It begins at [`LENGTH`].
    #[inline(always)]
    pub(crate) fn matches(self, frame: &[u8]) -> Option<u16> {
        let header = frame.first_chunk::<LENGTH>()?;
        let Self(other) = Self::of(header);
        let differences = self.0.iter().zip(other).fold(0, |sum, (word, other)| sum | (word ^ other));
        let packet = header.get(ethernet::LENGTH..).and_then(<[u8]>::first_chunk::<{ ipv4::LENGTH }>)?;
        if differences != 0 || !ipv4::checksum_is_valid(packet) {
            return None;
        }
        let number = |at: usize| header.get(at..).and_then(<[u8]>::first_chunk).map(|two| u16::from_be_bytes(*two));
        let total = usize::from(number(ethernet::LENGTH + ipv4::offset::TOTAL_LENGTH)?);
        let datagram = usize::from(number(UPPER + udp::offset::LENGTH)?);
        let within = total + ethernet::LENGTH <= frame.len()
            && datagram + ipv4::LENGTH <= total
            && datagram >= udp::LENGTH + vxlan::LENGTH;
        within.then_some((UPPER + datagram) as u16)
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
            other[at] ^= 0xff;
            Signature::of(&other) == base
        };
        let any: Vec<usize> = (0..LENGTH).filter(|at| ignored(*at)).collect();
        // Addresses; traffic class, length, identification; time to live; checksum; source port; UDP length.
        let expected: Vec<usize> = (0..12).chain([15, 16, 17, 18, 19, 22, 24, 25, 34, 35, 38, 39]).collect();
        assert_eq!(any, expected);
    }
}
