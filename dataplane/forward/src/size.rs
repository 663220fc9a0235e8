//! How long a frame is and whether its way out is the ordinary one, as one number: one comparison then tells that a frame
//! may leave as nearly all do.

/// A frame's length in bytes, and above it a mark. Marked sizes are greater than all others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(u32);

impl Size {
    const MARK: u32 = 1 << 16;

    /// The size of a frame of `length` bytes; `is_marked` if its outer header must say what its packet says.
    #[inline(always)]
    #[must_use]
    pub const fn new(length: u16, is_marked: bool) -> Self {
        Self(length as u32 | if is_marked { Self::MARK } else { 0 })
    }

    /// The size of another frame on the same kind of way.
    #[inline(always)]
    #[must_use]
    pub const fn with_length(self, length: u16) -> Self {
        Self(self.0 & Self::MARK | length as u32)
    }

    /// The length in bytes.
    #[inline(always)]
    #[must_use]
    pub const fn length(self) -> u16 {
        self.0 as u16
    }

    /// Whether the frame goes the ordinary way where frames of at most `longest` bytes do.
    #[inline(always)]
    #[must_use]
    pub const fn is_ordinary(self, longest: u16) -> bool {
        self.0 <= longest as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_keeps_from_the_ordinary_way() {
        assert!(Size::new(60, false).is_ordinary(60) && !Size::new(61, false).is_ordinary(60));
        assert!(!Size::new(0, true).is_ordinary(u16::MAX));
        assert_eq!(Size::new(60, true).length(), 60);
        for is_marked in [false, true] {
            assert_eq!(Size::new(1500, is_marked).with_length(60), Size::new(60, is_marked));
        }
    }
}
