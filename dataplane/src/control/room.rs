//! How long frames may be: what a device may receive against what frame memory takes.

use wire::ethernet;
use xsk::{LONGEST_JUMBO, Mode};

use super::port::OpenPort;
use super::state::State;
use crate::config::{PortRole, UmemConfig};
use crate::underlay::Link;

/// Bytes of a VLAN tag, which an MTU does not count.
const TAG: u32 = 4;
/// Bytes of a frame beyond its packet.
const AROUND: u32 = ethernet::LENGTH as u32 + TAG;
/// Bytes of the longest outer header: Ethernet, IPv6, UDP, GRE with all its fields.
const OUTER: u32 = ethernet::LENGTH as u32 + 40 + 8 + 16;
/// The larger of the sizes that a chunk may have.
const LARGEST_CHUNK: u32 = 4096;

/// What the frames of a port have room in.
#[derive(Clone, Copy)]
struct Room {
    chunk_size: u32,
    /// Whether there is jumbo memory.
    is_jumbo: bool,
    /// Chunks that a frame may have.
    segments: u32,
    mode: Mode,
}

impl State {
    fn room(&self, port: &OpenPort) -> Room {
        Room {
            chunk_size: self.umem.chunk_size(),
            is_jumbo: self.jumbo.is_some(),
            segments: port.segments,
            mode: port.mode,
        }
    }

    /// Bytes of the longest packet that a port takes: the device's MTU, or what its frames have room for.
    pub(super) fn usable_mtu(&self, port: &OpenPort, link: &Link) -> u32 {
        link.mtu.min(self.room(port).packet())
    }

    /// What is to be said of a device whose MTU lets in frames that the port does not take.
    pub(super) fn cramped(&self, port: &OpenPort, link: &Link) -> Option<String> {
        self.room(port).cramped(&link.name, link.mtu)
    }

    /// Bytes of the longest frame that may be sent through a port, for all that is known of where frames come from.
    pub(super) fn longest_sent(&self, port: &OpenPort) -> u32 {
        let mtu = |port: &OpenPort| {
            self.underlay.link_by_index(port.ifindex).map_or(0, |link| self.usable_mtu(port, link))
        };
        let own = mtu(port) + AROUND;
        match port.config.role {
            PortRole::Access { .. } | PortRole::Trunk(_) => own,
            PortRole::Uplink => {
                let accesses = self.ports.values().filter(|other| other.config.role != PortRole::Uplink);
                own.min(accesses.map(mtu).max().unwrap_or(0) + AROUND + OUTER)
            }
        }
    }
}

impl Room {
    /// Bytes of the longest packet.
    fn packet(self) -> u32 {
        let chunk = self.chunk_size - u32::from(xsk::KERNEL_HEADROOM);
        let frame = match self.segments {
            2.. if self.is_jumbo => (self.segments * chunk).min(LONGEST_JUMBO),
            _ => chunk,
        };
        frame - AROUND
    }

    fn cramped(self, name: &str, mtu: u32) -> Option<String> {
        let most = self.packet();
        if mtu <= most {
            return None;
        }
        let lower = format!("`ip link set {name} mtu {most}`, at both ends");
        let in_jumbo = mtu + AROUND <= LONGEST_JUMBO;
        let remedy = match self {
            Self { is_jumbo: false, .. } if in_jumbo => {
                let jumbo_chunks = UmemConfig::default().jumbo_chunks;
                format!("set `umem.jumbo_chunks = {jumbo_chunks}` and start again, or {lower}")
            }
            Self { segments: 1, mode: Mode::ZeroCopy, .. } if in_jumbo => {
                format!("the driver's zero-copy has one buffer per frame: `mode = \"native\"`, or {lower}")
            }
            Self { segments: 1, is_jumbo: true, .. } if in_jumbo => {
                let larger = Self { chunk_size: LARGEST_CHUNK, ..self }.packet();
                let otherwise = if mtu <= larger { "`umem.chunk_size = 4096` or " } else { "" };
                format!("the kernel has no multi-buffer AF_XDP (Linux 6.6 has): {otherwise}{lower}")
            }
            _ => format!("no frame may be longer: {lower}"),
        };
        Some(format!(
            "device {name} has an MTU of {mtu}, and packets of more than {most} bytes are dropped; {remedy}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Room = Room { chunk_size: 2048, is_jumbo: true, segments: 18, mode: Mode::Native };

    #[test]
    fn what_fits_is_not_worth_a_word() {
        let off = Room { is_jumbo: false, segments: 1, ..FULL };
        assert_eq!((off.packet(), Room { chunk_size: 4096, ..off }.packet()), (1774, 3822));
        assert_eq!(off.cramped("up0", 1774), None);
        assert_eq!(Room { chunk_size: 4096, ..off }.cramped("up0", 3822), None);
        assert_eq!(FULL.cramped("up0", 16_110), None);
        // A zero-copy driver with few buffers per frame.
        assert_eq!(Room { segments: 5, mode: Mode::ZeroCopy, ..FULL }.packet(), 5 * 1792 - 18);
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_helps() {
        let off = Room { is_jumbo: false, segments: 1, ..FULL };
        let single = Room { segments: 1, ..FULL };
        let lower = "or `ip link set up0 mtu 1774`, at both ends";
        for (room, mtu, remedy) in [
            (
                off,
                1775,
                format!("1774 bytes are dropped; set `umem.jumbo_chunks = 1024` and start again, {lower}"),
            ),
            (off, 9000, format!("set `umem.jumbo_chunks = 1024` and start again, {lower}")),
            (off, 16_111, "no frame may be longer: `ip link set up0 mtu 1774`, at both ends".to_owned()),
            (
                Room { mode: Mode::ZeroCopy, ..single },
                9000,
                format!("the driver's zero-copy has one buffer per frame: `mode = \"native\"`, {lower}"),
            ),
            (
                single,
                9000,
                "multi-buffer AF_XDP (Linux 6.6 has): `ip link set up0 mtu 1774`, at both ends".to_owned(),
            ),
            (single, 3000, format!("(Linux 6.6 has): `umem.chunk_size = 4096` {lower}")),
            (FULL, 16_111, "no frame may be longer: `ip link set up0 mtu 16110`, at both ends".to_owned()),
        ] {
            let told = room.cramped("up0", mtu).unwrap();
            assert!(told.starts_with(&format!("device up0 has an MTU of {mtu}, and packets of more than ")));
            assert!(told.ends_with(&remedy), "{told}\nnot {remedy}");
        }
    }
}
