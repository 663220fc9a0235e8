//! Load on a stage: trials at a rate, and latency under it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use wire::{Mac, Vni};

use super::case::{Case, Direction, Size, Tunnel};
use super::contestant::Entries;
use super::fault::Fault;
use super::placement::{GENERATOR_CPU, SWITCH_CPU};
use super::processor::{Busy, Stay};
use super::progress::{Progress, TICK};
use super::results::{Latency, Trial};
use super::stage::{END, FAR, FAR_MAC, NEAR, NEAR_MAC, Stage, VNI};
use crate::pktgen::{
    self, Device, Encapsulation, Generator, Hosts, Outer, Probe, ProbeConfig, Sink, Traffic,
};

/// The stage's VNI.
const VXLAN_VNI: Vni = Vni::new(VNI).expect("24 bits");
/// Probes in a second. Each is a frame of the load.
const PROBES: f64 = 10_000.0;
/// Nothing has come for so long: nothing is under way any more.
const QUIET: Duration = Duration::from_millis(20);
/// A switch that is warm receives about the same in two spans like this one after the other.
const SPAN: Duration = Duration::from_millis(250);
/// Spans of warming up at most.
const SPANS: u32 = 24;
/// Two rates that differ by no more are the same for this purpose.
const SAME: f64 = 0.05;

/// A generator and a sink at the ends of a stage.
#[derive(Debug)]
pub struct Load {
    // Stopped before the sink is detached.
    generator: Generator,
    sink: Sink,
    /// This program stays away from the switch's CPU. What it starts would too, so the contestant comes before.
    _stay: Stay,
}

/// The hosts that frames go to in a case.
fn destinations(case: &Case) -> Hosts {
    Hosts {
        first_mac: Mac([0x02, 0xdd, 0, 0, 0, 0]),
        first_address: [10, 128, 0, 0].into(),
        count: case.macs,
    }
}

/// The forwarding entries of a case.
#[must_use]
pub fn entries(case: &Case) -> Entries {
    let hosts = destinations(case);
    let macs = (0..case.macs).map(|number| hosts.mac(number).0).collect();
    Entries { direction: case.direction, macs }
}

/// What the generator sends in a case.
#[must_use]
pub fn traffic(case: &Case) -> Traffic {
    let outer = Outer {
        source_mac: Mac(FAR_MAC),
        destination_mac: Mac(NEAR_MAC),
        source: FAR.into(),
        destination: NEAR.into(),
    };
    let encapsulation = match (case.direction, case.tunnel) {
        (Direction::Encap, _) => Encapsulation::Plain,
        (Direction::Decap, Tunnel::Vxlan) => Encapsulation::Vxlan { outer, vni: VXLAN_VNI, port: 4789 },
        (Direction::Decap, Tunnel::Gre) => Encapsulation::Gre { outer, key: Some(VNI) },
    };
    let size = match case.size {
        Size::Fixed(bytes) => pktgen::Size::Fixed(bytes),
        Size::Imix => pktgen::Size::Imix,
    };
    let sources = Hosts::one(Mac([0x02, 0x55, 0, 0, 0, 1]), [10, 0, 0, 1].into());
    Traffic { size, flows: case.flows, sources, destinations: destinations(case), encapsulation }
}

/// Attaches the sink of a direction. It comes before the contestant, which may look whether its frames will be taken.
///
/// # Errors
/// [`Fault::Generator`].
pub fn sink(stage: &Stage, direction: Direction) -> Result<Sink, Fault> {
    Ok(Sink::attach(&Device::new(stage.sink(direction).name(), END))?)
}

impl Load {
    /// Makes the generator beside a sink that is attached already; nothing is sent yet. The contestant must have been
    /// started, because a veth takes frames only while the other end runs NAPI.
    ///
    /// # Errors
    /// [`Fault::Generator`].
    pub fn new(stage: &Stage, sink: Sink, direction: Direction, traffic: &Traffic) -> Result<Self, Fault> {
        let device = Device::new(stage.source(direction).name(), END);
        let generator = Generator::start(&device, traffic, GENERATOR_CPU)?;
        Ok(Self { generator, sink, _stay: Stay::on(GENERATOR_CPU)? })
    }

    /// Offers frames at a rate, or as fast as possible, and counts what arrives.
    ///
    /// # Errors
    /// [`Fault::Generator`], [`Fault::Interrupted`], [`Fault::File`].
    pub fn trial(&self, rate: Option<f64>, time: Duration, progress: &Progress) -> Result<Trial, Fault> {
        let (sent, received, busy) = (self.generator.sent()?, self.sink.received()?.frames, Busy::now()?);
        let start = Instant::now();
        self.generator.set_rate(rate)?;
        let action = if rate.is_some() { "search" } else { "maximum" };
        let watched = self.watch(start, time, action, progress);
        let (busy, in_time, elapsed) =
            (Busy::now()?.since(&busy), self.sink.received()?.frames, start.elapsed());
        self.generator.set_rate(Some(0.0))?;
        watched?;
        let after = self.generator.sent()?;
        let all = self.drain()?;
        Ok(Trial {
            seconds: elapsed.as_secs_f64(),
            offered: after.frames - sent.frames + (after.skipped - sent.skipped),
            skipped: after.skipped - sent.skipped,
            received: all - received,
            received_in_time: in_time - received,
            busy: busy.total(),
            switch_busy: busy.of(SWITCH_CPU),
            stolen: busy.stolen,
        })
    }

    /// Full load until the rate is steady: caches, tables and flows are made meanwhile.
    ///
    /// # Errors
    /// As [`Load::trial`].
    pub fn warm_up(&self, progress: &Progress) -> Result<(), Fault> {
        let mut before = 0.0;
        for _ in 0..SPANS {
            let rate = self.trial(None, SPAN, progress)?.rate();
            if rate > 0.0 && (rate - before).abs() <= rate * SAME {
                break;
            }
            before = rate;
        }
        Ok(())
    }

    /// Latency of a stream of probes that are a part of the load.
    ///
    /// # Errors
    /// As [`Load::trial`].
    pub fn latency(
        &self,
        load: f64,
        rate: f64,
        time: Duration,
        progress: &Progress,
    ) -> Result<Latency, Fault> {
        let probes = PROBES.min(rate / 2.0);
        self.generator.set_rate(Some(rate - probes))?;
        let probe = Probe::start(&self.generator, &self.sink, ProbeConfig { rate: probes, flow: None })?;
        let watched = self.watch(Instant::now(), time, "latency", progress);
        probe.stop()?;
        self.generator.set_rate(Some(0.0))?;
        watched?;
        let _ = self.drain()?;
        let latency = probe.latency()?;
        let nanoseconds = |quantile| u64::try_from(latency.at(quantile).as_nanos()).unwrap_or(u64::MAX);
        Ok(Latency {
            load,
            rate,
            p50: nanoseconds(0.5),
            p99: nanoseconds(0.99),
            p999: nanoseconds(0.999),
            max: nanoseconds(1.0),
            generator_p99: latency.delay.value_at_quantile(0.99),
            probes: latency.received(),
            lost: latency.sent.saturating_sub(latency.received()),
        })
    }

    /// Shows the rate of now until the time is over or the user wants no more.
    fn watch(&self, start: Instant, time: Duration, action: &str, progress: &Progress) -> Result<(), Fault> {
        let (mut then, mut count) = (start, self.sink.received()?.frames);
        while let Some(left) = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            sleep(left.min(TICK));
            progress.check()?;
            let (now, seen) = (Instant::now(), self.sink.received()?.frames);
            progress.rate(action, (seen - count) as f64 / (now - then).as_secs_f64());
            (then, count) = (now, seen);
        }
        Ok(())
    }

    /// Waits until nothing comes any more; gives the frames received so far.
    fn drain(&self) -> Result<u64, Fault> {
        let mut seen = self.sink.received()?.frames;
        loop {
            sleep(QUIET);
            let now = self.sink.received()?.frames;
            if now == seen {
                return Ok(now);
            }
            seen = now;
        }
    }
}
