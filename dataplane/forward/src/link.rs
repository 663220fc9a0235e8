//! What the pipeline asks of the world around it: frame memory and ports. The AF_XDP worker is one implementation,
//! the in-memory link of the tests and benchmarks the other.

use std::net::IpAddr;

use wire::Mac;

use crate::bfd::Message;
pub use crate::frame::Frame;
use crate::ids::{DomainId, GroupId, PortId, RemoteId};
use crate::tables::NeighbourFlags;
use wire::membership::Interest;

/// Frame memory and ports. Every chunk that goes into the pipeline comes out through exactly one of [`Link::transmit`],
/// [`Link::transmit_flooded`] and [`Link::release`]: chunks are tokens that cannot be copied, so the compiler keeps count.
pub trait Link {
    /// The token of one chunk.
    type Chunk;

    /// The frame in a chunk.
    fn frame<'a>(&'a self, chunk: &'a mut Self::Chunk) -> Frame<'a>;

    /// Asks for the cache lines in which a frame's headers lie and an outer header will be pushed, before they are
    /// needed. A hint that changes nothing; without an implementation nothing is asked for.
    #[inline]
    fn prefetch_frame(&self, chunk: &Self::Chunk) {
        let _ = chunk;
    }

    /// Asks for the cache line in which something lies, before it is needed. A hint, as above. It is the link's
    /// because the instruction is out of reach of safe code.
    #[inline]
    fn prefetch<T>(&self, place: &T) {
        let _ = place;
    }

    /// A second chunk with the same bytes at the same offsets, or `None` when no chunk is free.
    fn duplicate(&mut self, chunk: &mut Self::Chunk) -> Option<Self::Chunk>;

    /// Sends a finished frame out of a port. `flow` is the hash of its inner flow: frames of one flow keep their
    /// order. Counting (`tx` or the drop reason of a full ring) is the link's.
    fn transmit(&mut self, port: PortId, flow: u32, chunk: Self::Chunk);

    /// The same of a frame without a single receiver, or of a copy of one: where room is short, others come before it.
    #[inline]
    fn transmit_flooded(&mut self, port: PortId, flow: u32, chunk: Self::Chunk) {
        self.transmit(port, flow, chunk);
    }

    /// Takes back the chunk of a frame that goes nowhere. The pipeline has counted the reason.
    fn release(&mut self, chunk: Self::Chunk);

    /// Tells the control thread something a worker saw. Bounded: beyond the bound it is counted and forgotten.
    fn event(&mut self, event: Event);

    /// An event was not told, because too many came of one port in this second. For links that count them.
    fn withheld(&mut self) {}

    /// A pass over the batch has ended. For links that measure what each costs; the pipeline itself knows no clock.
    fn passed(&mut self, _pass: Pass) {}
}

/// The passes of the pipeline over a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pass {
    /// What each frame is, and what to prefetch.
    Parse,
    /// Learn, answer, look up.
    Decide,
    /// Rewrite and give to the link; counting.
    Deliver,
}

/// Where a frame came from or a forwarding entry points to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// One of our ports.
    Port(PortId),
    /// A peer VTEP.
    Remote(RemoteId),
    /// One of several peer VTEPs, chosen by the flow. No frame comes from here.
    Group(GroupId),
}

/// What a worker saw and the control thread acts upon.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// An ARP or ND message showed this neighbour, and the tables do not say the same or it is to age from now on.
    NeighbourSeen {
        /// The bridge domain.
        domain: DomainId,
        /// The protocol address.
        address: IpAddr,
        /// Its Ethernet address.
        mac: Mac,
        /// What else the message says of it.
        flags: NeighbourFlags,
        /// Where the message came in.
        place: Place,
    },
    /// A learned address came in elsewhere than before.
    Moved {
        /// The bridge domain.
        domain: DomainId,
        /// The address.
        mac: Mac,
        /// Where it was.
        from: Place,
        /// Where it is.
        to: Place,
    },
    /// A BFD packet for this switch came from a remote.
    Bfd {
        /// The remote.
        remote: RemoteId,
        /// What it says.
        message: Message,
        /// When it was received, as [`Now`] counts.
        nanoseconds: u64,
    },
    /// A host behind an access port says whether it listens to a multicast group.
    Membership {
        /// The bridge domain.
        domain: DomainId,
        /// The group.
        group: IpAddr,
        /// What it says.
        interest: Interest,
        /// The port.
        port: PortId,
    },
    /// A router asks who listens to multicast groups.
    Queried {
        /// The bridge domain.
        domain: DomainId,
        /// The router's address; unspecified if a switch asks in the place of one.
        from: IpAddr,
        /// The group that it asks about; none for all.
        group: Option<IpAddr>,
        /// Seconds within which hosts answer.
        seconds: u16,
        /// Where it is.
        place: Place,
    },
    /// A multicast router says that it is there.
    RouterSeen {
        /// The bridge domain.
        domain: DomainId,
        /// Where it is.
        place: Place,
    },
    /// A frame for this remote was dropped because its next hop's Ethernet address is not known.
    Unresolved {
        /// The remote.
        remote: RemoteId,
    },
}

/// Time as the switch knows it, read once per batch by the worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Now {
    /// Nanoseconds of the monotonic clock.
    pub nanoseconds: u64,
}

impl Now {
    /// Whole seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        (self.nanoseconds / 1_000_000_000) as u32
    }
}
