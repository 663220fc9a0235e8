//! What differs since the last look.

use std::net::IpAddr;

use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};

/// Prefixes that are told apart before every route counts as changed.
const PREFIXES: usize = 256;

/// What [`Underlay::drain`](super::Underlay::drain) has found to differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// A device came, went, or differs in what [`Link`](super::Link) says.
    pub links: bool,
    /// A local address came, went, or became usable.
    pub addresses: bool,
    /// A neighbour was resolved, failed, vanished or has another Ethernet address.
    pub neighbours: bool,
    /// Which answers of [`Underlay::route`](super::Underlay::route) may differ.
    pub routes: RouteChanges,
    /// Notifications were lost; the view was read anew and everything above is set.
    pub overrun: bool,
    /// So much was pending that some of it is left: drain again before waiting for the next event.
    pub unfinished: bool,
}

impl Changes {
    /// Everything may differ.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            links: true,
            addresses: true,
            neighbours: true,
            routes: RouteChanges::All,
            overrun: false,
            unfinished: false,
        }
    }

    /// Whether anything differs.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.links || self.addresses || self.neighbours || self.routes.any()
    }
}

/// Which routes may differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RouteChanges {
    /// None.
    #[default]
    Nothing,
    /// Those to destinations within these prefixes: address and length in bits.
    Prefixes(Vec<(IpAddr, u8)>),
    /// All.
    All,
}

impl RouteChanges {
    /// Whether any route may differ.
    #[must_use]
    pub const fn any(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// Whether the route from `local` to `remote` may differ.
    #[must_use]
    pub fn concern(&self, local: IpAddr, remote: IpAddr) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            // The local address counts too: a route of type local makes it ours.
            Self::Prefixes(prefixes) => prefixes
                .iter()
                .any(|(prefix, length)| covers(*prefix, *length, local) || covers(*prefix, *length, remote)),
        }
    }

    /// Notes a route that came or went.
    pub(super) fn add(&mut self, message: &RouteMessage) {
        let Some((prefix, length)) = destination(message) else {
            *self = Self::All;
            return;
        };
        match self {
            Self::All => {}
            Self::Nothing => *self = Self::Prefixes(vec![(prefix, length)]),
            Self::Prefixes(prefixes) if prefixes.contains(&(prefix, length)) => {}
            Self::Prefixes(prefixes) if prefixes.len() < PREFIXES => prefixes.push((prefix, length)),
            Self::Prefixes(_) => *self = Self::All,
        }
    }
}

/// The prefix of a route; `None` when its length is zero (a default route) or it is of no family of ours.
fn destination(message: &RouteMessage) -> Option<(IpAddr, u8)> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })?;
    Some((address, message.header.destination_prefix_length))
}

fn covers(prefix: IpAddr, length: u8, address: IpAddr) -> bool {
    let length = u32::from(length);
    match (prefix, address) {
        (IpAddr::V4(prefix), IpAddr::V4(address)) => {
            let differing = prefix.to_bits() ^ address.to_bits();
            differing.leading_zeros() >= length
        }
        (IpAddr::V6(prefix), IpAddr::V6(address)) => {
            let differing = prefix.to_bits() ^ address.to_bits();
            differing.leading_zeros() >= length
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(prefix: &str, length: u8) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.destination_prefix_length = length;
        if length > 0 {
            let address: IpAddr = prefix.parse().unwrap();
            message.attributes.push(RouteAttribute::Destination(address.into()));
        }
        message
    }

    fn concern(changes: &RouteChanges, local: &str, remote: &str) -> bool {
        changes.concern(local.parse().unwrap(), remote.parse().unwrap())
    }

    #[test]
    fn a_prefix_concerns_what_it_covers() {
        let mut changes = RouteChanges::Nothing;
        assert!(!concern(&changes, "10.0.0.1", "10.1.2.3"));
        changes.add(&route("10.1.2.0", 24));
        changes.add(&route("2001:db8::", 32));
        assert!(concern(&changes, "10.0.0.1", "10.1.2.3"));
        assert!(concern(&changes, "10.1.2.3", "10.0.0.1"));
        assert!(!concern(&changes, "10.0.0.1", "10.1.3.3"));
        assert!(concern(&changes, "fd00::1", "2001:db8:1::1"));
        assert!(!concern(&changes, "fd00::1", "2001:db9::1"));
        assert!(!concern(&changes, "fd00::1", "::a01:203"));
    }

    #[test]
    fn a_host_route_concerns_one_address() {
        let mut changes = RouteChanges::Nothing;
        changes.add(&route("10.1.2.3", 32));
        assert!(concern(&changes, "10.0.0.1", "10.1.2.3"));
        assert!(!concern(&changes, "10.0.0.1", "10.1.2.2"));
    }

    #[test]
    fn a_default_route_and_too_many_prefixes_concern_all() {
        let mut changes = RouteChanges::Nothing;
        changes.add(&route("", 0));
        assert_eq!(changes, RouteChanges::All);

        let mut changes = RouteChanges::Nothing;
        for third in 0..=255 {
            changes.add(&route(&format!("10.1.{third}.0"), 24));
            changes.add(&route(&format!("10.1.{third}.0"), 24));
        }
        assert!(matches!(&changes, RouteChanges::Prefixes(prefixes) if prefixes.len() == PREFIXES));
        changes.add(&route("10.2.0.0", 24));
        assert_eq!(changes, RouteChanges::All);
    }
}
