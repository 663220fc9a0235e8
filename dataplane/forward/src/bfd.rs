//! BFD packets for this switch itself (RFC 8971): told apart where an address is unknown and the frame would be flooded,
//! so that no other frame is looked at for their sake. Control packets and echoes that come back go to control; a peer's
//! echo packets are looped back to it at once, without their padding.

use std::net::Ipv4Addr;

use wire::bfd::{self, ECHO_LENGTH, LENGTH, RETURNED};
use wire::ethernet::{self, EtherType};
use wire::ip::Protocol;
use wire::{Mac, ipv4, udp};

use crate::entropy;
use crate::frame::Frame;
use crate::remote::concatenate;

/// What control is told of a packet: its bytes, padding excluded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    /// A control packet.
    Control([u8; LENGTH]),
    /// An echo packet of ours that has come back.
    Echo([u8; ECHO_LENGTH]),
}

/// What a packet for us is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Packet {
    /// Something for control.
    Message(Message),
    /// A peer's echo packet, to be looped back.
    Foreign,
}

/// Bytes before the payload of a packet: Ethernet, IPv4 without options, UDP.
pub const HEADERS: usize = UDP + udp::LENGTH;
const IP: usize = ethernet::LENGTH;
const UDP: usize = IP + ipv4::LENGTH;

/// Reads the inner frame of a packet to [`bfd::VTEP_MAC`]; `None` if it is none that we take.
pub(crate) fn read(frame: &[u8]) -> Option<Packet> {
    let (header, length) = ethernet::Header::parse(frame).ok()?;
    let packet = frame.get(length..).filter(|_| header.ethertype == EtherType::IPV4)?;
    let (header, length) = ipv4::Header::parse(packet).ok()?;
    let whole =
        !header.is_fragment() && length == ipv4::LENGTH && ipv4::checksum_is_valid(packet.get(..length)?);
    if !whole || header.protocol != Protocol::UDP || header.ttl != bfd::TTL {
        return None;
    }
    let datagram = packet.get(length..usize::from(header.total_length))?;
    let (header, length) = udp::Header::parse(datagram).ok()?;
    let payload = datagram.get(length..usize::from(header.length))?;
    match header.destination_port {
        bfd::CONTROL_PORT => payload.first_chunk().map(|bytes| Packet::Message(Message::Control(*bytes))),
        bfd::ECHO_PORT => {
            let (echo, _) = bfd::Echo::parse(payload).ok()?;
            if !echo.is_returned {
                return Some(Packet::Foreign);
            }
            payload.first_chunk().map(|bytes| Packet::Message(Message::Echo(*bytes)))
        }
        _ => None,
    }
}

/// Makes a peer's echo packet, which [`read`] has seen to be one, what it is on the way back. `source` is the Ethernet
/// address of ours that it comes from then.
pub(crate) fn loop_back(frame: &mut Frame<'_>, source: Mac) -> Option<()> {
    let (datagram, _) = udp::Header::parse(frame.bytes().get(UDP..)?).ok()?;
    frame.truncate((HEADERS + ECHO_LENGTH) as u16);
    let bytes = frame.bytes_mut();
    bytes.get_mut(ethernet::offset::SOURCE..IP)?.get_mut(..6)?.copy_from_slice(&source.0);
    let mut header = ipv4::Header::parse_quoted(bytes.get(IP..)?).ok()?.0;
    header.total_length = (ipv4::LENGTH + udp::LENGTH + ECHO_LENGTH) as u16;
    *bytes.get_mut(IP..)?.first_chunk_mut()? = header.to_bytes();
    // Without a checksum, as it came: its magic number and its discriminator tell a damaged one.
    let datagram = udp::Header { length: (udp::LENGTH + ECHO_LENGTH) as u16, checksum: 0, ..datagram };
    *bytes.get_mut(UDP..)?.first_chunk_mut()? = datagram.to_bytes();
    *bytes.get_mut(HEADERS + RETURNED)? = 1;
    Some(())
}

/// How a packet of ours is addressed, and so which flow it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// Our Ethernet address.
    pub mac: Mac,
    /// Our IPv4 address, or any where the underlay is IPv6 only.
    pub source: Ipv4Addr,
    /// UDP source port, 49152 or above (RFC 5881 section 4): by it flows differ.
    pub source_port: u16,
}

impl Address {
    /// The hash of the flow of echo packets, which parse at the other end comes to as well.
    #[must_use]
    pub const fn flow(&self) -> u32 {
        let ports = (self.source_port as u32) << 16 | bfd::ECHO_PORT as u32;
        entropy::of_ipv4(self.source, Ipv4Addr::LOCALHOST, Protocol::UDP, ports)
    }

    /// The headers of a packet to UDP port `port`, whose payload has `length` bytes. There is no UDP checksum: the
    /// payload checks itself, and padding is not worth one.
    #[must_use]
    pub fn headers(&self, port: u16, length: u16) -> [u8; HEADERS] {
        let ethernet =
            ethernet::Header { destination: bfd::VTEP_MAC, source: self.mac, ethertype: EtherType::IPV4 };
        let packet = ipv4::Header {
            traffic_class: wire::ip::TrafficClass::default(),
            total_length: (ipv4::LENGTH + udp::LENGTH) as u16 + length,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: bfd::TTL,
            protocol: Protocol::UDP,
            source: self.source,
            destination: Ipv4Addr::LOCALHOST,
        };
        let datagram = udp::Header {
            source_port: self.source_port,
            destination_port: port,
            length: udp::LENGTH as u16 + length,
            checksum: 0,
        };
        let below: [u8; UDP] = concatenate(&ethernet.to_bytes(), &packet.to_bytes());
        concatenate(&below, &datagram.to_bytes())
    }
}
