//! `results.md`.

use std::fmt::Write;

use crate::compare::case::{Case, Size};
use crate::compare::contestant::Kind;
use crate::compare::results::{Measurement, Results};
use crate::compare::statistics::{Digits, Spread};
use crate::compare::targets::{Better, Verdict, targets};
use crate::pktgen;

/// The whole file.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let mut out = String::from("# vtepd beside other switches: results\n\n");
    environment(&mut out, results);
    reached(&mut out, results);
    throughput(&mut out, results);
    latency(&mut out, results);
    churn(&mut out, results);
    tcp(&mut out, results);
    memory(&mut out, results);
    placements(&mut out, results);
    out
}

/// A heading, and the head of a table whose first column is text and the rest numbers.
fn table(out: &mut String, heading: &str, columns: &[&str]) {
    let _ = writeln!(out, "\n## {heading}\n");
    let _ = writeln!(out, "| {} |", columns.join(" | "));
    let _ = writeln!(out, "|---|{}", "--:|".repeat(columns.len() - 1));
}

fn environment(out: &mut String, results: &Results) {
    let at = &results.environment;
    let settings = &results.settings;
    let _ = writeln!(
        out,
        "Commit `{}`, {} UTC. {} × {} ({}), Linux {}, {} MiB, load before: {}. {}. {}.",
        at.commit,
        at.date,
        at.cpus,
        at.cpu,
        at.virtualization,
        at.kernel,
        at.memory_mib,
        at.load,
        at.rustc,
        at.programs.join("; ")
    );
    let _ = writeln!(
        out,
        "\n{} interleaved rounds; trials of {} s at the maximum and {} s in searches, which end at {} %; numbers are \
         medians with the range over the rounds. What is measured and how: [bench/README.md](../README.md). Frame sizes are without \
         frame check sequence and without tunnel headers.",
        settings.rounds,
        settings.maximum_seconds,
        settings.trial_seconds,
        settings.resolution * 100.0
    );
}

fn reached(out: &mut String, results: &Results) {
    table(out, "Targets", &["what", "at least", "aim", "found", ""]);
    for target in targets(results) {
        let sign = match target.better {
            Better::More => "≥",
            Better::Less => "≤",
        };
        let verdict = match target.verdict() {
            Verdict::Missed => "**missed**",
            Verdict::Met => "met",
            Verdict::Exceeded => "met, and the aim",
            Verdict::Unmeasured => "not measured",
        };
        let found = cell(target.found);
        let _ = writeln!(
            out,
            "| {} | {sign} {} | {sign} {} | {found} | {verdict} |",
            target.what, target.least, target.aim
        );
    }
}

fn throughput(out: &mut String, results: &Results) {
    let columns =
        ["maximum, Mpps", "Gb/s", "0.5 % loss, Mpps", "no loss, Mpps", "CPU, ns per frame", "its CPU"];
    for case in results.cases() {
        let heading = format!("Throughput: {case}");
        table(out, &heading, &[&["contestant"], columns.as_slice()].concat());
        for measurement in of_case(results, &case) {
            let name = measurement.contestant;
            if measurement.rounds.is_empty() {
                let why = measurement.missing.as_deref().and_then(|why| why.lines().next());
                let why = why.unwrap_or("not measured").replace('|', "/");
                let _ = writeln!(out, "| {name} | not available: {why} | | | | | |");
                continue;
            }
            let maximum = measurement.maximum();
            let gigabits = maximum.map(|rate| rate.scaled(mean_size(case.size) * 8.0 / 1e9));
            let loss = measurement.spread(|round| round.loss_rate);
            let no_drop = measurement.spread(|round| round.no_drop_rate);
            let cost = measurement.spread(|round| Some(round.at_loss_rate?.cost()));
            let own = measurement.spread(|round| {
                let trial = round.at_loss_rate?;
                Some(trial.switch_busy / trial.received as f64 * 1e9)
            });
            let _ = writeln!(
                out,
                "| {name} | {} | {} | {} | {} | {} | {} |",
                millions(maximum),
                cell(gigabits),
                millions(loss),
                millions(no_drop),
                cell(cost),
                cell(own)
            );
        }
        missing(out, results, &case);
    }
}

/// What a table does not show, in words.
fn missing(out: &mut String, results: &Results, case: &Case) {
    for measurement in of_case(results, case) {
        if let Some(why) = measurement.missing.as_ref().filter(|_| !measurement.rounds.is_empty()) {
            let why = why.lines().next().unwrap_or_default();
            let _ = writeln!(out, "\n{}: a round is missing: {why}.", measurement.contestant);
        }
    }
}

fn latency(out: &mut String, results: &Results) {
    for case in results.cases() {
        let measured: Vec<&Measurement> = of_case(results, &case)
            .filter(|of| of.rounds.iter().any(|round| !round.latency.is_empty()))
            .collect();
        if measured.is_empty() {
            continue;
        }
        let heading = format!("Latency in µs at shares of its own 0.5 %-loss rate: {case}");
        table(
            out,
            &heading,
            &["contestant", "load", "Mpps", "p50", "p99", "p99.9", "p99 of the generator", "probes"],
        );
        for measurement in measured {
            for load in LOADS {
                let of = |pick: fn(&crate::compare::results::Latency) -> u64| {
                    cell(measurement.latency(load, pick).map(|spread| spread.scaled(1e-3)))
                };
                let rate = measurement.spread(|round| {
                    Some(round.latency.iter().find(|at| (at.load - load).abs() < 1e-6)?.rate)
                });
                let _ = writeln!(
                    out,
                    "| {} | {} % | {} | {} | {} | {} | {} | {} |",
                    measurement.contestant,
                    load * 100.0,
                    millions(rate),
                    of(|at| at.p50),
                    of(|at| at.p99),
                    of(|at| at.p999),
                    of(|at| at.generator_p99),
                    of_probes(measurement, load)
                );
            }
        }
    }
}

/// Shares of the 0.5 %-loss rate at which latency is measured.
pub const LOADS: [f64; 3] = [0.1, 0.5, 0.9];

fn of_probes(measurement: &Measurement, load: f64) -> u64 {
    let all = measurement.rounds.iter().flat_map(|round| &round.latency);
    all.filter(|at| (at.load - load).abs() < 1e-6).map(|at| at.probes).sum()
}

fn churn(out: &mut String, results: &Results) {
    let Some(churned) = &results.churn else { return };
    let heading = format!(
        "Frames lost while the forwarding database changes, {} at {} Mpps",
        Case::BASE,
        Digits(churned.rate / 1e6)
    );
    let columns = ["changes per second", "sent", "lost", "sent without changes", "lost without changes"];
    table(out, &heading, &columns);
    for round in &churned.rounds {
        let [changing, still] = [round.changing, round.still];
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            Digits(round.changes),
            changing.sent(),
            changing.lost(),
            still.sent(),
            still.lost()
        );
    }
}

fn tcp(out: &mut String, results: &Results) {
    if results.tcp.is_empty() {
        return;
    }
    let columns = ["overlay", "streams", "Gb/s", "segments sent again", "mean round trip idle, µs"];
    table(out, "TCP between two workloads on two nodes, inner MTU 1450", &columns);
    for result in &results.tcp {
        let of = |pick: fn(&crate::compare::tcp::TcpRound) -> f64| {
            cell(Spread::of(result.rounds.iter().map(pick)))
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            result.overlay.name(),
            result.streams,
            of(|round| round.bits_per_second / 1e9),
            of(|round| round.retransmits as f64),
            of(|round| round.ping_mean)
        );
    }
}

fn memory(out: &mut String, results: &Results) {
    let cases = results.cases();
    let Some(case) = cases.first() else { return };
    table(out, "Memory in MB", &["process", "RSS", "PSS", "anonymous", "frame memory in PSS"]);
    let mut row = |name: String, memory: crate::compare::memory::Memory, frames: Option<u64>| {
        let megabytes = |bytes: u64| Digits(bytes as f64 / 1e6).to_string();
        let frames = frames.map(megabytes).unwrap_or_default();
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {frames} |",
            megabytes(memory.rss),
            megabytes(memory.pss),
            megabytes(memory.anonymous)
        );
    };
    for measurement in of_case(results, case) {
        if let Some(memory) = measurement.rounds.iter().find_map(|round| round.memory) {
            row(format!("{} after {case}", measurement.contestant), memory, None);
        }
    }
    for footprint in &results.footprints {
        row(footprint.what.clone(), footprint.memory, Some(footprint.frames));
    }
}

fn placements(out: &mut String, results: &Results) {
    table(out, "Where receive work in the kernel runs", &["contestant", "place", "case", "maximum, Mpps"]);
    for placed in &results.placements {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            placed.contestant,
            placed.placement,
            placed.case,
            Digits(placed.maximum / 1e6)
        );
    }
    out.push_str(
        "\nEach contestant was measured at the place that made it fastest. How its ports were opened:\n\n",
    );
    for kind in Kind::ALL {
        let of_kind = results.measurements.iter().find(|of| of.contestant == kind && !of.mode.is_empty());
        if let Some(measurement) = of_kind {
            let _ = writeln!(out, "- {kind}: {}", measurement.mode);
        }
    }
}

fn of_case<'a>(results: &'a Results, case: &Case) -> impl Iterator<Item = &'a Measurement> {
    let case = *case;
    results.measurements.iter().filter(move |measurement| measurement.case == case)
}

/// Mean bytes of a frame.
#[must_use]
pub fn mean_size(size: Size) -> f64 {
    match size {
        Size::Fixed(bytes) => f64::from(bytes),
        Size::Imix => pktgen::Size::Imix.mean(),
    }
}

fn cell(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| spread.to_string())
}

fn millions(rate: Option<Spread>) -> String {
    cell(rate.map(|rate| rate.scaled(1e-6)))
}
