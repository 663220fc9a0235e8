//! What a comparison found: the whole of `results.json`.

use serde::{Deserialize, Serialize};

use super::case::{Case, Scope};
use super::churn::Churned;
use super::contestant::Kind;
use super::environment::Environment;
use super::fault::Fault;
use super::memory::Memory;
use super::placement::Placement;
use super::statistics::{Digits, Spread};
use super::tcp::TcpResult;

/// Everything.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// Where and with what it was measured.
    pub environment: Environment,
    /// How.
    pub settings: Settings,
    /// What was tried to find where each contestant's receive work runs best.
    pub placements: Vec<Placed>,
    /// One entry for each case and contestant.
    pub measurements: Vec<Measurement>,
    /// TCP between two nodes.
    pub tcp: Vec<TcpResult>,
    /// Memory of idle daemons.
    pub footprints: Vec<Footprint>,
    /// Frames lost to control changes.
    #[serde(default)]
    pub churn: Option<Churned>,
}

/// How it was measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Which cases.
    pub scope: Scope,
    /// Interleaved rounds.
    pub rounds: u32,
    /// Seconds of a trial at the maximum.
    pub maximum_seconds: f64,
    /// Seconds of a trial of a search.
    pub trial_seconds: f64,
    /// Undecided share of a rate at which a search ends.
    pub resolution: f64,
    /// Trials of a search at most.
    pub trials: u32,
    /// Seconds of load for each latency histogram.
    pub latency_seconds: f64,
    /// Rounds of these that also search for the rate without any loss and measure latency.
    pub thorough_rounds: u32,
    /// Seconds of a TCP transfer; 0 for none.
    pub tcp_seconds: u32,
}

impl Settings {
    /// Those of a scope.
    #[must_use]
    pub fn of(scope: Scope) -> Self {
        let quick = Self {
            scope,
            rounds: 2,
            maximum_seconds: 0.6,
            trial_seconds: 0.3,
            resolution: 0.05,
            trials: 5,
            latency_seconds: 0.5,
            thorough_rounds: 1,
            tcp_seconds: 1,
        };
        match scope {
            Scope::Quick => quick,
            Scope::Factors | Scope::Full => Self {
                rounds: 3,
                maximum_seconds: 1.0,
                trial_seconds: 0.6,
                resolution: 0.03,
                trials: 8,
                latency_seconds: 2.0,
                thorough_rounds: 1,
                tcp_seconds: 5,
                ..quick
            },
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::of(Scope::Quick)
    }
}

/// What one contestant reached with its receive work at one place.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Placed {
    /// The case it was tried with.
    pub case: Case,
    /// The contestant.
    pub contestant: Kind,
    /// The place.
    pub placement: Placement,
    /// Frames per second received at most.
    pub maximum: f64,
}

/// One contestant in one case.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// The case.
    pub case: Case,
    /// The contestant.
    pub contestant: Kind,
    /// Where its receive work ran.
    pub placement: Option<Placement>,
    /// How its ports were opened, in its own words.
    pub mode: String,
    /// What each round found.
    pub rounds: Vec<Round>,
    /// Why there is nothing, or less than should be.
    pub missing: Option<String>,
}

/// One round of one contestant in one case.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Round {
    /// At full load.
    pub maximum: Trial,
    /// Highest rate at which at most 0.5 % were lost, in frames per second.
    pub loss_rate: Option<f64>,
    /// Highest rate at which nothing was lost.
    pub no_drop_rate: Option<f64>,
    /// The trial of `loss_rate`.
    pub at_loss_rate: Option<Trial>,
    /// Latency at shares of `loss_rate`.
    pub latency: Vec<Latency>,
    /// Memory of its processes after all this.
    pub memory: Option<Memory>,
    /// Frames that it says it dropped, by port and reason.
    pub drops: Vec<(String, u64)>,
}

/// Frames offered for a while, and what came of them.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Trial {
    /// Seconds.
    pub seconds: f64,
    /// Frames that were due: given to the ingress device, whether or not it had room for them, or skipped because the
    /// generator's CPU was too busy receiving for the switch.
    pub offered: u64,
    /// Frames of these that were skipped.
    #[serde(default)]
    pub skipped: u64,
    /// Frames that the sink counted, with those that came after the end.
    pub received: u64,
    /// Frames that the sink had counted at the end.
    pub received_in_time: u64,
    /// Seconds that all CPUs together were busy: generator, switch and sink.
    pub busy: f64,
    /// Seconds that the switch's CPU was busy.
    pub switch_busy: f64,
    /// Seconds that the host took away.
    pub stolen: f64,
}

impl Trial {
    /// Frames per second received.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.received_in_time as f64 / self.seconds
    }

    /// Frames that were sent.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.offered - self.skipped
    }

    /// Frames that were sent and did not arrive.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.sent().saturating_sub(self.received)
    }

    /// Share of the frames that was lost.
    #[must_use]
    pub fn loss(&self) -> f64 {
        if self.offered == 0 { 1.0 } else { 1.0 - self.received as f64 / self.offered as f64 }
    }

    /// Nanoseconds of CPU time of the whole machine for each frame received.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.busy / self.received as f64 * 1e9
    }
}

/// Percentiles of latency at one load, in nanoseconds from when a probe should have been sent to when the sink saw it.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// Load as a share of the 0.5 %-loss rate.
    pub load: f64,
    /// Load in frames per second.
    pub rate: f64,
    /// Half of the probes were faster.
    pub p50: u64,
    /// 99 % were.
    pub p99: u64,
    /// 99.9 % were.
    pub p999: u64,
    /// The slowest.
    pub max: u64,
    /// 99 % of the probes were made no later than this after they were due: the generator's own part.
    #[serde(default)]
    pub generator_p99: u64,
    /// Probes received.
    pub probes: u64,
    /// Probes lost.
    pub lost: u64,
}

/// Memory of an idle daemon.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Footprint {
    /// Whose, with what configured.
    pub what: String,
    /// Its memory.
    pub memory: Memory,
    /// Bytes of `memory.pss` that are frame memory.
    pub frames: u64,
}

impl Footprint {
    /// Bytes beside the frame memory, by proportional set size.
    #[must_use]
    pub fn beside(&self) -> u64 {
        self.memory.pss.saturating_sub(self.frames)
    }
}

impl Round {
    /// In a line.
    #[must_use]
    pub fn in_words(&self) -> String {
        let millions = |rate: f64| Digits(rate / 1e6);
        let mut text = format!("{} Mpps", millions(self.maximum.rate()));
        for (name, rate) in [("0.5 % loss", self.loss_rate), ("no loss", self.no_drop_rate)] {
            if let Some(rate) = rate {
                text += &format!(", {name} {}", millions(rate));
            }
        }
        for at in &self.latency {
            text += &format!(", p50/p99 at {} % {}/{} µs", at.load * 100.0, at.p50 / 1000, at.p99 / 1000);
        }
        text
    }
}

impl Measurement {
    /// Median and spread of something over the rounds.
    #[must_use]
    pub fn spread(&self, of: impl Fn(&Round) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(of))
    }

    /// Frames per second received at full load.
    #[must_use]
    pub fn maximum(&self) -> Option<Spread> {
        self.spread(|round| Some(round.maximum.rate()))
    }

    /// A percentile of latency at a load, in nanoseconds.
    #[must_use]
    pub fn latency(&self, load: f64, of: impl Fn(&Latency) -> u64) -> Option<Spread> {
        self.spread(|round| {
            let at = round.latency.iter().find(|latency| (latency.load - load).abs() < 1e-6)?;
            Some(of(at) as f64)
        })
    }
}

impl Results {
    /// The measurement of a contestant in a case.
    #[must_use]
    pub fn of(&self, case: &Case, contestant: Kind) -> Option<&Measurement> {
        self.measurements.iter().find(|entry| entry.case == *case && entry.contestant == contestant)
    }

    /// The cases, in the order in which they were measured.
    #[must_use]
    pub fn cases(&self) -> Vec<Case> {
        let mut cases: Vec<Case> = Vec::new();
        for measurement in &self.measurements {
            if !cases.contains(&measurement.case) {
                cases.push(measurement.case);
            }
        }
        cases
    }

    /// These with those of `later`, which replace what was measured before in the same case.
    ///
    /// # Errors
    /// [`Fault::Different`] when both do not come from the same commit, kernel and CPU.
    pub fn with(mut self, later: Self) -> Result<Self, Fault> {
        let key = |results: &Self| {
            let at = &results.environment;
            format!("{}, Linux {}, {}", at.commit, at.kernel, at.cpu)
        };
        if key(&self) != key(&later) {
            return Err(Fault::Different { before: key(&self), now: key(&later) });
        }
        let same = |a: &Measurement, b: &Measurement| a.case == b.case && a.contestant == b.contestant;
        for new in later.measurements {
            match self.measurements.iter_mut().find(|old| same(old, &new)) {
                Some(old) => *old = new,
                None => self.measurements.push(new),
            }
        }
        for new in later.placements {
            let same = |old: &&mut Placed| {
                (old.case, old.contestant, old.placement) == (new.case, new.contestant, new.placement)
            };
            match self.placements.iter_mut().find(same) {
                Some(old) => *old = new,
                None => self.placements.push(new),
            }
        }
        self.tcp = if later.tcp.is_empty() { self.tcp } else { later.tcp };
        self.churn = later.churn.or(self.churn);
        self.footprints = if later.footprints.is_empty() { self.footprints } else { later.footprints };
        Ok(self)
    }

    /// Ratio of two contestants at full load, round by round, because the machine changes between rounds.
    #[must_use]
    pub fn ratio(&self, case: &Case, of: Kind, to: Kind) -> Option<Spread> {
        let (of, to) = (self.of(case, of)?, self.of(case, to)?);
        let rounds = of.rounds.iter().zip(&to.rounds);
        Spread::of(rounds.map(|(of, to)| of.maximum.rate() / to.maximum.rate()))
    }
}
