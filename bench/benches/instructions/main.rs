//! Instructions per frame, counted by callgrind, with limits: `tests/run-instructions`.
//!
//! A count repeats exactly where a time does not, so a regression of a few percent shows on any machine. Each benchmark
//! runs once over a batch of 64 frames whose setup, and an earlier batch that fills caches and lazily made state, are not
//! counted. Limits are per frame and lie some 10 % above what was counted when they were set;
//! `bench/benches/README.md` tells how to set one anew.
#![allow(missing_docs, reason = "gungraun's macros make undocumented functions")]

use forward::fdb::{Fdb, Key};
use forward::limits::BATCH;
use forward::link::Place;
use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use vtep_bench::memory::{
    Batch, Database, Lane, Mix, Overlay, Prefetched, REMOTES, START, Traffic, keys, strangers,
};

/// Forwarding entries. Counts do not depend on their number, only times do.
const ENTRIES: usize = 4096;

/// Fails the run if a frame takes more instructions than this.
fn at_most(per_frame: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, per_frame * BATCH as u64)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

fn overlay() -> Overlay {
    Overlay::new(ENTRIES, REMOTES)
}

/// A lane whose next run is counted.
fn lane(mix: Mix) -> (Overlay, Lane) {
    let overlay = overlay();
    let (mut lane, mut traffic) = (Lane::new(1), Traffic::new(&overlay, mix, 5));
    for _ in 0..4 {
        lane.load(&mut traffic);
        lane.run_at(&overlay, START);
        lane.drain();
    }
    lane.load(&mut traffic);
    (overlay, lane)
}

fn batch(mix: Mix) -> (Overlay, Batch) {
    let overlay = overlay();
    let batch = Batch::new(&overlay, mix);
    (overlay, batch)
}

/// A full database, and a batch of addresses that are in it.
fn known<D: Database>() -> (D, Vec<(Key, Place)>) {
    let keys = keys(ENTRIES);
    let database = D::with_capacity(ENTRIES);
    database.learn(&keys);
    (database, keys[..BATCH].to_vec())
}

fn unknown<D: Database>() -> (D, Vec<(Key, Place)>) {
    let (database, _) = known();
    (database, strangers(ENTRIES)[..BATCH].to_vec())
}

#[library_benchmark]
#[bench::encap(args = (Mix::Encapsulate), setup = lane, config = at_most(550))]
#[bench::decap(args = (Mix::Decapsulate), setup = lane, config = at_most(585))]
#[bench::arp(args = (Mix::Arp), setup = lane, config = at_most(1_670))]
#[bench::flood(args = (Mix::Flood), setup = lane, config = at_most(3_700))]
fn pipeline((overlay, mut lane): (Overlay, Lane)) -> (Overlay, Lane) {
    lane.run_at(&overlay, START);
    (overlay, lane)
}

#[library_benchmark]
#[bench::udp(args = (Mix::Encapsulate), setup = batch, config = at_most(155))]
fn parse((overlay, mut batch): (Overlay, Batch)) -> (Overlay, Batch, usize) {
    let taken = batch.parse();
    (overlay, batch, taken)
}

#[library_benchmark]
#[bench::vxlan(args = (Mix::Encapsulate), setup = batch, config = at_most(120))]
fn encap((overlay, mut batch): (Overlay, Batch)) -> (Overlay, Batch, usize) {
    let taken = batch.encapsulate(&overlay);
    (overlay, batch, taken)
}

#[library_benchmark]
#[bench::vxlan(args = (Mix::Decapsulate), setup = batch, config = at_most(210))]
fn decap((overlay, mut batch): (Overlay, Batch)) -> (Overlay, Batch, usize) {
    let taken = batch.decapsulate(&overlay);
    (overlay, batch, taken)
}

#[library_benchmark]
#[bench::answer(args = (Mix::Arp), setup = batch, config = at_most(770))]
fn arp((overlay, mut batch): (Overlay, Batch)) -> (Overlay, Batch, usize) {
    let taken = batch.answer(&overlay);
    (overlay, batch, taken)
}

#[library_benchmark]
#[bench::hit(setup = known, config = at_most(57))]
#[bench::miss(setup = unknown, config = at_most(100))]
fn fdb_lookup((fdb, keys): (Fdb, Vec<(Key, Place)>)) -> (Fdb, Vec<(Key, Place)>, usize) {
    let found = Database::lookup(&fdb, &keys);
    (fdb, keys, found)
}

#[library_benchmark]
#[bench::hit(setup = known, config = at_most(68))]
fn fdb_batched((fdb, keys): (Prefetched, Vec<(Key, Place)>)) -> (Prefetched, Vec<(Key, Place)>, usize) {
    let found = fdb.lookup(&keys);
    (fdb, keys, found)
}

#[library_benchmark]
#[bench::known(setup = known, config = at_most(88))]
fn fdb_learn((fdb, keys): (Fdb, Vec<(Key, Place)>)) -> (Fdb, Vec<(Key, Place)>) {
    Database::learn(&fdb, &keys);
    (fdb, keys)
}

library_benchmark_group!(
    name = per_frame,
    benchmarks = [pipeline, parse, encap, decap, arp, fdb_lookup, fdb_batched, fdb_learn]
);

main!(library_benchmark_groups = per_frame);
