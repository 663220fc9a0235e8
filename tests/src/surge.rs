//! Numbered UDP datagrams, as many at once as a test says, to see whether any overtakes another.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::topology::Workload;
use crate::wait::{SOON, wait_until};

/// After so long without one, no more datagrams are under way.
const QUIET: Duration = Duration::from_millis(50);

/// One flow from one workload to another.
#[derive(Debug)]
pub struct Surge {
    sender: UdpSocket,
    receiver: UdpSocket,
    to: SocketAddr,
    sent: u64,
    received: u64,
    /// The number of the datagram that arrived last.
    last: Option<u64>,
}

impl Surge {
    /// A flow on which nothing has been sent.
    #[must_use]
    pub fn open(from: &Workload, to: &Workload) -> Self {
        let sender = from.namespace.within(|| UdpSocket::bind((from.address, 0))).expect("bind a UDP socket");
        let receiver = to.namespace.within(|| UdpSocket::bind((to.address, 0))).expect("bind a UDP socket");
        set_socket_recv_buffer_size_force(&receiver, 32 << 20).expect("enlarge a socket buffer");
        receiver.set_read_timeout(Some(QUIET)).expect("set a timeout");
        let to = receiver.local_addr().expect("a bound socket has an address");
        Self { sender, receiver, to, sent: 0, received: 0, last: None }
    }

    /// Sends so many datagrams at once.
    pub fn send(&mut self, count: u64) {
        self.send_of((0..count).map(|_| 0));
    }

    /// Sends datagrams of so many bytes each at once.
    pub fn send_of(&mut self, lengths: impl IntoIterator<Item = usize>) {
        let mut bytes = Vec::new();
        for length in lengths {
            bytes.clear();
            bytes.extend(self.sent.to_be_bytes());
            bytes.resize(length.max(8), 0);
            // What the sender's kernel refuses never was on a wire.
            if self.sender.send_to(&bytes, self.to).is_ok() {
                self.sent += 1;
            }
        }
    }

    /// Receives until nothing is under way and asserts that each datagram was sent after the one before it.
    #[track_caller]
    pub fn assert_in_order(&mut self) {
        let mut bytes = [0; 8];
        while self.received < self.sent {
            match self.receiver.recv(&mut bytes) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("receive: {error}"),
            }
            let number = u64::from_be_bytes(bytes);
            assert!(self.last.is_none_or(|last| last < number), "{number} after {:?}", self.last);
            self.last = Some(number);
            self.received += 1;
        }
    }

    /// Asserts that so many tenths of the datagrams arrive, in order.
    #[track_caller]
    pub fn assert_arrived(&mut self, tenths: u64) {
        let what = format!("{tenths} of 10 datagrams arrive");
        wait_until(&what, SOON, || {
            self.assert_in_order();
            self.received * 10 >= self.sent * tenths
        });
    }

    /// Datagrams that the sender's kernel took.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Datagrams that have arrived.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }
}
