//! Configuration files of vtepd for the topologies here.

use std::fmt::Write;

use crate::topology::{Access, Encapsulation, Node, Segment};

/// A way of running the daemon that must make no difference to what it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Variant {
    /// Worker threads.
    pub workers: usize,
    /// `transmit` of every port.
    pub transmit: &'static str,
}

impl Variant {
    /// One worker, transmit as the daemon chooses.
    pub const ONE_WORKER: Self = Self { workers: 1, transmit: "auto" };
    /// Two workers, transmit as the daemon chooses.
    pub const TWO_WORKERS: Self = Self { workers: 2, transmit: "auto" };
    /// One worker, every frame by a TX ring.
    pub const ONE_WORKER_RING: Self = Self { workers: 1, transmit: "ring" };
    /// Two workers, every frame by burst: the daemon turns on at every other end what that needs.
    pub const TWO_WORKERS_BURST: Self = Self { workers: 2, transmit: "burst" };

    /// The configuration of a node with an uplink and these segments.
    #[must_use]
    pub fn config(self, node: &Node, segments: &[Segment]) -> String {
        let mut text = String::new();
        for cpu in 0..self.workers {
            text += &format!("[[worker]]\ncpu = {cpu}\n\n");
        }
        text += &self.port("up0", &format!("role = \"uplink\"{}", self.namespace(&node.underlay)));
        for segment in segments {
            for Access { name, namespace } in &segment.devices {
                text += &self.port(name, &format!("vni = {}{}", segment.vni, self.namespace(namespace)));
            }
            text += &vni(node, segment);
        }
        text
    }

    /// The line that names the namespace of a port's other end, where bursts need it.
    #[must_use]
    pub fn namespace(self, name: &str) -> String {
        if self.transmit == "burst" { format!("\nnamespace = \"{name}\"") } else { String::new() }
    }

    /// A `[[port]]` table; `role` is its line that says what it faces.
    #[must_use]
    pub fn port(self, device: &str, role: &str) -> String {
        format!("[[port]]\nname = \"{device}\"\n{role}\ntransmit = \"{}\"\n\n", self.transmit)
    }
}

/// A `[[vni]]` table.
#[must_use]
pub fn vni(node: &Node, segment: &Segment) -> String {
    let encapsulation = match segment.encapsulation {
        Encapsulation::Vxlan => "vxlan",
        Encapsulation::Gre => "gre",
    };
    let remotes: Vec<String> = segment.remotes.iter().map(|remote| format!("\"{remote}\"")).collect();
    let local = match segment.families() {
        (true, true) => format!("[\"{}\", \"{}\"]", node.address, node.address6()),
        (true, false) => format!("\"{}\"", node.address6()),
        (false, _) => format!("\"{}\"", node.address),
    };
    let mut text = format!(
        "[[vni]]\nid = {}\nlocal = {local}\nencapsulation = \"{encapsulation}\"\nremotes = [{}]\n",
        segment.vni,
        remotes.join(", ")
    );
    for key in &segment.keys {
        let _ = writeln!(text, "{key}");
    }
    text + "\n"
}
