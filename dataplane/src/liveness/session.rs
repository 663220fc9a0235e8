//! One BFD session in asynchronous mode (RFC 5880): a state machine that is told the time and what comes, and says what
//! is to be sent. It knows neither sockets nor clocks; time is the duration since any fixed moment.

use std::time::Duration;

use wire::bfd::{Control, State};

/// The slowest rate at which a session that is not up may be sent at (section 6.8.3).
const SLOW: Duration = Duration::from_secs(1);

/// Why a session went down (section 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Diagnostic {
    /// It did not.
    #[default]
    Nothing = 0,
    /// Nothing came within the detection time.
    DetectionTimeExpired = 1,
    /// The other side said that it is down.
    NeighborSignalledDown = 3,
}

impl Diagnostic {
    /// In words.
    #[must_use]
    pub const fn words(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::DetectionTimeExpired => Some("nothing came within the detection time"),
            Self::NeighborSignalledDown => Some("the peer says that it does not hear us"),
        }
    }
}

/// What a session is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionConfig {
    /// How often packets are sent and wanted while it is up.
    pub interval: Duration,
    /// Packets of ours that may be lost in sequence before the other side takes it to be down.
    pub multiplier: u8,
    /// How often echo packets are looped back at most; nothing if not at all.
    pub echo: Option<Duration>,
}

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    diagnostic: Diagnostic,
    my_discriminator: u32,
    /// What the other side said last.
    remote: Option<Control>,
    /// Whether it must still be told of the interval (section 6.5).
    polling: bool,
    /// Whether it wants an answer at once.
    owes_final: bool,
    next: Duration,
    /// When the other side counts as silent.
    deadline: Option<Duration>,
}

fn microseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

impl Session {
    /// A session that is down and sends at once. `discriminator` is not 0, and no other session's.
    #[must_use]
    pub const fn new(config: SessionConfig, discriminator: u32, now: Duration) -> Self {
        Self {
            config,
            state: State::Down,
            diagnostic: Diagnostic::Nothing,
            my_discriminator: discriminator,
            remote: None,
            polling: false,
            owes_final: false,
            next: now,
            deadline: None,
        }
    }

    /// Its state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Why it last went down.
    #[must_use]
    pub const fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// What the other side calls us by.
    #[must_use]
    pub const fn discriminator(&self) -> u32 {
        self.my_discriminator
    }

    /// Whether the other side has been taken down by its operator, which says nothing about the path.
    #[must_use]
    pub fn is_held_down(&self) -> bool {
        self.remote.is_some_and(|remote| remote.state == State::AdminDown)
    }

    /// How often the other side sends at least, while it is up.
    #[must_use]
    pub fn expected(&self) -> Duration {
        let desired = self.remote.map_or(0, |remote| remote.desired_min_tx);
        self.config.interval.max(Duration::from_micros(desired.into()))
    }

    /// How often the other side loops echo packets back at most; nothing if it does not, or while the session is not
    /// up (section 6.8.9).
    #[must_use]
    pub fn echo_interval(&self) -> Option<Duration> {
        let least = self.remote.filter(|_| self.state == State::Up)?.required_min_echo_rx;
        (least != 0).then(|| Duration::from_micros(least.into()))
    }

    /// When [`Session::poll`] has something to do.
    #[must_use]
    pub fn due(&self) -> Duration {
        if self.owes_final { Duration::ZERO } else { self.deadline.map_or(self.next, |it| it.min(self.next)) }
    }

    /// What the time has brought: a session that goes down, a packet to send. `jitter`, from 0 to 255, takes up to a
    /// quarter off the interval (section 6.8.7).
    pub fn poll(&mut self, now: Duration, jitter: u8) -> Option<Control> {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.deadline = None;
            self.remote = None;
            if self.state != State::Down {
                self.go_down(Diagnostic::DetectionTimeExpired);
            }
        }
        if self.owes_final {
            self.owes_final = false;
            return Some(Control { poll: false, is_final: true, ..self.packet() });
        }
        let wanted = self.remote.is_none_or(|remote| remote.required_min_rx != 0);
        if now < self.next {
            return None;
        }
        // With a multiplier of 1 every packet counts: a tenth must be taken off at least.
        let (least, most) = if self.config.multiplier == 1 { (10, 25) } else { (0, 25) };
        let off = least * 256 + (most - least) * u32::from(jitter);
        self.next = now + self.interval() * (25_600 - off) / 25_600;
        wanted.then(|| Control { poll: self.polling, ..self.packet() })
    }

    /// A packet for this session has come.
    pub fn receive(&mut self, now: Duration, packet: Control) {
        let before = self.interval();
        self.remote = Some(packet);
        if packet.is_final {
            self.polling = false;
        }
        self.owes_final |= packet.poll;
        match (self.state, packet.state) {
            (State::AdminDown, _) => {}
            (State::Down, State::Down) => self.state = State::Init,
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => self.go_up(),
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => {
                self.go_down(Diagnostic::NeighborSignalledDown);
            }
            (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up) => {}
        }
        // A faster rate holds from the next packet on.
        let faster = self.interval();
        if faster < before {
            self.next = self.next.min(now + faster);
        }
        let multiplier = u32::from(packet.detect_multiplier);
        self.deadline = Some(now + self.expected() * multiplier);
    }

    /// The packet that takes the session down on the other side without telling it of a fault.
    #[must_use]
    pub fn farewell(&self) -> Control {
        Control { state: State::AdminDown, diagnostic: 7, poll: false, ..self.packet() }
    }

    fn go_up(&mut self) {
        self.state = State::Up;
        self.diagnostic = Diagnostic::Nothing;
        // The rate changes from the slow one.
        self.polling = true;
    }

    fn go_down(&mut self, why: Diagnostic) {
        self.state = State::Down;
        self.diagnostic = why;
        self.polling = false;
    }

    /// Least interval at which we would like to send.
    fn desired(&self) -> Duration {
        if self.state == State::Up { self.config.interval } else { self.config.interval.max(SLOW) }
    }

    /// The interval at which we send.
    fn interval(&self) -> Duration {
        let required = self.remote.map_or(0, |remote| remote.required_min_rx);
        self.desired().max(Duration::from_micros(required.into()))
    }

    fn packet(&self) -> Control {
        Control {
            diagnostic: self.diagnostic as u8,
            state: self.state,
            poll: false,
            is_final: false,
            detect_multiplier: self.config.multiplier,
            my_discriminator: self.my_discriminator,
            your_discriminator: self.remote.map_or(0, |remote| remote.my_discriminator),
            desired_min_tx: microseconds(self.desired()),
            required_min_rx: microseconds(self.config.interval),
            required_min_echo_rx: self.config.echo.map_or(0, microseconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const CONFIG: SessionConfig = SessionConfig {
        interval: Duration::from_millis(300),
        multiplier: 3,
        echo: Some(Duration::from_millis(10)),
    };

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Two sessions and the wire between them; `passes` says whether a packet gets through.
    struct Pair {
        sessions: [Session; 2],
        now: Duration,
    }

    impl Pair {
        fn new() -> Self {
            Self { sessions: [1, 2].map(|number| Session::new(CONFIG, number, ms(0))), now: ms(0) }
        }

        fn run(&mut self, until: Duration, mut passes: impl FnMut(usize) -> bool) {
            while self.now < until {
                let due = self.sessions.iter().map(Session::due).min().unwrap();
                self.now = self.now.max(due);
                for from in 0..2 {
                    while let Some(packet) = self.sessions[from].poll(self.now, 128) {
                        let (packet, _) = Control::parse(&packet.to_bytes()).unwrap();
                        if passes(from) {
                            self.sessions[1 - from].receive(self.now, packet);
                        }
                    }
                }
            }
        }

        fn states(&self) -> [State; 2] {
            self.sessions.each_ref().map(Session::state)
        }
    }

    #[test]
    fn both_come_up_go_down_within_the_detection_time_and_come_up_again() {
        let mut pair = Pair::new();
        pair.run(ms(3000), |_| true);
        assert_eq!(pair.states(), [State::Up; 2]);
        assert!(pair.sessions.iter().all(|session| !session.polling), "the poll has been answered");
        assert_eq!(pair.sessions[0].expected(), ms(300));
        pair.run(ms(4500), |_| false);
        assert_eq!(pair.states(), [State::Down; 2], "900 ms and what was under way");
        assert_eq!(pair.sessions[0].diagnostic(), Diagnostic::DetectionTimeExpired);
        pair.run(ms(8000), |_| true);
        assert_eq!(pair.states(), [State::Up; 2]);
        assert_eq!(pair.sessions[0].diagnostic(), Diagnostic::Nothing);
    }

    #[test]
    fn one_way_loss_takes_both_down() {
        let mut pair = Pair::new();
        pair.run(ms(3000), |_| true);
        pair.run(ms(4200), |from| from == 0);
        assert_ne!(pair.states()[0], State::Up);
        pair.run(ms(5400), |from| from == 0);
        assert!(pair.states().iter().all(|state| *state != State::Up), "{:?}", pair.states());
    }

    #[test]
    fn a_session_that_is_not_up_sends_once_a_second() {
        let mut session = Session::new(CONFIG, 1, ms(0));
        let mut sent = 0;
        for now in 0..10_000 {
            sent += usize::from(session.poll(ms(now), 0).is_some());
        }
        assert_eq!(sent, 10);
    }

    #[test]
    fn a_poll_is_answered_at_once_and_a_peer_held_down_is_no_fault() {
        let mut session = Session::new(CONFIG, 1, ms(0));
        let _ = session.poll(ms(0), 0);
        let packet = Control { poll: true, ..Session::new(CONFIG, 2, ms(0)).packet() };
        session.receive(ms(10), packet);
        assert_eq!(session.due(), ms(0));
        let answer = session.poll(ms(10), 0).unwrap();
        assert!(answer.is_final && answer.your_discriminator == 2 && answer.state == State::Init);
        assert_eq!(session.poll(ms(10), 0), None);
        session.receive(ms(20), Control { state: State::Up, your_discriminator: 1, ..packet });
        assert_eq!(session.state(), State::Up);
        session.receive(ms(30), Session::new(CONFIG, 2, ms(0)).farewell());
        assert_eq!((session.state(), session.is_held_down()), (State::Down, true));
    }

    #[test]
    fn a_slow_peer_is_given_its_time() {
        let mut session = Session::new(CONFIG, 1, ms(0));
        let slow = Control {
            desired_min_tx: 2_000_000,
            required_min_rx: 5_000_000,
            ..Session::new(CONFIG, 2, ms(0)).packet()
        };
        session.receive(ms(0), slow);
        session.receive(ms(0), Control { state: State::Init, your_discriminator: 1, ..slow });
        assert_eq!((session.state(), session.expected()), (State::Up, ms(2000)));
        assert!(session.poll(ms(0), 0).is_some());
        assert!(session.next >= ms(3750), "no more often than the peer can receive: {:?}", session.next);
        let _ = session.poll(ms(5999), 0);
        assert_eq!(session.state(), State::Up);
        let _ = session.poll(ms(6000), 0);
        assert_eq!(session.state(), State::Down);
    }

    /// The states of RFC 5880 section 6.8.6 as a table.
    fn model(state: State, packet: State) -> State {
        match (state, packet) {
            (_, State::AdminDown) | (State::Up, State::Down) => State::Down,
            (State::Down, State::Down) => State::Init,
            (State::Down, State::Init) => State::Up,
            (State::Init, State::Init | State::Up) => State::Up,
            (same, _) => same,
        }
    }

    proptest! {
        #[test]
        fn states_are_those_of_the_rfc(steps in vec((0_u64..1500, 0_usize..5), 1..60)) {
            let mut session = Session::new(CONFIG, 1, ms(0));
            let (mut now, mut expected, mut heard) = (ms(0), State::Down, None);
            for (pause, what) in steps {
                now += ms(pause);
                // The time first: a session may have gone down.
                if heard.is_some_and(|heard| now >= heard + CONFIG.interval.max(ms(1000)) * 3) {
                    (expected, heard) = (State::Down, None);
                }
                let _ = session.poll(now, 0);
                prop_assert_eq!(session.state(), expected);
                let states = [State::AdminDown, State::Down, State::Init, State::Up];
                if let Some(state) = states.get(what) {
                    let packet = Control { state: *state, your_discriminator: 1, ..Session::new(CONFIG, 2, ms(0)).packet() };
                    session.receive(now, packet);
                    (expected, heard) = (model(expected, *state), Some(now));
                    prop_assert_eq!(session.state(), expected);
                }
                prop_assert!(session.due() <= now + SLOW);
            }
        }

        /// Whatever is lost for a while, both agree in the end that they hear each other.
        #[test]
        fn a_pair_comes_up_whatever_was_lost(losses in vec(any::<bool>(), 0..40)) {
            let mut pair = Pair::new();
            let mut lost = losses.iter();
            pair.run(ms(8000), |_| !lost.next().copied().unwrap_or(false));
            let end = pair.now + ms(10_000);
            pair.run(end, |_| true);
            prop_assert_eq!(pair.states(), [State::Up; 2]);
        }
    }
}
