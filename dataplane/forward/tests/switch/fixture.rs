//! A switch on an in-memory link. After every batch it asserts that chunks are conserved and that the counters add up.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arrayvec::ArrayVec;
use forward::counters::{Counters, PortCounts};
use forward::fdb::{Fdb, Key, Kind};
use forward::flood::{Flooding, StormLimit};
use forward::ids::{DomainId, PortId, RemoteId};
use forward::limits::BATCH;
use forward::link::{Event, Link, Now, Place};
use forward::marking::Marking;
use forward::memory::Memory;
use forward::pipeline::Pipeline;
use forward::tables::{
    Domain, Encapsulation, InnerTags, MssClamp, Neighbour, NeighbourFlags, Neighbours, Path, Port, Remote,
    Role, Tables, TablesParts, Trunk, TunnelOptions,
};
use forward::verdict::DropReason;
use wire::{Mac, Vlan, Vni};

/// Access ports of domain 1; `SMALL` has an MTU of 576.
pub(crate) const A: PortId = PortId(1);
pub(crate) const B: PortId = PortId(2);
pub(crate) const SMALL: PortId = PortId(5);
/// Access port of domain 2 and of domain 3.
pub(crate) const C: PortId = PortId(3);
pub(crate) const D: PortId = PortId(4);
/// Access ports of domains 5, 6 and 7, which are over IPv6.
pub(crate) const E: PortId = PortId(6);
pub(crate) const F: PortId = PortId(7);
pub(crate) const G: PortId = PortId(8);
/// Access ports of domain 8, which is over NVGRE, and of domain 9, which is over GRE in UDP.
pub(crate) const H: PortId = PortId(9);
pub(crate) const I: PortId = PortId(12);
/// Trunks, where there are any ([`with_trunks`]): `T` has domain 1 as VLAN 10 and domain 2 as VLAN 20, `U` has domain 1 as
/// VLAN 30 and domain 3 as VLAN 10.
pub(crate) const T: PortId = PortId(13);
pub(crate) const U: PortId = PortId(14);
/// Uplinks, MTU 1500.
pub(crate) const UP: PortId = PortId(10);
pub(crate) const UP2: PortId = PortId(11);

pub(crate) const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(crate) const PEER2: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);

pub(crate) const LOCAL6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub(crate) const PEER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
pub(crate) const PEER6_2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3);

/// VXLAN, VNI 100: to `PEER` by `UP`, to `PEER2` by `UP2`; not flooded to: unresolved, without a route.
pub(crate) const VXLAN: RemoteId = RemoteId(0);
pub(crate) const VXLAN2: RemoteId = RemoteId(1);
pub(crate) const UNRESOLVED: RemoteId = RemoteId(4);
pub(crate) const ROUTELESS: RemoteId = RemoteId(5);
/// GRE with key 200, and without key, both to `PEER`.
pub(crate) const GRE_KEY: RemoteId = RemoteId(2);
pub(crate) const GRE: RemoteId = RemoteId(3);

/// VXLAN, VNI 500, which is over both families: to `PEER6`, to `PEER6_2` without checksums, to `PEER` with checksums.
pub(crate) const VXLAN6: RemoteId = RemoteId(6);
pub(crate) const VXLAN6_ZERO: RemoteId = RemoteId(7);
pub(crate) const VXLAN_SUMMED: RemoteId = RemoteId(8);
/// GRE with key 600, and without key, both to `PEER6`.
pub(crate) const GRE6_KEY: RemoteId = RemoteId(9);
pub(crate) const GRE6: RemoteId = RemoteId(10);

/// NVGRE of subnet 800, and GRE in UDP with key 900, both to `PEER`.
pub(crate) const NVGRE: RemoteId = RemoteId(11);
pub(crate) const GRE_UDP: RemoteId = RemoteId(12);

pub(crate) const UPLINK_MAC: Mac = Mac([2, 0, 0, 0, 0, 10]);
pub(crate) const NEXT_HOP: Mac = Mac([2, 0, 0, 0, 1, 1]);

/// A frame that left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Out {
    pub(crate) port: PortId,
    pub(crate) flow: u32,
    pub(crate) bytes: Vec<u8>,
}

/// A switch and everything it needs.
pub(crate) struct Switch {
    pub(crate) parts: TablesParts,
    pub(crate) link: Memory,
    pub(crate) counters: Arc<Counters>,
    pub(crate) now: Now,
    tables: Tables,
    pipeline: Pipeline,
}

impl Switch {
    /// The topology that the constants above describe.
    pub(crate) fn new() -> Self {
        Self::of(topology())
    }

    /// Any topology.
    pub(crate) fn of(parts: TablesParts) -> Self {
        Self::with_link(parts, 512, 2048)
    }

    /// Any topology, with this much frame memory; frames begin 256 bytes into it.
    pub(crate) fn with_link(parts: TablesParts, chunks: usize, chunk_size: u16) -> Self {
        let counters = Arc::new(Counters::new());
        let link = Memory::new(chunks, chunk_size, 256.min(chunk_size / 4), Arc::clone(&counters));
        let tables = Tables::build(parts.clone()).expect("consistent tables");
        let now = Now { nanoseconds: 1_000_000_000_000 };
        Self { parts, link, counters, now, tables, pipeline: Pipeline::new() }
    }

    /// Publishes tables made from changed parts.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut TablesParts)) {
        change(&mut self.parts);
        self.parts.version += 1;
        self.tables = Tables::build(self.parts.clone()).expect("consistent tables");
    }

    /// Receives frames, 64 at most in a batch, and returns what left.
    pub(crate) fn receive(&mut self, ingress: PortId, frames: &[Vec<u8>]) -> Vec<Out> {
        let mut out = Vec::new();
        for frames in frames.chunks(BATCH) {
            let mut batch = ArrayVec::new();
            for frame in frames {
                batch.push(self.link.receive(frame).expect("a free chunk with room"));
            }
            self.pipeline.run(&mut self.link, &self.tables, &self.counters, self.now, ingress, &mut batch);
            assert!(batch.is_empty());
            assert_eq!(self.link.free() + self.link.waiting(), self.link.total(), "a chunk is lost");
            assert_eq!(self.sum().balance(), 0, "rx + copies = tx + drops: {:?}", self.sum());
            while let Some(sent) = self.link.next_sent() {
                out.push(Out { port: sent.port, flow: sent.flow, bytes: sent.chunk.bytes().to_vec() });
                self.link.release(sent.chunk);
            }
        }
        out
    }

    /// As [`Switch::receive`] for one frame.
    pub(crate) fn receive_one(&mut self, ingress: PortId, frame: &[u8]) -> Vec<Out> {
        self.receive(ingress, &[frame.to_vec()])
    }

    /// All ports' counts.
    pub(crate) fn sum(&self) -> PortCounts {
        let mut sum = PortCounts::default();
        for port in self.tables.ports() {
            sum += &self.counters.port(port.id);
        }
        // A port that is not in the tables counts too.
        sum += &self.counters.port(PortId(999));
        sum
    }

    /// Every reason that was counted, and how often.
    pub(crate) fn drops(&self) -> Vec<(DropReason, u64)> {
        let sum = self.sum();
        let count = |reason: &DropReason| (*reason, sum.drops_for(*reason));
        DropReason::ALL.iter().map(count).filter(|(_, frames)| *frames != 0).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.link.next_event()).collect()
    }

    /// Enters a static entry.
    pub(crate) fn bind(&self, domain: DomainId, mac: Mac, place: Place) {
        self.enter(domain, mac, place, Kind::Static);
    }

    pub(crate) fn enter(&self, domain: DomainId, mac: Mac, place: Place, kind: Kind) {
        let key = Key::new(domain, mac);
        self.tables.fdb().set(key, place, kind, self.now.seconds()).expect("room in the database");
    }

    /// Where the database says that an address is.
    pub(crate) fn place_of(&self, domain: DomainId, mac: Mac) -> Option<Place> {
        let key = Key::new(domain, mac);
        let fdb = self.tables.fdb();
        fdb.lookup(&fdb.probe(key)).map(|entry| entry.place)
    }

    /// Makes these the neighbours.
    pub(crate) fn neighbours<A: Copy + Into<IpAddr>>(&mut self, neighbours: &[(DomainId, A, Mac, bool)]) {
        let flags = NeighbourFlags::default();
        let entries = neighbours
            .iter()
            .map(|(domain, address, mac, fixed)| {
                (*domain, (*address).into(), Neighbour { mac: *mac, flags, fixed: *fixed })
            })
            .collect::<Neighbours>();
        self.change(|parts| parts.neighbours = Arc::new(entries));
    }
}

pub(crate) fn port(id: PortId, role: Role, mtu: u16) -> Port {
    let [high, low] = id.0.to_be_bytes();
    Port {
        id,
        role,
        mac: Mac([2, 0, 0, 0, high, low]),
        mtu,
        flooding: Flooding::default(),
        isolated: false,
        storm_limit: StormLimit::NONE,
    }
}

pub(crate) fn vni(number: u32) -> Vni {
    Vni::new(number).expect("below 2^24")
}

pub(crate) fn domain(
    id: u16,
    number: u32,
    encapsulation: Encapsulation,
    ports: &[PortId],
    remotes: &[RemoteId],
) -> Domain {
    Domain {
        id: DomainId(id),
        vni: vni(number),
        learning: true,
        arp_proxy: true,
        nd_proxy: true,
        ageing: 300,
        flooding: Flooding::default(),
        snooping: None,
        mcast_group: None,
        ports: ports.to_vec(),
        remotes: remotes.to_vec(),
        locals: vec![IpAddr::V4(LOCAL)],
        encapsulation,
        further_ports: Vec::new(),
        inner_tags: InnerTags::default(),
        mss_clamp: MssClamp::Off,
    }
}

pub(crate) fn remote(
    id: RemoteId,
    domain: u16,
    encapsulation: Encapsulation,
    address: Ipv4Addr,
    path: Path,
) -> Remote {
    Remote {
        id,
        domain: DomainId(domain),
        encapsulation,
        local: IpAddr::V4(LOCAL),
        address: IpAddr::V4(address),
        marking: Marking::default(),
        udp_checksum: false,
        options: TunnelOptions::default(),
        path,
        storm_limit: StormLimit::NONE,
    }
}

/// A remote over IPv6, with UDP checksums.
fn remote6(id: RemoteId, domain: u16, encapsulation: Encapsulation, address: Ipv6Addr) -> Remote {
    let (local, address, udp_checksum) = (IpAddr::V6(LOCAL6), IpAddr::V6(address), true);
    Remote { local, address, udp_checksum, ..remote(id, domain, encapsulation, PEER, resolved(UP)) }
}

pub(crate) fn resolved(uplink: PortId) -> Path {
    Path::Resolved { uplink, source: UPLINK_MAC, next_hop: NEXT_HOP, mtu: u16::MAX }
}

pub(crate) fn topology() -> TablesParts {
    let vxlan = Encapsulation::Vxlan { vni: vni(100), port: 4789 };
    let (keyed, keyless) = (Encapsulation::Gre { key: Some(200) }, Encapsulation::Gre { key: None });
    let lonely = Encapsulation::Vxlan { vni: vni(400), port: 8472 };
    let access = |id| Role::Access(DomainId(id));
    let over_ipv6 = |domain: Domain, locals: &[IpAddr]| Domain { locals: locals.to_vec(), ..domain };
    let (mixed, keyed6) =
        (Encapsulation::Vxlan { vni: vni(500), port: 4789 }, Encapsulation::Gre { key: Some(600) });
    let nvgre = Encapsulation::Nvgre { subnet: vni(800) };
    let in_udp = Encapsulation::GreInUdp { key: Some(900), port: 4754 };
    TablesParts {
        protection: forward::protection::Protection::default(),
        version: 1,
        ports: vec![
            port(UP, Role::Uplink, 1500),
            port(UP2, Role::Uplink, 1500),
            port(A, access(1), 1500),
            port(B, access(1), 1500),
            port(SMALL, access(1), 576),
            port(C, access(2), 1500),
            port(D, access(3), 1500),
            port(E, access(5), 1500),
            port(F, access(6), 1500),
            port(G, access(7), 1500),
            port(H, access(8), 1500),
            port(I, access(9), 1500),
        ],
        trunks: BTreeMap::new(),
        domains: vec![
            domain(1, 100, vxlan, &[A, B, SMALL], &[VXLAN, VXLAN2]),
            domain(2, 200, keyed, &[C], &[GRE_KEY]),
            domain(3, 300, keyless, &[D], &[GRE]),
            domain(4, 400, lonely, &[], &[]),
            over_ipv6(
                domain(5, 500, mixed, &[E], &[VXLAN6, VXLAN6_ZERO, VXLAN_SUMMED]),
                &[LOCAL.into(), LOCAL6.into()],
            ),
            over_ipv6(domain(6, 600, keyed6, &[F], &[GRE6_KEY]), &[LOCAL6.into()]),
            over_ipv6(domain(7, 700, keyless, &[G], &[GRE6]), &[LOCAL6.into()]),
            domain(8, 800, nvgre, &[H], &[NVGRE]),
            domain(9, 900, in_udp, &[I], &[GRE_UDP]),
        ],
        remotes: vec![
            remote(VXLAN, 1, vxlan, PEER, resolved(UP)),
            remote(VXLAN2, 1, vxlan, PEER2, resolved(UP2)),
            remote(GRE_KEY, 2, keyed, PEER, resolved(UP)),
            remote(GRE, 3, keyless, PEER, resolved(UP)),
            remote(UNRESOLVED, 1, vxlan, Ipv4Addr::new(192, 0, 2, 4), Path::Unresolved),
            remote(ROUTELESS, 1, vxlan, Ipv4Addr::new(192, 0, 2, 5), Path::NoRoute),
            remote6(VXLAN6, 5, mixed, PEER6),
            Remote { udp_checksum: false, ..remote6(VXLAN6_ZERO, 5, mixed, PEER6_2) },
            Remote { udp_checksum: true, ..remote(VXLAN_SUMMED, 5, mixed, PEER, resolved(UP)) },
            remote6(GRE6_KEY, 6, keyed6, PEER6),
            remote6(GRE6, 7, keyless, PEER6),
            remote(NVGRE, 8, nvgre, PEER, resolved(UP)),
            remote(GRE_UDP, 9, in_udp, PEER, resolved(UP)),
        ],
        groups: Vec::new(),
        neighbours: Arc::default(),
        fdb: Arc::new(Fdb::new(1024, [1, 2])),
    }
}

pub(crate) fn vlan(number: u16) -> Vlan {
    Vlan::new(number).expect("1 to 4094")
}

/// A topology with `T` and `U` in it; `T` has this native VLAN, `U` has none.
pub(crate) fn with_trunks(mut parts: TablesParts, native: Option<u16>) -> TablesParts {
    for (id, vlans, native) in [(T, [(10, 1), (20, 2)], native), (U, [(30, 1), (10, 3)], None)] {
        parts.ports.push(port(id, Role::Trunk, 1500));
        for (_, domain) in vlans {
            parts.domains[usize::from(domain) - 1].ports.push(id);
        }
        let vlans = vlans.map(|(number, domain)| (vlan(number), DomainId(domain)));
        parts.trunks.insert(id, Trunk { vlans: vlans.into(), native: native.map(vlan) });
    }
    parts
}
