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

/// A change of a [`GuardConfig`]: what is `None` stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GuardTuning {
    /// The workload may act as a router, a DHCP server or the end of a tunnel.
    pub trusted: Option<bool>,
    /// Only addresses that are bound or written may send.
    pub locked: Option<bool>,
    /// The addresses that it may use, all of them; with none, any.
    pub bind: Option<Vec<BindingConfig>>,
    /// Most addresses that are learned from it.
    pub learn_limit: Option<u32>,
}

impl GuardTuning {
    /// What becomes of another state.
    #[must_use]
    pub fn of(&self, guard: &GuardConfig) -> GuardConfig {
        GuardConfig {
            trusted: self.trusted.unwrap_or(guard.trusted),
            locked: self.locked.unwrap_or(guard.locked),
            bind: self.bind.as_ref().unwrap_or(&guard.bind).clone(),
            learn_limit: self.learn_limit.unwrap_or(guard.learn_limit),
        }
    }
}

impl From<GuardConfig> for GuardTuning {
    fn from(guard: GuardConfig) -> Self {
        let GuardConfig { trusted, locked, bind, learn_limit } = guard;
        Self {
            trusted: Some(trusted),
            locked: Some(locked),
            bind: Some(bind),
            learn_limit: Some(learn_limit),
        }
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
