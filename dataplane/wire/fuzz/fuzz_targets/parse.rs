//! Every parser and every rewriter of `wire` on arbitrary bytes, and on each layer that Ethernet and IP lead to.
#![no_main]

#[path = "../../tests/formats/exercise.rs"]
mod exercise;

use libfuzzer_sys::fuzz_target;
use wire::ethernet::{self, EtherType};
use wire::{ipv4, ipv6};

/// Longer inputs only cost time: all headers fit, and so do the longest runs of a sum.
const ENOUGH: usize = 512;

fuzz_target!(|bytes: &[u8]| {
    let bytes = bytes.get(..ENOUGH).unwrap_or(bytes);
    exercise::exercise(bytes);
    let Ok(payload) = ethernet::payload(bytes) else { return };
    let packet = &bytes[payload.offset..];
    exercise::exercise(packet);
    if let Some(upper) = upper_layer(payload.ethertype, packet) {
        exercise::exercise(upper);
    }
});

/// What the IP packet carries, exactly.
fn upper_layer(ethertype: EtherType, packet: &[u8]) -> Option<&[u8]> {
    match ethertype {
        EtherType::IPV4 => {
            let (header, length) = ipv4::Header::parse(packet).ok()?;
            Some(&packet[length..usize::from(header.total_length)])
        }
        EtherType::IPV6 => {
            let (header, _) = ipv6::Header::parse(packet).ok()?;
            let upper = header.upper_layer(packet).ok()?;
            Some(&packet[upper.offset..header.end()])
        }
        _ => None,
    }
}
