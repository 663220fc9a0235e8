//! Before parse, for access ports that are held to addresses: whether a workload sends as itself. Sees the frame, what
//! its port is held to, and the forwarding database; nothing of a frame that is refused here is learned. Ports that are
//! held to nothing never come here.
//!
//! | frame | refused unless |
//! |---|---|
//! | any | its source address is bound to the port, or, where the port is locked, an entry that was written says it is there |
//! | IPv4, IPv6, ARP, neighbour discovery | what it claims to be is bound to that source address, where addresses are |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::ethernet::{self, EtherType};
use wire::icmp::v6;
use wire::ip::Protocol;
use wire::{Mac, arp, ipv4, ipv6, ndp};

use crate::fdb::{Fdb, Key, Kind};
use crate::ids::{DomainId, PortId};
use crate::link::Place;
use crate::protection::{Binding, Guard};
use crate::verdict::DropReason;

/// A port that is held to addresses.
#[derive(Clone, Copy, Debug)]
pub struct Held<'t> {
    pub(crate) port: PortId,
    pub(crate) domain: DomainId,
    pub(crate) guard: &'t Guard,
}

impl<'t> Held<'t> {
    /// Whether the port's workload may send a frame.
    ///
    /// # Errors
    /// `FRAME_TOO_SHORT`, `VLAN_TAGGED`, `SPOOFED_SOURCE`, `LOCKED_PORT`, or `IPV6_HEADER_CHAIN`.
    #[inline(never)]
    pub(crate) fn check(self, frame: &[u8], fdb: &Fdb) -> Result<(), DropReason> {
        let (header, _) = ethernet::Header::parse(frame).map_err(|_| DropReason::FrameTooShort)?;
        let Some(binding) = self.binding(header.source, fdb)? else { return Ok(()) };
        let payload = ethernet::payload(frame).map_err(hidden)?;
        let packet = frame.get(payload.offset..).unwrap_or_default();
        match payload.ethertype {
            EtherType::IPV4 => binding.check_ipv4(packet),
            EtherType::IPV6 => binding.check_ipv6(packet),
            EtherType::ARP => binding.check_arp(packet),
            _ => Ok(()),
        }
    }

    /// What goes with a source address; `None` if nothing else is asked of who sends from it.
    fn binding(self, source: Mac, fdb: &Fdb) -> Result<Option<&'t Binding>, DropReason> {
        let Self { port, domain, guard } = self;
        // A few at most: a port with many workloads behind it is not bound.
        if let Some(binding) = guard.bindings.iter().find(|binding| binding.mac == source) {
            return Ok(Some(binding));
        }
        if !guard.locked {
            return Err(DropReason::SpoofedSource);
        }
        let entry = fdb.lookup(&fdb.probe(Key::new(domain, source)));
        let is_here = |place, kind| place == Place::Port(port) && kind != Kind::Dynamic;
        if entry.is_some_and(|entry| is_here(entry.place, entry.kind)) {
            Ok(None)
        } else {
            Err(DropReason::LockedPort)
        }
    }
}

impl Binding {
    /// Whether a protocol address may be claimed; that of nobody may, by whoever looks for one.
    fn admits(&self, address: IpAddr) -> Result<(), DropReason> {
        let allowed = self.addresses.is_empty() || address.is_unspecified() || self.has(address);
        if allowed { Ok(()) } else { Err(DropReason::SpoofedSource) }
    }

    /// Whether an Ethernet address may be claimed inside a message.
    fn admits_mac(&self, said: Option<Mac>) -> Result<(), DropReason> {
        if said.is_none_or(|mac| mac == self.mac) { Ok(()) } else { Err(DropReason::SpoofedSource) }
    }

    fn check_ipv4(&self, packet: &[u8]) -> Result<(), DropReason> {
        // Whoever is to receive it has no use for it either if the packet is shorter than it says.
        match *packet.first_chunk::<{ ipv4::LENGTH }>().ok_or(DropReason::SpoofedSource)? {
            [0x40..=0x4f, .., s0, s1, s2, s3, _, _, _, _] => {
                self.admits(IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)))
            }
            _ => Err(DropReason::SpoofedSource),
        }
    }

    fn check_ipv6(&self, packet: &[u8]) -> Result<(), DropReason> {
        let (header, _) = ipv6::Header::parse_quoted(packet).map_err(|_| DropReason::SpoofedSource)?;
        self.admits(IpAddr::V6(header.source))?;
        // What cannot be looked through may hide anything (RFC 7113 section 2).
        let upper = header.upper_layer(packet).map_err(|_| DropReason::Ipv6HeaderChain)?;
        if upper.protocol != Protocol::ICMPV6 || !upper.has_upper_header() {
            return Ok(());
        }
        // Padding behind the packet is nobody's message.
        let message = packet.get(upper.offset..header.end().min(packet.len())).unwrap_or_default();
        match message {
            [v6::NEIGHBOUR_SOLICITATION, ..] => {
                let (solicitation, _) =
                    ndp::Solicitation::parse(message).map_err(|_| DropReason::SpoofedSource)?;
                if header.source.is_unspecified() {
                    // Whoever is about to take an address keeps everybody else from it (RFC 4862 section 5.4.3).
                    self.admits(IpAddr::V6(solicitation.target))?;
                }
                self.admits_mac(solicitation.source_mac)
            }
            [v6::NEIGHBOUR_ADVERTISEMENT, ..] => {
                let (advertisement, _) =
                    ndp::Advertisement::parse(message).map_err(|_| DropReason::SpoofedSource)?;
                self.admits(IpAddr::V6(advertisement.target))?;
                self.admits_mac(advertisement.target_mac)
            }
            _ => Ok(()),
        }
    }

    fn check_arp(&self, packet: &[u8]) -> Result<(), DropReason> {
        let (message, _) = arp::Message::parse(packet).map_err(|_| DropReason::SpoofedSource)?;
        self.admits_mac(Some(message.sender_mac))?;
        if message.is_probe() {
            // The same (RFC 5227 section 2.1.1).
            self.admits(IpAddr::V4(message.target_address))?;
        }
        self.admits(IpAddr::V4(message.sender_address))
    }
}

/// Why what a frame carries cannot be found behind its tags.
pub(crate) const fn hidden(error: wire::Error) -> DropReason {
    match error {
        wire::Error::Truncated => DropReason::FrameTooShort,
        wire::Error::Malformed => DropReason::VlanTagged,
    }
}

/// The link-local address that is made from an Ethernet address (RFC 4291 appendix A).
pub(crate) fn link_local(mac: Mac) -> Ipv6Addr {
    let [m0, m1, m2, m3, m4, m5] = mac.0;
    Ipv6Addr::from_octets([0xfe, 0x80, 0, 0, 0, 0, 0, 0, m0 ^ 2, m1, m2, 0xff, 0xfe, m3, m4, m5])
}
