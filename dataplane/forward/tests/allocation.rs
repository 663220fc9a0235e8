//! Once made, the pipeline allocates nothing, whatever comes in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use arrayvec::ArrayVec;
use forward::counters::Counters;
use forward::fdb::{Fdb, Key, Kind};
use forward::flood::{Flooding, StormLimit};
use forward::ids::{DomainId, PortId, RemoteId};
use forward::limits::BATCH;
use forward::link::{Link, Now, Place};
use forward::marking::Marking;
use forward::memory::Memory;
use forward::pipeline::Pipeline;
use forward::tables::{
    Domain, Encapsulation, InnerTags, MssClamp, Neighbour, NeighbourFlags, Path, Port, Remote, Role, Tables,
    TablesParts, Trunk, TunnelOptions,
};
use wire::{Mac, Vlan, Vni};

const DOMAIN: DomainId = DomainId(1);
const ACCESS: [PortId; 2] = [PortId(1), PortId(2)];
const TRUNK: PortId = PortId(3);
const UPLINK: PortId = PortId(0);
const HERE: Mac = Mac([2, 0, 0, 0, 0, 1]);
const THERE: Mac = Mac([2, 0, 0, 0, 0, 2]);
const LOCAL: [u8; 4] = [192, 0, 2, 1];
const PEER: [u8; 4] = [192, 0, 2, 2];

fn tables() -> Tables {
    let encapsulation = Encapsulation::Vxlan { vni: Vni::new(7).expect("a VNI"), port: 4789 };
    let port = |id: PortId, role| Port {
        id,
        role,
        mac: Mac([2, 1, 0, 0, 0, id.0 as u8]),
        mtu: 1500,
        flooding: Flooding::default(),
        isolated: false,
        storm_limit: StormLimit::NONE,
    };
    let path = Path::Resolved { uplink: UPLINK, source: HERE, next_hop: THERE, mtu: u16::MAX };
    let remote = |id, address: [u8; 4], path| Remote {
        id: RemoteId(id),
        domain: DOMAIN,
        encapsulation,
        local: IpAddr::from(LOCAL),
        address: IpAddr::from(address),
        marking: Marking::default(),
        udp_checksum: false,
        storm_limit: StormLimit::NONE,
        options: TunnelOptions::default(),
        path,
    };
    let domain = Domain {
        id: DOMAIN,
        vni: Vni::new(7).expect("a VNI"),
        learning: true,
        arp_proxy: true,
        nd_proxy: true,
        ageing: 300,
        flooding: Flooding::default(),
        snooping: None,
        mcast_group: None,
        ports: vec![ACCESS[0], ACCESS[1], TRUNK],
        remotes: vec![RemoteId(0), RemoteId(1)],
        locals: vec![IpAddr::from(LOCAL)],
        encapsulation,
        further_ports: Vec::new(),
        inner_tags: InnerTags::default(),
        mss_clamp: MssClamp::Path,
    };
    let neighbour = (
        DOMAIN,
        IpAddr::from([10, 0, 0, 2]),
        Neighbour { mac: THERE, flags: NeighbourFlags::default(), fixed: false },
    );
    let fdb = Fdb::new(64, [5, 6]);
    fdb.set(Key::new(DOMAIN, THERE), Place::Remote(RemoteId(0)), Kind::Static, 0).expect("room");
    let parts = TablesParts {
        protection: forward::protection::Protection::default(),
        version: 1,
        ports: vec![
            port(UPLINK, Role::Uplink),
            port(ACCESS[0], Role::Access(DOMAIN)),
            port(ACCESS[1], Role::Access(DOMAIN)),
            port(TRUNK, Role::Trunk),
        ],
        trunks: BTreeMap::from([(TRUNK, Trunk { vlans: [(Vlan::MIN, DOMAIN)].into(), native: None })]),
        domains: vec![domain],
        remotes: vec![remote(0, PEER, path), remote(1, [192, 0, 2, 3], Path::Unresolved)],
        groups: Vec::new(),
        neighbours: Arc::new([neighbour].into_iter().collect()),
        fdb: Arc::new(fdb),
    };
    Tables::build(parts).expect("consistent tables")
}

/// Broadcast, unicast, ARP to answer, ARP with news, sources beyond the database's room, garbage; from both sides.
fn frames() -> Vec<(PortId, Vec<u8>)> {
    let plain =
        |source: Mac, destination: Mac| [&destination.0[..], &source.0, &[0x88, 0xb5], &[0; 46]].concat();
    let ask = |target: u8| {
        let request = [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
        let (sender, target) = ([10, 0, 0, 1], [10, 0, 0, target]);
        [&[0xff; 6], &HERE.0[..], &request, &HERE.0, &sender, &[0; 6], &target].concat()
    };
    let mut frames = vec![
        (ACCESS[0], plain(HERE, Mac::BROADCAST)),
        (ACCESS[0], plain(HERE, THERE)),
        (ACCESS[1], plain(HERE, THERE)),
        (ACCESS[0], ask(2)),
        (ACCESS[0], ask(3)),
        (TRUNK, [&[0xff; 6], &HERE.0[..], &[0x81, 0, 0, 1], &ask(2)[12..]].concat()),
        (TRUNK, plain(HERE, THERE)),
        (ACCESS[0], vec![0; 9]),
        (UPLINK, vec![0xee; 60]),
        (UPLINK, Vec::new()),
        (PortId(600), plain(HERE, THERE)),
    ];
    frames.extend((0..200).map(|index| (ACCESS[0], plain(Mac([2, 7, 0, 0, 0, index]), THERE))));
    frames
}

#[test]
fn the_pipeline_allocates_nothing() {
    let tables = tables();
    let counters = Arc::new(Counters::new());
    let mut link = Memory::new(256, 2048, 128, Arc::clone(&counters));
    let mut pipeline = Pipeline::new();
    let mut batch: ArrayVec<_, BATCH> = ArrayVec::new();
    let frames = frames();
    let mut sent = 0;
    let info = allocation_counter::measure(|| {
        for round in 0..50 {
            let now = Now { nanoseconds: round * 300_000_000 };
            for (ingress, frame) in &frames {
                batch.extend(link.receive(frame));
                batch.extend(link.receive(frame));
                pipeline.run(&mut link, &tables, &counters, now, *ingress, &mut batch);
                while let Some(out) = link.next_sent() {
                    // What was encapsulated comes back as if a peer had sent it.
                    sent += 1;
                    link.release(out.chunk);
                }
            }
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
    assert!(sent > 10_000);
    assert_eq!(link.free(), link.total());
    assert!(std::iter::from_fn(|| link.next_event()).count() > 10);
}

#[test]
fn decapsulation_allocates_nothing() {
    let tables = tables();
    let counters = Arc::new(Counters::new());
    let mut link = Memory::new(256, 2048, 128, Arc::clone(&counters));
    let mut pipeline = Pipeline::new();
    let inner = [&[0xff; 6][..], &THERE.0, &[0x88, 0xb5], &[0; 46]].concat();
    let datagram = [&[0xc0, 0, 0x12, 0xb5, 0, 76, 0, 0, 8, 0, 0, 0, 0, 0, 7, 0], &inner[..]].concat();
    let mut packet = [&[0x45, 0, 0, 96, 0, 0, 0x40, 0, 64, 17, 0, 0], &PEER[..], &LOCAL].concat();
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    packet[10..12].copy_from_slice(&(!((sum >> 16) + (sum & 0xffff)) as u16).to_be_bytes());
    let frame = [&[2; 12][..], &[8, 0], &packet, &datagram].concat();
    let mut batch: ArrayVec<_, BATCH> = ArrayVec::new();
    let mut sent = 0;
    let info = allocation_counter::measure(|| {
        for _ in 0..100 {
            batch.extend((0..BATCH).filter_map(|_| link.receive(&frame)));
            pipeline.run(&mut link, &tables, &counters, Now::default(), UPLINK, &mut batch);
            while let Some(out) = link.next_sent() {
                sent += 1;
                link.release(out.chunk);
            }
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
    assert_eq!(sent, 100 * BATCH * (ACCESS.len() + 1));
}
