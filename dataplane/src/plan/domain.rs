//! Checks of VNIs, and of underlay addresses, which remotes share.

use std::collections::HashSet;
use std::net::IpAddr;

use forward::limits::MAX_DOMAINS;
use wire::Vni;
use xsk::MAX_LOCAL_ADDRESSES;

use super::fault::{Fault, RefusalKind, Severity, Subject, some_of};
use super::{liveness, marking, remote, tunnel, udp};
use crate::config::{Config, EncapsulationConfig, VniConfig};

/// VNIs of one daemon: domain zero is never allocated.
const MAX_VNIS: usize = MAX_DOMAINS - 1;
/// The first virtual subnet of NVGRE that is not reserved (RFC 7637 section 3.2).
const FIRST_SUBNET: u32 = 0x1000;

pub(super) fn check_all(config: &Config, faults: &mut Vec<Fault>) {
    if let Some(beyond) = config.vnis.iter().nth(MAX_VNIS) {
        faults.push(limit(config, beyond.vni));
    }
    for vni in &config.vnis {
        check_alone(vni, faults);
    }
    faults.extend(too_many_addresses(config, None));
}

/// Checks a VNI that has just been put into a configuration that was right, in place of `before` if that was there.
pub(super) fn check_set(
    config: &Config,
    vni: &VniConfig,
    before: Option<&VniConfig>,
    faults: &mut Vec<Fault>,
) {
    if config.vnis.len() > MAX_VNIS {
        faults.push(limit(config, vni.vni));
    }
    check_alone(vni, faults);
    faults.extend(too_many_addresses(config, Some(vni.vni)));
    udp::check_set(config, &Subject::Vni(vni.vni), faults);
    let tunnels =
        |vni: &VniConfig| (vni.local, vni.encapsulation, vni.tunnel.further_ports.clone(), vni.mcast_group);
    // A VNI that was not there has no remotes yet; all it can share are tunnels to its group.
    let shares_group =
        vni.mcast_group.is_some() && !matches!(vni.encapsulation, EncapsulationConfig::Vxlan { .. });
    let has_changed = before.map_or(shares_group, |before| tunnels(before) != tunnels(vni));
    if has_changed && faults.iter().all(|fault| fault.severity == Severity::Warning) {
        remote::check_vni(config, vni, faults);
    }
}

fn limit(config: &Config, vni: Vni) -> Fault {
    Fault::error(
        RefusalKind::LimitReached,
        Subject::Vni(vni),
        format!("{} VNIs are configured, {MAX_VNIS} are possible", config.vnis.len()),
        "remove some",
    )
}

/// More addresses than the XDP program can be told of, if there are, and the VNI that is to blame: this one, or else the
/// first that is beyond them.
fn too_many_addresses(config: &Config, blamed: Option<Vni>) -> Option<Fault> {
    // A VNI has at most two of its own and a group.
    if config.vnis.len() * 3 <= MAX_LOCAL_ADDRESSES {
        return None;
    }
    let (mut addresses, mut beyond) = (HashSet::new(), None);
    for vni in &config.vnis {
        addresses.extend(vni.local.iter().chain(vni.mcast_group));
        if addresses.len() > MAX_LOCAL_ADDRESSES {
            beyond = beyond.or(Some(vni.vni));
        }
    }
    let subject = Subject::Vni(blamed.filter(|_| beyond.is_some()).or(beyond)?);
    let what = format!(
        "the VNIs have {} local addresses and groups; packets to {MAX_LOCAL_ADDRESSES} at most can be taken",
        addresses.len()
    );
    Some(
        Fault::error(
            RefusalKind::LimitReached,
            subject,
            what,
            "let VNIs share a local address, or remove some",
        )
        .at("local"),
    )
}

/// The fault of naming a VNI that is not there.
pub(super) fn missing_vni(config: &Config, vni: Vni, subject: Subject) -> Fault {
    let remedy = if config.vnis.is_empty() {
        format!("configure VNI {vni} first; there is none yet")
    } else {
        let there = some_of(config.vnis.iter().map(|vni| vni.vni));
        format!("configure VNI {vni} first, or name one that is there: {there}")
    };
    Fault::error(RefusalKind::NotFound, subject, format!("VNI {vni} is not configured"), remedy)
        .at("vni")
        .with(Subject::Vni(vni))
}

fn check_alone(vni: &VniConfig, faults: &mut Vec<Fault>) {
    let subject = || Subject::Vni(vni.vni);
    for (local, trouble) in vni.local.iter().filter_map(|local| Some((local, unusable(local)?))) {
        faults.push(Fault::invalid(
            subject(),
            "local",
            format!("VNI {} cannot have the local address {local}: {trouble}", vni.vni),
            "use the address of an uplink that the peers send to",
        ));
    }
    check_encapsulation(vni.encapsulation, &subject(), faults);
    check_checksum(vni.udp_checksum, vni.encapsulation, subject(), faults);
    liveness::check(vni.liveness, &subject(), faults);
    marking::check(vni.vni, &vni.marking, faults);
    tunnel::check(vni, faults);
    check_mcast_group(vni, faults);
    check_sequence(vni, faults);
    if vni.move_limit > VniConfig::MOST_MOVES {
        let what = format!("VNI {} cannot wait for {} moves of an address", vni.vni, vni.move_limit);
        let remedy = format!("give a whole number from 1 to {}, or 0 to freeze none", VniConfig::MOST_MOVES);
        faults.push(Fault::invalid(subject(), "move_limit", what, remedy));
    }
}

/// Checks the underlay group that a VNI floods to.
fn check_mcast_group(vni: &VniConfig, faults: &mut Vec<Fault>) {
    let Some(group) = vni.mcast_group else { return };
    let is_near = match group {
        IpAddr::V4(group) => matches!(group.octets(), [224, 0, 0, _]),
        IpAddr::V6(group) => group.octets()[1] & 15 < 2,
    };
    let (trouble, remedy) = if !group.is_multicast() {
        ("it is no multicast group", "use one such as 239.1.1.1, or configure the peer as a remote")
    } else if is_near {
        ("the group never leaves a link, and protocols use it", "use one such as 239.1.1.1 or ff05::100")
    } else if vni.local.towards(group).is_none() {
        ("there is no local address of its family", "add one to `local`, or use a group of the other family")
    } else {
        return;
    };
    let what = format!("VNI {} cannot flood to {group}: {trouble}", vni.vni);
    faults.push(Fault::invalid(Subject::Vni(vni.vni), "mcast_group", what, remedy));
}

/// Checks that nothing that is numbered for each peer goes to many at once.
fn check_sequence(vni: &VniConfig, faults: &mut Vec<Fault>) {
    let Some(group) = vni.mcast_group.filter(|_| vni.tunnel.gre_sequence) else { return };
    let what = format!(
        "VNI {} cannot number its packets and flood to {group}: a sequence is one peer's (RFC 2890 section 2.2), and \
         what goes to a group has no place in any",
        vni.vni
    );
    let remedy = "remove `gre_sequence`, or remove `mcast_group` so that each remote gets its own copy";
    faults.push(Fault::invalid(Subject::Vni(vni.vni), "gre_sequence", what, remedy));
}

/// Checks what a VNI or a remote says of its outer headers.
pub(super) fn check_encapsulation(wish: EncapsulationConfig, subject: &Subject, faults: &mut Vec<Fault>) {
    if wish.udp_port() == Some(0) {
        let registered = match wish {
            EncapsulationConfig::GreUdp { .. } => EncapsulationConfig::GRE_UDP_PORT,
            _ => EncapsulationConfig::UDP_PORT,
        };
        faults.push(Fault::invalid(
            subject.clone(),
            "udp_port",
            format!("{subject} cannot use UDP port 0"),
            format!("use {registered}, or a number from 1 to 65535 that the peers agree on"),
        ));
    }
    let (Subject::Vni(vni) | Subject::Remote(vni, _)) = subject else { return };
    if wish == EncapsulationConfig::Nvgre && (vni.value() < FIRST_SUBNET || *vni == Vni::MAX) {
        let what = format!(
            "{subject} is NVGRE, in which subnet {vni} is reserved (RFC 7637 section 3.2): peers may not take it"
        );
        let remedy = format!("use a VNI from {FIRST_SUBNET} to {}", Vni::MAX.value() - 1);
        let fault = Fault::error(RefusalKind::Invalid, subject.clone(), what, remedy);
        faults.push(fault.at("encapsulation").warning());
    }
}

/// Checks what a VNI or a remote says of the UDP checksum, against how its frames are wrapped.
pub(super) fn check_checksum(
    wish: Option<bool>,
    encapsulation: EncapsulationConfig,
    subject: Subject,
    faults: &mut Vec<Fault>,
) {
    if wish.is_some() && encapsulation.udp_port().is_none() {
        let what =
            format!("`udp_checksum` is of VXLAN and GRE in UDP, but {subject} is {}", encapsulation.name());
        let remedy = "remove `udp_checksum`, or set encapsulation = \"vxlan\" or \"greudp\"";
        faults.push(Fault::invalid(subject, "udp_checksum", what, remedy));
    }
}

/// Why an address cannot be that of a tunnel's end or a workload, if it cannot.
pub(super) fn unusable(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("it stands for no address at all")
    } else if address.is_multicast() {
        Some("it is a multicast group")
    } else if address.is_loopback() {
        Some("it never leaves the host")
    } else if matches!(address, IpAddr::V4(address) if address.is_broadcast()) {
        Some("it is the broadcast address")
    } else if matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        Some("it is an IPv4 address written as an IPv6 one")
    } else {
        None
    }
}
