//! Checks of what tunnel packets of a VNI have that most have not, against how they are wrapped.

use forward::entropy::SourcePorts;
use wire::vxlan;

use super::fault::{Fault, Subject};
use crate::config::{EncapsulationConfig, TunnelConfig, VniConfig};

pub(super) fn check(vni: &VniConfig, faults: &mut Vec<Fault>) {
    let TunnelConfig { further_ports, source_ports, reserved_bits, .. } = &vni.tunnel;
    let (subject, name) = (Subject::Vni(vni.vni), vni.encapsulation.name());
    let mut refuse = |key, what: String, remedy: &str| {
        faults.push(Fault::invalid(subject.clone(), key, what, remedy));
    };
    if vni.encapsulation.udp_port().is_none() {
        if *source_ports != SourcePorts::DYNAMIC {
            let what = format!("`srcport` is of UDP, but {subject} is {name}");
            refuse("srcport", what, "remove `srcport`, or use encapsulation = \"vxlan\" or \"greudp\"");
        }
        if !further_ports.is_empty() {
            let what = format!("`udp_port` is of UDP, but {subject} is {name}");
            refuse("udp_port", what, "remove `udp_port`, or use encapsulation = \"vxlan\" or \"greudp\"");
        }
    }
    let all: Vec<u16> =
        vni.encapsulation.udp_port().into_iter().chain(further_ports.iter().copied()).collect();
    if further_ports.contains(&0) {
        let what = format!("{subject} cannot use UDP port 0");
        refuse("udp_port", what, "use numbers from 1 to 65535 that the peers agree on");
    } else if let Some(port) =
        all.iter().enumerate().find_map(|(at, port)| all[..at].contains(port).then_some(port))
    {
        refuse("udp_port", format!("{subject} names UDP port {port} twice"), "name each port once");
    }
    if reserved_bits & !vxlan::RESERVED != 0 {
        let what = format!("{reserved_bits:#018x} are not all reserved bits of VXLAN");
        let remedy = format!("use bits among {:#018x} (RFC 7348 section 5)", vxlan::RESERVED);
        refuse("reserved_bits", what, &remedy);
    } else if *reserved_bits != 0 && !matches!(vni.encapsulation, EncapsulationConfig::Vxlan { .. }) {
        let what = format!("`reserved_bits` is of VXLAN, but {subject} is {name}");
        refuse("reserved_bits", what, "remove `reserved_bits`, or set encapsulation = \"vxlan\"");
    }
    let wishes = [("gre_checksum", vni.tunnel.gre_checksum), ("gre_sequence", vni.tunnel.gre_sequence)];
    for (key, _) in wishes.into_iter().filter(|(_, wish)| *wish && vni.encapsulation.key().is_none()) {
        let what = format!("`{key}` is of GRE, but {subject} is {name}");
        refuse(key, what, "remove it, or use encapsulation = \"gre\" or \"greudp\"");
    }
}
