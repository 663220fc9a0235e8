//! The VLAN identifier (IEEE 802.1Q clause 9.6).

use core::fmt;
use core::num::NonZeroU16;

/// An identifier that a VLAN can have, 1 to 4094: 0 in a tag names no VLAN, and 4095 is reserved.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vlan(NonZeroU16);

impl Vlan {
    /// The smallest identifier.
    pub const MIN: Self = Self(NonZeroU16::MIN);
    /// The largest identifier.
    pub const MAX: Self = Self(NonZeroU16::MIN.saturating_add(4093));

    /// `None` for 0 and above 4094.
    #[inline]
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(number) if value <= Self::MAX.0.get() => Some(Self(number)),
            _ => None,
        }
    }

    /// The value, 1 to 4094.
    #[inline]
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Vlan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl fmt::Debug for Vlan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        assert_eq!(Vlan::new(0), None);
        assert_eq!(Vlan::new(1), Some(Vlan::MIN));
        assert_eq!(Vlan::new(4094), Some(Vlan::MAX));
        assert_eq!(Vlan::MAX.value(), 4094);
        assert_eq!(Vlan::new(4095), None);
        assert_eq!(Vlan::new(u16::MAX), None);
    }
}
