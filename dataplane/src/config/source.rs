//! The text of a configuration file: from a byte's place to its line and column, and to an excerpt for people.

use std::fmt;
use std::ops::Range;

/// Bytes of the text.
pub(super) type Span = Range<usize>;

/// Most characters of an excerpt's line.
const EXCERPT_WIDTH: usize = 120;

/// A text with its lines found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Source {
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

/// A place in a file, both counted from 1; columns are characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.line, self.column)
    }
}

impl Source {
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, lines }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What a span covers; empty when it does not lie on whole characters.
    pub(super) fn slice(&self, span: &Span) -> &str {
        self.text.get(span.clone()).unwrap_or("")
    }

    /// The line that a byte is in, counted from 0.
    pub(super) fn line_index(&self, at: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= at).saturating_sub(1)
    }

    /// The bytes of a line without its end; `index` counts from 0.
    pub(super) fn line_span(&self, index: usize) -> Span {
        let begin = self.lines.get(index).copied().unwrap_or(self.text.len());
        let end = self.lines.get(index + 1).map_or(self.text.len(), |next| next - 1);
        begin..end.max(begin)
    }

    pub(super) fn line_count(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn position(&self, at: usize) -> Position {
        let index = self.line_index(at);
        let line = self.line_span(index);
        let before = self.slice(&(line.start..at.clamp(line.start, line.end)));
        Position { line: index + 1, column: before.chars().count() + 1 }
    }

    /// The line that a span begins in, with the span marked, each line indented; nothing for a blank line.
    pub(super) fn excerpt(&self, span: &Span) -> String {
        let position = self.position(span.start);
        let line = self.line_span(position.line - 1);
        let shown: String = self.slice(&line).chars().take(EXCERPT_WIDTH).map(printable).collect();
        if shown.trim().is_empty() || position.column > EXCERPT_WIDTH {
            return String::new();
        }
        let marked = self.slice(&(span.start..span.end.clamp(span.start, line.end.max(span.start))));
        let room = (shown.chars().count() + 1).saturating_sub(position.column).max(1);
        let mark = "^".repeat(marked.chars().count().clamp(1, room));
        let gap = " ".repeat(position.column - 1);
        let shown = shown.trim_end();
        format!("{:>5} | {shown}\n      | {gap}{mark}\n", position.line)
    }
}

/// Keeps columns and terminals intact.
pub(super) fn printable(character: char) -> char {
    match character {
        '\t' | '\r' => ' ',
        control if control.is_control() => '\u{fffd}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("äb\n\nc");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(2), Position { line: 1, column: 2 });
        assert_eq!(source.position(3), Position { line: 1, column: 3 });
        assert_eq!(source.position(4), Position { line: 2, column: 1 });
        assert_eq!(source.position(5), Position { line: 3, column: 1 });
        assert_eq!(source.position(6), Position { line: 3, column: 2 });
        assert_eq!(source.position(600), Position { line: 3, column: 2 });
        assert_eq!(Source::new("").position(0), Position { line: 1, column: 1 });
    }

    #[test]
    fn excerpts_mark_the_span_within_its_line() {
        let source = Source::new("[umem]\n\tchunks = 5\r\n\u{1b}[0m\n");
        assert_eq!(source.excerpt(&(17..18)), "    2 |  chunks = 5\n      |           ^\n");
        assert_eq!(source.excerpt(&(8..14)), "    2 |  chunks = 5\n      |  ^^^^^^\n");
        assert_eq!(source.excerpt(&(0..500)), "    1 | [umem]\n      | ^^^^^^\n");
        assert_eq!(source.excerpt(&(20..21)), "    3 | \u{fffd}[0m\n      | ^\n");
        assert_eq!(source.excerpt(&(26..26)), "");
    }
}
