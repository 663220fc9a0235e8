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

/// What the segments of a connection have to fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Clamp {
    /// This many bytes of payload.
    Segment(u16),
    /// A frame of this many bytes.
    Frame(u16),
}

impl Clamp {
    /// What holds for a frame on its way; `None` if nothing does. A connection has one path in both directions as far as
    /// is known here, so what comes from a remote is treated as what goes there.
    pub(crate) fn new(
        tables: &Tables,
        domain: &Domain,
        headers: &Headers,
        from: Place,
        verdict: Verdict,
    ) -> Option<Self> {
        match domain.mss_clamp {
            MssClamp::Off => None,
            MssClamp::Bytes(bytes) => Some(Self::Segment(bytes)),
            MssClamp::Path => {
                let longest = |remote| tables.remote(remote).map(Egress::longest);
                let member = |group| rewrite::member(tables, headers, group).ok();
                let longest = match (from, verdict) {
                    (Place::Remote(remote), _) | (_, Verdict::Encapsulate(remote)) => longest(remote),
                    (_, Verdict::Spread(group)) => longest(member(group)?),
                    // Whoever of them it is for.
                    (_, Verdict::Flood) => {
                        let members =
                            tables.flood_groups(domain.id).iter().filter_map(|group| member(*group));
                        let remotes = domain.remotes.iter().copied().chain(members);
                        remotes.filter_map(longest).filter(|longest| *longest != 0).min()
                    }
                    _ => None,
                };
                longest.filter(|longest| *longest != 0).map(Self::Frame)
            }
        }
    }

    /// Lowers the maximum segment size that a frame offers, if it does: a SYN of TCP. The checksum stays as right as it
    /// was.
    pub(crate) fn apply(self, headers: &Headers, frame: &mut [u8]) -> Option<()> {
        let offset = headers.offset;
        let packet = frame.get_mut(usize::from(offset)..)?;
        let (segment, ip_header) = match headers.ethertype {
            EtherType::IPV4 => {
                let (header, length) = ipv4::Header::parse(packet).ok()?;
                let is_syn = header.protocol == Protocol::TCP && header.has_upper_header();
                let end = usize::from(header.total_length);
                (packet.get_mut(length..end).filter(|_| is_syn)?, ipv4::LENGTH)
            }
            EtherType::IPV6 => {
                let (header, _) = ipv6::Header::parse(packet).ok()?;
                let upper = header.upper_layer(packet).ok()?;
                let is_syn = upper.protocol == Protocol::TCP && upper.has_upper_header();
                (packet.get_mut(upper.offset..header.end()).filter(|_| is_syn)?, ipv6::LENGTH)
            }
            _ => return None,
        };
        let maximum = match self {
            Self::Segment(bytes) => bytes,
            // Options count as payload (RFC 6691).
            Self::Frame(bytes) => bytes.checked_sub(offset + (ip_header + tcp::LENGTH) as u16)?,
        };
        tcp::clamp_maximum_segment_size(segment, maximum).then_some(())
    }
}
