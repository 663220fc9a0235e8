//! What is configured, in the words of the protocol.

use crate::config::{EncapsulationConfig, GreKey, LivenessConfig};

pub(super) fn asked(config: LivenessConfig) -> api::LivenessItem {
    api::LivenessItem {
        on: true,
        interval: Some(config.interval.into()),
        multiplier: Some(config.multiplier.into()),
        recovery: Some(config.recovery.into()),
        paths: Some(config.paths.into()),
        path_mtu: Some(config.path_mtu),
    }
}

pub(super) fn wrapping(
    encapsulation: EncapsulationConfig,
) -> (api::Encapsulation, Option<u16>, Option<String>) {
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
