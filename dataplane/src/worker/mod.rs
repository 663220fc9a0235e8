//! A worker: one thread, one CPU, its own queues and its own free chunks. It moves frames and decides nothing; what it
//! needs to know comes in the published state, and queues come and go through its mailbox. It never blocks on another
//! thread.

pub mod bell;
mod cost;
mod gauges;
pub mod handover;
mod histogram;
mod idle;
mod jumbo;
mod meter;
mod originate;
mod plane;
mod queue;
mod threshold;
mod transmit;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use crossbeam_channel::{Receiver, Sender};
use forward::counters::Counters;
use forward::ids::PortId;
use forward::limits::BATCH;
use forward::link::Event;
use forward::pipeline::Pipeline;
use rtrb::{Consumer, Producer};
use xsk::{Burst, Chunk, Umem};

use self::bell::Bell;
use self::cost::Stage;
use self::handover::Neighbour;
use self::idle::Idle;
use self::jumbo::{Jumbo, Received};
use self::meter::Meter;
use self::plane::{Plane, STAGE};
use crate::config::WorkerConfig;
use crate::publish::{Published, Subscription};

pub use self::cost::{CostReading, SAMPLE};
pub use self::gauges::{Gauges, Reading};
pub use self::histogram::Snapshot;
pub use self::meter::Measurements;
pub use self::originate::{LONGEST, Outbound, WAITING};
pub use self::queue::{Queue, QueueParts};
pub use self::threshold::{Costs, Threshold};

/// Batches that one queue may bring in one round before the next queue has its turn. Several, because a system call
/// at the end of the round costs less the more frames share it: with 16 a worker under full load forwards a seventh
/// more than with 4, and a round lasts a quarter of a millisecond at most.
const BATCHES_PER_ROUND: usize = 16;

/// How long a queue that is taken down may take to transmit what it holds.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the control thread asks of a worker.
pub enum Command {
    /// Serve this queue from now on.
    Add(Box<Queue>),
    /// Stop serving a queue: work off what it has received, wait for what it transmits, and send it back.
    Remove {
        /// The port.
        port: PortId,
        /// The queue of the port.
        index: u32,
        /// Where the queue goes.
        to: Sender<Box<Queue>>,
    },
    /// Keep so many descriptors in the fill ring of a queue.
    Supply {
        /// The port.
        port: PortId,
        /// The queue of the port.
        index: u32,
        /// How many.
        fill: u32,
    },
    /// These chunks of the shared UMEM are free again.
    Chunks(Vec<Chunk>),
    /// Finish: work off everything and end the thread.
    Stop,
}

/// Everything that a worker starts with.
pub struct Equipment {
    /// Its number.
    pub id: u16,
    /// CPU and idle behaviour.
    pub config: WorkerConfig,
    /// The shared UMEM.
    pub umem: Arc<Umem>,
    /// Its chunks of it: those whose index divided by their number is `id`.
    pub chunks: Vec<Chunk>,
    /// Jumbo memory and its chunks of that, shared out likewise; `None` where there is to be none.
    pub jumbo: Option<(Arc<Umem>, Vec<Chunk>)>,
    /// Its rings to the others, by worker.
    pub neighbours: Vec<Option<Neighbour>>,
    /// Everybody's bells, by worker.
    pub bells: Vec<Bell>,
    /// The control thread's bell.
    pub control: Bell,
    /// Its burst transmitter, where the kernel has that.
    pub burst: Option<Burst>,
    /// What it counts.
    pub counters: Arc<Counters>,
    /// What it holds, for others to see.
    pub gauges: Arc<Gauges>,
    /// What it measures.
    pub measurements: Arc<Measurements>,
    /// Packets of BFD for the control thread.
    pub bfd_events: Producer<Event>,
    /// What else it tells the control thread.
    pub events: Producer<Event>,
    /// Frames of the control thread's to send.
    pub outbound: Consumer<Outbound>,
    /// What the control thread tells it.
    pub mailbox: Receiver<Command>,
    /// The published state.
    pub subscription: Subscription,
    /// The instant that [`forward::link::Now`] counts from.
    pub epoch: Instant,
}

/// A queue that is being taken down.
struct Leaving {
    port: PortId,
    index: u32,
    to: Sender<Box<Queue>>,
    since: Instant,
}

/// What is left when a worker has ended.
pub struct Remains {
    /// Queues that were not removed before.
    pub queues: Vec<Queue>,
    /// Free chunks of the shared UMEM.
    pub chunks: Vec<Chunk>,
    /// Free chunks of jumbo memory.
    pub jumbo: Vec<Chunk>,
    /// Its rings to the others, in which there may still be what they gave it afterwards.
    neighbours: Vec<Option<Neighbour>>,
}

impl Remains {
    /// All free chunks, of either memory, once every worker has ended.
    #[must_use]
    pub fn into_chunks(self) -> Vec<Chunk> {
        let Self { mut chunks, jumbo, neighbours, .. } = self;
        chunks.extend(jumbo);
        chunks.extend(neighbours.into_iter().flatten().flat_map(Neighbour::into_chunks));
        chunks
    }
}

/// A worker on its thread.
pub struct Worker {
    plane: Plane,
    pipeline: Pipeline,
    received: Vec<Chunk>,
    batch: ArrayVec<Chunk, BATCH>,
    subscription: Subscription,
    published: Arc<Published>,
    counters: Arc<Counters>,
    outbound: Consumer<Outbound>,
    mailbox: Receiver<Command>,
    leaving: Vec<Leaving>,
    stopping: bool,
    idle: Idle,
    gauges: Arc<Gauges>,
}

impl Worker {
    /// A worker ready to run.
    ///
    /// # Errors
    /// What epoll says.
    pub fn new(equipment: Equipment) -> std::io::Result<Self> {
        let Equipment { id, config, umem, chunks, neighbours, bells, control, counters, .. } = equipment;
        let mut subscription = equipment.subscription;
        let idle = Idle::new(config.busy, bells.get(usize::from(id)).cloned().map_or_else(Bell::new, Ok)?)?;
        let total = umem.chunks() as usize;
        let home_chunks = umem.chunks() / u32::try_from(bells.len().max(1)).unwrap_or(1);
        let mut free = Vec::with_capacity(total);
        free.extend(chunks);
        let plane = Plane {
            id,
            umem,
            free,
            home_chunks,
            jumbo: equipment.jumbo.map(|(umem, chunks)| Jumbo::new(umem, chunks, bells.len())),
            queues: Vec::new(),
            egress: Vec::new(),
            neighbours,
            copies: 0,
            handed: Vec::with_capacity(bells.len()),
            bells,
            staged: Vec::with_capacity(STAGE),
            burst: equipment.burst,
            threshold: Threshold::new(),
            burst_amounts: Vec::with_capacity(xsk::MAX_BURST),
            unsent: Vec::with_capacity(xsk::MAX_BURST),
            bursts: 0,
            refused_bursts: 0,
            refusal: 0,
            flushes: 0,
            meter: Meter::new(equipment.epoch, equipment.measurements),
            counters: Arc::clone(&counters),
            bfd_events: equipment.bfd_events,
            events: equipment.events,
            control,
            lost_events: 0,
            failed_flushes: 0,
            handed_over: 0,
        };
        Ok(Self {
            plane,
            pipeline: Pipeline::new(),
            received: Vec::with_capacity(BATCH),
            batch: ArrayVec::new(),
            published: Arc::clone(subscription.load()),
            subscription,
            counters,
            outbound: equipment.outbound,
            mailbox: equipment.mailbox,
            leaving: Vec::new(),
            stopping: false,
            idle,
            gauges: equipment.gauges,
        })
    }

    /// Works until told to stop.
    #[must_use]
    pub fn run(mut self) -> Remains {
        while !self.finished() {
            self.plane.meter.begin();
            self.take_up();
            let mut work = 0;
            for index in 0..self.plane.queues.len() {
                work += self.serve(index);
            }
            work += self.originate();
            work += self.plane.take_crossings();
            self.plane.meter.lap(Stage::Rest);
            self.plane.dispatch();
            self.plane.reap();
            self.plane.refill();
            self.gauges.write(&self.plane);
            self.plane.meter.end(work);
            work += self.obey();
            if work == 0 {
                let Self { idle, plane, outbound, mailbox, leaving, .. } = &mut self;
                let told = || !mailbox.is_empty() || !outbound.is_empty();
                idle.wait(|| plane.pending() || told() || !leaving.is_empty());
            } else {
                self.idle.reset();
            }
        }
        let jumbo = self.plane.jumbo.map(|jumbo| jumbo.free).unwrap_or_default();
        let Plane { queues, free: chunks, neighbours, .. } = self.plane;
        Remains { queues, chunks, jumbo, neighbours }
    }

    /// Some batches of one queue through the pipeline.
    fn serve(&mut self, index: usize) -> usize {
        let mut frames = 0;
        self.plane.copies = self.plane.free.len() / 2;
        for _ in 0..BATCHES_PER_ROUND {
            self.plane.meter.lap(Stage::Rest);
            let Some(received) = self.plane.receive(index, &mut self.received) else { break };
            let Received { port: ingress, frames: count, is_full } = received;
            frames += count;
            self.batch.extend(self.received.drain(..));
            let now = self.plane.meter.receive(count);
            let tables = &self.published.tables;
            self.pipeline.run(&mut self.plane, tables, &self.counters, now, ingress, &mut self.batch);
            if !is_full {
                break;
            }
        }
        frames
    }

    /// Frames that the control thread has made.
    fn originate(&mut self) -> usize {
        let mut frames = 0;
        while let Ok(outbound) = self.outbound.pop() {
            frames += usize::from(self.plane.originate(&self.published.tables, &outbound).is_some());
        }
        frames
    }

    /// Takes up what was published since the last round.
    fn take_up(&mut self) {
        let current = self.subscription.load();
        if !Arc::ptr_eq(current, &self.published) {
            self.published = Arc::clone(current);
            self.plane.rewire(&self.published.wiring);
        }
    }

    /// Whether the thread may end: told to, and nothing in hand.
    fn finished(&self) -> bool {
        self.stopping && self.leaving.is_empty() && !self.plane.pending() && self.plane.staged.is_empty()
    }
}

/// Queues coming and going.
impl Worker {
    /// Works off the mailbox; counts what it did.
    fn obey(&mut self) -> usize {
        let mut done = 0;
        while let Ok(command) = self.mailbox.try_recv() {
            done += 1;
            match command {
                Command::Add(queue) => self.add(*queue),
                Command::Remove { port, index, to } => self.remove(port, index, to),
                Command::Supply { port, index, fill } => self.plane.supply(port, index, fill),
                Command::Chunks(chunks) => chunks.into_iter().for_each(|chunk| self.plane.recycle(chunk)),
                Command::Stop => self.stopping = true,
            }
            self.plane.rewire(&self.published.wiring);
        }
        if !self.leaving.is_empty() {
            self.let_go();
        }
        done
    }

    fn add(&mut self, queue: Queue) {
        // A queue that cannot be watched is served all the same, if late after a sleep.
        let _ = self.idle.watch(queue.socket().as_fd());
        self.plane.queues.push(queue);
        self.plane.refill();
    }

    fn remove(&mut self, port: PortId, index: u32, to: Sender<Box<Queue>>) {
        if let Some(queue) = self.plane.queues.iter_mut().find(|queue| queue.name() == (port, index)) {
            queue.close();
            self.leaving.push(Leaving { port, index, to, since: Instant::now() });
        }
    }

    /// Sends back the queues that have nothing left to work off.
    fn let_go(&mut self) {
        let Self { plane, leaving, idle, .. } = self;
        leaving.retain(|Leaving { port, index, to, since }| {
            let Some(position) = plane.queues.iter().position(|queue| queue.name() == (*port, *index)) else {
                return false;
            };
            // A device that is down or gone never transmits what is in its ring.
            let busy = plane.queues.get(position).is_some_and(|queue| {
                queue.has_frames() || (queue.transmitting() != 0 && !queue.is_refusing())
            });
            if busy && since.elapsed() < FAREWELL {
                return true;
            }
            let queue = plane.queues.swap_remove(position);
            idle.unwatch(queue.socket().as_fd());
            // The receiver has given up waiting only if the daemon is ending.
            let _ = to.send(Box::new(queue));
            false
        });
        self.plane.rewire(&self.published.wiring);
    }
}
