//! The networks that tests are made of: an underlay, nodes on it, and workloads on the nodes.
//!
//! ```text
//!            node n (netns)                          underlay (netns)
//!   ┌──────────────────────────────┐               ┌──────────────────┐
//!   │ up0  192.0.2.n/24, MTU 1600  ├──── veth ─────┤ n<n> ┐           │
//!   │                              │               │      ├─ br0      │
//!   │ a1, a2, …: one veth end each │               │ n<m> ┘           │
//!   └──────┬───────────────────────┘               └──────────────────┘
//!          │ veth
//!   workload a1 (netns): eth0 with a 10.0.0.0/24 address and every setting at its default
//! ```
//!
//! The underlay takes packets of 1600 bytes, so that workloads keep their default MTU of 1500. Captures belong on the
//! underlay's ends of the veth pairs or in workloads: a device that AF_XDP serves shows tcpdump little.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use crate::alone::Beside;
use crate::netns::Namespace;
use crate::ping::{Echo, every_answer};
use crate::process::Finished;
use crate::wait::{SOON, wait_until};

/// MTU of underlay links.
pub const UNDERLAY_MTU: u32 = 1600;

/// The network between the nodes: a bridge in a namespace of its own.
#[derive(Debug)]
pub struct Underlay {
    /// Where the bridge `br0` is.
    pub namespace: Namespace,
    _beside: Beside,
}

impl Underlay {
    /// A network without nodes.
    #[must_use]
    pub fn new() -> Self {
        let beside = Beside::others();
        let namespace = Namespace::new("underlay");
        let _ = namespace.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
        namespace.ip("link add br0 type bridge mcast_snooping 0");
        namespace.ip("link set br0 up");
        Self { namespace, _beside: beside }
    }

    /// Makes a node with the address 192.0.2.`number`.
    #[must_use]
    pub fn node(&self, number: u8) -> Node {
        self.node_with_queues(number, 1)
    }

    /// Makes a node with the addresses 192.0.2.`number` and 2001:db8::`number`.
    #[must_use]
    pub fn node_with_ipv6(&self, number: u8) -> Node {
        let node = self.node(number);
        node.namespace.ip(&format!("addr add {}/64 dev up0 nodad", node.address6()));
        node
    }

    /// Makes a node whose uplink has several queues in each direction.
    #[must_use]
    pub fn node_with_queues(&self, number: u8, queues: u32) -> Node {
        let namespace = Namespace::new(&format!("node{number}"));
        let address = Ipv4Addr::new(192, 0, 2, number);
        let underlay_device = format!("n{number}");
        let queues = format!("numrxqueues {queues} numtxqueues {queues}");
        let ours = self.namespace.name();
        namespace.ip(&format!(
            "link add up0 mtu {UNDERLAY_MTU} address 02:00:00:00:01:{number:02x} {queues} type veth \
             peer name {underlay_device} mtu {UNDERLAY_MTU} {queues} netns {ours}"
        ));
        self.namespace.ip(&format!("link set {underlay_device} master br0 up"));
        namespace.ip(&format!("addr add {address}/24 dev up0"));
        namespace.ip("link set up0 up");
        Node { namespace, number, address, underlay_device, underlay: ours.to_owned() }
    }
}

impl Default for Underlay {
    fn default() -> Self {
        Self::new()
    }
}

/// A host on the underlay. Which switch it runs is up to the test.
#[derive(Debug)]
pub struct Node {
    /// The host.
    pub namespace: Namespace,
    /// Last octet of its address.
    pub number: u8,
    /// Its underlay address, on `up0`.
    pub address: Ipv4Addr,
    /// The underlay's end of its uplink: where captures of what it sends and gets belong.
    pub underlay_device: String,
    /// The namespace where that is.
    pub underlay: String,
}

impl Node {
    /// Its second underlay address, where it was made with one.
    #[must_use]
    pub fn address6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.number.into())
    }

    /// Sets the MTU of both ends of its uplink.
    pub fn set_mtu(&self, mtu: u32) {
        let Self { underlay, underlay_device, .. } = self;
        let _ = Finished::of(Command::new("ip").args(["-n", underlay, "link", "set"]).args([
            underlay_device,
            "mtu",
            &mtu.to_string(),
        ]))
        .output();
        self.namespace.ip(&format!("link set up0 mtu {mtu}"));
    }

    /// Makes a workload behind a new device of this node; both have the name `name`. Its Ethernet address is
    /// 02:00:00:00:0a:xx with the last octet of `address`.
    #[must_use]
    pub fn workload(&self, name: &str, address: &str) -> Workload {
        self.workload_with(name, address, "")
    }

    /// The same with extra words for both ends of the veth pair, such as `numrxqueues 4 numtxqueues 4`.
    #[must_use]
    pub fn workload_with(&self, name: &str, address: &str, words: &str) -> Workload {
        let address: Ipv4Addr = address.parse().unwrap_or_else(|error| panic!("{address}: {error}"));
        let namespace = Namespace::new(name);
        let mac = format!("02:00:00:00:0a:{:02x}", address.octets()[3]);
        let workload = Workload { namespace, name: name.to_owned(), address, mac };
        workload.plug(self, words);
        workload
    }
}

/// A host on the overlay.
#[derive(Debug)]
pub struct Workload {
    /// The host; its only device is `eth0`.
    pub namespace: Namespace,
    /// Its name, which is also that of the node's end of its veth pair.
    pub name: String,
    /// Its overlay address.
    pub address: Ipv4Addr,
    /// The Ethernet address of `eth0`.
    pub mac: String,
}

impl Workload {
    /// Connects it to a node by a new veth pair with words for both ends, and configures `eth0`.
    fn plug(&self, node: &Node, words: &str) {
        let Self { namespace, name, address, mac } = self;
        node.namespace.ip(&format!(
            "link add {name} {words} type veth peer name eth0 address {mac} {words} netns {}",
            namespace.name()
        ));
        node.namespace.ip(&format!("link set {name} up"));
        namespace.ip(&format!("addr add {address}/24 dev eth0"));
        namespace.ip("link set eth0 up");
    }

    /// Sets the MTU of both ends of its veth pair, the other one being on this node.
    pub fn set_mtu(&self, node: &Node, mtu: u32) {
        node.namespace.ip(&format!("link set {} mtu {mtu}", self.name));
        self.namespace.ip(&format!("link set eth0 mtu {mtu}"));
    }

    /// Moves it to another node, as a migration does: the device disappears here and appears there, while addresses
    /// stay.
    pub fn migrate(&self, to: &Node) {
        self.namespace.ip("link del eth0");
        self.plug(to, "");
    }

    /// Connects it again after its device was deleted.
    pub fn reconnect(&self, to: &Node) {
        self.plug(to, "");
    }

    /// Pings until the first answer.
    #[track_caller]
    pub fn reaches(&self, to: &Self) {
        let what = format!("{} reaches {}", self.name, to.name);
        let answered =
            || Echo::open(&self.namespace, to.address).request(Duration::from_millis(500)) == Ok(true);
        wait_until(&what, SOON, answered);
    }

    /// Sends `count` pings, of which every one must be answered exactly once.
    #[track_caller]
    pub fn ping(&self, to: Ipv4Addr, count: usize) {
        every_answer(&self.namespace, to, count);
    }

    /// Sends a few pings, none of which may be answered.
    #[track_caller]
    pub fn does_not_reach(&self, to: Ipv4Addr) {
        let mut echo = Echo::open(&self.namespace, to);
        for _ in 0..3 {
            let answer = echo.request(Duration::from_millis(300));
            assert_eq!(answer, Ok(false), "{} -> {to} is reachable", self.name);
        }
    }
}

/// How a segment's frames cross the underlay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encapsulation {
    /// VXLAN to UDP port 4789.
    Vxlan,
    /// GRE with the VNI as its key.
    Gre,
}

/// A node's device with a workload behind it.
#[derive(Clone, Debug)]
pub struct Access {
    /// The device.
    pub name: String,
    /// The workload's namespace.
    pub namespace: String,
}

/// One node's part of a bridge domain: what every kind of switch here can be configured from.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The VNI.
    pub vni: u32,
    /// How its frames are wrapped.
    pub encapsulation: Encapsulation,
    /// The node's devices in it.
    pub devices: Vec<Access>,
    /// Underlay addresses of the other nodes in it.
    pub remotes: Vec<IpAddr>,
    /// Further lines of vtepd's `[[vni]]` table.
    pub keys: Vec<String>,
}

impl Segment {
    /// A VXLAN segment without members.
    #[must_use]
    pub const fn vxlan(vni: u32) -> Self {
        Self {
            vni,
            encapsulation: Encapsulation::Vxlan,
            devices: Vec::new(),
            remotes: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// A GRE segment without members.
    #[must_use]
    pub fn gre(vni: u32) -> Self {
        Self { encapsulation: Encapsulation::Gre, ..Self::vxlan(vni) }
    }

    /// Adds a workload.
    #[must_use]
    pub fn access(self, workload: &Workload) -> Self {
        self.device(&workload.name, &workload.namespace)
    }

    /// Adds the device of a workload.
    #[must_use]
    pub fn device(mut self, name: &str, workload: &Namespace) -> Self {
        self.devices.push(Access { name: name.to_owned(), namespace: workload.name().to_owned() });
        self
    }

    /// Adds another node.
    #[must_use]
    pub fn remote(mut self, node: &Node) -> Self {
        self.remotes.push(node.address.into());
        self
    }

    /// Adds another node by its IPv6 address.
    #[must_use]
    pub fn remote6(mut self, node: &Node) -> Self {
        self.remotes.push(node.address6().into());
        self
    }

    /// Whether some of the other nodes are reached over IPv6, and some over IPv4.
    #[must_use]
    pub fn families(&self) -> (bool, bool) {
        (self.remotes.iter().any(IpAddr::is_ipv6), self.remotes.iter().any(IpAddr::is_ipv4))
    }

    /// Adds a line to vtepd's `[[vni]]` table, such as `ageing = "2s"`.
    #[must_use]
    pub fn key(mut self, line: &str) -> Self {
        self.keys.push(line.to_owned());
        self
    }
}
