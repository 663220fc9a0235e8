//! Where a contestant's work runs. Everything that forwards has one CPU, the generator has another.
//!
//! A frame that the generator gives to a veth pair is received by the other end's NAPI, which the kernel runs where
//! the frame was sent from unless told otherwise: on the generator's CPU. What happens there is a part of forwarding
//! (for AF_XDP: the XDP program and the copy into the UMEM), so where it runs matters, and for a switch in the kernel
//! it is all of it. Each contestant is measured with what makes it fastest.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vtep_tests::wait::SOON;
use vtep_tests::{Finished, Namespace, wait_for};

/// The CPU of the generator.
pub const GENERATOR_CPU: usize = 0;
/// The CPU of the contestant.
pub const SWITCH_CPU: usize = 1;
/// The same as a mask, as sysfs has it.
const STEERED_CPUS: &str = "2";

/// Where the kernel's receive work for the ingress device runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// Softirq of the CPU that sent the frame: the generator's.
    Interrupt,
    /// Threaded NAPI, the thread pinned to the contestant's CPU.
    Thread,
    /// NAPI on the generator's CPU, everything after it on the contestant's by receive packet steering.
    Steered,
}

impl fmt::Display for Placement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Interrupt => "softirq",
            Self::Thread => "NAPI thread",
            Self::Steered => "RPS",
        })
    }
}

impl Placement {
    /// Sets it for a device of a namespace, instead of the one before.
    pub fn apply(self, namespace: &Namespace, device: &str) {
        let set = |file: &str, value: &str| {
            // The namespace's own /sys is mounted for commands that run in it alone.
            let mut shell = namespace.command("sh");
            shell.arg("-c").arg(format!("echo {value} >/sys/class/net/{device}/{file}"));
            let _ = Finished::of(&mut shell).output();
        };
        set("threaded", if self == Self::Thread { "1" } else { "0" });
        set("queues/rx-0/rps_cpus", if self == Self::Steered { STEERED_CPUS } else { "0" });
        if self == Self::Thread {
            let threads = wait_for("the NAPI thread starts", SOON, || {
                Some(napi_threads(device)).filter(|threads| !threads.is_empty())
            });
            for thread in threads {
                let line = format!("taskset -pc {SWITCH_CPU} {thread}");
                // A thread of a device that is just going away may be gone.
                let _ = namespace.attempt(&line);
            }
        }
    }
}

/// Kernel threads that run the NAPI of a device with this name, in whatever namespace.
fn napi_threads(device: &str) -> Vec<u32> {
    let prefix = format!("napi/{device}-");
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let of_device = |number: &u32| {
        fs::read_to_string(format!("/proc/{number}/comm")).is_ok_and(|name| name.starts_with(&prefix))
    };
    processes.flatten().filter_map(|entry| number(&entry.path())).filter(of_device).collect()
}
