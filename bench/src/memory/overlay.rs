//! The tables that frames meet: one VXLAN domain with two access ports, some remotes, and a forwarding database of
//! wanted size.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use fastrand::Rng;
use forward::fdb::{Fdb, Key, Kind};
use forward::flood::{Flooding, StormLimit};
use forward::ids::{DomainId, PortId, RemoteId};
use forward::link::{Now, Place};
use forward::marking::Marking;
use forward::protection::{Claims, Guard, LearningLimits, Protection};
use forward::tables::{
    Domain, Encapsulation, InnerTags, MssClamp, Neighbour, NeighbourFlags, Neighbours, Path, Port, Remote,
    Role, Tables, TablesParts, TunnelOptions,
};
use wire::{Mac, Vni};

/// The uplink.
pub const UPLINK: PortId = PortId(0);
/// The access port that all local stations are at.
pub const ACCESS: PortId = PortId(1);
/// Another access port of the same domain. It gets what is flooded.
pub const OTHER: PortId = PortId(2);
/// The bridge domain.
pub const DOMAIN: DomainId = DomainId(1);
/// Its identifier on the wire.
pub const VNI: u32 = 100;
/// Our underlay address. Remote *n* has the *n*th address after it.
pub const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Remotes of the usual overlay.
pub const REMOTES: u32 = 8;
/// Stations of each side that the ARP proxy knows, if there are as many.
pub const NEIGHBOURS: usize = 1000;
/// When all entries were learned.
pub const START: Now = Now { nanoseconds: 1_000_000_000_000 };

pub(super) const UDP_PORT: u16 = 4789;
const NEXT_HOP: Mac = Mac([2, 1, 0, 0, 1, 1]);

/// A station and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Station {
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its protocol address.
    pub address: Ipv4Addr,
    /// [`ACCESS`] or a remote.
    pub place: Place,
}

/// Published tables, and the stations whose entries fill the forwarding database.
#[derive(Debug)]
pub struct Overlay {
    /// The tables.
    pub tables: Tables,
    /// Stations at [`ACCESS`], half of all, in random order.
    pub local: Vec<Station>,
    /// Stations behind remotes, evenly spread over them, in random order.
    pub distant: Vec<Station>,
}

impl Overlay {
    /// With `entries` learned forwarding entries and `remotes` remotes, all in the flood list. The same arguments give
    /// the same overlay.
    ///
    /// # Panics
    /// If there are too many remotes for the addresses after [`LOCAL`].
    #[must_use]
    pub fn new(entries: usize, remotes: u32) -> Self {
        let fdb = empty_fdb(entries);
        let station = |index: usize| station(index, remotes);
        let (mut local, mut distant): (Vec<_>, Vec<_>) =
            (0..entries).map(station).partition(|station| matches!(station.place, Place::Port(_)));
        for station in local.iter().chain(&distant) {
            let key = Key::new(DOMAIN, station.mac);
            fdb.set(key, station.place, Kind::Dynamic, START.seconds()).expect("half of the slots stay free");
        }
        let mut random = Rng::with_seed(1);
        random.shuffle(&mut local);
        random.shuffle(&mut distant);
        let known = |stations: &[Station]| stations[..stations.len().min(NEIGHBOURS)].to_vec();
        let neighbours = [known(&local), known(&distant)].concat();
        let tables = Tables::build(parts(remotes, &neighbours, fdb)).expect("consistent tables");
        Self { tables, local, distant }
    }

    /// The address of a remote.
    #[must_use]
    pub const fn address_of(remote: RemoteId) -> Ipv4Addr {
        Ipv4Addr::from_bits(LOCAL.to_bits() + 1 + remote.0)
    }
}

/// A forwarding database made as the daemon makes it: on large pages, if the kernel has them.
pub(super) fn empty_fdb(entries: usize) -> Fdb {
    let advise = |start, bytes| {
        xsk::advise_large_pages(start, bytes);
    };
    Fdb::advised(entries, [0x9e37_79b9, 0x7f4a_7c15], advise)
}

/// The keys of `entries` stations, in random order, and where they are.
#[must_use]
pub fn keys(entries: usize) -> Vec<(Key, Place)> {
    shuffled((0..entries).map(|index| station(index, REMOTES)))
}

/// As many keys that are none of [`keys`].
#[must_use]
pub fn strangers(entries: usize) -> Vec<(Key, Place)> {
    shuffled((entries..2 * entries).map(|index| station(index, REMOTES)))
}

fn shuffled(stations: impl Iterator<Item = Station>) -> Vec<(Key, Place)> {
    let mut keys: Vec<_> = stations.map(|station| (Key::new(DOMAIN, station.mac), station.place)).collect();
    Rng::with_seed(2).shuffle(&mut keys);
    keys
}

/// Addresses are in arithmetic progression and so distinct; which half a station is in alternates.
fn station(index: usize, remotes: u32) -> Station {
    let number = index as u32;
    let mac = Mac::from_u64(2 << 40 | (index as u64).wrapping_mul(0x9e_3779_b97b) & 0xff_ffff_ffff);
    let place = if number.is_multiple_of(2) {
        Place::Port(ACCESS)
    } else {
        Place::Remote(RemoteId(number / 2 % remotes))
    };
    Station { mac, address: Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 1).to_bits() + number), place }
}

fn parts(remotes: u32, neighbours: &[Station], fdb: Fdb) -> TablesParts {
    let vni = Vni::new(VNI).expect("24 bits");
    let encapsulation = Encapsulation::Vxlan { vni, port: UDP_PORT };
    let mac = |id: PortId| Mac([2, 1, 0, 0, 0, id.0 as u8]);
    let port = |id: PortId, role| Port {
        id,
        role,
        mac: mac(id),
        mtu: 1500,
        flooding: Flooding::default(),
        isolated: false,
        storm_limit: StormLimit::NONE,
    };
    let remote = |index: u32| Remote {
        id: RemoteId(index),
        domain: DOMAIN,
        encapsulation,
        local: IpAddr::V4(LOCAL),
        address: IpAddr::V4(Overlay::address_of(RemoteId(index))),
        marking: Marking::default(),
        udp_checksum: false,
        storm_limit: StormLimit::NONE,
        options: TunnelOptions::default(),
        path: Path::Resolved { uplink: UPLINK, source: mac(UPLINK), next_hop: NEXT_HOP, mtu: u16::MAX },
    };
    let domain = Domain {
        id: DOMAIN,
        vni,
        learning: true,
        arp_proxy: true,
        nd_proxy: true,
        ageing: 300,
        flooding: Flooding::default(),
        snooping: None,
        mcast_group: None,
        ports: vec![ACCESS, OTHER],
        remotes: (0..remotes).map(RemoteId).collect(),
        locals: vec![IpAddr::V4(LOCAL)],
        encapsulation,
        further_ports: Vec::new(),
        inner_tags: InnerTags::default(),
        mss_clamp: MssClamp::Off,
    };
    let entry = |it: &Station| {
        (
            DOMAIN,
            IpAddr::V4(it.address),
            Neighbour { mac: it.mac, flags: NeighbourFlags::default(), fixed: false },
        )
    };
    TablesParts {
        protection: protection(remotes),
        version: 1,
        ports: vec![
            port(UPLINK, Role::Uplink),
            port(ACCESS, Role::Access(DOMAIN)),
            port(OTHER, Role::Access(DOMAIN)),
        ],
        trunks: BTreeMap::new(),
        domains: vec![domain],
        remotes: (0..remotes).map(remote).collect(),
        groups: Vec::new(),
        neighbours: Arc::new(neighbours.iter().map(entry).collect::<Neighbours>()),
        fdb: Arc::new(fdb),
    }
}

/// What the daemon has by default: nobody is trusted, and everybody has a learning limit.
fn protection(remotes: u32) -> Protection {
    Protection {
        guards: [ACCESS, OTHER].map(|port| (port, Guard::default())).into(),
        claims: Claims::default(),
        limits: LearningLimits {
            ports: [ACCESS, OTHER].map(|port| (port, 1 << 24)).into(),
            remotes: (0..remotes).map(|remote| (RemoteId(remote), 1 << 24)).collect(),
            domains: [(DOMAIN, 1 << 24)].into(),
        },
    }
}
