//! Bidirectional Forwarding Detection: the control packet (RFC 5880 section 4.1), and the payload of our echo packets,
//! which is a local matter (RFC 5880 section 6.4): whoever loops it back changes one byte.

use crate::{Error, Mac, Result};

/// UDP destination port of control packets (RFC 5881 section 4).
pub const CONTROL_PORT: u16 = 3784;
/// UDP destination port of echo packets (RFC 5881 section 4).
pub const ECHO_PORT: u16 = 3785;
/// Destination of inner frames with BFD packets for a VTEP itself (RFC 8971 section 4).
pub const VTEP_MAC: Mac = Mac([0x00, 0x00, 0x5e, 0x00, 0x52, 0x02]);
/// The TTL that packets must come with (RFC 5881 section 5, RFC 5082).
pub const TTL: u8 = 255;

/// Bytes of a control packet without authentication.
pub const LENGTH: usize = 24;

/// The state of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// Held down by an operator.
    AdminDown,
    /// Nothing has been heard.
    #[default]
    Down,
    /// The other side has been heard, and has not heard us yet.
    Init,
    /// Both hear each other.
    Up,
}

/// The control packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Control {
    /// Why the session last changed its state (section 4.1); 0 for no reason.
    pub diagnostic: u8,
    /// The sender's state.
    pub state: State,
    /// P: an answer is wanted.
    pub poll: bool,
    /// F: this is the answer.
    pub is_final: bool,
    /// Packets that may be lost in sequence before the session is down; not 0.
    pub detect_multiplier: u8,
    /// The sender's name for the session; not 0.
    pub my_discriminator: u32,
    /// The receiver's name for it; 0 while unknown.
    pub your_discriminator: u32,
    /// Least interval at which the sender would like to send, in microseconds.
    pub desired_min_tx: u32,
    /// Least interval at which it can receive, in microseconds; 0 if it wants nothing.
    pub required_min_rx: u32,
    /// Least interval at which it loops echo packets back, in microseconds; 0 if it does not.
    pub required_min_echo_rx: u32,
}

const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATION: u8 = 0x04;
const MULTIPOINT: u8 = 0x01;

impl Control {
    /// Reads a packet, with the checks of RFC 5880 section 6.8.6 that need no session.
    ///
    /// # Errors
    /// [`Error::Truncated`] if it is not all there; [`Error::Malformed`] for another version, authentication (we use
    /// none), a multipoint packet, a multiplier or discriminator of 0, or an established session without ours.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let packet = bytes.first_chunk::<LENGTH>().ok_or(Error::Truncated)?;
        let [first, flags, detect_multiplier, length, ..] = *packet;
        let word = |index: usize| {
            let word = packet.get(4 * index..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
            u32::from_be_bytes(word)
        };
        let state = match flags >> 6 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        };
        let control = Self {
            diagnostic: first & 0x1f,
            state,
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            detect_multiplier,
            my_discriminator: word(1),
            your_discriminator: word(2),
            desired_min_tx: word(3),
            required_min_rx: word(4),
            required_min_echo_rx: word(5),
        };
        if usize::from(length) > bytes.len() {
            return Err(Error::Truncated);
        }
        let is_known = control.your_discriminator != 0 || matches!(state, State::AdminDown | State::Down);
        let good = first >> 5 == VERSION
            && flags & (AUTHENTICATION | MULTIPOINT) == 0
            && usize::from(length) >= LENGTH
            && detect_multiplier != 0
            && control.my_discriminator != 0
            && is_known;
        if good { Ok((control, LENGTH)) } else { Err(Error::Malformed) }
    }

    /// The packet's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LENGTH] {
        let state = match self.state {
            State::AdminDown => 0,
            State::Down => 1,
            State::Init => 2,
            State::Up => 3,
        };
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let mut bytes = [0; LENGTH];
        let words = [
            self.my_discriminator,
            self.your_discriminator,
            self.desired_min_tx,
            self.required_min_rx,
            self.required_min_echo_rx,
        ];
        let head = [
            VERSION << 5 | self.diagnostic & 0x1f,
            state << 6 | flag(self.poll, POLL) | flag(self.is_final, FINAL),
            self.detect_multiplier,
            LENGTH as u8,
        ];
        let all = head.into_iter().chain(words.into_iter().flat_map(u32::to_be_bytes));
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = from;
        }
        bytes
    }

    /// Writes the packet and gives its length.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    pub fn emit(&self, bytes: &mut [u8]) -> Result<usize> {
        *bytes.first_chunk_mut().ok_or(Error::Truncated)? = self.to_bytes();
        Ok(LENGTH)
    }
}

/// The payload of our echo packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo {
    /// Whether it has been looped back.
    pub is_returned: bool,
    /// Which of the sender's paths it was sent on.
    pub path: u8,
    /// The sender's name for the session.
    pub discriminator: u32,
    /// Counts the session's echo packets.
    pub sequence: u32,
    /// When it was sent, in nanoseconds of the sender's clock.
    pub sent: u64,
}

/// Bytes of the payload of an echo packet, padding excluded.
pub const ECHO_LENGTH: usize = 24;

/// Offset of the byte that is 0 on the way out and 1 on the way back.
pub const RETURNED: usize = 4;
/// Offset of the sender's clock.
pub const SENT: usize = 16;

/// What an echo packet of ours begins with.
const MAGIC: [u8; 4] = *b"vtep";

impl Echo {
    /// Reads a payload; padding may follow.
    ///
    /// # Errors
    /// [`Error::Truncated`] if it is not all there, [`Error::Malformed`] if it is not of this form.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let payload = bytes.first_chunk::<ECHO_LENGTH>().ok_or(Error::Truncated)?;
        let [m0, m1, m2, m3, returned, path, _, _, d0, d1, d2, d3, s0, s1, s2, s3, rest @ ..] = *payload;
        if [m0, m1, m2, m3] != MAGIC || returned > 1 {
            return Err(Error::Malformed);
        }
        let echo = Self {
            is_returned: returned == 1,
            path,
            discriminator: u32::from_be_bytes([d0, d1, d2, d3]),
            sequence: u32::from_be_bytes([s0, s1, s2, s3]),
            sent: u64::from_be_bytes(rest),
        };
        Ok((echo, ECHO_LENGTH))
    }

    /// The payload's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ECHO_LENGTH] {
        let mut bytes = [0; ECHO_LENGTH];
        let all = MAGIC
            .into_iter()
            .chain([u8::from(self.is_returned), self.path, 0, 0])
            .chain(self.discriminator.to_be_bytes())
            .chain(self.sequence.to_be_bytes())
            .chain(self.sent.to_be_bytes());
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = from;
        }
        bytes
    }

    /// Writes the payload and gives its length.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    pub fn emit(&self, bytes: &mut [u8]) -> Result<usize> {
        *bytes.first_chunk_mut().ok_or(Error::Truncated)? = self.to_bytes();
        Ok(ECHO_LENGTH)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn control() -> Control {
        Control {
            diagnostic: 1,
            state: State::Init,
            poll: true,
            is_final: false,
            detect_multiplier: 3,
            my_discriminator: 0x0102_0304,
            your_discriminator: 5,
            desired_min_tx: 300_000,
            required_min_rx: 1_000_000,
            required_min_echo_rx: 50_000,
        }
    }

    #[test]
    fn a_control_packet_has_the_layout_of_the_rfc() {
        let bytes = control().to_bytes();
        assert_eq!(bytes[..8], [0x21, 0xa0, 3, 24, 1, 2, 3, 4]);
        assert_eq!(bytes[12..16], 300_000_u32.to_be_bytes());
        assert_eq!(Control::parse(&bytes), Ok((control(), LENGTH)));
        for length in 0..LENGTH {
            assert_eq!(Control::parse(&bytes[..length]), Err(Error::Truncated));
        }
    }

    #[test]
    fn what_no_session_may_take_is_refused() {
        let good = control().to_bytes();
        // Version, authentication, multipoint, multiplier, length, discriminators.
        let cases: [(usize, u8); 6] = [(0, 0x40), (1, 0xa4), (1, 0xa1), (2, 0), (3, 23), (11, 0)];
        for (at, value) in cases {
            let mut bytes = good;
            bytes[at] = value;
            assert_eq!(Control::parse(&bytes), Err(Error::Malformed), "byte {at} = {value}");
        }
        let mut nameless = good;
        nameless[4..8].fill(0);
        assert_eq!(Control::parse(&nameless), Err(Error::Malformed));
        let first = Control { state: State::Down, your_discriminator: 0, ..control() };
        assert_eq!(Control::parse(&first.to_bytes()), Ok((first, LENGTH)));
        let mut longer = good;
        longer[3] = 25;
        assert_eq!(Control::parse(&longer), Err(Error::Truncated));
    }

    #[test]
    fn an_echo_comes_back_as_it_was_but_for_one_byte() {
        let echo = Echo { is_returned: false, path: 7, discriminator: 9, sequence: 11, sent: 1 << 40 };
        let mut bytes: Vec<u8> = echo.to_bytes().to_vec();
        bytes.extend([0; 50]);
        assert_eq!(Echo::parse(&bytes), Ok((echo, ECHO_LENGTH)));
        bytes[RETURNED] = 1;
        assert_eq!(Echo::parse(&bytes), Ok((Echo { is_returned: true, ..echo }, ECHO_LENGTH)));
        assert_eq!(bytes[SENT..SENT + 8], (1_u64 << 40).to_be_bytes());
        bytes[RETURNED] = 2;
        assert_eq!(Echo::parse(&bytes), Err(Error::Malformed));
        assert_eq!(Echo::parse(&bytes[..23]), Err(Error::Truncated));
    }
}
