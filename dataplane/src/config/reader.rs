//! Reads rows out of the parsed tree and collects what is wrong with them. What the values mean to each other is not
//! known here.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::faults::FileFault;
use super::schema::{Record, Row, TableSchema};
use super::source::{Source, Span, printable};
use super::tables::schema;
use super::value::{Mistake, Part, similar};
use crate::plan::Severity;

/// Most characters of a value that a message repeats.
const SHOWN: usize = 40;

/// Collects the faults of one file.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    pub(super) faults: Vec<FileFault>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(source: &'a Source) -> Self {
        Self { source, faults: Vec::new() }
    }

    /// Adds an error.
    pub(super) fn fault(&mut self, span: &Span, what: impl Into<String>, remedy: impl Into<String>) {
        let fault = FileFault::new(Severity::Error, self.source, span, what.into(), remedy.into());
        self.faults.push(fault);
    }

    /// The rows of one table, in the order of the file.
    pub(super) fn rows<'t, R: Record>(&mut self, tree: &'t DeTable<'t>) -> Vec<Row<'t>> {
        let name = R::NAME;
        let Some(value) = tree.get(name) else { return Vec::new() };
        let header = value.span();
        match value.get_ref() {
            DeValue::Table(keys) => {
                if R::MANY {
                    let what = format!("[{name}] with one pair of brackets: there can be several");
                    self.fault(&header, what, format!("write [[{name}]]"));
                }
                vec![Row { keys, header, torn: false }]
            }
            DeValue::Array(elements) => {
                if !R::MANY {
                    let what = format!("[[{name}]] with two pairs of brackets: there is only one");
                    self.fault(&header, what, format!("write [{name}]"));
                }
                elements.iter().filter_map(|element| self.row(name, element)).collect()
            }
            _ => {
                let what = format!("`{name}` is {}; it must be a table", self.shown(&header));
                let remedy = if R::MANY { format!("write [[{name}]]") } else { format!("write [{name}]") };
                self.fault(&header, what, format!("{remedy} on a line of its own and the keys below it"));
                Vec::new()
            }
        }
    }

    fn row<'t>(&mut self, name: &str, element: &'t Spanned<DeValue<'t>>) -> Option<Row<'t>> {
        let header = element.span();
        if let Some(keys) = element.get_ref().as_table() {
            return Some(Row { keys, header, torn: false });
        }
        let what = format!("`{name}` holds {}; it must hold tables", self.shown(&header));
        self.fault(&header, what, format!("write [[{name}]] on a line of its own and the keys below it"));
        None
    }

    /// Refuses tables that there are not.
    pub(super) fn refuse_unknown_tables(&mut self, tree: &DeTable<'_>) {
        let tables = schema();
        for (key, value) in
            tree.iter().filter(|(key, _)| !tables.iter().any(|table| table.name == key.get_ref()))
        {
            let name = key.get_ref().as_ref();
            let is_table = match value.get_ref() {
                DeValue::Table(_) => true,
                DeValue::Array(elements) => elements.iter().any(|element| element.get_ref().is_table()),
                _ => false,
            };
            let keys = || tables.iter().flat_map(|table| table.keys.iter().map(move |key| (table, key.name)));
            let key_meant = similar(name, keys().map(|(_, key)| key)).filter(|_| !is_table);
            let owner = key_meant.and_then(|meant| keys().find(|(_, key)| *key == meant));
            let meant = similar(name, tables.iter().map(|table| table.name));
            let meant = meant.and_then(|meant| tables.iter().find(|table| table.name == meant));
            let remedy = match (owner, meant) {
                (Some((owner, key)), _) if key == name => format!("`{key}` belongs into {}", owner.header()),
                (Some((owner, key)), None) => format!("did you mean `{key}` in {}?", owner.header()),
                (_, Some(meant)) => format!("did you mean {}?", meant.header()),
                _ => {
                    let headers: Vec<String> = tables.iter().map(TableSchema::header).collect();
                    format!("the tables are {}", headers.join(", "))
                }
            };
            let noun = if is_table { "table" } else { "key" };
            self.fault(&key.span(), format!("unknown {noun} `{}`", name.escape_debug()), remedy);
        }
    }

    /// Refuses the keys that a row's table does not have.
    pub(super) fn refuse_unknown<R: Record>(&mut self, row: &Row<'_>) {
        for key in row.keys.keys().filter(|key| !R::KEYS.contains(&key.get_ref().as_ref())) {
            self.unknown_key::<R>(key);
        }
    }

    fn unknown_key<R: Record>(&mut self, key: &Spanned<DeString<'_>>) {
        let name = key.get_ref().as_ref();
        let tables = schema();
        let table = R::schema().header();
        let owners = tables.iter().filter(|table| table.keys.iter().any(|key| key.name == name));
        let owners: Vec<String> = owners.map(TableSchema::header).collect();
        let remedy = match (similar(name, R::KEYS.iter().copied()), owners.as_slice()) {
            (Some(meant), []) => format!("did you mean `{meant}`?"),
            (_, [owner, ..]) => format!("`{name}` belongs into {owner}"),
            (None, []) => {
                let keys: Vec<String> = R::KEYS.iter().map(|key| format!("`{key}`")).collect();
                format!("the keys of {table} are {}", keys.join(", "))
            }
        };
        self.fault(&key.span(), format!("unknown key `{}` in {table}", name.escape_debug()), remedy);
    }

    /// A value that is not as it should be.
    pub(super) fn mistake(&mut self, key: &'static str, doc: &'static str, mistake: Mistake) {
        let Mistake { span, expected, part, hint } = mistake;
        let shown = self.shown(&span);
        let what = match part {
            Part::Whole => format!("`{key}` is {shown}; it must be {expected}"),
            Part::Element => format!("`{key}` holds {shown}; each element must be {expected}"),
            Part::Under(inner) => format!("`{inner}` in `{key}` is {shown}; it must be {expected}"),
            Part::UnknownKey => format!("unknown key `{shown}` in `{key}`"),
        };
        let remedy = hint.unwrap_or_else(|| format!("`{key}` is {doc}"));
        self.fault(&span, what, remedy);
    }

    /// A key that must be there and is not.
    pub(super) fn missing_key(&mut self, row: &Row<'_>, key: &'static str, expected: &str, doc: &str) {
        let remedy = format!("add `{key}`, {expected}: {doc}");
        let what = format!("`{key}` is missing in {}", self.shown(&row.header));
        self.fault(&row.header, what, remedy);
    }

    /// A value as the file has it, shortened.
    pub(super) fn shown(&self, span: &Span) -> String {
        let written = self.source.slice(span);
        let line = written.lines().next().unwrap_or("");
        let cut = line.char_indices().nth(SHOWN).map_or(line.len(), |(at, _)| at);
        let short: String = line[..cut].chars().map(printable).collect();
        if cut < written.len() { format!("{short}…") } else { short }
    }
}
