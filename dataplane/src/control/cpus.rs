//! Which CPUs the control thread runs on: those that no worker is pinned to. A request that takes milliseconds, such as a
//! replacement of thousands of entries, would otherwise take them from a worker, whose receive ring holds less.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::config::WorkerConfig;

/// Keeps the calling thread, and those that it will start, off the CPUs of pinned workers, unless the process may use no
/// other. A thread that could not be kept off works all the same, so that a refusal is only logged.
pub(super) fn keep_off(workers: &[WorkerConfig]) {
    let outcome = sched_getaffinity(None).and_then(|allowed| {
        others(&allowed, workers).map_or(Ok(()), |others| sched_setaffinity(None, &others))
    });
    if let Err(error) = outcome {
        tracing::warn!(%error, "the control thread may share a CPU with a worker");
    }
}

/// The allowed CPUs without those of pinned workers; `None` if that changes nothing or leaves nothing.
fn others(allowed: &CpuSet, workers: &[WorkerConfig]) -> Option<CpuSet> {
    let mut others = *allowed;
    let taken = workers.iter().filter_map(|worker| usize::try_from(worker.cpu?).ok());
    taken.filter(|cpu| *cpu < CpuSet::MAX_CPU).for_each(|cpu| others.unset(cpu));
    Some(others).filter(|others| others.count() != 0 && others != allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(cpus: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        cpus.iter().for_each(|cpu| set.set(*cpu));
        set
    }

    fn pinned(cpus: &[u32]) -> Vec<WorkerConfig> {
        let on = |cpu: &u32| WorkerConfig { cpu: Some(*cpu), ..WorkerConfig::default() };
        cpus.iter().map(on).collect()
    }

    #[test]
    fn the_control_thread_leaves_workers_their_cpus_while_there_are_others() {
        let allowed = set(&[0, 1, 2, 3]);
        assert_eq!(others(&allowed, &pinned(&[1, 3])), Some(set(&[0, 2])));
        assert_eq!(others(&allowed, &pinned(&[0, 1, 2, 3])), None);
        assert_eq!(others(&allowed, &pinned(&[7, 100_000])), None);
        assert_eq!(others(&allowed, &[WorkerConfig::default()]), None);
    }
}
