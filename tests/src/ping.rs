//! ICMP echo, one request at a time. The `ping` of iputils gives the last answer little time when it has seen quick
//! ones before, which is too little on a busy machine.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recvfrom, sendto, socket_with,
};

use crate::netns::Namespace;

/// A socket for echo requests of one host to another.
#[derive(Debug)]
pub struct Echo {
    socket: OwnedFd,
    to: SocketAddrV4,
    /// Tells our answers from those to others on the host.
    identifier: u16,
    sequence: u16,
}

impl Echo {
    /// Opens a socket.
    #[must_use]
    pub fn open(from: &Namespace, to: Ipv4Addr) -> Self {
        static IDENTIFIER: AtomicU16 = AtomicU16::new(1);
        let icmp = Some(ipproto::ICMP);
        let socket =
            from.within(|| socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, icmp));
        let socket = socket.expect("open a socket for ICMP");
        let identifier = IDENTIFIER.fetch_add(1, Ordering::Relaxed);
        Self { socket, to: SocketAddrV4::new(to, 0), identifier, sequence: 0 }
    }

    /// Sends a request and waits for its answer; whether there was one.
    ///
    /// # Errors
    /// When an earlier request is answered again.
    pub fn request(&mut self, patience: Duration) -> Result<bool, String> {
        self.sequence += 1;
        let sent = Instant::now();
        // The kernel refuses while it has no route or no neighbour: that is no answer either.
        if sendto(&self.socket, &self.message(), SendFlags::empty(), &self.to).is_err() {
            std::thread::sleep(Duration::from_millis(1));
            return Ok(false);
        }
        let mut buffer = [0; 1500];
        while let Some(left) = patience.checked_sub(sent.elapsed()).filter(|left| !left.is_zero()) {
            set_socket_timeout(&self.socket, Timeout::Recv, Some(left.max(Duration::from_millis(1))))
                .expect("set a timeout");
            let Ok((packet, ..)) = recvfrom(&self.socket, &mut buffer[..], RecvFlags::empty()) else {
                continue;
            };
            match self.answered(&buffer[..packet]) {
                Some(sequence) if sequence == self.sequence => return Ok(true),
                Some(sequence) => return Err(format!("request {sequence} was answered again or late")),
                None => {}
            }
        }
        Ok(false)
    }

    /// An echo request (RFC 792) with some payload.
    fn message(&self) -> Vec<u8> {
        let mut message = vec![8, 0, 0, 0];
        message.extend(self.identifier.to_be_bytes());
        message.extend(self.sequence.to_be_bytes());
        message.extend(0..=47);
        let words = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
        let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
        let [.., high, low] = (!fold(fold(words.sum()))).to_be_bytes();
        message[2..4].copy_from_slice(&[high, low]);
        message
    }

    /// The sequence number that a packet answers, if it is an answer to us from whom we asked.
    fn answered(&self, packet: &[u8]) -> Option<u16> {
        let source = Ipv4Addr::from(*packet.get(12..)?.first_chunk::<4>()?);
        let message = packet.get(usize::from(packet[0] & 15) * 4..)?;
        let number = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
        let ours = source == *self.to.ip() && message.first() == Some(&0) && number(4)? == self.identifier;
        if ours { number(6) } else { None }
    }
}

/// Sends `count` requests, each after the answer to the one before; every one must be answered exactly once.
#[track_caller]
pub fn every_answer(from: &Namespace, to: Ipv4Addr, count: usize) {
    let mut echo = Echo::open(from, to);
    for number in 1..=count {
        match echo.request(crate::wait::SOON) {
            Ok(true) => {}
            Ok(false) => panic!("{} -> {to}: request {number} of {count} was not answered", from.name()),
            Err(error) => panic!("{} -> {to}: {error}", from.name()),
        }
    }
}
