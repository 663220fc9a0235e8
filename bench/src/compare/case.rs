//! What is measured: one direction, encapsulation, frame size, number of flows and of addresses.

use std::fmt;

use serde::{Deserialize, Serialize};
use vtep_tests::Encapsulation;

/// Which way frames go through the switch under test.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Plain frames in at the access port, tunnel frames out at the uplink.
    Encap,
    /// Tunnel frames in at the uplink, plain frames out at the access port.
    Decap,
}

/// The tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tunnel {
    /// VXLAN over IPv4 (RFC 7348): 50 bytes more.
    Vxlan,
    /// GRE over IPv4 with an Ethernet payload and a key (RFC 2784, RFC 2890): 42 bytes more.
    Gre,
}

impl Tunnel {
    /// The harness's word for it.
    #[must_use]
    pub fn encapsulation(self) -> Encapsulation {
        match self {
            Self::Vxlan => Encapsulation::Vxlan,
            Self::Gre => Encapsulation::Gre,
        }
    }

    /// Bytes that the tunnel puts before an inner frame.
    #[must_use]
    pub fn overhead(self) -> u32 {
        match self {
            Self::Vxlan => 50,
            Self::Gre => 42,
        }
    }
}

/// Bytes of the inner frames, without the frame check sequence.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// All the same.
    Fixed(u16),
    /// Seven small, four medium, one large: see `pktgen`.
    Imix,
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(bytes) => write!(out, "{bytes} B"),
            Self::Imix => out.write_str("IMIX"),
        }
    }
}

/// One case of the comparison.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Case {
    /// Which way.
    pub direction: Direction,
    /// The tunnel.
    pub tunnel: Tunnel,
    /// Bytes of the inner frames.
    pub size: Size,
    /// Inner flows, by UDP ports.
    pub flows: u32,
    /// Destination addresses in the forwarding database.
    pub macs: u32,
}

impl Case {
    /// The case that the others vary: VXLAN encapsulation of 64-byte frames of one flow to a thousand addresses.
    pub const BASE: Self = Self {
        direction: Direction::Encap,
        tunnel: Tunnel::Vxlan,
        size: Size::Fixed(64),
        flows: 1,
        macs: 1000,
    };

    /// The same in the other direction.
    #[must_use]
    pub const fn decap(self) -> Self {
        Self { direction: Direction::Decap, ..self }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Encap => "encap",
            Direction::Decap => "decap",
        };
        let tunnel = match self.tunnel {
            Tunnel::Vxlan => "VXLAN",
            Tunnel::Gre => "GRE",
        };
        write!(out, "{tunnel} {direction}, {}, {} flow", self.size, Count(self.flows))?;
        out.write_str(if self.flows == 1 { "" } else { "s" })?;
        write!(out, ", {} MACs", Count(self.macs))
    }
}

/// A number with `k` for thousands.
struct Count(u32);

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            number if number >= 1000 && number % 1000 == 0 => write!(out, "{} k", number / 1000),
            number => write!(out, "{number}"),
        }
    }
}

/// How many cases.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Those of the targets, and one with GRE.
    Quick,
    /// Each factor by itself around [`Case::BASE`], in both directions.
    Factors,
    /// Every combination.
    Full,
}

impl Scope {
    /// Its cases, without repetition, the most important first.
    #[must_use]
    pub fn cases(self) -> Vec<Case> {
        let base = Case::BASE;
        match self {
            Self::Quick => {
                let large = Case { size: Size::Fixed(1450), ..base };
                vec![base, base.decap(), large, Case { tunnel: Tunnel::Gre, ..base }]
            }
            Self::Factors => {
                let variants = [
                    base,
                    Case { size: Size::Imix, ..base },
                    Case { size: Size::Fixed(1450), ..base },
                    Case { flows: 10_000, ..base },
                    Case { macs: 100_000, ..base },
                    Case { tunnel: Tunnel::Gre, ..base },
                ];
                variants.iter().flat_map(|case| [*case, case.decap()]).collect()
            }
            Self::Full => full(),
        }
    }
}

fn full() -> Vec<Case> {
    let mut cases = Vec::new();
    for tunnel in [Tunnel::Vxlan, Tunnel::Gre] {
        for size in [Size::Fixed(64), Size::Imix, Size::Fixed(1450)] {
            for flows in [1, 10_000] {
                for macs in [1000, 100_000] {
                    let case = Case { direction: Direction::Encap, tunnel, size, flows, macs };
                    cases.extend([case, case.decap()]);
                }
            }
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_case_comes_twice_and_the_base_is_first() {
        for (scope, count) in [(Scope::Quick, 4), (Scope::Factors, 12), (Scope::Full, 48)] {
            let cases = scope.cases();
            assert_eq!(cases.len(), count, "{scope:?}");
            assert_eq!(cases.iter().collect::<HashSet<_>>().len(), count, "{scope:?}");
            assert_eq!(cases[0], Case::BASE);
        }
    }

    #[test]
    fn the_full_matrix_holds_every_other_case() {
        let all: HashSet<Case> = full().into_iter().collect();
        for scope in [Scope::Quick, Scope::Factors] {
            assert!(scope.cases().iter().all(|case| all.contains(case)), "{scope:?}");
        }
    }

    #[test]
    fn a_case_says_what_it_is() {
        assert_eq!(Case::BASE.to_string(), "VXLAN encap, 64 B, 1 flow, 1 k MACs");
        let other = Case { tunnel: Tunnel::Gre, size: Size::Imix, flows: 10_000, macs: 12, ..Case::BASE };
        assert_eq!(other.decap().to_string(), "GRE decap, IMIX, 10 k flows, 12 MACs");
    }
}
