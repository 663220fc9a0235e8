//! The receiving end: counts the generator's frames and drops them, and times probes.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aya::maps::{MapData, PerCpuArray};

use super::Error;
use super::device::Device;
use super::error::{errno, in_full};
use super::histogram::BUCKETS;
use super::program::{SinkProgram, map_failure};

/// What a sink counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filter {
    /// Frames of a generator, with or without tunnel headers. All others go to the kernel, so that ARP works.
    Generated,
    /// Every frame; nothing goes to the kernel.
    Every,
}

/// Frames and their bytes, without frame check sequence, with tunnel headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amount {
    /// Frames.
    pub frames: u64,
    /// Bytes.
    pub bytes: u64,
}

/// An XDP program on a device that counts and drops. It also makes a veth's end take the frames that are redirected to
/// the other end. Dropping it detaches.
pub struct Sink {
    device: Device,
    maps: Mutex<Maps>,
    /// Keeps the program attached.
    _program: SinkProgram,
}

struct Maps {
    counters: PerCpuArray<MapData, [u64; 4]>,
    latencies: PerCpuArray<MapData, u64>,
}

impl Sink {
    /// Attaches a sink that counts a generator's frames to a device that has no XDP program.
    ///
    /// # Errors
    ///
    /// [`Error::Namespace`], [`Error::Device`] when the device is missing, has a program already or takes none;
    /// [`Error::Program`] when the kernel refuses it.
    pub fn attach(device: &Device) -> Result<Self, Error> {
        Self::attach_with(device, Filter::Generated)
    }

    /// The same, counting what the filter says.
    ///
    /// # Errors
    ///
    /// As [`Sink::attach`].
    pub fn attach_with(device: &Device, filter: Filter) -> Result<Self, Error> {
        let mut program = SinkProgram::load(filter == Filter::Every)?;
        device.within(|| {
            program.attach(device.index()?).map_err(|error| {
                let (text, name) = (in_full(&error), &device.name);
                let remedy = match errno(&error) {
                    Some(libc::EBUSY | libc::EEXIST) => {
                        format!("; it has a program already: end its owner, or `ip link set {name} xdp off`")
                    }
                    Some(libc::EINVAL | libc::ERANGE) => "; a veth takes an MTU of 3506 at most".to_owned(),
                    _ => String::new(),
                };
                device.refuses("attaching the sink", format!("{text}{remedy}"))
            })
        })?;
        let maps = Maps { counters: program.map("counters")?, latencies: program.map("latencies")? };
        Ok(Self { device: device.clone(), maps: Mutex::new(maps), _program: program })
    }

    /// What has been counted since it was attached.
    ///
    /// # Errors
    ///
    /// [`Error::Map`].
    pub fn received(&self) -> Result<Amount, Error> {
        let [frames, bytes, ..] = self.counters()?;
        Ok(Amount { frames, bytes })
    }

    /// Frames that were not a generator's and went to the kernel.
    ///
    /// # Errors
    ///
    /// [`Error::Map`].
    pub fn others(&self) -> Result<u64, Error> {
        self.counters().map(|[_, _, others, _]| others)
    }

    fn counters(&self) -> Result<[u64; 4], Error> {
        let values = self.maps().counters.get(&0, 0).map_err(|error| map_failure("counters")(&error))?;
        Ok(values.iter().fold([0; 4], |sum, value| std::array::from_fn(|word| sum[word] + value[word])))
    }

    /// Counts of probes by latency since it was attached.
    pub(super) fn latencies(&self) -> Result<Vec<u64>, Error> {
        let maps = self.maps();
        let read = |bucket| {
            let values = maps.latencies.get(&bucket, 0);
            values.map(|values| values.iter().sum()).map_err(|error| map_failure("latencies")(&error))
        };
        (0..BUCKETS).map(read).collect()
    }

    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Sink({})", self.device)
    }
}
