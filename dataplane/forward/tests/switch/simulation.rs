//! Several switches on an underlay that loses, reorders and duplicates packets, with workloads that move and tables that
//! change. Every run has a seed; a failing one prints it, and `FORWARD_SEED` runs it again.
//!
//! Always: a frame comes out only at ports of its own VNI and never where it went in; chunks are conserved and counters
//! add up (the fixture). In the end, once the underlay behaves: every workload reaches every other of its VNI, once.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use forward::fdb::Fdb;
use forward::ids::{DomainId, PortId, RemoteId};
use forward::link::Event;
use forward::tables::{Encapsulation, Path, Role, TablesParts};
use wire::Mac;

use crate::fixture::{NEXT_HOP, Out, Switch, UP, UPLINK_MAC, domain, port, remote, vni};
use crate::frames::{self, Wrapping};

const SWITCHES: usize = 4;
const DOMAINS: u16 = 3;
/// Access ports of each domain on each switch.
const PORTS: u16 = 2;
/// Workloads of each domain.
const WORKLOADS: usize = 5;
const STEPS: usize = 3000;
const RUNS: u64 = 12;

#[test]
fn an_overlay_survives_a_bad_underlay() {
    if let Ok(seed) = std::env::var("FORWARD_SEED") {
        return run(seed.parse().expect("FORWARD_SEED is a number"));
    }
    let first = RandomState::new().hash_one("seed");
    for number in 0..RUNS {
        run(first.wrapping_add(number));
    }
}

fn run(seed: u64) {
    println!("FORWARD_SEED={seed}");
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.settle();
    world.everybody_reaches_everybody();
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }
}

/// A place to plug a workload in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Socket {
    switch: usize,
    port: PortId,
}

#[derive(Clone, Copy, Debug)]
struct Workload {
    domain: u16,
    mac: Mac,
    address: Ipv4Addr,
    socket: Socket,
}

struct World {
    random: Random,
    switches: Vec<Switch>,
    neighbours: Vec<BTreeMap<(DomainId, Ipv4Addr), Mac>>,
    workloads: Vec<Workload>,
    /// Packets on the underlay.
    flying: Vec<Vec<u8>>,
    /// Frames that reached a workload's socket since somebody last looked: serial number and socket.
    arrived: Vec<(u32, Socket)>,
    /// Where each frame went in, by serial number.
    sent: HashMap<u32, (u16, Socket)>,
}

fn address(switch: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 1 + switch as u8)
}

fn access(domain: u16, index: u16) -> PortId {
    PortId(100 * domain + index)
}

fn encapsulation(domain: u16) -> Encapsulation {
    match domain {
        1 => Encapsulation::Gre { key: Some(u32::from(domain)) },
        _ => Encapsulation::Vxlan { vni: vni(u32::from(domain)), port: 4789 },
    }
}

/// The remote of a domain that is on another switch.
fn remote_id(domain: u16, switch: usize) -> RemoteId {
    RemoteId(u32::from(domain) * 100 + switch as u32)
}

fn path() -> Path {
    Path::Resolved { uplink: UP, source: UPLINK_MAC, next_hop: NEXT_HOP, mtu: u16::MAX }
}

fn topology(own: usize, seed: u64) -> TablesParts {
    let mut parts = TablesParts {
        protection: forward::protection::Protection::default(),
        version: 1,
        ports: vec![port(UP, Role::Uplink, 1500)],
        trunks: BTreeMap::new(),
        domains: Vec::new(),
        remotes: Vec::new(),
        groups: Vec::new(),
        neighbours: Arc::default(),
        fdb: Arc::new(Fdb::new(256, [seed, own as u64])),
    };
    for number in 1..=DOMAINS {
        let ports: Vec<_> = (0..PORTS).map(|index| access(number, index)).collect();
        parts.ports.extend(ports.iter().map(|id| port(*id, Role::Access(DomainId(number)), 1500)));
        let others: Vec<_> = (0..SWITCHES).filter(|switch| *switch != own).collect();
        for switch in &others {
            let id = remote_id(number, *switch);
            let remote = remote(id, number, encapsulation(number), address(*switch), path());
            let local = IpAddr::V4(address(own));
            parts.remotes.push(forward::tables::Remote { local, ..remote });
        }
        let flooded: Vec<_> = others.iter().map(|switch| remote_id(number, *switch)).collect();
        let row = domain(number, number.into(), encapsulation(number), &ports, &flooded);
        parts.domains.push(forward::tables::Domain { locals: vec![IpAddr::V4(address(own))], ..row });
    }
    parts
}

impl World {
    fn new(seed: u64) -> Self {
        let switches: Vec<_> = (0..SWITCHES)
            .map(|own| {
                // Little memory on one of them: copies run out.
                let chunks = if own == 0 { 3 } else { 64 };
                Switch::with_link(topology(own, seed), chunks, 2048)
            })
            .collect();
        let mut workloads = Vec::new();
        for domain in 1..=DOMAINS {
            for index in 0..WORKLOADS {
                let socket =
                    Socket { switch: index % SWITCHES, port: access(domain, (index / SWITCHES) as u16) };
                let mac = Mac([2, 0, 0, 5, domain as u8, index as u8]);
                let address = Ipv4Addr::new(10, 0, domain as u8, 1 + index as u8);
                workloads.push(Workload { domain, mac, address, socket });
            }
        }
        Self {
            random: Random(seed),
            switches,
            neighbours: vec![BTreeMap::new(); SWITCHES],
            workloads,
            flying: Vec::new(),
            arrived: Vec::new(),
            sent: HashMap::new(),
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..45 => self.somebody_speaks(),
            45..85 => self.underlay_moves(),
            85..90 => self.somebody_moves(),
            90..96 => self.tables_change(),
            _ => self.time_passes(),
        }
    }

    fn somebody_speaks(&mut self) {
        let speaker = self.workloads[self.random.below(self.workloads.len())];
        let peers: Vec<_> =
            self.workloads.iter().filter(|other| other.domain == speaker.domain).copied().collect();
        let listener = peers[self.random.below(peers.len())];
        match self.random.below(4) {
            0 => {
                self.say(speaker, Mac::BROADCAST);
            }
            1 => self.ask(speaker, listener.address),
            _ => {
                self.say(speaker, listener.mac);
            }
        }
    }

    /// Sends a frame with a serial number, and returns that.
    fn say(&mut self, speaker: Workload, destination: Mac) -> u32 {
        let serial = self.sent.len() as u32;
        self.sent.insert(serial, (speaker.domain, speaker.socket));
        let frame = frames::edit(&frames::opaque(speaker.mac, destination, 50), |frame| {
            frame[14..18].copy_from_slice(&serial.to_be_bytes());
        });
        self.put_in(speaker.socket, &frame);
        serial
    }

    fn ask(&mut self, speaker: Workload, target: Ipv4Addr) {
        let sender = (speaker.mac, speaker.address);
        let request = frames::arp(1, Mac::BROADCAST, sender, (Mac::ZERO, target));
        self.put_in(speaker.socket, &request);
    }

    fn put_in(&mut self, socket: Socket, frame: &[u8]) {
        let out = self.switches[socket.switch].receive_one(socket.port, frame);
        self.take_out(socket.switch, Some(socket.port), out);
    }

    /// Looks at what left a switch: packets fly on, frames arrive.
    fn take_out(&mut self, switch: usize, ingress: Option<PortId>, out: Vec<Out>) {
        for Out { port, bytes, .. } in out {
            if port == UP {
                assert!(ingress.is_some(), "overlay to overlay");
                self.flying.push(bytes);
                continue;
            }
            let is_arp = bytes[12..14] == [8, 6];
            assert!(ingress != Some(port) || (is_arp && bytes[21] == 2), "back to where it came from");
            let domain = port.0 / 100;
            assert_eq!(u16::from(bytes[10]), domain, "a source of another VNI");
            if is_arp {
                continue;
            }
            let serial = u32::from_be_bytes([bytes[14], bytes[15], bytes[16], bytes[17]]);
            let (sent_in, socket) = self.sent[&serial];
            assert_eq!(sent_in, domain, "a frame of another VNI");
            let here = Socket { switch, port };
            assert_ne!(here, socket, "back to where it went in");
            self.arrived.push((serial, here));
        }
    }

    /// One packet, any of them, arrives; or is lost; or arrives and flies on.
    fn underlay_moves(&mut self) {
        if self.flying.is_empty() {
            return;
        }
        let index = self.random.below(self.flying.len());
        let packet = self.flying.swap_remove(index);
        if self.random.percent(10) {
            return;
        }
        if self.random.percent(10) {
            self.flying.push(packet.clone());
        }
        self.land(&packet);
    }

    fn land(&mut self, packet: &[u8]) {
        let switch = usize::from(packet[33]) - 1;
        // The next hop's Ethernet header is of no interest to the receiver.
        let out = self.switches[switch].receive_one(UP, packet);
        self.take_out(switch, None, out);
    }

    fn somebody_moves(&mut self) {
        let index = self.random.below(self.workloads.len());
        let domain = self.workloads[index].domain;
        let port = access(domain, self.random.below(usize::from(PORTS)) as u16);
        self.workloads[index].socket = Socket { switch: self.random.below(SWITCHES), port };
        self.announce(self.workloads[index]);
    }

    /// Gratuitous ARP.
    fn announce(&mut self, workload: Workload) {
        let own = (workload.mac, workload.address);
        self.put_in(workload.socket, &frames::arp(1, Mac::BROADCAST, own, own));
    }

    fn tables_change(&mut self) {
        let own = self.random.below(SWITCHES);
        let (which, how) = (self.random.below(64), self.random.below(5));
        self.switches[own].change(|parts| {
            let remotes = parts.remotes.len();
            let row = &mut parts.remotes[which % remotes];
            let id = row.id;
            match how {
                0 => row.path = Path::Unresolved,
                1 => row.path = Path::NoRoute,
                2 => row.path = path(),
                _ => {
                    let domain =
                        parts.domains.iter_mut().find(|domain| domain.id == row.domain).expect("its domain");
                    match domain.remotes.iter().position(|remote| *remote == id) {
                        Some(position) => {
                            domain.remotes.remove(position);
                        }
                        None => domain.remotes.push(id),
                    }
                }
            }
        });
        self.hear(own);
    }

    /// Control takes up what the workers saw.
    fn hear(&mut self, own: usize) {
        let neighbours = &mut self.neighbours[own];
        for event in self.switches[own].events() {
            if let Event::NeighbourSeen { domain, address: IpAddr::V4(address), mac, .. } = event {
                neighbours.insert((domain, address), mac);
            }
        }
        let entries: Vec<_> =
            neighbours.iter().map(|((domain, address), mac)| (*domain, *address, *mac, false)).collect();
        self.switches[own].neighbours(&entries);
    }

    fn time_passes(&mut self) {
        let own = self.random.below(SWITCHES);
        let switch = &mut self.switches[own];
        switch.now.nanoseconds += self.random.next() % 200_000_000_000;
        let now = switch.now.seconds();
        switch.parts.fdb.age(now, |_| 300);
        self.hear(own);
    }

    /// The underlay behaves from here on, all paths are back, and everybody announces himself.
    fn settle(&mut self) {
        self.flying.clear();
        for own in 0..SWITCHES {
            let fresh = topology(own, 0);
            let switch = &mut self.switches[own];
            switch.change(|parts| (parts.remotes, parts.domains) = (fresh.remotes, fresh.domains));
            // Enough memory for every copy.
            if switch.link.total() < 64 {
                let parts = switch.parts.clone();
                let now = switch.now;
                *switch = Switch::with_link(parts, 64, 2048);
                switch.now = now;
            }
        }
        for workload in self.workloads.clone() {
            self.announce(workload);
            self.land_all();
        }
    }

    fn land_all(&mut self) {
        while let Some(packet) = self.flying.pop() {
            self.land(&packet);
        }
    }

    fn everybody_reaches_everybody(&mut self) {
        for speaker in self.workloads.clone() {
            for listener in self.workloads.clone() {
                let is_pair = speaker.domain == listener.domain && speaker.mac != listener.mac;
                if !is_pair || speaker.socket == listener.socket {
                    continue;
                }
                self.arrived.clear();
                let serial = self.say(speaker, listener.mac);
                assert!(self.flying.len() <= 1, "known unicast reaches exactly one");
                for packet in &self.flying {
                    let tunnelled = frames_to(packet);
                    assert_eq!(tunnelled, u32::from(speaker.domain));
                }
                self.land_all();
                assert_eq!(self.arrived, [(serial, listener.socket)], "{speaker:?} to {listener:?}");
            }
        }
    }
}

/// The VNI or key of a packet on the underlay.
fn frames_to(packet: &[u8]) -> u32 {
    // The reader checks a sender's address that is the fixture's; ours differ.
    let packet = frames::edit_ip(packet, |ip| ip[12..16].copy_from_slice(&crate::fixture::LOCAL.octets()));
    match frames::unwrap(&packet).wrapping {
        Wrapping::Vxlan { vni, .. } => vni,
        Wrapping::Gre { key } => key.expect("a key"),
    }
}
