//! What happens by itself: the kernel's changes, the workers' events, and the passing of time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use forward::fdb::{Key, Migration};
use forward::ids::{DomainId, PortId};
use forward::link::{Event, Place};
use wire::Vni;
use wire::membership::Interest;

use super::book::Seen;
use super::paths::Way;
use super::port::Retry;
use super::state::State;
use crate::config::VniConfig;

/// Buckets that one step of a growing FDB moves; a step takes well under a millisecond.
const MIGRATION_STEP: usize = 1024;

/// Seconds between two reminders to the kernel that next hops are in use.
const FRESHNESS: u32 = 5;

impl State {
    /// The kernel has told something.
    pub(super) fn follow_kernel(&mut self) {
        loop {
            let changes = match self.underlay.drain() {
                Ok(changes) => changes,
                Err(error) => {
                    tracing::warn!(%error, "the view of the underlay may be out of date; trying again");
                    return;
                }
            };
            if changes.any() {
                let Self { paths, underlay, path_mtus, .. } = self;
                // What routers on another way have said does not hold for this one.
                let differs = paths.follow(underlay, &changes, |pair| path_mtus.forget(pair));
                // A local address decides on which uplink a multicast group is joined.
                self.stale.tables |= differs || changes.links || changes.addresses;
                self.stale.ports |= changes.links;
                if changes.links {
                    self.closed.values_mut().for_each(|closed| closed.retry = Retry::default());
                }
            }
            if !changes.unfinished {
                return;
            }
        }
    }

    /// The workers have told something.
    pub(super) fn follow_workers(&mut self) {
        let now = self.now();
        self.watch_bursts(now);
        let events: Vec<Event> = self.fleet.events().collect();
        for event in events {
            match event {
                Event::NeighbourSeen { domain, address, mac, flags, place } => {
                    if let Some(vni) = self.vni(domain) {
                        let seen = Seen::new(mac, flags, place, now, self.provenance.next_version());
                        self.stale.tables |= self.book.note(vni, address, seen);
                    }
                }
                Event::Moved { domain, mac, from, to } => self.moved(Key::new(domain, mac), from, to, now),
                Event::Bfd { remote, message, nanoseconds } => self.hear_bfd(remote, &message, nanoseconds),
                Event::Membership { domain, group, interest, port } => {
                    if let Some(vni) = self.vni(domain) {
                        self.stale.tables |= self.membership((vni, group), port, interest, now);
                    }
                }
                Event::Queried { domain, from, group, seconds, place } => {
                    if let Some(vni) = self.vni(domain) {
                        let changed = self.mdb.query(vni, from, group, seconds.into(), place, now);
                        self.stale.tables |= changed;
                    }
                }
                Event::RouterSeen { domain, place } => {
                    if let Some(vni) = self.vni(domain) {
                        self.stale.tables |= self.mdb.router(vni, place, now);
                    }
                }
                Event::Unresolved { remote } => self.resolve(remote.0),
            }
        }
    }

    /// A host behind a port says whether it listens to a group. Whether that changes who gets what.
    fn membership(&mut self, key: (Vni, IpAddr), port: PortId, interest: Interest, now: u32) -> bool {
        match interest {
            Interest::Joined => self.mdb.joined(key, port, now),
            Interest::Left => {
                let name = self.ids.ports.key(port.0.into());
                let config = name.and_then(|name| self.config.ports.get(name.as_str()));
                self.mdb.left(key, port, config.is_some_and(|config| config.policy.fastleave))
            }
        }
    }

    /// Says whose memberships found no room: hosts behind one port that join so many groups are broken, or mean harm.
    fn tell_crowded_out(&mut self) {
        for (vni, count, port) in self.mdb.take_crowded_out() {
            let (vni, most) = (vni.value(), self.describe(Place::Port(port)));
            tracing::warn!(
                vni,
                count,
                most,
                "more multicast groups are joined than are kept: the port with most has lost some"
            );
        }
    }

    /// Frames wait for nothing, but the next ones should find the next hop resolved.
    fn resolve(&mut self, remote: u32) {
        let Some(&(vni, address)) = self.ids.remotes.key(remote) else { return };
        let Some(local) = self.config.local_towards(vni, address) else { return };
        if let Some(Way::Unresolved { ifindex, next_hop, .. }) = self.paths.way(local, address).cloned()
            && let Err(error) = self.underlay.resolve(ifindex, next_hop)
        {
            tracing::debug!(%error, "the kernel does not resolve a next hop");
        }
    }

    /// A second has passed.
    pub(super) fn tick(&mut self) {
        let now = self.now();
        self.fleet.sweep();
        self.age(now);
        self.thaw(now);
        let vnis = &self.config.vnis;
        self.stale.tables |= self.mdb.age(now, |vni| vnis.get(&vni).is_some_and(|vni| vni.mcast_snooping));
        self.tell_crowded_out();
        self.watch_rings(now);
        self.watch_memory(now);
        self.resolve_awaited();
        self.watch_refusals(now);
        self.watch_neighbours(now);
        self.trim(now);
        self.forget_misplaced();
        // Notifications can be lost; a look from time to time mends that, too.
        self.follow_kernel();
        self.follow_routers();
        self.stale.tables |= self.path_mtus.expire(now);
        self.stale.tables |= self.waits_to_join();
        // A device that refused, or a queue that was busy, may have come round.
        if self.closed.values().any(|closed| closed.retry.is_due(now)) {
            self.stale.ports |= self.open_missing(now);
        }
        if now.is_multiple_of(FRESHNESS) {
            self.keep_fresh();
            self.turn_on_napi();
            self.keep_tags_seen(now);
            self.stale.tables |= self.burst_differs();
        }
        if self.fdb.wants_growth() {
            self.grow(0);
        }
    }

    /// Forgets learned entries and neighbours that were not seen for too long.
    fn age(&mut self, now: u32) {
        let Self { fdb, config, ids, book, .. } = self;
        let ageing = |domain: DomainId| {
            let vni = ids.domains.key(u32::from(domain.0)).and_then(|vni| config.vnis.get(vni));
            vni.map_or(VniConfig::AGEING, |vni| vni.ageing)
        };
        fdb.age(now, ageing);
        let forgotten = book.retain(|vni, _, seen| {
            let ageing = config.vnis.get(&vni).map_or(0, |vni| vni.ageing);
            ageing == 0 || now.saturating_sub(seen.at) <= ageing
        });
        self.stale.tables |= forgotten != 0;
        self.forget_aged();
        self.forget_moves();
    }

    /// What is to be said of a VNI whose local address is on none of our devices, so that nothing comes back to it.
    pub(super) fn absent_local(&self, vni: &VniConfig) -> Option<String> {
        let absent = vni.local.iter().find(|local| self.underlay.address(*local).is_empty())?;
        let vni = vni.vni;
        Some(format!(
            "VNI {vni}: its local address {absent} is on no device here; `ip addr add` it to an uplink, or `vtep-ctl vni replace` the VNI with one that is"
        ))
    }

    /// Whether a device can be burst to that could not when it was last published, or the reverse: a workload may turn
    /// NAPI on and off at its end, and nobody is told.
    fn burst_differs(&self) -> bool {
        let published = self.fleet.current();
        self.ports.values().any(|port| {
            let possible = self.burst_refusal(port).is_none();
            self.is_running(port) && possible != published.wiring.burst(port.id).is_some()
        })
    }

    fn keep_fresh(&mut self) {
        let active: Vec<_> = self.paths.next_hops().collect();
        if let Err(error) = self.underlay.keep_fresh(active) {
            tracing::debug!(%error, "the kernel does not refresh a next hop");
        }
    }

    /// Replaces the FDB by one twice as large or as large as is needed for `capacity` entries, while workers go on using it.
    pub(super) fn grow(&mut self, capacity: usize) {
        if let Some(larger) = self.fdb.grow(capacity) {
            self.fdb = Arc::new(larger);
            self.publish();
            // Nothing moves before every worker looks into both tables.
            if let Err(stuck) = self.fleet.settle() {
                tracing::error!(%stuck, "the forwarding database grows later");
                return;
            }
        }
        let mut patience = 100;
        loop {
            match self.fdb.migrate(MIGRATION_STEP) {
                Migration::Moving => {}
                Migration::Waiting if patience > 0 => {
                    // A worker has acknowledged the new view and is about to let go of the old one.
                    patience -= 1;
                    std::thread::sleep(Duration::from_micros(100));
                    self.fleet.sweep();
                }
                // The next tick goes on.
                Migration::Waiting | Migration::Blocked => return,
                Migration::Done => break,
            }
        }
        if let Some(grown) = self.fdb.grown() {
            self.fdb = Arc::new(grown);
            self.publish();
            tracing::info!(
                capacity = self.fdb.capacity(),
                entries = self.fdb.len(),
                "forwarding database grown"
            );
        }
        // Static entries that found no room have it now.
        self.stale.entries = true;
    }

    /// A place in words.
    pub(super) fn describe(&self, place: Place) -> String {
        match place {
            Place::Port(port) => self
                .ids
                .ports
                .key(u32::from(port.0))
                .map_or_else(|| "a removed port".to_owned(), Clone::clone),
            Place::Remote(remote) => self
                .ids
                .remotes
                .key(remote.0)
                .map_or_else(|| "a removed remote".to_owned(), |(_, address)| address.to_string()),
            Place::Group(group) => self
                .ids
                .groups
                .key(u32::from(group.0))
                .map_or_else(|| "a removed group".to_owned(), |(_, name)| format!("group {name}")),
        }
    }
}
