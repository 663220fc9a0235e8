//! Benchmarks in memory: `cargo bench --package vtep-bench --bench memory [-- FILTER] [--quick]`.
//!
//! All times are per frame, lookup or address ("element"). What each contains is said where it is defined.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod fdb;
mod pipeline;
mod stages;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// Forwarding entries.
const SIZES: [(usize, &str); 3] = [(1_000, "1k"), (100_000, "100k"), (1_000_000, "1M")];

/// Short enough that all of it takes less than four minutes.
fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .without_plots()
}

criterion_group! {
    name = memory;
    config = settings();
    targets = pipeline::by_size, pipeline::by_mix, stages::all, fdb::lookup, fdb::learn
}
criterion_main!(memory);
