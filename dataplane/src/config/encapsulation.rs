//! How frames are wrapped, and what the wire shows of it.

use forward::tables::Encapsulation;
use wire::{Vni, gre, vxlan};

/// How frames are wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EncapsulationConfig {
    /// VXLAN to this UDP port, 4789 by default.
    Vxlan {
        /// UDP destination port.
        port: u16,
    },
    /// GRE with an Ethernet payload.
    Gre {
        /// The key; the VNI by default.
        key: GreKey,
    },
    /// NVGRE (RFC 7637), whose virtual subnet is the VNI.
    Nvgre,
    /// GRE in UDP (RFC 8086) to this UDP port, 4754 by default.
    GreUdp {
        /// UDP destination port.
        port: u16,
        /// The key; the VNI by default.
        key: GreKey,
    },
}

impl EncapsulationConfig {
    /// The UDP port that IANA gave VXLAN (RFC 7348 section 5).
    pub const UDP_PORT: u16 = vxlan::PORT;
    /// The UDP port that IANA gave GRE (RFC 8086 section 8).
    pub const GRE_UDP_PORT: u16 = gre::UDP_PORT;
    /// VXLAN with its default.
    pub const VXLAN: Self = Self::Vxlan { port: Self::UDP_PORT };
    /// GRE with its default.
    pub const GRE: Self = Self::Gre { key: GreKey::Vni };

    /// The UDP destination port, if it has one.
    #[must_use]
    pub const fn udp_port(self) -> Option<u16> {
        match self {
            Self::Vxlan { port } | Self::GreUdp { port, .. } => Some(port),
            Self::Gre { .. } | Self::Nvgre => None,
        }
    }

    /// The key, if it can be chosen.
    #[must_use]
    pub const fn key(self) -> Option<GreKey> {
        match self {
            Self::Gre { key } | Self::GreUdp { key, .. } => Some(key),
            Self::Vxlan { .. } | Self::Nvgre => None,
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vxlan { .. } => "VXLAN",
            Self::Gre { .. } => "GRE",
            Self::Nvgre => "NVGRE",
            Self::GreUdp { .. } => "GRE in UDP",
        }
    }

    /// How the wire sees frames of a VNI.
    #[must_use]
    pub const fn on_wire(self, vni: Vni) -> Encapsulation {
        match self {
            Self::Vxlan { port } => Encapsulation::Vxlan { vni, port },
            Self::Gre { key } => Encapsulation::Gre { key: key.on_wire(vni) },
            Self::Nvgre => Encapsulation::Nvgre { subnet: vni },
            Self::GreUdp { port, key } => Encapsulation::GreInUdp { key: key.on_wire(vni), port },
        }
    }
}

/// The key of a GRE header (RFC 2890).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GreKey {
    /// The VNI.
    #[default]
    Vni,
    /// This number.
    Number(u32),
    /// No key field at all; one VNI per pair of addresses.
    Absent,
}

impl GreKey {
    /// The key field of frames of a VNI, if there is one.
    #[must_use]
    pub const fn on_wire(self, vni: Vni) -> Option<u32> {
        match self {
            Self::Vni => Some(vni.value()),
            Self::Number(number) => Some(number),
            Self::Absent => None,
        }
    }
}
