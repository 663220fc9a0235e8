//! Our underlay addresses of a VNI: at most one of each family, so that a remote's address says which one it goes with.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Our underlay addresses of a VNI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LocalAddresses {
    /// For remotes over IPv4.
    V4(Ipv4Addr),
    /// For remotes over IPv6.
    V6(Ipv6Addr),
    /// For remotes of both families.
    Both(Ipv4Addr, Ipv6Addr),
}

/// Addresses that are not at most one of each family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unpaired {
    /// There is none.
    #[error("there is no address")]
    Nothing,
    /// There is more than one of a family.
    #[error("{0} is a second address of its family")]
    Second(IpAddr),
}

impl LocalAddresses {
    /// One address.
    #[must_use]
    pub const fn one(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }

    /// These addresses.
    ///
    /// # Errors
    /// There are none, or two of one family.
    pub fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Result<Self, Unpaired> {
        let mut all = None;
        for address in addresses {
            all = Some(match (all, address) {
                (None, address) => Self::one(address),
                (Some(Self::V4(v4)), IpAddr::V6(v6)) | (Some(Self::V6(v6)), IpAddr::V4(v4)) => {
                    Self::Both(v4, v6)
                }
                (Some(_), address) => return Err(Unpaired::Second(address)),
            });
        }
        all.ok_or(Unpaired::Nothing)
    }

    /// All of them, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        let (v4, v6) = match self {
            Self::V4(v4) => (Some(v4), None),
            Self::V6(v6) => (None, Some(v6)),
            Self::Both(v4, v6) => (Some(v4), Some(v6)),
        };
        v4.map(IpAddr::V4).into_iter().chain(v6.map(IpAddr::V6))
    }

    /// The one that packets to this remote come from, and its packets come to.
    #[must_use]
    pub fn towards(self, remote: IpAddr) -> Option<IpAddr> {
        self.iter().find(|local| local.is_ipv4() == remote.is_ipv4())
    }
}

impl From<IpAddr> for LocalAddresses {
    fn from(address: IpAddr) -> Self {
        Self::one(address)
    }
}

impl fmt::Display for LocalAddresses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(v4) => write!(out, "{v4}"),
            Self::V6(v6) => write!(out, "{v6}"),
            Self::Both(v4, v6) => write!(out, "{v4} and {v6}"),
        }
    }
}
