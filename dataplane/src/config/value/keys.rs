//! Tables within a value: `{ interval = "300ms", multiplier = 3 }`.

use toml::de::DeTable;

use super::{Mistake, Part, Value, similar};

/// Refuses keys that a table does not have, each by its name; says whether there are none.
pub(super) fn are_known(
    table: &DeTable<'_>,
    known: &[&str],
    expected: &'static str,
    wrong: &mut Vec<Mistake>,
) -> bool {
    let before = wrong.len();
    for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
        let hint = similar(key.get_ref(), known.iter().copied()).map_or_else(
            || format!("its keys are `{}`", known.join("`, `")),
            |meant| format!("did you mean `{meant}`?"),
        );
        wrong.push(Mistake { span: key.span(), expected, part: Part::UnknownKey, hint: Some(hint) });
    }
    wrong.len() == before
}

/// The value of a key, if it is there; what is wrong with it is said of that key. `None` if something is.
pub(super) fn read<T: Value>(
    table: &DeTable<'_>,
    key: &'static str,
    wrong: &mut Vec<Mistake>,
) -> Option<Option<T>> {
    let Some(value) = table.get(key) else { return Some(None) };
    let before = wrong.len();
    let read = T::read(value, wrong);
    wrong.iter_mut().skip(before).for_each(|mistake| mistake.part = Part::Under(key));
    read.map(Some)
}
