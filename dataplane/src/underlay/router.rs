//! What routers on the way say about packets that were too big for their next link: ICMP "fragmentation needed" (RFC 1191)
//! and ICMPv6 "packet too big" (RFC 4443 section 3.2).
//!
//! They come to the host's own addresses, so the XDP program leaves them to the kernel, which hands a copy to raw sockets
//! (raw(7)). A socket filter lets nothing else through: a flood of pings does not wake the control thread. What is read
//! here may be anybody's invention; who believes it has to look at the packet that it quotes.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::net::{RecvFlags, recvfrom};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use wire::icmp::{v4, v6};
use wire::{ip, ipv4};

/// Bytes of a message that are read. What a message quotes is at most 1232 bytes, of which the beginning counts.
const MESSAGE: usize = 2048;
/// Messages that one [`RouterMessages::drain`] takes at most, so that a flood of them does not starve the rest of the
/// loop. What is left is read with the next message, or the next look from a timer.
const MESSAGES_PER_DRAIN: usize = 256;

/// Type and code of "fragmentation needed", as one number.
const FRAGMENTATION_NEEDED: u32 =
    (v4::DESTINATION_UNREACHABLE as u32) << 8 | v4::CODE_FRAGMENTATION_NEEDED as u32;

/// Instructions of linux/bpf_common.h: load a byte, a halfword behind X, four times the lower half of a byte into X; jump
/// if equal; return.
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF_INDIRECT: u16 = 0x48;
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// A raw socket for IPv4 sees the packet with its header.
const FILTER4: [SockFilter; 5] = [
    SockFilter::new(LOAD_HEADER_LENGTH, 0, 0, 0),
    SockFilter::new(LOAD_HALF_INDIRECT, 0, 0, 0),
    SockFilter::new(JUMP_EQUAL, 0, 1, FRAGMENTATION_NEEDED),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
    SockFilter::new(RETURN, 0, 0, 0),
];

/// One for ICMPv6 sees the message alone.
const FILTER6: [SockFilter; 4] = [
    SockFilter::new(LOAD_BYTE, 0, 0, 0),
    SockFilter::new(JUMP_EQUAL, 0, 1, v6::PACKET_TOO_BIG as u32),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
    SockFilter::new(RETURN, 0, 0, 0),
];

/// A packet of this host, or so the message says, was too big.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooBig<'a> {
    /// Who says so.
    pub router: IpAddr,
    /// Largest packet that fits the router's next link, in bytes; 0 from routers older than RFC 1191.
    pub mtu: u32,
    /// The packet, or only its beginning: IPv4 from an IPv4 router, IPv6 from an IPv6 one.
    pub packet: &'a [u8],
}

/// The messages as they come in. One address family may be missing; the other is served all the same.
///
/// Registered with a mio poll as an event source; when it is readable, call [`drain`](Self::drain).
#[derive(Debug)]
pub struct RouterMessages {
    v4: io::Result<Socket>,
    v6: io::Result<Socket>,
    buffer: Box<[u8; MESSAGE]>,
}

impl RouterMessages {
    /// Opens both sockets in the calling thread's network namespace.
    #[must_use]
    pub fn open() -> Self {
        Self {
            v4: open(Domain::IPV4, Protocol::ICMPV4, &FILTER4),
            v6: open(Domain::IPV6, Protocol::ICMPV6, &FILTER6),
            buffer: Box::new([0; MESSAGE]),
        }
    }

    /// What cannot be heard, and why.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, &io::Error)> {
        let families = [("IPv4", &self.v4), ("IPv6", &self.v6)];
        families.into_iter().filter_map(|(family, socket)| Some((family, socket.as_ref().err()?)))
    }

    /// Gives every well-formed message that has come in to `each`.
    pub fn drain(&mut self, mut each: impl FnMut(TooBig<'_>)) {
        let Self { v4, v6, buffer } = self;
        for _ in 0..MESSAGES_PER_DRAIN {
            let Some((length, _)) = receive(v4, buffer) else { break };
            buffer.get(..length).and_then(read4).into_iter().for_each(&mut each);
        }
        for _ in 0..MESSAGES_PER_DRAIN {
            let Some((length, router)) = receive(v6, buffer) else { break };
            let message = buffer.get(..length).zip(router);
            message.and_then(|(message, router)| read6(message, router)).into_iter().for_each(&mut each);
        }
    }
}

fn open(domain: Domain, protocol: Protocol, filter: &[SockFilter]) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(protocol))?;
    socket.attach_filter(filter)?;
    Ok(socket)
}

/// The next message: its length, and the IPv6 address that it comes from. `None` when there is none, or no socket.
fn receive(socket: &io::Result<Socket>, buffer: &mut [u8; MESSAGE]) -> Option<(usize, Option<Ipv6Addr>)> {
    let socket = socket.as_ref().ok()?;
    let (length, _, from) = recvfrom(socket, &mut buffer[..], RecvFlags::empty()).ok()?;
    let from = from.and_then(|from| SocketAddrV6::try_from(from).ok());
    Some((length, from.map(|from| *from.ip())))
}

/// A message with its IPv4 header. The kernel has not looked at its checksum.
fn read4(packet: &[u8]) -> Option<TooBig<'_>> {
    let (header, start) = ipv4::Header::parse(packet).ok()?;
    let message = packet.get(start..usize::from(header.total_length))?;
    let is_icmp = header.protocol == ip::Protocol::ICMP && !header.is_fragment();
    if !is_icmp || !v4::checksum_is_valid(message) {
        return None;
    }
    let (told, _) = v4::FragmentationNeeded::parse(message).ok()?;
    Some(TooBig { router: IpAddr::V4(header.source), mtu: told.mtu.into(), packet: told.packet })
}

/// A message without its IPv6 header, of which the kernel has verified the checksum.
fn read6(message: &[u8], router: Ipv6Addr) -> Option<TooBig<'_>> {
    let (told, _) = v6::PacketTooBig::parse(message).ok()?;
    Some(TooBig { router: IpAddr::V6(router), mtu: told.mtu, packet: told.packet })
}

impl Source for RouterMessages {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        [&self.v4, &self.v6]
            .into_iter()
            .flatten()
            .try_for_each(|socket| SourceFd(&socket.as_raw_fd()).register(registry, token, interests))
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        [&self.v4, &self.v6]
            .into_iter()
            .flatten()
            .try_for_each(|socket| SourceFd(&socket.as_raw_fd()).reregister(registry, token, interests))
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        [&self.v4, &self.v6]
            .into_iter()
            .flatten()
            .try_for_each(|socket| SourceFd(&socket.as_raw_fd()).deregister(registry))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn messages_are_read_and_damaged_ones_are_not() {
        let router = Ipv4Addr::new(10, 0, 0, 9);
        let offending = [0x45; 60];
        let mut packet = [0; 100];
        let needed = v4::FragmentationNeeded { mtu: 1300, packet: &offending };
        let length = needed.emit_packet(router, Ipv4Addr::new(10, 0, 0, 1), &mut packet).unwrap();
        let packet = &mut packet[..length];
        let expected = TooBig { router: IpAddr::V4(router), mtu: 1300, packet: &offending };
        assert_eq!(read4(packet), Some(expected));
        assert_eq!(read4(&packet[..length - 1]), None);
        packet[27] ^= 1;
        assert_eq!(read4(packet), None, "the checksum is wrong");

        let mut message = [0; 100];
        let length = v6::PacketTooBig { mtu: 1300, packet: &offending }.emit(&mut message).unwrap();
        let router = Ipv6Addr::LOCALHOST;
        let expected = TooBig { router: IpAddr::V6(router), mtu: 1300, packet: &offending };
        assert_eq!(read6(&message[..length], router), Some(expected));
        assert_eq!(read6(&message[..7], router), None);
    }
}
