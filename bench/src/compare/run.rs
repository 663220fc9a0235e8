//! The comparison itself: which contestant is measured when, and with what.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::case::{Case, Direction};
use super::churn;
use super::contestant::Kind;
use super::environment::Environment;
use super::fault::Fault;
use super::footprint;
use super::load::{Load, entries, sink, traffic};
use super::placement::Placement;
use super::progress::Progress;
use super::report::table::LOADS;
use super::results::{Measurement, Placed, Results, Round, Settings, Trial};
use super::search::Search;
use super::stage::{Stage, ingress};
use super::tcp::{Overlay, STREAMS, TcpResult, measure};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How.
    pub settings: Settings,
    /// Which cases.
    pub cases: Vec<Case>,
    /// Which contestants, in the order in which they take turns.
    pub contestants: Vec<Kind>,
    /// Whether the memory of idle daemons is measured too.
    pub footprints: bool,
    /// Whether frames lost to control changes are.
    pub churn: bool,
}

impl Plan {
    /// Visits that it takes: what progress counts.
    #[must_use]
    pub fn visits(&self) -> usize {
        let rounds = self.settings.rounds as usize;
        let tcp = if self.settings.tcp_seconds == 0 { 0 } else { Overlay::ALL.len() };
        self.contestants.len() * (self.directions().len() + rounds * self.cases.len())
            + rounds * tcp
            + if self.footprints { 2 } else { 0 }
            + usize::from(self.churn)
    }

    /// Whether vtepd takes part, so that it must be built.
    #[must_use]
    pub fn has_vtepd(&self) -> bool {
        let ours = |kind: &Kind| matches!(kind, Kind::Vtepd | Kind::VtepdRing);
        self.settings.tcp_seconds > 0 || self.footprints || self.churn || self.contestants.iter().any(ours)
    }

    fn directions(&self) -> Vec<Direction> {
        let has = |direction: &Direction| self.cases.iter().any(|case| case.direction == *direction);
        [Direction::Encap, Direction::Decap].into_iter().filter(has).collect()
    }

    /// Measures everything.
    ///
    /// # Errors
    /// [`Fault::Interrupted`]. What a contestant cannot do is a part of the results.
    pub fn run(&self, progress: &mut Progress) -> Result<Results, Fault> {
        let mut results = Results {
            environment: Environment::here(),
            settings: self.settings.clone(),
            ..Results::default()
        };
        let places = self.place(progress, &mut results)?;
        for case in &self.cases {
            self.measure(case, &places, progress, &mut results)?;
        }
        if self.footprints {
            match guarded(|| footprint::measure(progress))? {
                Ok(footprints) => results.footprints = footprints,
                Err(why) => progress.line(&format!("memory of vtepd: {why}")),
            }
        }
        if let Some(rate) = half_load(&results).filter(|_| self.churn) {
            match guarded(|| churn::measure(rate, &self.settings, progress))? {
                Ok(churned) => results.churn = Some(churned),
                Err(why) => progress.line(&format!("control changes: {why}")),
            }
        }
        if self.settings.tcp_seconds > 0 {
            results.tcp = self.tcp(progress)?;
        }
        Ok(results)
    }

    /// Finds out where each contestant's receive work runs best, by the base case in each direction.
    fn place(&self, progress: &mut Progress, results: &mut Results) -> Result<Places, Fault> {
        let mut places = Places::new();
        for direction in self.directions() {
            let case = Case { direction, ..Case::BASE };
            for contestant in &self.contestants {
                progress.visit(&format!("{contestant}: where receive work runs best, {direction:?}"));
                let placed = guarded(|| self.try_places(*contestant, &case, progress))?;
                // What went wrong will be said by the measurement.
                for (placement, maximum) in placed.unwrap_or_default() {
                    results.placements.push(Placed { case, contestant: *contestant, placement, maximum });
                    let best = places.entry((*contestant, direction)).or_insert((placement, maximum));
                    if maximum > best.1 {
                        *best = (placement, maximum);
                    }
                }
            }
        }
        Ok(places)
    }

    fn try_places(
        &self,
        contestant: Kind,
        case: &Case,
        progress: &Progress,
    ) -> Result<Vec<(Placement, f64)>, Fault> {
        let stage = Stage::new();
        let sink = sink(&stage, case.direction)?;
        let _running = contestant.start(&stage, case, &entries(case))?;
        let load = Load::new(&stage, sink, case.direction, &traffic(case))?;
        load.warm_up(progress)?;
        let time = Duration::from_secs_f64(self.settings.maximum_seconds);
        let of = |placement: &Placement| {
            placement.apply(&stage.node.namespace, ingress(case.direction));
            Ok((*placement, load.trial(None, time, progress)?.rate()))
        };
        contestant.placements().iter().map(of).collect()
    }

    /// One case, the contestants taking turns.
    fn measure(
        &self,
        case: &Case,
        places: &Places,
        progress: &mut Progress,
        results: &mut Results,
    ) -> Result<(), Fault> {
        let mut measurements: Vec<Measurement> =
            self.contestants.iter().map(|kind| nothing(*kind, case)).collect();
        for round in 0..self.settings.rounds {
            for measurement in &mut measurements {
                let contestant = measurement.contestant;
                progress.visit(&format!("round {} of {case}: {contestant}", round + 1));
                if let Some(obstacle) = contestant.obstacle(case) {
                    measurement.missing = Some(obstacle.to_owned());
                    continue;
                }
                let place = places.get(&(contestant, case.direction)).map(|(place, _)| *place);
                measurement.placement = place;
                let visit = Visit { settings: &self.settings, case, thorough: self.is_thorough(case, round) };
                match guarded(|| visit.run(contestant, place, &mut measurement.mode, progress))? {
                    Ok(found) => {
                        progress.line(&format!("{contestant}, {case}: {}", found.in_words()));
                        measurement.rounds.push(found);
                    }
                    Err(why) => {
                        progress.line(&format!("{contestant}, {case}: {why}"));
                        measurement.missing = Some(why);
                    }
                }
            }
        }
        results.measurements.extend(measurements);
        Ok(())
    }

    /// Whether latency and the rate without loss are measured too.
    fn is_thorough(&self, case: &Case, round: u32) -> bool {
        let alone = self.settings.scope != super::case::Scope::Quick;
        round < self.settings.thorough_rounds && (alone || *case == Case::BASE || *case == Case::BASE.decap())
    }

    fn tcp(&self, progress: &mut Progress) -> Result<Vec<TcpResult>, Fault> {
        let mut results: Vec<TcpResult> = Vec::new();
        for overlay in Overlay::ALL {
            results.extend(STREAMS.map(|streams| TcpResult { overlay, streams, rounds: Vec::new() }));
        }
        for round in 0..self.settings.rounds {
            for overlay in Overlay::ALL {
                progress.check()?;
                progress.visit(&format!("round {} of TCP: {}", round + 1, overlay.name()));
                let found = guarded(|| measure(overlay, self.settings.tcp_seconds))?;
                let found = found.unwrap_or_else(|why| {
                    progress.line(&format!("TCP, {}: {why}", overlay.name()));
                    Vec::new()
                });
                for (streams, transfer) in found {
                    let of = results.iter_mut().find(|of| of.overlay == overlay && of.streams == streams);
                    if let Some(result) = of {
                        result.rounds.push(transfer);
                    }
                }
            }
        }
        Ok(results)
    }
}

/// Half of vtepd's 0.5 %-loss rate in the base case, in frames per second. Where other work on the machine made it 0, two
/// fifths of the maximum stand for it.
fn half_load(results: &Results) -> Option<f64> {
    let measurement = results.of(&Case::BASE, Kind::Vtepd)?;
    let rate = measurement.spread(|round| round.loss_rate)?.median / 2.0;
    if rate > 0.0 { Some(rate) } else { measurement.maximum().map(|maximum| maximum.median * 0.4) }
}

/// Where each contestant's receive work runs best in each direction, and its rate there.
type Places = HashMap<(Kind, Direction), (Placement, f64)>;

fn nothing(contestant: Kind, case: &Case) -> Measurement {
    Measurement {
        case: *case,
        contestant,
        placement: None,
        mode: String::new(),
        rounds: Vec::new(),
        missing: None,
    }
}

/// One contestant in one round of one case.
struct Visit<'a> {
    settings: &'a Settings,
    case: &'a Case,
    thorough: bool,
}

impl Visit<'_> {
    fn run(
        &self,
        contestant: Kind,
        place: Option<Placement>,
        mode: &mut String,
        progress: &Progress,
    ) -> Result<Round, Fault> {
        let stage = Stage::new();
        let sink = sink(&stage, self.case.direction)?;
        let running = contestant.start(&stage, self.case, &entries(self.case))?;
        let load = Load::new(&stage, sink, self.case.direction, &traffic(self.case))?;
        if let Some(place) = place {
            place.apply(&stage.node.namespace, ingress(self.case.direction));
        }
        load.warm_up(progress)?;
        let time = Duration::from_secs_f64(self.settings.maximum_seconds);
        let maximum = load.trial(None, time, progress)?;
        if maximum.received == 0 {
            let (who, case) = (contestant.to_string(), self.case.to_string());
            return Err(Fault::Silent { who, case, drops: format!("{:?}", running.drops()) });
        }
        let mut round = Round { maximum, ..Round::default() };
        self.search(&load, &mut round, progress)?;
        *mode = running.mode();
        round.memory = running.memory();
        round.drops = running.drops();
        Ok(round)
    }

    /// Rates by search, and latency at shares of one of them.
    fn search(&self, load: &Load, round: &mut Round, progress: &Progress) -> Result<(), Fault> {
        let search = Search { resolution: self.settings.resolution, trials: self.settings.trials };
        let time = Duration::from_secs_f64(self.settings.trial_seconds);
        let mut best: Option<Trial> = None;
        let rate = search.highest(round.maximum.rate() * HEADROOM, |rate| {
            let passed = sustains(load, rate, time, ACCEPTED_LOSS, progress)?;
            best = passed.or(best);
            Ok(passed.is_some())
        })?;
        (round.loss_rate, round.at_loss_rate) = (Some(rate), best);
        if !self.thorough {
            return Ok(());
        }
        let no_drop =
            search.highest(rate, |rate| Ok(sustains(load, rate, time, 0.0, progress)?.is_some()))?;
        round.no_drop_rate = Some(no_drop);
        let time = Duration::from_secs_f64(self.settings.latency_seconds);
        for share in LOADS {
            if rate > 0.0 {
                round.latency.push(load.latency(share, rate * share, time, progress)?);
            }
        }
        Ok(())
    }
}

/// A trial at a rate that lost no more than it may. A trial that failed is repeated once: the host of a virtual machine takes
/// its CPUs away for milliseconds now and then, which says nothing about a switch.
fn sustains(
    load: &Load,
    rate: f64,
    time: Duration,
    accepted: f64,
    progress: &Progress,
) -> Result<Option<Trial>, Fault> {
    for _ in 0..2 {
        let trial = load.trial(Some(rate), time, progress)?;
        if trial.loss() <= accepted {
            return Ok(Some(trial));
        }
    }
    Ok(None)
}

/// Share of lost frames that the 0.5 %-loss rate allows.
const ACCEPTED_LOSS: f64 = 0.005;
/// A search begins at this multiple of the maximum: overload may cost a switch more than its best rate does.
const HEADROOM: f64 = 1.05;

/// Runs a visit. What the harness or a contestant complains about becomes a text; only the user's wish to end is passed on.
fn guarded<T>(visit: impl FnOnce() -> Result<T, Fault>) -> Result<Result<T, String>, Fault> {
    match catch_unwind(AssertUnwindSafe(visit)) {
        Ok(Err(Fault::Interrupted)) => Err(Fault::Interrupted),
        Ok(result) => Ok(result.map_err(|fault| fault.to_string())),
        Err(cause) => {
            let text = cause.downcast_ref::<String>().cloned();
            let text = text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Ok(Err(text.unwrap_or_else(|| "it failed without words".to_owned())))
        }
    }
}
