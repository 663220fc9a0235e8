//! How much of the machine's processors was in use, from `/proc/stat`.

use std::fs;
use std::path::Path;

use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// Where the kernel says it.
const STAT: &str = "/proc/stat";

/// Time that each CPU has been busy so far, in seconds: user, system, interrupts, softirqs. Not idle, not waiting for a
/// disk, and not stolen by the host for other machines.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Busy {
    /// By CPU.
    pub cpus: Vec<f64>,
    /// Time that the host took from all of them together.
    pub stolen: f64,
}

impl Busy {
    /// That of now.
    ///
    /// # Errors
    /// [`Fault::File`].
    pub fn now() -> Result<Self, Fault> {
        let text = fs::read_to_string(STAT).map_err(|error| Fault::file(Path::new(STAT), error))?;
        let ticks = rustix::param::clock_ticks_per_second();
        Ok(Self::parse(&text, 1.0 / f64::from(u32::try_from(ticks).unwrap_or(100))))
    }

    /// Reads the text of `/proc/stat` with ticks of `tick` seconds.
    #[must_use]
    pub fn parse(text: &str, tick: f64) -> Self {
        let mut busy = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let cpu = words.next().and_then(|name| name.strip_prefix("cpu"));
            if cpu.is_none_or(|number| number.parse::<usize>().is_err()) {
                continue;
            }
            // user nice system idle iowait irq softirq steal guest guest_nice; guest is a part of user.
            let ticks: Vec<f64> = words.filter_map(|word| word.parse().ok()).collect();
            let sum: f64 = [0, 1, 2, 5, 6].iter().filter_map(|field| ticks.get(*field)).sum();
            busy.cpus.push(sum * tick);
            busy.stolen += ticks.get(7).copied().unwrap_or_default() * tick;
        }
        busy
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let cpus = self.cpus.iter().zip(&earlier.cpus).map(|(now, then)| now - then).collect();
        Self { cpus, stolen: self.stolen - earlier.stolen }
    }

    /// Of all CPUs together, in seconds.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.cpus.iter().sum()
    }

    /// Of one CPU, in seconds.
    #[must_use]
    pub fn of(&self, cpu: usize) -> f64 {
        self.cpus.get(cpu).copied().unwrap_or_default()
    }
}

/// Keeps the calling thread on one CPU until it is dropped.
#[derive(Debug)]
pub struct Stay {
    before: CpuSet,
}

impl Stay {
    /// Begins now.
    ///
    /// # Errors
    /// [`Fault::Host`].
    pub fn on(cpu: usize) -> Result<Self, Fault> {
        let before = sched_getaffinity(None).map_err(refused)?;
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_setaffinity(None, &only).map_err(refused)?;
        Ok(Self { before })
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        // It was allowed there before.
        let _ = sched_setaffinity(None, &self.before);
    }
}

fn refused(error: Errno) -> Fault {
    Fault::Host {
        what: "binding this program to a CPU",
        why: error.to_string(),
        remedy: "the comparison needs CPUs 0 and 1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_neither_idle_nor_waiting_nor_stolen() {
        let earlier = Busy::parse("cpu  9 9 9 9\ncpu0 1 2 3 100 50 4 5 7 1 0\nintr 5\n", 0.01);
        assert_eq!(earlier, Busy { cpus: vec![0.15], stolen: 0.07 });
        let later = Busy::parse("cpu0 101 2 3 900 50 4 5 17 1 0\n", 0.01);
        let passed = later.since(&earlier);
        assert!((passed.total() - 1.0).abs() < 1e-9 && (passed.stolen - 0.1).abs() < 1e-9);
        assert_eq!(passed.of(1), 0.0);
    }
}
