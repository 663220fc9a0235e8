//! What is said of a port alone: its queues, and what its frames are held against.

use crate::columns::{Columns, Paint};
use crate::moving::Moving;

pub(super) fn queue_table(port: &api::Port, moving: &mut Moving, paint: Paint) -> String {
    const HEADS: &[&str] = &[
        ">QUEUE",
        ">WORKER",
        ">RX_DROPPED",
        ">RX_INVALID",
        ">RX_RING_FULL",
        ">FILL_EMPTY",
        ">TX_INVALID",
        ">TX_EMPTY",
    ];
    let mut columns = Columns::new(HEADS);
    for queue in &port.queues {
        let mut count =
            |what: &str, value| moving.count(format!("{} {} {what}", port.ifname, queue.queue), value).into();
        columns.row(vec![
            queue.queue.into(),
            queue.worker.into(),
            count("rx_dropped", queue.rx_dropped),
            count("rx_invalid", queue.rx_invalid_descs),
            count("rx_ring_full", queue.rx_ring_full),
            count("fill_empty", queue.rx_fill_ring_empty_descs),
            count("tx_invalid", queue.tx_invalid_descs),
            count("tx_empty", queue.tx_ring_empty_descs),
        ]);
    }
    if columns.is_empty() { String::new() } else { columns.render(paint) }
}

/// The VNI of an access port, or how many VLANs a trunk has.
pub(super) fn vnis(port: &api::Port) -> String {
    match (port.vni, &port.vlans) {
        (Some(vni), _) => vni.to_string(),
        (None, Some(vlans)) => format!("{} VLANs", vlans.len()),
        (None, None) => String::new(),
    }
}

/// What a port faces, and in which VNIs that is.
pub(super) fn role(port: &api::Port) -> String {
    let Some(vlans) = &port.vlans else {
        return port.vni.map_or_else(|| port.role.to_string(), |vni| format!("{} of VNI {vni}", port.role));
    };
    let vlans: Vec<String> =
        vlans.iter().map(|row| format!("VLAN {} is VNI {}", row.vlan, row.vni)).collect();
    let vlans = if vlans.is_empty() { "without VLANs".to_owned() } else { vlans.join(", ") };
    let native = port.native.map_or_else(|| "none".to_owned(), |native| native.to_string());
    format!("{}: {vlans}; native VLAN {native}", port.role)
}

/// Whether VLAN tags are seen, and if not surely, why.
pub(super) fn tags(tags: &api::Tags) -> String {
    match &tags.reason {
        _ if tags.seen => "seen".to_owned(),
        Some(reason) => format!("perhaps hidden: {reason}"),
        None => "perhaps hidden".to_owned(),
    }
}

/// What a port's frames are held against.
pub(super) fn guard(guard: &api::Guard) -> String {
    let trust = if guard.trusted == Some(true) { "trusted" } else { "not trusted" };
    let lock = if guard.locked == Some(true) { ", locked" } else { "" };
    let bindings = guard.bind.iter().flatten();
    let bindings: Vec<String> =
        bindings.map(|binding| [&[binding.mac.clone()][..], &binding.addresses].concat().join(" ")).collect();
    if bindings.is_empty() {
        format!("{trust}{lock}, any address")
    } else {
        format!("{trust}{lock}, bound to {}", bindings.join(" / "))
    }
}
