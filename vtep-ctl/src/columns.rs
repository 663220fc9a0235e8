//! Aligned columns, coloured where a terminal wants it.

use std::fmt::Write as _;
use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

/// What a text means, which decides its colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Plain,
    Heading,
    Good,
    Doubtful,
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Doubtful => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
        }
    }
}

/// Whether to colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    /// Colours for a stream that is a terminal, unless `NO_COLOR` (no-color.org) or a dumb terminal speaks against it.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self(stream.is_terminal() && !refused && !dumb)
    }

    /// The text in its tone.
    pub(crate) fn text(self, text: &str, tone: Tone) -> String {
        if self.0 && tone != Tone::Plain { format!("{0}{text}{0:#}", tone.style()) } else { text.to_owned() }
    }
}

/// One field of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn toned(text: &impl ToString, tone: Tone) -> Self {
        Self { text: text.to_string(), tone }
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(&text, Tone::Plain)
    }
}

/// Rows under headings. Numbers are aligned to the right, a column without any content is left out, and a field
/// without content shows as `-`.
#[derive(Debug)]
pub(crate) struct Columns {
    heads: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Columns {
    /// Columns with these headings; one that begins with `>` holds numbers.
    pub(crate) const fn new(heads: &'static [&'static str]) -> Self {
        Self { heads, rows: Vec::new() }
    }

    /// Adds a row, which has as many fields as there are headings.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.heads.len());
        self.rows.push(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, with a newline after each row.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let columns: Vec<(usize, &str, bool, usize)> = self
            .heads
            .iter()
            .enumerate()
            .filter_map(|(index, head)| {
                let widest = self.rows.iter().map(|row| width(&row[index].text)).max().unwrap_or(0);
                let (name, number) = head.strip_prefix('>').map_or((*head, false), |name| (name, true));
                (widest > 0).then(|| (index, name, number, widest.max(width(name))))
            })
            .collect();
        let mut out = String::new();
        let heads: Vec<Cell> =
            self.heads.iter().map(|head| Cell::toned(&head.trim_start_matches('>'), Tone::Heading)).collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let mut line = String::new();
            for (place, (index, _, number, wide)) in columns.iter().enumerate() {
                let cell = &row[*index];
                let text = if cell.text.is_empty() { "-" } else { cell.text.as_str() };
                let gap = " ".repeat(wide - width(text));
                let text = paint.text(text, cell.tone);
                let last = place + 1 == columns.len();
                // Spaces at the end of a line are of no use to anybody.
                let (before, after) =
                    if *number { (gap.as_str(), "") } else { ("", if last { "" } else { gap.as_str() }) };
                let _ = write!(line, "{}{before}{text}{after}", if place == 0 { "" } else { "  " });
            }
            out.push_str(&line);
            out.push('\n');
        }
        out
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Columns {
        let mut columns = Columns::new(&["NAME", "EMPTY", ">COUNT", "STATE"]);
        columns.row(vec!["a".into(), "".into(), 7.into(), Cell::toned(&"UP", Tone::Good)]);
        columns.row(vec!["longer".into(), "".into(), 12_345_678.into(), "".into()]);
        columns
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let expected = "NAME       COUNT  STATE\n\
                        a              7  UP\n\
                        longer  12345678  -\n";
        assert_eq!(sample().render(Paint(false)), expected);
        assert!(Columns::new(&["NAME"]).is_empty());
    }

    #[test]
    fn colours_do_not_move_columns() {
        let coloured = sample().render(Paint(true));
        assert!(coloured.contains("\u{1b}[32mUP\u{1b}[0m"), "{coloured:?}");
        let stripped = ["\u{1b}[32m", "\u{1b}[1m", "\u{1b}[0m"]
            .iter()
            .fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(stripped, sample().render(Paint(false)));
    }
}
