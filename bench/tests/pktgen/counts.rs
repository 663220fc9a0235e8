//! What is sent arrives, and is counted.

use std::time::Duration;

use vtep_bench::pktgen::{Filter, Generator, Probe, ProbeConfig, Sent, Sink, Size, Traffic};
use vtep_tests::wait::SOON;
use vtep_tests::wait_until;

use crate::lab::{Pair, plain};

/// Sends at a moderate rate until at least `least` frames have gone.
fn send(generator: &Generator, least: u64) -> Sent {
    generator.set_rate(Some(20_000.0)).unwrap();
    wait_until("frames are sent", SOON, || generator.sent().unwrap().frames >= least);
    generator.set_rate(Some(0.0)).unwrap();
    generator.sent().unwrap()
}

#[test]
fn what_is_sent_is_received() {
    let pair = Pair::new();
    let sink = Sink::attach(&pair.sink()).unwrap();
    for size in [Size::Fixed(60), Size::Fixed(1514), Size::Fixed(3400), Size::Imix] {
        let before = sink.received().unwrap();
        let traffic = Traffic { size, flows: 100, ..plain() };
        let generator = Generator::start(&pair.source(), &traffic, 0).unwrap();
        let _ = send(&generator, 500);
        let sent = generator.stop().unwrap();
        wait_until("they arrive", SOON, || sink.received().unwrap().frames - before.frames >= sent.frames);
        let received = sink.received().unwrap();
        let (frames, bytes) = (received.frames - before.frames, received.bytes - before.bytes);
        assert_eq!((frames, bytes), (sent.frames, sent.bytes), "{size:?}");
        let expected = sent.frames as f64 * size.mean();
        assert!((sent.bytes as f64 - expected).abs() <= 12.0 * 1514.0, "{size:?}: {sent:?}");
        assert_eq!((sent.refused, sent.dropped), (0, 0), "{size:?}");
    }
    assert_eq!(sink.others().unwrap(), 0);
}

#[test]
fn as_fast_as_possible_nothing_is_unaccounted_for() {
    let pair = Pair::new();
    let sink = Sink::attach(&pair.sink()).unwrap();
    let generator = Generator::start(&pair.source(), &plain(), 0).unwrap();
    generator.set_rate(None).unwrap();
    wait_until("frames are sent", SOON, || generator.sent().unwrap().frames >= 100_000);
    generator.set_rate(Some(0.0)).unwrap();
    let sent = generator.stop().unwrap();
    let arrived = sent.frames - sent.dropped - sent.refused;
    wait_until("they arrive", SOON, || sink.received().unwrap().frames >= arrived);
    assert_eq!(sink.received().unwrap().frames, arrived);
}

#[test]
fn foreign_frames_are_not_counted() {
    let pair = Pair::new();
    pair.near.ip("addr add 10.9.9.1/24 dev near");
    pair.far.ip("addr add 10.9.9.2/24 dev far");
    let sink = Sink::attach(&pair.sink()).unwrap();
    let _ = pair.near.run("ping -c 1 -W 5 10.9.9.2");
    assert_eq!(sink.received().unwrap().frames, 0);
    assert!(sink.others().unwrap() >= 2, "an ARP request and an echo request");
    drop(sink);
    let every = Sink::attach_with(&pair.sink(), Filter::Every).unwrap();
    assert!(!pair.near.attempt("ping -c 1 -W 1 10.9.9.2").success());
    assert!(every.received().unwrap().frames >= 1);
    assert_eq!(every.others().unwrap(), 0);
}

#[test]
fn every_probe_received_is_a_sample() {
    let pair = Pair::new();
    let sink = Sink::attach(&pair.sink()).unwrap();
    let traffic = Traffic { flows: 8, ..plain() };
    let generator = Generator::start(&pair.source(), &traffic, 0).unwrap();
    generator.set_rate(Some(10_000.0)).unwrap();
    for flow in [None, Some(3)] {
        let probe = Probe::start(&generator, &sink, ProbeConfig { rate: 2_000.0, flow }).unwrap();
        wait_until("probes arrive", SOON, || probe.latency().unwrap().received() >= 200);
        probe.stop().unwrap();
        let sent = probe.latency().unwrap().sent;
        wait_until("they arrive", SOON, || probe.latency().unwrap().received() >= sent);
        let latency = probe.latency().unwrap();
        assert_eq!((latency.received(), latency.delay.len()), (latency.sent, latency.sent));
        assert!(latency.at(0.5) > Duration::ZERO);
        assert!(latency.at(0.5) <= latency.at(0.99) && latency.at(0.99) <= latency.at(1.0));
    }
    generator.set_rate(Some(0.0)).unwrap();
    let sent = generator.stop().unwrap();
    assert!(sent.probes >= 400 && sent.frames > sent.probes, "load and probes: {sent:?}");
    wait_until("they arrive", SOON, || sink.received().unwrap().frames >= sent.frames);
    assert_eq!(sink.received().unwrap().frames, sent.frames);
}
