//! What cannot be is refused, in words that help.

use vtep_bench::pktgen::{Device, Error, Generator, Hosts, Probe, ProbeConfig, Sink, Size, Traffic};
use vtep_tests::wait::SOON;
use vtep_tests::wait_until;
use wire::Mac;

use crate::lab::{Pair, plain};

/// Starts a generator in vain.
#[track_caller]
fn refused(device: &Device, traffic: &Traffic, cpu: usize) -> Error {
    match Generator::start(device, traffic, cpu) {
        Ok(generator) => panic!("{generator:?} has started"),
        Err(error) => error,
    }
}

#[track_caller]
fn assert_says(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "\"{part}\" is missing: {text}");
    }
}

#[test]
fn traffic_that_cannot_be() {
    let pair = Pair::new();
    let start = |traffic: Traffic| refused(&pair.source(), &traffic, 0);
    assert_says(&start(Traffic { size: Size::Fixed(59), ..plain() }), &["59 bytes", "least is 60"]);
    assert_says(&start(Traffic { size: Size::Fixed(3900), ..plain() }), &["3900 bytes", "3400"]);
    assert_says(&start(Traffic { flows: 0, ..plain() }), &["0 flows"]);
    let sources = Hosts { first_mac: Mac([2, 0, 0xff, 0xff, 0xff, 0xff]), count: 2, ..plain().sources };
    assert_says(&start(Traffic { sources, ..plain() }), &["2 sources", "overflow"]);
}

#[test]
fn places_that_are_not_there() {
    let pair = Pair::new();
    assert_says(&refused(&Device::new("vtep-no-such", "near"), &plain(), 0), &["namespace vtep-no-such"]);
    let missing = Device::new(pair.near.name(), "missing");
    assert_says(&refused(&missing, &plain(), 0), &["/missing", "No such device"]);
    assert_says(&Sink::attach(&missing).unwrap_err(), &["/missing", "No such device"]);
    assert_says(&refused(&pair.source(), &plain(), 1023), &["CPU 1023"]);
    let _first = Sink::attach(&pair.sink()).unwrap();
    assert_says(&Sink::attach(&pair.sink()).unwrap_err(), &["/far", "xdp off", "has a program already"]);
}

#[test]
fn rates_that_are_none() {
    let pair = Pair::new();
    let sink = Sink::attach(&pair.sink()).unwrap();
    let generator = Generator::start(&pair.source(), &plain(), 0).unwrap();
    for rate in [-1.0, f64::NAN, f64::INFINITY] {
        assert_says(&generator.set_rate(Some(rate)).unwrap_err(), &["frames per second"]);
    }
    let config = ProbeConfig { rate: 10.0, flow: Some(1) };
    assert_says(&Probe::start(&generator, &sink, config).unwrap_err(), &["flow 1"]);
    assert_eq!(generator.stop().unwrap().frames, 0);
}

#[test]
fn devices_that_cannot() {
    let pair = Pair::new();
    let generator = Generator::start(&pair.source(), &plain(), 0).unwrap();
    let error = generator.set_rate(Some(1.0)).unwrap_err();
    assert_says(&error, &["/near", "no NAPI", "gro on"]);
    let _sink = Sink::attach(&pair.sink()).unwrap();
    generator.set_rate(Some(1.0)).unwrap();
    pair.near.ip("link set near mtu 1000");
    let traffic = Traffic { size: Size::Fixed(1014 + 1), ..plain() };
    let generator = Generator::start(&pair.source(), &traffic, 0).unwrap();
    assert_says(&generator.set_rate(None).unwrap_err(), &["/near", "1015 bytes", "mtu 1001"]);
}

#[test]
fn a_device_that_goes_down_refuses() {
    let pair = Pair::new();
    let sink = Sink::attach(&pair.sink()).unwrap();
    let generator = Generator::start(&pair.source(), &plain(), 0).unwrap();
    generator.set_rate(Some(5_000.0)).unwrap();
    wait_until("frames are sent", SOON, || sink.received().unwrap().frames > 0);
    pair.near.ip("link set near down");
    wait_until("frames are refused", SOON, || generator.sent().unwrap().refused > 10);
    let sent = generator.stop().unwrap();
    let arrived = sent.frames - sent.refused - sent.dropped;
    wait_until("the others arrive", SOON, || sink.received().unwrap().frames >= arrived);
    assert_eq!(sink.received().unwrap().frames, arrived);
}

#[test]
fn a_device_that_vanishes_refuses() {
    let pair = Pair::new();
    let sink = Sink::attach(&pair.sink()).unwrap();
    let generator = Generator::start(&pair.source(), &plain(), 0).unwrap();
    generator.set_rate(Some(5_000.0)).unwrap();
    wait_until("frames are sent", SOON, || sink.received().unwrap().frames > 0);
    pair.near.ip("link del near");
    wait_until("frames are refused", SOON, || generator.sent().unwrap().refused > 10);
    generator.set_rate(Some(0.0)).unwrap();
    assert_says(&generator.set_rate(None).unwrap_err(), &["/near", "No such device"]);
}
