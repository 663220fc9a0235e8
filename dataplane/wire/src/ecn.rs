//! Congestion notification through tunnels (RFC 6040).

use crate::ip::TrafficClass;

/// Not ECN-capable.
pub const NOT_ECT: u8 = 0;
/// ECN-capable, the second codepoint, ECT(1).
pub const ECT_1: u8 = 1;
/// ECN-capable, the usual codepoint, ECT(0).
pub const ECT_0: u8 = 2;
/// Congestion experienced.
pub const CE: u8 = 3;

/// What an inner packet's traffic class becomes where its tunnel ends (RFC 6040 section 4.2, figure 4). `None` means that
/// the packet is to be dropped: it met congestion, and its ends would not understand if told so.
#[inline]
#[must_use]
pub const fn decapsulated(inner: TrafficClass, outer: TrafficClass) -> Option<TrafficClass> {
    let ecn = match (inner.ecn(), outer.ecn()) {
        (NOT_ECT, CE) => return None,
        (NOT_ECT, _) => NOT_ECT,
        (_, CE) => CE,
        (ECT_0, ECT_1) => ECT_1,
        (inner, _) => inner,
    };
    Some(TrafficClass::new(inner.dscp(), ecn))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figure 4 of RFC 6040: rows by the inner field, columns by the outer one.
    #[test]
    fn the_table_is_that_of_the_rfc() {
        // Columns in the order of their values: Not-ECT, ECT(1), ECT(0), CE.
        let table = [
            (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
            (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
            (ECT_0, [Some(ECT_0), Some(ECT_1), Some(ECT_0), Some(CE)]),
            (CE, [Some(CE); 4]),
        ];
        for (inner, row) in table {
            for (outer, expected) in (0..4).zip(row) {
                let class = decapsulated(TrafficClass::new(46, inner), TrafficClass::new(10, outer));
                assert_eq!(class, expected.map(|ecn| TrafficClass::new(46, ecn)), "{inner} in {outer}");
            }
        }
    }
}
