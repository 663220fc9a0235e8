//! What the workers measure of themselves, as `vtep-ctl stats` tells it: every frame sent has its time of residence, on
//! one worker or across two, and costs are within what can be.
//!
//! ```text
//!   a1 ── node 1 (vtepd) ── underlay ── node 2 (vtepd) ── b1
//! ```

use std::time::{Duration, Instant};

use serde_json::Value;
use vtep_tests::traffic::Transfer;
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, Pair, Segment, UdpStream, Underlay, Variant, wait_for};

in_every_variant!(every_frame_sent_is_measured);

/// Of all workers together: how much of a number there is.
fn sum(stats: &Value, of: impl Fn(&Value) -> &Value) -> u64 {
    let workers = stats["workers"].as_array().expect("workers");
    workers.iter().map(|worker| of(worker).as_u64().unwrap_or_else(|| panic!("no number in {worker}"))).sum()
}

/// Waits until nothing is under way and returns what the daemon then tells.
fn at_rest(daemon: &Daemon<'_>) -> Value {
    wait_for("the counters come to rest", SOON, || {
        let (first, second) = (daemon.show("stats buckets"), daemon.show("stats buckets"));
        (first["workers"] == second["workers"]).then_some(second)
    })
}

fn every_frame_sent_is_measured(variant: Variant) {
    let begun = Instant::now();
    let Pair { underlay: _underlay, a, b, a1, b1 } = Pair::new();
    let near = Daemon::start(&a, variant, &[Segment::vxlan(100).access(&a1).remote(&b)]);
    let _far = Daemon::start(&b, variant, &[Segment::vxlan(100).access(&b1).remote(&a)]);
    a1.reaches(&b1);
    // The first frames may have found devices that were not ready.
    let before = at_rest(&near);
    let drops = near.list("drops show");
    near.change("stats flush");
    // A workload may have said something of its own accord meanwhile.
    let after = near.show("stats buckets");
    a1.ping(b1.address, 300);
    Transfer::SMALL.run(&a1, &b1);

    // A worker that is not scheduled between two counters looks as one at rest.
    let stats = wait_for("what has been sent is measured", SOON, || {
        let stats = at_rest(&near);
        let sent = |then: &Value| sum(&stats, |worker| &worker["tx"]) - sum(then, |worker| &worker["tx"]);
        let measured = sum(&stats, |worker| &worker["residence"]["count"]);
        let all = sent(&after) >= 600 && (sent(&after)..=sent(&before)).contains(&measured);
        all.then_some(stats)
    });
    assert_eq!(near.list("drops show"), drops, "{stats:#}");
    let batches = sum(&stats, |worker| &worker["batches"]["count"]);
    assert!((1..=sum(&stats, |worker| &worker["rx"])).contains(&batches), "{stats:#}");
    assert!(sum(&stats, |worker| &worker["bursts"]) + sum(&stats, |worker| &worker["flushes"]) > 0);

    let begun = u64::try_from(begun.elapsed().as_nanos()).unwrap();
    for worker in stats["workers"].as_array().unwrap() {
        for name in ["residence", "batches"] {
            in_order(&worker[name]);
        }
        assert!(worker["batches"]["max"].as_u64() <= Some(64), "{worker:#}");
        assert!(worker["residence"]["max"].as_u64() < Some(begun), "{worker:#}");
        let cost = |name: &str| worker["cost"][name].as_u64().unwrap();
        let stages = ["receive", "parse", "decide", "deliver", "transmit", "rest"].map(cost);
        assert!(stages.iter().sum::<u64>() < begun, "{worker:#}");
        let [rounds, frames] = ["rounds", "frames"].map(cost);
        assert!(frames >= rounds && (rounds == 0 || stages[0] + stages[4] > 0), "{worker:#}");
    }
    // One round of 61 is timed, and the pings alone were 600.
    assert!(sum(&stats, |worker| &worker["cost"]["rounds"]) > 0, "{stats:#}");
}

/// Percentiles ascend, and the buckets hold as many values as were counted.
fn in_order(of: &Value) {
    let names = ["p50", "p90", "p99", "p999", "max"].map(|name| of[name].as_u64().unwrap());
    assert!(names.is_sorted(), "{of:#}");
    let buckets = of["buckets"].as_array().unwrap();
    let values: Vec<_> = buckets.iter().map(|bucket| bucket["value"].as_u64().unwrap()).collect();
    assert!(values.is_sorted(), "{of:#}");
    let counts = buckets.iter().map(|bucket| bucket["count"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), of["count"].as_u64().unwrap(), "{of:#}");
}

#[test]
fn measurements_begin_anew_when_flushed() {
    let underlay = Underlay::new();
    let a = underlay.node(1);
    let (a1, a2) = (a.workload("a1", "10.0.0.1"), a.workload("a2", "10.0.0.2"));
    let daemon = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).access(&a2)]);
    a1.reaches(&a2);
    a1.ping(a2.address, 20);
    let frames = |stats: &Value| ["rx", "tx"].map(|name| sum(stats, |worker| &worker[name]));
    // A workload may say something of its own accord at any time: what counts is a flush beside which nobody did.
    let flushed = wait_for("nothing is sent beside a flush", SOON, || {
        let before = at_rest(&daemon);
        daemon.change("stats flush");
        let flushed = at_rest(&daemon);
        (frames(&flushed) == frames(&before)).then_some(flushed)
    });
    for name in ["residence", "batches"] {
        assert_eq!(sum(&flushed, |worker| &worker[name]["count"]), 0, "{flushed:#}");
    }
    a1.ping(a2.address, 20);
    let _ = wait_for("what has been sent since is measured", SOON, || {
        let after = at_rest(&daemon);
        let measured = sum(&after, |worker| &worker["residence"]["count"]);
        let sent = sum(&after, |worker| &worker["tx"]) - sum(&flushed, |worker| &worker["tx"]);
        (measured == sent && measured >= 40).then_some(after)
    });
}

/// What is watched are the tables of each interval.
#[test]
fn tables_tell_residence_batches_and_cost() {
    let underlay = Underlay::new();
    let a = underlay.node(1);
    let (a1, a2) = (a.workload("a1", "10.0.0.1"), a.workload("a2", "10.0.0.2"));
    let daemon = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&a1).access(&a2)]);
    a1.reaches(&a2);
    let stream = UdpStream::start(&a1, &a2, Duration::from_millis(1));
    stream.wait_for_more(100);
    let table = daemon.ctl("stats").output();
    for heading in ["RESIDENCE", "BATCH SIZE", "COST NS/FRAME", "FLUSHES"] {
        assert!(table.contains(heading), "{heading} is not in\n{table}");
    }
    stream.stop().assert_complete();
}
