//! Every table and key of the file, each declared once: name, type, default and what it is for.

use std::net::IpAddr;
use std::path::PathBuf;

use forward::entropy::SourcePorts;
use forward::marking::{DontFragment, EcnMode, Marking};
use forward::tables::InnerTags;
use wire::{Mac, Vni};

use super::encapsulation::GreKey;
use super::entry::FdbKind;
use super::group::GroupMember;
use super::guard::{BindingConfig, GuardConfig};
use super::liveness::LivenessWish;
use super::local::LocalAddresses;
use super::marking::{Tos, Ttl};
use super::model::{
    Busy, Daemon, FloodConfig, LogTarget, ModeWish, PortConfig, RemoteConfig, TransmitWish, UmemConfig,
    VniConfig, XdpMode,
};
use super::mss::MssClamp;
use super::owner;
use super::reader::Reader;
use super::schema::{
    Defaulted, KeySchema, KeySpans, Optional, Record, Required, Row, Slot, TableSchema, read_slot, tables,
};
use super::trunk::TrunkVlan;
use super::tunnel::{Bits, UdpPorts};
use super::value::{Facing, NativeVlan, Placed, Seconds, Value, Wrapping};

tables! {
    /// Where the daemon listens and what it logs.
    one "daemon" DaemonRow {
        /// the Unix socket that vtep-ctl talks to
        socket: Defaulted<PathBuf> = Daemon::default().socket;
        /// the group that may use the socket; without it the daemon's own
        socket_group: Optional<String>;
        /// the log filter: a level, or directives as RUST_LOG has them
        log: Defaulted<String> = Daemon::default().log;
        /// where log lines go
        log_target: Defaulted<LogTarget> = Daemon::default().log_target;
    }

    /// Frame memory, shared by all ports that copy.
    one "umem" UmemRow {
        /// how many frames there is room for, a power of two
        chunks: Defaulted<u32> = UmemConfig::default().chunks;
        /// bytes for one frame and its headroom: 2048 or 4096
        chunk_size: Defaulted<u32> = UmemConfig::default().chunk_size;
        /// how many frames that take several chunks each worker has room for; 0 for no such frames
        jumbo_chunks: Defaulted<u32> = UmemConfig::default().jumbo_chunks;
    }

    /// A worker thread; without any there is one that is not pinned.
    many "worker" WorkerRow {
        /// the CPU that the worker is pinned to; without it the scheduler chooses
        cpu: Optional<u32>;
        /// what the worker does when there is nothing to do
        busy: Defaulted<Busy> = Busy::default();
    }

    /// A device that frames are taken from and given to.
    many "port" PortRow {
        /// the port's name in every table and message
        name: Required<String>;
        /// the network device; without it the one that has the port's name
        device: Optional<String>;
        /// what the port faces: "uplink" for the underlay; an access port needs `vni` only, a trunk `vlans`
        role: Optional<Facing>;
        /// the VNI that an access port's workload is in
        vni: Optional<Vni>;
        /// which VLAN of a trunk is which VNI
        vlans: Optional<Vec<Placed<TrunkVlan>>>;
        /// the VLAN of a trunk's untagged frames; 0 for none, which drops them
        native: Defaulted<NativeVlan> = NativeVlan(None);
        /// the AF_XDP mode to try; "auto" takes the best that can be had
        mode: Defaulted<ModeWish> = ModeWish::default();
        /// the least mode to accept; without it any
        require: Optional<XdpMode>;
        /// how many of the device's queues to serve; without it all
        queues: Optional<u32>;
        /// descriptors of each ring, a power of two
        ring_size: Defaulted<u32> = PortConfig::RING_SIZE;
        /// how frames leave
        transmit: Defaulted<TransmitWish> = TransmitWish::default();
        /// the workload's network namespace, by name or path, where NAPI is turned on for bursts
        namespace: Optional<String>;
        /// whether frames to unknown addresses are flooded to it
        flood: Defaulted<bool> = true;
        /// whether frames to groups are flooded to it
        mcast_flood: Defaulted<bool> = true;
        /// whether broadcasts are flooded to it
        bcast_flood: Defaulted<bool> = true;
        /// whether it neither sends to nor hears from other isolated ports
        isolated: Defaulted<bool> = false;
        /// whether who leaves a multicast group there is taken for the last who listened to it
        fastleave: Defaulted<bool> = false;
        /// how many frames a second from it are flooded; 0 for no limit
        storm_limit: Defaulted<u32> = FloodConfig::STORM_LIMIT;
        /// whether the workload may act as a router, a DHCP server or the end of a tunnel
        trusted: Defaulted<bool> = false;
        /// whether only addresses that are bound or written may send
        locked: Defaulted<bool> = false;
        /// the addresses that the workload may use; without any, all
        bind: Defaulted<Vec<Placed<BindingConfig>>> = Vec::new();
        /// how many addresses are learned from it at most
        learn_limit: Defaulted<u32> = GuardConfig::LEARN_LIMIT;
    }

    /// A bridge domain.
    many "vni" VniRow {
        /// the identifier
        id: Required<Vni>;
        /// our underlay address, or one of each family, where tunnel packets come to and from
        local: Required<LocalAddresses>;
        /// how frames are wrapped unless a remote says otherwise
        encapsulation: Defaulted<Wrapping> = Wrapping::Vxlan;
        /// the UDP destination port of VXLAN and of GRE in UDP, or an array of all that packets may come to, this one first;
        /// without it the registered one
        udp_port: Optional<UdpPorts>;
        /// the key of GRE: "vni", "none" or a number
        key: Defaulted<GreKey> = GreKey::default();
        /// whether source addresses are learned
        learning: Defaulted<bool> = true;
        /// how long a learned entry stays that is not refreshed; 0 for ever
        ageing: Defaulted<Seconds> = Seconds(VniConfig::AGEING);
        /// whether ARP requests of workloads are answered here
        arp_proxy: Defaulted<bool> = true;
        /// whether IPv6 neighbour solicitations of workloads are answered here
        nd_proxy: Defaulted<bool> = true;
        /// the DSCP of outer headers, in the upper six bits of an octet
        tos: Defaulted<Tos> = Tos(Marking::default().tos);
        /// the TTL of outer headers
        ttl: Defaulted<Ttl> = Ttl(Marking::default().ttl);
        /// the DF flag of outer IPv4 headers
        df: Defaulted<DontFragment> = DontFragment::default();
        /// how the ECN field of outer headers is made from that of inner packets
        ecn: Defaulted<EcnMode> = EcnMode::default();
        /// whether VXLAN packets have a UDP checksum; without it over IPv6 only
        udp_checksum: Optional<bool>;
        /// whether frames to unknown addresses are flooded
        flood: Defaulted<bool> = true;
        /// whether frames to groups are flooded
        mcast_flood: Defaulted<bool> = true;
        /// whether broadcasts are flooded
        bcast_flood: Defaulted<bool> = true;
        /// whether frames to multicast groups go only where somebody listens
        mcast_snooping: Defaulted<bool> = true;
        /// an underlay multicast group that frames are flooded to instead of to each remote
        mcast_group: Optional<IpAddr>;
        /// how many moves within three minutes freeze an address; 0 for none
        move_limit: Defaulted<u32> = VniConfig::MOVE_LIMIT;
        /// whether its remotes are asked by BFD whether they are there, and how
        liveness: Defaulted<LivenessWish> = LivenessWish::Off;
        /// the UDP source ports of packets, which spread flows
        srcport: Defaulted<SourcePorts> = SourcePorts::DYNAMIC;
        /// reserved bits of the VXLAN header that received packets may have set
        reserved_bits: Defaulted<Bits> = Bits(0);
        /// whether GRE packets are sent with a checksum
        gre_checksum: Defaulted<bool> = false;
        /// whether GRE packets are sent with a sequence number
        gre_sequence: Defaulted<bool> = false;
        /// what becomes of frames that have a VLAN tag
        inner_tags: Defaulted<InnerTags> = InnerTags::default();
        /// whether TCP segments are made to fit: true to fit the path to the remote, or at most this many bytes
        mss_clamp: Defaulted<MssClamp> = MssClamp::default();
        /// how many addresses are learned in it at most
        learn_limit: Defaulted<u32> = VniConfig::LEARN_LIMIT;
        /// peers that need no settings of their own: the short form of [[remote]]
        remotes: Defaulted<Vec<Placed<IpAddr>>> = Vec::new();
    }

    /// A peer VTEP in one VNI.
    many "remote" RemoteRow {
        /// the VNI
        vni: Required<Vni>;
        /// the peer's underlay address
        address: Required<IpAddr>;
        /// how frames to it are wrapped; without it as the VNI says, or as `udp_port` or `key` implies
        encapsulation: Optional<Wrapping>;
        /// the UDP destination port of VXLAN or of GRE in UDP to this peer
        udp_port: Optional<u16>;
        /// the key of GRE with this peer: "vni", "none" or a number
        key: Optional<GreKey>;
        /// whether it gets flooded frames
        flood: Defaulted<bool> = true;
        /// whether VXLAN packets to and from it have a UDP checksum; without it as the VNI says
        udp_checksum: Optional<bool>;
        /// how many frames a second from it are flooded; 0 for no limit
        storm_limit: Defaulted<u32> = FloodConfig::STORM_LIMIT;
        /// how many addresses are learned from it at most
        learn_limit: Defaulted<u32> = RemoteConfig::LEARN_LIMIT;
        /// whether it is asked by BFD whether it is there, and how; without it as the VNI says
        liveness: Optional<LivenessWish>;
    }

    /// Several remotes of a VNI that an address is behind.
    many "group" GroupRow {
        /// the VNI
        vni: Required<Vni>;
        /// its name, by which forwarding entries point to it
        name: Required<String>;
        /// its remotes: the address of each, or a table that also has its weight and whether it is a backup
        members: Required<Vec<Placed<GroupMember>>>;
        /// whether one of its remotes, instead of each of them, gets flooded frames
        flood: Defaulted<bool> = false;
    }

    /// A static forwarding entry.
    many "fdb" FdbRow {
        /// the VNI
        vni: Required<Vni>;
        /// the workload's Ethernet address
        mac: Required<Mac>;
        /// the access port that it is behind
        port: Optional<String>;
        /// the remote that it is behind
        remote: Optional<IpAddr>;
        /// the group of remotes that it is behind
        group: Optional<String>;
        /// how firm it is
        kind: Defaulted<FdbKind> = FdbKind::default();
        /// who wrote it, by which it can be replaced with everything else of that owner
        owner: Defaulted<String> = owner::CONFIGURATION.to_owned();
    }

    /// A static neighbour, whom ARP and neighbour discovery are answered for.
    many "neighbour" NeighbourRow {
        /// the VNI
        vni: Required<Vni>;
        /// the workload's IPv4 or IPv6 address
        address: Required<IpAddr>;
        /// its Ethernet address
        mac: Required<Mac>;
        /// whether it is an IPv6 router, which advertisements must say
        router: Defaulted<bool> = false;
        /// who wrote it, by which it can be replaced with everything else of that owner
        owner: Defaulted<String> = owner::CONFIGURATION.to_owned();
    }
}
