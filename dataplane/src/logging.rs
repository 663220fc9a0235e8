//! Where log lines go, and which.
//!
//! Set up once, first thing in the daemon. Control and start-up log; nothing on a frame's way does.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;

use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogTarget;

/// Logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not one.
    #[error(
        "the log filter {filter:?} is not valid: {reason}; write a level (error, warn, info, debug, trace, off) or target=level, separated by commas"
    )]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// journald was asked for and does not listen.
    #[error("cannot log to journald: {0}; start it, or set the log target to stderr")]
    Journald(#[source] io::Error),
    /// It was set up before.
    #[error("logging is set up already")]
    Repeated,
}

/// Sends log lines that pass `filter` to `target` from now on, and panics of any thread with them.
///
/// `filter` is written as `RUST_LOG` is: levels and `target=level`, separated by commas. With [`LogTarget::Auto`] lines go
/// to journald if standard error is connected to it, as systemd does for its services, otherwise to standard error, in
/// colour if that is a terminal and `NO_COLOR` is unset.
///
/// # Errors
/// A bad filter; journald is asked for and not there; a second call.
pub fn init(filter: &str, target: LogTarget) -> Result<(), Error> {
    let filter = parse(filter)?;
    let journal = match target {
        LogTarget::Journald => Some(journald().map_err(Error::Journald)?),
        LogTarget::Auto if stderr_is_journal() => journald().ok(),
        LogTarget::Auto | LogTarget::Stderr => None,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match journal {
        Some(journal) => registry.with(journal).try_init(),
        None => {
            let stderr = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(colour());
            registry.with(stderr).try_init()
        }
    };
    installed.map_err(|_| Error::Repeated)?;
    log_panics();
    Ok(())
}

/// Whether `filter` is one, without setting anything up.
///
/// # Errors
/// It is not.
pub fn check(filter: &str) -> Result<(), Error> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, Error> {
    let refuse = |reason: String| Error::Filter { filter: filter.into(), reason };
    if filter.trim().is_empty() {
        return Err(refuse("it is empty".into()));
    }
    // A lone word counts as a target of which everything is logged, so that a misspelt level would silence all else.
    let words = filter.split(',').map(str::trim).filter(|_| !filter.contains('['));
    for word in words {
        if !word.contains('=') && word.parse::<tracing::level_filters::LevelFilter>().is_err() {
            return Err(refuse(format!("{word:?} is not a level")));
        }
    }
    EnvFilter::builder().parse(filter).map_err(|error| refuse(error.to_string()))
}

fn journald() -> io::Result<tracing_journald::Layer> {
    let priorities = PriorityMappings {
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
        ..PriorityMappings::new()
    };
    Ok(tracing_journald::layer()?.with_priority_mappings(priorities))
}

/// Whether standard error is the stream that `JOURNAL_STREAM` identifies (systemd.exec(5)): the variable alone is
/// inherited also by those whose output goes elsewhere.
fn stderr_is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(io::stderr()).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

/// See <https://no-color.org>.
fn colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Logs panics instead of printing them, so that they are found where everything else is.
fn log_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A panic is never silent, also when the filter is `off`.
        if tracing::enabled!(tracing::Level::ERROR) { log_panic(panic) } else { print(panic) }
    }));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name");
    let reason = panic.payload_as_str().unwrap_or("a value that is not text");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!("thread {name} panicked at {place}: {reason}");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!("{backtrace}");
    }
}
