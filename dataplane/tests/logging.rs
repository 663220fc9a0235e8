//! Logging, set up for real: each test runs itself again as a process of its own and looks at what that prints or sends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails, its support code too")]

use std::io::{PipeReader, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use dataplane::config::LogTarget;
use dataplane::logging;

/// Tells the process run again from the first one.
const AGAIN: &str = "LOGGING_TEST_AGAIN";
const JOURNALD: &str = "/run/systemd/journal/socket";

fn is_again() -> bool {
    std::env::var_os(AGAIN).is_some()
}

/// This program, to run the test `name` alone.
fn again(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    prepare(&mut command).args([name, "--exact", "--nocapture"]);
    command
}

/// The same where `/run` is empty, so that a socket of the test can pose as journald's.
fn again_with_own_run(name: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && exec \"$@\"";
    command.args(["--mount", "sh", "-c", script, "sh"]);
    prepare(command.arg(std::env::current_exe().unwrap())).args([name, "--exact", "--nocapture"]);
    command
}

fn prepare(command: &mut Command) -> &mut Command {
    for variable in ["JOURNAL_STREAM", "NO_COLOR", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE"] {
        command.env_remove(variable);
    }
    command.env(AGAIN, "1").stdin(Stdio::null())
}

/// What it writes to standard error; it must succeed.
fn stderr(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stdout));
    text
}

#[test]
fn lines_that_pass_the_filter_go_to_standard_error_with_time_and_level() {
    if is_again() {
        logging::init("info,quiet=error", LogTarget::Auto).unwrap();
        tracing::info!(port = "up0", "attached");
        tracing::debug!("unseen detail");
        tracing::warn!(target: "quiet", "unseen warning");
        return;
    }
    let text = stderr(again("lines_that_pass_the_filter_go_to_standard_error_with_time_and_level"));
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{text}");
    assert_eq!(rest.trim(), "INFO logging: attached port=\"up0\"");
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    if is_again() {
        logging::init("info", LogTarget::Stderr).unwrap();
        tracing::info!("painted");
        return;
    }
    let name = "colour_is_for_terminals_that_want_it";
    assert!(!stderr(again(name)).contains('\x1b'));
    // script(1) gives it a terminal.
    let on_terminal = |no_color: Option<&str>| {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new("script");
        prepare(&mut command).args(["--quiet", "--return", "--command"]);
        command.arg(format!("{} {name} --exact --nocapture", program.display())).arg("/dev/null");
        command.envs(no_color.map(|value| ("NO_COLOR", value)));
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("painted"), "{text}");
        text.lines().find(|line| line.contains("painted")).unwrap().contains('\x1b')
    };
    assert!(on_terminal(None));
    assert!(on_terminal(Some("")));
    assert!(!on_terminal(Some("1")));
}

#[test]
fn a_panic_is_logged_with_thread_and_place() {
    if is_again() {
        logging::init("error", LogTarget::Stderr).unwrap();
        let thread = std::thread::Builder::new().name("worker 3".into());
        assert!(thread.spawn(|| panic!("ring {} is lost", 7)).unwrap().join().is_err());
        return;
    }
    let name = "a_panic_is_logged_with_thread_and_place";
    let text = stderr(again(name));
    let words = "ERROR dataplane::logging: thread worker 3 panicked at dataplane/tests/logging.rs:";
    assert!(text.contains(words) && text.contains(": ring 7 is lost"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let mut command = again(name);
    command.env("RUST_BACKTRACE", "1");
    assert!(stderr(command).lines().count() > 5);
}

#[test]
fn a_panic_is_seen_even_when_nothing_is_logged() {
    if is_again() {
        logging::init("off", LogTarget::Stderr).unwrap();
        tracing::error!("unseen");
        assert!(std::thread::spawn(|| panic!("ring lost")).join().is_err());
        return;
    }
    let text = stderr(again("a_panic_is_seen_even_when_nothing_is_logged"));
    assert!(text.contains("ring lost") && !text.contains("unseen"), "{text}");
}

#[test]
fn it_is_set_up_once() {
    if is_again() {
        logging::init("info", LogTarget::Stderr).unwrap();
        assert_eq!(
            logging::init("info", LogTarget::Stderr).unwrap_err().to_string(),
            "logging is set up already"
        );
        eprintln!("both were tried");
        return;
    }
    assert!(stderr(again("it_is_set_up_once")).contains("both were tried"));
}

#[test]
fn a_bad_filter_is_named() {
    let cases = [
        ("inof", "\"inof\" is not a level"),
        ("info,wran", "\"wran\" is not a level"),
        ("dataplane=loud", "expected one of \"off\", \"error\""),
        ("  ", "it is empty"),
    ];
    for (filter, reason) in cases {
        let error = logging::init(filter, LogTarget::Stderr).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the log filter {filter:?} is not valid: ")), "{error}");
        assert!(error.contains(reason) && error.contains("write a level (error, warn,"), "{error}");
        assert_eq!(logging::check(filter).unwrap_err().to_string(), error);
    }
    for filter in ["info", "WARN", "off", "info,", "warn,dataplane::control=debug", "[span{field=1}]=trace"] {
        assert!(logging::check(filter).is_ok(), "{filter}");
    }
}

/// Receives one entry of the journal's native protocol as journald would.
fn journal_entry(journald: &UnixDatagram) -> String {
    journald.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = journald.recv(&mut buffer).unwrap();
        // The library begins with an empty datagram, to see whether anybody listens.
        if length > 0 {
            return String::from_utf8_lossy(&buffer[..length]).into_owned();
        }
    }
}

#[test]
fn journald_gets_the_lines_when_asked_for() {
    if is_again() {
        let journald = UnixDatagram::bind(JOURNALD).unwrap();
        logging::init("debug", LogTarget::Journald).unwrap();
        for priority in [(tracing::Level::ERROR, 3), (tracing::Level::INFO, 6), (tracing::Level::DEBUG, 7)] {
            match priority.0 {
                tracing::Level::ERROR => tracing::error!("port up0 is gone"),
                tracing::Level::INFO => tracing::info!("port up0 is gone"),
                _ => tracing::debug!("port up0 is gone"),
            }
            let entry = journal_entry(&journald);
            assert!(entry.contains("port up0 is gone"), "{entry}");
            assert!(entry.contains(&format!("PRIORITY\n\u{1}\0\0\0\0\0\0\0{}\n", priority.1)), "{entry}");
        }
        return;
    }
    let text = stderr(again_with_own_run("journald_gets_the_lines_when_asked_for"));
    assert!(!text.contains("is gone"), "{text}");
}

#[test]
fn journald_that_is_asked_for_and_absent_is_an_error() {
    if is_again() {
        let error = logging::init("info", LogTarget::Journald).unwrap_err().to_string();
        assert!(error.starts_with("cannot log to journald: No such file or directory"), "{error}");
        assert!(error.ends_with("start it, or set the log target to stderr"), "{error}");
        // Nothing was set up, so that this still can be.
        logging::init("info", LogTarget::Stderr).unwrap();
        tracing::info!("refused as it should be");
        return;
    }
    let text = stderr(again_with_own_run("journald_that_is_asked_for_and_absent_is_an_error"));
    assert!(text.contains("refused as it should be"), "{text}");
}

/// Runs a test again with standard error as `JOURNAL_STREAM` says, or as it only pretends; what it writes there.
fn with_journal_stream(name: &str, genuine: bool) -> String {
    let (reader, writer) = std::io::pipe().unwrap();
    let file =
        std::fs::File::from(std::os::fd::OwnedFd::from(writer.try_clone().unwrap())).metadata().unwrap();
    let inode = if genuine { file.ino() } else { file.ino() + 1 };
    let mut command = again_with_own_run(name);
    command.env("JOURNAL_STREAM", format!("{}:{inode}", file.dev())).stderr(writer).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    // It holds the other end of the pipe.
    drop(command);
    let text = read(reader);
    assert!(child.wait().unwrap().success(), "{text}");
    text
}

fn read(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn journald_is_chosen_when_standard_error_leads_there() {
    if is_again() {
        let journald = UnixDatagram::bind(JOURNALD).unwrap();
        logging::init("info", LogTarget::Auto).unwrap();
        tracing::info!("port up0 is back");
        assert!(journal_entry(&journald).contains("port up0 is back"));
        return;
    }
    let text = with_journal_stream("journald_is_chosen_when_standard_error_leads_there", true);
    assert!(!text.contains("port up0"), "{text}");
}

#[test]
fn standard_error_is_chosen_when_it_leads_elsewhere() {
    if is_again() {
        let _journald = UnixDatagram::bind(JOURNALD).unwrap();
        logging::init("info", LogTarget::Auto).unwrap();
        tracing::info!("port up0 is back");
        return;
    }
    let text = with_journal_stream("standard_error_is_chosen_when_it_leads_elsewhere", false);
    assert!(text.contains("port up0 is back"), "{text}");
}

#[test]
fn standard_error_is_used_when_its_journald_is_gone() {
    if is_again() {
        logging::init("info", LogTarget::Auto).unwrap();
        tracing::info!("port up0 is back");
        return;
    }
    let text = with_journal_stream("standard_error_is_used_when_its_journald_is_gone", true);
    assert!(text.contains("port up0 is back"), "{text}");
}
