//! How much a reader of a forwarding database loses to a writer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use forward::fdb::Key;
use forward::limits::BATCH;
use forward::link::Place;

use super::database::Database;
use super::overlay::{ACCESS, keys, strangers};
use super::scaling::{median, pin};

/// Updates per second.
const RATE: u64 = 100_000;
/// Updates that are due at once: a control thread works in small groups too.
const GROUP: u64 = 4;
/// How long the reader is watched at a time, with and without the writer by turns.
const WINDOW: Duration = Duration::from_millis(50);

/// A reader's lookups per second.
#[derive(Clone, Copy, Debug)]
pub struct Contention {
    /// While nobody writes, median of the windows.
    pub alone: f64,
    /// While another thread makes 100,000 updates a second.
    pub with_writer: f64,
    /// The second over the first.
    pub ratio: f64,
    /// Updates per second that the writer really made.
    pub updates: f64,
}

/// Watches one reader on the second CPU while a writer on the first one updates and rests by turns, `windows` times each.
///
/// Of four updates two move an entry that the reader looks up from one place to another, one adds an entry, one
/// removes it again. The writer waits for its time by reading the clock, also while it rests, so that the host's CPUs
/// are loaded alike.
///
/// # Panics
/// If the writer does.
#[must_use]
pub fn contend<D: Database>(entries: usize, windows: usize) -> Contention {
    let (keys, others) = (keys(entries), strangers(entries));
    let database = D::with_capacity(entries + entries / 64);
    database.learn(&keys);
    let (writing, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let (writer, reader) = thread::scope(|scope| {
        // A thread starts on the CPUs of the one that starts it, so that one must stay where it is.
        let writer = scope.spawn(|| {
            pin(0);
            write(&database, &keys, &others[..entries / 64], &writing, &done)
        });
        let reader = scope.spawn(|| {
            pin(1);
            let seen = read(&database, &keys, windows, &writing);
            done.store(true, Ordering::Relaxed);
            seen
        });
        (writer.join(), reader.join())
    });
    let (updates, seen) = (writer.expect("the writer ends"), reader.expect("the reader ends"));
    let [alone, with_writer] = seen.rates.map(median);
    let updates = updates as f64 / seen.written.as_secs_f64();
    Contention { alone, with_writer, ratio: with_writer / alone, updates }
}

/// What the reader saw.
struct Seen {
    /// Lookups per second of each window without the writer, and with it.
    rates: [Vec<f64>; 2],
    /// Time with the writer, in sum.
    written: Duration,
}

/// Looks up all keys again and again, and lets the writer write in every other window.
fn read<D: Database>(database: &D, keys: &[(Key, Place)], windows: usize, writing: &AtomicBool) -> Seen {
    let mut seen = Seen { rates: [Vec::new(), Vec::new()], written: Duration::ZERO };
    let mut batches = keys.chunks_exact(BATCH).cycle();
    for window in 0..=2 * windows {
        let writes = window % 2 == 1;
        writing.store(writes, Ordering::Relaxed);
        let (begin, mut known) = (Instant::now(), 0);
        while begin.elapsed() < WINDOW {
            for batch in batches.by_ref().take(16) {
                known += database.lookup(batch);
            }
        }
        let took = begin.elapsed();
        seen.written += took * u32::from(writes);
        // The first window warms up.
        if window > 0 {
            seen.rates[usize::from(writes)].push(known as f64 / took.as_secs_f64());
        }
    }
    seen
}

/// Updates at the wanted rate while `writing`, until `done`; tells how many.
fn write<D: Database>(
    database: &D,
    keys: &[(Key, Place)],
    others: &[(Key, Place)],
    writing: &AtomicBool,
    done: &AtomicBool,
) -> u64 {
    let pause = Duration::from_nanos(1_000_000_000 * GROUP / RATE);
    let mut due = Instant::now();
    let mut groups = 0;
    while !done.load(Ordering::Relaxed) {
        let now = Instant::now();
        if !writing.load(Ordering::Relaxed) {
            due = now;
        } else if now >= due {
            due += pause;
            let at = groups as usize;
            // A stride that is coprime to the number of keys spreads the moves over all of them.
            let (moved, place) = keys[at * 7919 % keys.len()];
            let other = others[at % others.len()];
            database.learn(&[(moved, Place::Port(ACCESS))]);
            database.learn(&[other]);
            database.learn(&[(moved, place)]);
            database.remove(other.0);
            groups += 1;
        }
    }
    groups * GROUP
}
