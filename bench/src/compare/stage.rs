//! The network that a contestant is put into, built afresh each time.
//!
//! ```text
//!   workload (netns)          node (netns): the contestant             far (netns)
//!   ┌────────────┐          ┌────────────────────────────┐          ┌──────────────┐
//!   │       eth0 ├── veth ──┤ w0                     up0 ├── veth ──┤ eth0         │
//!   └────────────┘          │          192.0.2.1, 1600 B │          │ 192.0.2.2    │
//!                           └────────────────────────────┘          └──────────────┘
//! ```
//!
//! Encapsulation: the generator is the workload, the sink counts at `far`. Decapsulation: the other way round. Nothing
//! resolves or floods: next hops and forwarding entries are static, and IPv6 is off.

use std::net::Ipv4Addr;

use vtep_tests::topology::UNDERLAY_MTU;
use vtep_tests::{Namespace, Node};

use super::case::Direction;

/// The node's underlay address.
pub const NEAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The peer VTEP's underlay address.
pub const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// Ethernet address of the node's uplink.
pub const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
/// Ethernet address of the peer VTEP's underlay device.
pub const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 1, 2];
/// The VNI, and with GRE the key.
pub const VNI: u32 = 100;
/// The node's access port.
pub const ACCESS: &str = "w0";
/// The node's uplink.
pub const UPLINK: &str = "up0";
/// The only device of the workload and of the far end.
pub const END: &str = "eth0";

/// Three namespaces in a row. Dropping them deletes them.
#[derive(Debug)]
pub struct Stage {
    /// The workload.
    pub workload: Namespace,
    /// Where the contestant runs.
    pub node: Node,
    /// The underlay's far end.
    pub far: Namespace,
}

impl Stage {
    /// Builds them, with every device up.
    #[must_use]
    pub fn new() -> Self {
        let (workload, near, far) =
            (Namespace::new("workload"), Namespace::new("node"), Namespace::new("far"));
        for namespace in [&workload, &near, &far] {
            let _ = namespace
                .run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
        }
        near.ip(&format!("link add {ACCESS} type veth peer name {END} netns {}", workload.name()));
        near.ip(&format!(
            "link add {UPLINK} mtu {UNDERLAY_MTU} address {} type veth \
             peer name {END} mtu {UNDERLAY_MTU} address {} netns {}",
            text(NEAR_MAC),
            text(FAR_MAC),
            far.name()
        ));
        for (namespace, device) in [(&workload, END), (&near, ACCESS), (&near, UPLINK), (&far, END)] {
            namespace.ip(&format!("link set {device} up"));
        }
        // A veth takes redirected frames only while its receiving end runs NAPI: this is what vtepd asks of workloads.
        for end in [&workload, &far] {
            let _ = end.run(&format!("ethtool -K {END} gro on"));
        }
        near.ip(&format!("addr add {NEAR}/24 dev {UPLINK}"));
        near.ip(&format!("neigh replace {FAR} lladdr {} dev {UPLINK} nud permanent", text(FAR_MAC)));
        far.ip(&format!("addr add {FAR}/24 dev {END}"));
        far.ip(&format!("neigh replace {NEAR} lladdr {} dev {END} nud permanent", text(NEAR_MAC)));
        let node = Node {
            namespace: near,
            number: 1,
            address: NEAR,
            underlay_device: END.to_owned(),
            underlay: far.name().to_owned(),
        };
        Self { workload, node, far }
    }

    /// Where the generator is.
    #[must_use]
    pub fn source(&self, direction: Direction) -> &Namespace {
        match direction {
            Direction::Encap => &self.workload,
            Direction::Decap => &self.far,
        }
    }

    /// Where frames are counted.
    #[must_use]
    pub fn sink(&self, direction: Direction) -> &Namespace {
        match direction {
            Direction::Encap => &self.far,
            Direction::Decap => &self.workload,
        }
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

/// The node's device where frames come in.
#[must_use]
pub fn ingress(direction: Direction) -> &'static str {
    match direction {
        Direction::Encap => ACCESS,
        Direction::Decap => UPLINK,
    }
}

/// The node's device where frames go out.
#[must_use]
pub fn egress(direction: Direction) -> &'static str {
    match direction {
        Direction::Encap => UPLINK,
        Direction::Decap => ACCESS,
    }
}

/// An Ethernet address as programs write it.
#[must_use]
pub fn text(mac: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}
