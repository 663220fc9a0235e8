//! Measures in memory what has a target, and says whether it is met:
//! `cargo bench --package vtep-bench --bench targets [-- FILE]`.
//!
//! Prints a table, and writes the figures with the environment as JSON to the file, `bench/results/memory.json` if none
//! is named. Takes about a minute; nothing else should run meanwhile.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use forward::fdb::Fdb;
use serde::Serialize;
use vtep_bench::memory::{
    Contention, Dash, Database, Lane, Locked, Mix, Overlay, Papaya, Prefetched, REMOTES, Traffic, contend,
    keys, scale,
};

/// What a worker takes from a queue in one round.
const BATCHES: usize = 4;
/// Measurements of each figure, interleaved with those of the others; the median counts.
const ROUNDS: usize = 3;
/// Of each measurement in the pipeline. A second, because entries are refreshed once a second.
const TIME: Duration = Duration::from_secs(1);

/// One measured figure.
#[derive(Serialize)]
struct Figure {
    name: String,
    unit: &'static str,
    value: f64,
    /// Least and most of the measurements.
    range: [f64; 2],
    /// What is to be reached at least, and what is aimed at.
    target: Option<[f64; 2]>,
    verdict: &'static str,
}

/// A figure's values in one of two senses: less is better, or more is.
#[derive(Clone, Copy, PartialEq)]
enum Better {
    Less,
    More,
}

impl Figure {
    fn new(
        name: impl Into<String>,
        unit: &'static str,
        mut values: Vec<f64>,
        better: Better,
        target: Option<[f64; 2]>,
    ) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        values.iter_mut().for_each(|value| *value = rounded(*value));
        let (value, range) = match values.as_slice() {
            [least, .., most] => (values[values.len() / 2], [*least, *most]),
            [only] => (*only, [*only; 2]),
            [] => (f64::NAN, [f64::NAN; 2]),
        };
        let reached = |limit: f64| if better == Better::Less { value <= limit } else { value >= limit };
        let verdict = match target {
            Some([_, aim]) if reached(aim) => "aim met",
            Some([least, _]) if reached(least) => "met",
            Some(_) => "missed",
            None => "",
        };
        Self { name: name.into(), unit, value, range, target, verdict }
    }
}

/// To the three decimals that may mean something.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A reader's loss to a writer, for our database and others.
#[derive(Serialize)]
struct Writer {
    database: &'static str,
    lookups_per_second_alone: f64,
    lookups_per_second_with_writer: f64,
    ratio: f64,
    updates_per_second: f64,
}

/// Where and what was measured.
#[derive(Serialize)]
struct Environment {
    commit: String,
    kernel: String,
    cpu: String,
    cpus: usize,
    load_before: String,
}

#[derive(Serialize)]
struct Results {
    environment: Environment,
    figures: Vec<Figure>,
    writer: Vec<Writer>,
}

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds options of its own.
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let file = named.map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/results/memory.json")),
        PathBuf::from,
    );
    let environment = environment()?;
    let mut figures = pipeline();
    let overlay = Overlay::new(100_000, REMOTES);
    let ratios: Vec<f64> = (0..ROUNDS).map(|_| scale(&overlay, 300).ratio).collect();
    figures.push(Figure::new(
        "two workers / one, 100k entries",
        "ratio",
        ratios,
        Better::More,
        Some([1.8, 1.95]),
    ));
    let writer = writers();
    let ratios = writer.iter().filter(|row| row.database == "fdb").map(|row| row.ratio).collect();
    figures.push(Figure::new(
        "FDB hits with writer / without",
        "ratio",
        ratios,
        Better::More,
        Some([0.95, 0.99]),
    ));
    figures.push(memory());
    for Figure { name, unit, value, range: [least, most], verdict, .. } in &figures {
        println!("{name:<36} {value:>8.2} {unit:<8} ({least:.2}-{most:.2})  {verdict}");
    }
    for Writer { database, lookups_per_second_alone, ratio, updates_per_second, .. } in &writer {
        let alone = lookups_per_second_alone / 1e6;
        println!(
            "{database:<16} {alone:>7.1} M lookups/s, with {updates_per_second:.0} updates/s x {ratio:.3}"
        );
    }
    let results = Results { environment, figures, writer };
    std::fs::write(file, serde_json::to_string_pretty(&results)? + "\n")?;
    Ok(())
}

/// The whole pipeline. Rounds are interleaved, so that what disturbs the machine disturbs all figures alike.
fn pipeline() -> Vec<Figure> {
    let sizes =
        [("1k", 1_000, [40.0, 25.0]), ("100k", 100_000, [60.0, 35.0]), ("1M", 1_000_000, [100.0, 60.0])];
    let mut cases = Vec::new();
    for (size, entries, encap) in sizes {
        let overlay = Overlay::new(entries, REMOTES);
        // There is one target for decapsulation, and it names no number of entries.
        let decap = (entries == 1_000).then_some([30.0, 20.0]);
        cases.push((overlay, format!("{size} entries"), Some(encap), decap, [Vec::new(), Vec::new()]));
    }
    cases.push((Overlay::new(1_000, 1), "1k entries, one remote".into(), None, None, Default::default()));
    for _ in 0..ROUNDS {
        for (overlay, _, _, _, values) in &mut cases {
            for (mix, values) in [Mix::Encapsulate, Mix::Decapsulate].into_iter().zip(values) {
                let (mut lane, mut traffic) = (Lane::new(BATCHES), Traffic::new(overlay, mix, 9));
                lane.measure(overlay, &mut traffic, TIME / 10);
                values.push(lane.measure(overlay, &mut traffic, TIME));
            }
        }
    }
    let mut figures = Vec::new();
    for (_, name, encap, decap, [encap_values, decap_values]) in cases {
        figures.push(Figure::new(format!("encap, {name}"), "ns/frame", encap_values, Better::Less, encap));
        figures.push(Figure::new(format!("decap, {name}"), "ns/frame", decap_values, Better::Less, decap));
    }
    figures
}

fn writers() -> Vec<Writer> {
    fn row<D: Database>(database: &'static str) -> Writer {
        let Contention { alone, with_writer, ratio, updates } = contend::<D>(100_000, 10);
        Writer {
            database,
            lookups_per_second_alone: alone.round(),
            lookups_per_second_with_writer: with_writer.round(),
            ratio: rounded(ratio),
            updates_per_second: updates.round(),
        }
    }
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        rows.push(row::<Prefetched>("fdb"));
        rows.push(row::<Papaya>("papaya"));
        rows.push(row::<Dash>("dashmap"));
        rows.push(row::<Locked>("rwlock-hashmap"));
    }
    rows
}

/// What a database made for a million entries takes; the target is for the whole daemon beside frame memory.
fn memory() -> Figure {
    let fdb = <Fdb as Database>::with_capacity(1_000_000);
    Database::learn(&fdb, &keys(1_000_000));
    let megabytes = fdb.memory() as f64 / 1e6;
    Figure::new("FDB of 1M entries", "MB", vec![megabytes], Better::Less, Some([80.0, 40.0]))
}

fn environment() -> Result<Environment, Box<dyn Error>> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let model =
        cpus.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let commit = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output()?;
    Ok(Environment {
        commit: String::from_utf8_lossy(&commit.stdout).trim().into(),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().into(),
        cpu: model.unwrap_or("unknown").into(),
        cpus: std::thread::available_parallelism()?.get(),
        load_before: std::fs::read_to_string("/proc/loadavg")?.trim().into(),
    })
}
