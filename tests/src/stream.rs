//! A steady stream of numbered UDP datagrams, to see whether a change loses, repeats or reorders any.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::topology::Workload;
use crate::wait::{SOON, wait_until};

/// The number of datagrams is not known yet.
const UNKNOWN: u64 = u64::MAX;
/// After so many looks in vain, of [`LOOK`] each, nothing more of an ended stream is under way. Looks, rather than time: a
/// receiver that the machine did not let run has not looked.
const LOOKS: u32 = 100;
/// How long one look waits.
const LOOK: Duration = Duration::from_millis(50);
/// The port that the datagrams go to.
pub const PORT: u16 = 7777;

/// A running stream from one workload to another.
#[derive(Debug)]
pub struct UdpStream {
    shared: Arc<Shared>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<Report>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
    longest: usize,
}

/// What became of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// Datagrams that the sender's kernel took.
    pub sent: u64,
    /// Different datagrams that arrived.
    pub received: u64,
    /// Datagrams that arrived again.
    pub repeated: u64,
    /// Datagrams that arrived after one sent later.
    pub reordered: u64,
}

impl Report {
    /// Asserts that all arrived, once, in order.
    #[track_caller]
    pub fn assert_complete(&self) {
        assert_eq!(self.reordered, 0, "not in order: {self:?}");
        self.assert_none_lost();
    }

    /// Asserts that all arrived, once. The order is not asserted where a test makes two workers burst to one underlay at
    /// once: the bridge that it is forwards on both their CPUs, and the kernel may let one overtake the other there.
    #[track_caller]
    pub fn assert_none_lost(&self) {
        assert!(self.sent > 0, "nothing was sent");
        let complete = Self { received: self.sent, repeated: 0, ..*self };
        assert_eq!(*self, complete, "not every datagram arrived once");
    }
}

impl UdpStream {
    /// One each way between two workloads; see [`UdpStream::start`].
    #[must_use]
    pub fn both_ways(a: &Workload, b: &Workload, interval: Duration) -> [Self; 2] {
        [(a, b), (b, a)].map(|(from, to)| Self::start(from, to, interval))
    }

    /// Starts to send a datagram every `interval`; returns when the first has arrived.
    #[must_use]
    pub fn start(from: &Workload, to: &Workload, interval: Duration) -> Self {
        Self::mixed(from, to, interval, 0)
    }

    /// The same with datagrams of `longest` bytes among the others, one in four.
    #[must_use]
    pub fn mixed(from: &Workload, to: &Workload, interval: Duration, longest: usize) -> Self {
        // A neighbour that is yet to be found has room for few datagrams, and the kernel drops the others.
        from.reaches(to);
        let destination = SocketAddr::from((to.address, PORT));
        let socket = to.namespace.within(|| UdpSocket::bind(destination)).expect("bind a UDP socket");
        set_socket_recv_buffer_size_force(&socket, 64 << 20).expect("enlarge a socket buffer");
        socket.set_read_timeout(Some(LOOK)).expect("set a timeout");
        let source = from.namespace.within(|| UdpSocket::bind((from.address, 0))).expect("bind a UDP socket");
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            sent: AtomicU64::new(UNKNOWN),
            received: AtomicU64::new(0),
            longest,
        });
        let (sending, receiving) = (Arc::clone(&shared), Arc::clone(&shared));
        let receiver = thread::spawn(move || receive(&socket, &receiving));
        let sender = thread::spawn(move || send(&source, destination, interval, &sending));
        let stream = Self { shared, sender, receiver };
        wait_until("the first datagram of a stream arrives", SOON, || stream.received() > 0);
        stream
    }

    /// Datagrams that have arrived so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    /// Waits until `count` more datagrams have arrived.
    pub fn wait_for_more(&self, count: u64) {
        let goal = self.received() + count;
        wait_until("a stream goes on", SOON, || self.received() >= goal);
    }

    /// Ends the stream and tells what became of it.
    #[must_use]
    pub fn stop(self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the sender of a stream");
        self.shared.sent.store(sent, Ordering::Relaxed);
        self.receiver.join().expect("the receiver of a stream")
    }
}

/// Sends until told to stop; gives the number of datagrams that the kernel took.
fn send(socket: &UdpSocket, to: SocketAddr, interval: Duration, shared: &Shared) -> u64 {
    let mut number = 0_u64;
    let mut due = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        // What the kernel refuses (the workload's device is gone) never was on a wire.
        if socket.send_to(&payload(number, shared.longest), to).is_ok() {
            number += 1;
        }
        // Who was not scheduled does not make up for it: that would be a burst, which rings may have no room for.
        due = (due + interval).max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    number
}

/// Receives until everything that was sent is here, or nothing more comes after the end.
fn receive(socket: &UdpSocket, shared: &Shared) -> Report {
    let mut report = Report { sent: 0, received: 0, repeated: 0, reordered: 0 };
    let (mut seen, mut newest, mut in_vain) = (Vec::new(), 0_u64, 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let sent = shared.sent.load(Ordering::Relaxed);
        let over = sent != UNKNOWN && (report.received == sent || in_vain >= LOOKS);
        if over {
            return Report { sent, ..report };
        }
        let Ok(length) = socket.recv(&mut buffer) else {
            in_vain += u32::from(sent != UNKNOWN);
            continue;
        };
        in_vain = 0;
        let number = buffer.first_chunk().map_or(UNKNOWN, |bytes| u64::from_be_bytes(*bytes));
        assert_eq!(buffer[..length], payload(number, shared.longest), "a datagram has changed on its way");
        let index = usize::try_from(number).expect("a number of datagrams");
        seen.resize(seen.len().max(index + 1), false);
        if std::mem::replace(&mut seen[index], true) {
            report.repeated += 1;
            continue;
        }
        report.reordered += u64::from(number < newest);
        newest = newest.max(number);
        report.received += 1;
        shared.received.store(report.received, Ordering::Relaxed);
    }
}

/// Content of a datagram: its number, and bytes and a length that follow from it.
fn payload(number: u64, longest: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    let [.., low] = number.to_be_bytes();
    let length = 20 + usize::from(low);
    payload.resize(if number.is_multiple_of(4) { length.max(longest) } else { length }, low);
    payload
}
