//! The underlay as the kernel sees it: devices, local addresses, routes and neighbours of one network namespace.
//!
//! Stands beside a frame's way, on the control thread: from here come the outer addresses that workers write. The
//! kernel does the routing and the resolving (ARP, neighbour discovery); this follows it by rtnetlink(7) and knows
//! nothing of tunnels, ports or tables.
//!
//! Frames that leave by AF_XDP pass the kernel by, so it does not see that a neighbour is in use, and lets it go stale
//! and forgets it. [`Underlay::keep_fresh`] makes up for that.

mod address;
mod changes;
mod error;
mod link;
mod neighbour;
mod route;
mod router;
mod socket;

use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::Instant;

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use netlink_packet_core::{NLM_F_CREATE, NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourMessage};
use netlink_packet_route::route::RouteMessage;
use rustix::io::Errno;

pub use address::Address;
pub use changes::{Changes, RouteChanges};
pub use error::Error;
pub use link::{Link, Peer};
pub use neighbour::{Neighbour, NeighbourKey};
pub use route::{NoRoute, Route};
pub use router::{RouterMessages, TooBig};

use address::Addresses;
use link::Links;
use neighbour::{Asked, Neighbours};
use socket::{Events, Received, Requests};

/// Bytes of notifications that the kernel queues for us before it drops some: about 4000 of them.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Datagrams that one [`Underlay::drain`] takes at most, so that a storm of changes does not starve the rest of the loop.
const DATAGRAMS_PER_DRAIN: usize = 4096;
/// `RTM_NEWNEXTHOP` and `RTM_DELNEXTHOP` of linux/rtnetlink.h.
const NEXTHOP_MESSAGES: [u16; 2] = [104, 105];

/// The kernel's view of one network namespace, followed live.
///
/// Registered with a mio poll as an event source; when it is readable, call [`drain`](Self::drain).
#[derive(Debug)]
pub struct Underlay {
    requests: Requests,
    events: Events,
    links: Links,
    addresses: Addresses,
    neighbours: Neighbours,
    asked: Asked,
    /// Notifications were lost, so the view must be read anew.
    outdated: bool,
}

impl Underlay {
    /// Opens both sockets in the calling thread's network namespace, to which they stay bound, and reads devices,
    /// addresses and neighbours. Routes are asked for one by one.
    ///
    /// # Errors
    /// A socket is refused, or a table cannot be read.
    pub fn open() -> Result<Self, Error> {
        Self::open_with_receive_buffer(RECEIVE_BUFFER)
    }

    /// Like [`open`](Self::open); the kernel queues at most `bytes` of notifications between two calls of `drain`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_receive_buffer(bytes: usize) -> Result<Self, Error> {
        // Subscribed first: whatever changes while the tables are read is also notified.
        let events = Events::open(bytes)?;
        let mut underlay = Self {
            requests: Requests::open()?,
            events,
            links: Links::default(),
            addresses: Addresses::default(),
            neighbours: Neighbours::default(),
            asked: Asked::default(),
            outdated: true,
        };
        underlay.read_all()?;
        Ok(underlay)
    }

    /// The device of this name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.by_name(name)
    }

    /// The device of this index.
    #[must_use]
    pub fn link_by_index(&self, ifindex: u32) -> Option<&Link> {
        self.links.by_index(ifindex)
    }

    /// All devices, in no order.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    /// All local addresses, in no order.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter()
    }

    /// Where this local address is configured: on no device, on one, or on several.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> &[Address] {
        self.addresses.of(address)
    }

    /// What the kernel knows of `address` behind the device.
    #[must_use]
    pub fn neighbour(&self, ifindex: u32, address: IpAddr) -> Neighbour {
        self.neighbours.view((ifindex, address))
    }

    /// Asks the kernel which way a packet from `local` to `remote` would go: its own decision, with policy rules and
    /// multipath applied. Costs one to three system calls, some ten microseconds.
    ///
    /// The answer holds until [`Changes::routes`] concerns it.
    ///
    /// # Errors
    /// There is no way; the reason is text for people.
    pub fn route(&mut self, local: IpAddr, remote: IpAddr) -> Result<Route, NoRoute> {
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(NoRoute::Families { local, remote });
        }
        // Checked first, as the kernel has one error number for a strange source and a blackhole.
        if self.addresses.of(local).is_empty() && !self.is_local(local)? {
            return Err(NoRoute::NotLocal { local });
        }
        // A link-local address means nothing without its link.
        let scope = match remote {
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                self.addresses.of(local).first().map(|address| address.ifindex)
            }
            _ => None,
        };
        let question = route::question(Some(local), remote, scope);
        match self.ask_route(remote, question) {
            Ok(answer) => route::decision(remote, &answer, &self.links),
            Err(error) => Err(route::refusal(remote, error)),
        }
    }

    /// Whether packets to `address` are ours by a route of type local, without being configured on any device.
    fn is_local(&mut self, address: IpAddr) -> Result<bool, NoRoute> {
        match self.ask_route(address, route::question(None, address, None)) {
            Ok(answer) => {
                Ok(route::decision(address, &answer, &self.links) == Err(NoRoute::Own { remote: address }))
            }
            Err(error) => match route::refusal(address, error) {
                NoRoute::Unknown(error) => Err(NoRoute::Unknown(error)),
                _ => Ok(false),
            },
        }
    }

    fn ask_route(&mut self, destination: IpAddr, question: RouteMessage) -> Result<RouteMessage, Error> {
        let operation = format!("ask for the route to {destination}");
        let answers = self.requests.ask(&operation, RouteNetlinkMessage::GetRoute(question), 0)?;
        let answer = answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => Some(route),
            _ => None,
        });
        answer.ok_or_else(|| Error::Malformed { operation, reason: "it holds no route".into() })
    }

    /// Asks the kernel to resolve a neighbour, or to make sure of one that it has not heard of for a while; the result
    /// arrives as a change. Does nothing for one that is certain, or was asked for within the last second.
    ///
    /// # Errors
    /// The kernel refuses: the device is gone or down, or its table is full.
    pub fn resolve(&mut self, ifindex: u32, address: IpAddr) -> Result<(), Error> {
        let key = (ifindex, address);
        if self.neighbours.is_settled(key) || !self.asked.is_due(key, Instant::now()) {
            return Ok(());
        }
        let name = self.links.by_index(ifindex).map_or("a vanished device", |link| &link.name);
        let operation = format!("resolve {address} on {name}");
        // Use would turn a permanent entry into an ordinary one, and our view may be a moment behind.
        let question = RouteNetlinkMessage::GetNeighbour(neighbour::message(key, NeighbourFlags::empty()));
        match self.requests.ask(&operation, question, 0) {
            Ok(answers) => {
                let permanent = answers.iter().any(|answer| {
                    matches!(answer, RouteNetlinkMessage::NewNeighbour(entry) if neighbour::is_permanent(entry))
                });
                if permanent {
                    return Ok(());
                }
            }
            Err(error) if error.errno() == Some(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        let command = RouteNetlinkMessage::NewNeighbour(neighbour::message(key, NeighbourFlags::Use));
        self.requests.ask(&operation, command, NLM_F_CREATE)?;
        Ok(())
    }

    /// Tells the kernel that these neighbours are in use, so that it verifies those that have gone stale and resolves
    /// those that it has forgotten. Call it every few seconds.
    ///
    /// # Errors
    /// The first refusal; the other neighbours have been seen to all the same.
    pub fn keep_fresh(&mut self, active: impl IntoIterator<Item = NeighbourKey>) -> Result<(), Error> {
        self.asked.expire(Instant::now());
        let mut outcome = Ok(());
        for (ifindex, address) in active {
            outcome = outcome.and(self.resolve(ifindex, address));
        }
        outcome
    }

    /// Takes in everything that the kernel has notified, without waiting for more.
    ///
    /// When notifications were lost, the whole view is read anew. That can fail; the view is then as old as it was, and
    /// the next call tries again. So call it from a timer too, not only when the source is readable.
    ///
    /// # Errors
    /// The socket fails or the view cannot be read anew.
    pub fn drain(&mut self) -> Result<Changes, Error> {
        let mut changes = Changes::default();
        for _ in 0..DATAGRAMS_PER_DRAIN {
            // The view is taken apart: the datagram lies in the buffer of `events`.
            let Self { events, links, addresses, neighbours, .. } = self;
            match events.receive()? {
                Received::Datagram(datagram) => {
                    let mut view = View { links, addresses, neighbours };
                    socket::messages(datagram).for_each(|message| view.apply(&message, &mut changes));
                }
                // The kernel drops on until its queue is empty, so reading anew must wait for that.
                Received::Overrun => self.outdated = true,
                Received::Nothing if self.outdated => {
                    self.read_all()?;
                    return Ok(Changes { overrun: true, ..Changes::all() });
                }
                Received::Nothing => return Ok(changes),
            }
        }
        changes.unfinished = true;
        Ok(changes)
    }

    /// Replaces the view by what the kernel says now.
    fn read_all(&mut self) -> Result<(), Error> {
        let mut links = Links::default();
        let mut addresses = Addresses::default();
        let mut neighbours = Neighbours::default();
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        for answer in self.requests.dump("read the devices", &RouteNetlinkMessage::GetLink(request))? {
            if let RouteNetlinkMessage::NewLink(message) = answer {
                links.update(&message);
            }
        }
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        for answer in self.requests.dump("read the local addresses", &request)? {
            if let RouteNetlinkMessage::NewAddress(message) = answer {
                addresses.update(&message);
            }
        }
        let request = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        for answer in self.requests.dump("read the neighbours", &request)? {
            if let RouteNetlinkMessage::NewNeighbour(message) = answer {
                neighbours.update(&message);
            }
        }
        (self.links, self.addresses, self.neighbours) = (links, addresses, neighbours);
        self.outdated = false;
        Ok(())
    }
}

/// What notifications change.
struct View<'a> {
    links: &'a mut Links,
    addresses: &'a mut Addresses,
    neighbours: &'a mut Neighbours,
}

impl View<'_> {
    /// Takes in one notification.
    fn apply(&mut self, message: &NetlinkBuffer<&[u8]>, changes: &mut Changes) {
        if NEXTHOP_MESSAGES.contains(&message.message_type()) {
            changes.routes = RouteChanges::All;
            return;
        }
        let message = match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message.buffer) {
            Ok(message) => message,
            Err(error) => {
                let number = message.message_type();
                tracing::warn!(
                    "a notification of rtnetlink (type {number}) makes no sense and is ignored: {error}"
                );
                return;
            }
        };
        let NetlinkPayload::InnerMessage(message) = message.payload else { return };
        match message {
            RouteNetlinkMessage::NewLink(message) => link_changed(self.links.update(&message), changes),
            RouteNetlinkMessage::DelLink(message) => {
                let gone = self.links.remove(&message);
                if let Some(ifindex) = gone {
                    changes.addresses |= self.addresses.remove_link(ifindex);
                    changes.neighbours |= self.neighbours.remove_link(ifindex);
                }
                link_changed(gone.is_some(), changes);
            }
            RouteNetlinkMessage::NewAddress(message) => {
                address_changed(self.addresses.update(&message), changes);
            }
            RouteNetlinkMessage::DelAddress(message) => {
                address_changed(self.addresses.remove(&message), changes);
            }
            RouteNetlinkMessage::NewNeighbour(message) => {
                changes.neighbours |= self.neighbours.update(&message);
            }
            RouteNetlinkMessage::DelNeighbour(message) => {
                changes.neighbours |= self.neighbours.remove(&message);
            }
            RouteNetlinkMessage::NewRoute(message) | RouteNetlinkMessage::DelRoute(message) => {
                changes.routes.add(&message);
            }
            RouteNetlinkMessage::NewRule(_) | RouteNetlinkMessage::DelRule(_) => {
                changes.routes = RouteChanges::All;
            }
            _ => {}
        }
    }
}

/// The kernel drops and revives routes with their device, mostly without a notification.
fn link_changed(changed: bool, changes: &mut Changes) {
    if changed {
        changes.links = true;
        changes.routes = RouteChanges::All;
    }
}

/// Likewise, in older kernels, with a source address that goes.
fn address_changed(changed: bool, changes: &mut Changes) {
    if changed {
        changes.addresses = true;
        changes.routes = RouteChanges::All;
    }
}

impl Source for Underlay {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> std::io::Result<()> {
        SourceFd(&self.events.socket.as_raw_fd()).register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> std::io::Result<()> {
        SourceFd(&self.events.socket.as_raw_fd()).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> std::io::Result<()> {
        SourceFd(&self.events.socket.as_raw_fd()).deregister(registry)
    }
}
