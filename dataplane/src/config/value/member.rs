//! The members of a group: an address alone, or a table with what else there is to say.

use std::net::IpAddr;

use toml::Spanned;
use toml::de::DeValue;

use super::{Mistake, Part, Value, keys};
use crate::config::group::GroupMember;

const EXPECTED: &str =
    "an IP address, or a table such as { remote = \"192.0.2.2\", weight = 2, backup = true }";

impl Value for GroupMember {
    const EXPECTED: &'static str = EXPECTED;

    fn read(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Mistake>) -> Option<Self> {
        if value.get_ref().is_str() {
            return IpAddr::read(value, wrong).map(Self::new);
        }
        let mut mistake = |span, hint: &str| {
            wrong.push(Mistake { span, expected: EXPECTED, part: Part::Whole, hint: Some(hint.to_owned()) });
            None
        };
        let Some(table) = value.get_ref().as_table() else {
            return mistake(value.span(), "write the remote's address in quotes");
        };
        let Some(remote) = table.get("remote") else {
            return mistake(value.span(), "add `remote`, the address of a remote of the VNI");
        };
        if !keys::are_known(table, &["remote", "weight", "backup"], EXPECTED, wrong) {
            return None;
        }
        let mut member = Self::new(IpAddr::read(remote, wrong)?);
        if let Some(weight) = table.get("weight") {
            member.weight = u16::read(weight, wrong)?;
        }
        if let Some(backup) = table.get("backup") {
            member.backup = bool::read(backup, wrong)?;
        }
        Some(member)
    }

    fn scalar(_: &DeValue<'_>) -> Option<Self> {
        None
    }

    fn write(&self) -> toml::Value {
        let mut table = toml::Table::new();
        table.insert("remote".to_owned(), self.remote.write());
        if self.weight != Self::WEIGHT {
            table.insert("weight".to_owned(), self.weight.write());
        }
        if self.backup {
            table.insert("backup".to_owned(), self.backup.write());
        }
        if table.len() == 1 { self.remote.write() } else { toml::Value::Table(table) }
    }
}
