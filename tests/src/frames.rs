//! Frames that no kernel would send by itself, and a socket that sends them.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{IpNumber, Ipv4Header, PacketBuilder};
use pnet_datalink::{Channel, Config, DataLinkSender};

use crate::netns::Namespace;
use crate::topology::Workload;

/// The broadcast address.
pub const BROADCAST: [u8; 6] = [0xff; 6];

/// The octets of an Ethernet address.
#[must_use]
pub fn octets(mac: &str) -> [u8; 6] {
    let parse = |part| u8::from_str_radix(part, 16).unwrap_or_else(|_| panic!("{mac} is no address"));
    let octets: Vec<u8> = mac.split(':').map(parse).collect();
    octets.try_into().unwrap_or_else(|_| panic!("{mac} is no address"))
}

/// An ARP packet, as the fields that matter.
#[derive(Clone, Copy, Debug)]
pub struct Arp {
    /// Destination of the frame.
    pub to: [u8; 6],
    /// 1 for a request, 2 for a reply.
    pub operation: u8,
    /// Sender hardware address, and source of the frame.
    pub sender_mac: [u8; 6],
    /// Sender protocol address.
    pub sender: Ipv4Addr,
    /// Target hardware address.
    pub target_mac: [u8; 6],
    /// Target protocol address.
    pub target: Ipv4Addr,
}

impl Arp {
    /// A broadcast request by a workload.
    #[must_use]
    pub fn request(from: &Workload, target: Ipv4Addr) -> Self {
        Self {
            to: BROADCAST,
            operation: 1,
            sender_mac: octets(&from.mac),
            sender: from.address,
            target_mac: [0; 6],
            target,
        }
    }

    /// The frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(42);
        frame.extend(self.to);
        frame.extend(self.sender_mac);
        frame.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, self.operation]);
        frame.extend(self.sender_mac);
        frame.extend(self.sender.octets());
        frame.extend(self.target_mac);
        frame.extend(self.target.octets());
        frame
    }
}

/// A message of neighbour discovery, as the fields that matter.
#[derive(Clone, Copy, Debug)]
pub struct Nd {
    /// Source and destination of the frame.
    pub macs: ([u8; 6], [u8; 6]),
    /// Source and destination of the packet.
    pub addresses: (Ipv6Addr, Ipv6Addr),
    /// 135 for a solicitation, 136 for an advertisement.
    pub message_type: u8,
    /// R, S and O of an advertisement.
    pub flags: u8,
    /// The address that it is about.
    pub target: Ipv6Addr,
    /// Type of the link-layer address option that says the source of the frame: 1 for the sender's, 2 for the target's.
    pub option_type: u8,
}

impl Nd {
    /// The question who has an address, to all that might have it.
    #[must_use]
    pub fn solicitation(mac: [u8; 6], from: Ipv6Addr, target: Ipv6Addr) -> Self {
        let [.., a, b, c] = target.octets();
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), u16::from_be_bytes([b, c]));
        Self {
            macs: (mac, [0x33, 0x33, 0xff, a, b, c]),
            addresses: (from, group),
            message_type: 135,
            flags: 0,
            target,
            option_type: 1,
        }
    }

    /// An unsolicited advertisement to all nodes, with the override flag.
    #[must_use]
    pub fn announcement(mac: [u8; 6], target: Ipv6Addr) -> Self {
        Self {
            macs: (mac, [0x33, 0x33, 0, 0, 0, 1]),
            addresses: (target, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)),
            message_type: 136,
            flags: 0x20,
            target,
            option_type: 2,
        }
    }

    /// The frame, its checksum right.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(self.macs.0, self.macs.1)
            .ipv6(self.addresses.0.octets(), self.addresses.1.octets(), 255)
            .icmpv6_raw(self.message_type, 0, [self.flags, 0, 0, 0]);
        let mut message = self.target.octets().to_vec();
        message.extend([self.option_type, 1]);
        message.extend(self.macs.0);
        let mut frame = Vec::with_capacity(builder.size(message.len()));
        builder.write(&mut frame, &message).expect("a message that fits");
        frame
    }
}

/// A UDP datagram in a frame.
#[must_use]
pub fn udp(
    macs: ([u8; 6], [u8; 6]),
    addresses: (Ipv4Addr, Ipv4Addr),
    ports: (u16, u16),
    payload: &[u8],
) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(macs.0, macs.1)
        .ipv4(addresses.0.octets(), addresses.1.octets(), 64)
        .udp(ports.0, ports.1);
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut frame, payload).expect("a datagram that fits");
    frame
}

/// A datagram to UDP port `port` of an address that nobody has, in a frame from a workload to `to`.
#[must_use]
pub fn datagram(from: &Workload, to: [u8; 6], port: u16) -> Vec<u8> {
    let nobody = Ipv4Addr::new(10, 0, 0, 250);
    udp((octets(&from.mac), to), (from.address, nobody), (40_000, port), b"a frame to be counted")
}

/// A VXLAN header in front of a frame: the payload of a UDP datagram.
#[must_use]
pub fn vxlan(vni: u32, frame: &[u8]) -> Vec<u8> {
    let mut payload = vec![0x08, 0, 0, 0];
    payload.extend((vni << 8).to_be_bytes());
    payload.extend(frame);
    payload
}

/// A VXLAN packet around a frame, without a UDP checksum, as switches send it.
#[must_use]
pub fn tunnelled(
    macs: ([u8; 6], [u8; 6]),
    addresses: (Ipv4Addr, Ipv4Addr),
    vni: u32,
    frame: &[u8],
) -> Vec<u8> {
    let mut packet = udp(macs, addresses, (55_555, 4789), &vxlan(vni, frame));
    // Behind 14 bytes of Ethernet, 20 of IPv4 and 6 of UDP.
    packet[40..42].fill(0);
    packet
}

/// A GRE packet with a key in front of a frame, in an outer packet.
#[must_use]
pub fn gre(macs: ([u8; 6], [u8; 6]), addresses: (Ipv4Addr, Ipv4Addr), key: u32, frame: &[u8]) -> Vec<u8> {
    let mut payload = vec![0x20, 0, 0x65, 0x58];
    payload.extend(key.to_be_bytes());
    payload.extend(frame);
    ipv4(macs, addresses, IpNumber::GRE.0, &payload)
}

/// An IPv4 packet of a protocol in a frame.
#[must_use]
pub fn ipv4(
    macs: ([u8; 6], [u8; 6]),
    addresses: (Ipv4Addr, Ipv4Addr),
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2(macs.0, macs.1).ipv4(addresses.0.octets(), addresses.1.octets(), 64);
    let mut packet = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut packet, IpNumber(protocol), payload).expect("a packet that fits");
    packet
}

/// A frame with its IPv4 header at `offset` changed, the header's checksum right.
#[must_use]
pub fn with_ipv4(frame: &[u8], offset: usize, change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
    let (mut header, payload) = Ipv4Header::from_slice(&frame[offset..]).expect("an IPv4 header");
    change(&mut header);
    header.header_checksum = header.calc_header_checksum();
    [&frame[..offset], &header.to_bytes(), payload].concat()
}

/// Sends frames as they are through a device.
pub struct RawSocket {
    sender: Box<dyn DataLinkSender>,
}

impl RawSocket {
    /// Opens a socket on a device of a namespace.
    #[must_use]
    pub fn open(namespace: &Namespace, device: &str) -> Self {
        let sender = namespace.within(|| {
            let interface =
                pnet_datalink::interfaces().into_iter().find(|interface| interface.name == device);
            let interface = interface.unwrap_or_else(|| panic!("no device {device}"));
            let config = Config { promiscuous: false, ..Config::default() };
            match pnet_datalink::channel(&interface, config) {
                Ok(Channel::Ethernet(sender, _)) => sender,
                Ok(_) => panic!("{device} is no Ethernet device"),
                Err(error) => panic!("cannot open a packet socket on {device}: {error}"),
            }
        });
        Self { sender }
    }

    /// Opens a socket on a workload.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        Self::open(&workload.namespace, "eth0")
    }

    /// Sends a frame `count` times.
    pub fn repeat(&mut self, frame: &[u8], count: usize) {
        for _ in 0..count {
            self.send(frame);
        }
    }

    /// Sends one frame.
    pub fn send(&mut self, frame: &[u8]) {
        let sent = self.sender.send_to(frame, None).unwrap_or_else(|| panic!("the socket takes no frames"));
        sent.unwrap_or_else(|error| panic!("cannot send a frame of {} bytes: {error}", frame.len()));
    }
}

/// Random damage, the same in every run (xorshift64).
#[derive(Debug)]
pub struct Noise(u64);

impl Noise {
    /// A sequence that `seed`, which is not 0, decides.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("a small bound");
        usize::try_from(self.next() % bound).expect("below a small bound")
    }

    /// A frame with up to four bytes changed and perhaps its end cut off; the first `keep` bytes, and a length that
    /// the kernel's packet socket accepts, stay.
    pub fn mutated(&mut self, frame: &[u8], keep: usize) -> Vec<u8> {
        let mut frame = frame.to_vec();
        for _ in 0..=self.below(4) {
            let place = keep + self.below(frame.len() - keep);
            let [byte, ..] = self.next().to_le_bytes();
            frame[place] = byte;
        }
        if self.below(3) == 0 {
            let shortest = keep.max(14);
            frame.truncate(shortest + self.below(frame.len() - shortest));
        }
        frame
    }

    /// Up to 300 random bytes behind the first `keep` bytes and the type of a frame.
    pub fn random(&mut self, keep: usize, frame: &[u8]) -> Vec<u8> {
        let mut random = frame[..keep.max(14)].to_vec();
        for _ in 0..self.below(300) {
            let [byte, ..] = self.next().to_le_bytes();
            random.push(byte);
        }
        random
    }
}
