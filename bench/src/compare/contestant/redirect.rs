//! No switch at all: an XDP program that redirects every frame from one port to the other and changes nothing. What any
//! switch on these devices can reach at most.

use aya::maps::DevMap;
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, include_bytes_aligned};
use rustix::net::{AddressFamily, SocketType, netdevice, socket};

use super::Running;
use crate::compare::case::Direction;
use crate::compare::fault::Fault;
use crate::compare::memory::Memory;
use crate::compare::stage::{Stage, egress, ingress};

/// The program, compiled by build.rs.
static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirect.bpf.o"));

/// The attached program; it goes with this.
pub(super) struct Redirect {
    _program: Ebpf,
}

impl Redirect {
    /// Attaches it where the frames of a direction come in.
    pub(super) fn start(stage: &Stage, direction: Direction) -> Result<Self, Fault> {
        let namespace = &stage.node.namespace;
        let program = namespace.within(|| attach(ingress(direction), egress(direction)));
        Ok(Self { _program: program.map_err(refused)? })
    }
}

/// Devices are looked up in the namespace of the calling thread.
fn attach(from: &str, to: &str) -> Result<Ebpf, Box<dyn std::error::Error + Send + Sync>> {
    let mut ebpf = Ebpf::load(OBJECT)?;
    let mut target = DevMap::try_from(ebpf.map_mut("target").ok_or("the object has no map `target`")?)?;
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    target.set(0, netdevice::name_to_index(&any, to)?, None, 0)?;
    let program: &mut Xdp =
        ebpf.program_mut("redirect").ok_or("the object has no program `redirect`")?.try_into()?;
    program.load()?;
    program.attach(from, XdpMode::Driver)?;
    Ok(ebpf)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: Box<dyn std::error::Error + Send + Sync>) -> Fault {
    Fault::Host {
        what: "an XDP program that redirects between two veth devices",
        why: error.to_string(),
        remedy: "run this as root on Linux 5.18 or later",
    }
}

impl Running for Redirect {
    fn mode(&self) -> String {
        "native XDP, no headers changed".to_owned()
    }

    fn memory(&self) -> Option<Memory> {
        None
    }
}
