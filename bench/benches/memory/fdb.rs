//! The forwarding database beside concurrent maps that could stand in its place (see [`Database`] for how each is used),
//! by the number of entries. Keys come in random order, and none again before all others have; they are read from a
//! list, which the core prefetches.
//!
//! | | contained, for each address |
//! |---|---|
//! | hit, miss | hash and lookup, in batches of 64; "fdb-batched" computes and prefetches the hashes of a batch first, as the pipeline does |
//! | known | hash, lookup, and the comparison that finds nothing to write |
//! | learn | hash and insertion, from an empty table with room for all up to its number of entries |

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use forward::fdb::{Fdb, Key};
use forward::limits::BATCH;
use forward::link::Place;
use vtep_bench::memory::{Dash, Database, Locked, Papaya, Prefetched, keys, strangers};

use crate::SIZES;

type Entry = (Key, Place);

/// Addresses that are known, and that are not.
pub(crate) fn lookup(criterion: &mut Criterion) {
    for (entries, size) in SIZES {
        let (known, unknown) = (keys(entries), strangers(entries));
        look_up::<Prefetched>(criterion, "fdb-batched", size, &known, &unknown);
        look_up::<Fdb>(criterion, "fdb", size, &known, &unknown);
        look_up::<Papaya>(criterion, "papaya", size, &known, &unknown);
        look_up::<Dash>(criterion, "dashmap", size, &known, &unknown);
        look_up::<Locked>(criterion, "rwlock-hashmap", size, &known, &unknown);
    }
}

/// Source addresses that are known at their place, and new ones.
pub(crate) fn learn(criterion: &mut Criterion) {
    for (entries, size) in SIZES {
        let addresses = keys(entries);
        let fdb = <Fdb as Database>::with_capacity(entries);
        Database::learn(&fdb, &addresses);
        repeat(criterion, "fdb/known/fdb", size, &addresses, |batch| Database::learn(&fdb, batch));
        fill::<Fdb>(criterion, "fdb", size, &addresses);
        fill::<Papaya>(criterion, "papaya", size, &addresses);
        fill::<Dash>(criterion, "dashmap", size, &addresses);
        fill::<Locked>(criterion, "rwlock-hashmap", size, &addresses);
    }
}

fn look_up<D: Database>(
    criterion: &mut Criterion,
    name: &str,
    size: &str,
    known: &[Entry],
    unknown: &[Entry],
) {
    let database = D::with_capacity(known.len());
    database.learn(known);
    repeat(criterion, &format!("fdb/hit/{name}"), size, known, |batch| {
        assert_eq!(database.lookup(batch), BATCH, "all are known");
    });
    repeat(criterion, &format!("fdb/miss/{name}"), size, unknown, |batch| {
        assert_eq!(database.lookup(batch), 0, "none is known");
    });
}

/// Times `work` on batch after batch of addresses.
fn repeat(
    criterion: &mut Criterion,
    name: &str,
    size: &str,
    addresses: &[Entry],
    mut work: impl FnMut(&[Entry]),
) {
    let mut batches = addresses.chunks_exact(BATCH).cycle();
    measure(criterion, name, size, |elements| {
        let begin = Instant::now();
        for batch in batches.by_ref().take(elements / BATCH) {
            work(batch);
        }
        begin.elapsed()
    });
}

/// Times filling a database; making the empty one is not contained.
fn fill<D: Database>(criterion: &mut Criterion, name: &str, size: &str, addresses: &[Entry]) {
    let mut database = D::with_capacity(addresses.len());
    let mut batches = addresses.chunks_exact(BATCH);
    measure(criterion, &format!("fdb/learn/{name}"), size, |elements| {
        let (mut took, mut left) = (Duration::ZERO, elements / BATCH);
        while left > 0 {
            if batches.len() == 0 {
                database = D::with_capacity(addresses.len());
                batches = addresses.chunks_exact(BATCH);
            }
            let now = left.min(batches.len());
            let begin = Instant::now();
            for batch in batches.by_ref().take(now) {
                database.learn(batch);
            }
            took += begin.elapsed();
            left -= now;
        }
        took
    });
}

/// Gives `work` whole batches; one iteration is one address.
fn measure(criterion: &mut Criterion, name: &str, size: &str, mut work: impl FnMut(usize) -> Duration) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_millis(400));
    group.warm_up_time(Duration::from_millis(100));
    group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
        bencher.iter_custom(|iterations| {
            let elements = (iterations as usize).next_multiple_of(BATCH);
            work(elements).mul_f64(iterations as f64 / elements as f64)
        });
    });
    group.finish();
}
