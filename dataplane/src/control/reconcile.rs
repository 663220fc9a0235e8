//! Brings what is into line with what is wanted: closes and opens ports, installs static entries, publishes. Called
//! whenever something is stale, and safe to call at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use forward::fdb::{Entry, Key, Kind};
use forward::link::Place;
use wire::{Mac, Vni};

use super::port::{OpenPort, Room};
use super::state::{FDB_CAPACITY, Stale, State};
use crate::config::{FdbKind, Keyed, PortConfig, PortRole};

/// How long a new port waits for a queue that another socket is about to let go of.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same while there are remotes that want to hear from us: about twice what the end of another port takes. The port is
/// tried again a second later, unless a request has added it, which is refused then.
const HASTE: Duration = Duration::from_millis(100);

impl State {
    /// Acts upon everything that is stale.
    pub(super) fn reconcile(&mut self) {
        if self.stale == Stale::default() {
            return;
        }
        let stale = std::mem::take(&mut self.stale);
        // First, as a farewell finds its way by what is about to be removed.
        self.follow_liveness();
        let gone = self.assign();
        if stale.ports {
            let obsolete = self.take_obsolete();
            self.close(obsolete);
            self.open_missing(self.now());
            self.share_chunks();
            self.turn_on_napi();
            self.see_tags();
        }
        self.publish();
        self.tell_hindrances();
        self.forget(&gone);
        if stale.entries || stale.ports {
            self.install_entries();
        }
    }

    /// Acts upon a change that somebody waits for: the reply says that it is so, hence it must be so in every worker.
    pub(super) fn put_in_force(&mut self) {
        self.reconcile();
        if let Err(stuck) = self.fleet.settle() {
            tracing::error!(%stuck, "a change is answered before it is in force everywhere");
        }
    }

    /// Takes out every open port that is not configured as it is open, or whose device is gone.
    fn take_obsolete(&mut self) -> Vec<OpenPort> {
        let Self { ports, config, underlay, .. } = self;
        let obsolete: Vec<String> = ports
            .iter()
            .filter(|(name, port)| {
                let wanted = config.ports.get(*name).is_some_and(|wanted| wanted.opens_as(&port.config));
                let present =
                    underlay.link(&port.config.device).is_some_and(|link| link.ifindex == port.ifindex);
                !(wanted && present)
            })
            .map(|(name, _)| name.clone())
            .collect();
        obsolete.iter().filter_map(|name| ports.remove(name)).collect()
    }

    /// Closes ports and forgets what was learned behind them.
    fn close(&mut self, ports: Vec<OpenPort>) {
        if ports.is_empty() {
            return;
        }
        // Nothing is sent to them any more once every worker has taken up tables without them.
        self.publish();
        if let Err(stuck) = self.fleet.settle() {
            tracing::error!(%stuck, "ports are closed all the same");
        }
        let places: BTreeSet<Place> = ports.iter().map(|port| Place::Port(port.id)).collect();
        for port in &ports {
            tracing::info!(port = port.config.name, device = port.config.device, "port closed");
        }
        // The kernel takes some 20 ms for the end of each program and each socket. Sessions wait for one of them at most: many
        // ports that end together would else take every remote away.
        let mut leaving = Vec::new();
        for port in ports {
            leaving.push(port.leave(&self.fleet));
            self.attend_sessions();
        }
        for port in &mut leaving {
            while port.close_next(&self.fleet) {
                self.attend_sessions();
            }
        }
        self.mdb.forget(|_, place| places.contains(&place));
        // What was written stays, for when the device is back.
        self.fdb.flush(|key, entry| places.contains(&entry.place) && self.is_learned(key, entry));
    }

    /// Opens every configured port that is not open, whose device is there, and for which it is time; says whether any did.
    pub(super) fn open_missing(&mut self, now: u32) -> bool {
        let missing: Vec<PortConfig> =
            self.config.ports.iter().filter(|port| !self.ports.contains_key(&port.name)).cloned().collect();
        let names: Vec<&String> = missing.iter().map(|port| &port.name).collect();
        self.closed.retain(|name, _| names.contains(&name));
        let mut opened = false;
        for port in missing {
            let patience = match self.closed.get(&port.name) {
                Some(closed) if !closed.retry.is_due(now) => continue,
                // It has been waited for. There are remotes that want to hear from us.
                Some(_) => Duration::ZERO,
                None if self.liveness.has_used() => HASTE,
                None => PATIENCE,
            };
            let outcome = self.open(&port, patience);
            self.attend_sessions();
            match outcome {
                Ok(open) => {
                    self.opened(open);
                    opened = true;
                }
                Err(why) => {
                    let closed = self.closed.entry(port.name.clone()).or_default();
                    closed.retry.failed(now);
                    // Said once, not at every attempt.
                    if closed.why != why {
                        tracing::warn!(port = port.name, device = port.device, why, "port not open");
                        closed.why = why;
                    }
                }
            }
        }
        opened
    }

    /// A port has come to be open.
    fn opened(&mut self, open: OpenPort) {
        let PortConfig { name, device, .. } = &open.config;
        tracing::info!(port = name, device, mode = %open.mode, queues = open.queues.len(), "port open");
        let cramped = self.underlay.link_by_index(open.ifindex);
        let cramped = cramped.and_then(|link| self.cramped(&open, link));
        for reason in open.degraded.iter().chain(&cramped) {
            tracing::warn!(port = name, reason, "the port does with less");
        }
        self.closed.remove(name);
        self.ports.insert(name.clone(), open);
    }

    fn open(&self, config: &PortConfig, patience: Duration) -> Result<OpenPort, String> {
        let Some(link) = self.underlay.link(&config.device) else {
            return Err(format!("there is no device {} in this network namespace", config.device));
        };
        if let PortRole::Access { vni } = config.role
            && self.domain_id(vni).is_none()
        {
            return Err(format!("VNI {vni} is not configured"));
        }
        let id = self.port_id(&config.name).ok_or_else(|| "all port indices are taken".to_owned())?;
        let mut load = self.load();
        let room = Room { segments: self.jumbo.is_some(), patience };
        OpenPort::open(&self.steering, &self.fleet, id, config, link, room, &mut load)
            .map_err(|error| error.to_string())
    }

    /// Makes the written entries of the FDB those of the configuration.
    fn install_entries(&mut self) {
        let wanted: BTreeMap<(Vni, Mac), (Place, Kind)> = self
            .config
            .fdb
            .iter()
            .filter_map(|entry| {
                Some((entry.key(), (self.place(entry.vni, &entry.destination)?, kind(entry.kind))))
            })
            .collect();
        let obsolete: Vec<(Vni, Mac)> =
            self.installed.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for (vni, mac) in obsolete {
            self.uninstall(vni, mac);
        }
        self.make_room(wanted.keys().filter(|key| !self.installed.contains_key(key)).count());
        for ((vni, mac), (place, kind)) in wanted {
            if self.installed.get(&(vni, mac)) != Some(&(place, kind)) {
                self.install(vni, mac, place, kind);
            }
        }
    }

    /// Grows the FDB at once if so many more written entries would not fit, so that frames to them are not flooded until
    /// it has doubled, once a second, often enough.
    fn make_room(&mut self, entries: usize) {
        let needed = self.fdb.len() + entries;
        if entries > 0 && (needed > self.fdb.capacity() || self.fdb.wants_growth()) {
            self.grow(needed + FDB_CAPACITY);
        }
    }

    /// Writes one entry in a single step, so that no frame finds neither the old nor the new one. One that finds no
    /// room waits for the FDB to grow.
    pub(super) fn install(&mut self, vni: Vni, mac: Mac, place: Place, kind: Kind) {
        let Some(domain) = self.domain_id(vni) else { return };
        match self.fdb.set(Key::new(domain, mac), place, kind, self.now()) {
            Ok(_) => {
                self.installed.insert((vni, mac), (place, kind));
                if kind.ages() {
                    self.sticky.insert((vni, mac));
                } else {
                    self.sticky.remove(&(vni, mac));
                }
            }
            Err(_) => self.stale.entries = true,
        }
    }

    /// Whether an entry of the FDB was learned, even if its address has been frozen since.
    pub(super) fn is_learned(&self, key: Key, entry: &Entry) -> bool {
        let is_written = || self.vni(key.domain()).is_some_and(|vni| self.sticky.contains(&(vni, key.mac())));
        match entry.kind {
            Kind::Dynamic => true,
            Kind::Sticky => !is_written(),
            Kind::Static | Kind::External => false,
        }
    }

    /// Removes one written entry.
    pub(super) fn uninstall(&mut self, vni: Vni, mac: Mac) {
        self.installed.remove(&(vni, mac));
        self.sticky.remove(&(vni, mac));
        if let Some(domain) = self.domain_id(vni) {
            self.fdb.remove(Key::new(domain, mac));
        }
    }
}

/// How the database knows a kind.
pub(super) const fn kind(kind: FdbKind) -> Kind {
    match kind {
        FdbKind::Static => Kind::Static,
        FdbKind::External => Kind::External,
        FdbKind::Sticky => Kind::Sticky,
    }
}
