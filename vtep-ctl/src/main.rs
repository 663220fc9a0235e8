//! `vtep-ctl`, the control client of `vtepd`: words of the command line become one request, and its answer a table or
//! JSON. It knows the control protocol and nothing of how the daemon works.
#![forbid(unsafe_code)]

mod answer;
mod cli;
mod client;
mod columns;
mod grammar;
mod lines;
mod moving;
mod print;
mod spread;
#[cfg(test)]
mod tests;
mod words;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use answer::Answer;
use api::Request;
use clap::Parser;
use cli::Arguments;
use client::{Client, Failure};
use columns::{Paint, Tone};
use lines::Unreadable;
use moving::Moving;
use print::Printed;

/// Exit status of a command that is not understood; clap has the same.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut request = match arguments.request() {
        Ok(request) => request,
        Err(usage) => {
            complain(&usage.to_string());
            return ExitCode::from(MISUSED);
        }
    };
    match lines::fill(&mut request, io::stdin().lock()) {
        Ok(()) => {}
        Err(Unreadable::Line { number, usage }) => {
            complain(&format!("line {number} of standard input: {usage}"));
            return ExitCode::from(MISUSED);
        }
        Err(Unreadable::Input(error)) => {
            complain(&format!("cannot read standard input: {error}"));
            return ExitCode::FAILURE;
        }
    }
    match run(&arguments, &request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(End::Failed(failure)) => {
            complain(&format!("{}\n  help: {}", failure.what(), failure.remedy()));
            ExitCode::FAILURE
        }
        Err(End::Refused(refused)) => {
            for api::RefusedChange { what, remedy } in refused {
                complain(&format!("not changed: {what}\n  help: {remedy}"));
            }
            ExitCode::FAILURE
        }
        // Whoever read our output has seen enough.
        Err(End::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(End::Output(error)) => {
            complain(&format!("cannot write: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Why a command did not come to its end.
enum End {
    Failed(Failure),
    /// The rest has been done and shown.
    Refused(Vec<api::RefusedChange>),
    Output(io::Error),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn run(arguments: &Arguments, request: &Request) -> Result<(), End> {
    let mut client = Client::connect(&arguments.socket)?;
    let mut moving = Moving::default();
    loop {
        let asked = Instant::now();
        moving.begin(asked);
        let answer = answer::ask(&mut client, request)?;
        show(arguments, &answer, &mut moving)?;
        if let Answer::Reloaded(reply) = answer
            && !reply.refused.is_empty()
        {
            return Err(End::Refused(reply.refused));
        }
        let Some(period) = arguments.watch else { return Ok(()) };
        std::thread::sleep(period.saturating_sub(asked.elapsed()).max(Duration::from_millis(10)));
    }
}

fn show(arguments: &Arguments, answer: &Answer, moving: &mut Moving) -> io::Result<()> {
    let stdout = io::stdout();
    let redraw = stdout.is_terminal();
    let paint = Paint::of(&stdout);
    let Printed { data, words } = if arguments.pretty {
        json(answer, serde_json::to_string_pretty)?
    } else if arguments.json {
        json(answer, serde_json::to_string)?
    } else {
        print::answer(answer, moving, paint)
    };
    let mut out = stdout.lock();
    // Redrawn in place where that is possible, one after the other where it is not.
    if arguments.watch.is_some() && redraw {
        out.write_all(b"\x1b[H\x1b[2J")?;
    }
    out.write_all(data.as_bytes())?;
    out.flush()?;
    // Nobody misses a remark that cannot be written.
    let _ = io::stderr().write_all(words.as_bytes());
    Ok(())
}

fn json(answer: &Answer, write: fn(&serde_json::Value) -> serde_json::Result<String>) -> io::Result<Printed> {
    let data = match answer.json() {
        Some(value) => write(&value)? + "\n",
        None => String::new(),
    };
    Ok(Printed { data, words: String::new() })
}

fn complain(what: &str) {
    let stderr = io::stderr();
    let label = Paint::of(&stderr).text("error:", Tone::Bad);
    // There is nobody left to tell if this fails.
    let _ = writeln!(stderr.lock(), "{label} {what}");
}
