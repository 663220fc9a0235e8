//! Last stage: whether a frame may leave by a way, and what it looks like when it does. Sees headers and tables, but
//! neither where the frame came from nor why it goes where it goes.

use wire::Vlan;
use wire::ethernet;

use crate::frame::Frame;
use crate::ids::{GroupId, PortId, RemoteId};
use crate::link::Place;
use crate::parse::Headers;
use crate::remote::{Egress, Outgoing};
use crate::tables::{Role, Tables};
use crate::trunk::{self, Lane};
use crate::verdict::DropReason;

/// A way out that has been found passable for a frame.
#[derive(Clone, Copy, Debug)]
pub enum Exit<'a> {
    /// Out of an access port, as it is.
    Port(PortId),
    /// Out of a trunk in its native VLAN, as it is, unless it has a tag that says another VLAN there.
    Native(PortId),
    /// Out of a trunk, tagged.
    Tagged(PortId, Vlan),
    /// Out of an uplink, to a remote.
    Remote(&'a Egress),
    /// The same behind an outer header that says something of the packet.
    Marked(&'a Egress),
}

/// Whether a frame may leave by an access port, as it is. Trunks are left to [`Exit::new`].
///
/// # Errors
/// `PORT_UNKNOWN` if the port is gone or belongs to another domain, which no table can make it do but an entry that
/// outlived a port; `PKT_TOO_BIG`.
#[inline(always)]
pub fn to_port(tables: &Tables, headers: &Headers, id: PortId) -> Result<PortId, DropReason> {
    match tables.port(id) {
        Some(port) if port.role == Role::Access(headers.domain()) => {
            if headers.packet_length() <= port.mtu {
                Ok(id)
            } else {
                Err(DropReason::PacketTooBig)
            }
        }
        _ => Err(DropReason::PortUnknown),
    }
}

/// The way of a frame out of a trunk; `otherwise` if the port is none.
///
/// # Errors
/// As [`to_port`].
#[inline(never)]
fn to_trunk<'a>(
    tables: &Tables,
    headers: &Headers,
    id: PortId,
    otherwise: DropReason,
) -> Result<Exit<'a>, DropReason> {
    let (Some(lanes), Some(port)) = (tables.trunk(id), tables.port(id)) else { return Err(otherwise) };
    // A device takes one tag beyond its MTU, whosever that is.
    let (exit, bytes) = match lanes.lane(headers.domain()) {
        Lane::Closed => return Err(DropReason::PortUnknown),
        Lane::Native => (Exit::Native(id), headers.packet_length()),
        Lane::Tagged(vlan) => {
            (Exit::Tagged(id, vlan), headers.length.saturating_sub(ethernet::LENGTH as u16))
        }
    };
    if bytes <= port.mtu { Ok(exit) } else { Err(DropReason::PacketTooBig) }
}

/// The way of a frame to a remote.
///
/// # Errors
/// As [`to_port`], and `NO_ROUTE`, `NEIGHBOUR_UNRESOLVED`, `VLAN_TAGGED`.
#[inline(always)]
pub fn to_remote<'a>(tables: &'a Tables, headers: &Headers, id: RemoteId) -> Result<&'a Egress, DropReason> {
    match tables.remote(id) {
        Some(egress) if egress.domain() == headers.domain() => {
            egress.takes(headers)?;
            Ok(egress)
        }
        _ => Err(DropReason::PortUnknown),
    }
}

/// The remote of a group that a frame's flow belongs to.
///
/// # Errors
/// `VXLAN_NO_REMOTE` if no member of the group can be used, `PORT_UNKNOWN` if the group is gone.
pub fn member(tables: &Tables, headers: &Headers, id: GroupId) -> Result<RemoteId, DropReason> {
    let group = tables.group(id).ok_or(DropReason::PortUnknown)?;
    group.remote(headers.flow).ok_or(DropReason::NoRemote)
}

/// The way of a frame to a remote if it can go as nearly all do, with [`Egress::push`] alone; `None` if there is more to ask or
/// to do, which [`Exit::new`] and [`Exit::rewrite`] know.
#[inline(always)]
#[must_use]
pub fn ordinarily_to_remote<'a>(tables: &'a Tables, headers: &Headers, id: RemoteId) -> Option<&'a Egress> {
    let egress = tables.remote(id)?;
    (egress.domain() == headers.domain() && egress.takes_ordinarily(headers.size)).then_some(egress)
}

impl<'a> Exit<'a> {
    /// The way of a frame to `place`.
    ///
    /// # Errors
    /// Those of [`to_port`], [`to_remote`] and [`member`].
    #[inline]
    pub fn new(tables: &'a Tables, headers: &Headers, place: Place) -> Result<Self, DropReason> {
        match place {
            Place::Port(id) => match to_port(tables, headers, id) {
                Ok(id) => Ok(Exit::Port(id)),
                Err(reason) => to_trunk(tables, headers, id, reason),
            },
            Place::Remote(id) => Ok(Self::to(to_remote(tables, headers, id)?, headers)),
            Place::Group(id) => {
                let remote = member(tables, headers, id)?;
                Ok(Self::to(to_remote(tables, headers, remote)?, headers))
            }
        }
    }

    /// The way of an answer to a frame that came in at a port: as the frame, tagged if it was in a VLAN with a tag.
    #[inline]
    #[must_use]
    pub fn back(tables: &Tables, headers: &Headers, ingress: PortId) -> Self {
        match tables.trunk(ingress).map(|lanes| lanes.lane(headers.domain())) {
            Some(Lane::Tagged(vlan)) => Self::Tagged(ingress, vlan),
            Some(Lane::Native) => Self::Native(ingress),
            Some(Lane::Closed) | None => Self::Port(ingress),
        }
    }

    /// To a remote that takes the frame.
    const fn to(egress: &'a Egress, headers: &Headers) -> Self {
        if egress.takes_ordinarily(headers.size) { Exit::Remote(egress) } else { Exit::Marked(egress) }
    }

    /// Where the way leads.
    #[inline]
    #[must_use]
    pub const fn place(&self) -> Place {
        match self {
            Exit::Port(port) | Exit::Native(port) | Exit::Tagged(port, _) => Place::Port(*port),
            Exit::Remote(egress) | Exit::Marked(egress) => Place::Remote(egress.id()),
        }
    }

    /// Makes the frame what it has to be on the way out, and tells the port.
    ///
    /// # Errors
    /// `NO_HEADROOM`, `VLAN_NOT_ALLOWED`.
    #[inline]
    pub fn rewrite(
        &self,
        frame: &mut Frame<'_>,
        headers: &Headers,
        identification: u16,
    ) -> Result<PortId, DropReason> {
        match self {
            Exit::Port(port) => Ok(*port),
            Exit::Native(_) if trunk::has_vlan(frame.bytes()) => Err(DropReason::VlanNotAllowed),
            Exit::Native(port) => Ok(*port),
            Exit::Tagged(port, vlan) => {
                trunk::put_on(frame, *vlan)?;
                Ok(*port)
            }
            Exit::Remote(egress) => {
                egress.push(frame, headers.outgoing(identification))?;
                Ok(egress.uplink())
            }
            Exit::Marked(egress) => {
                egress.push_marked(frame, headers.outgoing(identification))?;
                Ok(egress.uplink())
            }
        }
    }
}

impl Headers {
    /// What the outer header of this frame has of its own.
    #[inline(always)]
    pub const fn outgoing(&self, identification: u16) -> Outgoing {
        let Self { flow, is_completed, .. } = *self;
        Outgoing { flow, is_completed, identification }
    }
}
