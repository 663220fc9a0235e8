//! The way to each peer: the kernel's route and neighbour, asked for once and again when the kernel says that the
//! answer may differ.

use std::collections::BTreeMap;
use std::net::IpAddr;

use forward::tables::Path;
use wire::Mac;

use crate::underlay::{Changes, Neighbour, Route, Underlay};

/// What is known of the way from one of our addresses to a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// There is none; the reason is for people.
    None(String),
    /// There is a route; the next hop's Ethernet address is not known.
    Unresolved {
        /// The device.
        ifindex: u32,
        /// The next hop.
        next_hop: IpAddr,
        /// The kernel has asked in vain.
        failed: bool,
    },
    /// Ready.
    Ready {
        /// The device.
        ifindex: u32,
        /// The next hop.
        next_hop: IpAddr,
        /// Its Ethernet address.
        mac: Mac,
        /// Path MTU, where the route gives one.
        mtu: Option<u32>,
    },
}

/// The ways to all peers.
#[derive(Debug, Default)]
pub(super) struct Paths {
    ways: BTreeMap<(IpAddr, IpAddr), Way>,
}

impl Paths {
    /// Keeps ways for exactly these pairs of our address and a peer's, which are in order; asks for those that are new. Says whether
    /// any was.
    pub(super) fn require(&mut self, underlay: &mut Underlay, pairs: &[(IpAddr, IpAddr)]) -> bool {
        let before = self.ways.len();
        self.ways.retain(|pair, _| pairs.binary_search(pair).is_ok());
        let mut changed = self.ways.len() != before;
        for &(local, remote) in pairs {
            self.ways.entry((local, remote)).or_insert_with(|| {
                changed = true;
                look(underlay, local, remote)
            });
        }
        changed
    }

    /// Asks again for what the kernel says may differ; says whether anything does, and tells `moved` of each pair of
    /// addresses between which packets take another way now.
    pub(super) fn follow(
        &mut self,
        underlay: &mut Underlay,
        changes: &Changes,
        mut moved: impl FnMut((IpAddr, IpAddr)),
    ) -> bool {
        let all = changes.links || changes.addresses;
        let mut differs = false;
        for (&(local, remote), way) in &mut self.ways {
            let asked = all || changes.neighbours || changes.routes.concern(local, remote);
            if asked {
                let now = look(underlay, local, remote);
                differs |= now != *way;
                if now.hop() != way.hop() {
                    moved((local, remote));
                }
                *way = now;
            }
        }
        differs
    }

    /// The way from one of our addresses to a peer.
    #[must_use]
    pub(super) fn way(&self, local: IpAddr, remote: IpAddr) -> Option<&Way> {
        self.ways.get(&(local, remote))
    }

    /// The next hops that are in use.
    pub(super) fn next_hops(&self) -> impl Iterator<Item = (u32, IpAddr)> {
        self.ways.values().filter_map(Way::hop)
    }
}

/// What the kernel says now. An unresolved neighbour is asked for on the way.
fn look(underlay: &mut Underlay, local: IpAddr, remote: IpAddr) -> Way {
    let route: Route = match underlay.route(local, remote) {
        Ok(route) => route,
        Err(why) => return Way::None(why.to_string()),
    };
    let (ifindex, next_hop) = (route.ifindex, route.next_hop(remote));
    match underlay.neighbour(ifindex, next_hop) {
        Neighbour::Resolved(mac) => Way::Ready { ifindex, next_hop, mac, mtu: route.mtu },
        state @ (Neighbour::Unresolved | Neighbour::Failed) => {
            if let Err(error) = underlay.resolve(ifindex, next_hop) {
                tracing::debug!(%error, "the kernel does not resolve a next hop");
            }
            Way::Unresolved { ifindex, next_hop, failed: state == Neighbour::Failed }
        }
    }
}

impl Way {
    /// The device and the next hop, once there is a route.
    pub(super) const fn hop(&self) -> Option<(u32, IpAddr)> {
        match self {
            Self::None(_) => None,
            Self::Unresolved { ifindex, next_hop, .. } | Self::Ready { ifindex, next_hop, .. } => {
                Some((*ifindex, *next_hop))
            }
        }
    }

    /// The way as the pipeline has it. `uplink` knows the uplink port of a device, and its Ethernet address; `told` is
    /// the path MTU that routers have told.
    pub(super) fn path(
        &self,
        told: Option<u16>,
        uplink: impl Fn(u32) -> Option<(forward::ids::PortId, Mac)>,
    ) -> Path {
        match *self {
            Self::None(_) => Path::NoRoute,
            Self::Unresolved { ifindex, .. } => uplink(ifindex).map_or(Path::NoRoute, |_| Path::Unresolved),
            Self::Ready { ifindex, mac, mtu, .. } => {
                uplink(ifindex).map_or(Path::NoRoute, |(uplink, source)| {
                    let of_route = mtu.and_then(|mtu| u16::try_from(mtu).ok()).unwrap_or(u16::MAX);
                    let mtu = of_route.min(told.unwrap_or(u16::MAX));
                    Path::Resolved { uplink, source, next_hop: mac, mtu }
                })
            }
        }
    }
}
