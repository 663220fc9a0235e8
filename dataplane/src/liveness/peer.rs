//! What is known of one peer by asking it: whether it answers, on which paths, how fast, and how large packets may be. A
//! BFD session says whether it is there; what is more the session's echo packets find out.

use std::time::Duration;

use wire::bfd::{Control, ECHO_LENGTH, Echo, LENGTH, State};

use super::echo::{PathChange, Paths};
use super::mtu::{Found, Search};
use super::session::{Diagnostic, Session, SessionConfig};

/// What a peer is asked, and when it is believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerConfig {
    /// The session.
    pub session: SessionConfig,
    /// Packets that must come before a peer that was lost is used again, no two of them or of echoes lost in sequence.
    pub recovery: u16,
    /// Paths that are tried in turn, each by a source port of its own.
    pub paths: u8,
    /// Whether the path MTU is looked for.
    pub path_mtu: bool,
}

/// Whether frames may be sent to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verdict {
    /// Nothing is known: it has never answered, or its operator has taken the session down.
    #[default]
    Init,
    /// It answers.
    Up,
    /// It answered, and does not any more; or not for long enough yet.
    Down,
}

/// A packet that is to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// What it says.
    pub payload: Payload,
    /// The path, by number.
    pub path: usize,
    /// Its size as the underlay is to see it; as it comes by default.
    pub packet: Option<u16>,
}

/// What a packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Payload {
    /// A control packet.
    Control([u8; LENGTH]),
    /// An echo packet.
    Echo([u8; ECHO_LENGTH]),
}

/// What has come to be known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// The verdict is another one.
    Verdict(Verdict, Diagnostic),
    /// A path.
    Path(PathChange),
    /// The path MTU is another one.
    Mtu(Found),
}

/// One peer.
#[derive(Clone, Debug)]
pub struct Peer {
    config: PeerConfig,
    session: Session,
    paths: Paths,
    search: Option<Search>,
    verdict: Verdict,
    since: Duration,
    /// Packets that came in sequence since the peer was lost.
    good: u16,
    heard: Option<Duration>,
    next_echo: Duration,
    black_hole: Option<Duration>,
    turn: usize,
}

impl Peer {
    /// A peer that has not been asked yet. The discriminator is not 0 and no other peer's.
    #[must_use]
    pub fn new(config: PeerConfig, discriminator: u32, now: Duration) -> Self {
        Self {
            config,
            session: Session::new(config.session, discriminator, now),
            paths: Paths::new(config.paths.into()),
            search: None,
            verdict: Verdict::Init,
            since: now,
            good: 0,
            heard: None,
            next_echo: now,
            black_hole: None,
            turn: 0,
        }
    }

    /// What it is asked.
    #[must_use]
    pub const fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The paths.
    #[must_use]
    pub const fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Whether frames may be sent to it, and since when that is so.
    #[must_use]
    pub const fn verdict(&self) -> (Verdict, Duration) {
        (self.verdict, self.since)
    }

    /// The path MTU, once it is known, and since when there is a black hole above it.
    #[must_use]
    pub fn mtu(&self) -> Option<(Found, Option<Duration>)> {
        Some((self.search.as_ref()?.found()?, self.black_hole))
    }

    /// When [`Peer::poll`] has something to do.
    #[must_use]
    pub fn due(&self) -> Duration {
        let echo = self.session.echo_interval().map(|_| self.next_echo);
        let all = [Some(self.session.due()), echo, self.paths.due()];
        all.into_iter().flatten().min().unwrap_or_default()
    }

    /// Does what is due. `sizes` are those of an echo packet without padding and of the largest that the uplink takes, as
    /// the underlay sees them. `jitter` is any number.
    pub fn poll(
        &mut self,
        now: Duration,
        sizes: Option<(u16, u16)>,
        jitter: u8,
        out: &mut Vec<Transmit>,
        news: &mut Vec<News>,
    ) {
        while let Some(packet) = self.session.poll(now, jitter) {
            self.turn = (self.turn + 1) % self.paths.records().len();
            out.push(Transmit {
                payload: Payload::Control(packet.to_bytes()),
                path: self.turn,
                packet: None,
            });
        }
        self.judge(now, news);
        news.extend(self.paths.expire(now).into_iter().map(News::Path));
        if self.paths.lost_in_sequence() > 1 {
            self.good = 0;
        }
        let Some(least) = self.session.echo_interval() else {
            self.paths.reset();
            return;
        };
        if now < self.next_echo {
            return;
        }
        self.next_echo = now + least.max(self.config.session.interval);
        let path = self.paths.next_path();
        let sequence = self.paths.next_sequence();
        self.paths.sent(sequence, path, now);
        out.push(self.echo(sequence, path, None));
        if let Some(sizes) = sizes.filter(|_| self.config.path_mtu) {
            self.look_for_mtu(now, sizes, out, news);
        }
    }

    fn look_for_mtu(
        &mut self,
        now: Duration,
        (least, most): (u16, u16),
        out: &mut Vec<Transmit>,
        news: &mut Vec<News>,
    ) {
        let search = self.search.take().filter(|search| search.most() == most);
        let mut search = search.unwrap_or_else(|| Search::new(least, most));
        let before = search.found();
        if let Some(size) = search.poll(now, self.paths.patience()) {
            // Only what the size does is to be found out.
            let (path, sequence) = (self.paths.living_path(), self.paths.next_sequence());
            search.sent(sequence, now);
            out.push(self.echo(sequence, path, Some(size)));
        }
        let after = search.found();
        self.search = Some(search);
        self.tell_mtu(now, before, after, news);
    }

    fn tell_mtu(&mut self, now: Duration, before: Option<Found>, after: Option<Found>, news: &mut Vec<News>) {
        let Some(found) = after.filter(|_| before != after) else { return };
        self.black_hole = found.is_black_hole.then(|| self.black_hole.unwrap_or(now));
        news.push(News::Mtu(found));
    }

    fn echo(&self, sequence: u32, path: usize, packet: Option<u16>) -> Transmit {
        let echo = Echo {
            is_returned: false,
            path: u8::try_from(path).unwrap_or(u8::MAX),
            discriminator: self.session.discriminator(),
            sequence,
            sent: 0,
        };
        Transmit { payload: Payload::Echo(echo.to_bytes()), path, packet }
    }

    /// A control packet of the session has come.
    pub fn hear(&mut self, now: Duration, packet: Control, news: &mut Vec<News>) {
        self.session.receive(now, packet);
        // One may be lost: with a dead path among several one is in each turn. What the sender takes off its interval for
        // jitter makes a gap shorter, never longer.
        let gap = self.session.expected() * 11 / 4;
        let in_time = self.heard.is_some_and(|heard| now <= heard + gap);
        self.heard = Some(now);
        self.good =
            if self.session.state() == State::Up && in_time { self.good.saturating_add(1) } else { 0 };
        self.judge(now, news);
    }

    /// An echo of ours has come back after `round_trip`.
    pub fn hear_echo(&mut self, now: Duration, echo: &Echo, round_trip: Duration, news: &mut Vec<News>) {
        if echo.discriminator != self.session.discriminator() {
            return;
        }
        if let Some(search) = &mut self.search {
            let before = search.found();
            if search.returned(echo.sequence, now) {
                let after = search.found();
                self.tell_mtu(now, before, after, news);
                return;
            }
        }
        news.extend(self.paths.returned(echo.sequence, round_trip).map(News::Path));
    }

    fn judge(&mut self, now: Duration, news: &mut Vec<News>) {
        let is_up = self.session.state() == State::Up;
        let verdict = match self.verdict {
            _ if self.session.is_held_down() => Verdict::Init,
            Verdict::Init if is_up => Verdict::Up,
            Verdict::Up if !is_up => Verdict::Down,
            Verdict::Down if is_up && self.good >= self.config.recovery => Verdict::Up,
            same => same,
        };
        if verdict != self.verdict {
            (self.verdict, self.since, self.good) = (verdict, now, 0);
            news.push(News::Verdict(verdict, self.session.diagnostic()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn config() -> PeerConfig {
        let session = SessionConfig { interval: ms(100), multiplier: 3, echo: Some(ms(10)) };
        PeerConfig { session, recovery: 5, paths: 4, path_mtu: true }
    }

    /// Two peers and the wire between them, which `passes` says what of gets through: the sender, the path, the size.
    struct Pair {
        peers: [Peer; 2],
        now: Duration,
        news: [Vec<News>; 2],
    }

    impl Pair {
        fn new() -> Self {
            let peers = [1, 2].map(|number| Peer::new(config(), number, ms(0)));
            Self { peers, now: ms(0), news: [Vec::new(), Vec::new()] }
        }

        fn run(&mut self, time: Duration, mut passes: impl FnMut(usize, usize, u16) -> bool) {
            let end = self.now + time;
            while self.now < end {
                for from in 0..2 {
                    let mut out = Vec::new();
                    self.peers[from].poll(self.now, Some((116, 1500)), 7, &mut out, &mut self.news[from]);
                    for transmit in out {
                        if !passes(from, transmit.path, transmit.packet.unwrap_or(116)) {
                            continue;
                        }
                        match transmit.payload {
                            Payload::Control(bytes) => {
                                let (packet, _) = Control::parse(&bytes).unwrap();
                                self.peers[1 - from].hear(self.now, packet, &mut self.news[1 - from]);
                            }
                            Payload::Echo(bytes) if passes(1 - from, transmit.path, 116) => {
                                let (echo, _) = Echo::parse(&bytes).unwrap();
                                self.peers[from].hear_echo(self.now, &echo, ms(1), &mut self.news[from]);
                            }
                            Payload::Echo(_) => {}
                        }
                    }
                }
                self.now += ms(10);
            }
        }

        fn verdicts(&self) -> [Verdict; 2] {
            self.peers.each_ref().map(|peer| peer.verdict().0)
        }
    }

    #[test]
    fn a_peer_that_never_answered_is_not_lost() {
        let mut pair = Pair::new();
        pair.run(ms(20_000), |_, _, _| false);
        assert_eq!(pair.verdicts(), [Verdict::Init; 2]);
        assert_eq!(pair.news, [[], []]);
    }

    #[test]
    fn a_lost_peer_is_used_again_after_so_many_packets_without_two_lost() {
        let (mut peer, mut news) = (Peer::new(config(), 1, ms(0)), Vec::new());
        let mut hear = |peer: &mut Peer, now, state| {
            let packet = Control {
                diagnostic: 0,
                state,
                poll: false,
                is_final: false,
                detect_multiplier: 10,
                my_discriminator: 2,
                your_discriminator: 1,
                desired_min_tx: 100_000,
                required_min_rx: 100_000,
                required_min_echo_rx: 0,
            };
            peer.hear(ms(now), packet, &mut news);
            peer.verdict().0
        };
        hear(&mut peer, 0, State::Down);
        assert_eq!(hear(&mut peer, 100, State::Up), Verdict::Up);
        peer.poll(ms(2000), None, 0, &mut Vec::new(), &mut Vec::new());
        assert_eq!(peer.verdict().0, Verdict::Down);
        hear(&mut peer, 2100, State::Down);
        assert_eq!(hear(&mut peer, 2200, State::Init), Verdict::Down);
        assert_eq!(peer.session().state(), State::Up);
        let mut now = 2200;
        for pause in [100, 100, 300].repeat(10) {
            now += pause;
            assert_eq!(hear(&mut peer, now, State::Up), Verdict::Down, "two are lost again and again");
        }
        let verdicts: Vec<Verdict> = [100, 200, 100, 200, 100]
            .iter()
            .map(|pause| {
                now += pause;
                hear(&mut peer, now, State::Up)
            })
            .collect();
        assert_eq!(verdicts, [Verdict::Down, Verdict::Down, Verdict::Down, Verdict::Down, Verdict::Up]);
    }

    #[test]
    fn a_peer_that_does_not_get_our_packets_is_not_used_again() {
        let mut pair = Pair::new();
        pair.run(ms(4000), |_, _, _| true);
        pair.run(ms(1000), |_, _, _| false);
        assert_eq!(pair.verdicts(), [Verdict::Down; 2]);
        // Of the first's packets three in five are lost, of the second's none: what the second says sounds good.
        let mut count = 0;
        pair.run(ms(20_000), |from, _, _| {
            count += usize::from(from == 0);
            from == 1 || count % 5 < 2
        });
        assert_eq!(pair.verdicts(), [Verdict::Down; 2]);
        pair.run(ms(4000), |_, _, _| true);
        assert_eq!(pair.verdicts(), [Verdict::Up; 2]);
    }

    #[test]
    fn a_dead_path_and_a_black_hole_are_told_while_the_peer_stays_up() {
        let mut pair = Pair::new();
        pair.run(ms(30_000), |_, path, size| path != 2 && size <= 1450);
        assert_eq!(
            pair.verdicts(),
            [Verdict::Up; 2],
            "a quarter of the packets is lost, never three in sequence"
        );
        let found = Found { mtu: 1450, is_black_hole: true };
        let (mtu, since) = pair.peers[0].mtu().unwrap();
        assert_eq!((mtu, since.is_some()), (found, true));
        assert!(pair.news[0].contains(&News::Path(PathChange::Died(2))), "{:?}", pair.news[0]);
        assert!(pair.news[0].contains(&News::Mtu(found)));
        assert_eq!(pair.peers[0].paths().round_trip(), Some(ms(1)));
    }

    #[test]
    fn echoes_of_others_count_for_nothing() {
        let mut peer = Peer::new(config(), 1, ms(0));
        let echo = Echo { is_returned: true, path: 0, discriminator: 9, sequence: 1, sent: 0 };
        peer.hear_echo(ms(1), &echo, ms(1), &mut Vec::new());
        assert_eq!(peer.paths().round_trip(), None);
    }
}
