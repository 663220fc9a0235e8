//! What the commands do.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use vtep_bench::pktgen::{Amount, Device, Error, Filter, Generator, Latency, Probe, ProbeConfig, Sent, Sink};

use crate::cli::{Arguments, Command, LoadArguments, TrafficArguments};
use crate::progress::Progress;

/// How often rates are shown, and signals noticed.
const TICK: Duration = Duration::from_millis(100);
const TICKS: u32 = 10;
/// How long frames may be under way after the last was sent.
const UNDER_WAY: Duration = Duration::from_millis(200);

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The generator or the sink.
    #[error(transparent)]
    Pktgen(#[from] Error),
    /// Signals cannot be handled.
    #[error("handling signals: {0}")]
    Signals(#[source] io::Error),
    /// The result cannot be printed.
    #[error("printing the result: {0}")]
    Print(#[from] serde_json::Error),
}

/// The end of a measurement.
#[derive(Serialize)]
struct Report {
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<SentReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<AmountReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<LatencyReport>,
}

#[derive(Serialize)]
struct SentReport {
    #[serde(flatten)]
    amount: AmountReport,
    /// Asked for by the rate, and not sent.
    skipped: u64,
    /// Device down, or its MTU too small.
    refused: u64,
    /// The peer's ring was full.
    dropped: u64,
}

#[derive(Serialize)]
struct AmountReport {
    frames: u64,
    bytes: u64,
    frames_per_second: f64,
    bits_per_second: f64,
}

/// Of a histogram, in nanoseconds.
#[derive(Serialize)]
struct Quantiles {
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

impl Quantiles {
    /// None of an empty one.
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile);
        let of_some =
            || Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: histogram.max() };
        (!histogram.is_empty()).then(of_some)
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, p999, max] =
            [self.p50, self.p90, self.p99, self.p999, self.max].map(|ns| ns as f64 / 1e3);
        write!(out, "p50 {p50:.1}  p90 {p90:.1}  p99 {p99:.1}  p99.9 {p999:.1}  max {max:.1} µs")
    }
}

#[derive(Serialize)]
struct LatencyReport {
    probes_sent: u64,
    probes_received: u64,
    /// None if no probe arrived.
    latency_ns: Option<Quantiles>,
    /// Of that, the generator's own. None if no probe was sent.
    generator_ns: Option<Quantiles>,
}

/// Does what the command line says.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let clock = Clock::new(arguments.seconds)?;
    let report = match &arguments.command {
        Command::Generate { from, to, load, traffic } => generate(&clock, from, to.as_ref(), load, traffic)?,
        Command::Sink { at, every } => count(&clock, at, *every)?,
        Command::Latency { from, to, probes, probe_flow, load, traffic } => {
            let config = ProbeConfig { rate: *probes, flow: *probe_flow };
            measure(&clock, (from, to), config, load, traffic)?
        }
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

/// When to end: after a time, or at a signal.
struct Clock {
    stop: Arc<AtomicBool>,
    total: Option<Duration>,
}

impl Clock {
    fn new(total: Option<Duration>) -> Result<Self, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&stop)).map_err(Failure::Signals)?;
        }
        Ok(Self { stop, total })
    }

    /// Calls `show` once a second until the end, and tells how long that was.
    fn run(&self, mut show: impl FnMut() -> Result<(), Error>) -> Result<Duration, Error> {
        let started = Instant::now();
        for tick in 1_u32.. {
            let left = self.total.map_or(TICK, |total| total.saturating_sub(started.elapsed()));
            if left.is_zero() || self.stop.load(Ordering::Relaxed) {
                break;
            }
            sleep(left.min(TICK));
            if tick % TICKS == 0 {
                show()?;
            }
        }
        Ok(started.elapsed())
    }
}

fn generate(
    clock: &Clock,
    from: &Device,
    to: Option<&Device>,
    load: &LoadArguments,
    traffic: &TrafficArguments,
) -> Result<Report, Error> {
    let sink = to.map(Sink::attach).transpose()?;
    let generator = Generator::start(from, &traffic.traffic(), load.cpu)?;
    generator.set_rate(load.rate)?;
    let mut progress = Progress::new(clock.total);
    let took = clock.run(|| {
        let mut counted = vec![("sent", amount(&generator.sent()?))];
        if let Some(sink) = &sink {
            counted.push(("received", sink.received()?));
        }
        progress.show(&counted, "");
        Ok(())
    })?;
    let sent = generator.stop()?;
    sleep(UNDER_WAY);
    drop(progress);
    let received = sink.map(|sink| sink.received()).transpose()?;
    Ok(report(took, Some(&sent), received, None))
}

fn count(clock: &Clock, at: &Device, every: bool) -> Result<Report, Error> {
    let sink = Sink::attach_with(at, if every { Filter::Every } else { Filter::Generated })?;
    let mut progress = Progress::new(clock.total);
    let took = clock.run(|| {
        progress.show(&[("received", sink.received()?)], "");
        Ok(())
    })?;
    drop(progress);
    Ok(report(took, None, Some(sink.received()?), None))
}

fn measure(
    clock: &Clock,
    (from, to): (&Device, &Device),
    config: ProbeConfig,
    load: &LoadArguments,
    traffic: &TrafficArguments,
) -> Result<Report, Error> {
    let sink = Sink::attach(to)?;
    let generator = Generator::start(from, &traffic.traffic(), load.cpu)?;
    generator.set_rate(Some(load.rate.unwrap_or(0.0)))?;
    let probe = Probe::start(&generator, &sink, config)?;
    let mut progress = Progress::new(clock.total);
    let took = clock.run(|| {
        let latency = probe.latency()?;
        let text = format!("p50 {:?} p99 {:?} max {:?}", latency.at(0.5), latency.at(0.99), latency.at(1.0));
        progress.show(&[("sent", amount(&generator.sent()?)), ("received", sink.received()?)], &text);
        Ok(())
    })?;
    probe.stop()?;
    generator.set_rate(Some(0.0))?;
    sleep(UNDER_WAY);
    drop(progress);
    Ok(report(took, Some(&generator.sent()?), Some(sink.received()?), Some(&probe.latency()?)))
}

fn amount(sent: &Sent) -> Amount {
    Amount { frames: sent.frames, bytes: sent.bytes }
}

fn report(
    took: Duration,
    sent: Option<&Sent>,
    received: Option<Amount>,
    latency: Option<&Latency>,
) -> Report {
    let seconds = took.as_secs_f64();
    let rates = |amount: Amount| AmountReport {
        frames: amount.frames,
        bytes: amount.bytes,
        frames_per_second: (amount.frames as f64 / seconds).round(),
        bits_per_second: (amount.bytes as f64 * 8.0 / seconds).round(),
    };
    Report {
        seconds,
        sent: sent.map(|sent| SentReport {
            amount: rates(amount(sent)),
            skipped: sent.skipped,
            refused: sent.refused,
            dropped: sent.dropped,
        }),
        received: received.map(rates),
        latency: latency.map(|latency| LatencyReport {
            probes_sent: latency.sent,
            probes_received: latency.received(),
            latency_ns: Quantiles::of(&latency.histogram),
            generator_ns: Quantiles::of(&latency.delay),
        }),
    }
}

fn print(report: &Report) {
    let line = |name: &str, amount: &AmountReport| {
        let (rate, bits) = (amount.frames_per_second / 1e6, amount.bits_per_second / 1e9);
        println!("{name:<10}{:>14} frames  {rate:8.3} Mpps  {bits:7.2} Gb/s", amount.frames);
    };
    if let Some(sent) = &report.sent {
        line("sent", &sent.amount);
        let SentReport { skipped, refused, dropped, .. } = sent;
        if skipped + refused + dropped > 0 {
            println!(
                "          {skipped} skipped, too late; {refused} refused by the device; {dropped} dropped by it"
            );
        }
    }
    if let Some(received) = &report.received {
        line("received", received);
    }
    if let Some(latency) = &report.latency {
        println!("probes    {:>14} sent, {} received", latency.probes_sent, latency.probes_received);
        let told = |quantiles: &Option<Quantiles>| {
            quantiles.as_ref().map_or_else(|| "unknown: there is no probe".to_owned(), ToString::to_string)
        };
        println!("latency   {}", told(&latency.latency_ns));
        println!("  of it, before it was sent: {}", told(&latency.generator_ns));
    }
}
