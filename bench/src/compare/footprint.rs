//! Memory of vtepd when nothing passes: with ten ports, and with a million forwarding entries.

use std::time::{Duration, Instant};

use vtep_tests::{Daemon, Variant};
use wire::Mac;

use super::case::Case;
use super::contestant::{Entries, Kind, vtepd};
use super::fault::Fault;
use super::load::{Load, traffic};
use super::memory::Memory;
use super::progress::Progress;
use super::results::Footprint;
use super::stage::{ACCESS, Stage};
use crate::pktgen::Hosts;

/// Access ports besides the uplink.
const FURTHER_PORTS: usize = 8;
/// Forwarding entries of the second measurement.
const ENTRIES: u32 = 1_000_000;
/// Bytes of frame memory by default: chunks, and their size.
const FRAMES: u64 = 16_384 * 2048;
/// How long learning may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Of so many entries nearly all must be there: a few collide in full buckets.
const NEARLY: f64 = 0.99;

/// Measures both.
///
/// # Errors
/// [`Fault::Generator`], [`Fault::Interrupted`], [`Fault::Contestant`] when the addresses were not learned.
pub fn measure(progress: &mut Progress) -> Result<Vec<Footprint>, Fault> {
    progress.visit("memory of vtepd, ten ports, idle");
    let idle = idle_with_ten_ports();
    progress.check()?;
    progress.visit("memory of vtepd, a million forwarding entries");
    Ok(vec![idle, with_a_million_entries(progress)?])
}

fn footprint(what: String, daemon: &Daemon<'_>) -> Footprint {
    let memory = Memory::of(daemon.id()).unwrap_or_default();
    Footprint { what, memory, frames: Memory::of_mappings(daemon.id(), FRAMES) }
}

fn idle_with_ten_ports() -> Footprint {
    let stage = Stage::new();
    let names: Vec<String> = (1..=FURTHER_PORTS).map(|number| format!("w{number}")).collect();
    for name in &names {
        let peer = stage.workload.name();
        stage.node.namespace.ip(&format!("link add {name} type veth peer name {name} netns {peer}"));
        stage.node.namespace.ip(&format!("link set {name} up"));
        stage.workload.ip(&format!("link set {name} up"));
    }
    let case = Case::BASE;
    let mut config =
        vtepd::config(&stage, &case, &Entries { direction: case.direction, macs: Vec::new() }, "auto");
    let variant = Variant { workers: 1, transmit: "auto" };
    for name in &names {
        config += &variant.port(name, &format!("vni = {}", super::stage::VNI));
    }
    let daemon = Daemon::with_config(&stage.node, &config);
    daemon.wait_for_ports();
    footprint(format!("{}, idle, {} ports", Kind::Vtepd, FURTHER_PORTS + 2), &daemon)
}

/// The entries are learned from frames of as many sources.
fn with_a_million_entries(progress: &Progress) -> Result<Footprint, Fault> {
    let stage = Stage::new();
    let case = Case { macs: 1, ..Case::BASE };
    let entries = super::load::entries(&case);
    let sink = super::load::sink(&stage, case.direction)?;
    // By default a port has a few thousand at most.
    let config =
        ["vni", "id"].into_iter().fold(vtepd::config(&stage, &case, &entries, "auto"), |config, key| {
            let line = format!("{key} = {}\n", super::stage::VNI);
            config.replacen(&line, &format!("{line}learn_limit = {ENTRIES}\n"), 1)
        });
    let daemon = Daemon::with_config(&stage.node, &config);
    daemon.wait_for_ports();
    let mut traffic = traffic(&case);
    traffic.sources = Hosts {
        first_mac: Mac([0x02, 0x66, 0, 0, 0, 0]),
        first_address: [10, 64, 0, 0].into(),
        count: ENTRIES,
    };
    let load = Load::new(&stage, sink, case.direction, &traffic)?;
    let learned = || daemon.show("status")["fdb_entries"].as_u64().unwrap_or_default();
    let start = Instant::now();
    while (learned() as f64) < f64::from(ENTRIES) * NEARLY {
        let _ = load.trial(None, Duration::from_millis(250), progress)?;
        if start.elapsed() > LIMIT {
            return Err(Fault::Contestant {
                who: "vtepd",
                step: format!("learning {ENTRIES} addresses behind {ACCESS}"),
                why: format!("it has {} entries", learned()),
            });
        }
    }
    Ok(footprint(format!("{}, {} forwarding entries, 2 ports", Kind::Vtepd, learned()), &daemon))
}
