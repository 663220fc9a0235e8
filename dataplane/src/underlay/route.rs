//! Where the kernel would send a packet to.

use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use rustix::io::Errno;

use super::Error;
use super::link::Links;

/// The kernel's decision for one pair of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The device that packets leave by.
    pub ifindex: u32,
    /// The router that they go to; `None` when the remote itself is on that link. It may be an IPv6 address for an IPv4
    /// remote (RFC 8950).
    pub gateway: Option<IpAddr>,
    /// Path MTU in bytes where the route gives one; otherwise the device's holds. It may exceed the latter. What the
    /// kernel has learned for its own connections does not count: it expires, and nobody is told when.
    pub mtu: Option<u32>,
}

impl Route {
    /// The address to resolve on the link.
    #[must_use]
    pub fn next_hop(&self, remote: IpAddr) -> IpAddr {
        self.gateway.unwrap_or(remote)
    }
}

/// Why there is no way to a remote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// One address is IPv4, the other IPv6.
    #[error("{local} and {remote} are of different address families; give both as IPv4 or both as IPv6")]
    Families {
        /// Our address.
        local: IpAddr,
        /// The peer's.
        remote: IpAddr,
    },
    /// Packets cannot come from this address.
    #[error("{local} is not an address of this host; add it with `ip address add {local} dev <uplink>`")]
    NotLocal {
        /// Our address.
        local: IpAddr,
    },
    /// The remote is this host.
    #[error("{remote} is an address of this host itself")]
    Own {
        /// The peer's address.
        remote: IpAddr,
    },
    /// Broadcast, multicast, anycast.
    #[error("{remote} is not a unicast address here")]
    NotUnicast {
        /// The peer's address.
        remote: IpAddr,
    },
    /// No table has a route that covers the remote.
    #[error("there is no route to {remote}; see `ip route get {remote}`")]
    Missing {
        /// The peer's address.
        remote: IpAddr,
    },
    /// A route of type blackhole.
    #[error("the route to {remote} is a blackhole; see `ip route get {remote}`")]
    Blackhole {
        /// The peer's address.
        remote: IpAddr,
    },
    /// A route of type unreachable.
    #[error("the route to {remote} says unreachable; see `ip route get {remote}`")]
    Unreachable {
        /// The peer's address.
        remote: IpAddr,
    },
    /// A route or rule of type prohibit.
    #[error("the route to {remote} says prohibited; see `ip route get {remote}`")]
    Prohibited {
        /// The peer's address.
        remote: IpAddr,
    },
    /// A route into our own loopback.
    #[error("the route to {remote} leads into the loopback {link}")]
    Loopback {
        /// The peer's address.
        remote: IpAddr,
        /// The device.
        link: String,
    },
    /// The device is down.
    #[error("the route to {remote} leaves by {link}, which is down; `ip link set {link} up`")]
    LinkDown {
        /// The peer's address.
        remote: IpAddr,
        /// The device.
        link: String,
    },
    /// The device is up but cannot carry packets.
    #[error("the route to {remote} leaves by {link}, which has no carrier; look at its cable or far end")]
    CarrierLost {
        /// The peer's address.
        remote: IpAddr,
        /// The device.
        link: String,
    },
    /// The kernel could not be asked.
    #[error(transparent)]
    Unknown(#[from] Error),
}

pub(super) const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

pub(super) const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The question: which way from `source` to `destination`, by `ifindex` if given?
pub(super) fn question(source: Option<IpAddr>, destination: IpAddr, ifindex: Option<u32>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(destination);
    message.header.destination_prefix_length = bits(destination);
    message.attributes.push(RouteAttribute::Destination(destination.into()));
    if let Some(source) = source {
        message.header.source_prefix_length = bits(source);
        message.attributes.push(RouteAttribute::Source(source.into()));
    }
    message.attributes.extend(ifindex.map(RouteAttribute::Oif));
    message
}

/// What a refusal of the question means. The kernel reports routes that reject as errors of their own.
pub(super) fn refusal(remote: IpAddr, error: Error) -> NoRoute {
    match error.errno() {
        Some(Errno::NETUNREACH | Errno::AGAIN | Errno::SRCH) => NoRoute::Missing { remote },
        Some(Errno::INVAL) => NoRoute::Blackhole { remote },
        Some(Errno::HOSTUNREACH) => NoRoute::Unreachable { remote },
        Some(Errno::ACCESS) => NoRoute::Prohibited { remote },
        _ => NoRoute::Unknown(error),
    }
}

/// What an answer means.
pub(super) fn decision(remote: IpAddr, message: &RouteMessage, links: &Links) -> Result<Route, NoRoute> {
    match message.header.kind {
        RouteType::Unicast => {}
        RouteType::Local => return Err(NoRoute::Own { remote }),
        RouteType::BlackHole => return Err(NoRoute::Blackhole { remote }),
        RouteType::Unreachable => return Err(NoRoute::Unreachable { remote }),
        RouteType::Prohibit => return Err(NoRoute::Prohibited { remote }),
        RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast => {
            return Err(NoRoute::NotUnicast { remote });
        }
        _ => return Err(NoRoute::Missing { remote }),
    }
    let mut route = Route { ifindex: 0, gateway: None, mtu: None };
    let mut expires = false;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(ifindex) => route.ifindex = *ifindex,
            RouteAttribute::Gateway(RouteAddress::Inet(gateway))
            | RouteAttribute::Via(RouteVia::Inet(gateway)) => route.gateway = Some(IpAddr::V4(*gateway)),
            RouteAttribute::Gateway(RouteAddress::Inet6(gateway))
            | RouteAttribute::Via(RouteVia::Inet6(gateway)) => route.gateway = Some(IpAddr::V6(*gateway)),
            RouteAttribute::CacheInfo(info) => expires = info.expires != 0,
            RouteAttribute::Metrics(metrics) => {
                route.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    route.mtu = route.mtu.filter(|_| !expires);
    usable(remote, route, links)
}

/// Refuses a route by a device that cannot carry packets: the kernel still names one that has lost its carrier.
fn usable(remote: IpAddr, route: Route, links: &Links) -> Result<Route, NoRoute> {
    // A device that we have not heard of yet is the kernel's word against nobody's.
    let Some(link) = links.by_index(route.ifindex) else { return Ok(route) };
    let name = || link.name.clone();
    if link.loopback {
        Err(NoRoute::Loopback { remote, link: name() })
    } else if !link.up {
        Err(NoRoute::LinkDown { remote, link: name() })
    } else if !link.running {
        Err(NoRoute::CarrierLost { remote, link: name() })
    } else {
        Ok(route)
    }
}
