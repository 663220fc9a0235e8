//! The control thread: owns the mutable truth, serves requests, follows the kernel, and publishes. It never touches a
//! frame, and workers never wait for it.

mod alarm;
mod belongings;
mod book;
mod buckets;
mod bursts;
mod change;
mod compile;
mod cpus;
mod follow;
mod groups;
mod hindrance;
mod ids;
mod joined;
mod liveness;
mod mdb;
mod moves;
mod napi;
mod operate;
mod path_mtu;
mod paths;
mod port;
mod protection;
mod provenance;
mod reconcile;
mod replace;
mod room;
pub mod server;
mod shares;
mod state;
mod supply;
mod tags;
mod trim;
mod trunks;
pub mod verbs;
mod view;

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use self::server::Server;
use crate::config::{Config, Origin};
use crate::notify::{self, Supervisor};
use crate::worker::bell::Bell;

pub use self::change::Reloaded;
pub use self::state::{StartError, State};

const UNDERLAY: Token = Token(0);
const WORKERS: Token = Token(1);
const SIGNALS: Token = Token(2);
const ROUTERS: Token = Token(3);
/// Tokens from here on are the server's.
const SERVER: usize = 16;

/// How often time-driven work is done.
const TICK: Duration = Duration::from_secs(1);

/// The control thread, ready to run.
pub struct Control {
    state: State,
    server: Server,
    poll: Poll,
    signals: Signals,
    bell: Bell,
    supervisor: Supervisor,
    /// The published state that the service manager was told of last.
    told: u64,
}

impl Control {
    /// Takes the control socket, starts the workers and opens the ports.
    ///
    /// # Errors
    /// [`StartError`]: what the host refuses that no port can do without.
    pub fn start(config: Config, origin: Origin, supervisor: Supervisor) -> Result<Self, StartError> {
        let host = |what: &str| {
            let what = what.to_owned();
            move |source| StartError::Host { what, source }
        };
        let poll = Poll::new().map_err(host("epoll"))?;
        let bell = Bell::new().map_err(host("eventfd"))?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(host("signal handlers"))?;
        // First, so that a second daemon is refused before it touches a device.
        let server = Server::bind(&config.daemon, poll.registry(), SERVER)
            .map_err(|error| StartError::Socket(error.to_string()))?;
        let mut state = State::start(config, origin, &bell)?;
        let registry = poll.registry();
        registry.register(&mut state.underlay, UNDERLAY, Interest::READABLE).map_err(host("netlink"))?;
        registry.register(&mut state.routers, ROUTERS, Interest::READABLE).map_err(host("ICMP"))?;
        registry
            .register(&mut SourceFd(&bell.as_fd().as_raw_fd()), WORKERS, Interest::READABLE)
            .map_err(host("eventfd"))?;
        registry.register(&mut signals, SIGNALS, Interest::READABLE).map_err(host("signals"))?;
        state.reconcile();
        Ok(Self { state, server, poll, signals, bell, supervisor, told: 0 })
    }

    /// Serves until a signal ends it, then drains: programs are detached first, what was received is forwarded, and
    /// the workers end.
    ///
    /// # Errors
    /// What epoll says.
    pub fn run(mut self) -> io::Result<()> {
        tracing::info!("ready");
        self.tell(Supervisor::ready);
        let mut events = Events::with_capacity(256);
        let mut next_tick = Instant::now() + TICK;
        loop {
            self.bell.prepare();
            let timeout = if self.state.fleet.has_events() {
                Duration::ZERO
            } else {
                let tick = next_tick.saturating_duration_since(Instant::now());
                self.state.liveness_timeout().map_or(tick, |due| due.min(tick))
            };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.bell.awake();
            self.bell.silence();
            for event in &events {
                match event.token() {
                    UNDERLAY => self.state.follow_kernel(),
                    ROUTERS => self.state.follow_routers(),
                    WORKERS => {}
                    SIGNALS => {
                        if self.heed_signals() {
                            self.tell(Supervisor::stopping);
                            self.state.shut_down();
                            return Ok(());
                        }
                    }
                    token => self.server.ready(token, &mut self.state),
                }
            }
            self.state.follow_workers();
            self.state.drive_liveness();
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + TICK;
                self.state.tick();
                self.tell_status();
                self.server.expire(Instant::now());
            }
            self.state.reconcile();
        }
    }

    /// Tells the service manager; one that does not listen changes nothing for the traffic.
    fn tell(&self, what: impl Fn(&Supervisor) -> Result<(), notify::Error>) {
        if let Err(error) = what(&self.supervisor) {
            tracing::warn!(%error, "the service manager was not told");
        }
    }

    /// Tells the service manager how things are, if anything has been published since it was told.
    fn tell_status(&mut self) {
        let version = self.state.fleet.current().version;
        if self.supervisor.is_there() && std::mem::replace(&mut self.told, version) != version {
            let summary = self.state.summary();
            self.tell(|supervisor| supervisor.status(&summary));
        }
    }

    /// Acts upon signals; says whether one asks for the end.
    fn heed_signals(&mut self) -> bool {
        let mut end = false;
        for signal in self.signals.pending() {
            match signal {
                SIGHUP => {
                    self.tell(Supervisor::reloading);
                    if let Err(refusal) = self.state.reload_file() {
                        tracing::error!(what = refusal.what, remedy = refusal.remedy, "not reloaded");
                    }
                    self.tell(Supervisor::ready);
                }
                _ => end = true,
            }
        }
        end
    }
}
