//! Every fault of one file, each with its place, for people.

use std::fmt;
use std::path::{Path, PathBuf};

use super::source::{Position, Source, Span};
use crate::plan::Severity;

/// One fault of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileFault {
    /// Whether the file is refused for it.
    pub severity: Severity,
    /// Where it is; `None` when it is of the file as a whole.
    pub position: Option<Position>,
    /// What is wrong: one sentence without a full stop.
    pub what: String,
    /// What can be done about it, in the same form.
    pub remedy: String,
    excerpt: String,
}

impl FileFault {
    pub(super) fn new(
        severity: Severity,
        source: &Source,
        span: &Span,
        what: String,
        remedy: String,
    ) -> Self {
        let position = Some(source.position(span.start));
        Self { severity, position, what, remedy, excerpt: source.excerpt(span) }
    }

    /// A fault of the file as a whole.
    pub(super) fn of_file(severity: Severity, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity, position: None, what: what.into(), remedy: remedy.into(), excerpt: String::new() }
    }
}

/// The faults of one file, in the order of their places.
///
/// Displayed, each is
///
/// ```text
/// FILE:LINE:COLUMN: error: WHAT
///    12 | the line
///       |     ^^^^
///   help: REMEDY
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults {
    file: PathBuf,
    list: Vec<FileFault>,
}

impl Faults {
    pub(super) fn new(file: &Path, mut list: Vec<FileFault>) -> Self {
        list.sort_by_key(|fault| fault.position);
        list.dedup();
        Self { file: file.to_owned(), list }
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, FileFault> {
        self.list.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each on one line, for a log or an answer.
    pub fn one_line_each(&self) -> impl Iterator<Item = String> {
        self.list.iter().map(|fault| format!("{}; {}", self.headline(fault), fault.remedy))
    }

    fn headline(&self, fault: &FileFault) -> String {
        let file = self.file.display();
        let severity = match fault.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        match fault.position {
            Some(position) => format!("{file}:{position}: {severity}: {}", fault.what),
            None => format!("{file}: {severity}: {}", fault.what),
        }
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a FileFault;
    type IntoIter = std::slice::Iter<'a, FileFault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.list {
            writeln!(out, "{}", self.headline(fault))?;
            write!(out, "{}", fault.excerpt)?;
            writeln!(out, "  help: {}", fault.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
