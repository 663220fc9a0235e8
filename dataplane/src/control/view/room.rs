//! Whether what a device may receive fits a chunk of frame memory.

use wire::ethernet;

use super::super::state::State;
use crate::underlay::Link;

/// Bytes of a VLAN tag, which an MTU does not count.
const TAG: u32 = 4;
/// The larger of the sizes that a chunk may have.
const LARGEST_CHUNK: u32 = 4096;

impl State {
    /// What is to be said of a device whose MTU lets in frames that no chunk takes.
    pub(super) fn cramped(&self, link: &Link) -> Option<String> {
        cramped(&link.name, link.mtu, self.umem.chunk_size())
    }
}

fn cramped(name: &str, mtu: u32, chunk_size: u32) -> Option<String> {
    let largest =
        |chunk_size: u32| chunk_size - u32::from(xsk::KERNEL_HEADROOM) - ethernet::LENGTH as u32 - TAG;
    let most = largest(chunk_size);
    if mtu <= most {
        return None;
    }
    let remedy = if mtu <= largest(LARGEST_CHUNK) && chunk_size < LARGEST_CHUNK {
        format!("set `umem.chunk_size = {LARGEST_CHUNK}` and start again")
    } else {
        format!("a frame has one chunk, so `ip link set {name} mtu {most}`, at both ends")
    };
    Some(format!(
        "device {name} has an MTU of {mtu}, and packets of more than {most} bytes are dropped; {remedy}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_not_worth_a_word() {
        assert_eq!(cramped("up0", 1774, 2048), None);
        assert_eq!(cramped("up0", 3822, 4096), None);
        let larger = cramped("up0", 1775, 2048).unwrap();
        assert!(larger.ends_with("1774 bytes are dropped; set `umem.chunk_size = 4096` and start again"));
        for chunk_size in [2048, 4096] {
            assert!(cramped("up0", 9000, chunk_size).unwrap().contains("`ip link set up0 mtu "));
        }
    }
}
