//! Trunk ports: several VNIs behind one device, each as a VLAN.

use wire::{Vlan, Vni};

use super::model::PortRole;

/// The VLANs of a trunk port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrunkConfig {
    /// Which VLAN is which VNI, by VLAN. None may be there twice.
    pub vlans: Vec<TrunkVlan>,
    /// The VLAN of untagged frames, which are dropped without it; none by default.
    pub native: Option<Vlan>,
}

/// A VLAN of a trunk port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TrunkVlan {
    /// The identifier in the tag.
    pub vlan: Vlan,
    /// The VNI that its frames are in.
    pub vni: Vni,
}

impl TrunkConfig {
    /// Of these VLANs in any order.
    #[must_use]
    pub fn new(mut vlans: Vec<TrunkVlan>, native: Option<Vlan>) -> Self {
        vlans.sort_unstable();
        Self { vlans, native }
    }

    /// Without the VLANs of the VNIs that are not to be `kept`; the native VLAN goes with its VNI.
    #[must_use]
    pub fn without(&self, kept: impl Fn(Vni) -> bool) -> Self {
        let vlans: Vec<TrunkVlan> = self.vlans.iter().copied().filter(|row| kept(row.vni)).collect();
        let native = self.native.filter(|native| vlans.iter().any(|row| row.vlan == *native));
        Self { vlans, native }
    }
}

/// A change of a [`TrunkConfig`]: what is `None` stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrunkTuning {
    /// All VLANs that there are to be.
    pub vlans: Option<Vec<TrunkVlan>>,
    /// The native VLAN; `Some(None)` for none.
    pub native: Option<Option<Vlan>>,
}

impl TrunkTuning {
    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.vlans.is_none() && self.native.is_none()
    }

    /// What becomes of a trunk.
    #[must_use]
    pub fn of(&self, trunk: &TrunkConfig) -> TrunkConfig {
        let vlans = self.vlans.as_ref().unwrap_or(&trunk.vlans).clone();
        TrunkConfig::new(vlans, self.native.unwrap_or(trunk.native))
    }
}

impl From<TrunkConfig> for TrunkTuning {
    fn from(TrunkConfig { vlans, native }: TrunkConfig) -> Self {
        Self { vlans: Some(vlans), native: Some(native) }
    }
}

impl PortRole {
    /// The VLANs, if it is a trunk.
    #[must_use]
    pub const fn trunk(&self) -> Option<&TrunkConfig> {
        match self {
            Self::Trunk(trunk) => Some(trunk),
            Self::Uplink | Self::Access { .. } => None,
        }
    }

    /// The VNIs of the workloads behind the port.
    pub fn vnis(&self) -> impl Iterator<Item = Vni> {
        let alone = if let Self::Access { vni } = self { Some(*vni) } else { None };
        let several = self.trunk().into_iter().flat_map(|trunk| &trunk.vlans).map(|row| row.vni);
        alone.into_iter().chain(several)
    }

    /// Whether the port's workloads are in a VNI, some of them at least.
    #[must_use]
    pub fn is_in(&self, vni: Vni) -> bool {
        self.vnis().any(|other| other == vni)
    }
}
