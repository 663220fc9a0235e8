//! One stage at a time over 64 frames of 60 bytes (decapsulation: 110) that stay in the core's first cache, over 1,000
//! forwarding entries. See [`Batch`] for what each stage contains. Where a stage moves the head of a frame, that is put
//! back, which costs two stores.

use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput};
use forward::limits::BATCH;
use vtep_bench::memory::{Batch, Mix, Overlay, REMOTES};

/// Parse (with etherparse beside it), encapsulation, decapsulation, and the ARP proxy's answer.
pub(crate) fn all(criterion: &mut Criterion) {
    let overlay = Overlay::new(1_000, REMOTES);
    let mut plain = Batch::new(&overlay, Mix::Encapsulate);
    let mut wrapped = Batch::new(&overlay, Mix::Decapsulate);
    let mut requests = Batch::new(&overlay, Mix::Arp);
    measure(criterion, "parse", "wire", || plain.parse());
    measure(criterion, "parse", "etherparse", || plain.parse_by_etherparse());
    measure(criterion, "stage", "encap", || plain.encapsulate(&overlay));
    measure(criterion, "stage", "decap", || wrapped.decapsulate(&overlay));
    measure(criterion, "stage", "arp-answer", || requests.answer(&overlay));
}

/// Times `stage`, which takes 64 frames and tells how many it took; all, or the number would mean nothing.
fn measure(criterion: &mut Criterion, group: &str, name: &str, mut stage: impl FnMut() -> usize) {
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        bencher.iter_custom(|iterations| {
            let rounds = (iterations as usize).div_ceil(BATCH);
            let (begin, mut taken) = (Instant::now(), 0);
            for _ in 0..rounds {
                taken += stage();
            }
            let took = begin.elapsed();
            assert_eq!(taken, rounds * BATCH, "every frame takes the stage's whole way");
            took.mul_f64(iterations as f64 / taken as f64)
        });
    });
    group.finish();
}
