//! Every bound of the switch, and the assertions that relate them.

/// Ports of one daemon, uplinks included.
pub const MAX_PORTS: usize = 1024;
/// Bridge domains, the never-allocated zero included.
pub const MAX_DOMAINS: usize = 4096;
/// Remotes, counted per peer and VNI. They share a 24-bit field of an FDB value with ports.
pub const MAX_REMOTES: usize = 1 << 16;
/// Groups of remotes.
pub const MAX_GROUPS: usize = 4096;
/// VLANs of one trunk port. The daemon has domains for some four thousand, and few trunks carry hundreds; what the bound
/// keeps small is the list that is replaced as a whole when one VLAN comes or goes.
pub const MAX_TRUNK_VLANS: usize = 1024;
/// Buckets of a group, into which flows are hashed: a power of two.
pub const GROUP_BUCKETS: usize = 256;
/// Workers of one daemon.
pub const MAX_WORKERS: usize = 64;
/// Frames that the pipeline takes at once.
pub const BATCH: usize = 64;
/// Largest outer header that encapsulation pushes: Ethernet + IPv6 + UDP + VXLAN, or with a GRE key, checksum and
/// sequence number (14 + 40 + 8 + 16).
pub const MAX_OUTER_HEADER: usize = 78;
/// ICMP errors that workloads behind one port get within a second, from one worker, and at once after a while of none.
/// What a host sends of its own accord is the measure (Linux: 1000 in all, one a second to each destination).
pub const ERRORS_PER_SECOND: u32 = 100;
/// Packets of BFD that one worker hands to control in a second; the rest is dropped. Control has other things to do.
pub const BFD_PER_SECOND: u32 = 8192;
/// Events that frames from one port make in a second at most, as one worker tells them; the rest is withheld, so that no
/// workload keeps control from hearing others.
pub const EVENTS_PER_SECOND: u32 = 1024;
/// Events that one frame makes at most: the groups that a report of IGMPv3 names in a packet of 1500 bytes.
pub const MAX_RECORDS: usize = 192;
/// Events that are not repeated within a second; a power of two.
pub const RECENT_EVENTS: usize = 1024;

const _: () = assert!(RECENT_EVENTS.is_power_of_two());
const _: () = assert!(MAX_REMOTES <= 1 << 22 && MAX_PORTS <= 1 << 22);
const _: () = assert!(MAX_GROUPS <= 1 << 16 && GROUP_BUCKETS.is_power_of_two());
const _: () = assert!(MAX_DOMAINS <= 1 << 16 && MAX_PORTS <= 1 << 16);
