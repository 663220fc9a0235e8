//! What becomes of a frame. One list makes the reasons' variants, names, help texts and counters.

use crate::ids::{GroupId, PortId, RemoteId};

/// What is to be done with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Out of this access port, as it is.
    Forward(PortId),
    /// To this remote, behind its outer header.
    Encapsulate(RemoteId),
    /// Out of this uplink: the outer header is there.
    Leave(PortId),
    /// To the remote of this group that the frame's flow belongs to.
    Spread(GroupId),
    /// To every other member of the domain.
    Flood,
    /// Back to where it came from: the proxy has made the request into its answer.
    Answer,
    /// Nowhere.
    Drop(DropReason),
}

/// Declares the reasons once: variant, name on the outside, one sentence of help.
macro_rules! drop_reasons {
    ($($variant:ident $name:literal $help:literal,)*) => {
        /// Why a frame went nowhere. Names are the kernel's where it has one (`enum skb_drop_reason`).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = $help] $variant,)*
        }

        impl DropReason {
            /// Every reason, in the order of their counters.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name that `vtep-ctl drops` shows.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help),* }
            }

            /// The index of its counter.
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

drop_reasons! {
    FrameTooShort "FRAME_TOO_SHORT" "The frame ends inside a header that it claims to have.",
    MacInvalidSource "MAC_INVALID_SOURCE" "The source address is multicast, zero, our own, or that of every switch for BFD.",
    PortUnknown "PORT_UNKNOWN" "The port or remote is not, or no longer, in the tables.",
    IpChecksum "IP_CSUM" "The outer IPv4 header checksum is wrong.",
    IpInvalidHeader "IP_INHDR" "The outer IP header is malformed.",
    OuterFragment "OUTER_FRAGMENT" "The outer packet is a fragment; tunnels here never fragment.",
    NotTunnel "NOT_TUNNEL" "A frame on an uplink is no tunnel packet for us.",
    UdpChecksum "UDP_CSUM" "The outer UDP checksum is wrong, or missing over IPv6 where that is not configured.",
    VxlanInvalidHeader "VXLAN_INVALID_HDR" "The VXLAN I flag is missing or reserved bits are set.",
    VxlanVniNotFound "VXLAN_VNI_NOT_FOUND" "No bridge domain has this VNI or GRE key.",
    GreVersion "GRE_VERSION" "The GRE version is not 0.",
    GreFlags "GRE_FLAGS" "A GRE flag is set that RFC 2890 or, with NVGRE, RFC 7637 does not allow.",
    GreInvalidHeader "GRE_INVALID_HDR" "The payload of a GRE packet is no Ethernet frame.",
    GreChecksum "GRE_CSUM" "The GRE checksum is wrong.",
    IpTunnelEcn "IP_TUNNEL_ECN" "The outer packet met congestion, and the inner one's ends do not speak ECN (RFC 6040).",
    VlanTagged "VLAN_TAGGED" "The frame has a VLAN tag, and its VNI carries none, nor does NVGRE; or it has more than four.",
    VlanNotAllowed "VLAN_NOT_ALLOWED" "The trunk port has no such VLAN, or the frame is untagged and the port has no native VLAN; or it would leave a trunk untagged, and what it has inside would be taken for a VLAN of the trunk.",
    PeerNotAllowed "PEER_NOT_ALLOWED" "The outer source is no remote of this VNI.",
    VxlanEntryExists "VXLAN_ENTRY_EXISTS" "The source address is bound to another place, by an entry or because it moved too often.",
    SpoofedSource "SPOOFED_SOURCE" "The source is an Ethernet or protocol address that is not bound to the workload's port, or is bound to another port.",
    LockedPort "LOCKED_PORT" "The port is locked, and no binding or written entry says that the source address is there.",
    TunnelFromWorkload "TUNNEL_FROM_WORKLOAD" "A workload sends tunnel packets, which only trusted ports may.",
    RogueRouter "ROGUE_ROUTER" "A workload sends router advertisements or redirects, which only trusted ports may.",
    RogueDhcp "ROGUE_DHCP" "A workload answers DHCP clients, which only trusted ports may.",
    Ipv6HeaderChain "IPV6_HEADER_CHAIN" "IPv6 extension headers do not end within the packet and may hide anything; or neighbour discovery comes in fragments where addresses are bound.",
    SameIngress "SAME_INGRESS" "The destination is where the frame came from.",
    LinkLocal "LINK_LOCAL" "A link-local control frame (01:80:c2:00:00:01 to 0f), which no bridge forwards.",
    SplitHorizon "SPLIT_HORIZON" "The frame came from the overlay and its destination is in the overlay too.",
    FloodOff "FLOOD_OFF" "The domain does not flood frames of this kind: unknown unicast, multicast or broadcast.",
    StormLimit "STORM_LIMIT" "More frames to be flooded came from this port or remote than its limit allows.",
    Isolated "ISOLATED" "The frame is from an isolated port to an isolated port.",
    NoRemote "VXLAN_NO_REMOTE" "No receiver: the domain has no other port and no remote, the remote is withdrawn as it does not answer, or no remote of the group can be used.",
    NoRoute "NO_ROUTE" "There is no way to the remote by an uplink; `vtep-ctl remote show` says why.",
    NeighbourUnresolved "NEIGHBOUR_UNRESOLVED" "The Ethernet address of the remote's next hop is not known yet.",
    PacketTooBig "PKT_TOO_BIG" "The packet, with its outer header, exceeds the MTU of the egress port or of the path.",
    Headroom "NO_HEADROOM" "The chunk has no room for the outer header.",
    NoChunk "NO_CHUNK" "No free chunk to copy a frame into, to flood it or to cut it up.",
    NoJumboChunk "NO_JUMBO_CHUNK" "No free chunk of jumbo memory for a frame that takes several others; raise `umem.jumbo_chunks`.",
    TxRingFull "TX_RING_FULL" "The egress port did not take the frame in time.",
    TxRefused "TX_REFUSED" "The kernel took the frame, from the TX ring or in a burst, and the device did not.",
    HandoverFull "HANDOVER_FULL" "The ring to the worker that owns the egress port is full.",
    Bfd "BFD" "A BFD packet for this switch itself: taken, and not forwarded. No fault.",
    BfdInvalid "BFD_INVALID" "A BFD packet that is malformed, comes from a workload, or is one of too many in a second.",
    PortDown "PORT_DOWN" "The egress port is down or gone.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_indices_dense() {
        let names: std::collections::HashSet<_> =
            DropReason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), DropReason::COUNT);
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
    }
}
