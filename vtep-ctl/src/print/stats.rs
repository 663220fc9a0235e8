//! Counters and measurements as tables.

use super::{balance, chunks, jumbo, lines, optional};
use crate::columns::{Cell, Columns, Paint};
use crate::moving::Moving;
use crate::spread::Spread;

/// The balance, then what each worker and port has counted and measured.
pub(super) fn stats(reply: &api::StatsReply, moving: &mut Moving, paint: Paint) -> String {
    let mut pairs = vec![("frames", balance(&reply.balance, moving)), ("chunks", chunks(&reply.chunks))];
    pairs.extend(jumbo(&reply.jumbo_chunks));
    let whole = lines(&pairs, paint);
    let tables = [
        workers(&reply.workers, moving),
        bursts(&reply.workers),
        residence(&reply.workers, moving),
        batches(&reply.workers, moving),
        cost(&reply.workers, moving),
        ports(&reply.ports, moving),
        path_mtu(&reply.path_mtu, moving),
    ];
    tables
        .iter()
        .filter(|table| !table.is_empty())
        .fold(whole, |text, table| text + "\n" + &table.render(paint))
}

fn workers(workers: &[api::WorkerStats], moving: &mut Moving) -> Columns {
    const HEADS: &[&str] = &[
        ">WORKER",
        ">CPU",
        ">RX",
        ">COPIES",
        ">TX",
        ">DROPPED",
        ">TAKEN",
        ">IN FLIGHT",
        ">HANDED OVER",
        ">BURSTS",
        ">FLUSHES",
        ">FAILED",
        ">EVENTS LOST",
    ];
    let mut columns = Columns::new(HEADS);
    for worker in workers {
        let mut count =
            |what: &str, value| moving.count(format!("worker {} {what}", worker.worker), value).into();
        columns.row(vec![
            worker.worker.into(),
            optional(worker.cpu),
            count("rx", worker.rx),
            count("copies", worker.copies),
            count("tx", worker.tx),
            count("dropped", worker.dropped),
            count("taken", worker.taken),
            worker.in_flight.into(),
            count("handed_over", worker.handed_over),
            count("bursts", worker.bursts),
            count("flushes", worker.flushes),
            count("failed_flushes", worker.failed_flushes),
            count("lost_events", worker.lost_events),
        ]);
    }
    columns
}

/// How each worker chooses between ring and burst; empty without bursts.
fn bursts(workers: &[api::WorkerStats]) -> Columns {
    let heads = &["BURST COSTS", ">RING/FRAME", ">BURST/CALL", ">BURST/FRAME", ">BURST FROM FRAMES"];
    let mut columns = Columns::new(heads);
    for worker in workers {
        let Some(burst) = worker.burst else { continue };
        columns.row(vec![
            format!("worker {}", worker.worker).into(),
            format!("{}ns", burst.ring_ns).into(),
            format!("{}ns", burst.call_ns).into(),
            format!("{}ns", burst.frame_ns).into(),
            burst.threshold.into(),
        ]);
    }
    columns
}

/// From receive to transmit.
fn residence(workers: &[api::WorkerStats], moving: &mut Moving) -> Columns {
    let heads = &["RESIDENCE", ">FRAMES", ">MEAN", ">P50", ">P90", ">P99", ">P99.9", ">MAX"];
    spreads(heads, workers, time, |worker| {
        moving.spread(format!("worker {} residence", worker.worker), &worker.residence)
    })
}

/// Frames that were received at once.
fn batches(workers: &[api::WorkerStats], moving: &mut Moving) -> Columns {
    let heads = &["BATCH SIZE", ">BATCHES", ">MEAN", ">P50", ">P90", ">P99", ">P99.9", ">MAX"];
    spreads(
        heads,
        workers,
        |frames| frames.to_string(),
        |worker| moving.spread(format!("worker {} batches", worker.worker), &worker.batches),
    )
}

fn spreads(
    heads: &'static [&'static str],
    workers: &[api::WorkerStats],
    text: fn(u64) -> String,
    mut of: impl FnMut(&api::WorkerStats) -> Spread,
) -> Columns {
    let mut columns = Columns::new(heads);
    for worker in workers {
        let Spread { count, mean, p50, p90, p99, p999, max } = of(worker);
        if count != 0 {
            let values = [mean, p50, p90, p99, p999, max].map(|value| text(value).into());
            let name = [format!("worker {}", worker.worker).into(), count.into()];
            columns.row(name.into_iter().chain(values).collect());
        }
    }
    columns
}

/// Nanoseconds for each frame, in the rounds that were timed.
fn cost(workers: &[api::WorkerStats], moving: &mut Moving) -> Columns {
    const HEADS: &[&str] = &[
        "COST NS/FRAME",
        ">OF FRAMES",
        ">RECEIVE",
        ">PARSE",
        ">DECIDE",
        ">DELIVER",
        ">TRANSMIT",
        ">REST",
        ">WHOLE",
    ];
    let mut columns = Columns::new(HEADS);
    for worker in workers {
        let name = format!("worker {}", worker.worker);
        let cost = &worker.cost;
        let stages = [cost.receive, cost.parse, cost.decide, cost.deliver, cost.transmit, cost.rest];
        let (frames, stages) = moving.moved(&format!("{name} cost"), cost.frames, stages);
        if frames != 0 {
            let each = |sum: u64| (sum as f64 / frames as f64).round().into();
            let mut row = vec![name.into(), frames.into()];
            row.extend(stages.map(each));
            row.push(each(stages.iter().sum()));
            columns.row(row);
        }
    }
    columns
}

fn ports(ports: &[api::PortStats], moving: &mut Moving) -> Columns {
    const HEADS: &[&str] = &[
        "PORT",
        ">RX PACKETS",
        ">RX BYTES",
        ">TX PACKETS",
        ">TX BYTES",
        ">DROPPED",
        ">KERNEL DROPPED",
        ">TO KERNEL",
        ">FRAGMENTED",
        ">TOO BIG TOLD",
    ];
    let mut columns = Columns::new(HEADS);
    for port in ports {
        let mut count = |what: &str, value| -> Cell {
            moving.count(format!("port {} {what}", port.ifname), value).into()
        };
        columns.row(vec![
            (&port.ifname).into(),
            count("rx_packets", port.rx_packets),
            count("rx_bytes", port.rx_bytes),
            count("tx_packets", port.tx_packets),
            count("tx_bytes", port.tx_bytes),
            count("dropped", port.dropped),
            count("kernel_dropped", port.kernel_dropped),
            port.to_kernel.map_or_else(|| "".into(), |frames| count("to_kernel", frames)),
            count("fragmented", port.fragmented),
            count("too_big_told", port.too_big_told),
        ]);
    }
    columns
}

/// What routers have told of path MTUs; empty if nothing.
fn path_mtu(counts: &api::PathMtuCounts, moving: &mut Moving) -> Columns {
    let heads = &["PATH MTU TOLD", ">BELIEVED", ">UNREADABLE", ">FOREIGN", ">IMPLAUSIBLE", ">BELOW FLOOR"];
    let mut columns = Columns::new(heads);
    if *counts != api::PathMtuCounts::default() {
        let mut count = |what: &str, value| moving.count(format!("path_mtu {what}"), value).into();
        columns.row(vec![
            "by routers".into(),
            count("accepted", counts.accepted),
            count("unreadable", counts.unreadable),
            count("foreign", counts.foreign),
            count("implausible", counts.implausible),
            count("below_floor", counts.below_floor),
        ]);
    }
    columns
}

/// Nanoseconds as people say them, in three digits.
fn time(nanoseconds: u64) -> String {
    let mut rest = nanoseconds as f64;
    for unit in ["ns", "µs", "ms"] {
        if rest < 999.5 {
            let decimals = if unit == "ns" || rest >= 99.95 { 0 } else { 1 + usize::from(rest < 9.995) };
            return format!("{rest:.decimals$}{unit}");
        }
        rest /= 1000.0;
    }
    format!("{rest:.2}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits() {
        let times = [
            (0, "0ns"),
            (999, "999ns"),
            (1000, "1.00µs"),
            (12_345, "12.3µs"),
            (99_960, "100µs"),
            (999_600, "1.00ms"),
            (17_000_000_000, "17.00s"),
        ];
        for (nanoseconds, text) in times {
            assert_eq!(time(nanoseconds), text);
        }
    }
}
