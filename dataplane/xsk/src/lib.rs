//! AF_XDP: frame memory, rings, sockets, the XDP program that steers frames into them, and burst transmit.
//!
//! It stands at both ends of a frame's way: a frame enters through [`Socket::receive`] as a [`Chunk`], the token of
//! exclusive access to its bytes, and leaves through [`Socket::enqueue`] or [`Burst::push`], which consume the token.
//! It knows devices, queues and bytes; it knows nothing of tunnels beyond what the XDP program must tell apart, and
//! nothing of forwarding, configuration or threads.
//!
//! This is the only crate with `unsafe`. What makes its interface safe: a chunk token cannot be cloned or made
//! outside, so whoever holds it has the bytes to himself; handing it to a ring consumes it; and every address that
//! comes back from the kernel is checked against a ledger of who holds what before a token is made from it.

mod burst;
mod cache;
mod cursor;
mod device;
mod error;
mod mapping;
mod netdev;
mod open;
mod pages;
mod peer;
mod ports;
mod ring;
mod rules;
mod segments;
mod socket;
mod steering;
mod syscall;
mod umem;

pub use burst::{Burst, BurstReport, PortReport, Unsuitable, probe as probe_redirect};
pub use cache::{advise_large_pages, prefetch};
pub use device::{Device, DeviceConfig, Mode, Refusal};
pub use error::Error;
pub use netdev::{mtu, offers_zero_copy, receive_queues, transmit_dropped};
pub use pages::Pages;
pub use peer::{PeerError, TagsError, Wish, enable_peer_napi, see_tags};
pub use rules::UplinkRules;
pub use segments::{LONGEST_JUMBO, Segmented};
pub use socket::{Flushed, Outstanding, Socket, SocketConfig, Statistics, StatisticsReader, TransmitRefused};
pub use steering::{Attachment, LinkMode, Role, Steering, SteeringConfig, SteeringCounters};
pub use syscall::run_live_frames;
pub use umem::{Chunk, Memory, Room, Umem, UmemConfig};

/// Ports that one program steers: a port's slot is below this.
pub const MAX_PORTS: u16 = 1024;
/// Receive queues of one port: a queue's number is below this.
pub const MAX_QUEUES: u32 = 64;
/// Workers that can burst: a worker's number is below this.
pub const MAX_WORKERS: u16 = 64;
/// Underlay addresses that packets on uplinks are taken to. The map `addresses` holds twice as many: those of two sets, for
/// a moment.
pub const MAX_LOCAL_ADDRESSES: usize = 2048;
/// UDP destination ports that an uplink takes as VXLAN.
pub const MAX_UDP_PORTS: usize = 8;
/// Frames that one [`Burst::flush`] sends at most.
pub const MAX_BURST: usize = 1024;
/// Bytes that the kernel leaves free before a received frame in every chunk (`XDP_PACKET_HEADROOM`).
pub const KERNEL_HEADROOM: u16 = 256;
