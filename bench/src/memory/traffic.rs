//! Frames that come in, one after the other. Built by etherparse once; from then on only addresses and ports change.

use etherparse::{Ipv4Header, PacketBuilder, UdpHeader, ip_number};
use fastrand::Rng;
use forward::ids::{PortId, RemoteId};
use forward::link::Place;
use wire::Mac;

use super::overlay::{ACCESS, LOCAL, NEIGHBOURS, Overlay, REMOTES, Station, UDP_PORT, UPLINK, VNI};

/// Bytes of an inner frame, without the check sequence: the smallest of Ethernet.
const INNER: usize = 60;
/// Bytes of an outer header: Ethernet, IPv4, UDP, VXLAN.
const OUTER: usize = 50;
/// Where the UDP source port is, from the start of a plain frame.
const SOURCE_PORT: usize = 34;

/// What comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mix {
    /// Known unicast from an access port to the remotes: 60-byte UDP frames.
    Encapsulate,
    /// Known unicast from the remotes to an access port: the same frames in VXLAN, 110 bytes.
    Decapsulate,
    /// From an access port, of 64 frames 58 as [`Mix::Encapsulate`], 3 broadcasts to flood, 3 ARP requests to answer.
    Mixed,
    /// ARP requests that the proxy answers.
    Arp,
    /// Broadcasts to flood.
    Flood,
}

/// An endless stream of frames. Sources and destinations go through all stations, each in an order of its own: no
/// entry comes again before all others have.
#[derive(Debug)]
pub struct Traffic {
    mix: Mix,
    sources: Vec<Station>,
    destinations: Vec<Station>,
    next: usize,
    random: Rng,
    plain: [u8; INNER],
    /// By remote.
    wrapped: Vec<[u8; OUTER + INNER]>,
    request: [u8; INNER],
}

impl Traffic {
    /// Frames between the stations of an overlay. Streams with different seeds go through them in different orders.
    ///
    /// # Panics
    /// If the overlay has no stations.
    #[must_use]
    pub fn new(overlay: &Overlay, mix: Mix, seed: u64) -> Self {
        let (mut sources, mut destinations) = match mix {
            Mix::Decapsulate => (overlay.distant.clone(), overlay.local.clone()),
            Mix::Encapsulate | Mix::Mixed | Mix::Arp | Mix::Flood => {
                (overlay.local.clone(), overlay.distant.clone())
            }
        };
        assert!(!sources.is_empty() && !destinations.is_empty(), "an overlay with stations on both sides");
        let mut random = Rng::with_seed(seed);
        if mix != Mix::Arp && mix != Mix::Mixed {
            // The proxy's neighbours are the first ones of the overlay's order.
            random.shuffle(&mut sources);
            random.shuffle(&mut destinations);
        }
        let remotes = overlay.tables.remotes().count() as u32;
        let plain = plain();
        let wrapped = (0..remotes.max(REMOTES)).map(|remote| wrapped(RemoteId(remote), &plain)).collect();
        Self { mix, sources, destinations, next: 0, random, plain, wrapped, request: request() }
    }

    /// The port that the frames come in at.
    #[must_use]
    pub const fn ingress(&self) -> PortId {
        match self.mix {
            Mix::Decapsulate => UPLINK,
            Mix::Encapsulate | Mix::Mixed | Mix::Arp | Mix::Flood => ACCESS,
        }
    }

    /// The next frame.
    pub fn next_frame(&mut self) -> &[u8] {
        match self.mix {
            Mix::Encapsulate => self.unicast(),
            Mix::Decapsulate => self.wrapped(),
            Mix::Arp => self.request(),
            Mix::Flood => self.broadcast(),
            Mix::Mixed => match self.random.u8(..64) {
                0..3 => self.broadcast(),
                3..6 => self.request(),
                _ => self.unicast(),
            },
        }
    }

    fn pair(&mut self) -> (Station, Station) {
        let at = self.next;
        self.next += 1;
        (self.sources[at % self.sources.len()], self.destinations[at % self.destinations.len()])
    }

    fn unicast(&mut self) -> &[u8] {
        let (source, destination) = self.pair();
        let port = self.random.u16(..);
        address(&mut self.plain, destination.mac, source.mac, port);
        &self.plain
    }

    fn broadcast(&mut self) -> &[u8] {
        let (source, _) = self.pair();
        address(&mut self.plain, Mac::BROADCAST, source.mac, 68);
        &self.plain
    }

    fn wrapped(&mut self) -> &[u8] {
        let (source, destination) = self.pair();
        let Place::Remote(RemoteId(remote)) = source.place else { return &[] };
        let port = self.random.u16(..);
        let frame = &mut self.wrapped[remote as usize];
        let source_port = (49_152 | port).to_be_bytes();
        frame[SOURCE_PORT..SOURCE_PORT + 2].copy_from_slice(&source_port);
        address(&mut frame[OUTER..], destination.mac, source.mac, port);
        frame
    }

    fn request(&mut self) -> &[u8] {
        let mut known = |stations: &[Station]| stations[self.random.usize(..stations.len().min(NEIGHBOURS))];
        let (sender, target) = (known(&self.sources), known(&self.destinations));
        self.request[6..12].copy_from_slice(&sender.mac.0);
        self.request[22..28].copy_from_slice(&sender.mac.0);
        self.request[28..32].copy_from_slice(&sender.address.octets());
        self.request[38..42].copy_from_slice(&target.address.octets());
        &self.request
    }
}

fn address(frame: &mut [u8], destination: Mac, source: Mac, port: u16) {
    frame[..6].copy_from_slice(&destination.0);
    frame[6..12].copy_from_slice(&source.0);
    frame[SOURCE_PORT..SOURCE_PORT + 2].copy_from_slice(&port.to_be_bytes());
}

/// A UDP datagram. Its checksum is not the right one for every port, which nobody on its way looks at: only a sum of
/// the pseudo-header alone would mean something.
fn plain() -> [u8; INNER] {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([0; 6], [0; 6])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(1024, 2048)
        .write(&mut frame, &[0x5a; INNER - 42])
        .expect("a frame");
    frame.try_into().expect("the length asked for")
}

/// As a peer sends it: checksum zero, do not fragment.
fn wrapped(remote: RemoteId, inner: &[u8; INNER]) -> [u8; OUTER + INNER] {
    let payload = (8 + INNER) as u16;
    let source = Overlay::address_of(remote).octets();
    let mut packet =
        Ipv4Header::new(8 + payload, 64, ip_number::UDP, source, LOCAL.octets()).expect("a length");
    packet.dont_fragment = true;
    packet.header_checksum = packet.calc_header_checksum();
    let datagram =
        UdpHeader { source_port: 49_152, destination_port: UDP_PORT, length: 8 + payload, checksum: 0 };
    let [_, v0, v1, v2] = VNI.to_be_bytes();
    let ethernet = [2, 1, 0, 0, 0, 0, 2, 1, 0, 0, 1, 1, 8, 0];
    let frame =
        [&ethernet[..], &packet.to_bytes(), &datagram.to_bytes(), &[8, 0, 0, 0, v0, v1, v2, 0], &inner[..]];
    frame.concat().try_into().expect("the length asked for")
}

/// A broadcast ARP request, padded.
fn request() -> [u8; INNER] {
    let mut frame = [0; INNER];
    frame[..6].fill(0xff);
    frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame
}
