//! The path MTUs that routers have told (RFC 1191, RFC 8201): whom to believe, and for how long.
//!
//! A message is believed only if it quotes a packet that we may have sent: from one of our addresses to a peer of a VNI,
//! wrapped as for that peer, with the VNI's number or key, a source port that is ours to choose, the fields of GRE that are
//! configured, and larger than what the message says would fit. Guessing all of that takes an attacker who can see the underlay's packets, and gains him no less than the floor. RFC 8201 section 6
//! and RFC 8899 section 4.6 say why.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::PathMtuCounts;
use forward::tables::Encapsulation;
use wire::ethernet::EtherType;
use wire::ip::Protocol;
use wire::{gre, ipv4, ipv6, udp, vxlan};

use super::state::State;
use crate::config::{Config, TunnelConfig};
use crate::underlay::TooBig;

/// Our address and a peer's.
type Pair = (IpAddr, IpAddr);

/// Seconds after which a larger packet is tried again (RFC 1191 section 6.3, RFC 8201 section 4).
const EXPIRY: u32 = 600;
/// Least path MTU that is believed over IPv4: what every host has to accept (RFC 791). Below it, packets would have to
/// leave room for little else than their headers.
pub(super) const FLOOR_IPV4: u16 = 576;
/// The same over IPv6: the least MTU of a link (RFC 8200 section 5; a message that tells of less is to be discarded, RFC
/// 8201 section 4).
pub(super) const FLOOR_IPV6: u16 = 1280;

/// What a router has told of the way to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Told {
    /// Largest packet, in bytes.
    pub(super) mtu: u16,
    /// When, in seconds of frame time.
    pub(super) at: u32,
    /// The router.
    pub(super) router: IpAddr,
}

/// What routers have told of the ways to all peers.
#[derive(Debug, Default)]
pub(super) struct PathMtus {
    told: BTreeMap<Pair, Told>,
    /// What became of the messages.
    pub(super) counts: PathMtuCounts,
    /// The second in which a refusal was last logged.
    complained: Option<u32>,
}

/// Why a message is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// The packet quoted ends before the header with the VNI or key, or is malformed.
    Unreadable,
    /// The packet quoted is of no tunnel of ours.
    ForeignPacket,
    /// The packet quoted would have fitted.
    Implausible,
    /// The MTU is one that no link has.
    BelowFloor,
}

impl PathMtus {
    /// What was told of the way between two addresses.
    #[must_use]
    pub(super) fn told(&self, pair: Pair) -> Option<Told> {
        self.told.get(&pair).copied()
    }

    /// Takes note of what was told; says whether the way is narrower than was known. What was told before is only ever
    /// lowered: a wider way shows when it has been forgotten.
    fn note(&mut self, pair: Pair, told: Told) -> bool {
        let known = self.told.get(&pair).map_or(u16::MAX, |known| known.mtu);
        if told.mtu <= known {
            self.told.insert(pair, told);
        }
        told.mtu < known
    }

    /// Forgets what was told too long ago; says whether anything was.
    pub(super) fn expire(&mut self, now: u32) -> bool {
        let before = self.told.len();
        self.told.retain(|_, told| now.saturating_sub(told.at) < EXPIRY);
        self.told.len() != before
    }

    /// Forgets what was told of a way that is no longer taken.
    pub(super) fn forget(&mut self, pair: Pair) {
        self.told.remove(&pair);
    }

    /// Keeps what was told of these ways only.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(Pair) -> bool) {
        self.told.retain(|pair, _| wanted(*pair));
    }

    fn refuse(&mut self, refusal: Refusal, router: IpAddr, now: u32) {
        let (count, why) = match refusal {
            Refusal::Unreadable => {
                (&mut self.counts.unreadable, "it does not quote enough of a packet to tell whose it was")
            }
            Refusal::ForeignPacket => {
                (&mut self.counts.foreign, "it quotes a packet that is of no tunnel of ours")
            }
            Refusal::Implausible => (
                &mut self.counts.implausible,
                "it quotes a packet that the MTU it tells would have let through",
            ),
            Refusal::BelowFloor => (&mut self.counts.below_floor, "it tells an MTU that no link has"),
        };
        *count += 1;
        if self.complained != Some(now) {
            self.complained = Some(now);
            tracing::warn!(%router, why, "a message about a path MTU is not believed");
        }
    }
}

/// How long until what was told at some time is forgotten.
pub(super) const fn expires_in(told: Told, now: u32) -> u32 {
    EXPIRY.saturating_sub(now.saturating_sub(told.at))
}

impl State {
    /// Routers on the underlay have told something.
    pub(super) fn follow_routers(&mut self) {
        let now = self.now();
        let Self { routers, path_mtus, paths, config, stale, .. } = self;
        let is_way = |(local, peer)| paths.way(local, peer).is_some();
        routers.drain(|message| match judge(config, is_way, &message) {
            Ok((pair @ (_, peer), mtu)) => {
                path_mtus.counts.accepted += 1;
                let router = message.router;
                if path_mtus.note(pair, Told { mtu, at: now, router }) {
                    tracing::info!(%peer, mtu, %router, "the way to a peer is narrower");
                    stale.tables = true;
                }
            }
            Err(refusal) => path_mtus.refuse(refusal, message.router, now),
        });
    }
}

/// Whose way a message is about, and the path MTU, if it is to be believed. `is_way` knows the pairs of addresses that packets of ours are between.
fn judge(
    config: &Config,
    is_way: impl Fn(Pair) -> bool,
    message: &TooBig<'_>,
) -> Result<(Pair, u16), Refusal> {
    let quoted = Quoted::read(message.packet).ok_or(Refusal::Unreadable)?;
    let floor = if quoted.pair.0.is_ipv4() { FLOOR_IPV4 } else { FLOOR_IPV6 };
    if !is_way(quoted.pair) || !is_ours(config, &quoted) {
        return Err(Refusal::ForeignPacket);
    }
    if message.mtu >= u32::from(quoted.length) {
        return Err(Refusal::Implausible);
    }
    let mtu = u16::try_from(message.mtu).ok().filter(|mtu| *mtu >= floor).ok_or(Refusal::BelowFloor)?;
    Ok((quoted.pair, mtu))
}

/// Whether we may have sent a packet.
fn is_ours(config: &Config, quoted: &Quoted) -> bool {
    let (local, peer) = quoted.pair;
    let of_vni = |vni| {
        let remote = config.remotes.get(&(vni, peer))?;
        let domain = config.vnis.get(&vni)?;
        let wrapping = remote.encapsulation_in(domain).on_wire(vni);
        let same = domain.local.towards(peer) == Some(local) && quoted.wrappings.contains(&Some(wrapping));
        (same && quoted.options.may_be_of(wrapping, &domain.tunnel)).then_some(())
    };
    quoted.wrappings.iter().flatten().any(|wrapping| match *wrapping {
        Encapsulation::Vxlan { vni, .. } | Encapsulation::Nvgre { subnet: vni } => of_vni(vni).is_some(),
        // A key need not be a VNI's number.
        Encapsulation::Gre { .. } | Encapsulation::GreInUdp { .. } => {
            config.vnis.iter().any(|domain| of_vni(domain.vni).is_some())
        }
    })
}

/// A tunnel packet of which perhaps only the beginning is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Quoted {
    /// Source and destination.
    pair: Pair,
    /// How the inner frame may have been wrapped: the same bytes can be of two kinds.
    wrappings: [Option<Encapsulation>; 2],
    options: Options,
    /// Bytes of the whole packet.
    length: u16,
}

/// What else of a tunnel packet is as configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Options {
    /// The UDP source port, in a datagram.
    source_port: Option<u16>,
    /// Whether there are a checksum and a sequence number, if it is GRE.
    gre: Option<(bool, bool)>,
}

impl Options {
    /// Whether a VNI's packets that are wrapped like this may have them.
    fn may_be_of(self, wrapping: Encapsulation, tunnel: &TunnelConfig) -> bool {
        let TunnelConfig { source_ports, gre_checksum, gre_sequence, .. } = tunnel;
        let is_source = |port| (source_ports.first()..=source_ports.last()).contains(&port);
        let is_gre = !matches!(wrapping, Encapsulation::Vxlan { .. });
        self.source_port.is_none_or(is_source)
            && (!is_gre || self.gre == Some((*gre_checksum, *gre_sequence)))
    }
}

impl Quoted {
    fn read(packet: &[u8]) -> Option<Self> {
        let (pair, protocol, length, upper) = match packet.first()? >> 4 {
            4 => {
                let (header, start) = ipv4::Header::parse_quoted(packet).ok()?;
                let upper = packet.get(start..).filter(|_| !header.is_fragment())?;
                let pair = (header.source.into(), header.destination.into());
                (pair, header.protocol, header.total_length, upper)
            }
            _ => {
                let (header, start) = ipv6::Header::parse_quoted(packet).ok()?;
                let pair = (header.source.into(), header.destination.into());
                let length = u16::try_from(header.end()).unwrap_or(u16::MAX);
                (pair, header.next_header, length, packet.get(start..)?)
            }
        };
        let (wrappings, options) = match protocol {
            Protocol::UDP => in_udp(upper)?,
            Protocol::GRE => {
                let header = gre_around_a_frame(upper)?;
                let key = header.key;
                let subnet = key.map(|key| Encapsulation::Nvgre { subnet: gre::nvgre_split(key).0 });
                let options = Options { source_port: None, gre: Some(fields(&header)) };
                ([Some(Encapsulation::Gre { key }), subnet], options)
            }
            _ => return None,
        };
        Some(Self { pair, wrappings, options, length })
    }
}

/// How a frame in a UDP datagram may have been wrapped.
fn in_udp(datagram: &[u8]) -> Option<([Option<Encapsulation>; 2], Options)> {
    let ([s0, s1, p0, p1, ..], inside) = datagram.split_first_chunk::<{ udp::LENGTH }>()?;
    let port = u16::from_be_bytes([*p0, *p1]);
    let vxlan = vxlan::Header::parse(inside).ok();
    let vxlan = vxlan.map(|(header, _)| Encapsulation::Vxlan { vni: header.vni, port });
    let gre = gre_around_a_frame(inside);
    let wrappings = [vxlan, gre.map(|header| Encapsulation::GreInUdp { key: header.key, port })];
    let source_port = Some(u16::from_be_bytes([*s0, *s1]));
    let options = Options { source_port, gre: gre.as_ref().map(fields) };
    wrappings.iter().any(Option::is_some).then_some((wrappings, options))
}

/// The header of a GRE packet with a frame in it.
fn gre_around_a_frame(packet: &[u8]) -> Option<gre::Header> {
    let (header, _) = gre::Header::parse(packet).ok()?;
    (header.protocol == EtherType::ETHERNET_BRIDGING).then_some(header)
}

/// Whether there are a checksum and a sequence number.
const fn fields(header: &gre::Header) -> (bool, bool) {
    (header.checksum.is_some(), header.sequence.is_some())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use forward::entropy::SourcePorts;
    use wire::Vni;
    use wire::ip::TrafficClass;

    use super::*;
    use crate::config::{
        Change, EncapsulationConfig, GreKey, LocalAddresses, PortConfig, PortRole, RemoteConfig, VniConfig,
    };

    const US: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
    const US6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    const PEER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
    const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

    fn vni(number: u32) -> Vni {
        Vni::new(number).unwrap()
    }

    /// VNI 100 by VXLAN and VNI 200 by GRE with key 7, each with a peer of either family.
    fn config() -> Config {
        let local = LocalAddresses::Both(US, US6);
        let mut gre = VniConfig::new(vni(200), local);
        gre.encapsulation = EncapsulationConfig::Gre { key: GreKey::Number(7) };
        let mut changes = vec![
            Change::AddPort(PortConfig::new("up", "up", PortRole::Uplink)),
            Change::SetVni { vni: VniConfig::new(vni(100), local), replace: false },
            Change::SetVni { vni: gre, replace: false },
        ];
        for (number, peer) in [(100, IpAddr::V4(PEER)), (100, PEER6.into()), (200, PEER.into())] {
            let remote = RemoteConfig::new(vni(number), peer);
            changes.push(Change::SetRemote { remote, replace: false });
        }
        let mut config = Config::default();
        changes.iter().for_each(|change| config.apply(change).unwrap());
        config
    }

    fn packet4(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol, upper: &[u8]) -> Vec<u8> {
        let header = ipv4::Header {
            traffic_class: TrafficClass::default(),
            total_length: 1500,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl: 63,
            protocol,
            source,
            destination,
        };
        [&header.to_bytes()[..], upper].concat()
    }

    fn packet6(source: Ipv6Addr, destination: Ipv6Addr, upper: &[u8]) -> Vec<u8> {
        let header = ipv6::Header {
            traffic_class: TrafficClass::default(),
            flow_label: 5,
            payload_length: 1460,
            next_header: Protocol::UDP,
            hop_limit: 63,
            source,
            destination,
        };
        [&header.to_bytes()[..], upper].concat()
    }

    fn datagram(port: u16, number: u32) -> Vec<u8> {
        datagram_from(50_000, port, number)
    }

    fn datagram_from(source_port: u16, port: u16, number: u32) -> Vec<u8> {
        let header = udp::Header { source_port, destination_port: port, length: 1480, checksum: 0 };
        [&header.to_bytes()[..], &vxlan::Header::new(vni(number)).to_bytes()].concat()
    }

    fn gre(key: u32) -> Vec<u8> {
        gre_with(0x2000, key)
    }

    /// With these flags, and the fields that they tell of.
    fn gre_with(flags: u16, key: u32) -> Vec<u8> {
        let field = |flag, bytes: [u8; 4]| if flags & flag == 0 { Vec::new() } else { bytes.to_vec() };
        let fields = [
            field(gre::CHECKSUM_FLAG, [1, 2, 0, 0]),
            field(gre::KEY_FLAG, key.to_be_bytes()),
            field(gre::SEQUENCE_FLAG, [0, 0, 0, 9]),
        ];
        [&flags.to_be_bytes()[..], &[0x65, 0x58], &fields.concat()].concat()
    }

    fn judged(mtu: u32, packet: &[u8]) -> Result<(Pair, u16), Refusal> {
        judged_by(&config(), mtu, packet)
    }

    fn judged_by(config: &Config, mtu: u32, packet: &[u8]) -> Result<(Pair, u16), Refusal> {
        judge(config, |_| true, &TooBig { router: ROUTER, mtu, packet })
    }

    /// VNI 200 with this of its GRE packets.
    fn with_gre(checksum: bool, sequence: bool) -> Config {
        let mut config = config();
        let mut vni = config.vnis.get(&vni(200)).unwrap().clone();
        (vni.tunnel.gre_checksum, vni.tunnel.gre_sequence) = (checksum, sequence);
        config.apply(&Change::SetVni { vni, replace: true }).unwrap();
        config
    }

    #[test]
    fn a_packet_that_we_may_have_sent_is_believed() {
        let (v4, v6) = ((US.into(), PEER.into()), (US6.into(), PEER6.into()));
        assert_eq!(judged(1400, &packet4(US, PEER, Protocol::UDP, &datagram(4789, 100))), Ok((v4, 1400)));
        assert_eq!(judged(1400, &packet4(US, PEER, Protocol::GRE, &gre(7))), Ok((v4, 1400)));
        assert_eq!(judged(1280, &packet6(US6, PEER6, &datagram(4789, 100))), Ok((v6, 1280)));
        assert_eq!(judged(576, &packet4(US, PEER, Protocol::UDP, &datagram(4789, 100))), Ok((v4, 576)));
    }

    #[test]
    fn forgeries_are_not() {
        let good = || packet4(US, PEER, Protocol::UDP, &datagram(4789, 100));
        let other = Ipv4Addr::new(192, 0, 2, 9);
        let cases = [
            (1400, packet4(US, PEER, Protocol::UDP, &datagram(4789, 101)), Refusal::ForeignPacket),
            (1400, packet4(US, PEER, Protocol::UDP, &datagram(8472, 100)), Refusal::ForeignPacket),
            (1400, packet4(US, PEER, Protocol::UDP, &datagram(4789, 200)), Refusal::ForeignPacket),
            (1400, packet4(US, other, Protocol::UDP, &datagram(4789, 100)), Refusal::ForeignPacket),
            (1400, packet4(other, PEER, Protocol::UDP, &datagram(4789, 100)), Refusal::ForeignPacket),
            (1400, packet4(PEER, US, Protocol::UDP, &datagram(4789, 100)), Refusal::ForeignPacket),
            (
                1400,
                packet4(US, PEER, Protocol::UDP, &datagram_from(49_151, 4789, 100)),
                Refusal::ForeignPacket,
            ),
            (1400, packet4(US, PEER, Protocol::GRE, &gre(8)), Refusal::ForeignPacket),
            (1400, packet4(US, PEER, Protocol::GRE, &gre_with(0xa000, 7)), Refusal::ForeignPacket),
            (1400, packet4(US, PEER, Protocol::GRE, &gre_with(0x3000, 7)), Refusal::ForeignPacket),
            (1400, packet4(US, PEER, Protocol::GRE, &[0, 0, 0x65, 0x58]), Refusal::ForeignPacket),
            (1400, packet6(US6, US6, &datagram(4789, 100)), Refusal::ForeignPacket),
            (1400, packet4(US, PEER, Protocol::TCP, &datagram(4789, 100)), Refusal::Unreadable),
            (1400, packet4(US, PEER, Protocol::GRE, &[0x20, 0, 8, 0, 0, 0, 0, 7]), Refusal::Unreadable),
            (1400, good()[..35].to_vec(), Refusal::Unreadable),
            (1400, Vec::new(), Refusal::Unreadable),
            (1500, good(), Refusal::Implausible),
            (70_000, good(), Refusal::Implausible),
            (575, good(), Refusal::BelowFloor),
            (0, good(), Refusal::BelowFloor),
            (1279, packet6(US6, PEER6, &datagram(4789, 100)), Refusal::BelowFloor),
        ];
        for (mtu, packet, refusal) in cases {
            assert_eq!(judged(mtu, &packet), Err(refusal), "{mtu} {packet:?}");
        }
        let message = TooBig { router: ROUTER, mtu: 1400, packet: &good() };
        assert_eq!(judge(&config(), |_| false, &message), Err(Refusal::ForeignPacket));
    }

    /// RFC 792 lets old routers quote 8 bytes behind the IP header. Of UDP these are ports and length, which anybody can
    /// guess; the VNI comes after them. Of GRE they have the key, unless a checksum stands before it.
    #[test]
    fn eight_quoted_bytes_are_believed_where_they_have_the_key_and_never_of_vxlan_whose_vni_they_lack() {
        let quoting = |protocol, upper: &[u8]| judged(1400, &packet4(US, PEER, protocol, &upper[..8]));
        assert_eq!(quoting(Protocol::UDP, &datagram(4789, 100)), Err(Refusal::Unreadable));
        assert_eq!(quoting(Protocol::GRE, &gre(7)), Ok(((US.into(), PEER.into()), 1400)));
        assert_eq!(quoting(Protocol::GRE, &gre(8)), Err(Refusal::ForeignPacket));
        let (summed, config) = (gre_with(0xa000, 7), with_gre(true, false));
        let quoted = packet4(US, PEER, Protocol::GRE, &summed[..8]);
        assert_eq!(judged_by(&config, 1400, &quoted), Err(Refusal::Unreadable));
        let whole = packet4(US, PEER, Protocol::GRE, &summed);
        assert!(judged_by(&config, 1400, &whole).is_ok(), "with four bytes more");
    }

    #[test]
    fn a_gre_packet_has_the_fields_that_are_configured_and_no_others() {
        for (checksum, sequence) in [(false, false), (false, true), (true, false), (true, true)] {
            let config = with_gre(checksum, sequence);
            for flags in [0x2000, 0x3000, 0xa000, 0xb000] {
                let judged = judged_by(&config, 1400, &packet4(US, PEER, Protocol::GRE, &gre_with(flags, 7)));
                let same = (flags & gre::CHECKSUM_FLAG != 0, flags & gre::SEQUENCE_FLAG != 0)
                    == (checksum, sequence);
                assert_eq!(judged.is_ok(), same, "{flags:#x} with {checksum} {sequence}: {judged:?}");
            }
        }
    }

    #[test]
    fn a_source_port_is_of_the_configured_range() {
        let mut config = config();
        let mut vni = config.vnis.get(&vni(100)).unwrap().clone();
        vni.tunnel.source_ports = SourcePorts::new(1000, 1999).unwrap();
        config.apply(&Change::SetVni { vni, replace: true }).unwrap();
        for (port, ours) in [(999, false), (1000, true), (1999, true), (2000, false), (50_000, false)] {
            let packet = packet4(US, PEER, Protocol::UDP, &datagram_from(port, 4789, 100));
            assert_eq!(judged_by(&config, 1400, &packet).is_ok(), ours, "{port}");
        }
    }

    #[test]
    fn what_was_told_is_lowered_and_forgotten_after_a_while() {
        let pair = (US.into(), PEER.into());
        let told = |mtu, at| Told { mtu, at, router: ROUTER };
        let mut mtus = PathMtus::default();
        assert!(mtus.note(pair, told(1400, 10)));
        assert!(!mtus.note(pair, told(1450, 20)));
        assert_eq!(mtus.told(pair), Some(told(1400, 10)));
        assert!(!mtus.note(pair, told(1400, 30)), "nothing new, but certain again");
        assert!(mtus.note(pair, told(1300, 40)));
        assert!(!mtus.expire(639));
        assert_eq!(expires_in(told(1300, 40), 639), 1);
        assert!(mtus.expire(640));
        assert_eq!(mtus.told(pair), None);
        mtus.note(pair, told(1300, 700));
        mtus.forget(pair);
        assert_eq!(mtus.told(pair), None);
    }
}
