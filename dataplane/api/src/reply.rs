//! What the daemon answers. Field names are iproute2's and bridge's where those have one; an absent field does not
//! apply.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use wire::Mac;

use crate::item::{Guard, TrunkVlan};
use crate::liveness::{Liveness, LivenessItem};
use crate::text;
use crate::word::{
    DontFragment, EcnMode, Encapsulation, InnerTags, MtuSource, Pages, PortRole, PortState, RemoteState,
    TransmitPath, TransmitWish, XdpMode,
};

/// The names of a record's fields, for the comparison with the interface's text.
#[cfg(test)]
pub(crate) trait Fields {
    const FIELDS: &[&str];
}

/// Declares reply types: all are plain data with the same derives, and optional fields are left out when absent.
macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        #[cfg(test)]
        impl Fields for $name {
            const FIELDS: &[&str] = &[$(stringify!($field)),*];
        }
    )*};
}
pub(crate) use replies;

mod stats;

pub use stats::{Bucket, BurstCosts, Cost, Distribution, PathMtuCounts, PortStats, StatsReply, WorkerStats};

replies! {
    /// A reply that says no more than that it was done.
    Empty {}

    /// Where the chunks of frame memory are. `free + rings + flight = total`.
    #[derive(Copy, Eq, Default)]
    Chunks {
        /// In the workers' free lists.
        free: u64,
        /// In rings shared with the kernel or between workers.
        rings: u64,
        /// In a worker's hands.
        flight: u64,
        /// All there are.
        total: u64,
    }

    /// Frames since the start. `rx + copies = tx + dropped + taken + in_flight`.
    #[derive(Copy, Eq, Default)]
    Balance {
        /// Frames received on all ports.
        rx: u64,
        /// Copies made to flood a frame to several receivers.
        copies: u64,
        /// Frames handed to the kernel for sending.
        tx: u64,
        /// Frames dropped, for whatever reason.
        dropped: u64,
        /// Frames for this switch itself (BFD), which went no further and are no loss.
        taken: u64,
        /// Frames between receive and transmit.
        in_flight: u64,
    }

    /// The daemon as a whole.
    #[derive(Eq)]
    StatusReply {
        /// Version of the daemon.
        version: String,
        /// Its process.
        pid: u32,
        /// Seconds since it started.
        uptime: u64,
        /// The control socket.
        socket: String,
        /// The configuration file it was started with.
        #[serde(skip_serializing_if = "Option::is_none")]
        config: Option<String>,
        /// Worker threads.
        workers: u64,
        /// Ports, up or down.
        ports: u64,
        /// Ports that are up.
        ports_up: u64,
        /// VNIs.
        vnis: u64,
        /// Remotes, counted per peer and VNI.
        remotes: u64,
        /// Remotes that are ready to send to.
        remotes_reachable: u64,
        /// Forwarding entries, static and learned.
        fdb_entries: u64,
        /// Neighbours, static and learned.
        neighbours: u64,
        /// Frame memory.
        chunks: Chunks,
        /// Jumbo memory, for frames that take several chunks of the former; `total` is 0 where there is none.
        jumbo_chunks: Chunks,
        /// Frames.
        balance: Balance,
        /// What works with less than was asked for, one sentence each.
        degraded: Vec<String>,
    }

    /// One queue of a port, with the six numbers of `XDP_STATISTICS` (linux/if_xdp.h).
    #[derive(Copy, Eq, Default)]
    Queue {
        /// The device's queue.
        queue: u32,
        /// The worker that serves it.
        worker: u32,
        /// Frames dropped for other reasons than an invalid descriptor.
        rx_dropped: u64,
        /// Frames dropped because of an invalid descriptor in the fill ring.
        rx_invalid_descs: u64,
        /// Invalid descriptors in the TX ring.
        tx_invalid_descs: u64,
        /// Frames dropped because the RX ring was full.
        rx_ring_full: u64,
        /// Times the fill ring had no descriptor for a frame.
        rx_fill_ring_empty_descs: u64,
        /// Times the TX ring had no descriptor to send.
        tx_ring_empty_descs: u64,
    }

    /// Whether VLAN tags are in the frames that come from workloads.
    #[derive(Eq)]
    Tags {
        /// Whether they surely are.
        seen: bool,
        /// Why they may be missing, and what to do about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }

    /// How frames leave a port.
    #[derive(Eq)]
    Transmit {
        /// As configured.
        configured: TransmitWish,
        /// In fact.
        active: TransmitPath,
        /// Frames in a batch from which on burst is used; present when it is in use.
        #[serde(skip_serializing_if = "Option::is_none")]
        threshold: Option<u32>,
        /// Why burst is not in use, where it could have been.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }

    /// A port.
    #[derive(Eq)]
    Port {
        /// Its name.
        ifname: String,
        /// The network device.
        device: String,
        /// What it faces.
        role: PortRole,
        /// The VNI of an access port.
        #[serde(skip_serializing_if = "Option::is_none")]
        vni: Option<u32>,
        /// The VLANs of a trunk, by VLAN.
        #[serde(skip_serializing_if = "Option::is_none")]
        vlans: Option<Vec<TrunkVlan>>,
        /// The VLAN of a trunk's untagged frames, if they are taken.
        #[serde(skip_serializing_if = "Option::is_none")]
        native: Option<u16>,
        /// Whether VLAN tags of workloads' frames are seen; of an open access port or trunk.
        #[serde(skip_serializing_if = "Option::is_none")]
        tags: Option<Tags>,
        /// The mode obtained; the empty text in JSON while there is none.
        #[serde(with = "text::empty")]
        mode: Option<XdpMode>,
        /// The pages that its frames lie on; none before one was obtained.
        #[serde(skip_serializing_if = "Option::is_none")]
        pages: Option<Pages>,
        /// Whether it takes and gives frames.
        state: PortState,
        /// The device's Ethernet address, while there is a device.
        #[serde(default, with = "text::optional", skip_serializing_if = "Option::is_none")]
        address: Option<Mac>,
        /// Largest packet, in bytes without the Ethernet header, while there is a device: its MTU, or what the port's
        /// frames have room for if that is less.
        #[serde(skip_serializing_if = "Option::is_none")]
        mtu: Option<u32>,
        /// Descriptors of each ring.
        ring_size: u32,
        /// The queues served.
        queues: Vec<Queue>,
        /// What it does with less than was asked for, or why it is down; one sentence each.
        degraded: Vec<String>,
        /// How frames leave.
        transmit: Transmit,
        /// The workload's network namespace, where configured.
        #[serde(skip_serializing_if = "Option::is_none")]
        netns: Option<String>,
        /// The device in it at which NAPI has been turned on.
        #[serde(skip_serializing_if = "Option::is_none")]
        netns_device: Option<String>,
        /// Whether frames to unknown addresses are flooded to it.
        flood: bool,
        /// Whether frames to groups are flooded to it.
        mcast_flood: bool,
        /// Whether broadcasts are flooded to it.
        bcast_flood: bool,
        /// Whether it neither sends to nor hears from other isolated ports.
        isolated: bool,
        /// Whether who leaves a multicast group there is taken for the last who listened to it.
        fastleave: bool,
        /// Frames a second from it that are flooded, 0 for no limit.
        storm_limit: u32,
        /// What its frames are held against; of an access port.
        #[serde(skip_serializing_if = "Option::is_none")]
        guard: Option<Guard>,
        /// Addresses learned from it.
        learned: u32,
        /// Frames whose source address was not learned because a limit was reached; they were forwarded.
        unlearned: u64,
        /// Frames received.
        rx_packets: u64,
        /// Bytes of those, Ethernet header included.
        rx_bytes: u64,
        /// Frames sent.
        tx_packets: u64,
        /// Bytes of those, Ethernet header included.
        tx_bytes: u64,
        /// Frames that came in here and were dropped.
        dropped: u64,
        /// Frames that were dropped before they were received, which are in none of the numbers above.
        kernel_dropped: u64,
        /// Frames that were left to the host, being no tunnel packets for us; of an uplink.
        #[serde(skip_serializing_if = "Option::is_none")]
        to_kernel: Option<u64>,
    }

    /// A page of ports.
    #[derive(Eq)]
    PortPage {
        /// By name.
        ports: Vec<Port>,
        /// The cursor of the next page.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// A range of ports, both ends included.
    #[derive(Copy, Eq)]
    PortRange {
        /// The least.
        low: i64,
        /// The greatest.
        high: i64,
    }

    /// A VNI: a bridge domain.
    #[derive(Eq)]
    Vni {
        /// The identifier, below 2^24.
        vni: u32,
        /// Our underlay addresses: one, or one of each family.
        local: Vec<IpAddr>,
        /// How frames are wrapped unless a remote says otherwise.
        encap: Encapsulation,
        /// UDP destination port; with VXLAN.
        #[serde(skip_serializing_if = "Option::is_none")]
        udp_port: Option<u16>,
        /// `vni`, `none` or a number; with GRE.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Whether source addresses are learned.
        learning: bool,
        /// Seconds until an unrefreshed learned entry is forgotten, 0 for never.
        ageing: u32,
        /// Whether ARP requests are answered.
        arp_proxy: bool,
        /// Whether neighbour solicitations are answered.
        nd_proxy: bool,
        /// `inherit`, or the outer DSCP in the upper six bits of an octet.
        tos: String,
        /// `inherit`, or the outer time to live.
        ttl: String,
        /// Outer DF over IPv4.
        df: DontFragment,
        /// How the outer ECN field is made.
        ecn: EcnMode,
        /// Whether VXLAN packets have a UDP checksum; absent where that depends on the remote's family.
        #[serde(skip_serializing_if = "Option::is_none")]
        udp_checksum: Option<bool>,
        /// Whether frames to multicast groups go only where somebody listens.
        mcast_snooping: bool,
        /// The underlay group that frames are flooded to.
        #[serde(skip_serializing_if = "Option::is_none")]
        mcast_group: Option<IpAddr>,
        /// Moves of an address within three minutes that freeze it, 0 for never.
        move_limit: u32,
        /// Whether frames to unknown addresses are flooded.
        flood: bool,
        /// Whether frames to groups are flooded.
        mcast_flood: bool,
        /// Whether broadcasts are flooded.
        bcast_flood: bool,
        /// How its remotes are asked whether they are there; absent if they are not.
        #[serde(skip_serializing_if = "Option::is_none")]
        liveness: Option<LivenessItem>,
        /// UDP ports that packets may come to beside `udp_port`.
        further_udp_ports: Vec<u16>,
        /// UDP source ports; with UDP.
        #[serde(skip_serializing_if = "Option::is_none")]
        port_range: Option<PortRange>,
        /// Reserved bits of the VXLAN header that packets may have set, hexadecimal behind `0x`.
        reserved_bits: String,
        /// Whether GRE packets are sent with a checksum.
        gre_checksum: bool,
        /// Whether GRE packets are sent with a sequence number.
        gre_sequence: bool,
        /// What becomes of frames that have a VLAN tag.
        inner_tags: InnerTags,
        /// Whether TCP segments are made to fit: `on`, `off`, or a number of bytes.
        mss_clamp: String,
        /// Addresses learned in it.
        learned: u32,
        /// Most that are.
        learn_limit: u32,
        /// Neighbours learned in it.
        neighbours: u32,
        /// Most that are.
        neighbour_limit: u32,
        /// Neighbours that were not learned because it was full, or were forgotten to make room.
        neighbours_unlearned: u64,
        /// Names of its access ports and trunks.
        ports: Vec<String>,
        /// Addresses of its remotes.
        remotes: Vec<IpAddr>,
    }

    /// A page of VNIs.
    #[derive(Eq)]
    VniPage {
        /// By identifier.
        vnis: Vec<Vni>,
        /// The cursor of the next page.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// A peer VTEP of one VNI.
    #[derive(Eq)]
    Remote {
        /// Its underlay address.
        dst: IpAddr,
        /// The VNI, below 2^24.
        vni: u32,
        /// How frames to it are wrapped.
        encap: Encapsulation,
        /// UDP destination port; with VXLAN.
        #[serde(skip_serializing_if = "Option::is_none")]
        udp_port: Option<u16>,
        /// `vni`, `none` or a number; with GRE.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Our underlay address.
        local: IpAddr,
        /// What is known of the way there.
        state: RemoteState,
        /// The uplink, once there is a route.
        #[serde(skip_serializing_if = "Option::is_none")]
        dev: Option<String>,
        /// The next hop's Ethernet address, once resolved.
        #[serde(default, with = "text::optional", skip_serializing_if = "Option::is_none")]
        lladdr: Option<Mac>,
        /// What keeps packets from it, or some of them; one sentence each.
        degraded: Vec<String>,
        /// Whether it gets flooded frames.
        flood: bool,
        /// Whether packets to it have a UDP checksum; with VXLAN.
        #[serde(skip_serializing_if = "Option::is_none")]
        udp_checksum: Option<bool>,
        /// Frames a second from it that are flooded, 0 for no limit.
        storm_limit: u32,
        /// What is known of it by asking; absent if it is not asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        liveness: Option<Liveness>,
        /// Addresses learned from it.
        learned: u32,
        /// Most that are.
        learn_limit: u32,
        /// How large packets to it may be, while it is reachable.
        #[serde(skip_serializing_if = "Option::is_none")]
        path_mtu: Option<PathMtu>,
    }

    /// How large packets to a remote may be.
    #[derive(Copy, Eq)]
    PathMtu {
        /// Largest packet on the underlay, in bytes.
        mtu: u32,
        /// Largest packet of a workload, in bytes without Ethernet header.
        #[serde(skip_serializing_if = "Option::is_none")]
        inner: Option<u32>,
        /// How that is known.
        source: MtuSource,
        /// The router that told.
        #[serde(skip_serializing_if = "Option::is_none")]
        router: Option<IpAddr>,
        /// Seconds since it told.
        #[serde(skip_serializing_if = "Option::is_none")]
        age: Option<u32>,
        /// Seconds until a larger packet is tried again.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires: Option<u32>,
    }

    /// A page of remotes.
    #[derive(Eq)]
    RemotePage {
        /// By VNI and address.
        remotes: Vec<Remote>,
        /// The cursor of the next page.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// Frames that went nowhere for one reason.
    #[derive(Eq)]
    Drop {
        /// The reason, in capitals.
        reason: String,
        /// One sentence for people.
        help: String,
        /// Frames.
        count: u64,
        /// The port they came in by, or were to leave by if they were lost there.
        #[serde(skip_serializing_if = "Option::is_none")]
        port: Option<String>,
    }

    /// A page of drop counters.
    #[derive(Eq)]
    DropPage {
        /// By port and reason.
        drops: Vec<Drop>,
        /// The cursor of the next page.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// What reading the configuration again did.
    #[derive(Eq, Default)]
    ReloadReply {
        /// Changes applied.
        changes: u64,
        /// Keys that differ from what runs and take effect at the next start only.
        restart: Vec<String>,
        /// Changes that were not made; the next time they are tried again.
        refused: Vec<RefusedChange>,
    }

    /// A change of the configuration file that was not made.
    #[derive(Eq)]
    RefusedChange {
        /// What is wrong.
        what: String,
        /// What helps.
        remedy: String,
    }
}
