//! The targets of the product that this comparison can check, and what was found.

use super::case::{Case, Size};
use super::churn::{CHANGES, ChurnRound};
use super::contestant::Kind;
use super::results::{Latency, Measurement, Results};
use super::statistics::{Digits, Spread};

/// Whether more or less is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    /// At least so much.
    More,
    /// At most so much.
    Less,
}

/// A target and what was found.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// What it is about.
    pub what: String,
    /// Which way is better.
    pub better: Better,
    /// What must be reached.
    pub least: f64,
    /// What should be.
    pub aim: f64,
    /// What was found; none where it was not measured.
    pub found: Option<Spread>,
}

/// How far a target was reached, by the median.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Not what must be.
    Missed,
    /// What must be, but not what should be.
    Met,
    /// What should be.
    Exceeded,
    /// Nothing was found.
    Unmeasured,
}

impl Target {
    /// How far it was reached.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Some(found) = self.found else { return Verdict::Unmeasured };
        let reached = |goal: f64| match self.better {
            Better::More => found.median >= goal,
            Better::Less => found.median <= goal,
        };
        match (reached(self.aim), reached(self.least)) {
            (true, _) => Verdict::Exceeded,
            (false, true) => Verdict::Met,
            (false, false) => Verdict::Missed,
        }
    }
}

/// All of them, with what `results` say.
#[must_use]
pub fn targets(results: &Results) -> Vec<Target> {
    let (encap, decap) = (Case::BASE, Case::BASE.decap());
    let mut all = Vec::new();
    let mut add = |what: String, better, least, aim, found| {
        all.push(Target { what, better, least, aim, found });
    };
    let ratios = [
        (encap, [(Kind::Linux, 5.0, 7.0), (Kind::OpenVswitch, 4.0, 5.0), (Kind::Redirect, 0.5, 0.75)]),
        (decap, [(Kind::Linux, 4.0, 6.0), (Kind::OpenVswitch, 3.5, 5.0), (Kind::Redirect, 0.45, 0.7)]),
    ];
    for (case, peers) in ratios {
        for (peer, least, aim) in peers {
            let what = format!("{case}: maximum rate ÷ {peer}");
            add(what, Better::More, least, aim, results.ratio(&case, Kind::Vtepd, peer));
        }
    }
    let large = Case { size: Size::Fixed(1450), ..encap };
    let of = |case: &Case| results.of(case, Kind::Vtepd);
    let gigabits = |frames: Spread| frames.scaled(1450.0 * 8.0 / 1e9);
    let found = of(&large).and_then(Measurement::maximum).map(gigabits);
    add(format!("{large}: Gb/s"), Better::More, 15.0, 25.0, found);
    let kept = |case: &Case| of(case)?.spread(|round| Some(round.loss_rate? / round.maximum.rate()));
    add(format!("{encap}: 0.5 %-loss rate ÷ maximum rate"), Better::More, 0.8, 0.95, kept(&encap));
    add(format!("{decap}: 0.5 %-loss rate ÷ maximum rate"), Better::More, 0.8, 0.95, kept(&decap));
    for (name, of) in [("p50", (|at| at.p50) as fn(&Latency) -> u64), ("p99", |at| at.p99)] {
        let latency = |kind| results.of(&encap, kind)?.latency(0.1, of);
        let found = latency(Kind::Vtepd).zip(latency(Kind::Linux));
        let found = found.and_then(|(ours, theirs)| Spread::of([ours.median / theirs.median]));
        add(format!("{encap}: latency {name} at 10 % load ÷ Linux's"), Better::Less, 1.0, 0.7, found);
    }
    let changed = |of: fn(&ChurnRound) -> f64| {
        Spread::of(results.churn.iter().flat_map(|churned| &churned.rounds).map(of))
    };
    let half = format!("{encap} at half the 0.5 %-loss rate");
    // Not the difference to what is lost without changes: that would call a loss no loss where the machine itself loses
    // frames. What is lost without stands beside it.
    let lost = |round: &ChurnRound| round.changing.lost() as f64;
    let still = changed(|round| round.still.lost() as f64);
    let beside = still.map(|still| format!(" ({} without)", Digits(still.median))).unwrap_or_default();
    add(format!("{half}: frames lost with control changes{beside}"), Better::Less, 0.0, 0.0, changed(lost));
    let what = "changes of the forwarding database per second meanwhile".to_owned();
    add(what, Better::More, CHANGES, CHANGES, changed(|round| round.changes));
    for (footprint, (least, aim)) in results.footprints.iter().zip([(30.0, 15.0), (80.0, 40.0)]) {
        let found = Spread::of([footprint.beside() as f64 / 1e6]);
        add(format!("memory beside the UMEM, MB: {}", footprint.what), Better::Less, least, aim, found);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::churn::Churned;
    use crate::compare::results::Trial;

    fn target(better: Better, found: f64) -> Target {
        let (least, aim) = if better == Better::More { (5.0, 7.0) } else { (1.0, 0.7) };
        Target { what: String::new(), better, least, aim, found: Spread::of([found]) }
    }

    #[test]
    fn the_median_decides_in_the_direction_that_is_better() {
        use Better::{Less, More};
        use Verdict::{Exceeded, Met, Missed, Unmeasured};
        let cases = [
            (More, 4.9, Missed),
            (More, 5.0, Met),
            (More, 7.0, Exceeded),
            (Less, 1.1, Missed),
            (Less, 1.0, Met),
            (Less, 0.7, Exceeded),
            (More, f64::NAN, Unmeasured),
        ];
        for (better, found, verdict) in cases {
            assert_eq!(target(better, found).verdict(), verdict, "{better:?} {found}");
        }
    }

    #[test]
    fn a_frame_lost_with_changes_is_lost_however_many_are_lost_without() {
        let trial = |received| Trial { offered: 1000, received, ..Trial::default() };
        let round =
            |still, changing| ChurnRound { still: trial(still), changing: trial(changing), changes: CHANGES };
        let verdict = |round| {
            let churn = Some(Churned { rate: 1e6, rounds: vec![round] });
            let all = targets(&Results { churn, ..Results::default() });
            let found = all.iter().find(|target| target.what.contains("frames lost with control changes"));
            found.map(|target| (target.what.ends_with("(10.0 without)"), target.verdict()))
        };
        assert_eq!(verdict(round(990, 999)), Some((true, Verdict::Missed)));
        assert_eq!(verdict(round(990, 1000)), Some((true, Verdict::Exceeded)));
    }

    #[test]
    fn nothing_measured_is_nothing_met() {
        let all = targets(&Results::default());
        assert!(all.len() >= 9);
        assert!(all.iter().all(|target| target.verdict() == Verdict::Unmeasured));
    }
}
