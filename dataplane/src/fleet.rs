//! All workers together, as the control thread sees them: it starts them, gives them queues, publishes to them, hears
//! from them and stops them. It never touches a frame.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use crossbeam_channel::{Receiver, Sender, unbounded};
use forward::counters::Counters;
use forward::ids::PortId;
use forward::link::Event;
use rtrb::{Consumer, Producer, RingBuffer};
use xsk::{Burst, Chunk, Umem};

use crate::config::WorkerConfig;
use crate::publish::{Publication, Published, Stuck};
use crate::worker::bell::Bell;
use crate::worker::handover::mesh;
use crate::worker::{
    Command, Equipment, Gauges, Measurements, Outbound, Queue, Reading, Remains, WAITING, Worker,
};

/// Events of one worker that may wait for the control thread: packets of BFD, and others.
const EVENTS: usize = 4096;

/// How long a worker may take to do what it is told before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(2);

/// A worker could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operating system refused the thread or its descriptors.
    #[error("worker {worker} could not be started: {source}")]
    Thread {
        /// The worker.
        worker: usize,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The CPU is not there, or not for this process.
    #[error(
        "worker {worker} could not be pinned to CPU {cpu}: this process may run on CPUs {allowed}; change `cpu` of that [[worker]] or the process's affinity"
    )]
    Pin {
        /// The worker.
        worker: usize,
        /// The CPU.
        cpu: u32,
        /// The CPUs there are.
        allowed: String,
    },
}

struct Member {
    config: WorkerConfig,
    mailbox: Sender<Command>,
    outbound: Producer<Outbound>,
    bell: Bell,
    counters: Arc<Counters>,
    gauges: Arc<Gauges>,
    measurements: Arc<Measurements>,
    bfd_events: Consumer<Event>,
    events: Consumer<Event>,
    thread: Option<JoinHandle<Remains>>,
}

/// A queue that a worker was asked for.
pub struct Returning(Receiver<Box<Queue>>);

impl Returning {
    /// Waits for it; `None` if the worker does not have it or does not answer in time.
    #[must_use]
    pub fn wait(self) -> Option<Queue> {
        self.0.recv_timeout(PATIENCE).ok().map(|queue| *queue)
    }
}

/// All workers.
pub struct Fleet {
    members: Vec<Member>,
    publication: Publication,
    epoch: Instant,
}

impl Fleet {
    /// Starts one thread per configured worker, one unpinned worker if none is configured, and shares out the chunks of the
    /// UMEM and of jumbo memory, if there is any.
    /// `burst` makes a worker's burst transmitter, where there can be one.
    ///
    /// # Errors
    /// [`StartError`]; workers already started are stopped.
    pub fn start(
        configs: &[WorkerConfig],
        umem: &Arc<Umem>,
        chunks: Vec<Chunk>,
        jumbo: Option<(Arc<Umem>, Vec<Chunk>)>,
        control: &Bell,
        first: Published,
        mut burst: impl FnMut(u16) -> Option<Burst>,
    ) -> Result<Self, StartError> {
        let configs = if configs.is_empty() { &[WorkerConfig::default()] } else { configs };
        check_cpus(configs)?;
        let epoch = Instant::now();
        let home_chunks = umem.chunks() as usize / configs.len();
        let failed = |worker| move |source| StartError::Thread { worker, source };
        let bells: Vec<Bell> =
            configs.iter().map(|_| Bell::new()).collect::<Result<_, _>>().map_err(failed(0))?;
        let publication = Publication::new(first, configs.len());
        let mut shares = share_out(chunks, configs.len(), home_chunks);
        let (jumbo, jumbo_chunks) = jumbo.unzip();
        let home_jumbo = jumbo.as_ref().map_or(0, |umem| umem.chunks() as usize / configs.len());
        let mut jumbo_shares = share_out(jumbo_chunks.unwrap_or_default(), configs.len(), home_jumbo);
        let mut fleet = Self { members: Vec::new(), publication, epoch };
        for (worker, neighbours) in mesh(configs.len(), home_chunks + home_jumbo).into_iter().enumerate() {
            let Some((&config, bell)) = configs.get(worker).zip(bells.get(worker)) else { break };
            let (mailbox, orders) = unbounded();
            let (bfd_events_in, bfd_events) = RingBuffer::new(EVENTS);
            let (events_in, events) = RingBuffer::new(EVENTS);
            let (outbound, outbound_out) = RingBuffer::new(WAITING);
            let id = u16::try_from(worker).unwrap_or(u16::MAX);
            let equipment = Equipment {
                id,
                config,
                umem: Arc::clone(umem),
                chunks: std::mem::take(&mut shares[worker]),
                jumbo: jumbo.clone().map(|umem| (umem, std::mem::take(&mut jumbo_shares[worker]))),
                neighbours,
                bells: bells.clone(),
                control: control.clone(),
                burst: burst(id),
                counters: Arc::new(Counters::new()),
                gauges: Arc::default(),
                measurements: Arc::default(),
                bfd_events: bfd_events_in,
                events: events_in,
                outbound: outbound_out,
                mailbox: orders,
                subscription: fleet.publication.subscribe(worker),
                epoch,
            };
            let (counters, gauges) = (Arc::clone(&equipment.counters), Arc::clone(&equipment.gauges));
            let measurements = Arc::clone(&equipment.measurements);
            let thread = launch(worker, equipment).map_err(failed(worker))?;
            let bell = bell.clone();
            fleet.members.push(Member {
                config,
                mailbox,
                outbound,
                bell,
                counters,
                gauges,
                measurements,
                bfd_events,
                events,
                thread: Some(thread),
            });
        }
        Ok(fleet)
    }

    /// How many workers there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Never: there is at least one worker.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The instant that frame time counts from.
    #[must_use]
    pub const fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Gives a worker a frame to send; forgets it if there are too many already.
    pub fn originate(&mut self, worker: usize, outbound: Outbound) {
        if let Some(member) = self.members.get_mut(worker) {
            let _ = member.outbound.push(outbound);
            member.bell.ring();
        }
    }

    /// Waits until workers have taken every frame that they were given to send: from then on those leave by the tables
    /// that are published now. A worker that is stuck is not waited for any longer than elsewhere.
    pub fn wait_for_outbound(&self) {
        let start = Instant::now();
        let waiting = |member: &Member| member.outbound.slots() < member.outbound.buffer().capacity();
        while self.members.iter().any(waiting) && start.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Gives a queue to a worker.
    pub fn add(&self, worker: u16, queue: Queue) {
        self.tell(worker, Command::Add(Box::new(queue)));
    }

    /// Has a worker keep so many descriptors in the fill ring of one of its queues.
    pub fn supply(&self, worker: u16, port: PortId, index: u32, fill: u32) {
        self.tell(worker, Command::Supply { port, index, fill });
    }

    /// Asks a worker for a queue, which it gives back once it has worked it off.
    #[must_use]
    pub fn take_back(&self, worker: u16, port: PortId, index: u32) -> Returning {
        let (to, from) = unbounded();
        self.tell(worker, Command::Remove { port, index, to });
        Returning(from)
    }

    /// Gives chunks of the shared UMEM back.
    pub fn give_chunks(&self, chunks: Vec<Chunk>) {
        if !chunks.is_empty() {
            self.tell(0, Command::Chunks(chunks));
        }
    }

    fn tell(&self, worker: u16, command: Command) {
        if let Some(member) = self.members.get(usize::from(worker)) {
            // A worker that has ended has nothing to do with queues any more.
            let _ = member.mailbox.send(command);
            member.bell.ring();
        }
    }

    /// Replaces the published state; workers take it up between two batches.
    pub fn publish(&mut self, next: Published) {
        self.publication.publish(next);
    }

    /// Frees earlier states that no worker holds any more.
    pub fn sweep(&mut self) {
        self.publication.sweep();
    }

    /// The published state.
    #[must_use]
    pub fn current(&self) -> Arc<Published> {
        self.publication.current()
    }

    /// Waits until every worker has taken up the current state: nothing of an older one is in use afterwards.
    ///
    /// # Errors
    /// [`Stuck`] names a worker that does not.
    pub fn settle(&self) -> Result<(), Stuck> {
        let version = self.current().version;
        self.wake();
        self.publication.settled(version, PATIENCE)
    }

    /// Wakes every worker that sleeps.
    pub fn wake(&self) {
        self.members.iter().for_each(|member| member.bell.ring());
    }

    /// Whether workers have told something that was not heard yet.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.members.iter().any(|member| !(member.events.is_empty() && member.bfd_events.is_empty()))
    }

    /// What the workers have told: packets of BFD first, oldest first per worker.
    pub fn events(&mut self) -> impl Iterator<Item = Event> {
        let rings = self.members.iter_mut().map(|member| (&mut member.bfd_events, &mut member.events));
        let (bfd, others): (Vec<_>, Vec<_>) = rings.unzip();
        bfd.into_iter().chain(others).flat_map(|ring| std::iter::from_fn(move || ring.pop().ok()))
    }

    /// Counters, gauges and configuration of each worker.
    pub fn observe(&self) -> impl Iterator<Item = (WorkerConfig, &Counters, Reading)> {
        self.members.iter().map(|member| (member.config, &*member.counters, member.gauges.read()))
    }

    /// What each worker has measured.
    pub fn measurements(&self) -> impl Iterator<Item = &Measurements> {
        self.members.iter().map(|member| &*member.measurements)
    }

    /// Ends all workers once they have worked off what they hold, and collects their free chunks and queues.
    #[must_use]
    pub fn stop(mut self) -> Vec<Remains> {
        self.end()
    }

    fn end(&mut self) -> Vec<Remains> {
        for worker in 0..self.members.len() {
            self.tell(u16::try_from(worker).unwrap_or(u16::MAX), Command::Stop);
        }
        let threads: Vec<_> = self.members.iter_mut().filter_map(|member| member.thread.take()).collect();
        // A worker that panicked has said so through the panic hook.
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    }
}

/// Nobody would tell the threads to end any more.
impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Chunks by home worker; what does not divide evenly goes to the first.
fn share_out(chunks: Vec<Chunk>, workers: usize, home_chunks: usize) -> Vec<Vec<Chunk>> {
    let mut shares: Vec<Vec<Chunk>> = (0..workers).map(|_| Vec::new()).collect();
    for chunk in chunks {
        let home = chunk.index() as usize / home_chunks.max(1);
        let home = if home < workers { home } else { 0 };
        shares[home].push(chunk);
    }
    shares
}

fn check_cpus(configs: &[WorkerConfig]) -> Result<(), StartError> {
    let available = core_affinity::get_core_ids().unwrap_or_default();
    for (worker, config) in configs.iter().enumerate() {
        if let Some(cpu) = config.cpu
            && !available.iter().any(|core| core.id == cpu as usize)
        {
            let allowed = available.iter().map(|core| core.id.to_string()).collect::<Vec<_>>().join(", ");
            return Err(StartError::Pin { worker, cpu, allowed });
        }
    }
    Ok(())
}

fn launch(worker: usize, equipment: Equipment) -> std::io::Result<JoinHandle<Remains>> {
    let cpu = equipment.config.cpu;
    let machine = Worker::new(equipment)?;
    std::thread::Builder::new().name(format!("worker-{worker}")).spawn(move || {
        if let Some(cpu) = cpu
            && !core_affinity::set_for_current(CoreId { id: cpu as usize })
        {
            tracing::error!(worker, cpu, "the worker could not be pinned to its CPU and runs unpinned");
        }
        machine.run()
    })
}

#[cfg(test)]
mod tests {
    use forward::fdb::Fdb;
    use xsk::{Memory, UmemConfig};

    use super::*;

    const CHUNKS: u32 = 1024;

    /// Workers that share frame memory and have no queues, and what is kept of the memory from them.
    fn workers(count: usize, kept: u32) -> (Arc<Umem>, Fleet, Vec<Chunk>) {
        let first = Published::empty(1, Arc::new(Fdb::new(64, [1, 2]))).unwrap();
        let config = UmemConfig { chunks: CHUNKS, chunk_size: 2048, memory: Memory::Anonymous };
        let (umem, mut chunks) = Umem::new(&config).unwrap();
        let kept = chunks.split_off((CHUNKS - kept) as usize);
        let configs = vec![WorkerConfig::default(); count];
        let bell = Bell::new().unwrap();
        let fleet = Fleet::start(&configs, &umem, chunks, None, &bell, first, |_| None).unwrap();
        (umem, fleet, kept)
    }

    /// A closed socket's chunks go home by way of worker 0, and a worker that has ended is not at home.
    #[test]
    fn every_chunk_is_back_however_late_it_came_home() {
        for _ in 0..20 {
            let (_umem, fleet, kept) = workers(3, CHUNKS / 2);
            fleet.give_chunks(kept);
            let back: usize = fleet.stop().into_iter().map(|remains| remains.into_chunks().len()).sum();
            assert_eq!(back, CHUNKS as usize);
        }
    }

    #[test]
    fn workers_end_when_nobody_can_tell_them_to_any_more() {
        let (umem, fleet, _) = workers(2, 0);
        drop(fleet);
        assert_eq!(Arc::strong_count(&umem), 1, "a worker still holds the frame memory");
    }
}
