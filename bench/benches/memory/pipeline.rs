//! The whole pipeline, parse to transmission queue, in batches of 64 frames. Four batches are filled beforehand and run
//! through in one measurement: see [`Lane::run`] for what that contains. Numbers are nanoseconds per frame that came in.

use crate::SIZES;
use criterion::{BenchmarkId, Criterion, Throughput};
use vtep_bench::memory::{Lane, Mix, Overlay, REMOTES, Traffic};

/// What a worker takes from a queue in one round.
const BATCHES: usize = 4;

/// Encapsulation and decapsulation by the number of forwarding entries, all of which are used evenly.
pub(crate) fn by_size(criterion: &mut Criterion) {
    for (entries, name) in SIZES {
        let overlay = Overlay::new(entries, REMOTES);
        for (mix, group) in [(Mix::Encapsulate, "pipeline/encap"), (Mix::Decapsulate, "pipeline/decap")] {
            measure(criterion, group, name, &overlay, mix);
        }
    }
}

/// Other traffic, over 1,000 entries.
pub(crate) fn by_mix(criterion: &mut Criterion) {
    let overlay = Overlay::new(1_000, REMOTES);
    for (mix, name) in [(Mix::Mixed, "mixed"), (Mix::Arp, "arp"), (Mix::Flood, "flood")] {
        measure(criterion, "pipeline/mix", name, &overlay, mix);
    }
    // All frames to one remote and from one remote: what is added up per remote stays the same within a batch.
    let overlay = Overlay::new(1_000, 1);
    measure(criterion, "pipeline/one-remote", "encap", &overlay, Mix::Encapsulate);
    measure(criterion, "pipeline/one-remote", "decap", &overlay, Mix::Decapsulate);
}

fn measure(criterion: &mut Criterion, group: &str, name: &str, overlay: &Overlay, mix: Mix) {
    let mut lane = Lane::new(BATCHES);
    let mut traffic = Traffic::new(overlay, mix, 7);
    let frames = lane.frames() as u64;
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
        bencher.iter_custom(|iterations| {
            let (begin, rounds) = (lane.busy(), iterations.div_ceil(frames));
            for _ in 0..rounds {
                lane.load(&mut traffic);
                lane.run(overlay);
                lane.drain();
            }
            // One iteration is one frame; whole batches are run all the same.
            (lane.busy() - begin).mul_f64(iterations as f64 / (rounds * frames) as f64)
        });
    });
    group.finish();
    assert_eq!(lane.counts().balance(), 0, "rx + copies = tx + drops");
    assert_eq!(lane.counts().dropped(), 0, "nothing is dropped");
}
