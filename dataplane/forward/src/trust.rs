//! Within parse, for access ports: what only infrastructure sends. Parse asks where it has just found out what a packet
//! is, so nobody else pays for the question.
//!
//! | packet | dropped unless the port is trusted, as |
//! |---|---|
//! | GRE, or UDP to a port of our tunnels, to whomever | `TUNNEL_FROM_WORKLOAD` |
//! | UDP to a DHCP client | `ROGUE_DHCP` |
//! | router advertisement or redirect | `ROGUE_ROUTER` |
//! | IPv6 whose headers, that of UDP included, do not end in its first fragment (RFC 7112) | `IPV6_HEADER_CHAIN` |

use wire::icmp::v6;
use wire::ip::Protocol;
use wire::{ipv4, ipv6, udp};

use crate::verdict::DropReason;

/// UDP ports that DHCP clients listen on (RFC 2131 section 4.1, RFC 8415 section 7.2).
const DHCP_CLIENTS: [u16; 2] = [68, 546];

/// What the frames of a port are trusted with.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'t> {
    /// UDP destination ports to look at: a bit for each by the last six bits of its number, and one by the next six.
    suspects: [u64; 2],
    /// UDP ports of our tunnels; `None` if nothing is looked at.
    tunnels: Option<&'t [u16]>,
}

impl<'t> Trust<'t> {
    /// With everything.
    pub const FULL: Self = Self { suspects: [0; 2], tunnels: None };

    /// With what a workload has reason to send. `tunnels` are the UDP ports of our tunnels.
    #[must_use]
    pub fn of_workload(tunnels: &'t [u16]) -> Self {
        let all = || DHCP_CLIENTS.iter().chain(tunnels);
        let suspects = [0, 6].map(|shift| all().fold(0, |bits, port| bits | bit(*port >> shift)));
        Self { suspects, tunnels: Some(tunnels) }
    }

    /// Whether a UDP packet to this port is to be looked at.
    #[inline(always)]
    pub(crate) const fn suspects(self, port: u16) -> bool {
        let [low, high] = self.suspects;
        low >> (port & 63) & high >> (port >> 6 & 63) & 1 != 0
    }

    /// Whether an IPv4 packet may be sent; `payload` is what follows its header.
    ///
    /// # Errors
    /// See the module's table.
    #[inline]
    pub(crate) fn check_ipv4(self, header: &ipv4::Header, payload: &[u8]) -> Result<(), DropReason> {
        // What is in a later fragment is nothing without the first.
        match self.tunnels {
            Some(tunnels) if header.fragment_offset == 0 => check(tunnels, header.protocol, payload),
            _ => Ok(()),
        }
    }

    /// Whether an IPv6 packet may be sent; `packet` begins with its header.
    ///
    /// # Errors
    /// See the module's table.
    #[inline]
    pub(crate) fn check_ipv6(
        self,
        header: &ipv6::Header,
        upper: Result<ipv6::UpperLayer, wire::Error>,
        packet: &[u8],
    ) -> Result<(), DropReason> {
        let Some(tunnels) = self.tunnels else { return Ok(()) };
        // What cannot be looked through may hide anything (RFC 7113 section 2).
        let upper = upper.map_err(|_| DropReason::Ipv6HeaderChain)?;
        if !upper.has_upper_header() {
            return Ok(());
        }
        let payload = packet.get(upper.offset..header.end()).unwrap_or_default();
        if upper.protocol == Protocol::ICMPV6 {
            return match payload {
                [v6::ROUTER_ADVERTISEMENT | v6::REDIRECT, ..] => Err(DropReason::RogueRouter),
                [_, ..] => Ok(()),
                [] => Err(DropReason::Ipv6HeaderChain),
            };
        }
        if upper.protocol == Protocol::UDP && payload.len() < udp::LENGTH {
            return Err(DropReason::Ipv6HeaderChain);
        }
        check(tunnels, upper.protocol, payload)
    }
}

const fn bit(port: u16) -> u64 {
    1 << (port & 63)
}

#[inline]
fn check(tunnels: &[u16], protocol: Protocol, payload: &[u8]) -> Result<(), DropReason> {
    match protocol {
        Protocol::GRE => Err(DropReason::TunnelFromWorkload),
        Protocol::UDP => {
            let port = payload.get(udp::offset::DESTINATION_PORT..).and_then(<[u8]>::first_chunk);
            match port.map(|port| u16::from_be_bytes(*port)) {
                Some(port) if DHCP_CLIENTS.contains(&port) => Err(DropReason::RogueDhcp),
                Some(port) if tunnels.contains(&port) => Err(DropReason::TunnelFromWorkload),
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
