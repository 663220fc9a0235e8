//! Compares vtepd with other switches on this machine, and writes what was found. `make bench` runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use vtep_bench::compare::case::{Case, Scope};
use vtep_bench::compare::contestant::{Kind, vtepd};
use vtep_bench::compare::fault::Fault;
use vtep_bench::compare::progress::Progress;
use vtep_bench::compare::report::{plot, table};
use vtep_bench::compare::results::{Results, Settings};
use vtep_bench::compare::run::Plan;
use vtep_tests::programs;

/// Compares vtepd with the kernel's bridge and vxlan device, Open vSwitch and plain XDP redirect, on veth devices between
/// network namespaces made for the purpose. As root. Writes results.json, results.md and plots.
#[derive(Parser, Debug)]
#[command(version)]
struct Arguments {
    /// Only the cases of the targets, in few rounds: under five minutes.
    #[arg(long)]
    quick: bool,
    /// Every combination of the factors instead of one at a time: hours.
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Only cases whose description contains this, such as "encap, 64 B". May be repeated.
    #[arg(long, value_name = "TEXT")]
    case: Vec<String>,
    /// Only contestants whose name contains this, such as "vtepd". May be repeated.
    #[arg(long, value_name = "TEXT")]
    contestant: Vec<String>,
    /// Interleaved rounds.
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds of a trial of a search.
    #[arg(long, value_name = "SECONDS")]
    trial: Option<f64>,
    /// Share of a rate that a search may leave undecided.
    #[arg(long, value_name = "SHARE")]
    resolution: Option<f64>,
    /// Seconds of a TCP transfer; 0 leaves TCP out.
    #[arg(long, value_name = "SECONDS")]
    tcp: Option<u32>,
    /// Leave out the memory of idle daemons.
    #[arg(long)]
    no_memory: bool,
    /// Leave out the frames lost to changes of the forwarding database, which need the base case too.
    #[arg(long)]
    no_changes: bool,
    /// Descriptors of vtepd's rings instead of the default: longer ones outlast longer absences of its worker from the CPU.
    #[arg(long, value_name = "DESCRIPTORS")]
    ring_size: Option<u32>,
    /// Where results go.
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
    /// Add to the results that are there, from the same commit and machine, instead of replacing them.
    #[arg(long)]
    add: bool,
    /// Measure nothing: make table and plots from the results.json that is there.
    #[arg(long)]
    render: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault::Interrupted) => {
            eprintln!("compare: {}", Fault::Interrupted);
            ExitCode::from(130)
        }
        Err(fault) => {
            eprintln!("compare: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Fault> {
    let directory = arguments.output.clone().unwrap_or_else(|| programs::repository().join("bench/results"));
    fs::create_dir_all(&directory).map_err(|error| Fault::file(&directory, error))?;
    if arguments.render {
        return write(&read(&directory)?, &directory);
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Fault::Host {
            what: "network namespaces and XDP programs",
            why: "this is not root".to_owned(),
            remedy: "run `make bench` as root",
        });
    }
    let plan = plan(arguments);
    let interrupted = Arc::new(AtomicBool::new(false));
    keep_quiet_after(&interrupted);
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second one ends the program at once.
        let armed = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupted))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupted)));
        armed.map_err(|error| Fault::file(Path::new("signal handler"), error))?;
    }
    if let Some(descriptors) = arguments.ring_size {
        vtepd::use_ring_size(descriptors);
    }
    if plan.has_vtepd() {
        programs::use_release();
    }
    let mut progress = Progress::new(plan.visits(), interrupted);
    let mut results = plan.run(&mut progress)?;
    if arguments.add {
        results = read(&directory)?.with(results)?;
    }
    drop(progress);
    write(&results, &directory)?;
    println!("{}", table::markdown(&results));
    Ok(())
}

/// What fails after the user has ended the programs of the comparison together with it needs no explanation.
fn keep_quiet_after(interrupted: &Arc<AtomicBool>) {
    let (interrupted, usual) = (Arc::clone(interrupted), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        if !interrupted.load(Ordering::Relaxed) {
            usual(panic);
        }
    }));
}

fn plan(arguments: &Arguments) -> Plan {
    let scope = match (arguments.quick, arguments.full) {
        (true, _) => Scope::Quick,
        (_, true) => Scope::Full,
        _ => Scope::Factors,
    };
    let mut settings = Settings::of(scope);
    settings.rounds = arguments.rounds.unwrap_or(settings.rounds);
    settings.trial_seconds = arguments.trial.unwrap_or(settings.trial_seconds);
    settings.resolution = arguments.resolution.unwrap_or(settings.resolution);
    settings.tcp_seconds = arguments.tcp.unwrap_or(settings.tcp_seconds);
    let chosen = |text: &str, parts: &[String]| {
        parts.is_empty() || parts.iter().any(|part| text.contains(part.as_str()))
    };
    let cases: Vec<Case> =
        scope.cases().into_iter().filter(|case| chosen(&case.to_string(), &arguments.case)).collect();
    let contestants = Kind::ALL.into_iter().filter(|kind| {
        chosen(&kind.to_string(), &arguments.contestant)
            && (scope != Scope::Quick || *kind != Kind::VtepdRing)
    });
    let contestants: Vec<Kind> = contestants.collect();
    let ours = contestants.contains(&Kind::Vtepd);
    let (footprints, churn) = (ours && !arguments.no_memory, ours && !arguments.no_changes);
    Plan { settings, cases, contestants, footprints, churn }
}

fn read(directory: &Path) -> Result<Results, Fault> {
    let path = directory.join("results.json");
    let text = fs::read_to_string(&path).map_err(|error| Fault::file(&path, error))?;
    serde_json::from_str(&text).map_err(|error| Fault::file(&path, error.into()))
}

fn write(results: &Results, directory: &Path) -> Result<(), Fault> {
    let json = serde_json::to_string_pretty(results).map_err(|error| Fault::file(directory, error.into()))?;
    for (name, text) in [("results.json", json + "\n"), ("results.md", table::markdown(results))] {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| Fault::file(&path, error))?;
    }
    let refused = |name: &str| {
        let path = directory.join(name);
        move |error: Box<dyn std::error::Error + Send + Sync>| {
            Fault::file(&path, std::io::Error::other(error))
        }
    };
    plot::throughput(results, &directory.join("throughput.svg")).map_err(refused("throughput.svg"))?;
    for (case, name) in [(Case::BASE, "latency-encap.svg"), (Case::BASE.decap(), "latency-decap.svg")] {
        plot::latency(results, &case, &directory.join(name)).map_err(refused(name))?;
    }
    Ok(())
}
