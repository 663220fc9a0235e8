//! What outer headers and inner packets tell each other: DSCP and congestion, time to live, DF. Of the last stage on the
//! way out and of the first on the way in; for nearly all frames there is nothing to do, and they never come here.

use wire::ethernet::{self, EtherType};
use wire::ip::TrafficClass;
use wire::{checksum, ecn, ipv4, ipv6};

use crate::verdict::DropReason;

/// One octet of outer IP headers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Octet {
    /// Always this.
    Fixed(u8),
    /// What the inner packet has.
    Inherited,
}

/// The DF flag of outer IPv4 headers. IPv6 has none: its routers never fragment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum DontFragment {
    /// Routers must not fragment.
    #[default]
    Set,
    /// Routers may fragment.
    Unset,
    /// As the inner packet: set around IPv6, unset around what is no IP.
    Inherited,
}

/// What the ECN field of outer headers becomes. On the way in every mode is decapsulated alike (RFC 6040 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum EcnMode {
    /// The inner packet's (RFC 6040 section 4.1, normal mode).
    #[default]
    Normal,
    /// The same, but congestion that the inner packet met before is told as ECT(0) (RFC 3168 section 9.1.1, full
    /// functionality). Linux sends so.
    Reset,
    /// Not-ECT always (RFC 6040 section 4.1, compatibility mode): for peers that do not propagate congestion.
    Compatibility,
}

/// What the outer headers of a bridge domain say beside addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Marking {
    /// DSCP, in the upper six bits of the traffic class (RFC 2983); the lower two are ECN's and here zero.
    pub tos: Octet,
    /// Time to live or hop limit, not zero; 64 where there is none to inherit.
    pub ttl: Octet,
    /// DF over IPv4.
    pub df: DontFragment,
    /// ECN.
    pub ecn: EcnMode,
}

impl Marking {
    /// Time to live unless something else is said (RFC 1700).
    pub const TTL: u8 = 64;

    /// The traffic class around a packet that has none.
    pub(crate) const fn fixed_class(&self) -> TrafficClass {
        match self.tos {
            Octet::Fixed(tos) => TrafficClass(tos),
            Octet::Inherited => TrafficClass(0),
        }
    }

    /// The time to live around a packet that has none.
    pub(crate) const fn fixed_ttl(&self) -> u8 {
        match self.ttl {
            Octet::Fixed(ttl) => ttl,
            Octet::Inherited => Self::TTL,
        }
    }

    /// Whether [`Marking::apply`] has something to do for every packet, not only for those with an ECN field.
    pub(crate) fn inherits(&self) -> bool {
        [self.tos, self.ttl].contains(&Octet::Inherited) || self.df == DontFragment::Inherited
    }

    /// Makes the outer IP header of a frame say what the inner packet says, as far as configured. The frame begins with
    /// an outer header of `length` bytes that [`crate::remote`] made.
    #[inline(never)]
    pub(crate) fn apply(&self, frame: &mut [u8], length: usize) {
        let Some((outer, frame)) = frame.split_at_mut_checked(length) else { return };
        let Some(inner) = Inner::read(frame) else { return };
        let Some((ethernet, packet)) = outer.split_at_mut_checked(ethernet::LENGTH) else { return };
        if ethernet.ends_with(&EtherType::IPV4.0.to_be_bytes()) {
            self.mark_ipv4(packet, inner);
        } else {
            self.mark_ipv6(packet, inner);
        }
    }

    fn class_around(&self, inner: Inner) -> TrafficClass {
        let ecn = match (self.ecn, inner.class.ecn()) {
            (EcnMode::Compatibility, _) => ecn::NOT_ECT,
            (EcnMode::Reset, ecn::CE) => ecn::ECT_0,
            (EcnMode::Normal | EcnMode::Reset, ecn) => ecn,
        };
        let dscp = match self.tos {
            Octet::Fixed(tos) => TrafficClass(tos).dscp(),
            Octet::Inherited => inner.class.dscp(),
        };
        TrafficClass::new(dscp, ecn)
    }

    /// A packet whose time is up is not ours to drop: we are a bridge.
    const fn ttl_around(&self, inner: Inner) -> u8 {
        match self.ttl {
            Octet::Inherited if inner.ttl != 0 => inner.ttl,
            _ => self.fixed_ttl(),
        }
    }

    fn mark_ipv4(&self, packet: &mut [u8], inner: Inner) {
        let Ok((mut header, _)) = ipv4::Header::parse_quoted(packet) else { return };
        header.traffic_class = self.class_around(inner);
        header.ttl = self.ttl_around(inner);
        if self.df == DontFragment::Inherited {
            header.dont_fragment = inner.dont_fragment;
        }
        // It has no options, so it has the room that it had; nothing else can fail.
        let _ = header.emit(packet);
    }

    fn mark_ipv6(&self, packet: &mut [u8], inner: Inner) {
        let Ok((mut header, _)) = ipv6::Header::parse_quoted(packet) else { return };
        header.traffic_class = self.class_around(inner);
        header.hop_limit = self.ttl_around(inner);
        let _ = header.emit(packet);
    }
}

impl Default for Marking {
    fn default() -> Self {
        Self {
            tos: Octet::Fixed(0),
            ttl: Octet::Fixed(Self::TTL),
            df: DontFragment::Set,
            ecn: EcnMode::Normal,
        }
    }
}

/// What an inner packet says that the outer header may have to say too.
#[derive(Clone, Copy, Debug)]
struct Inner {
    class: TrafficClass,
    ttl: u8,
    dont_fragment: bool,
}

impl Inner {
    /// Reads the packet that a frame carries behind VLAN tags; `None` if it is not IP.
    fn read(frame: &[u8]) -> Option<Self> {
        let payload = ethernet::payload(frame).ok()?;
        let packet = frame.get(payload.offset..)?;
        match payload.ethertype {
            EtherType::IPV4 => {
                let (header, _) = ipv4::Header::parse_quoted(packet).ok()?;
                let ipv4::Header { traffic_class, ttl, dont_fragment, .. } = header;
                Some(Self { class: traffic_class, ttl, dont_fragment })
            }
            EtherType::IPV6 => {
                let (header, _) = ipv6::Header::parse_quoted(packet).ok()?;
                let ipv6::Header { traffic_class, hop_limit, .. } = header;
                Some(Self { class: traffic_class, ttl: hop_limit, dont_fragment: true })
            }
            _ => None,
        }
    }
}

/// Tells the inner packet of a frame what congestion the outer one, of class `outer`, met (RFC 6040 section 4.2).
///
/// # Errors
/// `IP_TUNNEL_ECN` where it met some and the inner packet's ends would not understand.
#[inline(always)]
pub(crate) fn decapsulate(frame: &mut [u8], outer: TrafficClass) -> Result<(), DropReason> {
    if outer.ecn() == ecn::NOT_ECT { Ok(()) } else { propagate(frame, outer) }
}

#[inline(never)]
fn propagate(frame: &mut [u8], outer: TrafficClass) -> Result<(), DropReason> {
    let Some(inner) = Inner::read(frame) else { return Ok(()) };
    let class = ecn::decapsulated(inner.class, outer).ok_or(DropReason::IpTunnelEcn)?;
    if class == inner.class {
        return Ok(());
    }
    let Ok(payload) = ethernet::payload(frame) else { return Ok(()) };
    let packet = frame.get_mut(payload.offset..).unwrap_or_default();
    if payload.ethertype == EtherType::IPV4 {
        set_ipv4_class(packet, class);
    } else {
        set_ipv6_class(packet, class);
    }
    Ok(())
}

/// Changes the traffic class, and the checksum by the difference: if it was wrong, it stays wrong.
fn set_ipv4_class(packet: &mut [u8], class: TrafficClass) {
    let Some(header) = packet.first_chunk_mut::<{ ipv4::LENGTH }>() else { return };
    let [version, before, _, _, _, _, _, _, _, _, c0, c1, ..] = *header;
    let word = |class: u8| u16::from_be_bytes([version, class]);
    let sum = checksum::update(u16::from_be_bytes([c0, c1]), word(before), word(class.0));
    header[ipv4::offset::TRAFFIC_CLASS] = class.0;
    header[ipv4::offset::CHECKSUM..ipv4::offset::CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
}

fn set_ipv6_class(packet: &mut [u8], class: TrafficClass) {
    if let Some([first, second, ..]) = packet.get_mut(..ipv6::LENGTH) {
        *first = *first & 0xf0 | class.0 >> 4;
        *second = *second & 0x0f | class.0 << 4;
    }
}
