//! What tunnel packets of a VNI have that most have not, and how a file writes it.

use forward::entropy::SourcePorts;
use toml::Spanned;
use toml::de::DeValue;

use super::tables::VniRow;
use super::value::{Mistake, Part, Placed, Value};

/// What tunnel packets of a VNI have that most have not. The default is nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TunnelConfig {
    /// UDP ports that packets may come to beside the one that they are sent to.
    pub further_ports: Vec<u16>,
    /// UDP source ports; the dynamic range by default.
    pub source_ports: SourcePorts,
    /// Bits of [`wire::vxlan::RESERVED`] that VXLAN packets may have set.
    pub reserved_bits: u64,
    /// Whether GRE packets are sent with a checksum.
    pub gre_checksum: bool,
    /// Whether GRE packets are sent with a sequence number.
    pub gre_sequence: bool,
}

/// The UDP ports of a VNI: where packets are sent to, and where else they may come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct UdpPorts {
    pub(super) first: u16,
    pub(super) further: Vec<u16>,
}

impl Value for UdpPorts {
    const EXPECTED: &'static str = "an integer from 1 to 65535, or an array of such";

    fn read(value: &Spanned<DeValue<'_>>, wrong: &mut Vec<Mistake>) -> Option<Self> {
        let list: Vec<u16> = if value.get_ref().is_array() {
            let before = wrong.len();
            let list: Vec<Placed<u16>> = Value::read(value, wrong)?;
            if wrong.len() > before {
                return None;
            }
            list.into_iter().map(|placed| placed.value).collect()
        } else {
            u16::scalar(value.get_ref()).into_iter().collect()
        };
        let Some((first, further)) = list.split_first() else {
            let hint = u16::hint(value.get_ref());
            wrong.push(Mistake { span: value.span(), expected: Self::EXPECTED, part: Part::Whole, hint });
            return None;
        };
        Some(Self { first: *first, further: further.to_vec() })
    }

    fn scalar(_: &DeValue<'_>) -> Option<Self> {
        None
    }

    fn write(&self) -> toml::Value {
        let all = std::iter::once(&self.first).chain(&self.further).map(Value::write);
        if self.further.is_empty() { self.first.write() } else { toml::Value::Array(all.collect()) }
    }
}

impl Value for SourcePorts {
    const EXPECTED: &'static str = "a range such as { min = 49152, max = 65535 }";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        let table = value.as_table().filter(|table| table.len() == 2)?;
        let bound = |name: &str| u16::scalar(table.get(name)?.get_ref());
        Self::new(bound("min")?, bound("max")?)
    }

    fn write(&self) -> toml::Value {
        let bounds = [("min", self.first()), ("max", self.last())];
        toml::Value::Table(bounds.map(|(name, port)| (name.to_owned(), port.write())).into_iter().collect())
    }
}

/// Bits of a VXLAN header as one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bits(pub(super) u64);

impl Value for Bits {
    const EXPECTED: &'static str = "a string with a hexadecimal number such as \"0x8048ffff00000000\"";

    fn scalar(value: &DeValue<'_>) -> Option<Self> {
        u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok().map(Self)
    }

    fn write(&self) -> toml::Value {
        toml::Value::String(format!("{:#018x}", self.0))
    }
}

/// What a VNI's row says.
pub(super) fn of_row(row: &VniRow) -> TunnelConfig {
    TunnelConfig {
        further_ports: row.udp_port.value.as_ref().map(|ports| ports.further.clone()).unwrap_or_default(),
        source_ports: row.srcport.value,
        reserved_bits: row.reserved_bits.value.0,
        gre_checksum: row.gre_checksum.value,
        gre_sequence: row.gre_sequence.value,
    }
}
