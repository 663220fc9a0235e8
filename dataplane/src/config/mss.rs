//! What a VNI does about the maximum segment size of TCP.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// What is done about the maximum segment size that TCP connections agree upon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MssClamp {
    /// Nothing.
    #[default]
    Off,
    /// It is lowered to what the path to the remote takes.
    Path,
    /// It is lowered to this many bytes, one of [`MssClamp::BYTES`].
    Bytes(u16),
}

impl MssClamp {
    /// What may be asked for: from the least that Linux accepts (`TCP_MIN_MSS`) to what the largest packet has room for.
    pub const BYTES: RangeInclusive<u16> = 88..=65_495;

    /// Lowered to this many bytes, if that may be asked for.
    #[must_use]
    pub fn bytes(bytes: u16) -> Option<Self> {
        Self::BYTES.contains(&bytes).then_some(Self::Bytes(bytes))
    }
}

impl fmt::Display for MssClamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => out.write_str("off"),
            Self::Path => out.write_str("on"),
            Self::Bytes(bytes) => bytes.fmt(out),
        }
    }
}

impl FromStr for MssClamp {
    type Err = ();

    /// `on`, `off` or a number.
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::Path),
            number => number.parse().ok().and_then(Self::bytes).ok_or(()),
        }
    }
}

impl From<MssClamp> for forward::tables::MssClamp {
    fn from(clamp: MssClamp) -> Self {
        match clamp {
            MssClamp::Off => Self::Off,
            MssClamp::Path => Self::Path,
            MssClamp::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}
