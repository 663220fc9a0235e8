//! How the marking of outer headers is written in a file.

use forward::marking::{Marking, Octet};
use toml::de::DeValue;

use super::tables::VniRow;
use super::value::Value;

/// A DSCP octet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tos(pub(super) Octet);

/// A time to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ttl(pub(super) Octet);

/// The word for what inner packets have.
const INHERIT: &str = "inherit";

fn octet(value: &DeValue<'_>) -> Option<Octet> {
    match value {
        DeValue::String(word) if word == INHERIT => Some(Octet::Inherited),
        other => u8::scalar(other).map(Octet::Fixed),
    }
}

fn written(octet: Octet) -> toml::Value {
    match octet {
        Octet::Inherited => toml::Value::String(INHERIT.to_owned()),
        Octet::Fixed(number) => number.write(),
    }
}

impl Value for Tos {
    const EXPECTED: &'static str = "\"inherit\" or an integer from 0 to 252";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        octet(value).map(Self)
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        u8::hint(value)
    }

    fn write(&self) -> toml::Value {
        written(self.0)
    }
}

impl Value for Ttl {
    const EXPECTED: &'static str = "\"inherit\" or an integer from 1 to 255";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        octet(value).map(Self)
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        u8::hint(value)
    }

    fn write(&self) -> toml::Value {
        written(self.0)
    }
}

/// What a VNI's row says.
pub(super) const fn of_row(row: &VniRow) -> Marking {
    Marking { tos: row.tos.value.0, ttl: row.ttl.value.0, df: row.df.value, ecn: row.ecn.value }
}
