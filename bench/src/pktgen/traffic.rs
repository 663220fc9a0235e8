//! What the frames look like: sizes, addresses, flows, tunnels.

use std::net::{IpAddr, Ipv4Addr};

use wire::{Mac, Vni};

/// Frame sizes of the simple internet mix, in the order in which they take turns: of twelve frames seven have 64 bytes, four
/// 594 and one 1518, each with the four bytes of the frame check sequence, which are not counted here.
pub const IMIX: [u16; 12] = [60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 590, 60];

/// Least size of a frame without its frame check sequence.
const LEAST: u16 = 60;
/// Flows that can be told apart by UDP ports.
const MOST_FLOWS: u32 = 1 << 24;

/// Sizes of the frames that hosts send, without frame check sequence and without tunnel headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// All alike: at least 60 bytes (a minimal frame of "64 bytes"), and with tunnel headers at most what a live frame
    /// holds, some 3400.
    Fixed(u16),
    /// The mix of [`IMIX`].
    Imix,
}

impl Size {
    /// The sizes that take turns.
    #[must_use]
    pub fn all(self) -> Vec<u16> {
        match self {
            Self::Fixed(bytes) => vec![bytes],
            Self::Imix => IMIX.to_vec(),
        }
    }

    /// Mean size in bytes.
    #[must_use]
    pub fn mean(self) -> f64 {
        let all = self.all();
        all.iter().copied().map(f64::from).sum::<f64>() / all.len() as f64
    }
}

/// Hosts that take turns as sources, or as destinations: the number `i` has the addresses `first + i`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hosts {
    /// MAC address of the first. Only the lower 32 bits change, and must not overflow.
    pub first_mac: Mac,
    /// IPv4 address of the first.
    pub first_address: Ipv4Addr,
    /// How many: at least 1.
    pub count: u32,
}

impl Hosts {
    /// One host.
    #[must_use]
    pub const fn one(mac: Mac, address: Ipv4Addr) -> Self {
        Self { first_mac: mac, first_address: address, count: 1 }
    }

    /// MAC address of a host, numbered from 0.
    #[must_use]
    pub fn mac(&self, number: u32) -> Mac {
        Mac::from_u64(self.first_mac.to_u64() + u64::from(number))
    }

    /// IPv4 address of a host, numbered from 0.
    #[must_use]
    pub fn address(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first_address.to_bits().wrapping_add(number))
    }

    fn check(&self, what: &str) -> Result<(), String> {
        if self.count == 0 {
            return Err(format!("no {what}: there must be at least one"));
        }
        if u32::try_from(self.first_mac.to_u64() & 0xffff_ffff)
            .unwrap_or(u32::MAX)
            .checked_add(self.count - 1)
            .is_none()
        {
            let Self { first_mac, count, .. } = self;
            return Err(format!(
                "{count} {what} from {first_mac} on: the lower 32 bits of the MAC address overflow"
            ));
        }
        if self.first_address.to_bits().checked_add(self.count - 1).is_none() {
            let Self { first_address, count, .. } = self;
            return Err(format!("{count} {what} from {first_address} on: there are not as many addresses"));
        }
        Ok(())
    }
}

/// Ends of a tunnel on the underlay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outer {
    /// The sending VTEP's MAC address.
    pub source_mac: Mac,
    /// The receiving VTEP's, or its next hop's, MAC address.
    pub destination_mac: Mac,
    /// The sending VTEP's address.
    pub source: IpAddr,
    /// The receiving VTEP's address, of the same family.
    pub destination: IpAddr,
}

/// Tunnel headers around each frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encapsulation {
    /// None: what a workload sends.
    Plain,
    /// VXLAN (RFC 7348). The UDP source port is made from the flow.
    Vxlan {
        /// The tunnel's ends.
        outer: Outer,
        /// The VNI.
        vni: Vni,
        /// UDP destination port; 4789 by the RFC.
        port: u16,
    },
    /// GRE with an Ethernet payload (RFC 2784, RFC 2890).
    Gre {
        /// The tunnel's ends.
        outer: Outer,
        /// The key, if there is one.
        key: Option<u32>,
    },
}

/// Everything about the frames of a generator. Sizes, flows, sources and destinations take turns independently: frame `n`
/// has flow `n % flows`, source `n % sources.count`, destination `n % destinations.count` and every twelfth frame the
/// same place in [`IMIX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// Sizes.
    pub size: Size,
    /// How many flows: pairs of UDP ports, 1 to 2^24. Flow `f` goes from port `1024 + f % 32768` to port
    /// `2000 + f / 32768`.
    pub flows: u32,
    /// Senders.
    pub sources: Hosts,
    /// Receivers.
    pub destinations: Hosts,
    /// Tunnel headers.
    pub encapsulation: Encapsulation,
}

impl Traffic {
    /// UDP source and destination port of a flow, numbered from 0.
    #[must_use]
    pub fn ports(flow: u32) -> (u16, u16) {
        ((1024 + (flow & 0x7fff)) as u16, (2000 + (flow >> 15)) as u16)
    }

    /// What cannot be, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(size) = self.size.all().into_iter().find(|size| *size < LEAST) {
            return Err(format!(
                "frames of {size} bytes: the least is {LEAST}, without frame check sequence"
            ));
        }
        if !(1..=MOST_FLOWS).contains(&self.flows) {
            return Err(format!("{} flows: give 1 to {MOST_FLOWS}", self.flows));
        }
        self.sources.check("sources")?;
        self.destinations.check("destinations")?;
        match self.encapsulation {
            Encapsulation::Vxlan { outer, .. } | Encapsulation::Gre { outer, .. }
                if outer.source.is_ipv4() != outer.destination.is_ipv4() =>
            {
                let Outer { source, destination, .. } = outer;
                Err(format!("a tunnel from {source} to {destination}: give two addresses of one family"))
            }
            _ => Ok(()),
        }
    }
}
