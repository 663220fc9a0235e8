//! How much of what costs others something a worker still does in this second.

use crate::ids::PortId;
use crate::limits::MAX_PORTS;

/// So many within each second of the clock. Across the edge of two, twice as many may follow each other closely: that suits
/// what protects against much and need not shape anything.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PerSecond {
    taken: u32,
    /// When it was last looked at.
    second: u32,
}

impl PerSecond {
    /// Takes one of the `most` that a second has, if there is one left.
    pub(crate) const fn take(&mut self, most: u32, second: u32) -> bool {
        if self.second != second {
            *self = Self { taken: 0, second };
        }
        let left = self.taken < most;
        self.taken += left as u32;
        left
    }
}

/// What each port may still cause: an allowance per port, so that a workload that causes too much takes it from nobody but those
/// behind the same port (of ICMP errors: RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f).
#[derive(Debug)]
pub(crate) struct PerPort {
    /// What a second has for each.
    most: u32,
    ports: Box<[PerSecond]>,
}

impl PerPort {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, ports: vec![PerSecond::default(); MAX_PORTS].into() }
    }

    /// Takes one for a port, if there is one.
    #[cold]
    pub(crate) fn take(&mut self, port: PortId, second: u32) -> bool {
        let of_port = self.ports.get_mut(usize::from(port.0));
        of_port.is_some_and(|allowance| allowance.take(self.most, second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BFD_PER_SECOND;

    #[test]
    fn only_so_many_are_handed_over_in_a_second() {
        let mut allowance = PerSecond::default();
        assert!((0..BFD_PER_SECOND).all(|_| allowance.take(BFD_PER_SECOND, 7)));
        assert!(!allowance.take(BFD_PER_SECOND, 7));
        assert!(allowance.take(BFD_PER_SECOND, 8));
    }

    #[test]
    fn each_port_has_its_own_and_a_second_brings_it_back() {
        let mut allowance = PerPort::new(100);
        let mut taken = |port, second| (0..1000).filter(|_| allowance.take(PortId(port), second)).count();
        assert_eq!((taken(1, 7), taken(1, 7), taken(2, 7)), (100, 0, 100));
        assert_eq!((taken(1, 8), taken(1, 9)), (100, 100));
        assert_eq!(taken(u16::MAX, 9), 0);
    }
}
