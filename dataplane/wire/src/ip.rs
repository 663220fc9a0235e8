//! What IPv4 and IPv6 share: protocol numbers and the traffic class.

/// An IP protocol number, or an IPv6 next header value (IANA "Assigned Internet Protocol Numbers").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Protocol(pub u8);

impl Protocol {
    /// IPv6 hop-by-hop options (RFC 8200 section 4.3).
    pub const HOP_BY_HOP: Self = Self(0);
    /// ICMP (RFC 792).
    pub const ICMP: Self = Self(1);
    /// IGMP (RFC 3376).
    pub const IGMP: Self = Self(2);
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
    /// IPv6 routing header (RFC 8200 section 4.4).
    pub const ROUTING: Self = Self(43);
    /// IPv6 fragment header (RFC 8200 section 4.5).
    pub const FRAGMENT: Self = Self(44);
    /// GRE (RFC 2784).
    pub const GRE: Self = Self(47);
    /// Encapsulating security payload (RFC 4303).
    pub const ESP: Self = Self(50);
    /// Authentication header (RFC 4302).
    pub const AUTHENTICATION: Self = Self(51);
    /// ICMPv6 (RFC 4443).
    pub const ICMPV6: Self = Self(58);
    /// IPv6 no next header (RFC 8200 section 4.7).
    pub const NO_NEXT_HEADER: Self = Self(59);
    /// IPv6 destination options (RFC 8200 section 4.6).
    pub const DESTINATION_OPTIONS: Self = Self(60);
    /// SCTP (RFC 9260).
    pub const SCTP: Self = Self(132);
    /// Mobility header (RFC 6275).
    pub const MOBILITY: Self = Self(135);
    /// Host identity protocol (RFC 7401).
    pub const HOST_IDENTITY: Self = Self(139);
    /// Shim6 (RFC 5533).
    pub const SHIM6: Self = Self(140);
}

/// The IPv4 type of service or IPv6 traffic class octet: six bits of DSCP (RFC 2474), two of ECN (RFC 3168).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TrafficClass(pub u8);

impl TrafficClass {
    /// Joins its two fields; surplus bits are cut off.
    #[inline]
    #[must_use]
    pub const fn new(dscp: u8, ecn: u8) -> Self {
        Self(dscp << 2 | ecn & 3)
    }

    /// The differentiated services code point, below 64.
    #[inline]
    #[must_use]
    pub const fn dscp(self) -> u8 {
        self.0 >> 2
    }

    /// Explicit congestion notification, below 4: 0 not capable, 1 ECT(1), 2 ECT(0), 3 congestion experienced.
    #[inline]
    #[must_use]
    pub const fn ecn(self) -> u8 {
        self.0 & 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_class_has_two_fields() {
        let class = TrafficClass::new(46, 1);
        assert_eq!((class.0, class.dscp(), class.ecn()), (0xb9, 46, 1));
        assert_eq!(TrafficClass::new(0, 7).ecn(), 3);
    }
}
