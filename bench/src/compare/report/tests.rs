//! Reports of results that are made up.

use super::plot;
use super::table::markdown;
use crate::compare::case::{Case, Size, Tunnel};
use crate::compare::contestant::Kind;
use crate::compare::environment::Environment;
use crate::compare::memory::Memory;
use crate::compare::placement::Placement;
use crate::compare::results::{Latency, Measurement, Placed, Results, Round, Settings, Trial};

fn trial(rate: u64) -> Trial {
    Trial {
        seconds: 2.0,
        offered: rate * 2,
        skipped: 0,
        received: rate * 2,
        received_in_time: rate * 2,
        busy: 4.0,
        switch_busy: 2.0,
        stolen: 0.0,
    }
}

fn measurement(contestant: Kind, case: Case, rates: &[u64]) -> Measurement {
    let latency = |load| Latency {
        load,
        rate: 1e5,
        p50: 20_000,
        p99: 40_000,
        p999: 80_000,
        probes: 500,
        ..Latency::default()
    };
    let round = |rate: &u64| Round {
        maximum: trial(*rate),
        loss_rate: Some(*rate as f64 * 0.9),
        no_drop_rate: Some(*rate as f64 * 0.5),
        at_loss_rate: Some(trial(*rate)),
        latency: vec![latency(0.1), latency(0.5), latency(0.9)],
        memory: Some(Memory { rss: 5_000_000, pss: 4_000_000, anonymous: 3_000_000 }),
        drops: Vec::new(),
    };
    Measurement {
        case,
        contestant,
        placement: Some(Placement::Thread),
        mode: "native".to_owned(),
        rounds: rates.iter().map(round).collect(),
        missing: None,
    }
}

fn results() -> Results {
    let gre = Case { tunnel: Tunnel::Gre, size: Size::Fixed(1450), ..Case::BASE };
    let mut absent = measurement(Kind::Linux, gre, &[]);
    absent.missing = Some("this kernel has no GRE device".to_owned());
    Results {
        environment: Environment {
            commit: "abc1234".to_owned(),
            kernel: "6.18".to_owned(),
            ..Environment::default()
        },
        settings: Settings::default(),
        placements: vec![Placed {
            case: Case::BASE,
            contestant: Kind::Linux,
            placement: Placement::Steered,
            maximum: 0.4e6,
        }],
        measurements: vec![
            measurement(Kind::Vtepd, Case::BASE, &[2_000_000, 3_000_000, 2_500_000]),
            measurement(Kind::Linux, Case::BASE, &[400_000, 500_000, 500_000]),
            measurement(Kind::Vtepd, gre, &[1_000_000]),
            absent,
        ],
        ..Results::default()
    }
}

#[test]
fn the_table_has_targets_rates_and_what_is_missing() {
    let text = markdown(&results());
    for part in [
        "Commit `abc1234`",
        "| VXLAN encap, 64 B, 1 flow, 1 k MACs: maximum rate ÷ Linux bridge + vxlan | ≥ 5 | ≥ 7 | 5.00 (5.00–6.00) | met |",
        "| vtepd | 2.50 (2.00–3.00) | 1.28 (1.02–1.54) | 2.25 (1.80–2.70) | 1.25 (1.00–1.50) |",
        "| Linux bridge + vxlan | not available: this kernel has no GRE device |",
        "| Linux bridge + vxlan | 10 % | 0.100 (0.100–0.100) | 20.0 (20.0–20.0) | 40.0 (40.0–40.0) |",
        "latency p50 at 10 % load ÷ Linux's | ≤ 1 | ≤ 0.7 | 1.00 | met |",
        "| Linux bridge + vxlan | RPS | VXLAN encap, 64 B, 1 flow, 1 k MACs | 0.400 |",
    ] {
        assert!(text.contains(part), "the table lacks `{part}`:\n{text}");
    }
}

#[test]
fn every_row_of_a_table_has_as_many_cells_as_its_head() {
    let text = markdown(&results());
    let cells = |line: &str| line.matches('|').count();
    let mut head = None;
    for line in text.lines() {
        if !line.starts_with('|') {
            head = None;
            continue;
        }
        let width = *head.get_or_insert_with(|| cells(line));
        assert_eq!(cells(line), width, "{line}");
    }
}

#[test]
fn the_json_can_be_read_again() {
    let results = results();
    let text = serde_json::to_string(&results).unwrap();
    assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results);
}

#[test]
fn plots_name_every_contestant_that_was_measured() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plot.svg");
    plot::throughput(&results(), &path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("vtepd: 2.50 Mpps, 1.28 Gb/s") && text.contains("Linux bridge + vxlan: 0.500 Mpps"),
        "{text}"
    );
    plot::latency(&results(), &Case::BASE, &path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("90 % load") && text.contains("p99.9") && text.contains("Linux bridge + vxlan"),
        "{text}"
    );
}

#[test]
fn plots_of_nothing_are_empty_and_not_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plot.svg");
    plot::throughput(&Results::default(), &path).unwrap();
    plot::latency(&Results::default(), &Case::BASE, &path).unwrap();
    assert!(path.exists());
}
