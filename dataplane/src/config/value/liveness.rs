//! Liveness: off, on, or a table with what differs from the default.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::{Mistake, Part, Value, keys, quoted};
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

/// A number of packets. That zero is none is found with all else that a whole configuration may have wrong.
#[derive(PartialEq)]
struct Multiplier(u8);

impl Value for Multiplier {
    const EXPECTED: &'static str = "an integer from 1 to 255";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        u8::scalar(value).map(Self)
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        u8::hint(value)
    }

    fn write(&self) -> toml::Value {
        self.0.write()
    }
}

const EXPECTED: &str = "true, false, or a table such as { interval = \"300ms\", multiplier = 3 }";
const KEYS: [&str; 5] = ["interval", "multiplier", "recovery", "paths", "path_mtu"];

impl Value for LivenessWish {
    const EXPECTED: &'static str = EXPECTED;

    fn read(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Mistake>) -> Option<Self> {
        let table = match value.get_ref() {
            DeValue::Boolean(true) => return Some(Self::On(LivenessConfig::default())),
            DeValue::Boolean(false) => return Some(Self::Off),
            other => match other.as_table() {
                Some(table) => table,
                None => {
                    let span = value.span();
                    wrong.push(Mistake { span, expected: EXPECTED, part: Part::Whole, hint: None });
                    return None;
                }
            },
        };
        if !keys::are_known(table, &KEYS, EXPECTED, wrong) {
            return None;
        }
        let default = LivenessConfig::default();
        let interval: Option<Milliseconds> = keys::read(table, "interval", wrong)?;
        let multiplier: Option<Multiplier> = keys::read(table, "multiplier", wrong)?;
        let config = LivenessConfig {
            interval: interval.map_or(default.interval, |interval| interval.0),
            multiplier: multiplier.map_or(default.multiplier, |multiplier| multiplier.0),
            recovery: keys::read(table, "recovery", wrong)?.unwrap_or(default.recovery),
            paths: keys::read(table, "paths", wrong)?.unwrap_or(default.paths),
            path_mtu: keys::read(table, "path_mtu", wrong)?.unwrap_or(default.path_mtu),
        };
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
