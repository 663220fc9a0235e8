//! Programs that a test runs, with all that they print.

use std::fmt;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wait::{wait_for, wait_until};

/// What a program that has ended left.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub command: String,
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Runs `command` to its end.
    pub fn of(command: &mut Command) -> Self {
        let text = words(command);
        let output = command.output().unwrap_or_else(|error| panic!("cannot run `{text}`: {error}"));
        Self::new(text, &output)
    }

    fn new(command: String, output: &Output) -> Self {
        Self {
            command,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Whether it exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output of a program that must have exited with 0.
    #[must_use]
    #[track_caller]
    pub fn output(self) -> String {
        assert!(self.success(), "{self}");
        self.stdout
    }

    /// Asserts the exit code and that standard error contains each of `parts`.
    #[track_caller]
    pub fn assert_fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        for part in parts {
            assert!(self.stderr.contains(part), "standard error lacks \"{part}\": {self}");
        }
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "`{}` ended with {:?}\n--- stdout\n{}--- stderr\n{}---",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}

/// The command line as text.
fn words(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// A program in the background. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    command: String,
    child: Child,
    directory: TempDir,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with its output going to files that [`Process::stdout`] and [`Process::stderr`] read.
    pub fn start(command: &mut Command) -> Self {
        let directory =
            tempfile::Builder::new().prefix("vtep-process-").tempdir().expect("temporary directory");
        let file = |name: &str| File::create(directory.path().join(name)).expect("file for output");
        let child = command
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run `{}`: {error}", words(command)));
        Self { command: words(command), child, directory, status: None }
    }

    /// Its process identifier.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.read("stdout")
    }

    /// Standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.read("stderr")
    }

    fn read(&self, name: &str) -> String {
        let path: PathBuf = self.directory.path().join(name);
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("wait for a child");
        }
        self.status.is_none()
    }

    /// Waits until standard error contains `text`; fails when the program ends first.
    pub fn wait_for_stderr(&mut self, text: &str, limit: Duration) {
        let what = format!("`{}` says \"{text}\"", self.command);
        wait_until(&what, limit, || {
            let seen = self.stderr().contains(text);
            assert!(seen || self.is_running(), "ended early: {}", self.finished());
            seen
        });
    }

    /// Whether it has nothing to do now: it waits for something to happen, or has ended (`proc_pid_stat(5)`).
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("the state of a child");
        let (_, state) = stat.rsplit_once(") ").expect("a state after the name");
        !state.starts_with(['R', 'D'])
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal `{}`: {error}", self.command));
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Finished {
        let what = format!("`{}` ends", self.command);
        wait_for(&what, limit, || (!self.is_running()).then_some(()));
        self.finished()
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        if self.is_running() {
            self.child.kill().expect("kill a child");
            self.status = Some(self.child.wait().expect("wait for a child"));
        }
    }

    fn finished(&self) -> Finished {
        Finished {
            command: self.command.clone(),
            code: self.status.and_then(|status| status.code()),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
