//! What a port's workload may be and send.

use std::net::IpAddr;

use wire::Mac;

/// What the frames of an access port are held against.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardConfig {
    /// Whether the workload may act as a router, a DHCP server or the end of a tunnel; false by default.
    pub trusted: bool,
    /// Whether only addresses that are bound or written may send; false by default.
    pub locked: bool,
    /// The addresses that it may use; with none, any.
    pub bind: Vec<BindingConfig>,
    /// Most addresses that are learned from it.
    pub learn_limit: u32,
}

impl GuardConfig {
    /// Most addresses that are learned from a port unless it says otherwise: more than a host with many guests behind one
    /// device has.
    pub const LEARN_LIMIT: u32 = 8192;
    /// Most bindings of one port: each is looked through for each frame.
    pub const MAX_BINDINGS: usize = 64;
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self { trusted: false, locked: false, bind: Vec::new(), learn_limit: Self::LEARN_LIMIT }
    }
}

/// An Ethernet address that a workload may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BindingConfig {
    /// The address.
    pub mac: Mac,
    /// The protocol addresses that go with it; with none, any.
    pub addresses: Vec<IpAddr>,
}
