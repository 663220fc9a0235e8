//! What is configured, in the words of the protocol.

pub use super::liveness::item;
use super::outer;
use crate::config::{Config, EncapsulationConfig, GreKey, VniConfig};

/// What was learned in a VNI.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Learned {
    /// Forwarding entries.
    pub entries: u32,
    /// Neighbours.
    pub neighbours: u32,
    /// Most neighbours that are.
    pub neighbour_limit: u32,
    /// Neighbours that were not, or were forgotten to make room.
    pub neighbours_unlearned: u64,
}

/// A VNI, and what was learned in it.
#[must_use]
pub fn vni(config: &Config, vni: &VniConfig, learned: Learned) -> api::Vni {
    let (encap, udp_port, key) = wrapping(vni.encapsulation);
    let inside = config.ports.iter().filter(|port| port.role.is_in(vni.vni));
    api::Vni {
        vni: vni.vni.value(),
        local: vni.local.iter().collect(),
        encap,
        udp_port,
        key,
        learning: vni.learning,
        ageing: vni.ageing,
        arp_proxy: vni.arp_proxy,
        nd_proxy: vni.nd_proxy,
        tos: outer::octet_word(vni.marking.tos),
        ttl: outer::octet_word(vni.marking.ttl),
        df: outer::df_word(vni.marking.df),
        ecn: outer::ecn_word(vni.marking.ecn),
        udp_checksum: vni.udp_checksum,
        mcast_snooping: vni.mcast_snooping,
        mcast_group: vni.mcast_group,
        move_limit: vni.move_limit,
        flood: vni.flood.unicast,
        mcast_flood: vni.flood.multicast,
        bcast_flood: vni.flood.broadcast,
        liveness: item(vni.liveness),
        further_udp_ports: vni.tunnel.further_ports.clone(),
        port_range: udp_port.map(|_| outer::port_range(vni.tunnel.source_ports)),
        reserved_bits: outer::bits(vni.tunnel.reserved_bits),
        gre_checksum: vni.tunnel.gre_checksum,
        gre_sequence: vni.tunnel.gre_sequence,
        inner_tags: outer::tags_word(vni.inner_tags),
        mss_clamp: vni.mss_clamp.to_string(),
        learned: learned.entries,
        learn_limit: vni.learn_limit,
        neighbours: learned.neighbours,
        neighbour_limit: learned.neighbour_limit,
        neighbours_unlearned: learned.neighbours_unlearned,
        ports: inside.map(|port| port.name.clone()).collect(),
        remotes: config.remotes.in_vni(vni.vni).map(|remote| remote.address).collect(),
    }
}

/// How frames are wrapped: the word, the UDP port and the key, the latter where there are such.
#[must_use]
pub fn wrapping(encapsulation: EncapsulationConfig) -> (api::Encapsulation, Option<u16>, Option<String>) {
    let encap = match encapsulation {
        EncapsulationConfig::Vxlan { .. } => api::Encapsulation::Vxlan,
        EncapsulationConfig::Gre { .. } => api::Encapsulation::Gre,
        EncapsulationConfig::Nvgre => api::Encapsulation::Nvgre,
        EncapsulationConfig::GreUdp { .. } => api::Encapsulation::GreUdp,
    };
    let key = encapsulation.key().map(|key| match key {
        GreKey::Vni => "vni".to_owned(),
        GreKey::Number(number) => number.to_string(),
        GreKey::Absent => "none".to_owned(),
    });
    (encap, encapsulation.udp_port(), key)
}
