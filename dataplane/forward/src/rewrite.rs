//! Last stage: whether a frame may leave by a way, and what it looks like when it does. Sees headers and tables, but
//! neither where the frame came from nor why it goes where it goes.

use crate::frame::Frame;
use crate::ids::{PortId, RemoteId};
use crate::link::Place;
use crate::parse::Headers;
use crate::remote::{Egress, Outgoing};
use crate::tables::{Role, Tables};
use crate::verdict::DropReason;

/// A way out that has been found passable for a frame.
#[derive(Clone, Copy, Debug)]
pub enum Exit<'a> {
    /// Out of an access port, as it is.
    Port(PortId),
    /// Out of an uplink, to a remote.
    Remote(&'a Egress, PortId),
}

impl<'a> Exit<'a> {
    /// The way of a frame to `place`.
    ///
    /// # Errors
    /// `PORT_UNKNOWN` if the place is gone or belongs to another domain, which no table can make it do but an entry that
    /// outlived a port; `PKT_TOO_BIG`, `NO_ROUTE`, `NEIGHBOUR_UNRESOLVED`.
    #[inline(always)]
    pub fn new(tables: &'a Tables, headers: &Headers, place: Place) -> Result<Self, DropReason> {
        match place {
            Place::Port(id) => Self::of_port(tables, headers, id),
            Place::Remote(id) => Self::of_remote(tables, headers, id),
        }
    }

    #[inline(always)]
    fn of_port(tables: &Tables, headers: &Headers, id: PortId) -> Result<Self, DropReason> {
        match tables.port(id) {
            Some(port) if port.role == Role::Access(headers.domain()) => {
                let fits = headers.packet_length() <= port.mtu;
                if fits { Ok(Exit::Port(id)) } else { Err(DropReason::PacketTooBig) }
            }
            _ => Err(DropReason::PortUnknown),
        }
    }

    #[inline(always)]
    fn of_remote(tables: &'a Tables, headers: &Headers, id: RemoteId) -> Result<Self, DropReason> {
        match tables.remote(id) {
            Some(egress) if egress.domain() == headers.domain() => {
                let uplink = egress.uplink_for(usize::from(headers.length))?;
                Ok(Exit::Remote(egress, uplink))
            }
            _ => Err(DropReason::PortUnknown),
        }
    }

    /// Where the way leads.
    #[inline]
    #[must_use]
    pub const fn place(&self) -> Place {
        match self {
            Exit::Port(port) => Place::Port(*port),
            Exit::Remote(egress, _) => Place::Remote(egress.id()),
        }
    }

    /// Makes the frame what it has to be on the way out, and tells the port.
    ///
    /// # Errors
    /// `NO_HEADROOM`.
    #[inline(always)]
    pub fn rewrite(
        &self,
        frame: &mut Frame<'_>,
        headers: &Headers,
        identification: u16,
    ) -> Result<PortId, DropReason> {
        match self {
            Exit::Port(port) => Ok(*port),
            Exit::Remote(egress, uplink) => {
                let Headers { flow, is_completed, .. } = *headers;
                egress.push(frame, Outgoing { flow, is_completed, identification })?;
                Ok(*uplink)
            }
        }
    }
}
