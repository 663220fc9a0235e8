//! The grammar of TOML: every line that breaks it is reported and taken out, and the rest read on.

use super::faults::FileFault;
use super::source::{Source, Span};
use crate::plan::Severity;
use toml::de::{DeTable, Error};

/// Most syntax errors that are told of one file.
const MOST: usize = 32;

/// What the grammar says of a file.
pub(super) struct Survey {
    /// The text with what breaks the grammar blanked out, byte for byte at its old place.
    pub(super) text: String,
    /// The errors.
    pub(super) faults: Vec<FileFault>,
    /// Where lines were taken out.
    pub(super) torn: Vec<usize>,
    /// Whether a whole table was taken out, because of its header.
    pub(super) lost_table: bool,
}

/// Finds the syntax errors of a file one after the other.
pub(super) fn survey(source: &Source) -> Survey {
    let mut survey =
        Survey { text: source.text().to_owned(), faults: Vec::new(), torn: Vec::new(), lost_table: false };
    while let Some((error, span)) = first_error(&survey.text) {
        if survey.faults.len() == MOST {
            let remedy = "mend these first; is it the right file?".to_owned();
            let what = "too many errors; what follows is not read".to_owned();
            survey.faults.push(FileFault::new(Severity::Error, source, &span, what, remedy));
            survey.give_up();
            break;
        }
        survey.faults.push(describe(&error, source, &span));
        survey.torn.push(span.start);
        if !survey.take_out(source, &span) {
            survey.give_up();
        }
    }
    survey
}

impl Survey {
    /// Blanks the line of an error; with a header also the lines below it, which would otherwise count to the table
    /// above. `false` if there was nothing to blank.
    fn take_out(&mut self, source: &Source, span: &Span) -> bool {
        let mut first = source.line_index(span.start);
        // An error at the end of something is on the line after it.
        while first > 0 && self.is_blank(&source.line_span(first)) {
            first -= 1;
        }
        if self.is_blank(&source.line_span(first)) {
            return false;
        }
        let header = self.is_header(&source.line_span(first));
        self.lost_table |= header;
        self.blank(source.line_span(first));
        let mut next = first + 1;
        while header && next < source.line_count() && !self.is_header(&source.line_span(next)) {
            self.blank(source.line_span(next));
            next += 1;
        }
        true
    }

    /// Leaves nothing to read on with.
    fn give_up(&mut self) {
        self.text.clear();
        self.lost_table = true;
    }

    fn is_blank(&self, line: &Span) -> bool {
        self.text[line.clone()].trim().is_empty()
    }

    fn is_header(&self, line: &Span) -> bool {
        self.text[line.clone()].trim_start().starts_with('[')
    }

    fn blank(&mut self, line: Span) {
        let spaces = " ".repeat(line.len());
        self.text.replace_range(line, &spaces);
    }
}

fn first_error(text: &str) -> Option<(Error, Span)> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let placed = errors.into_iter().map(|error| {
        let span = error.span().unwrap_or(0..0);
        (error, span)
    });
    placed.min_by_key(|(_, span)| (span.start, span.end))
}

/// The parser's words, or plainer ones for what happens most.
fn describe(error: &Error, source: &Source, span: &Span) -> FileFault {
    let message = error.message();
    let written = source.slice(span).trim();
    let line = source.slice(&source.line_span(source.line_index(span.start)));
    let quotes = "put strings and addresses in quotes; numbers, true and false stand without";
    let (what, remedy) = if message.starts_with("string values must be quoted") && written.is_empty() {
        ("the key has no value".to_owned(), "write a value after the `=`")
    } else if message.starts_with("string values must be quoted") {
        (format!("`{written}` is no value"), quotes)
    } else if message.starts_with("invalid") && message.contains("expected nothing") {
        ("the value is no number".to_owned(), quotes)
    } else if message.starts_with("key with no value") {
        ("a key needs a value".to_owned(), "write KEY = VALUE")
    } else if message.starts_with("duplicate key") && line.trim_start().starts_with('[') {
        (
            format!("table `{written}` is there twice"),
            "join the two, or write [[...]] for what can come several times",
        )
    } else if message.starts_with("duplicate key") {
        (
            format!("key `{written}` is there twice"),
            "keep one of the two; each [[...]] begins with a header of its own",
        )
    } else if message.starts_with("unexpected key or value") {
        ("something follows the value".to_owned(), "write one key on a line")
    } else if message.starts_with("unclosed") && line.trim_start().starts_with('[') {
        ("the table's header is not closed".to_owned(), "write [name] or [[name]]")
    } else {
        (message.to_owned(), "see https://toml.io for the grammar")
    };
    FileFault::new(Severity::Error, source, span, what, remedy.to_owned())
}
