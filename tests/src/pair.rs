//! The networks that most tests need, so that a test begins with what is its own.

use std::ops::Deref;

use crate::{Capture, LinuxVtep, Node, Segment, Underlay, Workload};

/// Two nodes on one underlay, each with a workload.
pub struct Pair {
    /// What connects the nodes.
    pub underlay: Underlay,
    /// Node 1.
    pub a: Node,
    /// Node 2.
    pub b: Node,
    /// On node 1, 10.0.0.1.
    pub a1: Workload,
    /// On node 2, 10.0.0.2.
    pub b1: Workload,
}

impl Pair {
    /// Without switches.
    #[expect(clippy::new_without_default, reason = "it makes network namespaces")]
    #[must_use]
    pub fn new() -> Self {
        Self::of_nodes(Underlay::node)
    }

    /// As [`Pair::new`], with nodes that have IPv6 addresses too.
    #[must_use]
    pub fn with_ipv6() -> Self {
        Self::of_nodes(Underlay::node_with_ipv6)
    }

    /// As [`Pair::new`], and node 2 is a Linux bridge with VXLAN 100.
    #[must_use]
    pub fn beside_linux() -> Self {
        let pair = Self::new();
        let _ = LinuxVtep::start(&pair.b, &[pair.far()]);
        pair
    }

    fn of_nodes(node: fn(&Underlay, u8) -> Node) -> Self {
        let underlay = Underlay::new();
        let (a, b) = (node(&underlay, 1), node(&underlay, 2));
        let (a1, b1) = (a.workload("a1", "10.0.0.1"), b.workload("b1", "10.0.0.2"));
        Self { underlay, a, b, a1, b1 }
    }

    /// Sets the MTU of the underlay and of the workloads' devices.
    pub fn set_mtu(&self, underlay: u32, workloads: u32) {
        self.a.set_mtu(underlay);
        self.b.set_mtu(underlay);
        self.a1.set_mtu(&self.a, workloads);
        self.b1.set_mtu(&self.b, workloads);
    }

    /// VXLAN 100 on node 1.
    #[must_use]
    pub fn near(&self) -> Segment {
        Segment::vxlan(100).access(&self.a1).remote(&self.b)
    }

    /// VXLAN 100 on node 2.
    #[must_use]
    pub fn far(&self) -> Segment {
        Segment::vxlan(100).access(&self.b1).remote(&self.a)
    }

    /// What node 1 sends into the underlay and receives from it.
    #[must_use]
    pub fn wire(&self) -> Capture {
        Capture::start(&self.underlay.namespace, &self.a.underlay_device)
    }
}

/// A [`Pair`] beside Linux whose node 1 has a second workload.
pub struct Trio {
    pair: Pair,
    /// On node 1, 10.0.0.3.
    pub a2: Workload,
}

impl Trio {
    /// With Linux as a switch on node 2, and none on node 1.
    #[expect(clippy::new_without_default, reason = "it makes network namespaces")]
    #[must_use]
    pub fn new() -> Self {
        let pair = Pair::beside_linux();
        let a2 = pair.a.workload("a2", "10.0.0.3");
        Self { pair, a2 }
    }

    /// VXLAN 100 on node 1, with both workloads.
    #[must_use]
    pub fn segment(&self) -> Segment {
        self.pair.near().access(&self.a2)
    }
}

impl Deref for Trio {
    type Target = Pair;

    fn deref(&self) -> &Pair {
        &self.pair
    }
}
