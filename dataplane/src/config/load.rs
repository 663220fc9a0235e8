//! Configuration files on disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::faults::{Faults, FileFault};
use super::model::Config;
use super::parse::parse;
use super::source::Source;
use crate::plan::Severity;

/// Most bytes of a file: about a million static entries.
const MOST_BYTES: u64 = 128 << 20;

/// Where the configuration comes from: a file, and what the command line says in its place.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The control socket, in place of the file's.
    pub socket: Option<PathBuf>,
    /// The log filter, in place of the file's.
    pub log: Option<String>,
}

impl Origin {
    /// The configuration as it is now, and what works in it but is probably not meant.
    ///
    /// # Errors
    ///
    /// Every fault of the file, or why it cannot be read.
    pub fn load(&self) -> Result<(Config, Vec<String>), Faults> {
        let (mut config, warnings) = match &self.file {
            Some(file) => {
                let (config, faults) = load_with_warnings(file)?;
                (config, faults.one_line_each().collect())
            }
            None => (Config::default(), Vec::new()),
        };
        if let Some(socket) = &self.socket {
            config.daemon.socket.clone_from(socket);
        }
        if let Some(log) = &self.log {
            config.daemon.log.clone_from(log);
        }
        Ok((config, warnings))
    }
}

/// Reads a configuration file and says what works in it but is probably not meant.
///
/// # Errors
///
/// Every fault of the file, or why it cannot be read.
pub fn load_with_warnings(path: &Path) -> Result<(Config, Faults), Faults> {
    let text = read(path).map_err(|fault| Faults::new(path, vec![fault]))?;
    parse(path, &text)
}

fn read(path: &Path) -> Result<String, FileFault> {
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MOST_BYTES {
        let what = format!("the file has more than {} MiB", MOST_BYTES >> 20);
        return Err(FileFault::of_file(
            Severity::Error,
            what,
            "is it the right one? Entries beyond that are better added by vtep-ctl",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let source = Source::new(String::from_utf8_lossy(error.as_bytes()));
        let what = format!("byte {} of the file is not UTF-8", at + 1);
        let remedy = "save the file as UTF-8 text".to_owned();
        FileFault::new(Severity::Error, &source, &(at..at), what, remedy)
    })
}

fn unreadable(error: &io::Error) -> FileFault {
    let (what, remedy) = match error.kind() {
        io::ErrorKind::NotFound => ("there is no such file", "name the file with --config"),
        io::ErrorKind::PermissionDenied => {
            ("the file may not be read", "give its reader the permission, or run as root")
        }
        io::ErrorKind::IsADirectory => ("this is a directory", "name a file in it"),
        io::ErrorKind::NotADirectory => ("a part of the path is no directory", "correct the path"),
        _ => {
            let remedy = "name another file, or see to its file system";
            return FileFault::of_file(Severity::Error, format!("the file cannot be read: {error}"), remedy);
        }
    };
    FileFault::of_file(Severity::Error, what, remedy)
}
