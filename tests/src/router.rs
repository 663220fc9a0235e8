//! A router between two underlays, whose links are narrower than the nodes': the kernel's, with its own ICMP.
//!
//! ```text
//!   node a ── underlay 1 ── r1 (192.0.2.251)  router (netns)  r2 (192.0.2.252) ── underlay 2 ── node b
//! ```
//!
//! The nodes have addresses of one subnet; a host route on each leads to the other through the router.

use crate::netns::Namespace;
use crate::topology::{Node, UNDERLAY_MTU, Underlay};

/// A router between two nodes.
#[derive(Debug)]
pub struct Router {
    /// Where it is.
    pub namespace: Namespace,
}

impl Router {
    /// Connects two nodes over IPv4 and IPv6 by a router that passes packets of at most `mtu` bytes on. It tells the
    /// sender of a larger one from 192.0.2.251 or 2001:db8::fe01, which are on the first underlay.
    #[must_use]
    pub fn between(first: (&Underlay, &Node), second: (&Underlay, &Node), mtu: u32) -> Self {
        let namespace = Namespace::new("router");
        let _ = namespace.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        for (number, (underlay, node), (_, other)) in [(1, first, second), (2, second, first)] {
            let ours = underlay.namespace.name();
            let (address, address6) = (format!("192.0.2.25{number}"), format!("2001:db8::fe0{number}"));
            namespace.ip(&format!(
                "link add r{number} mtu {UNDERLAY_MTU} type veth \
                 peer name router mtu {UNDERLAY_MTU} netns {ours}"
            ));
            underlay.namespace.ip("link set router master br0 up");
            namespace.ip(&format!("addr add {address}/32 dev r{number}"));
            namespace.ip(&format!("addr add {address6}/128 dev r{number} nodad"));
            namespace.ip(&format!("link set r{number} up"));
            // The device passes all; it is the route that is narrow, so that it is in either direction.
            namespace.ip(&format!("route add {}/32 dev r{number} mtu lock {mtu}", node.address));
            namespace.ip(&format!("-6 route add {}/128 dev r{number} mtu lock {mtu}", node.address6()));
            node.namespace.ip(&format!("route add {}/32 via {address} dev up0", other.address));
            node.namespace.ip(&format!("-6 route add {address6}/128 dev up0"));
            node.namespace.ip(&format!("-6 route add {}/128 via {address6} dev up0", other.address6()));
        }
        Self { namespace }
    }
}
