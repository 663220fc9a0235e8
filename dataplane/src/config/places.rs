//! Where in the file each configured thing is, and which things may be there although they could not be read.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::FileFault;
use super::schema::KeySpans;
use super::source::{Source, Span};
use crate::plan::{Fault, RefusalKind, Subject};

/// Where one thing is.
pub(super) struct Place {
    /// Its header, or what stands for it.
    pub(super) header: Span,
    /// The values of its keys.
    pub(super) keys: KeySpans,
    /// Whether lines of it could not be read.
    pub(super) torn: bool,
}

impl Place {
    fn key(&self, name: &str) -> Option<&Span> {
        self.keys.iter().find(|(key, _)| *key == name).map(|(_, span)| span)
    }
}

/// Things that the file may configure but whose names could not be read.
#[derive(Clone, Copy, Default)]
pub(super) struct Nameless {
    pub(super) ports: bool,
    pub(super) vnis: bool,
    pub(super) remotes: bool,
    pub(super) groups: bool,
}

/// Where everything is.
#[derive(Default)]
pub(super) struct Places {
    known: BTreeMap<Subject, Place>,
    /// Things that are there but faulty, and so not in the configuration.
    unread: BTreeSet<Subject>,
    pub(super) nameless: Nameless,
    /// Values that were replaced by a default because they are faulty.
    malformed: BTreeSet<(Subject, &'static str)>,
}

impl Places {
    pub(super) fn with_nameless(nameless: Nameless) -> Self {
        Self { nameless, ..Self::default() }
    }

    /// Remembers where a thing is, or returns where it already was.
    pub(super) fn insert(&mut self, subject: Subject, place: Place) -> Result<(), &Place> {
        match self.known.entry(subject) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(place);
                Ok(())
            }
            std::collections::btree_map::Entry::Occupied(entry) => Err(entry.into_mut()),
        }
    }

    /// Remembers that a thing is there but could not be read.
    pub(super) fn insert_unread(&mut self, subject: Subject) {
        self.unread.insert(subject);
    }

    /// Remembers that a value is faulty.
    pub(super) fn insert_malformed(&mut self, subject: Subject, key: &'static str) {
        self.malformed.insert((subject, key));
    }

    /// Whether a fault may only come from what could not be read, and has been told of already.
    pub(super) fn excuses(&self, fault: &Fault) -> bool {
        let missing =
            fault.kind == RefusalKind::NotFound && fault.other.as_ref().is_some_and(|it| self.may_be(it));
        let Some(key) = fault.key else { return missing };
        let malformed = self.malformed.contains(&(fault.subject.clone(), key));
        let place = self.known.get(&fault.subject);
        let torn = place.is_some_and(|place| place.torn && place.key(key).is_none());
        missing || malformed || torn
    }

    fn may_be(&self, subject: &Subject) -> bool {
        let nameless = match subject {
            Subject::Port(_) => self.nameless.ports,
            Subject::Vni(_) => self.nameless.vnis,
            Subject::Remote(vni, _) => self.nameless.remotes || self.may_be(&Subject::Vni(*vni)),
            Subject::Group(vni, _) => self.nameless.groups || self.may_be(&Subject::Vni(*vni)),
            Subject::Fdb(..) | Subject::Neighbour(..) => false,
            Subject::Daemon | Subject::Umem | Subject::Worker(_) => false,
        };
        nameless || self.unread.contains(subject)
    }

    /// A fault with its place in the file, and the line of the other side if there is one.
    pub(super) fn locate(&self, fault: &Fault, source: &Source) -> FileFault {
        let what = fault.what.clone();
        let mut remedy = fault.remedy.clone();
        let other = fault.other.as_ref().filter(|other| **other != fault.subject);
        if let Some((other, place)) = other.and_then(|other| Some((other, self.known.get(other)?))) {
            let line = source.position(place.header.start).line;
            remedy = format!("{remedy} ({other} is on line {line})");
        }
        match self.known.get(&fault.subject) {
            Some(place) => {
                let span = fault.key.and_then(|key| place.key(key)).unwrap_or(&place.header);
                FileFault::new(fault.severity, source, span, what, remedy)
            }
            None => FileFault::of_file(fault.severity, what, remedy),
        }
    }
}
