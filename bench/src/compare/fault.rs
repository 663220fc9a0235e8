//! Why a comparison cannot go on.

use std::io;

/// What went wrong, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The user said so.
    #[error("interrupted: nothing was written")]
    Interrupted,
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The generator or the sink cannot work.
    #[error(transparent)]
    Generator(#[from] crate::pktgen::Error),
    /// The host refused something that the measurement needs.
    #[error("{what}: {why}; {remedy}")]
    Host {
        /// What was tried.
        what: &'static str,
        /// The host's answer.
        why: String,
        /// What helps.
        remedy: &'static str,
    },
    /// A contestant did not do what it was told.
    #[error("{who} failed at `{step}`: {why}")]
    Contestant {
        /// The contestant.
        who: &'static str,
        /// The step.
        step: String,
        /// Its answer.
        why: String,
    },
    /// A contestant forwarded nothing.
    #[error("{who} forwards nothing in the case {case}; it says it dropped {drops}")]
    Silent {
        /// The contestant.
        who: String,
        /// The case.
        case: String,
        /// What it says of its drops.
        drops: String,
    },
    /// Results that cannot stand in one table.
    #[error("the results there are of {before}, these of {now}: write them to another --output")]
    Different {
        /// Commit, kernel and CPU of those.
        before: String,
        /// Of these.
        now: String,
    },
}

impl Fault {
    /// A file that could not be read or written.
    pub fn file(path: &std::path::Path, source: io::Error) -> Self {
        Self::File { path: path.display().to_string(), source }
    }
}
