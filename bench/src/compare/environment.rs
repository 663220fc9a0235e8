//! Where a comparison ran: what every published number carries.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};
use vtep_tests::programs::repository;

/// The machine, the kernel and the versions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Environment {
    /// Commit of the repository, with `+` when files differ from it.
    pub commit: String,
    /// When, in UTC.
    pub date: String,
    /// Kernel release.
    pub kernel: String,
    /// Model of the CPU.
    pub cpu: String,
    /// Number of CPUs.
    pub cpus: usize,
    /// Load averages before it began.
    pub load: String,
    /// Memory of the machine in MiB.
    pub memory_mib: u64,
    /// What virtualizes the machine, if known.
    pub virtualization: String,
    /// `rustc --version`.
    pub rustc: String,
    /// Versions of the other programs.
    pub programs: Vec<String>,
}

impl Environment {
    /// That of this machine, now.
    #[must_use]
    pub fn here() -> Self {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let cpu_info = file("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpu_info.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, value)| value.trim()).to_owned()
        };
        let megahertz = field("cpu MHz").parse::<f64>().map(|mhz| format!(", {:.1} GHz", mhz / 1000.0));
        let memory = file("/proc/meminfo");
        let kib = memory.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
        Self {
            commit: commit(),
            date: first_line("date", &["--utc", "+%Y-%m-%d %H:%M"]),
            kernel: file("/proc/sys/kernel/osrelease"),
            cpu: field("model name") + &megahertz.unwrap_or_default(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            load: file("/proc/loadavg"),
            memory_mib: kib.unwrap_or_default() / 1024,
            virtualization: first_line("systemd-detect-virt", &[]),
            rustc: first_line("rustc", &["--version"]),
            programs: vec![
                first_line("ovs-vswitchd", &["--version"]),
                first_line("iperf3", &["--version"]),
                first_line("ip", &["-Version"]),
            ],
        }
    }
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(repository()).args(arguments);
        command
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
            .unwrap_or_default()
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    // The results themselves may be those of the last run.
    let changed = changed.lines().any(|line| !line.contains("bench/results/"));
    git(&["rev-parse", "--short", "HEAD"]) + if changed { "+" } else { "" }
}

/// The first line that a program prints; empty when it cannot be run.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
