//! `vtepd`, the dataplane daemon.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use dataplane::config::{Config, Origin};
use dataplane::control::Control;
use dataplane::logging;
use dataplane::notify::Supervisor;

/// A userspace VXLAN and GRE switch on AF_XDP.
///
/// Takes frames from workloads and from the underlay, encapsulates and decapsulates them in place, and sends them on.
/// SIGHUP reads the configuration file again and applies what differs; SIGTERM and SIGINT drain and stop.
#[derive(Parser)]
#[command(name = "vtepd", version)]
struct Arguments {
    /// The configuration file; without one, everything is configured by vtep-ctl.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read the configuration file, print every fault, and end.
    #[arg(long, requires = "config")]
    check: bool,
    /// The control socket, in place of the file's `daemon.socket`.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// What is logged, in place of the file's `daemon.log`: `error`, `warn`, `info`, `debug`, `trace`, or per module.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Whoever started us may have closed standard error.
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let Arguments { config: file, check, socket, log } = arguments;
    let origin = Origin { file, socket, log };
    let (config, warnings) = origin.load().map_err(|faults| faults.to_string())?;
    if check {
        for warning in &warnings {
            let _ = writeln!(std::io::stderr(), "{warning}");
        }
        let file = origin.file.unwrap_or_default();
        let _ = writeln!(std::io::stdout(), "{}: ok", file.display());
        return Ok(());
    }
    logging::init(&config.daemon.log, config.daemon.log_target).map_err(|error| format!("vtepd: {error}"))?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    serve(config, origin).map_err(|error| {
        tracing::error!("{error}");
        format!("vtepd: {error}")
    })
}

fn serve(config: Config, origin: Origin) -> Result<(), String> {
    let supervisor = Supervisor::from_environment();
    let control = Control::start(config, origin, supervisor).map_err(|error| error.to_string())?;
    control.run().map_err(|error| format!("the control thread cannot go on: {error}"))
}
