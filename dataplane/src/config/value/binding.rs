//! Addresses that are bound to a port.

use std::net::IpAddr;

use toml::Spanned;
use toml::de::DeValue;

use super::{Mistake, Part, Placed, Value, keys};
use crate::config::guard::BindingConfig;

const EXPECTED: &str =
    "a table such as { mac = \"02:00:00:00:00:01\", addresses = [\"10.0.0.1\", \"fd00::1\"] }";

impl Value for BindingConfig {
    const EXPECTED: &'static str = EXPECTED;

    fn read(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Mistake>) -> Option<Self> {
        let mut mistake = |hint: &str| {
            let hint = Some(hint.to_owned());
            wrong.push(Mistake { span: value.span(), expected: EXPECTED, part: Part::Whole, hint });
            None
        };
        let Some(table) = value.get_ref().as_table() else {
            return mistake("write the Ethernet address as `mac` in a table");
        };
        if !table.contains_key("mac") {
            return mistake("add `mac`, the Ethernet address that the workload may use");
        }
        if !keys::are_known(table, &["mac", "addresses"], EXPECTED, wrong) {
            return None;
        }
        let mac = keys::read(table, "mac", wrong)??;
        let addresses: Vec<Placed<IpAddr>> = keys::read(table, "addresses", wrong)?.unwrap_or_default();
        Some(Self { mac, addresses: addresses.into_iter().map(|placed| placed.value).collect() })
    }

    fn scalar(_: &DeValue<'_>) -> Option<Self> {
        None
    }

    fn write(&self) -> toml::Value {
        let mut table = toml::Table::new();
        table.insert("mac".to_owned(), self.mac.write());
        if !self.addresses.is_empty() {
            let addresses = self.addresses.iter().map(Value::write).collect();
            table.insert("addresses".to_owned(), toml::Value::Array(addresses));
        }
        toml::Value::Table(table)
    }
}
