//! TCP transfers between hosts by their kernels' own TCP, with every byte compared.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::netns::Namespace;
use crate::topology::{Node, Workload};
use crate::wait::SOON;

/// A host that sends or receives: a workload by its overlay address, or a node by its underlay address.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    namespace: &'a Namespace,
    address: IpAddr,
}

impl<'a> Host<'a> {
    /// A host by any of its addresses.
    #[must_use]
    pub fn at(namespace: &'a Namespace, address: impl Into<IpAddr>) -> Self {
        Self { namespace, address: address.into() }
    }
}

impl<'a> From<&'a Workload> for Host<'a> {
    fn from(workload: &'a Workload) -> Self {
        Self::at(&workload.namespace, workload.address)
    }
}

impl<'a> From<&'a Node> for Host<'a> {
    fn from(node: &'a Node) -> Self {
        Self::at(&node.namespace, node.address)
    }
}

/// Room of a receiver: less in segments of full size than any ring on the way holds. Left to itself a transfer has whatever
/// its receiver could take under way, fills rings when somebody does not run for a while, and takes others' frames along.
const WINDOW: usize = 256 << 10;

/// How much is sent, and in what pieces.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// Bytes in all.
    pub bytes: usize,
    /// Bytes of each write; small ones become small segments.
    pub write_size: usize,
}

impl Transfer {
    /// Full-size segments, and super-frames where the sender's kernel makes them.
    pub const FULL: Self = Self { bytes: 8 << 20, write_size: 64 << 10 };
    /// Segments of 97 bytes: an odd length, for checksums.
    pub const SMALL: Self = Self { bytes: 97 * 2000, write_size: 97 };

    /// Sends from one host to the other and asserts that every byte arrives.
    #[track_caller]
    pub fn run<'a>(self, from: impl Into<Host<'a>>, to: impl Into<Host<'a>>) {
        let (from, to) = (from.into(), to.into());
        let listener = to.namespace.within(|| TcpListener::bind((to.address, 0))).expect("listen");
        set_socket_recv_buffer_size(&listener, WINDOW).expect("set the size of a socket buffer");
        let address = listener.local_addr().expect("the address of a listener");
        let result = thread::scope(|scope| {
            let sender = scope.spawn(|| from.namespace.within(|| self.send(address)));
            let received = self.receive(&listener);
            let sent = sender.join().unwrap_or_else(|_| Err("the sender panicked".to_owned()));
            match (sent, received) {
                (Ok(()), received) => received,
                (sent, Ok(())) => sent,
                (Err(sent), Err(received)) => Err(format!("sender: {sent}; receiver: {received}")),
            }
        });
        if let Err(error) = result {
            panic!("TCP from {} to {}, {self:?}: {error}", from.address, to.address);
        }
    }

    fn send(self, to: SocketAddr) -> Result<(), String> {
        let mut stream =
            TcpStream::connect_timeout(&to, SOON).map_err(|error| format!("connect: {error}"))?;
        stream.set_write_timeout(Some(SOON)).expect("set a timeout");
        stream.set_nodelay(true).expect("set an option");
        let mut source = Content::default();
        let mut piece = vec![0; self.write_size];
        let mut left = self.bytes;
        while left > 0 {
            let length = left.min(self.write_size);
            source.fill(&mut piece[..length]);
            stream.write_all(&piece[..length]).map_err(|error| format!("{left} bytes not sent: {error}"))?;
            left -= length;
        }
        Ok(())
    }

    fn receive(self, listener: &TcpListener) -> Result<(), String> {
        listener.set_nonblocking(true).expect("set an option");
        let mut stream = accept(listener)?;
        stream.set_nonblocking(false).expect("set an option");
        stream.set_read_timeout(Some(SOON)).expect("set a timeout");
        let (mut buffer, mut expected) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let (mut source, mut received) = (Content::default(), 0);
        loop {
            let length = match stream.read(&mut buffer) {
                // A read with a timeout is not restarted after whatever interrupts it.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|error| format!("{received} bytes came: {error}"))?,
            };
            if length == 0 {
                break;
            }
            source.fill(&mut expected[..length]);
            if buffer[..length] != expected[..length] {
                return Err(format!("the bytes after {received} differ from those sent"));
            }
            received += length;
        }
        if received == self.bytes { Ok(()) } else { Err(format!("{received} bytes came")) }
    }
}

/// Accepts one connection, or gives up: the sender may have failed to connect.
fn accept(listener: &TcpListener) -> Result<TcpStream, String> {
    let start = std::time::Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if start.elapsed() > SOON => return Err(format!("nobody connected: {error}")),
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// A sequence of bytes that does not repeat within a transfer (xorshift64).
struct Content {
    state: u64,
    left: usize,
}

impl Default for Content {
    fn default() -> Self {
        Self { state: 0x9e37_79b9_7f4a_7c15, left: 0 }
    }
}

impl Content {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.left == 0 {
                self.state ^= self.state << 13;
                self.state ^= self.state >> 7;
                self.state ^= self.state << 17;
                self.left = 8;
            }
            self.left -= 1;
            *byte = self.state.to_le_bytes()[self.left];
        }
    }
}
