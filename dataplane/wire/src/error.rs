//! Why bytes are not the header asked for.

use core::fmt;

/// Why bytes are not the header asked for, or why there is no room to write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Error {
    /// The bytes end inside the header, or inside what its length field covers.
    Truncated,
    /// A version, length or flag that the format does not allow.
    Malformed,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Truncated => "the bytes end inside the header",
            Self::Malformed => "the header is malformed",
        })
    }
}

impl core::error::Error for Error {}

/// What parsing and emitting give.
pub type Result<T> = core::result::Result<T, Error>;
