//! A veth pair between two namespaces, and traffic for it.

use std::net::{IpAddr, Ipv4Addr};

use vtep_bench::pktgen::{Device, Encapsulation, Hosts, Outer, Size, Traffic};
use vtep_tests::{Namespace, wait_until};
use wire::Mac;

/// Two namespaces, with a veth `near` in one and its peer `far` in the other, both up.
pub(crate) struct Pair {
    pub(crate) near: Namespace,
    pub(crate) far: Namespace,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let (near, far) = (Namespace::new("near"), Namespace::new("far"));
        for namespace in [&near, &far] {
            // No router solicitations among the frames.
            let _ = namespace.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
        }
        near.ip(&format!("link add near mtu 3400 type veth peer name far mtu 3400 netns {}", far.name()));
        near.ip("link set near up");
        far.ip("link set far up");
        wait_until("carrier", vtep_tests::wait::SOON, || near.ip("link show near").contains("LOWER_UP"));
        Self { near, far }
    }

    pub(crate) fn source(&self) -> Device {
        Device::new(self.near.name(), "near")
    }

    pub(crate) fn sink(&self) -> Device {
        Device::new(self.far.name(), "far")
    }
}

/// Plain frames of one flow between two hosts.
pub(crate) fn plain() -> Traffic {
    Traffic {
        size: Size::Fixed(60),
        flows: 1,
        sources: Hosts::one(Mac([2, 0, 0, 0, 1, 0]), Ipv4Addr::new(10, 0, 0, 1)),
        destinations: Hosts::one(Mac([2, 0, 0, 0, 2, 0]), Ipv4Addr::new(10, 0, 1, 1)),
        encapsulation: Encapsulation::Plain,
    }
}

/// A tunnel between two VTEPs.
pub(crate) fn outer(source: IpAddr, destination: IpAddr) -> Outer {
    Outer {
        source_mac: Mac([2, 0, 0, 0, 0, 1]),
        destination_mac: Mac([2, 0, 0, 0, 0, 2]),
        source,
        destination,
    }
}
