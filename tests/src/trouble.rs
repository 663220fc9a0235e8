//! Trouble on the underlay: packets of a node that are lost, by rules of nftables at the bridge's end of its uplink.

use crate::process::Finished;
use crate::topology::{Node, Underlay};

/// Rules at the uplinks of nodes, which go with the value.
#[derive(Debug)]
pub struct Trouble<'a> {
    underlay: &'a Underlay,
    table: String,
}

impl<'a> Trouble<'a> {
    /// Loses packets that a node sends and that a rule of nftables selects, such as `ip length > 1450` or
    /// `numgen random mod 100 < 40`; all for the empty rule.
    #[must_use]
    pub fn from_node(underlay: &'a Underlay, node: &Node, rule: &str) -> Self {
        Self::on(underlay, &[&node.underlay_device], rule)
    }

    /// The same for packets of several nodes.
    #[must_use]
    pub fn among(underlay: &'a Underlay, nodes: &[&Node], rule: &str) -> Self {
        let devices: Vec<&str> = nodes.iter().map(|node| node.underlay_device.as_str()).collect();
        Self::on(underlay, &devices, rule)
    }

    fn on(underlay: &'a Underlay, devices: &[&str], rule: &str) -> Self {
        let table = format!("trouble_{}", devices.join("_"));
        let trouble = Self { underlay, table };
        trouble.nft(&format!("add table netdev {}", trouble.table));
        for device in devices {
            let chain = format!("{} {device}", trouble.table);
            trouble.nft(&format!(
                "add chain netdev {chain} {{ type filter hook ingress device \"{device}\" priority 0; }}"
            ));
            trouble.nft(&format!("add rule netdev {chain} {rule} drop"));
        }
        trouble
    }

    fn nft(&self, words: &str) {
        let mut command = self.underlay.namespace.command("nft");
        let _ = Finished::of(command.arg(words)).output();
    }
}

impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        let mut command = self.underlay.namespace.command("nft");
        // While a test panics its namespace goes anyway.
        let _ = command.arg(format!("delete table netdev {}", self.table)).status();
    }
}
