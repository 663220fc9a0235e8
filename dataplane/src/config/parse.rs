//! From a file's text to a configuration, or to every fault of it.

use std::path::Path;

use toml::de::DeTable;

use super::faults::{Faults, FileFault};
use super::lower::{Lowering, Rows};
use super::model::Config;
use super::reader::Reader;
use super::source::Source;
use super::syntax::survey;
use crate::plan::{Severity, validate};

/// Reads a configuration from a text; `file` is what messages call it. With the configuration come the warnings.
///
/// # Errors
///
/// Every fault of the text: what breaks the grammar, unknown keys, malformed values, and what is wrong between them.
/// What a faulty line may have said is not held against the others.
pub fn parse(file: &Path, text: &str) -> Result<(Config, Faults), Faults> {
    let source = Source::new(text);
    let survey = survey(&source);
    // The survey leaves nothing that breaks the grammar.
    let (tree, _) = DeTable::parse_recoverable(&survey.text);
    let mut reader = Reader::new(&source);
    reader.faults = survey.faults;
    reader.refuse_unknown_tables(tree.get_ref());
    let rows = Rows::of(tree.get_ref(), &survey.torn, &mut reader);
    let mut lowering = Lowering::new(&mut reader, survey.lost_table);
    lowering.lower(&rows);
    let Lowering { config, places, .. } = lowering;

    let clean = reader.faults.is_empty();
    for fault in validate(&config) {
        if fault.severity == Severity::Error && places.excuses(&fault) {
            continue;
        }
        if fault.severity == Severity::Error || clean {
            reader.faults.push(places.locate(&fault, &source));
        }
    }
    let faults = reader.faults;
    let refused = faults.iter().any(|fault: &FileFault| fault.severity == Severity::Error);
    let faults = Faults::new(file, faults);
    if refused { Err(faults) } else { Ok((config, faults)) }
}
