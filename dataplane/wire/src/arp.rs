//! ARP for IPv4 over Ethernet (RFC 826).
//!
//! ```text
//! 0         2         4      5      6          8       14         18      24
//! hardware  protocol  6      4      operation  sender  sender     target  target
//! type 1    0x0800                             MAC     address    MAC     address
//! ```

use core::net::Ipv4Addr;

use crate::{Error, Mac, Result, ethernet};

/// Bytes of a message.
pub const LENGTH: usize = 28;

/// Hardware type Ethernet, protocol type IPv4, their address lengths.
const PREFIX: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// What a message wants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

impl Operation {
    const fn code(self) -> u16 {
        match self {
            Self::Request => 1,
            Self::Reply => 2,
        }
    }
}

/// A message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Message {
    /// What it wants.
    pub operation: Operation,
    /// The sender's Ethernet address.
    pub sender_mac: Mac,
    /// The sender's IPv4 address; unspecified in a probe.
    pub sender_address: Ipv4Addr,
    /// The target's Ethernet address; in a request usually zero.
    pub target_mac: Mac,
    /// The target's IPv4 address.
    pub target_address: Ipv4Addr,
}

impl Message {
    /// Reads a message; the length is always [`LENGTH`].
    ///
    /// # Errors
    /// [`Error::Truncated`] below 28 bytes, [`Error::Malformed`] if it is not for IPv4 over Ethernet or neither
    /// request nor reply.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let bytes = bytes.first_chunk::<LENGTH>().ok_or(Error::Truncated)?;
        let (prefix, rest) = bytes.split_first_chunk::<6>().ok_or(Error::Truncated)?;
        let operation = match rest {
            [0, 1, ..] => Operation::Request,
            [0, 2, ..] => Operation::Reply,
            _ => return Err(Error::Malformed),
        };
        if *prefix != PREFIX {
            return Err(Error::Malformed);
        }
        let message = Self {
            operation,
            sender_mac: mac_at::<8>(bytes),
            sender_address: address_at::<14>(bytes),
            target_mac: mac_at::<18>(bytes),
            target_address: address_at::<24>(bytes),
        };
        Ok((message, LENGTH))
    }

    /// The address that a message says to be its sender's, or of one whose sender has none yet the target, which it is about to
    /// take (RFC 5227 section 2.1.1); whatever it wants and of whatever hardware type it is. Receivers differ in both: RFC 826
    /// has them remember the sender before they look at the operation, and Linux takes type 6 (IEEE 802) for Ethernet too.
    #[inline]
    #[must_use]
    pub fn claimed_address_of(bytes: &[u8]) -> Option<Ipv4Addr> {
        let bytes = bytes.first_chunk::<LENGTH>()?;
        let (sender, target) = (address_at::<14>(bytes), address_at::<24>(bytes));
        (bytes[2..6] == PREFIX[2..]).then_some(if sender.is_unspecified() { target } else { sender })
    }

    /// Whether the sender asks if anybody already has the address that it wants to take (RFC 5227 section 1.1).
    #[inline]
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        matches!(self.operation, Operation::Request) && self.sender_address.is_unspecified()
    }

    /// Whether the sender announces its own address: sender and target address are the same (RFC 5227 section 3).
    #[inline]
    #[must_use]
    pub const fn is_gratuitous(&self) -> bool {
        self.sender_address.to_bits() == self.target_address.to_bits()
    }

    /// The reply that says that the target address is at `mac`.
    #[inline]
    #[must_use]
    pub const fn reply(&self, mac: Mac) -> Self {
        Self {
            operation: Operation::Reply,
            sender_mac: mac,
            sender_address: self.target_address,
            target_mac: self.sender_mac,
            target_address: self.sender_address,
        }
    }

    /// The message's bytes.
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..6].copy_from_slice(&PREFIX);
        bytes[6..8].copy_from_slice(&self.operation.code().to_be_bytes());
        bytes[8..14].copy_from_slice(&self.sender_mac.0);
        bytes[14..18].copy_from_slice(&self.sender_address.octets());
        bytes[18..24].copy_from_slice(&self.target_mac.0);
        bytes[24..28].copy_from_slice(&self.target_address.octets());
        bytes
    }

    /// Writes the message and gives its length.
    ///
    /// # Errors
    /// [`Error::Truncated`] if there is no room.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) -> Result<usize> {
        *bytes.first_chunk_mut().ok_or(Error::Truncated)? = self.to_bytes();
        Ok(LENGTH)
    }
}

/// Makes the frame with a request into the frame with its reply, in place: the asker becomes the destination, `mac`
/// the source and the answer. Tags and padding stay. `offset` is where the request begins, as
/// [`ethernet::payload`] tells.
///
/// # Errors
/// Those of [`Message::parse`], and [`Error::Malformed`] if the message is no request; the frame is then unchanged.
#[inline]
pub fn reply_in_place(frame: &mut [u8], offset: usize, mac: Mac) -> Result<()> {
    let (addresses, rest) =
        frame.split_first_chunk_mut::<{ ethernet::offset::ETHERTYPE }>().ok_or(Error::Truncated)?;
    let body = offset
        .checked_sub(addresses.len())
        .and_then(|start| rest.get_mut(start..))
        .ok_or(Error::Truncated)?;
    let (request, _) = Message::parse(body)?;
    if request.operation != Operation::Request {
        return Err(Error::Malformed);
    }
    request.reply(mac).emit(body)?;
    addresses[..6].copy_from_slice(&request.sender_mac.0);
    addresses[6..].copy_from_slice(&mac.0);
    Ok(())
}

#[inline]
const fn mac_at<const AT: usize>(bytes: &[u8; LENGTH]) -> Mac {
    Mac([bytes[AT], bytes[AT + 1], bytes[AT + 2], bytes[AT + 3], bytes[AT + 4], bytes[AT + 5]])
}

#[inline]
const fn address_at<const AT: usize>(bytes: &[u8; LENGTH]) -> Ipv4Addr {
    Ipv4Addr::new(bytes[AT], bytes[AT + 1], bytes[AT + 2], bytes[AT + 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: Mac = Mac([2, 0, 0, 0, 0, 0x0a]);
    const OWNER: Mac = Mac([2, 0, 0, 0, 0, 0x0b]);

    /// A broadcast request in a tagged frame with two bytes of padding.
    fn request() -> [u8; 48] {
        let mut frame = [0xee; 48];
        frame[..6].copy_from_slice(&Mac::BROADCAST.0);
        frame[6..12].copy_from_slice(&ASKER.0);
        frame[12..18].copy_from_slice(&[0x81, 0, 0, 7, 8, 6]);
        let message = Message {
            operation: Operation::Request,
            sender_mac: ASKER,
            sender_address: Ipv4Addr::new(10, 0, 0, 1),
            target_mac: Mac::ZERO,
            target_address: Ipv4Addr::new(10, 0, 0, 2),
        };
        assert_eq!(message.emit(&mut frame[18..]), Ok(LENGTH));
        frame
    }

    #[test]
    fn reads_what_rfc_826_writes() {
        let bytes = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0x0a, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2];
        assert_eq!(request()[18..46], bytes);
        let (message, length) = Message::parse(&bytes).unwrap();
        assert_eq!(
            (message.sender_mac, message.target_address, length),
            (ASKER, Ipv4Addr::new(10, 0, 0, 2), 28)
        );
        for length in 0..28 {
            assert_eq!(Message::parse(&bytes[..length]), Err(Error::Truncated));
        }
        for at in 0..8 {
            let mut other = bytes;
            other[at] ^= 0x10;
            assert_eq!(Message::parse(&other), Err(Error::Malformed), "byte {at}");
        }
    }

    #[test]
    fn a_sender_is_found_whatever_receivers_differ_in() {
        let bytes: [u8; LENGTH] = request()[18..46].try_into().unwrap();
        let expected = Some(Ipv4Addr::new(10, 0, 0, 1));
        for at in 0..8 {
            let mut other = bytes;
            other[at] ^= 0x10;
            let is_told = [0, 1, 6, 7].contains(&at);
            assert_eq!(Message::claimed_address_of(&other), expected.filter(|_| is_told), "byte {at}");
        }
        assert_eq!(Message::claimed_address_of(&bytes), expected);
        assert_eq!(Message::claimed_address_of(&bytes[..27]), None);
        let mut probe = bytes;
        probe[14..18].fill(0);
        let target = Message::parse(&bytes).unwrap().0.target_address;
        assert_eq!(Message::claimed_address_of(&probe), Some(target));
    }

    #[test]
    fn a_request_becomes_its_reply_in_place() {
        let mut frame = request();
        assert_eq!(reply_in_place(&mut frame, 18, OWNER), Ok(()));
        assert_eq!(frame[..6], ASKER.0);
        assert_eq!(frame[6..12], OWNER.0);
        assert_eq!(frame[12..18], request()[12..18]);
        assert_eq!(frame[46..], [0xee, 0xee]);
        let (reply, _) = Message::parse(&frame[18..]).unwrap();
        let expected = Message {
            operation: Operation::Reply,
            sender_mac: OWNER,
            sender_address: Ipv4Addr::new(10, 0, 0, 2),
            target_mac: ASKER,
            target_address: Ipv4Addr::new(10, 0, 0, 1),
        };
        assert_eq!(reply, expected);

        let before = frame;
        assert_eq!(reply_in_place(&mut frame, 18, OWNER), Err(Error::Malformed), "a reply is not answered");
        assert_eq!(reply_in_place(&mut frame, 21, OWNER), Err(Error::Truncated));
        assert_eq!(reply_in_place(&mut frame, 11, OWNER), Err(Error::Truncated));
        assert_eq!(reply_in_place(&mut frame[..5], 5, OWNER), Err(Error::Truncated));
        assert_eq!(frame, before);
    }

    #[test]
    fn probes_and_announcements_are_told_apart() {
        let (request, _) = Message::parse(&request()[18..]).unwrap();
        assert!(!request.is_probe() && !request.is_gratuitous());
        let probe = Message { sender_address: Ipv4Addr::UNSPECIFIED, ..request };
        assert!(probe.is_probe() && !probe.is_gratuitous());
        let announcement = Message { sender_address: request.target_address, ..request };
        assert!(announcement.is_gratuitous() && !announcement.is_probe());
    }
}
