//! Lowering the maximum segment size that TCP connections begin with, so that their segments fit the path to a remote
//! even where ICMP errors are lost on the way (RFC 4459 section 3.4). Stands between lookup and delivery, and is passed
//! through only while a domain asks for it.

use wire::ethernet::EtherType;
use wire::ip::Protocol;
use wire::{ipv4, ipv6, tcp};

use crate::description::{Domain, MssClamp};
use crate::link::Place;
use crate::parse::Headers;
use crate::remote::Egress;
use crate::rewrite;
use crate::tables::Tables;
use crate::verdict::Verdict;

/// Lowers the maximum segment size that a frame offers, if it does (a SYN of TCP), to what holds on its way. The checksum
/// stays as right as it was.
pub(crate) fn clamp(
    tables: &Tables,
    domain: &Domain,
    headers: &Headers,
    from: Place,
    verdict: Verdict,
    frame: &mut [u8],
) -> Option<()> {
    let packet = frame.get_mut(usize::from(headers.offset)..)?;
    let (segment, ip_header) = tcp_segment(headers.ethertype, packet)?;
    let maximum = match domain.mss_clamp {
        MssClamp::Off => return None,
        MssClamp::Bytes(bytes) => bytes,
        // Options count as payload (RFC 6691).
        MssClamp::Path => longest(tables, domain, headers, from, verdict)?
            .checked_sub(headers.offset + (ip_header + tcp::LENGTH) as u16)?,
    };
    tcp::clamp_maximum_segment_size(segment, maximum).then_some(())
}

/// The longest frame that the way of a frame takes; `None` if nothing is known of it. A connection has one path in both
/// directions as far as is known here, so what comes from a remote is treated as what goes there.
fn longest(
    tables: &Tables,
    domain: &Domain,
    headers: &Headers,
    from: Place,
    verdict: Verdict,
) -> Option<u16> {
    let longest = |remote| tables.remote(remote).map(Egress::longest).filter(|longest| *longest != 0);
    let member = |group| rewrite::member(tables, headers, group).ok();
    match (from, verdict) {
        (Place::Remote(remote), _) | (_, Verdict::Encapsulate(remote)) => longest(remote),
        (_, Verdict::Spread(group)) => longest(member(group)?),
        // Whoever of them it is for.
        (_, Verdict::Flood) => {
            let members = tables.flood_groups(domain.id).iter().filter_map(|group| member(*group));
            domain.remotes.iter().copied().chain(members).filter_map(longest).min()
        }
        _ => None,
    }
}

/// The TCP segment of a packet, if it is one with its beginning, and the length of an IP header without options.
fn tcp_segment(ethertype: EtherType, packet: &mut [u8]) -> Option<(&mut [u8], usize)> {
    match ethertype {
        EtherType::IPV4 => {
            let (header, length) = ipv4::Header::parse(packet).ok()?;
            let is_tcp = header.protocol == Protocol::TCP && header.has_upper_header();
            let end = usize::from(header.total_length);
            Some((packet.get_mut(length..end).filter(|_| is_tcp)?, ipv4::LENGTH))
        }
        EtherType::IPV6 => {
            let (header, _) = ipv6::Header::parse(packet).ok()?;
            let upper = header.upper_layer(packet).ok()?;
            let is_tcp = upper.protocol == Protocol::TCP && upper.has_upper_header();
            Some((packet.get_mut(upper.offset..header.end()).filter(|_| is_tcp)?, ipv6::LENGTH))
        }
        _ => None,
    }
}
