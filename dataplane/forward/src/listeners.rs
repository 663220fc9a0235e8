//! Who listens to which multicast group, in the shape in which flooding looks it up.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::quality::RandomState;

use crate::description::{Domain, Listeners, Port};
use crate::flood::Members;
use crate::ids::{DomainId, PortId};
use crate::snoop::Audience;

/// The listeners of all domains that snoop and have a querier. In the others nobody is known to listen, and all is flooded.
#[derive(Debug, Default)]
pub(crate) struct Audiences {
    /// Where routers are, for IPv4 and IPv6.
    routers: HashMap<(DomainId, bool), Members, RandomState>,
    /// Where listeners and routers are.
    groups: HashMap<(DomainId, IpAddr), Members, RandomState>,
}

impl Audiences {
    pub(crate) fn new(domains: &[Domain], ports: &HashMap<PortId, &Port>) -> Self {
        let mut all = Self::default();
        for domain in domains {
            let Some(listeners) = &domain.snooping else { continue };
            let members = |also: &[PortId]| {
                let wanted = |id: &PortId| also.contains(id) || listeners.routers.contains(id);
                let ids = domain.ports.iter().filter(|id| wanted(id));
                Members::new(ids.filter_map(|id| ports.get(id).copied()))
            };
            for is_ipv6 in [false, true] {
                if listeners.has_querier(is_ipv6) {
                    all.routers.insert((domain.id, is_ipv6), members(&[]));
                }
            }
            for (group, ids) in &listeners.groups {
                if listeners.has_querier(group.is_ipv6()) {
                    all.groups.insert((domain.id, *group), members(ids));
                }
            }
        }
        all
    }

    /// The ports of an audience; none where that is not known and everybody is to get the frame. `isolated` as for
    /// flooding.
    pub(crate) fn ports(&self, domain: DomainId, audience: Audience, isolated: bool) -> Option<&[PortId]> {
        let members = match audience {
            Audience::Everybody => None,
            Audience::Routers { is_ipv6 } => self.routers.get(&(domain, is_ipv6)),
            Audience::Listeners(group) => self.groups.get(&(domain, group)),
        };
        members.map(|members| members.heard_by(isolated))
    }
}

impl Listeners {
    const fn has_querier(&self, is_ipv6: bool) -> bool {
        if is_ipv6 { self.has_mld_querier } else { self.has_igmp_querier }
    }
}
