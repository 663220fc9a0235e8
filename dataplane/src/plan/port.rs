//! Checks of ports.

use std::collections::HashMap;

use forward::limits::MAX_PORTS;
use xsk::MAX_QUEUES;

use super::domain::missing_vni;
use super::fault::{Fault, RefusalKind, Subject};
use super::{guard, memory, trunk};
use crate::config::{Config, ModeWish, PortConfig, PortPolicy, PortRole, TransmitWish, XdpMode};

/// Longest name of a port, in bytes.
const NAME_BYTES: usize = 63;
/// Longest name of a network device, in bytes (`IFNAMSIZ` less its final zero).
const DEVICE_BYTES: usize = 15;

pub(super) fn check_all(config: &Config, faults: &mut Vec<Fault>) {
    if let Some(beyond) = config.ports.iter().nth(MAX_PORTS) {
        faults.push(limit(config, &beyond.name));
    }
    let mut first_on: HashMap<&str, &str> = HashMap::new();
    for port in &config.ports {
        check_alone(config, port, faults);
        if let Some(first) = first_on.get(port.device.as_str()) {
            faults.push(device_taken(port, first));
        } else {
            first_on.insert(&port.device, &port.name);
        }
    }
}

/// Checks a port that has just been put into a configuration that was right.
pub(super) fn check_added(config: &Config, port: &PortConfig, faults: &mut Vec<Fault>) {
    if config.ports.len() > MAX_PORTS {
        faults.push(limit(config, &port.name));
    }
    check_alone(config, port, faults);
    let other = config.ports.iter().find(|other| other.device == port.device && other.name != port.name);
    if let Some(other) = other {
        faults.push(device_taken(port, &other.name));
    }
    if faults.is_empty() {
        memory::check_supply(config, Subject::Port(port.name.clone()), "ring_size", faults);
    }
}

fn limit(config: &Config, name: &str) -> Fault {
    Fault::error(
        RefusalKind::LimitReached,
        Subject::Port(name.to_owned()),
        format!("{} ports are configured, {MAX_PORTS} are possible", config.ports.len()),
        "remove some, or run a second daemon in another network namespace",
    )
}

fn device_taken(port: &PortConfig, other: &str) -> Fault {
    Fault::error(
        RefusalKind::InUse,
        Subject::Port(port.name.clone()),
        format!("device {} of port {} is taken by port {other}", port.device, port.name),
        format!("use another device, or remove port {other}"),
    )
    .at("device")
    .with(Subject::Port(other.to_owned()))
}

fn check_alone(config: &Config, port: &PortConfig, faults: &mut Vec<Fault>) {
    let subject = || Subject::Port(port.name.clone());
    check_names(port, faults);
    match &port.role {
        PortRole::Access { vni } if !config.vnis.contains(vni) => {
            faults.push(missing_vni(config, *vni, subject()));
        }
        PortRole::Trunk(vlans) => trunk::check(config, &port.name, vlans, faults),
        PortRole::Uplink | PortRole::Access { .. } => {}
    }
    memory::check_ring(port, faults);
    if port.queues.is_some_and(|queues| queues == 0 || queues > MAX_QUEUES) {
        faults.push(Fault::invalid(
            subject(),
            "queues",
            format!("port {} cannot serve {} queues", port.name, port.queues.unwrap_or(0)),
            format!("use a number from 1 to {MAX_QUEUES}, or leave it out to serve all that the device has"),
        ));
    }
    check_mode(port, faults);
    check_namespace(port, faults);
    guard::check(port, faults);
    check_policy(port, faults);
}

/// Checks what is flooded from and to a port.
pub(super) fn check_policy(port: &PortConfig, faults: &mut Vec<Fault>) {
    if port.role != PortRole::Uplink {
        return;
    }
    let (policy, usual) = (port.policy, PortPolicy::default());
    let keys = [
        ("flood", policy.flood.unicast != usual.flood.unicast),
        ("mcast_flood", policy.flood.multicast != usual.flood.multicast),
        ("bcast_flood", policy.flood.broadcast != usual.flood.broadcast),
        ("isolated", policy.isolated != usual.isolated),
        ("fastleave", policy.fastleave != usual.fastleave),
        ("storm_limit", policy.storm_limit != usual.storm_limit),
    ];
    for (key, _) in keys.iter().filter(|(_, differs)| *differs) {
        faults.push(Fault::invalid(
            Subject::Port(port.name.clone()),
            key,
            format!("port {} is an uplink, and `{key}` is of access ports", port.name),
            "leave it out; [[vni]] and [[remote]] say what is flooded to and from peers",
        ));
    }
}

fn check_names(port: &PortConfig, faults: &mut Vec<Fault>) {
    let (name, device) = (&port.name, &port.device);
    let before = faults.len();
    let ordinary = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:@".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(ordinary) {
        faults.push(Fault::invalid(
            Subject::Port(name.clone()),
            "name",
            format!("\"{}\" cannot be the name of a port", name.escape_debug()),
            format!("use 1 to {NAME_BYTES} letters, digits and . _ - : @"),
        ));
    }
    // dev_valid_name() of the kernel's net/core/dev.c, and printable on top of it.
    let named = !device.is_empty() && device.len() <= DEVICE_BYTES && device != "." && device != "..";
    let borrowed = device == name && faults.len() > before;
    if borrowed {
        // The name has been told of, and the device has only taken it over.
    } else if !named || !device.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b':') {
        faults.push(Fault::invalid(
            Subject::Port(name.clone()),
            "device",
            format!("\"{}\" cannot be the name of a network device", device.escape_debug()),
            format!(
                "name the device as `ip link` shows it (1 to {DEVICE_BYTES} bytes, no slash, colon or space)"
            ),
        ));
    }
}

fn check_namespace(port: &PortConfig, faults: &mut Vec<Fault>) {
    let Some(namespace) = &port.namespace else { return };
    let named = !namespace.is_empty() && namespace != "." && namespace != ".." && !namespace.contains('/');
    if namespace.contains('\0') || !(named || namespace.starts_with('/')) {
        faults.push(Fault::invalid(
            Subject::Port(port.name.clone()),
            "namespace",
            format!("\"{}\" cannot name a network namespace", namespace.escape_debug()),
            "use a name that `ip netns list` shows, or an absolute path such as /proc/PID/ns/net",
        ));
    }
}

fn check_mode(port: &PortConfig, faults: &mut Vec<Fault>) {
    let subject = Subject::Port(port.name.clone());
    if let (ModeWish::Only(mode), Some(least)) = (port.mode, port.require)
        && mode < least
    {
        faults.push(Fault::invalid(
            subject.clone(),
            "require",
            format!("port {} requires {least} but tries {mode} only", port.name),
            "remove `mode` or `require`, or let both say the same",
        ));
    }
    let zero_copy = port.mode == ModeWish::Only(XdpMode::ZeroCopy) || port.require == Some(XdpMode::ZeroCopy);
    if zero_copy && port.transmit == TransmitWish::Burst {
        faults.push(Fault::invalid(
            subject,
            "transmit",
            format!("port {} is to be zero-copy and to transmit by burst, which copies", port.name),
            "use transmit = \"auto\" or \"ring\"",
        ));
    }
}
