//! The kernel's own VXLAN as a far side: per VNI one bridge with a vxlan device in it.

use std::net::IpAddr;

use crate::netns::Namespace;
use crate::topology::{Encapsulation, Node, Segment};

/// Linux vxlan devices and bridges on a node. They live as long as the node's namespace.
#[derive(Debug)]
pub struct LinuxVtep<'a> {
    namespace: &'a Namespace,
}

impl<'a> LinuxVtep<'a> {
    /// Makes `br<VNI>` and `vx<VNI>` for each segment, and enslaves its devices. All remotes of a segment are of one
    /// address family.
    #[must_use]
    pub fn start(node: &'a Node, segments: &[Segment]) -> Self {
        Self::start_with(node, segments, "")
    }

    /// The same with extra words for the vxlan devices, such as `udp6zerocsumtx`. A TTL is 64, DF set over IPv4 and the UDP
    /// port 4789 unless they say otherwise.
    #[must_use]
    pub fn start_with(node: &'a Node, segments: &[Segment], words: &str) -> Self {
        let namespace = &node.namespace;
        for segment in segments {
            let Segment { vni, encapsulation, devices, remotes, .. } = segment;
            assert_eq!(*encapsulation, Encapsulation::Vxlan, "Linux here has no GRE");
            namespace.ip(&format!("link add br{vni} type bridge mcast_snooping 0"));
            let local = match segment.families() {
                (true, _) => node.address6().to_string(),
                (false, _) if words.contains("df ") => node.address.to_string(),
                (false, _) => format!("{} df set", node.address),
            };
            let ttl = if words.contains("ttl ") { "" } else { "ttl 64" };
            let port = if words.contains("dstport ") { "" } else { "dstport 4789" };
            namespace.ip(&format!("link add vx{vni} type vxlan id {vni} {port} {ttl} local {local} {words}"));
            // No addresses of their own: what they would say about these is sent at times of its own, and learned.
            for device in ["br", "vx"] {
                namespace.ip(&format!("link set {device}{vni} addrgenmode none"));
            }
            for remote in remotes {
                namespace.bridge(&format!("fdb append 00:00:00:00:00:00 dev vx{vni} dst {remote}"));
            }
            let tunnel = format!("vx{vni}");
            for device in devices.iter().map(|device| &device.name).chain([&tunnel]) {
                namespace.ip(&format!("link set {device} master br{vni} up"));
            }
            namespace.ip(&format!("link set br{vni} mtu 1500 up"));
        }
        Self { namespace }
    }

    /// Sets the MTU of a VNI's vxlan device and bridge.
    pub fn set_mtu(&self, vni: u32, mtu: u32) {
        self.namespace.ip(&format!("link set vx{vni} mtu {mtu}"));
        self.namespace.ip(&format!("link set br{vni} mtu {mtu}"));
    }

    /// The addresses that the vxlan device of a VNI has learned behind `remote`.
    #[must_use]
    pub fn learned(&self, vni: u32, remote: impl Into<IpAddr>) -> Vec<String> {
        let dst = format!("dst {} ", remote.into());
        let text = self.namespace.bridge(&format!("fdb show dev vx{vni}"));
        let lines = text.lines().map(|line| format!("{line} "));
        lines
            .filter(|line| line.contains(&dst) && !line.starts_with("00:00:00:00:00:00"))
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect()
    }
}
