//! A command as a row of the table of all commands.

use api::Request;

use crate::words::{Given, Shape, Usage};

/// One verb of one object.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) object: &'static str,
    pub(crate) verb: &'static str,
    /// What follows the verb, for people.
    pub(crate) tail: &'static str,
    pub(super) shape: Shape,
    pub(super) build: fn(&Given) -> Result<Request, Usage>,
}

impl Form {
    /// The whole command, for people.
    pub(crate) fn usage(&self) -> String {
        ["vtep-ctl", self.object, self.verb, self.tail]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[cfg(test)]
impl Form {
    /// Words that are understood and that the usage line does not tell of.
    pub(crate) fn missing_from_usage(&self) -> Vec<&'static str> {
        let keywords = self.shape.keywords.iter().map(|(keyword, _)| *keyword);
        let words: Vec<&str> = self.tail.split([' ', '[', ']', '(', ')']).collect();
        keywords.chain(self.shape.flags.iter().copied()).filter(|word| !words.contains(word)).collect()
    }
}

/// A row of the table.
pub(super) const fn form(
    object: &'static str,
    verb: &'static str,
    tail: &'static str,
    shape: Shape,
    build: fn(&Given) -> Result<Request, Usage>,
) -> Form {
    Form { object, verb, tail, shape, build }
}
