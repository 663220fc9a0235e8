//! Names of those who write forwarding entries and neighbours. Any other name is a control plane's own.

/// Nobody: seen on the wire. No writer may take this name.
pub const LEARNED: &str = "learned";
/// The configuration file.
pub const CONFIGURATION: &str = "configuration";
/// A request that names no owner.
pub const CONTROL: &str = "control";
