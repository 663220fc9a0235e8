//! Benchmarks in memory: `cargo bench --package vtep-bench --bench memory [-- FILTER] [--quick]`.
//!
//! All times are per frame or per lookup ("elements"). What each contains is said where it is defined.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod pipeline;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

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
    targets = pipeline::by_size, pipeline::by_mix
}
criterion_main!(memory);
