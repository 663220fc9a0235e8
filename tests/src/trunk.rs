//! A host behind a trunk: its `eth0` carries VLANs, behind each of which is a workload of its own.
//!
//! ```text
//!   v10 (netns) eth0 ── v10 ┐ tc: push or pop VLAN 10                  ┌ node
//!   v20 (netns) eth0 ── v20 ┼ tc: push or pop VLAN 20 ── eth0 ── veth ─┘
//!                           └ untagged: the host's own stack
//! ```
//!
//! What puts tags on and takes them off are programs at the kernel's traffic control, because the kernel of a test machine
//! need not have VLAN devices. To the kernel the tags are the same: beside the frame as long as the device takes that
//! (`txvlan on`), and in it otherwise.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::process::Command;

use crate::config_text::Variant;
use crate::netns::Namespace;
use crate::process::Finished;
use crate::topology::{Node, Workload};

/// Tags of VLANs, in the order of bytes on the wire read as a little-endian number, as programs have it.
const CUSTOMER: u16 = 0x8100_u16.swap_bytes();
const SERVICE: u16 = 0x88a8_u16.swap_bytes();

/// Pushes and pops the tag of one VLAN.
const PROGRAM: &str = r#"
struct __sk_buff { unsigned len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto; };
static long (*vlan_push)(struct __sk_buff *, unsigned short, unsigned short) = (void *)18;
static long (*vlan_pop)(struct __sk_buff *) = (void *)19;
static long (*redirect)(unsigned, unsigned long long) = (void *)23;
#define DROP 2
#define OTHERS (-1)
__attribute__((section("classifier"), used)) int run(struct __sk_buff *frame)
{
#ifdef PUSH
    if (vlan_push(frame, PROTOCOL, VLAN))
        return DROP;
#else
    if (!frame->vlan_present || frame->vlan_proto != PROTOCOL || (frame->vlan_tci & 0xfff) != VLAN)
        return OTHERS;
    if (vlan_pop(frame))
        return DROP;
#endif
    return redirect(TO, 0);
}
char LICENSE[] __attribute__((section("license"), used)) = "Dual MIT/GPL";
"#;

/// The host.
#[derive(Debug)]
pub struct TrunkHost {
    /// What it sends and gets without a tag, on `eth0`; the node's end of its veth pair has its name.
    pub untagged: Workload,
}

impl TrunkHost {
    /// Behind a new device of a node; both have the name `name`.
    #[must_use]
    pub fn new(node: &Node, name: &str, address: &str) -> Self {
        let untagged = node.workload(name, address);
        let _ = untagged.namespace.run("tc qdisc add dev eth0 clsact");
        Self { untagged }
    }

    /// A workload in one of its VLANs.
    #[must_use]
    pub fn vlan(&self, vlan: u16, name: &str, address: &str) -> Workload {
        self.tagged(CUSTOMER, vlan, name, address)
    }

    /// A workload in a VLAN with a service tag (IEEE 802.1ad).
    #[must_use]
    pub fn service_vlan(&self, vlan: u16, name: &str, address: &str) -> Workload {
        self.tagged(SERVICE, vlan, name, address)
    }

    fn tagged(&self, protocol: u16, vlan: u16, name: &str, address: &str) -> Workload {
        let address: Ipv4Addr = address.parse().unwrap_or_else(|error| panic!("{address}: {error}"));
        let (namespace, host) = (Namespace::new(name), &self.untagged.namespace);
        let mac = format!("02:00:00:00:0a:{:02x}", address.octets()[3]);
        let there = namespace.name();
        host.ip(&format!("link add {name} type veth peer name eth0 address {mac} netns {there}"));
        host.ip(&format!("link set {name} up"));
        namespace.ip(&format!("addr add {address}/24 dev eth0"));
        namespace.ip("link set eth0 up");
        let _ = host.run(&format!("tc qdisc add dev {name} clsact"));
        let tag = format!("-DVLAN={vlan} -DPROTOCOL={protocol}");
        attach(host, name, &format!("-DPUSH {tag} -DTO={}", index(host, "eth0")));
        attach(host, "eth0", &format!("{tag} -DTO={}", index(host, name)));
        Workload { namespace, name: name.to_owned(), address, mac }
    }

    /// Sets the MTU of both ends of the trunk's veth pair and of those of the workloads in VLANs.
    pub fn set_mtu(&self, node: &Node, vlans: &[&Workload], mtu: u32) {
        self.untagged.set_mtu(node, mtu);
        for workload in vlans {
            self.untagged.namespace.ip(&format!("link set {} mtu {mtu}", workload.name));
            workload.namespace.ip(&format!("link set eth0 mtu {mtu}"));
        }
    }

    /// The trunk's `[[port]]` table for these VLANs and VNIs and this native VLAN, its namespace named.
    #[must_use]
    pub fn port(&self, variant: Variant, vlans: &[(u16, u32)], native: u16) -> String {
        let namespace = self.untagged.namespace.name();
        let faces = format!("{}\nnative = {native}\nnamespace = \"{namespace}\"", key(vlans));
        variant.port(&self.untagged.name, &faces)
    }
}

/// The line that says which VLAN is which VNI.
#[must_use]
pub fn key(vlans: &[(u16, u32)]) -> String {
    let mut line = "vlans = [".to_owned();
    for (vlan, vni) in vlans {
        let _ = write!(line, "{{ vlan = {vlan}, vni = {vni} }}, ");
    }
    line + "]"
}

fn index(namespace: &Namespace, device: &str) -> u32 {
    let line = namespace.ip(&format!("-o link show {device}"));
    let index = line.split(':').next().and_then(|index| index.trim().parse().ok());
    index.unwrap_or_else(|| panic!("{device} has no index: {line}"))
}

/// Compiles the program with these definitions and runs it for what comes in at a device.
fn attach(namespace: &Namespace, device: &str, definitions: &str) {
    let directory = tempfile::Builder::new().prefix("vtep-trunk-").tempdir().expect("temporary directory");
    let (source, object) = (directory.path().join("vlan.c"), directory.path().join("vlan.o"));
    std::fs::write(&source, PROGRAM).expect("write a program");
    let mut compile = Command::new("clang");
    compile.args(["-O2", "-target", "bpf", "-c"]).args(definitions.split_whitespace());
    let _ = Finished::of(compile.arg(&source).arg("-o").arg(&object)).output();
    let object = object.display();
    let words = format!(
        "tc filter add dev {device} ingress bpf direct-action object-file {object} section classifier"
    );
    let _ = namespace.run(&words);
}
