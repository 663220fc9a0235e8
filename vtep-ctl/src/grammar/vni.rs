//! The commands that say what a VNI is.

use api::Request;

use super::{NOTHING, liveness, port};
use crate::words::{Given, Shape, Usage};

/// Moves of an address that `move-limit` takes at most.
const MOST_MOVES: u64 = 1000;

/// What may follow a VNI's number.
pub(super) const SET: Shape = Shape {
    positional: &["vni"],
    keywords: &[
        ("local", "IP[,IP]"),
        ("encap", "vxlan|gre|nvgre|greudp"),
        ("udp-port", "P[,P]"),
        ("key", "vni|none|NUMBER"),
        ("learning", "on|off"),
        ("ageing", "SECONDS"),
        ("arp-proxy", "on|off"),
        ("nd-proxy", "on|off"),
        ("tos", "inherit|N"),
        ("ttl", "inherit|N"),
        ("df", "set|unset|inherit"),
        ("ecn", "normal|reset|compatibility"),
        ("udp-checksum", "on|off"),
        ("mcast-snooping", "on|off"),
        ("mcast-group", "IP"),
        ("move-limit", "N"),
        ("flood", "on|off"),
        ("mcast-flood", "on|off"),
        ("bcast-flood", "on|off"),
        liveness::ON,
        liveness::INTERVAL,
        liveness::MULTIPLIER,
        liveness::RECOVERY,
        liveness::PATHS,
        liveness::PATH_MTU,
        ("srcport", "LOW-HIGH"),
        ("reserved-bits", "0xBITS"),
        ("gre-checksum", "on|off"),
        ("gre-sequence", "on|off"),
        ("inner-tags", "carry|drop"),
        ("mss-clamp", "on|off|BYTES"),
        port::LEARN_LIMIT,
    ],
    ..NOTHING
};
pub(super) const SET_TAIL: &str = "N local IP[,IP] [encap vxlan|gre|nvgre|greudp] [udp-port P[,P]] [key vni|none|NUMBER] [learning on|off] \
    [ageing SECONDS] [arp-proxy on|off] [nd-proxy on|off] [tos inherit|N] [ttl inherit|N] [df set|unset|inherit] \
    [ecn normal|reset|compatibility] [udp-checksum on|off] [srcport LOW-HIGH] [reserved-bits 0xBITS] \
    [gre-checksum on|off] [gre-sequence on|off] [inner-tags carry|drop] [mcast-snooping on|off] [mcast-group IP] \
    [move-limit N] \
    [flood on|off] [mcast-flood on|off] [bcast-flood on|off] [liveness on|off] [interval MS] \
    [multiplier N] [recovery N] [paths N] [path-mtu on|off] [mss-clamp on|off|BYTES] [learn-limit N]";

/// Adds a VNI, or changes one.
pub(super) fn set(given: &Given, replace: bool) -> Result<Request, Usage> {
    let ports = given.ports("udp-port")?.unwrap_or_default();
    let udp_port = ports.first().copied();
    let further_udp_ports = ports.get(1..).filter(|further| !further.is_empty()).map(<[i64]>::to_vec);
    Ok(Request::SetVni(api::SetVni {
        vni: given.required_vni()?,
        local: given
            .addresses("local")?
            .ok_or_else(|| Usage::new("our underlay address is missing", "local IP[,IP]"))?,
        encap: given.word("encap")?,
        udp_port,
        key: given.key()?,
        learning: given.switch("learning")?,
        ageing: given.number("ageing", u32::MAX.into())?,
        arp_proxy: given.switch("arp-proxy")?,
        nd_proxy: given.switch("nd-proxy")?,
        tos: given.octet("tos", 0)?,
        ttl: given.octet("ttl", 1)?,
        df: given.word("df")?,
        ecn: given.word("ecn")?,
        udp_checksum: given.switch("udp-checksum")?,
        mcast_snooping: given.switch("mcast-snooping")?,
        mcast_group: given.address("mcast-group")?,
        move_limit: given.number("move-limit", MOST_MOVES)?,
        flood: given.switch("flood")?,
        mcast_flood: given.switch("mcast-flood")?,
        bcast_flood: given.switch("bcast-flood")?,
        liveness: liveness::item(given)?,
        learn_limit: port::learn_limit(given)?,
        further_udp_ports,
        port_range: given.range("srcport")?,
        reserved_bits: given.text("reserved-bits"),
        gre_checksum: given.switch("gre-checksum")?,
        gre_sequence: given.switch("gre-sequence")?,
        inner_tags: given.word("inner-tags")?,
        mss_clamp: given.clamp()?,
        replace: replace.then_some(true),
    }))
}
