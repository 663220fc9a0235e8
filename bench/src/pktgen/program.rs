//! The BPF objects that build.rs compiled: loading them, taking their maps.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use aya::maps::xdp::DevMap;
use aya::maps::{Array, Map, MapData, MapError};
use aya::programs::{BtfTracePoint, ProgramError, ProgramFd, Xdp, XdpMode};
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};

use super::Error;
use super::error::in_full;
use super::headers::Headers;
use super::pace::Words;
use super::traffic::Traffic;

static GENERATOR: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/generator.bpf.o"));
static SINK: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sink.bpf.o"));

/// Frame sizes that take turns at most (`SIZES`).
const SIZES: usize = 12;

/// The generator's programs, loaded for one kind of traffic.
pub(super) struct GeneratorProgram {
    ebpf: Ebpf,
    pub(super) runs: Array<MapData, Words>,
    pub(super) delays: Array<MapData, u64>,
    pub(super) devices: DevMap<MapData>,
}

impl GeneratorProgram {
    const NAME: &str = "generate";

    /// Loads them; `largest` is the longest frame with all headers. The calling thread must be in the generator's own
    /// network namespace.
    pub(super) fn load(traffic: &Traffic, headers: &Headers, largest: u32) -> Result<Self, Error> {
        let mut sizes = [0_u32; SIZES];
        let all = traffic.size.all();
        for (place, size) in sizes.iter_mut().zip(&all) {
            *place = u32::from(*size) + headers.inner as u32;
        }
        let (from, to) = (&traffic.sources, &traffic.destinations);
        let namespace = network_namespace()
            .map_err(|error| refused(Self::NAME, "looking at its namespace")(error.to_string()))?;
        let numbers = [
            ("headers_len", headers.len as u32),
            ("inner", headers.inner as u32),
            ("encapsulation", headers.kind as u32),
            ("outer_ipv6", u32::from(headers.outer_ipv6)),
            ("outer_sum", headers.outer_sum),
            ("inner_sum", headers.inner_sum),
            ("size_count", all.len() as u32),
            ("largest", largest),
            ("flows", traffic.flows),
            ("sources", from.count),
            ("destinations", to.count),
            ("source_mac", from.first_mac.to_u64() as u32),
            ("destination_mac", to.first_mac.to_u64() as u32),
            ("source_address", from.first_address.to_bits()),
            ("destination_address", to.first_address.to_bits()),
            ("namespace", namespace),
        ];
        // Some megabytes, which take their time to read: once for all three programs.
        let btf = Btf::from_sys_fs()
            .map_err(|error| refused(Self::NAME, "reading the kernel's BTF")(in_full(&error)))?;
        let mut loader = EbpfLoader::new();
        loader.btf(Some(&btf));
        loader.override_global("headers", &headers.bytes[..], true);
        loader.override_global("sizes", &sizes[..], true);
        for (name, number) in &numbers {
            loader.override_global(name, number, true);
        }
        let mut ebpf = loader
            .load(GENERATOR)
            .map_err(|error| refused(Self::NAME, "loading its maps")(in_full(&error)))?;
        xdp(&mut ebpf, Self::NAME)?.load().map_err(program_failure(Self::NAME, "loading it"))?;
        count_losses(&mut ebpf, &btf)?;
        let (runs, delays) = (map(&mut ebpf, "runs")?, map(&mut ebpf, "delays")?);
        let devices = map(&mut ebpf, "devices")?;
        Ok(Self { ebpf, runs, delays, devices })
    }

    /// Attaches the program to the loopback device of the generator's own namespace, where no frame ever passes: a
    /// program that is attached nowhere costs some 30 ms for each call that runs it.
    pub(super) fn attach(&mut self) -> Result<(), Error> {
        attach(&mut self.ebpf, Self::NAME, 1)
            .map_err(program_failure(Self::NAME, "attaching it to the loopback device"))
    }

    /// What is kept of it: the counters, the histogram, and the object, with which everything ends.
    pub(super) fn into_parts(self) -> (Array<MapData, Words>, Array<MapData, u64>, Ebpf) {
        (self.runs, self.delays, self.ebpf)
    }

    /// What runs it.
    pub(super) fn descriptor(&mut self) -> Result<ProgramFd, Error> {
        let failed = program_failure(Self::NAME, "duplicating its descriptor");
        let failed_io = refused(Self::NAME, "duplicating its descriptor");
        let fd = xdp(&mut self.ebpf, Self::NAME)?.fd().map_err(failed)?;
        fd.try_clone().map_err(|error| failed_io(error.to_string()))
    }
}

/// Attaches the programs that count what the device does not take.
fn count_losses(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), Error> {
    for (name, tracepoint) in [("devmap_xmit", "xdp_devmap_xmit"), ("redirect_err", "xdp_redirect_err")] {
        let program: &mut BtfTracePoint = ebpf
            .program_mut(name)
            .ok_or_else(|| refused(name, "looking it up")("missing from the object".to_owned()))?
            .try_into()
            .map_err(program_failure(name, "looking it up"))?;
        program.load(tracepoint, btf).map_err(program_failure(name, "loading it"))?;
        program.attach().map_err(program_failure(name, "attaching it"))?;
    }
    Ok(())
}

/// The sink's program, with its counters.
pub(super) struct SinkProgram {
    ebpf: Ebpf,
}

impl SinkProgram {
    const NAME: &str = "sink";

    pub(super) fn load(every_frame: bool) -> Result<Self, Error> {
        let every_frame = u32::from(every_frame);
        let mut ebpf = EbpfLoader::new()
            .override_global("every_frame", &every_frame, true)
            .load(SINK)
            .map_err(|error| refused(Self::NAME, "loading its maps")(in_full(&error)))?;
        xdp(&mut ebpf, Self::NAME)?.load().map_err(program_failure(Self::NAME, "loading it"))?;
        Ok(Self { ebpf })
    }

    /// Attaches it to a device of the calling thread's network namespace, natively if the driver can.
    pub(super) fn attach(&mut self, ifindex: u32) -> Result<(), ProgramError> {
        attach(&mut self.ebpf, Self::NAME, ifindex)
    }

    pub(super) fn map<M: TryFrom<Map, Error = MapError>>(&mut self, name: &'static str) -> Result<M, Error> {
        map(&mut self.ebpf, name)
    }
}

/// Attaches an XDP program by a link, which ends with the object.
fn attach(ebpf: &mut Ebpf, name: &'static str, ifindex: u32) -> Result<(), ProgramError> {
    let program: &mut Xdp = ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?.try_into()?;
    program.attach_to_if_index(ifindex, XdpMode::default()).map(drop)
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, Error> {
    ebpf.program_mut(name)
        .ok_or_else(|| refused(name, "looking it up")("missing from the object".to_owned()))?
        .try_into()
        .map_err(program_failure(name, "looking it up"))
}

fn map<M: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, Error> {
    let map = ebpf
        .take_map(name)
        .ok_or_else(|| Error::Map { map: name, reason: "missing from the object".to_owned() })?;
    M::try_from(map).map_err(|error| map_failure(name)(&error))
}

/// Makes an error of a map.
pub(super) fn map_failure(map: &'static str) -> impl Fn(&dyn std::error::Error) -> Error {
    move |error| Error::Map { map, reason: error.to_string() }
}

fn program_failure(name: &'static str, operation: &'static str) -> impl Fn(ProgramError) -> Error {
    move |error| refused(name, operation)(in_full(&error))
}

fn refused(name: &'static str, operation: &'static str) -> impl Fn(String) -> Error {
    move |reason| Error::Program { name, operation, reason }
}

/// The inode that names the calling thread's network namespace.
fn network_namespace() -> io::Result<u32> {
    let inode = fs::metadata("/proc/thread-self/ns/net")?.ino();
    u32::try_from(inode).map_err(io::Error::other)
}
