//! The VLANs of a trunk port: a table for each, and the native one.

use toml::Spanned;
use toml::de::DeValue;
use wire::{Vlan, Vni};

use super::{Mistake, Part, Value, integer, keys};
use crate::config::trunk::TrunkVlan;

impl Value for Vlan {
    const EXPECTED: &'static str = "an integer from 1 to 4094";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        Self::new(u16::try_from(integer(value)?).ok()?)
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        u16::hint(value)
    }

    fn write(&self) -> toml::Value {
        self.value().write()
    }
}

/// A native VLAN, or 0 for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) struct NativeVlan(pub(in crate::config) Option<Vlan>);

impl Value for NativeVlan {
    const EXPECTED: &'static str = "an integer from 1 to 4094, or 0 for none";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        match integer(value)? {
            0 => Some(Self(None)),
            _ => Vlan::scalar(value).map(|vlan| Self(Some(vlan))),
        }
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        u16::hint(value)
    }

    fn write(&self) -> toml::Value {
        self.0.map_or(0, Vlan::value).write()
    }
}

const EXPECTED: &str = "a table such as { vlan = 10, vni = 100 }";

impl Value for TrunkVlan {
    const EXPECTED: &'static str = EXPECTED;

    fn read(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Mistake>) -> Option<Self> {
        let mut mistake = |span, hint: &str| {
            wrong.push(Mistake { span, expected: EXPECTED, part: Part::Whole, hint: Some(hint.to_owned()) });
            None
        };
        let Some(table) = value.get_ref().as_table() else {
            return mistake(value.span(), "say which VNI the VLAN is");
        };
        let (Some(vlan), Some(vni)) = (table.get("vlan"), table.get("vni")) else {
            return mistake(value.span(), "both `vlan` and `vni` are needed");
        };
        if !keys::are_known(table, &["vlan", "vni"], EXPECTED, wrong) {
            return None;
        }
        let (vlan, vni) = (Vlan::read(vlan, wrong), Vni::read(vni, wrong));
        Some(Self { vlan: vlan?, vni: vni? })
    }

    fn scalar(_: &DeValue<'_>) -> Option<Self> {
        None
    }

    fn write(&self) -> toml::Value {
        let mut table = toml::Table::new();
        table.insert("vlan".to_owned(), self.vlan.write());
        table.insert("vni".to_owned(), self.vni.write());
        toml::Value::Table(table)
    }
}
