//! The types of the desired state. Both the file and the control protocol are made of these, so that whatever one can
//! say the other can too.

mod daemon;
mod flood;

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use forward::marking::Marking;
use forward::tables::InnerTags;
use wire::{Mac, Vni};

use super::encapsulation::EncapsulationConfig;
use super::entry::FdbConfig;
use super::group::GroupConfig;
use super::guard::GuardConfig;
use super::items::{ADDRESSES, InVni, Items, Keyed, Owned};
use super::liveness::{LivenessConfig, LivenessWish};
use super::local::LocalAddresses;
use super::mss::MssClamp;
use super::owner;
use super::trunk::TrunkConfig;
use super::tunnel::TunnelConfig;
pub use daemon::{Busy, Daemon, LogTarget, UmemConfig, WorkerConfig};
pub use flood::{FloodConfig, PortPolicy, PortTuning};

/// Everything that is configured.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// `[daemon]`.
    pub daemon: Daemon,
    /// `[umem]`.
    pub umem: UmemConfig,
    /// `[[worker]]`, in order; an empty list means one worker that is not pinned.
    pub workers: Vec<WorkerConfig>,
    /// `[[port]]`, by name.
    pub ports: Items<PortConfig>,
    /// `[[vni]]`, by identifier.
    pub vnis: Items<VniConfig>,
    /// `[[remote]]`, by VNI and address.
    pub remotes: Items<RemoteConfig>,
    /// `[[group]]`: several remotes of a VNI, by VNI and name.
    pub groups: Items<GroupConfig>,
    /// `[[fdb]]`: static entries, by VNI and MAC.
    pub fdb: Items<FdbConfig>,
    /// `[[neighbour]]`: static neighbours of the proxies, by VNI and address.
    pub neighbours: Items<NeighbourConfig>,
}

impl Config {
    /// Our end of the tunnel to a remote.
    #[must_use]
    pub fn local_towards(&self, vni: Vni, remote: IpAddr) -> Option<IpAddr> {
        self.vnis.get(&vni)?.local.towards(remote)
    }
}

/// A port: a device that the daemon takes frames from and gives frames to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortConfig {
    /// Its name in every table and message.
    pub name: String,
    /// The network device; the port's name by default.
    pub device: String,
    /// What it faces.
    pub role: PortRole,
    /// AF_XDP mode: the best obtainable by default.
    pub mode: ModeWish,
    /// Least mode to accept; a port that gets less is refused.
    pub require: Option<XdpMode>,
    /// Queues to serve; all of the device's by default.
    pub queues: Option<u32>,
    /// Descriptors of each ring, a power of two, 2048 by default.
    pub ring_size: u32,
    /// How frames leave.
    pub transmit: TransmitWish,
    /// The workload's network namespace, where the other end of a veth is: a name below [`PortConfig::NAMESPACES`], or
    /// an absolute path. NAPI is turned on there, so that frames can be burst.
    pub namespace: Option<String>,
    /// What is flooded.
    pub policy: PortPolicy,
    /// What its frames are held against; of an access port.
    pub guard: GuardConfig,
}

impl Keyed for PortConfig {
    type Key = String;

    fn key(&self) -> String {
        self.name.clone()
    }
}

impl PortConfig {
    /// Descriptors of a ring unless the port says otherwise.
    pub const RING_SIZE: u32 = 2048;

    /// A port with every key but the first three at its default.
    #[must_use]
    pub fn new(name: impl Into<String>, device: impl Into<String>, role: PortRole) -> Self {
        Self {
            name: name.into(),
            device: device.into(),
            role,
            mode: ModeWish::Auto,
            require: None,
            queues: None,
            ring_size: Self::RING_SIZE,
            transmit: TransmitWish::Auto,
            namespace: None,
            policy: PortPolicy::default(),
            guard: GuardConfig::default(),
        }
    }

    /// Where `ip netns` keeps namespaces that have names.
    pub const NAMESPACES: &str = "/run/netns";

    /// The file of the workload's namespace.
    #[must_use]
    pub fn namespace_path(&self) -> Option<PathBuf> {
        // An absolute path replaces what it is joined to.
        self.namespace.as_ref().map(|namespace| Path::new(Self::NAMESPACES).join(namespace))
    }

    /// Whether two ports differ in nothing that a device must be opened anew for.
    #[must_use]
    pub fn opens_as(&self, other: &Self) -> bool {
        let role = match (&self.role, &other.role) {
            (PortRole::Trunk(_), PortRole::Trunk(_)) => &other.role,
            (role, _) => role,
        };
        let like = Self { policy: other.policy, guard: other.guard.clone(), ..self.clone() };
        Self { role: role.clone(), ..like } == *other
    }
}

/// What a port faces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PortRole {
    /// The underlay.
    Uplink,
    /// A workload in this VNI.
    Access {
        /// The VNI; it must be configured.
        vni: Vni,
    },
    /// Workloads in several VNIs, told apart by a VLAN tag. Which they are can be changed while frames pass.
    Trunk(TrunkConfig),
}

/// An AF_XDP mode, worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum XdpMode {
    /// XDP in the kernel's generic receive path, frames copied.
    Generic,
    /// XDP in the driver, frames copied.
    Native,
    /// XDP in the driver, the device writes into the UMEM.
    ZeroCopy,
}

impl fmt::Display for XdpMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Generic => "generic",
            Self::Native => "native",
            Self::ZeroCopy => "zerocopy",
        })
    }
}

/// Which mode to try.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ModeWish {
    /// Zero-copy, then native, then generic.
    #[default]
    Auto,
    /// This one only.
    Only(XdpMode),
}

/// How frames leave a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TransmitWish {
    /// Chosen per batch.
    #[default]
    Auto,
    /// Always by the TX ring.
    Ring,
    /// Always by burst.
    Burst,
}

/// A bridge domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VniConfig {
    /// The identifier.
    pub vni: Vni,
    /// Our underlay addresses for this VNI: where tunnel packets come to and from.
    pub local: LocalAddresses,
    /// How frames to its remotes are wrapped unless the remote says otherwise.
    pub encapsulation: EncapsulationConfig,
    /// Learn source addresses; true by default.
    pub learning: bool,
    /// Seconds until an unrefreshed learned entry is forgotten, 0 for never; 300 by default.
    pub ageing: u32,
    /// Answer ARP requests of workloads; true by default.
    pub arp_proxy: bool,
    /// Answer neighbour solicitations of workloads; true by default.
    pub nd_proxy: bool,
    /// What outer headers say beside addresses.
    pub marking: Marking,
    /// Whether VXLAN packets have a UDP checksum; over IPv6 they have by default, over IPv4 they have not.
    pub udp_checksum: Option<bool>,
    /// What is flooded at all.
    pub flood: FloodConfig,
    /// Whether frames to multicast groups go only where somebody listens, once that can be known; true by default.
    pub mcast_snooping: bool,
    /// Underlay multicast group that frames are flooded to, in the place of the remotes.
    pub mcast_group: Option<IpAddr>,
    /// Moves of an address within three minutes that freeze it, 0 for never; 5 by default, [`Self::MOST_MOVES`] at most.
    pub move_limit: u32,
    /// Whether its remotes are asked whether they are there, unless they say otherwise; not by default.
    pub liveness: LivenessWish,
    /// What tunnel packets have that most have not.
    pub tunnel: TunnelConfig,
    /// What becomes of frames that have a VLAN tag; carried by default.
    pub inner_tags: InnerTags,
    /// What is done about the maximum segment size of TCP; nothing by default.
    pub mss_clamp: MssClamp,
    /// Most addresses that are learned in it.
    pub learn_limit: u32,
}

impl Keyed for VniConfig {
    type Key = Vni;

    fn key(&self) -> Vni {
        self.vni
    }
}

impl VniConfig {
    /// Seconds until a learned entry is forgotten unless the VNI says otherwise (IEEE 802.1Q table 8-6).
    pub const AGEING: u32 = 300;
    /// Moves that freeze an address unless the VNI says otherwise (RFC 7432 section 15.1).
    pub const MOVE_LIMIT: u32 = 5;
    /// Moves that may be waited for at most: each is remembered.
    pub const MOST_MOVES: u32 = 1000;
    /// Most addresses that are learned in a VNI unless it says otherwise: some 4 MiB of forwarding database.
    pub const LEARN_LIMIT: u32 = 131_072;

    /// A VXLAN domain with every key at its default.
    #[must_use]
    pub fn new(vni: Vni, local: impl Into<LocalAddresses>) -> Self {
        Self {
            vni,
            local: local.into(),
            encapsulation: EncapsulationConfig::VXLAN,
            learning: true,
            ageing: Self::AGEING,
            arp_proxy: true,
            nd_proxy: true,
            marking: Marking::default(),
            udp_checksum: None,
            flood: FloodConfig { unicast: true, multicast: true, broadcast: true },
            mcast_snooping: true,
            mcast_group: None,
            move_limit: Self::MOVE_LIMIT,
            liveness: LivenessWish::Off,
            tunnel: TunnelConfig::default(),
            inner_tags: InnerTags::default(),
            mss_clamp: MssClamp::Off,
            learn_limit: Self::LEARN_LIMIT,
        }
    }
}

/// A peer VTEP of one VNI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteConfig {
    /// The VNI.
    pub vni: Vni,
    /// The peer's underlay address.
    pub address: IpAddr,
    /// How frames to it are wrapped; as the VNI says by default.
    pub encapsulation: Option<EncapsulationConfig>,
    /// Whether it gets flooded frames; true by default.
    pub flood: bool,
    /// Whether VXLAN packets to it have a UDP checksum, and over IPv6 those from it must; as the VNI says by default.
    pub udp_checksum: Option<bool>,
    /// Frames a second from it that are flooded, 0 for no limit.
    pub storm_limit: u32,
    /// Whether it is asked whether it is there; as the VNI says by default.
    pub liveness: Option<LivenessWish>,
    /// Most addresses that are learned from it.
    pub learn_limit: u32,
}

impl RemoteConfig {
    /// Most addresses that are learned from a remote unless it says otherwise.
    pub const LEARN_LIMIT: u32 = 65_536;

    /// A remote with every other key at its default.
    #[must_use]
    pub const fn new(vni: Vni, address: IpAddr) -> Self {
        Self {
            vni,
            address,
            encapsulation: None,
            flood: true,
            udp_checksum: None,
            storm_limit: FloodConfig::STORM_LIMIT,
            liveness: None,
            learn_limit: Self::LEARN_LIMIT,
        }
    }

    /// How frames to it are wrapped, in this VNI.
    #[must_use]
    pub fn encapsulation_in(&self, vni: &VniConfig) -> EncapsulationConfig {
        self.encapsulation.unwrap_or(vni.encapsulation)
    }

    /// How it is asked whether it is there, in this VNI, if at all.
    #[must_use]
    pub fn liveness_in(&self, vni: &VniConfig) -> Option<LivenessConfig> {
        self.liveness.unwrap_or(vni.liveness).config()
    }

    /// Whether packets to it have a UDP checksum, in this VNI.
    #[must_use]
    pub fn udp_checksum_in(&self, vni: &VniConfig) -> bool {
        self.udp_checksum.or(vni.udp_checksum).unwrap_or(self.address.is_ipv6())
    }
}

impl Keyed for RemoteConfig {
    type Key = (Vni, IpAddr);

    fn key(&self) -> Self::Key {
        (self.vni, self.address)
    }
}

impl InVni for RemoteConfig {
    fn bounds(vni: Vni) -> RangeInclusive<Self::Key> {
        (vni, ADDRESSES.0)..=(vni, ADDRESSES.1)
    }
}

/// A static neighbour: whom ARP and neighbour discovery are answered for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeighbourConfig {
    /// The VNI.
    pub vni: Vni,
    /// The workload's address.
    pub address: IpAddr,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Whether advertisements for it say that it is a router; false by default, and for IPv6 only.
    pub router: bool,
    /// Who wrote it; see [`owner`].
    pub owner: String,
}

impl NeighbourConfig {
    /// A neighbour of the configuration file, which is no router.
    #[must_use]
    pub fn new(vni: Vni, address: IpAddr, mac: Mac) -> Self {
        Self { vni, address, mac, router: false, owner: owner::CONFIGURATION.to_owned() }
    }
}

impl Keyed for NeighbourConfig {
    type Key = (Vni, IpAddr);

    fn key(&self) -> Self::Key {
        (self.vni, self.address)
    }
}

impl InVni for NeighbourConfig {
    fn bounds(vni: Vni) -> RangeInclusive<Self::Key> {
        (vni, ADDRESSES.0)..=(vni, ADDRESSES.1)
    }
}

impl Owned for NeighbourConfig {
    fn owner(&self) -> &str {
        &self.owner
    }

    fn vni(&self) -> Vni {
        self.vni
    }
}
