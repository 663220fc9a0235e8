//! Latency of a stream of probes from a generator to a sink.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::Error;
use super::generator::{Generator, Sent};
use super::histogram::since;
use super::pace::ProbeConfig;
use super::sink::Sink;

/// A stream of probes beside the load of a generator, and what the sink measures. Dropping it ends the stream.
///
/// One clock times both ends, so generator and sink must be on one machine.
#[derive(Debug)]
pub struct Probe<'a> {
    generator: &'a Generator,
    sink: &'a Sink,
    /// What there was before.
    latencies: Vec<u64>,
    delays: Vec<u64>,
    sent: Sent,
}

/// What a stream of probes measured.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Nanoseconds from the time when a probe was due to the sink's XDP program; one sample for each probe received.
    pub histogram: Histogram<u64>,
    /// Probes sent.
    pub sent: u64,
    /// Nanoseconds from the time when a probe was due to when the generator made it: the part of the latency that is the
    /// generator's own. One sample for each probe sent.
    pub delay: Histogram<u64>,
}

impl Latency {
    /// Probes that arrived.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.histogram.len()
    }

    /// Latency that the share `quantile` of the probes received does not exceed; `0.99` for p99, `1.0` for the longest.
    #[must_use]
    pub fn at(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(quantile))
    }
}

impl<'a> Probe<'a> {
    /// Begins a stream; that of an earlier probe of the generator ends.
    ///
    /// # Errors
    ///
    /// [`Error::Rate`], [`Error::Traffic`] when the flow is not one of the generator's, [`Error::Map`], [`Error::Stopped`].
    pub fn start(generator: &'a Generator, sink: &'a Sink, config: ProbeConfig) -> Result<Self, Error> {
        generator.set_probes(None)?;
        let (latencies, delays, sent) = (sink.latencies()?, generator.delays()?, generator.sent()?);
        generator.set_probes(Some(config))?;
        Ok(Self { generator, sink, latencies, delays, sent })
    }

    /// Ends the stream. Probes still under way are counted when they arrive.
    ///
    /// # Errors
    ///
    /// As [`Probe::start`].
    pub fn stop(&self) -> Result<(), Error> {
        self.generator.set_probes(None)
    }

    /// What has been measured so far.
    ///
    /// # Errors
    ///
    /// [`Error::Map`].
    pub fn latency(&self) -> Result<Latency, Error> {
        let sent = self.generator.sent()?.probes - self.sent.probes;
        Ok(Latency {
            histogram: since(&self.latencies, &self.sink.latencies()?),
            sent,
            delay: since(&self.delays, &self.generator.delays()?),
        })
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        // A generator that has stopped sends no probes.
        let _ = self.generator.set_probes(None);
    }
}
