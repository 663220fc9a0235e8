//! An underlay in a mio poll, as the control thread has it.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use dataplane::underlay::{Changes, Link, NoRoute, Route, RouteChanges, Underlay};
use mio::{Events, Interest, Poll, Token};

/// Longer than anything here takes, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Follower {
    pub(crate) underlay: Underlay,
    poll: Poll,
    events: Events,
    seen: Changes,
}

impl Follower {
    pub(crate) fn new(mut underlay: Underlay) -> Self {
        let poll = Poll::new().unwrap();
        poll.registry().register(&mut underlay, Token(7), Interest::READABLE).unwrap();
        Self { underlay, poll, events: Events::with_capacity(4), seen: Changes::default() }
    }

    /// Waits for events and takes them in until the condition holds.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Underlay) -> bool) {
        self.until_seen(what, |underlay, _| condition(underlay));
    }

    /// Likewise, with the changes reported since the last call of `forget_changes`.
    pub(crate) fn until_seen(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&mut Underlay, &Changes) -> bool,
    ) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.take_in();
            if condition(&mut self.underlay, &self.seen) {
                return;
            }
            assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}; changes: {:?}", self.seen);
            // Some conditions are about the kernel, not about notifications: look again after a while.
            match self.poll.poll(&mut self.events, Some(Duration::from_millis(20))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => outcome.unwrap(),
            }
        }
    }

    fn take_in(&mut self) {
        loop {
            let changes = self.underlay.drain().unwrap();
            self.seen.links |= changes.links;
            self.seen.addresses |= changes.addresses;
            self.seen.neighbours |= changes.neighbours;
            self.seen.overrun |= changes.overrun;
            match (&mut self.seen.routes, changes.routes) {
                (RouteChanges::Prefixes(seen), RouteChanges::Prefixes(more)) => seen.extend(more),
                (_, RouteChanges::Nothing) | (RouteChanges::All, _) => {}
                (seen, more) => *seen = more,
            }
            if !changes.unfinished {
                return;
            }
        }
    }

    pub(crate) fn seen(&self) -> &Changes {
        &self.seen
    }

    pub(crate) fn forget_changes(&mut self) {
        self.take_in();
        self.seen = Changes::default();
    }

    pub(crate) fn link(&self, name: &str) -> &Link {
        self.underlay.link(name).unwrap_or_else(|| panic!("no device {name}"))
    }

    pub(crate) fn route(&mut self, local: &str, remote: &str) -> Result<Route, NoRoute> {
        self.underlay.route(ip(local), ip(remote))
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
