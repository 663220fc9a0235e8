//! What is in outer headers: from arguments, and in the words of the protocol.

use api::Refusal;
use forward::entropy::SourcePorts;
use forward::marking::{DontFragment, EcnMode, Marking, Octet};
use forward::tables::InnerTags;

use super::arguments::whole;
use crate::config::TunnelConfig;

/// What outer headers say beside addresses; what is not given is at its default.
pub(super) fn marking(request: &api::SetVni) -> Result<Marking, Refusal> {
    let default = Marking::default();
    let read =
        |argument, text: Option<&String>, least, or| text.map_or(Ok(or), |text| octet(argument, text, least));
    Ok(Marking {
        tos: read("tos", request.tos.as_ref(), 0, default.tos)?,
        ttl: read("ttl", request.ttl.as_ref(), 1, default.ttl)?,
        df: request.df.map_or(default.df, |df| match df {
            api::DontFragment::Set => DontFragment::Set,
            api::DontFragment::Unset => DontFragment::Unset,
            api::DontFragment::Inherit => DontFragment::Inherited,
        }),
        ecn: request.ecn.map_or(default.ecn, |ecn| match ecn {
            api::EcnMode::Normal => EcnMode::Normal,
            api::EcnMode::Reset => EcnMode::Reset,
            api::EcnMode::Compatibility => EcnMode::Compatibility,
        }),
    })
}

fn octet(argument: &str, text: &str, least: u8) -> Result<Octet, Refusal> {
    if text == "inherit" {
        return Ok(Octet::Inherited);
    }
    text.parse().ok().filter(|number| *number >= least).map(Octet::Fixed).ok_or_else(|| {
        let what = format!("{argument} {text:?} is neither a number that it can be nor inherit");
        Refusal::argument(argument, what, format!("write inherit, or a number from {least} to 255"))
    })
}

/// What tunnel packets have that most have not; what is not given is at its default.
pub(super) fn tunnel(request: &api::SetVni) -> Result<TunnelConfig, Refusal> {
    let port = |port: &i64| whole("further_udp_ports", *port, 1..=u16::MAX);
    let further_ports =
        request.further_udp_ports.iter().flatten().map(port).collect::<Result<_, Refusal>>()?;
    Ok(TunnelConfig {
        further_ports,
        source_ports: request.port_range.map(source_ports).transpose()?.unwrap_or_default(),
        reserved_bits: request.reserved_bits.as_deref().map(reserved_bits).transpose()?.unwrap_or_default(),
        gre_checksum: request.gre_checksum.unwrap_or(false),
        gre_sequence: request.gre_sequence.unwrap_or(false),
    })
}

fn source_ports(range: api::PortRange) -> Result<SourcePorts, Refusal> {
    let bound = |port| u16::try_from(port).ok();
    bound(range.low).zip(bound(range.high)).and_then(|(low, high)| SourcePorts::new(low, high)).ok_or_else(
        || {
            let what = format!("port_range from {} to {} has no UDP source ports", range.low, range.high);
            Refusal::argument(
                "port_range",
                what,
                "give a low port from 1 on, and a high one that is not lower",
            )
        },
    )
}

fn reserved_bits(text: &str) -> Result<u64, Refusal> {
    let number = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.ok_or_else(|| {
        let what = format!("reserved_bits {text:?} is no hexadecimal number");
        Refusal::argument("reserved_bits", what, "write 0x and up to 16 hexadecimal digits")
    })
}

/// What becomes of tagged frames, from the word of the protocol.
pub(super) const fn tags(word: api::InnerTags) -> InnerTags {
    match word {
        api::InnerTags::Carry => InnerTags::Carried,
        api::InnerTags::Drop => InnerTags::Dropped,
    }
}

/// What becomes of tagged frames, in the word of the protocol.
pub(super) const fn tags_word(tags: InnerTags) -> api::InnerTags {
    match tags {
        InnerTags::Carried => api::InnerTags::Carry,
        InnerTags::Dropped => api::InnerTags::Drop,
    }
}

/// Source ports as the protocol has them.
pub(super) fn port_range(ports: SourcePorts) -> api::PortRange {
    api::PortRange { low: ports.first().into(), high: ports.last().into() }
}

/// Bits of a header as the protocol has them.
pub(super) fn bits(bits: u64) -> String {
    format!("{bits:#018x}")
}

/// A number, or `inherit`.
pub(super) fn octet_word(octet: Octet) -> String {
    match octet {
        Octet::Inherited => "inherit".to_owned(),
        Octet::Fixed(number) => number.to_string(),
    }
}

/// DF in the word of the protocol.
pub(super) const fn df_word(df: DontFragment) -> api::DontFragment {
    match df {
        DontFragment::Set => api::DontFragment::Set,
        DontFragment::Unset => api::DontFragment::Unset,
        DontFragment::Inherited => api::DontFragment::Inherit,
    }
}

/// The ECN mode in the word of the protocol.
pub(super) const fn ecn_word(ecn: EcnMode) -> api::EcnMode {
    match ecn {
        EcnMode::Normal => api::EcnMode::Normal,
        EcnMode::Reset => api::EcnMode::Reset,
        EcnMode::Compatibility => api::EcnMode::Compatibility,
    }
}
