//! How a value of each type is written in a file, and read from it.

mod binding;
mod keys;
mod liveness;
mod member;
mod trunk;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use forward::marking::{DontFragment, EcnMode};
use forward::tables::InnerTags;
use toml::Spanned;
use toml::de::DeValue;
use wire::{Mac, Vni};

use super::encapsulation::GreKey;
use super::entry::FdbKind;
use super::local::LocalAddresses;
use super::model::{Busy, LogTarget, ModeWish, TransmitWish, XdpMode};
use super::mss::MssClamp;
use super::source::Span;
pub(super) use trunk::NativeVlan;

/// A type of the values of a key.
pub(super) trait Value: Sized + PartialEq {
    /// What may be written, with its article: "an integer from 0 to 255".
    const EXPECTED: &'static str;

    /// Reads a value and adds what is not as expected to `wrong`.
    fn read(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Mistake>) -> Option<Self> {
        let read = Self::scalar(value.get_ref());
        if read.is_none() {
            let hint = Self::hint(value.get_ref());
            wrong.push(Mistake { span: value.span(), expected: Self::EXPECTED, part: Part::Whole, hint });
        }
        read
    }

    /// Reads a value that is right or wrong as a whole.
    fn scalar(value: &DeValue<'_>) -> Option<Self>;

    /// What was probably meant by a value that is wrong.
    fn hint(_: &DeValue<'_>) -> Option<String> {
        None
    }

    /// The value as a file has it.
    fn write(&self) -> toml::Value;
}

/// A value that is not as expected.
pub(super) struct Mistake {
    pub(super) span: Span,
    pub(super) expected: &'static str,
    /// What of the value it is.
    pub(super) part: Part,
    pub(super) hint: Option<String>,
}

/// What of a key's value a mistake is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// An element of a list.
    Element,
    /// The value of this key of a table.
    Under(&'static str),
    /// A key of a table that is none of its keys.
    UnknownKey,
}

/// A value with the place where it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// Seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seconds(pub(super) u32);

/// How frames are wrapped, without the parameters of either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wrapping {
    Vxlan,
    Gre,
    Nvgre,
    GreUdp,
}

/// What a port faces, without the VNIs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Facing {
    Uplink,
    Access,
    Trunk,
}

fn integer(value: &DeValue<'_>) -> Option<i128> {
    let integer = value.as_integer()?;
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn text<T: std::str::FromStr>(value: &DeValue<'_>) -> Option<T> {
    value.as_str()?.parse().ok()
}

fn quoted(value: &(impl ToString + ?Sized)) -> toml::Value {
    toml::Value::String(value.to_string())
}

/// The word of `words` that is most like `word`, if one is much like it.
pub(super) fn similar<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKE: f64 = 0.7;
    let scored = words.into_iter().map(|other| (strsim::jaro_winkler(&word.to_lowercase(), other), other));
    scored.filter(|(score, _)| *score > LIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other)
}

/// Declares integer types with the bounds that a file may use.
macro_rules! integers {
    ($($Type:ty, $expected:literal;)*) => {$(
        impl Value for $Type {
            const EXPECTED: &'static str = $expected;

            fn scalar(value: &DeValue<'_>) -> Option<Self> {
                Self::try_from(integer(value)?).ok()
            }

            fn hint(value: &DeValue<'_>) -> Option<String> {
                text::<Self>(value).map(|number| format!("write {number} without quotes"))
            }

            fn write(&self) -> toml::Value {
                toml::Value::Integer(i64::from(*self))
            }
        }
    )*};
}

integers! {
    u8, "an integer from 0 to 255";
    u16, "an integer from 0 to 65535";
    u32, "an integer from 0 to 4294967295";
}

/// Declares types that are written as one of some words.
macro_rules! words {
    ($($Type:ty { $first:literal => $first_value:expr $(, $word:literal => $value:expr)* $(,)? })*) => {$(
        impl Value for $Type {
            const EXPECTED: &'static str = concat!("one of \"", $first, "\"" $(, ", \"", $word, "\"")*);

            fn scalar(value: &DeValue<'_>) -> Option<Self> {
                match value.as_str()? {
                    $first => Some($first_value),
                    $($word => Some($value),)*
                    _ => None,
                }
            }

            fn hint(value: &DeValue<'_>) -> Option<String> {
                let meant = similar(value.as_str()?, [$first $(, $word)*])?;
                Some(format!("did you mean \"{meant}\"?"))
            }

            fn write(&self) -> toml::Value {
                let words = [($first_value, $first) $(, ($value, $word))*];
                let word = words.into_iter().find(|(value, _)| value == self);
                quoted(word.map_or("", |(_, word)| word))
            }
        }
    )*};
}

words! {
    LogTarget { "auto" => LogTarget::Auto, "stderr" => LogTarget::Stderr, "journald" => LogTarget::Journald }
    Busy { "adaptive" => Busy::Adaptive, "always" => Busy::Always }
    XdpMode { "zerocopy" => XdpMode::ZeroCopy, "native" => XdpMode::Native, "generic" => XdpMode::Generic }
    ModeWish {
        "auto" => ModeWish::Auto,
        "zerocopy" => ModeWish::Only(XdpMode::ZeroCopy),
        "native" => ModeWish::Only(XdpMode::Native),
        "generic" => ModeWish::Only(XdpMode::Generic),
    }
    TransmitWish { "auto" => TransmitWish::Auto, "ring" => TransmitWish::Ring, "burst" => TransmitWish::Burst }
    Wrapping { "vxlan" => Wrapping::Vxlan, "gre" => Wrapping::Gre, "nvgre" => Wrapping::Nvgre, "greudp" => Wrapping::GreUdp }
    InnerTags { "carry" => InnerTags::Carried, "drop" => InnerTags::Dropped }
    FdbKind { "static" => FdbKind::Static, "external" => FdbKind::External, "sticky" => FdbKind::Sticky }
    DontFragment {
        "set" => DontFragment::Set, "unset" => DontFragment::Unset, "inherit" => DontFragment::Inherited,
    }
    EcnMode {
        "normal" => EcnMode::Normal,
        "reset" => EcnMode::Reset,
        "compatibility" => EcnMode::Compatibility,
    }
    Facing { "uplink" => Facing::Uplink, "access" => Facing::Access, "trunk" => Facing::Trunk }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        let meant = match value.as_str()?.to_lowercase().as_str() {
            "true" | "on" | "yes" => true,
            "false" | "off" | "no" => false,
            _ => return None,
        };
        Some(format!("write {meant} without quotes"))
    }

    fn write(&self) -> toml::Value {
        toml::Value::Boolean(*self)
    }
}

impl Value for String {
    const EXPECTED: &'static str = "a string";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }

    fn write(&self) -> toml::Value {
        quoted(self)
    }
}

impl Value for PathBuf {
    const EXPECTED: &'static str = "a string with a path";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(Self::from)
    }

    fn write(&self) -> toml::Value {
        quoted(&self.display())
    }
}

impl Value for IpAddr {
    const EXPECTED: &'static str = "a string with an IP address";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        text(value)
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        without_prefix::<Self>(value)
    }

    fn write(&self) -> toml::Value {
        quoted(self)
    }
}

impl Value for LocalAddresses {
    const EXPECTED: &'static str =
        "a string with an IP address, or an array of one IPv4 and one IPv6 address";

    fn read(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Mistake>) -> Option<Self> {
        let span = value.span();
        if value.get_ref().is_str() {
            return IpAddr::read(value, wrong).map(Self::one);
        }
        if !value.get_ref().is_array() {
            wrong.push(Mistake { span, expected: Self::EXPECTED, part: Part::Whole, hint: None });
            return None;
        }
        let before = wrong.len();
        let list: Vec<Placed<IpAddr>> = Value::read(value, wrong)?;
        if wrong.len() > before {
            return None;
        }
        match Self::of(list.iter().map(|placed| placed.value)) {
            Ok(addresses) => Some(addresses),
            Err(_) => {
                let hint =
                    Some("keep one address of each family; other addresses belong to other VNIs".to_owned());
                wrong.push(Mistake { span, expected: Self::EXPECTED, part: Part::Whole, hint });
                None
            }
        }
    }

    fn scalar(_: &DeValue<'_>) -> Option<Self> {
        None
    }

    fn write(&self) -> toml::Value {
        let mut all: Vec<toml::Value> = self.iter().map(|address| address.write()).collect();
        if all.len() == 1 { all.remove(0) } else { toml::Value::Array(all) }
    }
}

/// For an address with a prefix length behind it.
fn without_prefix<T: std::str::FromStr + ToString>(value: &DeValue<'_>) -> Option<String> {
    let (address, _) = value.as_str()?.split_once('/')?;
    let address: T = address.parse().ok()?;
    Some(format!("write \"{}\" without a prefix length", address.to_string()))
}

impl Value for Mac {
    const EXPECTED: &'static str = "a string with an Ethernet address such as \"02:00:00:00:00:01\"";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        text(value)
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        let digits: String =
            value.as_str()?.chars().filter(|digit| !matches!(digit, '-' | '.' | ':')).collect();
        let bits = u64::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 12)?;
        Some(format!("did you mean \"{}\"?", Self::from_u64(bits)))
    }

    fn write(&self) -> toml::Value {
        quoted(self)
    }
}

impl Value for Vni {
    const EXPECTED: &'static str = "an integer from 0 to 16777215";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        Self::new(u32::try_from(integer(value)?).ok()?)
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        text::<u32>(value).map(|number| format!("write {number} without quotes"))
    }

    fn write(&self) -> toml::Value {
        toml::Value::Integer(i64::from(self.value()))
    }
}

impl Value for GreKey {
    const EXPECTED: &'static str = "\"vni\", \"none\" or an integer from 0 to 4294967295";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::String(word) if word == "vni" => Some(Self::Vni),
            DeValue::String(word) if word == "none" => Some(Self::Absent),
            other => u32::scalar(other).map(Self::Number),
        }
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        u32::hint(value)
    }

    fn write(&self) -> toml::Value {
        match self {
            Self::Vni => quoted("vni"),
            Self::Absent => quoted("none"),
            Self::Number(number) => number.write(),
        }
    }
}

impl Value for MssClamp {
    const EXPECTED: &'static str = "true, false or an integer from 88 to 65495";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::Boolean(true) => Some(Self::Path),
            DeValue::Boolean(false) => Some(Self::Off),
            other => u16::scalar(other).and_then(Self::bytes),
        }
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        match value.as_str()?.parse::<Self>().ok()? {
            Self::Off => Some("write false".to_owned()),
            Self::Path => Some("write true".to_owned()),
            Self::Bytes(_) => u16::hint(value),
        }
    }

    fn write(&self) -> toml::Value {
        match self {
            Self::Off => toml::Value::Boolean(false),
            Self::Path => toml::Value::Boolean(true),
            Self::Bytes(bytes) => bytes.write(),
        }
    }
}

impl Value for Seconds {
    const EXPECTED: &'static str = "whole seconds, as a string such as \"300s\" or \"5m\" or as an integer";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        let seconds = match value {
            DeValue::String(text) => {
                let duration =
                    humantime::parse_duration(text).ok().filter(|time| time.subsec_nanos() == 0)?;
                u32::try_from(duration.as_secs()).ok()?
            }
            other => u32::scalar(other)?,
        };
        Some(Self(seconds))
    }

    fn hint(value: &DeValue<'_>) -> Option<String> {
        text::<u32>(value).map(|number| format!("write \"{number}s\", or {number} without quotes"))
    }

    fn write(&self) -> toml::Value {
        quoted(&humantime::format_duration(Duration::from_secs(self.0.into())))
    }
}

impl<T: Value> Value for Vec<Placed<T>> {
    const EXPECTED: &'static str = "an array";

    fn read(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Mistake>) -> Option<Self> {
        let Some(array) = value.get_ref().as_array() else {
            let hint = Some("put it into square brackets".to_owned());
            wrong.push(Mistake { span: value.span(), expected: Self::EXPECTED, part: Part::Whole, hint });
            return None;
        };
        let before = wrong.len();
        let read =
            |element: &Spanned<_>| Some(Placed { value: T::read(element, wrong)?, span: element.span() });
        let list = array.iter().filter_map(read).collect();
        let whole = wrong[before..].iter_mut().filter(|mistake| mistake.part == Part::Whole);
        whole.for_each(|mistake| mistake.part = Part::Element);
        Some(list)
    }

    fn scalar(_: &DeValue<'_>) -> Option<Self> {
        None
    }

    fn write(&self) -> toml::Value {
        toml::Value::Array(self.iter().map(|placed| placed.value.write()).collect())
    }
}
