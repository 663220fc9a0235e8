//! Arguments from the protocol's text and numbers. Every error names the argument, its value and what would be right.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use api::{Encapsulation, EntryKind, Refusal};
use wire::{Mac, Vni};

use crate::config::{
    EncapsulationConfig, FdbConfig, FdbDestination, FdbKind, GreKey, LocalAddresses, ModeWish, MssClamp,
    NeighbourConfig, TransmitWish, XdpMode,
};

/// A whole number in a range.
pub(super) fn whole<T>(argument: &str, value: i64, range: RangeInclusive<T>) -> Result<T, Refusal>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    T::try_from(value).ok().filter(|value| range.contains(value)).ok_or_else(|| {
        let remedy = format!("give a whole number from {} to {}", range.start(), range.end());
        Refusal::argument(argument, format!("{argument} {value} is out of range"), remedy)
    })
}

pub(super) fn vni(value: i64) -> Result<Vni, Refusal> {
    let number = whole("vni", value, 0..=Vni::MAX.value())?;
    // The range above is the type's own.
    Vni::new(number).ok_or_else(|| Refusal::argument("vni", format!("vni {value} is out of range"), ""))
}

pub(super) fn mac(argument: &str, text: &str) -> Result<Mac, Refusal> {
    text.parse().map_err(|_| {
        let what = format!("{argument} {text:?} is not a MAC address");
        Refusal::argument(argument, what, "write six hexadecimal octets such as 02:00:00:00:00:01")
    })
}

/// An address of the underlay or of a workload.
pub(super) fn address(argument: &str, text: &str) -> Result<IpAddr, Refusal> {
    text.parse().map_err(|_| {
        let what = format!("{argument} {text:?} is not an IP address");
        Refusal::argument(argument, what, "write an address such as 192.0.2.1, without a prefix length")
    })
}

/// Our underlay addresses of a VNI.
pub(super) fn locals(texts: &[String]) -> Result<LocalAddresses, Refusal> {
    let addresses: Vec<IpAddr> =
        texts.iter().map(|text| address("local", text)).collect::<Result<_, Refusal>>()?;
    LocalAddresses::of(addresses).map_err(|why| {
        Refusal::argument("local", format!("local: {why}"), "give one address, or one of each family")
    })
}

/// A neighbour as `owner` writes it.
pub(super) fn neighbour(item: &api::NeighbourItem, owner: &str) -> Result<NeighbourConfig, Refusal> {
    Ok(NeighbourConfig {
        vni: vni(item.vni)?,
        address: address("dst", &item.dst)?,
        mac: mac("lladdr", &item.lladdr)?,
        router: item.router.unwrap_or(false),
        owner: owner.to_owned(),
    })
}

/// A forwarding entry as `owner` writes it.
pub(super) fn entry(item: api::FdbItem, owner: String) -> Result<FdbConfig, Refusal> {
    Ok(FdbConfig {
        vni: vni(item.vni)?,
        mac: mac("mac", &item.mac)?,
        destination: destination(item.dev, item.dst.as_deref(), item.group)?,
        kind: item.kind.map(fdb_kind).transpose()?.unwrap_or_default(),
        owner,
    })
}

fn fdb_kind(kind: EntryKind) -> Result<FdbKind, Refusal> {
    match kind {
        EntryKind::Static => Ok(FdbKind::Static),
        EntryKind::External => Ok(FdbKind::External),
        EntryKind::Sticky => Ok(FdbKind::Sticky),
        EntryKind::Dynamic => {
            let what = "dynamic entries are learned from frames and cannot be written";
            Err(Refusal::argument("kind", what, "use static, external or sticky"))
        }
    }
}

pub(super) fn destination(
    port: Option<String>,
    remote: Option<&str>,
    group: Option<String>,
) -> Result<FdbDestination, Refusal> {
    match (port, remote, group) {
        (Some(port), None, None) => Ok(FdbDestination::Port(port)),
        (None, Some(text), None) => Ok(FdbDestination::Remote(address("dst", text)?)),
        (None, None, Some(group)) => Ok(FdbDestination::Group(group)),
        (Some(_), Some(_), None) => Err(both_places()),
        (_, _, Some(group)) => {
            let what = format!("the group {group} is given and a port (dev) or a remote (dst) too");
            Err(Refusal::argument("group", what, "give only one of dev, dst and group"))
        }
        (None, None, None) => {
            let what = "neither a port (dev) nor a remote (dst) nor a group is given";
            let remedy = "say where the address is: dev PORT, dst ADDRESS or group NAME";
            Err(Refusal::argument("dev", what, remedy))
        }
    }
}

pub(super) fn both_places() -> Refusal {
    let what = "both a port (dev) and a remote (dst) are given, and an address is behind one of them";
    Refusal::argument("dst", what, "give only one of dev and dst")
}

/// How frames are wrapped; `None` when nothing is said about it.
pub(super) fn encapsulation(
    wrapping: Option<Encapsulation>,
    udp_port: Option<i64>,
    key: Option<&str>,
) -> Result<Option<EncapsulationConfig>, Refusal> {
    match (wrapping, udp_port, key) {
        (None, None, None) => Ok(None),
        (Some(Encapsulation::Vxlan) | None, number, None) => {
            let port = port(number, EncapsulationConfig::UDP_PORT)?;
            Ok(Some(EncapsulationConfig::Vxlan { port }))
        }
        (Some(Encapsulation::GreUdp), number, key) => {
            let port = port(number, EncapsulationConfig::GRE_UDP_PORT)?;
            let key = key.map(gre_key).transpose()?.unwrap_or_default();
            Ok(Some(EncapsulationConfig::GreUdp { port, key }))
        }
        (Some(Encapsulation::Nvgre), None, None) => Ok(Some(EncapsulationConfig::Nvgre)),
        (Some(Encapsulation::Nvgre), Some(port), _) => {
            let what = format!("udp_port {port} is given, and NVGRE has no ports");
            Err(Refusal::argument("udp_port", what, "leave the port out, or use encap vxlan"))
        }
        (Some(Encapsulation::Nvgre), None, Some(key)) => {
            let what = format!("key {key} is given, and the key of NVGRE is the VNI");
            Err(Refusal::argument("key", what, "leave the key out, or use encap gre"))
        }
        (Some(Encapsulation::Gre) | None, None, key) => {
            Ok(Some(EncapsulationConfig::Gre { key: key.map(gre_key).transpose()?.unwrap_or_default() }))
        }
        (Some(Encapsulation::Gre), Some(port), _) => {
            let what = format!("udp_port {port} is given, and GRE has no ports");
            Err(Refusal::argument("udp_port", what, "leave the port out, or use encap vxlan"))
        }
        (Some(Encapsulation::Vxlan) | None, _, Some(key)) => {
            let what = format!("key {key} is given, and VXLAN has no key");
            Err(Refusal::argument("key", what, "leave the key out, or use encap gre"))
        }
    }
}

fn port(number: Option<i64>, registered: u16) -> Result<u16, Refusal> {
    number.map_or(Ok(registered), |port| whole("udp_port", port, 1..=u16::MAX))
}

/// A learning limit, or what it is by default.
pub(super) fn limit(limit: Option<i64>, default: u32) -> Result<u32, Refusal> {
    limit.map_or(Ok(default), |limit| whole("learn_limit", limit, 0..=u32::MAX))
}

fn gre_key(text: &str) -> Result<GreKey, Refusal> {
    match text {
        "vni" => Ok(GreKey::Vni),
        "none" => Ok(GreKey::Absent),
        _ => text.parse().map(GreKey::Number).map_err(|_| {
            let what = format!("key {text:?} is not a GRE key");
            Refusal::argument("key", what, format!("write vni, none, or a number from 0 to {}", u32::MAX))
        }),
    }
}

/// What is done about the maximum segment size.
pub(super) fn mss_clamp(text: &str) -> Result<MssClamp, Refusal> {
    text.parse().map_err(|()| {
        let what = format!("mss_clamp {text:?} is no clamp of the maximum segment size");
        let (least, most) = (MssClamp::BYTES.start(), MssClamp::BYTES.end());
        Refusal::argument("mss_clamp", what, format!("write on, off, or a number from {least} to {most}"))
    })
}

pub(super) const fn xdp_mode(mode: api::XdpMode) -> XdpMode {
    match mode {
        api::XdpMode::ZeroCopy => XdpMode::ZeroCopy,
        api::XdpMode::Native => XdpMode::Native,
        api::XdpMode::Generic => XdpMode::Generic,
    }
}

pub(super) const fn mode(wish: api::ModeWish) -> ModeWish {
    match wish {
        api::ModeWish::Auto => ModeWish::Auto,
        api::ModeWish::ZeroCopy => ModeWish::Only(XdpMode::ZeroCopy),
        api::ModeWish::Native => ModeWish::Only(XdpMode::Native),
        api::ModeWish::Generic => ModeWish::Only(XdpMode::Generic),
    }
}

pub(super) const fn transmit(wish: api::TransmitWish) -> TransmitWish {
    match wish {
        api::TransmitWish::Auto => TransmitWish::Auto,
        api::TransmitWish::Ring => TransmitWish::Ring,
        api::TransmitWish::Burst => TransmitWish::Burst,
    }
}
