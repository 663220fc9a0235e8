//! The switches that are compared. Each is given the same network, the same static forwarding entries and one CPU.

mod linux;
mod open_vswitch;
mod redirect;
pub mod vtepd;

use std::fmt;

use serde::{Deserialize, Serialize};
use vtep_tests::Segment;

use super::case::{Case, Direction, Tunnel};
use super::fault::Fault;
use super::memory::Memory;
use super::placement::Placement;
use super::stage::{ACCESS, FAR, Stage, VNI};

/// A contestant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// vtepd, transmission as it chooses for each batch.
    Vtepd,
    /// vtepd, every frame by the TX ring.
    VtepdRing,
    /// Linux bridge and vxlan device.
    Linux,
    /// Open vSwitch, userspace datapath, afxdp ports.
    OpenVswitch,
    /// In-kernel XDP redirect that changes nothing: the ceiling of this topology.
    Redirect,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Vtepd => "vtepd",
            Self::VtepdRing => "vtepd, TX ring only",
            Self::Linux => "Linux bridge + vxlan",
            Self::OpenVswitch => "Open vSwitch, afxdp",
            Self::Redirect => "XDP redirect",
        })
    }
}

/// The forwarding entries of a case.
#[derive(Clone, Debug)]
pub struct Entries {
    /// Where the addresses are: behind the peer VTEP, or behind the access port.
    pub direction: Direction,
    /// The addresses, without repetition.
    pub macs: Vec<[u8; 6]>,
}

/// A contestant that runs.
pub trait Running {
    /// How its ports were really opened, in its own words.
    fn mode(&self) -> String;
    /// The memory of its processes; none where it is all in the kernel.
    fn memory(&self) -> Option<Memory>;
    /// Frames that it dropped, by reason, for the record.
    fn drops(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Vtepd, Self::VtepdRing, Self::Linux, Self::OpenVswitch, Self::Redirect];

    /// Why it cannot take part in a case, if so.
    #[must_use]
    pub fn obstacle(self, case: &Case) -> Option<&'static str> {
        let gre = case.tunnel == Tunnel::Gre;
        (self == Self::Linux && gre && !linux::has_gre()).then_some("this kernel has no GRE device (gretap)")
    }

    /// Where its receive work in the kernel can run; the first is the place unless another turns out to be faster.
    #[must_use]
    pub fn placements(self) -> &'static [Placement] {
        match self {
            Self::Linux => &[Placement::Steered, Placement::Thread],
            Self::Vtepd | Self::VtepdRing | Self::OpenVswitch | Self::Redirect => {
                &[Placement::Interrupt, Placement::Thread]
            }
        }
    }

    /// Starts it on a stage's node with these forwarding entries.
    ///
    /// # Errors
    /// What it, or the host, refused.
    pub fn start<'a>(
        self,
        stage: &'a Stage,
        case: &Case,
        entries: &Entries,
    ) -> Result<Box<dyn Running + 'a>, Fault> {
        Ok(match self {
            Self::Vtepd => Box::new(vtepd::Vtepd::start(stage, case, entries, "auto")),
            Self::VtepdRing => Box::new(vtepd::Vtepd::start(stage, case, entries, "ring")),
            Self::Linux => Box::new(linux::Linux::start(stage, case, entries)),
            Self::OpenVswitch => Box::new(open_vswitch::OpenVswitch::start(stage, case, entries)?),
            Self::Redirect => Box::new(redirect::Redirect::start(stage, case.direction)?),
        })
    }
}

/// The bridge domain of a case: one access port, one remote.
fn segment(stage: &Stage, case: &Case) -> Segment {
    let segment =
        Segment { remotes: vec![FAR.into()], ..Segment::vxlan(VNI) }.device(ACCESS, &stage.workload);
    Segment { encapsulation: case.tunnel.encapsulation(), ..segment }
}
