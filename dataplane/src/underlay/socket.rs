//! The two rtnetlink sockets: one asks and waits for the answer, one listens.
//!
//! Knows how datagrams are framed and acknowledged (netlink(7), rtnetlink(7)), not what is in them.

use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NlasIterator,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};

use super::Error;

/// Bytes that one receive can take. The kernel's dump datagrams are at most 32 KiB.
const RECEIVE_BYTES: usize = 64 << 10;
/// How long the kernel may take to answer: it holds locks while others configure the network.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Attempts to read a table that changes meanwhile.
const DUMP_ATTEMPTS: u32 = 16;
/// Length of `struct nlmsghdr`, which an acknowledgement quotes before its attributes.
const HEADER_BYTES: usize = 16;
/// `NLMSGERR_ATTR_MSG` of linux/netlink.h.
const ATTRIBUTE_MESSAGE: u16 = 1;

/// What the listening socket hears of, in linux/rtnetlink.h's words. Nexthop objects are named by routes and can change
/// under them without a route notification.
const GROUPS: [u32; 9] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_NEIGH,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_IPV4_RULE,
    libc::RTNLGRP_IPV6_RULE,
    libc::RTNLGRP_NEXTHOP,
];

/// The messages of one datagram, each with its header and without its padding. A malformed rest ends it.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    std::iter::from_fn(move || {
        let length = NetlinkBuffer::new_checked(datagram).ok()?.length() as usize;
        let (message, rest) = datagram.split_at_checked(length)?;
        datagram = rest.get(length.next_multiple_of(4) - length..).unwrap_or_default();
        Some(NetlinkBuffer::new(message))
    })
}

fn open(operation: &str) -> Result<Socket, Error> {
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(|error| Error::io(operation, &error))?;
    socket.bind_auto().map_err(|error| Error::io(operation, &error))?;
    Ok(socket)
}

/// The socket that asks.
#[derive(Debug)]
pub(super) struct Requests {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Requests {
    pub(super) fn open() -> Result<Self, Error> {
        let operation = "open a netlink socket for requests";
        let socket = open(operation)?;
        let fail = |error: std::io::Error| Error::io(operation, &error);
        socket.set_ext_ack(true).map_err(fail)?;
        // With it an error quotes only the header of the request, so that attributes start at a known place.
        socket.set_cap_ack(true).map_err(fail)?;
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_WITHIN))
            .map_err(|e| fail(e.into()))?;
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(RECEIVE_BYTES) })
    }

    /// Reads a whole table. One that changes meanwhile is read again, as it may lack entries (`NLM_F_DUMP_INTR`).
    pub(super) fn dump(
        &mut self,
        operation: &str,
        request: &RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        for _ in 0..DUMP_ATTEMPTS {
            let (answer, consistent) = self.exchange(operation, request.clone(), NLM_F_DUMP)?;
            if consistent {
                return Ok(answer);
            }
        }
        Err(Error::Interrupted { operation: operation.into(), attempts: DUMP_ATTEMPTS })
    }

    /// Asks for one thing, or for something to be done, and returns the answers up to the acknowledgement.
    pub(super) fn ask(
        &mut self,
        operation: &str,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        self.exchange(operation, request, NLM_F_ACK | flags).map(|(answer, _)| answer)
    }

    /// Sends a request and collects what comes until its end; false when a dump was interrupted.
    fn exchange(
        &mut self,
        operation: &str,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(Vec<RouteNetlinkMessage>, bool), Error> {
        self.send(operation, request, flags)?;
        let mut answers = Vec::new();
        let mut consistent = true;
        loop {
            self.receive(operation)?;
            for message in messages(&self.buffer) {
                // Late answers to a request that was given up have an older number.
                if message.sequence_number() != self.sequence {
                    continue;
                }
                consistent &= message.flags() & NLM_F_DUMP_INTR == 0;
                let malformed = |reason: String| Error::Malformed { operation: operation.into(), reason };
                let message = match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message.buffer) {
                    Ok(message) => message,
                    // One entry of a table that we cannot read must not hide the others.
                    Err(error) if flags & NLM_F_DUMP == NLM_F_DUMP => {
                        tracing::warn!("{}; this entry is ignored", malformed(error.to_string()));
                        continue;
                    }
                    Err(error) => return Err(malformed(error.to_string())),
                };
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Err(refusal(operation, done.code, &[]));
                    }
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(refusal(operation, error.raw_code(), &error.header));
                    }
                    NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => return Ok((answers, consistent)),
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, operation: &str, request: RouteNetlinkMessage, flags: u16) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let kernel = SocketAddr::new(0, 0);
        self.socket.send_to(&bytes, &kernel, 0).map_err(|error| Error::io(operation, &error))?;
        Ok(())
    }

    /// Fills `buffer` with one datagram of the kernel's.
    fn receive(&mut self, operation: &str) -> Result<(), Error> {
        loop {
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, libc::MSG_TRUNC) {
                Ok((length, _)) if length > self.buffer.len() => {
                    self.buffer.reserve(length);
                    let reason = format!("a datagram of {length} bytes");
                    return Err(Error::Malformed { operation: operation.into(), reason });
                }
                Ok((_, sender)) if sender.port_number() == 0 => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return Err(Error::Silent {
                        operation: operation.into(),
                        seconds: ANSWER_WITHIN.as_secs(),
                    });
                }
                Err(error) => return Err(Error::io(operation, &error)),
            }
        }
    }
}

/// The error of a negative acknowledgement: `code` is the negated errno, `quoted` the request's header and attributes.
fn refusal(operation: &str, code: i32, quoted: &[u8]) -> Error {
    let attributes = quoted.get(HEADER_BYTES..).unwrap_or_default();
    let detail = NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|attribute| attribute.kind() == ATTRIBUTE_MESSAGE)
        .map(|attribute| String::from_utf8_lossy(attribute.value()).trim_end_matches('\0').to_owned());
    Error::Refused {
        operation: operation.into(),
        errno: Errno::from_raw_os_error(code.saturating_neg()),
        detail: detail.unwrap_or_default(),
    }
}

/// What one receive brought.
pub(super) enum Received<'a> {
    /// One datagram.
    Datagram(&'a [u8]),
    /// Nothing is pending.
    Nothing,
    /// The kernel had to drop notifications.
    Overrun,
}

/// The socket that listens.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) socket: Socket,
    buffer: Vec<u8>,
}

impl Events {
    /// Subscribes; `receive_buffer` is the bytes of notifications that the kernel may queue.
    pub(super) fn open(receive_buffer: usize) -> Result<Self, Error> {
        let operation = "open a netlink socket for notifications";
        let socket = open(operation)?;
        let fail = |error: std::io::Error| Error::io(operation, &error);
        // Forcing needs CAP_NET_ADMIN and passes net.core.rmem_max; without it the kernel's limit is what we get.
        if sockopt::set_socket_recv_buffer_size_force(&socket, receive_buffer / 2).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, receive_buffer / 2).map_err(|e| fail(e.into()))?;
        }
        socket.set_non_blocking(true).map_err(fail)?;
        for group in GROUPS {
            socket.add_membership(group).map_err(|error| {
                Error::io(format!("subscribe to the notifications of rtnetlink group {group}"), &error)
            })?;
        }
        Ok(Self { socket, buffer: Vec::with_capacity(RECEIVE_BYTES) })
    }

    /// Takes one datagram, never blocks.
    pub(super) fn receive(&mut self) -> Result<Received<'_>, Error> {
        loop {
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, libc::MSG_TRUNC) {
                Ok((length, _)) if length > self.buffer.len() => {
                    self.buffer.reserve(length);
                    return Ok(Received::Overrun);
                }
                Ok((_, sender)) if sender.port_number() == 0 => return Ok(Received::Datagram(&self.buffer)),
                Ok(_) => {}
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::INTR) => {}
                    Some(Errno::AGAIN) => return Ok(Received::Nothing),
                    Some(Errno::NOBUFS) => return Ok(Received::Overrun),
                    _ => return Err(Error::io("receive notifications of rtnetlink", &error)),
                },
            }
        }
    }
}
