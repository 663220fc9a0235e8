//! The control protocol of `vtepd`: its Varlink interface, and the requests, replies and refusals as Rust types.
//!
//! It stands between the daemon's control thread and whoever controls it; no frame comes near it. It knows the
//! protocol's shape and nothing of how a request is carried out. `org.vtep.control.varlink` is the reference for every
//! client in any language; the types here say the same, which a test checks field by field. They are written by hand
//! because what `varlink_generator` makes has no documentation, only 64-bit integers and text, and borrows nothing of
//! the domain's own types.
#![forbid(unsafe_code)]

mod entry;
mod group;
mod item;
mod liveness;
mod mdb;
pub mod message;
mod method;
mod refusal;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod text;

pub use entry::{FdbEntry, FdbEntryReply, FdbPage, FlushReply, Neighbour, NeighbourPage, ReplaceReply};
pub use group::{Group, GroupMember, GroupPage};
pub use item::{Binding, FdbItem, GroupMemberItem, Guard, NeighbourItem, TrunkVlan};
pub use liveness::{Liveness, LivenessItem, LivenessPath};
pub use mdb::{MdbEntry, MdbPage};
pub use method::{InvalidRequest, Method};
pub use refusal::{Refusal, RefusalKind};
pub use reply::{
    Balance, Bucket, BurstCosts, Chunks, Cost, Distribution, Drop, DropPage, Empty, PathMtu, PathMtuCounts,
    Port, PortPage, PortRange, PortStats, Queue, RefusedChange, ReloadReply, Remote, RemotePage, StatsReply,
    StatusReply, Tags, Transmit, Vni, VniPage, WorkerStats,
};
pub use request::{
    AddPort, FlushFdb, FlushNeighbours, FlushStats, GetFdb, GuardPort, Reload, RemoveFdb, RemoveGroup,
    RemoveNeighbour, RemovePort, RemoveRemote, RemoveVni, ReplaceFdb, ReplaceNeighbours, Request, SetFdb,
    SetGroup, SetNeighbour, SetPort, SetRemote, SetVni, ShowDrops, ShowFdb, ShowGroups, ShowMdb,
    ShowNeighbours, ShowPorts, ShowRemotes, ShowStats, ShowVnis, Status,
};
pub use wire::Mac;
pub use word::{
    DontFragment, EcnMode, Encapsulation, EntryKind, EntryState, InnerTags, LivenessState, MdbKind,
    MemberState, ModeWish, MtuSource, Pages, PortRole, PortState, RemoteState, TransmitPath, TransmitWish,
    XdpMode,
};

mod word;

/// The name of the interface.
pub const INTERFACE: &str = "org.vtep.control";

/// The interface in the Varlink definition language, as introspection shows it.
pub const DESCRIPTION: &str = include_str!("org.vtep.control.varlink");

/// Where the daemon listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/vtep/vtep.sock";

/// Largest request in bytes, its terminating NUL not counted.
pub const MAX_REQUEST: usize = 1 << 20;
