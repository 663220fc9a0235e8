//! The XDP program: which frames of a device go to our sockets. Loads it, attaches it, sets its rules, reads its
//! counters. Used by the control thread only; the program itself is bpf/steering.bpf.c.

use std::fmt;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aya::maps::xdp::{DevMap, XskMap};
use aya::maps::{Array, Map, MapData, MapError, PerCpuArray};
use aya::programs::{ProgramError, ProgramFd, ProgramType, Xdp};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};

use crate::mapping::Mapping;
use crate::ports::{self, PortTable};
use crate::rules::{AddressSet, RuleMaps, UplinkRules};
use crate::{
    Burst, Chunk, Error, MAX_PORTS, MAX_QUEUES, Memory, Pages, Umem, UmemConfig, Unsuitable, burst, netdev,
    open, syscall, umem,
};

/// The object that build.rs compiled.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/steering.bpf.o"));
/// Bytes of a value of the map `memory` (`PAGE`).
const PAGE: usize = 4096;
/// The loopback's index in every network namespace, which marks the frames of a burst: never a port.
const LOOPBACK: u32 = 1;

/// Sizes of the shared frame memory, which the program can read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SteeringConfig {
    /// How many chunks: a power of two.
    pub chunks: u32,
    /// Bytes per chunk: 2048 or 4096.
    pub chunk_size: u32,
}

/// What a port faces, which decides what the program takes from it.
///
/// XDP does not see a VLAN tag that the kernel carries beside the frame, and so neither do sockets: such a frame comes
/// untagged. A veth does that whose other end has `tx-vlan-offload` (the default), and a NIC with `rx-vlan-offload`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The underlay: only tunnel packets for us ([`UplinkRules`]); everything else goes to the kernel.
    Uplink,
    /// A workload: every frame; without a socket it is dropped, never given to the host's own stack.
    Access,
}

/// How the program is attached to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkMode {
    /// In the driver.
    Native,
    /// In the kernel's generic receive path, on ready-made socket buffers: any device, slowly.
    Generic,
}

impl fmt::Display for LinkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Generic => "generic",
        })
    }
}

/// What the program did with the frames of one port since it was attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SteeringCounters {
    /// Given to a socket. (A full receive ring then shows in [`crate::Statistics`].)
    pub to_socket: u64,
    /// Left to the kernel, because they are not ours.
    pub to_kernel: u64,
    /// Ours, but no socket on their queue: to the kernel from an uplink, dropped from an access port.
    pub no_socket: u64,
    /// Ours by their destination, but from no peer: dropped.
    pub strangers: u64,
}

/// The loaded program and its maps. Can be shared between threads; nothing here is for the hot path.
///
/// All its ports are in one network namespace, that of the thread which loaded it.
pub struct Steering {
    umem: Arc<Umem>,
    /// Whether the program can read that memory.
    bursting: bool,
    shared: Arc<Shared>,
}

/// What attachments and bursts keep alive.
pub(crate) struct Shared {
    loaded: Mutex<Loaded>,
    pub(crate) program: ProgramFd,
    pub(crate) bursts: burst::Rings,
}

struct Loaded {
    #[expect(dead_code, reason = "holds the attachments of the programs that count a burst's drops")]
    ebpf: Ebpf,
    ports: Array<MapData, ports::Encoded>,
    rules: RuleMaps,
    sockets: XskMap<MapData>,
    devices: DevMap<MapData>,
    counters: PerCpuArray<MapData, [u64; 4]>,
    table: PortTable,
}

impl Steering {
    /// Loads the program, and makes the shared frame memory that it can read, with every token there will be.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`], [`Error::Privilege`], [`Error::Memory`], [`Error::Program`] with the verifier's words.
    pub fn load(config: &SteeringConfig) -> Result<(Self, Arc<Umem>, Vec<Chunk>), Error> {
        Self::load_over(config, true)
    }

    /// The same for sockets alone: the program cannot read this memory, so that nothing can be burst from it; for that it
    /// lies on the largest pages that the system has.
    ///
    /// # Errors
    ///
    /// As [`Steering::load`].
    pub fn load_for_rings(config: &SteeringConfig) -> Result<(Self, Arc<Umem>, Vec<Chunk>), Error> {
        Self::load_over(config, false)
    }

    fn load_over(config: &SteeringConfig, bursting: bool) -> Result<(Self, Arc<Umem>, Vec<Chunk>), Error> {
        let bytes = umem::checked_bytes(config.chunks, config.chunk_size)?;
        let readable = if bursting { bytes } else { PAGE };
        // Kernels before 5.11 count maps against the limit.
        open::raise_locked_memory();
        let namespace = burst::network_namespace().map_err(|error| Error::Program(error.to_string()))?;
        let mut ebpf = EbpfLoader::new()
            .override_global("chunk_size", &config.chunk_size, true)
            .override_global("namespace", &namespace, true)
            .map_max_entries("memory", (readable / PAGE).try_into().unwrap_or(u32::MAX))
            .load(OBJECT)
            .map_err(|error| load_failure(&error))?;
        let program = load_program(&mut ebpf)?;
        let memory = map_data(take(&mut ebpf, "memory")?)?;
        let (umem, chunks) = if bursting {
            let mapping = Mapping::of(memory.fd().as_fd(), bytes, 0).map_err(|source| Error::Memory {
                operation: "mapping",
                bytes: bytes as u64,
                source,
                remedy: "use fewer chunks",
            })?;
            Umem::over(mapping, Pages::Base, config.chunks, config.chunk_size)
        } else {
            let SteeringConfig { chunks, chunk_size } = *config;
            Umem::new(&UmemConfig { chunks, chunk_size, memory: Memory::LargestPages })?
        };
        let rings = map_data(take(&mut ebpf, "bursts")?)?;
        let bursts = burst::Rings::new(rings.fd().as_fd(), burst::count_drops(&mut ebpf))?;
        let loaded = Mutex::new(Loaded::new(ebpf)?);
        let shared = Arc::new(Shared { loaded, program, bursts });
        Ok((Self { umem: Arc::clone(&umem), bursting, shared }, umem, chunks))
    }

    /// The shared frame memory.
    #[must_use]
    pub fn umem(&self) -> &Arc<Umem> {
        &self.umem
    }

    /// Attaches the program to a device, as the port `slot`. It stays until the attachment is dropped or the process
    /// ends, however it ends.
    ///
    /// # Errors
    ///
    /// [`Error::ProgramPresent`] when the device already has an XDP program: it is left alone.
    /// [`Error::AttachRefused`] when the driver has no native XDP or refuses it now (the text says what it says).
    /// [`Error::DeviceMissing`], [`Error::Privilege`], [`Error::Configuration`] for a slot in use or the loopback device.
    pub fn attach(&self, slot: u16, ifindex: u32, role: Role, mode: LinkMode) -> Result<Attachment, Error> {
        let device = netdev::known(ifindex, "attaching the XDP program")?;
        if slot >= MAX_PORTS {
            return Err(Error::Configuration(format!("ports are numbered below {MAX_PORTS}, not {slot}")));
        }
        if ifindex == LOOPBACK {
            return Err(Error::Configuration("the loopback device cannot be a port".to_owned()));
        }
        let mut loaded = self.shared.lock();
        if loaded.table.has(slot, ifindex) {
            let text = format!("port {slot} or device {} is attached already", device.name);
            return Err(Error::Configuration(text));
        }
        // The program finds its port from the first frame on.
        let attached = loaded.enter(slot, ifindex, role).and_then(|()| {
            syscall::link_create(&self.shared.program, ifindex, mode)
                .map_err(|source| attach_failure(device.name, ifindex, mode, source))
        });
        match attached {
            Ok(link) => Ok(Attachment { link, shared: Arc::clone(&self.shared), slot, ifindex, mode }),
            Err(error) => {
                loaded.forget(slot, ifindex);
                Err(error)
            }
        }
    }

    /// Sends the frames of a port's queue to this socket from now on. The kernel forgets the socket by itself when it
    /// is closed.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a queue beyond [`crate::MAX_QUEUES`], [`Error::Map`].
    pub fn set_socket(&self, slot: u16, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        if slot >= MAX_PORTS || queue >= MAX_QUEUES {
            return Err(Error::Configuration(format!("port {slot} queue {queue} is beyond the limits")));
        }
        let index = u32::from(slot) * MAX_QUEUES + queue;
        self.shared
            .lock()
            .sockets
            .set(index, socket.as_raw_fd(), 0)
            .map_err(|error| map_failure("sockets", &error))
    }

    /// Replaces the rules of all uplinks, live. What stays in the set is taken without a gap.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] beyond the limits, [`Error::Map`].
    pub fn set_rules(&self, rules: &UplinkRules) -> Result<(), Error> {
        self.shared.lock().rules.set(rules)
    }

    /// Counters of a port.
    ///
    /// # Errors
    ///
    /// [`Error::Map`].
    pub fn counters(&self, slot: u16) -> Result<SteeringCounters, Error> {
        let loaded = self.shared.lock();
        let values =
            loaded.counters.get(&u32::from(slot), 0).map_err(|error| map_failure("counters", &error))?;
        let sum = |word: usize| values.iter().map(|value| value[word]).sum();
        Ok(SteeringCounters { to_socket: sum(0), to_kernel: sum(1), no_socket: sum(2), strangers: sum(3) })
    }

    /// Whether frames can be burst from the shared memory: not with [`Steering::load_for_rings`].
    #[must_use]
    pub fn bursts(&self) -> bool {
        self.bursting
    }

    /// The burst transmitter of a worker. It may be used from any one thread, which must be in the network namespace
    /// of the ports.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] when `worker` is not below [`crate::MAX_WORKERS`] or has one already;
    /// [`Error::BurstUnsupported`] when the kernel cannot (Linux 5.18 is needed), or with [`Steering::load_for_rings`].
    pub fn burst(&self, worker: u16) -> Result<Burst, Error> {
        if !self.bursting {
            return Err(Error::BurstUnsupported("the frame memory was made for rings alone".to_owned()));
        }
        Burst::new(Arc::clone(&self.shared), Arc::clone(&self.umem), worker)
    }

    /// Why frames that a device does not take from a burst cannot be counted per port, if so: then
    /// [`crate::PortReport::dropped`] stays 0 and only the device's own counters tell ([`crate::transmit_dropped`]).
    #[must_use]
    pub fn uncounted_drops(&self) -> Option<&str> {
        self.shared.bursts.uncounted.as_deref()
    }

    /// Whether frames can be burst to this device, as far as can be told without sending one.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn probe_burst(&self, ifindex: u32) -> Result<(), Unsuitable> {
        burst::probe(ifindex)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loaded {
    fn new(mut ebpf: Ebpf) -> Result<Self, Error> {
        Ok(Self {
            ports: typed("ports", take(&mut ebpf, "ports")?)?,
            rules: RuleMaps::new(
                typed("uplink_rules", take(&mut ebpf, "uplink_rules")?)?,
                AddressSet::new("addresses", typed("addresses", take(&mut ebpf, "addresses")?)?),
                AddressSet::new("peers", typed("peers", take(&mut ebpf, "peers")?)?),
            ),
            sockets: typed("sockets", take(&mut ebpf, "sockets")?)?,
            devices: typed("devices", take(&mut ebpf, "devices")?)?,
            counters: typed("counters", take(&mut ebpf, "counters")?)?,
            table: PortTable::new(),
            ebpf,
        })
    }

    /// Makes a device known to the program as a port, with its counters at zero.
    fn enter(&mut self, slot: u16, ifindex: u32, role: Role) -> Result<(), Error> {
        let zero = self.counters.get(&u32::from(slot), 0).and_then(|values| {
            let zeroes =
                aya::maps::PerCpuValues::try_from(vec![[0; 4]; values.len()]).map_err(MapError::from)?;
            self.counters.set(u32::from(slot), zeroes, 0)
        });
        zero.map_err(|error| map_failure("counters", &error))?;
        self.devices
            .set(u32::from(slot), ifindex, None, 0)
            .map_err(|error| map_failure("devices", &error))?;
        let place = self
            .table
            .insert(slot, ifindex)
            .ok_or_else(|| Error::Configuration("too many devices with colliding indices".to_owned()))?;
        self.ports
            .set(place, ports::encode(slot, ifindex, role), 0)
            .map_err(|error| map_failure("ports", &error))
    }

    /// The reverse of [`Loaded::enter`], however far that came. The kernel may have forgotten a device that vanished already.
    fn forget(&mut self, slot: u16, ifindex: u32) {
        if let Some(place) = self.table.remove(ifindex) {
            let _ = self.ports.set(place, [0; 8], 0);
        }
        // A device index of 0 empties the place.
        let _ = self.devices.set(u32::from(slot), 0, None, 0);
    }
}

/// The program on one device. Dropping it detaches.
pub struct Attachment {
    /// The kernel ends it with the process.
    link: OwnedFd,
    shared: Arc<Shared>,
    slot: u16,
    ifindex: u32,
    mode: LinkMode,
}

impl Attachment {
    /// The port.
    #[must_use]
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// The device.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// How it is attached.
    #[must_use]
    pub fn mode(&self) -> LinkMode {
        self.mode
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // Only then may the program no longer know the port. Refused when the device is gone, and the link with it.
        let _ = syscall::link_detach(&self.link);
        self.shared.lock().forget(self.slot, self.ifindex);
    }
}

/// Loads the program in the variant that takes frames of several buffers, or in the other one where the kernel has no such
/// frames.
fn load_program(ebpf: &mut Ebpf) -> Result<ProgramFd, Error> {
    let mut load = |name: &str| -> Result<ProgramFd, Error> {
        let program: &mut Xdp = ebpf
            .program_mut(name)
            .and_then(|program| program.try_into().ok())
            .ok_or_else(|| Error::Program(format!("the object has no program `{name}`")))?;
        patiently(|| program.load()).map_err(|error| load_failure(&error))?;
        let program = program.fd().map_err(|error| load_failure(&error))?;
        program.try_clone().map_err(|error| load_failure(&error))
    };
    match load("steer") {
        // If that fails as well, what it says is no less true.
        Err(Error::Program(_)) => load("steer_linear"),
        result => result,
    }
}

/// Loads a program, and once more if the kernel's verifier left off because a signal was pending: then it says `EAGAIN`
/// (`bpf_check`), which is nothing that anybody has to hear of. libbpf tries five times, too.
pub(crate) fn patiently(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    const ATTEMPTS: u32 = 5;
    for _ in 1..ATTEMPTS {
        match load() {
            Err(ProgramError::LoadError { io_error, .. }) if io_error.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
    load()
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, Error> {
    ebpf.take_map(name).ok_or_else(|| Error::Map { map: name, reason: "missing from the object".to_owned() })
}

fn typed<T>(name: &'static str, map: Map) -> Result<T, Error>
where
    T: TryFrom<Map, Error = MapError>,
{
    T::try_from(map).map_err(|error| map_failure(name, &error))
}

fn map_data(map: Map) -> Result<MapData, Error> {
    match map {
        Map::Array(data) => Ok(data),
        other => Err(Error::Program(format!("a map is no array: {other:?}"))),
    }
}

pub(crate) fn map_failure(map: &'static str, error: &(dyn std::error::Error + 'static)) -> Error {
    Error::Map { map, reason: crate::error::in_full(error) }
}

fn load_failure(error: &(dyn std::error::Error + 'static)) -> Error {
    const OPERATION: &str = "loading the XDP program";
    // The loader asks the kernel what it can do by small programs of its own. Where these are refused it takes the kernel for
    // an old one, and what it then complains about does not tell why.
    let refused = || {
        aya::sys::is_program_supported(ProgramType::Xdp).err().and_then(|error| crate::error::errno(&error))
    };
    match crate::error::errno(error).or_else(refused) {
        Some(code @ (libc::EPERM | libc::EACCES)) if !crate::error::in_full(error).contains("verifier") => {
            Error::Privilege { operation: OPERATION, source: std::io::Error::from_raw_os_error(code) }
        }
        _ => Error::Program(crate::error::in_full(error)),
    }
}

fn attach_failure(device: String, ifindex: u32, mode: LinkMode, source: std::io::Error) -> Error {
    const OPERATION: &str = "attaching the XDP program";
    let remedy = match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => return Error::Privilege { operation: OPERATION, source },
        Some(libc::ENODEV) => return Error::DeviceMissing { device, operation: OPERATION },
        Some(libc::EBUSY | libc::EEXIST) => {
            if let Some(id) = netdev::link(ifindex).ok().and_then(|link| link.program) {
                return Error::ProgramPresent { device, id };
            }
            ""
        }
        Some(libc::EOPNOTSUPP) if mode == LinkMode::Native => {
            "; the driver has no native XDP, or not in its present state"
        }
        Some(libc::ERANGE | libc::EINVAL) => {
            "; a smaller MTU may help (before Linux 5.18 a veth takes 3506 at most), or no LRO"
        }
        Some(libc::ENOSPC) => {
            "; the device needs at least as many receive queues as its peer has transmit queues"
        }
        _ => "",
    };
    Error::AttachRefused { device, mode, source, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_takes_no_such_mtu_or_offload_says_what_helps() {
        for code in [libc::ERANGE, libc::EINVAL] {
            let source = std::io::Error::from_raw_os_error(code);
            let error = attach_failure("eth0".to_owned(), 0, LinkMode::Native, source);
            let text = error.to_string();
            assert!(text.starts_with("device eth0: native XDP refused: "), "{text}");
            assert!(text.contains("a smaller MTU may help"), "{text}");
        }
    }
}
