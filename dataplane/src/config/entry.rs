//! Static forwarding entries.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use wire::{Mac, Vni};

use super::items::{InVni, Keyed, MACS, Owned};
use super::owner;

/// A static forwarding entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FdbConfig {
    /// The VNI.
    pub vni: Vni,
    /// The address.
    pub mac: Mac,
    /// Where it is.
    pub destination: FdbDestination,
    /// How firm it is.
    pub kind: FdbKind,
    /// Who wrote it; see [`owner`].
    pub owner: String,
}

impl FdbConfig {
    /// A static entry of the configuration file.
    #[must_use]
    pub fn new(vni: Vni, mac: Mac, destination: FdbDestination) -> Self {
        Self { vni, mac, destination, kind: FdbKind::Static, owner: owner::CONFIGURATION.to_owned() }
    }
}

impl Keyed for FdbConfig {
    type Key = (Vni, Mac);

    fn key(&self) -> Self::Key {
        (self.vni, self.mac)
    }
}

impl InVni for FdbConfig {
    fn bounds(vni: Vni) -> RangeInclusive<Self::Key> {
        (vni, MACS.0)..=(vni, MACS.1)
    }
}

impl Owned for FdbConfig {
    fn owner(&self) -> &str {
        &self.owner
    }

    fn vni(&self) -> Vni {
        self.vni
    }
}

/// Where a forwarding entry points to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FdbDestination {
    /// A port, by name.
    Port(String),
    /// A remote of the VNI, by underlay address.
    Remote(IpAddr),
    /// A group of remotes of the VNI, by name.
    Group(String),
}

impl fmt::Display for FdbDestination {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(name) => out.write_str(name),
            Self::Remote(address) => address.fmt(out),
            Self::Group(name) => write!(out, "group {name}"),
        }
    }
}

/// How firm a written forwarding entry is. None of them moves because of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FdbKind {
    /// Stays until it is removed.
    #[default]
    Static,
    /// The same, and marked as a control plane's.
    External,
    /// Keeps its place but ages as a learned one does, and is gone then.
    Sticky,
}
