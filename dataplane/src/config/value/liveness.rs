//! Liveness: off, on, or a table with what differs from the default.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{Mistake, Value, quoted};
use crate::config::liveness::{LivenessConfig, LivenessWish};

/// Milliseconds.
struct Milliseconds(u32);

impl PartialEq for Milliseconds {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Value for Milliseconds {
    const EXPECTED: &'static str = "whole milliseconds, as a string such as \"300ms\" or \"1s\"";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        let duration = humantime::parse_duration(value.as_str()?).ok()?;
        let whole = duration.subsec_nanos().is_multiple_of(1_000_000);
        u32::try_from(duration.as_millis()).ok().filter(|_| whole).map(Self)
    }

    fn write(&self) -> toml::Value {
        quoted(&humantime::format_duration(Duration::from_millis(self.0.into())))
    }
}

const EXPECTED: &str = "true, false, or a table such as { interval = \"300ms\", multiplier = 3 }";
const KEYS: [&str; 5] = ["interval", "multiplier", "recovery", "paths", "path_mtu"];

impl Value for LivenessWish {
    const EXPECTED: &'static str = EXPECTED;

    fn read(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Mistake>) -> Option<Self> {
        let mut mistake = |span, hint: Option<&str>| {
            let hint = hint.map(str::to_owned);
            wrong.push(Mistake { span, expected: EXPECTED, element: false, hint });
            None
        };
        let table = match value.get_ref() {
            DeValue::Boolean(true) => return Some(Self::On(LivenessConfig::default())),
            DeValue::Boolean(false) => return Some(Self::Off),
            other => match other.as_table() {
                Some(table) => table,
                None => return mistake(value.span(), None),
            },
        };
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.get_ref().as_ref())) {
            return mistake(
                key.span(),
                Some("its keys are `interval`, `multiplier`, `recovery`, `paths` and `path_mtu`"),
            );
        }
        let mut config = LivenessConfig::default();
        if let Some(value) = table.get("interval") {
            config.interval = Milliseconds::read(value, wrong)?.0;
        }
        if let Some(value) = table.get("multiplier") {
            config.multiplier = u8::read(value, wrong)?;
        }
        if let Some(value) = table.get("recovery") {
            config.recovery = u16::read(value, wrong)?;
        }
        if let Some(value) = table.get("paths") {
            config.paths = u8::read(value, wrong)?;
        }
        if let Some(value) = table.get("path_mtu") {
            config.path_mtu = bool::read(value, wrong)?;
        }
        Some(Self::On(config))
    }

    fn scalar(_: &DeValue<'_>) -> Option<Self> {
        None
    }

    fn write(&self) -> toml::Value {
        let Self::On(config) = self else { return toml::Value::Boolean(false) };
        let default = LivenessConfig::default();
        let mut table = toml::Table::new();
        let mut differs = |key: &str, differs: bool, value: toml::Value| {
            if differs {
                table.insert(key.to_owned(), value);
            }
        };
        differs("interval", config.interval != default.interval, Milliseconds(config.interval).write());
        differs("multiplier", config.multiplier != default.multiplier, config.multiplier.write());
        differs("recovery", config.recovery != default.recovery, config.recovery.write());
        differs("paths", config.paths != default.paths, config.paths.write());
        differs("path_mtu", config.path_mtu != default.path_mtu, config.path_mtu.write());
        if table.is_empty() { toml::Value::Boolean(true) } else { toml::Value::Table(table) }
    }
}
