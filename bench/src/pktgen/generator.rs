//! The sending end: a thread that runs the generator's program on live frames.

use std::fmt;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aya::maps::{Array, MapData};
use aya::programs::ProgramFd;
use nix::sched::{CloneFlags, unshare};
use rustix::thread::{
    CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_setaffinity, set_current_timer_slack,
};

use super::Error;
use super::device::Device;
use super::headers::Headers;
use super::histogram::BUCKETS;
use super::pace::{self, Pace, ProbeConfig, Words};
use super::program::{GeneratorProgram, map_failure};
use super::traffic::Traffic;

/// How long one system call should take: its beginning costs some 15 µs, in which nothing is sent, and orders wait for its
/// end.
const CALL: Duration = Duration::from_millis(5);
/// Runs of the program in one system call at least and at most.
const RUNS: RangeInclusive<f64> = 64.0..=4_000_000.0;
/// Runs before devices transmit. More are cheaper, fewer are timelier.
const BATCH: u32 = 64;
const SMALL_BATCH: u32 = 16;
/// When nothing is due for as long, the thread sleeps. It wakes so much earlier, and then one call covers the time when the
/// frame is due.
const LULL: Duration = Duration::from_micros(200);
const EARLY: Duration = Duration::from_micros(100);

/// What a generator has sent since it was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// Frames for the device, probes included: the load offered.
    pub frames: u64,
    /// Their bytes, without frame check sequence, with tunnel headers.
    pub bytes: u64,
    /// Probes among them.
    pub probes: u64,
    /// Frames that a rate asked for and that were not sent, because the generator was more than 200 µs behind.
    pub skipped: u64,
    /// Of `frames`, those that the device was not given: it is gone or down, or its MTU too small.
    pub refused: u64,
    /// Of `frames`, those that the device did not take: its peer's ring was full, or the peer's MTU too small.
    pub dropped: u64,
}

/// A source of frames on a CPU of its own: a thread that is bound to it and keeps it busy unless it sends nothing or next to
/// nothing. Dropping it stops it.
pub struct Generator {
    device: Device,
    flows: u32,
    /// Bytes of the longest frame with all headers.
    largest: u32,
    orders: Sender<Order>,
    pace: Mutex<Pace>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and its owner share.
struct State {
    runs: Mutex<Array<MapData, Words>>,
    delays: Mutex<Array<MapData, u64>>,
    /// Why the thread ended by itself.
    failure: Mutex<Option<Error>>,
}

/// A pace to go over to, and whom to tell when that is done.
struct Order(Pace, Sender<Result<(), Error>>);

impl Generator {
    /// Makes ready to send traffic out of a device, from a thread bound to `cpu`. Nothing is sent before
    /// [`Generator::set_rate`].
    ///
    /// # Errors
    ///
    /// [`Error::Traffic`], [`Error::TooLong`], [`Error::Namespace`], [`Error::Device`], [`Error::Cpu`],
    /// [`Error::Program`], [`Error::Run`].
    pub fn start(device: &Device, traffic: &Traffic, cpu: usize) -> Result<Self, Error> {
        traffic.check().map_err(Error::Traffic)?;
        let (orders, received) = mpsc::channel();
        let (ready, started) = mpsc::channel();
        let (at, what) = (device.clone(), *traffic);
        let work = move || match Engine::new(&at, &what, cpu) {
            Ok(mut engine) => {
                // The owner waits for this.
                let _ = ready.send(Ok((Arc::clone(&engine.state), engine.initial.len() as u32)));
                engine.work(&received);
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("pktgen".to_owned()).spawn(work).map_err(Error::Run)?;
        let (state, largest) = started.recv().map_err(|_| Error::Stopped)??;
        let pace = Mutex::new(Pace::PAUSED);
        Ok(Self {
            device: device.clone(),
            flows: traffic.flows,
            largest,
            orders,
            pace,
            state,
            thread: Some(thread),
        })
    }

    /// Sends so many frames per second from now on: evenly spaced as far as a frame's own cost allows; `None` is as fast as
    /// possible, 0 is nothing. When it returns, the old rate is over: with 0, [`Generator::sent`] is final.
    ///
    /// A generator that falls more than 200 µs behind gives up what it owes ([`Sent::skipped`]).
    ///
    /// The device must have a driver that takes redirected frames, and an MTU that lets the frames pass; the peer of a
    /// veth must have an XDP program (an AF_XDP switch has, and so has [`super::Sink`]) or GRO. That is looked at whenever
    /// sending begins.
    ///
    /// # Errors
    ///
    /// [`Error::Rate`]; [`Error::Device`] when the device cannot; [`Error::Stopped`] or the reason why it has stopped.
    pub fn set_rate(&self, rate: Option<f64>) -> Result<(), Error> {
        self.change(|pace| pace.load = rate)
    }

    /// Sends probes, or none, beside the load.
    pub(super) fn set_probes(&self, probes: Option<ProbeConfig>) -> Result<(), Error> {
        if let Some(flow) = probes.and_then(|probes| probes.flow).filter(|flow| *flow >= self.flows) {
            return Err(Error::Traffic(format!(
                "flow {flow} of the probes: flows are numbered below {}",
                self.flows
            )));
        }
        self.change(|pace| pace.probes = probes)
    }

    fn change(&self, change: impl FnOnce(&mut Pace)) -> Result<(), Error> {
        let mut pace = lock(&self.pace);
        let mut wanted = *pace;
        change(&mut wanted);
        if pace.is_paused() && !wanted.is_paused() {
            self.device.within(|| self.examine())?;
        }
        let (done, answer) = mpsc::channel();
        let sent = self.orders.send(Order(wanted, done));
        let result =
            sent.map_err(|_| Error::Stopped).and_then(|()| answer.recv().map_err(|_| Error::Stopped));
        result.map_err(|stopped| lock(&self.state.failure).take().unwrap_or(stopped))??;
        *pace = wanted;
        Ok(())
    }

    /// Whether the device can take the frames; the calling thread must be in its namespace.
    fn examine(&self) -> Result<(), Error> {
        const ETHERNET: u32 = 14;
        const OPERATION: &str = "sending to it";
        let index = self.device.index()?;
        xsk::probe_redirect(index).map_err(|error| self.device.refuses(OPERATION, error.to_string()))?;
        let mtu = xsk::mtu(index).map_err(|error| self.device.refuses(OPERATION, error.to_string()))?;
        if mtu + ETHERNET < self.largest {
            let (largest, name, needed) = (self.largest, &self.device.name, self.largest - ETHERNET);
            let reason = format!("frames have up to {largest} bytes; `ip link set {name} mtu {needed}`");
            return Err(self.device.refuses(OPERATION, reason));
        }
        Ok(())
    }

    /// What has been sent so far.
    ///
    /// # Errors
    ///
    /// [`Error::Map`]; the reason why the generator has stopped by itself, once.
    pub fn sent(&self) -> Result<Sent, Error> {
        if let Some(failure) = lock(&self.state.failure).take() {
            return Err(failure);
        }
        let words = self.state.read()?;
        Ok(Sent {
            frames: words[pace::SENT],
            bytes: words[pace::BYTES],
            probes: words[pace::PROBES],
            skipped: words[pace::SKIPPED],
            refused: words[pace::REFUSED],
            dropped: words[pace::DROPPED],
        })
    }

    /// Counts of probes by how late they were made, since the generator was started.
    pub(super) fn delays(&self) -> Result<Vec<u64>, Error> {
        let delays = lock(&self.state.delays);
        let read = |bucket| delays.get(&bucket, 0).map_err(|error| map_failure("delays")(&error));
        (0..BUCKETS).map(read).collect()
    }

    /// Stops for good and tells what has been sent.
    ///
    /// # Errors
    ///
    /// As [`Generator::sent`].
    pub fn stop(mut self) -> Result<Sent, Error> {
        self.end();
        self.sent()
    }

    fn end(&mut self) {
        // The thread ends when nobody can give it orders any more.
        (self.orders, _) = mpsc::channel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Generator({}, {:?})", self.device, lock(&self.pace))
    }
}

impl State {
    fn read(&self) -> Result<Words, Error> {
        lock(&self.runs).get(&0, 0).map_err(|error| map_failure("runs")(&error))
    }

    /// The program must not be running.
    fn set(&self, pace: &Pace) -> Result<(), Error> {
        let mut words = self.read()?;
        pace.store(&mut words)?;
        lock(&self.runs).set(0, words, 0).map_err(|error| map_failure("runs")(&error))
    }
}

/// The thread's own.
struct Engine {
    state: Arc<State>,
    program: ProgramFd,
    /// Keeps the program attached.
    _loaded: aya::Ebpf,
    initial: Vec<u8>,
    pace: Pace,
    /// Seconds that a run of the program takes, lately.
    cost: f64,
    /// Whether the thread has just slept until something is nearly due.
    lull: bool,
}

impl Engine {
    /// Binds the calling thread to its CPU and moves it into a network namespace of its own: nothing there can interfere
    /// with the program, which is attached there. The device is elsewhere; the program's map of devices knows it.
    fn new(device: &Device, traffic: &Traffic, cpu: usize) -> Result<Self, Error> {
        let mut set = CpuSet::new();
        if cpu < CpuSet::MAX_CPU {
            set.set(cpu);
        }
        sched_setaffinity(None, &set).map_err(|errno| Error::Cpu { cpu, source: errno.into() })?;
        // Sleeps end when they should. Without it they last 50 µs longer, which EARLY would have to include.
        let _ = set_current_timer_slack(NonZeroU64::new(1));
        let headers = Headers::new(traffic)?;
        let largest = headers.inner + usize::from(traffic.size.all().into_iter().max().unwrap_or_default());
        let own = own_namespace().map_err(Error::Run)?;
        let mut program = GeneratorProgram::load(traffic, &headers, largest as u32)?;
        program.attach()?;
        device.enter()?;
        let index = device.index()?;
        program.devices.set(0, index, None, 0).map_err(|error| map_failure("devices")(&error))?;
        move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| Error::Run(errno.into()))?;
        let descriptor = program.descriptor()?;
        let (runs, delays, loaded) = program.into_parts();
        let state =
            Arc::new(State { runs: Mutex::new(runs), delays: Mutex::new(delays), failure: Mutex::new(None) });
        let initial = vec![0; largest];
        let engine = Self {
            state,
            program: descriptor,
            _loaded: loaded,
            initial,
            pace: Pace::PAUSED,
            cost: 1e-6,
            lull: false,
        };
        engine.state.set(&Pace::PAUSED)?;
        // Nothing is due: this shows whether the kernel can, and whether such frames fit.
        engine.run(1, 1).map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => Error::TooLong { bytes: largest },
            _ => Error::Run(error),
        })?;
        Ok(engine)
    }

    /// Sends as ordered until there is nobody left to give orders.
    fn work(&mut self, orders: &Receiver<Order>) {
        while let Some(order) = self.next(orders) {
            let result = match order {
                Some(Order(pace, done)) => {
                    let result = self.state.set(&pace);
                    if result.is_ok() {
                        self.pace = pace;
                    }
                    // Whoever gave the order may have gone.
                    let _ = done.send(result);
                    Ok(())
                }
                None => self.send(),
            };
            if let Err(error) = result {
                *lock(&self.state.failure) = Some(error);
                return;
            }
        }
    }

    /// The next order; nothing when frames are due first; `None` at the end.
    fn next(&mut self, orders: &Receiver<Order>) -> Option<Option<Order>> {
        let wait = match self.state.read() {
            Ok(words) => pace::idle(&words),
            Err(_) => Some(Duration::ZERO),
        };
        let Some(wait) = wait else { return orders.recv().ok().map(Some) };
        self.lull = wait > LULL;
        match orders.recv_timeout(if self.lull { wait - EARLY } else { Duration::ZERO }) {
            Ok(order) => Some(Some(order)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Runs the program for a while.
    fn send(&mut self) -> Result<(), Error> {
        let flat_out = self.pace.load.is_none() && self.pace.probes.is_none();
        let wanted = if self.lull { 2 * EARLY } else { CALL };
        let runs = (wanted.as_secs_f64() / self.cost).clamp(*RUNS.start(), *RUNS.end());
        let start = Instant::now();
        let result = self.run(runs as u32, if flat_out { BATCH } else { SMALL_BATCH });
        // Half of it is forgotten each time: a run is cheap or dear depending on what is due.
        self.cost = (self.cost + start.elapsed().as_secs_f64() / runs) / 2.0;
        match result {
            // A signal ended it between two batches.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result.map_err(Error::Run),
        }
    }

    fn run(&self, runs: u32, batch: u32) -> io::Result<()> {
        xsk::run_live_frames(&self.program, &self.initial, runs, batch)
    }
}

/// Moves the calling thread into a new network namespace.
fn own_namespace() -> io::Result<File> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    File::open("/proc/thread-self/ns/net")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
