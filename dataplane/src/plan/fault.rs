//! What a check says: what is wrong, with what, and what to do about it.

use std::fmt;
use std::net::IpAddr;

use wire::{Mac, Vni};

/// Why something is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalKind {
    /// What it names does not exist.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// A value is out of range or at odds with another.
    Invalid,
    /// Something else needs it.
    InUse,
    /// It belongs to another owner.
    OwnedByAnother,
    /// A bound of the daemon, or the frame memory, is exhausted.
    LimitReached,
}

/// Whether a fault stops the start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The configuration works, but probably not as meant.
    Warning,
    /// The configuration is refused.
    Error,
}

/// The configured thing that a fault is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// `[daemon]`.
    Daemon,
    /// `[umem]`.
    Umem,
    /// A worker, by its place in the list.
    Worker(usize),
    /// A port, by name.
    Port(String),
    /// A VNI.
    Vni(Vni),
    /// A remote of a VNI.
    Remote(Vni, IpAddr),
    /// A group of remotes of a VNI.
    Group(Vni, String),
    /// A static entry of a VNI.
    Fdb(Vni, Mac),
    /// A static neighbour of a VNI.
    Neighbour(Vni, IpAddr),
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon => out.write_str("the daemon"),
            Self::Umem => out.write_str("the frame memory"),
            Self::Worker(index) => write!(out, "worker {index}"),
            Self::Port(name) => write!(out, "port {name}"),
            Self::Vni(vni) => write!(out, "VNI {vni}"),
            Self::Remote(vni, address) => write!(out, "remote {address} of VNI {vni}"),
            Self::Group(vni, name) => write!(out, "group {name} of VNI {vni}"),
            Self::Fdb(vni, mac) => write!(out, "FDB entry {mac} of VNI {vni}"),
            Self::Neighbour(vni, address) => write!(out, "neighbour {address} of VNI {vni}"),
        }
    }
}

/// One thing wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Whether it stops the start.
    pub severity: Severity,
    /// Of what kind it is.
    pub kind: RefusalKind,
    /// What it is about.
    pub subject: Subject,
    /// The key of the subject that is at fault, as the file spells it; `None` for the subject as a whole.
    pub key: Option<&'static str>,
    /// The other side: what is missing ([`RefusalKind::NotFound`]) or what the subject collides with.
    pub other: Option<Subject>,
    /// What is wrong: one sentence without a full stop, naming the thing and the value.
    pub what: String,
    /// What can be done about it, in the same form.
    pub remedy: String,
}

impl Fault {
    /// A fault that stops the start, of the subject as a whole.
    #[must_use]
    pub fn error(
        kind: RefusalKind,
        subject: Subject,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            kind,
            subject,
            key: None,
            other: None,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// An [`RefusalKind::Invalid`] value.
    #[must_use]
    pub fn invalid(
        subject: Subject,
        key: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::error(RefusalKind::Invalid, subject, what, remedy).at(key)
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same, of one key of the subject.
    #[must_use]
    pub const fn at(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    /// The same, naming the other side.
    #[must_use]
    pub fn with(mut self, other: Subject) -> Self {
        self.other = Some(other);
        self
    }
}

/// Why a change is not made. Nothing has been changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}; {remedy}")]
pub struct Refusal {
    /// Of what kind it is.
    pub kind: RefusalKind,
    /// The key at fault, as the file spells it; `None` when no single one is.
    pub key: Option<&'static str>,
    /// What is wrong: one sentence without a full stop, naming the thing and the value.
    pub what: String,
    /// What the caller can do about it, in the same form.
    pub remedy: String,
}

impl Refusal {
    /// A refusal that blames no single key.
    #[must_use]
    pub fn new(kind: RefusalKind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, key: None, what: what.into(), remedy: remedy.into() }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { kind: fault.kind, key: fault.key, what: fault.what, remedy: fault.remedy }
    }
}

/// Lists a few of many for a remedy: `100, 200, 300` or `100, 200, 300 and 12 more`.
pub(super) fn some_of<T: fmt::Display>(all: impl ExactSizeIterator<Item = T>) -> String {
    const SHOWN: usize = 5;
    let more = all.len().saturating_sub(SHOWN);
    let shown: Vec<String> = all.take(SHOWN).map(|item| item.to_string()).collect();
    let list = shown.join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}
