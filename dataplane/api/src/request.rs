//! What a client can ask for. Addresses are text and numbers 64-bit integers here, as the wire has them: whoever
//! carries a request out checks them and names the argument that is wrong.

use crate::entry::{FdbEntryReply, FdbPage, FlushReply, NeighbourPage, ReplaceReply};
use crate::group::GroupPage;
use crate::item::{FdbItem, GroupMemberItem, Guard, NeighbourItem, TrunkVlan};
use crate::liveness::LivenessItem;
use crate::mdb::MdbPage;
use crate::method::{InvalidRequest, Method, decode_parameters, methods};
use crate::reply::{
    DropPage, Empty, PortPage, PortRange, ReloadReply, RemotePage, StatsReply, StatusReply, VniPage,
};
use crate::word::{
    DontFragment, EcnMode, Encapsulation, EntryKind, InnerTags, ModeWish, PortRole, TransmitWish, XdpMode,
};

methods! {
    /// The daemon as a whole.
    Status {} -> StatusReply;

    /// Ports.
    #[derive(Default)]
    ShowPorts {
        /// This one only.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Where the page begins: `next` of the page before.
        #[serde(skip_serializing_if = "Option::is_none")] cursor: Option<String>,
    } -> PortPage;

    /// Adds a port.
    AddPort {
        /// Its name.
        name: String,
        /// The network device; the name by default.
        #[serde(skip_serializing_if = "Option::is_none")] device: Option<String>,
        /// What it faces.
        role: PortRole,
        /// The VNI of an access port.
        #[serde(skip_serializing_if = "Option::is_none")] vni: Option<i64>,
        /// The VLANs of a trunk.
        #[serde(skip_serializing_if = "Option::is_none")] vlans: Option<Vec<TrunkVlan>>,
        /// The VLAN of a trunk's untagged frames, 0 for none; none by default.
        #[serde(skip_serializing_if = "Option::is_none")] native: Option<i64>,
        /// Mode to try; from best to worst by default.
        #[serde(skip_serializing_if = "Option::is_none")] mode: Option<ModeWish>,
        /// Least mode to accept; any by default.
        #[serde(skip_serializing_if = "Option::is_none")] require: Option<XdpMode>,
        /// Queues to serve; all by default.
        #[serde(skip_serializing_if = "Option::is_none")] queues: Option<i64>,
        /// Descriptors of each ring, a power of two; 2048 by default.
        #[serde(skip_serializing_if = "Option::is_none")] ring_size: Option<i64>,
        /// How frames leave; chosen per batch by default.
        #[serde(skip_serializing_if = "Option::is_none")] transmit: Option<TransmitWish>,
        /// The workload's network namespace, a name or an absolute path, where NAPI is turned on.
        #[serde(skip_serializing_if = "Option::is_none")] netns: Option<String>,
        /// Flood frames to unknown addresses to it; true by default.
        #[serde(skip_serializing_if = "Option::is_none")] flood: Option<bool>,
        /// Flood frames to groups to it; true by default.
        #[serde(skip_serializing_if = "Option::is_none")] mcast_flood: Option<bool>,
        /// Flood broadcasts to it; true by default.
        #[serde(skip_serializing_if = "Option::is_none")] bcast_flood: Option<bool>,
        /// Neither send to nor hear from other isolated ports; false by default.
        #[serde(skip_serializing_if = "Option::is_none")] isolated: Option<bool>,
        /// Take who leaves a multicast group there for the last who listened to it; false by default.
        #[serde(skip_serializing_if = "Option::is_none")] fastleave: Option<bool>,
        /// Frames a second from it that are flooded, 0 for no limit; 100000 by default.
        #[serde(skip_serializing_if = "Option::is_none")] storm_limit: Option<i64>,
        /// What its frames are held against; of an access port.
        #[serde(skip_serializing_if = "Option::is_none")] guard: Option<Guard>,
    } -> Empty;

    /// Changes what can be changed of a port while frames pass; what is absent stays as it is.
    #[derive(Default)]
    SetPort {
        /// Its name.
        name: String,
        /// Flood frames to unknown addresses to it.
        #[serde(skip_serializing_if = "Option::is_none")] flood: Option<bool>,
        /// Flood frames to groups to it.
        #[serde(skip_serializing_if = "Option::is_none")] mcast_flood: Option<bool>,
        /// Flood broadcasts to it.
        #[serde(skip_serializing_if = "Option::is_none")] bcast_flood: Option<bool>,
        /// Neither send to nor hear from other isolated ports.
        #[serde(skip_serializing_if = "Option::is_none")] isolated: Option<bool>,
        /// Take who leaves a multicast group there for the last who listened to it.
        #[serde(skip_serializing_if = "Option::is_none")] fastleave: Option<bool>,
        /// Frames a second from it that are flooded, 0 for no limit.
        #[serde(skip_serializing_if = "Option::is_none")] storm_limit: Option<i64>,
        /// All VLANs that a trunk is to have.
        #[serde(skip_serializing_if = "Option::is_none")] vlans: Option<Vec<TrunkVlan>>,
        /// The VLAN of a trunk's untagged frames, 0 for none.
        #[serde(skip_serializing_if = "Option::is_none")] native: Option<i64>,
    } -> Empty;

    /// Changes what an access port's frames are held against, live.
    GuardPort {
        /// Its name.
        name: String,
        /// What changes; what is absent stays as it is.
        guard: Guard,
    } -> Empty;

    /// Removes a port.
    RemovePort {
        /// Its name.
        name: String,
    } -> Empty;

    /// VNIs.
    #[derive(Default)]
    ShowVnis {
        /// This one only.
        #[serde(skip_serializing_if = "Option::is_none")]
        vni: Option<i64>,
        /// Where the page begins: `next` of the page before.
        #[serde(skip_serializing_if = "Option::is_none")] cursor: Option<String>,
    } -> VniPage;

    /// Adds a VNI, or with `replace` changes one; what is absent is at its default.
    SetVni {
        /// The identifier, below 2^24.
        vni: i64,
        /// Our underlay addresses: one, or one of each family.
        local: Vec<String>,
        /// How frames are wrapped; VXLAN by default, GRE where there is a `key`.
        #[serde(skip_serializing_if = "Option::is_none")]
        encap: Option<Encapsulation>,
        /// UDP destination port; with VXLAN, 4789 by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        udp_port: Option<i64>,
        /// `vni`, `none` or a number below 2^32; with GRE, `vni` by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Learn source addresses; true by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        learning: Option<bool>,
        /// Seconds, 0 for never; 300 by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        ageing: Option<i64>,
        /// Answer ARP requests; true by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        arp_proxy: Option<bool>,
        /// Answer neighbour solicitations; true by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        nd_proxy: Option<bool>,
        /// `inherit`, or the outer DSCP in the upper six bits of an octet; 0 by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        tos: Option<String>,
        /// `inherit`, or the outer time to live, 1 to 255; 64 by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl: Option<String>,
        /// Outer DF over IPv4; set by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        df: Option<DontFragment>,
        /// How the outer ECN field is made; `normal` by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        ecn: Option<EcnMode>,
        /// Whether VXLAN packets have a UDP checksum; over IPv6 only by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        udp_checksum: Option<bool>,
        /// Send frames to multicast groups only where somebody listens; true by default.
        #[serde(skip_serializing_if = "Option::is_none")] mcast_snooping: Option<bool>,
        /// The underlay group that frames are flooded to instead of to each remote.
        #[serde(skip_serializing_if = "Option::is_none")] mcast_group: Option<String>,
        /// Moves of an address within three minutes that freeze it, 0 for never; 5 by default.
        #[serde(skip_serializing_if = "Option::is_none")] move_limit: Option<i64>,
        /// Flood frames to unknown addresses; true by default.
        #[serde(skip_serializing_if = "Option::is_none")] flood: Option<bool>,
        /// Flood frames to groups; true by default.
        #[serde(skip_serializing_if = "Option::is_none")] mcast_flood: Option<bool>,
        /// Flood broadcasts; true by default.
        #[serde(skip_serializing_if = "Option::is_none")] bcast_flood: Option<bool>,
        /// How its remotes are asked whether they are there; not by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        liveness: Option<LivenessItem>,
        /// UDP ports that packets may come to beside `udp_port`; none by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        further_udp_ports: Option<Vec<i64>>,
        /// UDP source ports; 49152 to 65535 by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        port_range: Option<PortRange>,
        /// Reserved bits of the VXLAN header that packets may have set, hexadecimal behind `0x`; none by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        reserved_bits: Option<String>,
        /// Whether GRE packets are sent with a checksum; false by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        gre_checksum: Option<bool>,
        /// Whether GRE packets are sent with a sequence number; false by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        gre_sequence: Option<bool>,
        /// What becomes of frames that have a VLAN tag; they are carried by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        inner_tags: Option<InnerTags>,
        /// Whether TCP segments are made to fit the path: `on`, `off`, or a number of bytes; `off` by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        mss_clamp: Option<String>,
        /// Most addresses that are learned in it; 131072 by default.
        #[serde(skip_serializing_if = "Option::is_none")] learn_limit: Option<i64>,
        /// Whether it may exist already; false by default.
        #[serde(skip_serializing_if = "Option::is_none")] replace: Option<bool>,
    } -> Empty;

    /// Removes a VNI.
    RemoveVni {
        /// The identifier.
        vni: i64,
    } -> Empty;

    /// Remotes.
    #[derive(Default)]
    ShowRemotes {
        /// Of this VNI only.
        #[serde(skip_serializing_if = "Option::is_none")]
        vni: Option<i64>,
        /// Where the page begins: `next` of the page before.
        #[serde(skip_serializing_if = "Option::is_none")] cursor: Option<String>,
    } -> RemotePage;

    /// Adds a remote, or with `replace` changes one.
    SetRemote {
        /// The peer's underlay address.
        dst: String,
        /// The VNI.
        vni: i64,
        /// How frames to it are wrapped; as the VNI says by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        encap: Option<Encapsulation>,
        /// As in [`SetVni`].
        #[serde(skip_serializing_if = "Option::is_none")]
        udp_port: Option<i64>,
        /// As in [`SetVni`].
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Whether it gets flooded frames; true by default.
        #[serde(skip_serializing_if = "Option::is_none")] flood: Option<bool>,
        /// Whether VXLAN packets to it have a UDP checksum, and over IPv6 those from it must; as the VNI says by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        udp_checksum: Option<bool>,
        /// Frames a second from it that are flooded, 0 for no limit; 100000 by default.
        #[serde(skip_serializing_if = "Option::is_none")] storm_limit: Option<i64>,
        /// How it is asked whether it is there; as the VNI says by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        liveness: Option<LivenessItem>,
        /// Most addresses that are learned from it; 65536 by default.
        #[serde(skip_serializing_if = "Option::is_none")] learn_limit: Option<i64>,
        /// Whether it may exist already; false by default.
        #[serde(skip_serializing_if = "Option::is_none")] replace: Option<bool>,
    } -> Empty;

    /// Removes a remote.
    RemoveRemote {
        /// The peer's underlay address.
        dst: String,
        /// The VNI.
        vni: i64,
    } -> Empty;

    /// Groups of remotes.
    #[derive(Default)]
    ShowGroups {
        /// Of this VNI only.
        #[serde(skip_serializing_if = "Option::is_none")]
        vni: Option<i64>,
        /// Where the page begins: `next` of the page before.
        #[serde(skip_serializing_if = "Option::is_none")] cursor: Option<String>,
    } -> GroupPage;

    /// Adds a group of remotes, or with `replace` changes one.
    SetGroup {
        /// Its name.
        name: String,
        /// The VNI.
        vni: i64,
        /// Its remotes.
        members: Vec<GroupMemberItem>,
        /// Whether one of its remotes, instead of each, gets flooded frames; false by default.
        #[serde(skip_serializing_if = "Option::is_none")] flood: Option<bool>,
        /// Whether it may exist already; false by default.
        #[serde(skip_serializing_if = "Option::is_none")] replace: Option<bool>,
    } -> Empty;

    /// Removes a group.
    RemoveGroup {
        /// Its name.
        name: String,
        /// The VNI.
        vni: i64,
    } -> Empty;

    /// Forwarding entries that satisfy every condition given.
    #[derive(Default)]
    ShowFdb {
        /// Of this VNI.
        #[serde(skip_serializing_if = "Option::is_none")]
        vni: Option<i64>,
        /// Behind this port.
        #[serde(skip_serializing_if = "Option::is_none")]
        dev: Option<String>,
        /// Behind this remote.
        #[serde(skip_serializing_if = "Option::is_none")]
        dst: Option<String>,
        /// With this address.
        #[serde(skip_serializing_if = "Option::is_none")]
        mac: Option<String>,
        /// Of this kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<EntryKind>,
        /// Written by this owner.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// Where the page begins: `next` of the page before.
        #[serde(skip_serializing_if = "Option::is_none")] cursor: Option<String>,
    } -> FdbPage;

    /// Adds a forwarding entry, or with `replace` changes one; exactly one of `dev`, `dst` and `group` is given.
    SetFdb {
        /// The address.
        mac: String,
        /// The VNI.
        vni: i64,
        /// The port it is behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        dev: Option<String>,
        /// The remote it is behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        dst: Option<String>,
        /// The group of remotes it is behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// Of which kind it is, `dynamic` excepted; `static` by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<EntryKind>,
        /// Who writes it; `control` by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// Whether it may exist already, whoever wrote it; false by default.
        #[serde(skip_serializing_if = "Option::is_none")] replace: Option<bool>,
    } -> Empty;

    /// One forwarding entry.
    GetFdb {
        /// The address.
        mac: String,
        /// The VNI.
        vni: i64,
    } -> FdbEntryReply;

    /// Removes a forwarding entry.
    RemoveFdb {
        /// The address.
        mac: String,
        /// The VNI.
        vni: i64,
        /// Refused unless it was written by this owner.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// Refused unless this is the entry's version.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<i64>,
    } -> Empty;

    /// Makes the forwarding entries of an owner, all or those of one VNI, exactly these, in one step or not at all.
    ReplaceFdb {
        /// The owner.
        owner: String,
        /// Those of this VNI only.
        #[serde(skip_serializing_if = "Option::is_none")]
        vni: Option<i64>,
        /// What there is to be.
        entries: Vec<FdbItem>,
    } -> ReplaceReply;

    /// Removes forwarding entries that satisfy every condition given.
    #[derive(Default)]
    FlushFdb {
        /// Of this VNI.
        #[serde(skip_serializing_if = "Option::is_none")]
        vni: Option<i64>,
        /// Behind this port.
        #[serde(skip_serializing_if = "Option::is_none")]
        dev: Option<String>,
        /// Behind this remote.
        #[serde(skip_serializing_if = "Option::is_none")]
        dst: Option<String>,
        /// Of this kind; learned ones by default, or all of the owner's.
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<EntryKind>,
        /// Written by this owner.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
    } -> FlushReply;

    /// Neighbours.
    #[derive(Default)]
    ShowNeighbours {
        /// Of this VNI only.
        #[serde(skip_serializing_if = "Option::is_none")]
        vni: Option<i64>,
        /// Written by this owner.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// Where the page begins: `next` of the page before.
        #[serde(skip_serializing_if = "Option::is_none")] cursor: Option<String>,
    } -> NeighbourPage;

    /// Adds a static neighbour, or with `replace` changes one.
    SetNeighbour {
        /// The workload's protocol address.
        dst: String,
        /// Its Ethernet address.
        lladdr: String,
        /// The VNI.
        vni: i64,
        /// Whether it is a router, of IPv6; false by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        router: Option<bool>,
        /// Who writes it; `control` by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// Whether it may exist already, whoever wrote it; false by default.
        #[serde(skip_serializing_if = "Option::is_none")] replace: Option<bool>,
    } -> Empty;

    /// Removes a neighbour.
    RemoveNeighbour {
        /// The workload's protocol address.
        dst: String,
        /// The VNI.
        vni: i64,
        /// Refused unless it was written by this owner.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// Refused unless this is the entry's version.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<i64>,
    } -> Empty;

    /// Makes the neighbours of an owner, all or those of one VNI, exactly these, in one step or not at all.
    ReplaceNeighbours {
        /// The owner.
        owner: String,
        /// Those of this VNI only.
        #[serde(skip_serializing_if = "Option::is_none")]
        vni: Option<i64>,
        /// What there is to be.
        neighbours: Vec<NeighbourItem>,
    } -> ReplaceReply;

    /// Removes neighbours that satisfy every condition: learned ones, unless an owner is given.
    #[derive(Default)]
    FlushNeighbours {
        /// Of this VNI only.
        #[serde(skip_serializing_if = "Option::is_none")]
        vni: Option<i64>,
        /// Written by this owner.
        #[serde(skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
    } -> FlushReply;

    /// Lists multicast listeners, routers and queriers.
    #[derive(Default)]
    ShowMdb {
        /// Only of this VNI.
        #[serde(skip_serializing_if = "Option::is_none")] vni: Option<i64>,
        /// Where to go on; the beginning by default.
        #[serde(skip_serializing_if = "Option::is_none")] cursor: Option<String>,
    } -> MdbPage;

    /// The counters.
    #[derive(Default)]
    ShowStats {
        /// Of this port only; the balance and the chunks are always the daemon's.
        #[serde(skip_serializing_if = "Option::is_none")]
        port: Option<String>,
        /// Distributions in full; false by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        buckets: Option<bool>,
    } -> StatsReply;

    /// Forgets what was measured so far.
    FlushStats {} -> Empty;

    /// Reasons that dropped frames.
    #[derive(Default)]
    ShowDrops {
        /// Of this port only.
        #[serde(skip_serializing_if = "Option::is_none")]
        port: Option<String>,
        /// Also those that dropped none; false by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        all: Option<bool>,
        /// Where the page begins: `next` of the page before.
        #[serde(skip_serializing_if = "Option::is_none")] cursor: Option<String>,
    } -> DropPage;

    /// Reads the configuration file again and applies the difference.
    Reload {} -> ReloadReply;
}
