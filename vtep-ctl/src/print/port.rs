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
