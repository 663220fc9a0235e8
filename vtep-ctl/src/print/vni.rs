//! VNIs as a table.

use api::InnerTags;

use super::{Printed, flooding, on_off, optional, some_of, wrapping};
use crate::columns::{Columns, Paint};

/// What tunnel packets of a VNI have that most have not.
fn options(vni: &api::Vni) -> String {
    let mut options: Vec<String> = vni.further_udp_ports.iter().map(|port| format!("port {port}")).collect();
    let range = vni.port_range.filter(|range| (range.low, range.high) != (49_152, 65_535));
    options.extend(range.map(|range| format!("srcport {}-{}", range.low, range.high)));
    let bits = Some(&vni.reserved_bits).filter(|bits| !bits.trim_start_matches(['0', 'x']).is_empty());
    options.extend(bits.map(|bits| format!("reserved-bits {bits}")));
    options.extend(vni.gre_checksum.then(|| "gre-checksum".to_owned()));
    options.extend(vni.gre_sequence.then(|| "gre-sequence".to_owned()));
    options.extend((vni.inner_tags == InnerTags::Drop).then(|| "inner-tags drop".to_owned()));
    options.extend((vni.mss_clamp != "off").then(|| format!("mss-clamp {}", vni.mss_clamp)));
    if options.is_empty() { "-".to_owned() } else { options.join(", ") }
}

/// Learned neighbours, the most that there may be, and those beyond.
fn neighbours(vni: &api::Vni) -> String {
    let beyond = match vni.neighbours_unlearned {
        0 => String::new(),
        unlearned => format!(", {unlearned} beyond"),
    };
    format!("{}/{}{beyond}", vni.neighbours, vni.neighbour_limit)
}

/// VNIs, one a line.
pub(super) fn table(vnis: &[api::Vni], paint: Paint) -> Printed {
    const HEADS: &[&str] = &[
        ">VNI",
        "LOCAL",
        "ENCAP",
        "CHECKSUM",
        "LEARNING",
        ">AGEING",
        "ARP-PROXY",
        "ND-PROXY",
        "TOS",
        "TTL",
        "DF",
        "ECN",
        ">MOVE-LIMIT",
        "FLOOD",
        "SNOOPING",
        "MCAST-GROUP",
        ">LEARNED",
        "NEIGHBOURS",
        "OPTIONS",
        "PORTS",
        "REMOTES",
    ];
    let mut columns = Columns::new(HEADS);
    for vni in vnis {
        columns.row(vec![
            vni.vni.into(),
            some_of(&vni.local).into(),
            wrapping(vni.encap, vni.udp_port, vni.key.as_deref()).into(),
            vni.udp_port.map_or("-", |_| vni.udp_checksum.map_or("ipv6", on_off)).into(),
            on_off(vni.learning).into(),
            if vni.ageing == 0 { "never".into() } else { format!("{}s", vni.ageing).into() },
            on_off(vni.arp_proxy).into(),
            on_off(vni.nd_proxy).into(),
            (&vni.tos).into(),
            (&vni.ttl).into(),
            vni.df.into(),
            vni.ecn.into(),
            if vni.move_limit == 0 { "none".into() } else { vni.move_limit.into() },
            flooding(vni.flood, vni.mcast_flood, vni.bcast_flood).into(),
            on_off(vni.mcast_snooping).into(),
            optional(vni.mcast_group),
            format!("{}/{}", vni.learned, vni.learn_limit).into(),
            neighbours(vni).into(),
            options(vni).into(),
            some_of(&vni.ports).into(),
            some_of(&vni.remotes).into(),
        ]);
    }
    Printed::table(&columns, "no VNIs", paint)
}
