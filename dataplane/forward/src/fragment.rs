//! Cutting an IPv4 packet that allows it into fragments that fit a path (RFC 791 section 3.2). Knows one packet, but
//! neither chunks nor where the pieces go.

use wire::checksum::Sum;
use wire::ethernet::EtherType;
use wire::ipv4::{self, offset};

use crate::frame::Frame;
use crate::parse::Headers;

/// Option that is one byte of padding (RFC 791 section 3.1).
const NO_OPERATION: u8 = 1;
/// Flag of options that every fragment has; the others stand in the first alone.
const COPIED: u8 = 0x80;

/// How a packet is cut: into pieces from the front, each `payload` bytes but for the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cut {
    /// Bytes of the frame before the packet.
    ethernet: usize,
    /// Bytes of the packet's header.
    header: usize,
    /// Bytes of the packet.
    total: usize,
    /// Bytes behind the header of each piece but the last, a multiple of 8.
    payload: usize,
    /// Bytes of a packet that fits.
    room: usize,
}

impl Cut {
    /// How the packet in a frame is cut for a path that takes packets of `room` bytes. `None` if it may not be: because
    /// it is not IPv4, is malformed, says so itself, or has no 8 bytes of payload in `room`. A packet that fits, and
    /// only its frame did not, is one piece.
    pub(crate) fn new(headers: &Headers, frame: &[u8], room: u16) -> Option<Self> {
        if headers.ethertype != EtherType::IPV4 {
            return None;
        }
        let ethernet = usize::from(headers.offset);
        let packet = frame.get(ethernet..)?;
        let (ip, header) = ipv4::Header::parse(packet).ok()?;
        let (total, room) = (usize::from(ip.total_length), usize::from(room));
        let payload = room.checked_sub(header)? & !7;
        let last_offset = usize::from(ip.fragment_offset) + (total - header) / 8;
        let may = (total <= room || !ip.dont_fragment)
            && payload != 0
            && last_offset <= usize::from(ipv4::FRAGMENT_OFFSET)
            && ipv4::checksum_is_valid(packet.get(..header)?);
        may.then_some(Self { ethernet, header, total, payload, room })
    }

    /// Cuts off what follows the packet: padding.
    pub(crate) fn trim(&self, frame: &mut Frame<'_>) {
        frame.truncate((self.ethernet + self.total) as u16);
    }

    /// Whether what is left is the last piece.
    pub(crate) fn is_last(&self, frame: &Frame<'_>) -> bool {
        frame.length() <= self.ethernet + self.room
    }

    /// Makes of a frame its first piece.
    pub(crate) fn keep_front(&self, frame: &mut Frame<'_>) {
        frame.truncate((self.ethernet + self.header + self.payload) as u16);
        self.edit(frame, |header| {
            set(header, offset::FRAGMENT, word(header, offset::FRAGMENT) | ipv4::MORE_FRAGMENTS);
        });
    }

    /// Makes of a frame what is left without its first piece. `None`, and nothing to be sent, if that is nothing.
    pub(crate) fn drop_front(&self, frame: &mut Frame<'_>) -> Option<()> {
        let headers = self.ethernet + self.header;
        let bytes = frame.bytes_mut();
        if bytes.len() < headers + self.payload {
            return None;
        }
        bytes.copy_within(..headers, self.payload);
        frame.pull(self.payload as u16)?;
        self.edit(frame, |header| {
            // Below 2^13, as `new` has seen to.
            let moved = word(header, offset::FRAGMENT).wrapping_add((self.payload / 8) as u16);
            set(header, offset::FRAGMENT, moved);
            blank_options(header);
        });
        Some(())
    }

    /// Changes the IPv4 header of a frame, and makes its length and checksum right.
    fn edit(&self, frame: &mut Frame<'_>, change: impl FnOnce(&mut [u8])) {
        let length = frame.length().saturating_sub(self.ethernet) as u16;
        let Some(header) = frame.bytes_mut().get_mut(self.ethernet..self.ethernet + self.header) else {
            return;
        };
        change(header);
        set(header, offset::TOTAL_LENGTH, length);
        set(header, offset::CHECKSUM, 0);
        set(header, offset::CHECKSUM, Sum::of(header).checksum());
    }
}

/// Puts padding in the place of options that later fragments do not have.
fn blank_options(header: &mut [u8]) {
    let mut rest = header.get_mut(ipv4::LENGTH..).unwrap_or_default();
    while let [kind, after @ ..] = rest {
        let length = match (*kind, after.first()) {
            (0, _) => return,
            (NO_OPERATION, _) => 1,
            (_, Some(length)) => usize::from(*length).max(2),
            (_, None) => return,
        };
        let Some((option, behind)) = std::mem::take(&mut rest).split_at_mut_checked(length) else { return };
        if option.first().is_some_and(|kind| kind & COPIED == 0) {
            option.fill(NO_OPERATION);
        }
        rest = behind;
    }
}

fn word(header: &[u8], at: usize) -> u16 {
    header.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_be_bytes(*bytes))
}

fn set(header: &mut [u8], at: usize, value: u16) {
    if let Some(field) = header.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *field = value.to_be_bytes();
    }
}
