//! Sessions with peers: what they want sent becomes frames that workers send, and what comes of them becomes tables.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use arrayvec::ArrayVec;
use forward::bfd::{Address, HEADERS, Message};
use forward::entropy::{FIRST_SOURCE_PORT, SourcePorts};
use forward::fdb::Kind;
use forward::ids::RemoteId;
use forward::link::Place;
use forward::remote::Egress;
use forward::tables::Path;
use wire::bfd::{CONTROL_PORT, Control, ECHO_LENGTH, ECHO_PORT, Echo, SENT};
use wire::{Mac, Vni};

use super::path_mtu::{FLOOR_IPV4, FLOOR_IPV6};
use super::protection::MISPLACED_LOOKS;
use super::state::State;
use crate::config::{LivenessConfig, RemoteConfig};
use crate::liveness::{
    Diagnostic, Found, News, PathChange, Payload, Peer, PeerConfig, SessionConfig, Transmit, Verdict,
};
use crate::worker::Outbound;

/// Sessions are looked after at most this often, all that are due at once.
const GRANULARITY: Duration = Duration::from_millis(5);

/// Our address in packets over an underlay without IPv4, one that no host has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 0);

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    peers: BTreeMap<(Vni, IpAddr), Peer>,
    random: RandomState,
    /// Discriminators given, and numbers for jitter.
    drawn: u64,
    looked: Duration,
}

impl Liveness {
    /// A number that nobody can foresee.
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.random.hash_one(self.drawn)
    }

    /// A session's name, which no other has.
    fn discriminator(&mut self) -> u32 {
        loop {
            let [a, b, c, d, ..] = self.draw().to_be_bytes();
            let name = u32::from_be_bytes([a, b, c, d]);
            if name != 0 && self.peers.values().all(|peer| peer.session().discriminator() != name) {
                return name;
            }
        }
    }

    /// What is known of a peer; nothing if it is not asked.
    pub(super) fn peer(&self, vni: Vni, remote: IpAddr) -> Option<&Peer> {
        self.peers.get(&(vni, remote))
    }

    /// The path MTU of a peer, if there is a black hole above it: what is larger is better refused than lost. Not below what
    /// every link takes, as with what routers tell: the largest packets alone may be lost for other reasons.
    pub(super) fn narrowed(&self, vni: Vni, remote: IpAddr) -> Option<u16> {
        let (found, _) = self.peer(vni, remote)?.mtu()?;
        let floor = if remote.is_ipv4() { FLOOR_IPV4 } else { FLOOR_IPV6 };
        found.is_black_hole.then_some(found.mtu.max(floor))
    }

    /// Those who are asked.
    pub(super) fn keys(&self) -> impl Iterator<Item = (Vni, IpAddr)> {
        self.peers.keys().copied()
    }

    /// Whether any peer answers, and so counts on hearing from us.
    pub(super) fn has_used(&self) -> bool {
        self.peers.values().any(|peer| peer.verdict().0 == Verdict::Up)
    }

    /// Whether a peer is known not to answer.
    pub(super) fn is_down(&self, vni: Vni, remote: IpAddr) -> bool {
        self.peer(vni, remote).is_some_and(|peer| peer.verdict().0 == Verdict::Down)
    }
}

fn peer_config(config: &LivenessConfig) -> PeerConfig {
    let LivenessConfig { multiplier, recovery, paths, path_mtu, .. } = *config;
    let session = SessionConfig { interval: config.duration(), multiplier, echo: Some(LivenessConfig::ECHO) };
    PeerConfig { session, recovery, paths, path_mtu }
}

impl State {
    /// Time as sessions count it: as frames do.
    fn elapsed(&self) -> Duration {
        self.fleet.epoch().elapsed()
    }

    /// Begins and ends sessions as the configuration says. Those of remotes that go end before these lose their indices.
    pub(super) fn follow_liveness(&mut self) {
        let wanted = |remote: &RemoteConfig| {
            let vni = self.config.vnis.get(&remote.vni)?;
            Some(((remote.vni, remote.address), peer_config(&remote.liveness_in(vni)?)))
        };
        let wanted: BTreeMap<(Vni, IpAddr), PeerConfig> =
            self.config.remotes.iter().filter_map(wanted).collect();
        let now = self.elapsed();
        let mut liveness = std::mem::take(&mut self.liveness);
        let gone: Vec<(Vni, IpAddr)> = liveness
            .peers
            .iter()
            .filter(|(key, peer)| wanted.get(*key) != Some(peer.config()))
            .map(|(key, _)| *key)
            .collect();
        let farewells = !gone.is_empty();
        for key in gone {
            if let Some(peer) = liveness.peers.remove(&key) {
                // The other side is not to take this for a loss.
                let payload = Payload::Control(peer.session().farewell().to_bytes());
                self.send_bfd(key, &Transmit { payload, path: 0, packet: None });
            }
        }
        if farewells {
            // By the tables that still have these remotes.
            self.fleet.wait_for_outbound();
        }
        for (key, config) in wanted {
            if !liveness.peers.contains_key(&key) {
                let discriminator = liveness.discriminator();
                liveness.peers.insert(key, Peer::new(config, discriminator, now));
            }
        }
        self.liveness = liveness;
    }

    /// How long until a session has something to do; nothing if there is none.
    pub(super) fn liveness_timeout(&self) -> Option<Duration> {
        let due = self.liveness.peers.values().map(Peer::due).min()?;
        Some(due.max(self.liveness.looked + GRANULARITY).saturating_sub(self.elapsed()))
    }

    /// Does what is due for every session.
    pub(super) fn drive_liveness(&mut self) {
        let now = self.elapsed();
        if self.liveness.peers.is_empty() || now < self.liveness.looked + GRANULARITY {
            return;
        }
        let mut liveness = std::mem::take(&mut self.liveness);
        liveness.looked = now;
        let [jitter, ..] = liveness.draw().to_be_bytes();
        let (mut out, mut news) = (Vec::new(), Vec::new());
        for (key, peer) in liveness.peers.iter_mut().filter(|(_, peer)| peer.due() <= now) {
            let sizes = self.packet_sizes(*key);
            peer.poll(now, sizes, jitter, &mut out, &mut news);
            for transmit in out.drain(..) {
                self.send_bfd(*key, &transmit);
            }
            self.heed(*key, &mut news);
        }
        self.liveness = liveness;
    }

    /// Hears and says what sessions need, in the midst of what takes control longer than they can wait: a silence of ours
    /// would be a loss to every peer. What comes of it is published with what is being done.
    pub(super) fn attend_sessions(&mut self) {
        if !self.liveness.peers.is_empty() {
            self.follow_workers();
            self.drive_liveness();
        }
    }

    /// A packet has come from a remote, at this time of frames.
    pub(super) fn hear_bfd(&mut self, remote: RemoteId, message: &Message, nanoseconds: u64) {
        let Some(&key) = self.ids.remotes.key(remote.0) else { return };
        let now = Duration::from_nanos(nanoseconds);
        let mut news = Vec::new();
        let Some(peer) = self.liveness.peers.get_mut(&key) else { return };
        match message {
            Message::Control(bytes) => {
                let Ok((packet, _)) = Control::parse(bytes) else { return };
                let ours = peer.session().discriminator();
                if packet.your_discriminator != 0 && packet.your_discriminator != ours {
                    return;
                }
                peer.hear(now, packet, &mut news);
            }
            Message::Echo(bytes) => {
                let Ok((echo, _)) = Echo::parse(bytes) else { return };
                let round_trip = Duration::from_nanos(nanoseconds.saturating_sub(echo.sent));
                peer.hear_echo(now, &echo, round_trip, &mut news);
            }
        }
        self.heed(key, &mut news);
    }

    /// Acts upon what has come to be known of a peer.
    fn heed(&mut self, (vni, remote): (Vni, IpAddr), news: &mut Vec<News>) {
        for news in news.drain(..) {
            match news {
                News::Verdict(verdict, why) => self.heed_verdict((vni, remote), verdict, why),
                News::Path(change) => {
                    let (path, dead) = match change {
                        PathChange::Died(path) => (path, true),
                        PathChange::Revived(path) => (path, false),
                    };
                    let source_port = self.source_port((vni, remote), path);
                    let vni = vni.value();
                    if dead {
                        tracing::warn!(vni, %remote, source_port, "nothing comes back on this path of the underlay");
                    } else {
                        tracing::info!(vni, %remote, source_port, "the path of the underlay answers again");
                    }
                }
                News::Mtu(Found { mtu, is_black_hole }) => {
                    self.stale.tables = true;
                    let is_told = self.is_told((vni, remote), mtu);
                    let vni = vni.value();
                    if is_black_hole && !is_told {
                        tracing::warn!(vni, %remote, "black hole above {mtu} bytes: larger packets are lost, and nobody says so");
                    } else {
                        tracing::info!(vni, %remote, mtu, "path MTU measured");
                    }
                }
            }
        }
    }

    /// Whether a router says that packets above this size do not pass, so that they are lost in no black hole.
    fn is_told(&self, (vni, remote): (Vni, IpAddr), mtu: u16) -> bool {
        let local = self.config.local_towards(vni, remote);
        local.and_then(|local| self.path_mtus.told((local, remote))).is_some_and(|told| told.mtu <= mtu)
    }

    fn heed_verdict(&mut self, (vni, remote): (Vni, IpAddr), verdict: Verdict, why: Diagnostic) {
        self.stale.tables = true;
        let number = vni.value();
        match verdict {
            Verdict::Up => tracing::info!(vni = number, %remote, "the remote answers and is used"),
            Verdict::Init => {
                tracing::info!(vni = number, %remote, "the remote's operator has taken the session down");
            }
            Verdict::Down => {
                let reason = why.words().unwrap_or("it does not answer");
                tracing::warn!(vni = number, %remote, reason, "the remote is withdrawn");
                if let Some(id) = self.remote_id(vni, remote) {
                    // Whoever was behind it may be behind another one: frames to them are flooded until they are heard.
                    let place = Place::Remote(id);
                    self.enforced.misplaced_looks = MISPLACED_LOOKS;
                    self.fdb.flush(|_, entry| entry.kind == Kind::Dynamic && entry.place == place);
                }
            }
        }
    }

    /// Sizes of an echo packet without padding and of the largest that the uplink takes, on the underlay. What it takes has
    /// room in frame memory.
    fn packet_sizes(&self, (vni, remote): (Vni, IpAddr)) -> Option<(u16, u16)> {
        let published = self.fleet.current();
        let egress = published.tables.remote(self.remote_id(vni, remote)?)?;
        let least = u16::try_from(HEADERS + ECHO_LENGTH).ok()? + egress.overhead();
        let most = egress.reach() + egress.overhead();
        (least <= most).then_some((least, most))
    }

    /// The outer source port of a path.
    pub(super) fn source_port(&self, (vni, remote): (Vni, IpAddr), path: usize) -> u16 {
        let local = self.config.local_towards(vni, remote);
        let ports = self.config.vnis.get(&vni).map_or(SourcePorts::DYNAMIC, |vni| vni.tunnel.source_ports);
        ports.port(address(Mac::ZERO, local, path).flow())
    }

    /// Gives a packet to a worker; which one differs from remote to remote, so that no worker sends all.
    fn send_bfd(&mut self, (vni, remote): (Vni, IpAddr), transmit: &Transmit) {
        let Some(id) = self.remote_id(vni, remote) else { return };
        let published = self.fleet.current();
        let Some(outbound) = published.tables.remote(id).and_then(|egress| outbound(egress, transmit)) else {
            return;
        };
        let worker = id.0 as usize % self.fleet.len();
        self.fleet.originate(worker, outbound);
    }
}

/// How packets on a path are addressed.
fn address(mac: Mac, local: Option<IpAddr>, path: usize) -> Address {
    let source = match local {
        Some(IpAddr::V4(local)) => local,
        _ => NOBODY,
    };
    let source_port = FIRST_SOURCE_PORT + u16::try_from(path).unwrap_or_default();
    Address { mac, source, source_port }
}

/// The frame of a packet; `None` while there is no way to the remote.
fn outbound(egress: &Egress, transmit: &Transmit) -> Option<Outbound> {
    let remote = egress.remote();
    let (Path::Resolved { source: mac, .. } | Path::Withdrawn { source: mac, .. }) = remote.path else {
        return None;
    };
    let on_path = address(mac, Some(remote.local), transmit.path);
    let (port, payload, address, stamp): (_, &[u8], _, _) = match &transmit.payload {
        // A session's source port stays the same (RFC 5881 section 4); only the outer one differs.
        Payload::Control(bytes) => (CONTROL_PORT, bytes, address(mac, Some(remote.local), 0), None),
        Payload::Echo(bytes) => (ECHO_PORT, bytes, on_path, Some(HEADERS + SENT)),
    };
    let whole = u16::try_from(HEADERS + payload.len()).ok()?;
    let length = transmit.packet.map_or(whole, |packet| packet.saturating_sub(egress.overhead()).max(whole));
    let headers = address.headers(port, length - u16::try_from(HEADERS).ok()?);
    let mut bytes = ArrayVec::new();
    bytes.try_extend_from_slice(&headers).ok()?;
    bytes.try_extend_from_slice(payload).ok()?;
    Some(Outbound { remote: remote.id, flow: on_path.flow(), bytes, length, stamp })
}

/// What is shown of sessions.
impl State {
    pub(super) fn liveness_view(&self, vni: Vni, remote: IpAddr) -> Option<api::Liveness> {
        let peer = self.liveness.peer(vni, remote)?;
        let now = self.elapsed();
        let ago = |at: Duration| now.saturating_sub(at).as_secs();
        let (verdict, since) = peer.verdict();
        let config = peer.config();
        let mtu = peer.mtu();
        let black_hole =
            mtu.and_then(|(found, since)| since.filter(|_| !self.is_told((vni, remote), found.mtu)));
        let paths = peer.paths().records().iter().enumerate().map(|(path, record)| api::LivenessPath {
            source_port: self.source_port((vni, remote), path),
            sent: record.sent,
            lost: record.lost,
            loss: record.recent_loss(),
            dead: record.is_dead(),
            rtt_us: record.round_trip.map(microseconds),
        });
        Some(api::Liveness {
            state: match verdict {
                Verdict::Init => api::LivenessState::Init,
                Verdict::Up => api::LivenessState::Up,
                Verdict::Down => api::LivenessState::Down,
            },
            since: ago(since),
            reason: peer.session().diagnostic().words().map(str::to_owned),
            interval: u32::try_from(config.session.interval.as_millis()).unwrap_or(u32::MAX),
            multiplier: config.session.multiplier,
            rtt_us: peer.paths().round_trip().map(microseconds),
            last_loss: peer.paths().last_loss().map(ago),
            mtu: mtu.map(|(found, _)| found.mtu),
            black_hole: black_hole.map(ago),
            paths: paths.collect(),
        })
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
