//! What holds for all frames and all tables, against a model of a few lines.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use forward::fdb::Fdb;
use forward::ids::{DomainId, PortId, RemoteId};
use forward::link::Place;
use forward::tables::{Encapsulation, Path, Role, TablesParts};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::Mac;

use crate::fixture::*;
use crate::frames::*;

/// A frame from W1 to W9 of any kind and content.
pub(crate) fn frame() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |most| vec(any::<u8>(), 0..most);
    prop_oneof![
        (any::<(u16, u16)>(), bytes(1400)).prop_map(|(ports, payload)| udp_ports(W1, W9, ports, &payload)),
        bytes(1300).prop_map(|payload| tcp(W1, W9, &payload)),
        bytes(1300).prop_map(|payload| tcp6(W1, W9, &payload)),
        (0_usize..1300).prop_map(|payload| tagged(W1, W9, payload)),
        bytes(1400).prop_map(|rest| [&W9.0[..], &W1.0, &[8, 0], &rest].concat()),
        bytes(1400).prop_map(|rest| [&W9.0[..], &W1.0, &[0x81, 0, 0, 7, 0x86, 0xdd], &rest].concat()),
        (any::<[u8; 2]>(), bytes(1400)).prop_map(|(kind, rest)| [&W9.0[..], &W1.0, &kind, &rest].concat()),
    ]
}

/// The peer's view of the fixture's topology: its addresses the other way round.
fn mirrored() -> TablesParts {
    let mut parts = Switch::new().parts;
    for remote in &mut parts.remotes {
        if remote.address == PEER || remote.address == PEER6 {
            (remote.local, remote.address) = (remote.address, remote.local);
        }
    }
    parts.remotes.retain(|remote| remote.local == PEER || remote.local == PEER6);
    for domain in &mut parts.domains {
        domain.locals = vec![PEER.into(), PEER6.into()];
        domain.remotes.retain(|remote| ![VXLAN2, VXLAN6_ZERO].contains(remote));
    }
    parts
}

proptest! {
    #[test]
    fn decapsulation_undoes_encapsulation(frame in frame()) {
        let ways = [
            (A, 1, VXLAN),
            (C, 2, GRE_KEY),
            (D, 3, GRE),
            (E, 5, VXLAN6),
            (E, 5, VXLAN_SUMMED),
            (F, 6, GRE6_KEY),
            (G, 7, GRE6),
        ];
        for (ingress, domain, remote) in ways {
            let (mut here, mut there) = (Switch::new(), Switch::of(mirrored()));
            here.bind(DomainId(domain), W9, Place::Remote(remote));
            there.bind(DomainId(domain), W9, Place::Port(ingress));
            let outer = here.receive_one(ingress, &frame);
            // A frame cut inside its tag is no frame.
            let Some(outer) = outer.first() else {
                prop_assert_eq!(here.drops().len(), 1);
                continue;
            };
            let summed = [VXLAN6, VXLAN_SUMMED].contains(&remote);
            prop_assert_eq!(unwrap(&outer.bytes).checksum != 0, summed);
            let inner = there.receive_one(UP, &outer.bytes);
            prop_assert_eq!(inner.len(), 1, "{:?}", there.drops());
            prop_assert_eq!(inner[0].port, ingress);
            prop_assert_eq!(inner[0].flow, outer.flow, "both ends see one flow");
            if inner[0].bytes != frame {
                // Chance made the checksum look as if it was left to the device.
                let mut completed = frame.clone();
                prop_assert!(wire::checksum::complete_partial(&mut completed));
                prop_assert_eq!(&inner[0].bytes, &completed);
            }
        }
    }

    #[test]
    fn forwarding_is_what_the_model_says(plan in plan(), steps in vec(step(), 1..60)) {
        let mut model = Model::new(plan);
        let mut switch = Switch::with_link(model.parts.clone(), 128, 2048);
        for step in steps {
            let Some((ingress, frame, expected)) = model.step(step) else { continue };
            let mut found: Vec<_> = switch.receive_one(ingress, &frame).iter().map(|out| model.read(out)).collect();
            found.sort();
            prop_assert_eq!(found, expected);
        }
    }
}

/// A domain: how many ports, its remotes' paths and whether they are flooded to, whether it learns.
#[derive(Clone, Debug)]
struct DomainPlan {
    ports: u16,
    remotes: Vec<(Path, bool)>,
    learning: bool,
    keyed_gre: bool,
}

fn plan() -> impl Strategy<Value = Vec<DomainPlan>> {
    let path = prop_oneof![
        3 => Just(resolved(UP)),
        2 => Just(resolved(UP2)),
        1 => Just(Path::Unresolved),
        1 => Just(Path::NoRoute),
    ];
    let domain =
        (0_u16..4, vec((path, prop::bool::weighted(0.8)), 0..4), prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(ports, remotes, learning, keyed_gre)| DomainPlan {
                ports,
                remotes,
                learning,
                keyed_gre,
            });
    vec(domain, 1..4)
}

/// A frame: from which of all places, from which MAC to which, all modulo what there is.
#[derive(Clone, Copy, Debug)]
struct Step {
    place: usize,
    source: u8,
    destination: u8,
}

fn step() -> impl Strategy<Value = Step> {
    (any::<usize>(), 0_u8..6, 0_u8..7).prop_map(|(place, source, destination)| Step {
        place,
        source,
        destination,
    })
}

/// Where a frame came out: a port, or an uplink and the peer's address with the domain that its header names.
type Receiver = (PortId, Option<(IpAddr, u16)>);

/// What a bridge does, in the plainest words.
struct Model {
    parts: TablesParts,
    places: Vec<(DomainId, Place)>,
    learned: HashMap<(DomainId, Mac), Place>,
}

fn peer(remote: RemoteId) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(198, 51, 100, 0).to_bits() + remote.0)
}

fn mac(number: u8) -> Mac {
    if number == 6 { Mac::BROADCAST } else { Mac([2, 0, 0, 9, 9, number]) }
}

impl Model {
    fn new(plan: Vec<DomainPlan>) -> Self {
        let mut parts = TablesParts {
            protection: forward::protection::Protection::default(),
            version: 1,
            ports: vec![port(UP, Role::Uplink, 1500), port(UP2, Role::Uplink, 1500)],
            trunks: BTreeMap::new(),
            domains: Vec::new(),
            remotes: Vec::new(),
            groups: Vec::new(),
            neighbours: Arc::default(),
            fdb: Arc::new(Fdb::new(1024, [3, 4])),
        };
        let mut places = Vec::new();
        for (number, plan) in (1_u16..).zip(plan) {
            let id = DomainId(number);
            let encapsulation = if plan.keyed_gre {
                Encapsulation::Gre { key: Some(number.into()) }
            } else {
                Encapsulation::Vxlan { vni: vni(number.into()), port: 4789 }
            };
            let ports: Vec<_> = (0..plan.ports).map(|port| PortId(100 + 10 * number + port)).collect();
            parts.ports.extend(ports.iter().map(|id| port(*id, Role::Access(DomainId(number)), 1500)));
            places.extend(ports.iter().map(|port| (id, Place::Port(*port))));
            let mut flooded = Vec::new();
            for (index, (path, flood)) in (0_u32..).zip(plan.remotes) {
                let remote_id = RemoteId(u32::from(number) * 10 + index);
                parts.remotes.push(remote(remote_id, number, encapsulation, peer(remote_id), path));
                places.push((id, Place::Remote(remote_id)));
                if flood {
                    flooded.push(remote_id);
                }
            }
            let domain = domain(number, number.into(), encapsulation, &ports, &flooded);
            parts.domains.push(forward::tables::Domain { learning: plan.learning, ..domain });
        }
        Self { parts, places, learned: HashMap::new() }
    }

    /// The ingress port, the frame, and who must get it.
    fn step(&mut self, step: Step) -> Option<(PortId, Vec<u8>, Vec<Receiver>)> {
        let (domain, from) = *self.places.get(step.place % self.places.len().max(1))?;
        let (source, destination) = (mac(step.source), mac(step.destination));
        let inner = opaque(source, destination, 60);
        let (ingress, frame) = match from {
            Place::Port(port) => (port, inner),
            Place::Group(_) => return None,
            Place::Remote(remote) => {
                let frame = match self.parts.domains[usize::from(domain.0) - 1].encapsulation {
                    Encapsulation::Vxlan { vni, .. } => vxlan_from(peer(remote), vni.value(), &inner),
                    Encapsulation::Nvgre { .. } | Encapsulation::GreInUdp { .. } => return None,
                    Encapsulation::Gre { key } => {
                        let key = key.expect("a key");
                        let upper = [&[0x20, 0, 0x65, 0x58], &key.to_be_bytes()[..], &inner].concat();
                        underlay(peer(remote), 47, &upper)
                    }
                };
                (UP, frame)
            }
        };
        let row = &self.parts.domains[usize::from(domain.0) - 1];
        if row.learning {
            self.learned.insert((domain, source), from);
        }
        let wanted: Vec<Place> = match self.learned.get(&(domain, destination)) {
            Some(place) => vec![*place],
            None => {
                let ports = row.ports.iter().map(|port| Place::Port(*port));
                ports.chain(row.remotes.iter().map(|remote| Place::Remote(*remote))).collect()
            }
        };
        let mut receivers: Vec<Receiver> = wanted
            .into_iter()
            .filter(|to| *to != from && !matches!((from, to), (Place::Remote(_), Place::Remote(_))))
            .filter_map(|to| match to {
                Place::Port(port) => Some((port, None)),
                Place::Group(_) => None,
                Place::Remote(id) => {
                    let remote = self.parts.remotes.iter().find(|remote| remote.id == id)?;
                    let Path::Resolved { uplink, .. } = remote.path else { return None };
                    Some((uplink, Some((peer(id).into(), domain.0))))
                }
            })
            .collect();
        receivers.sort();
        Some((ingress, frame, receivers))
    }

    fn read(&self, out: &Out) -> Receiver {
        if !matches!(out.port, UP | UP2) {
            return (out.port, None);
        }
        let tunnelled = unwrap(&out.bytes);
        let number = match tunnelled.wrapping {
            Wrapping::Vxlan { vni, .. } => vni,
            Wrapping::Gre { key } => key.expect("a key"),
        };
        (out.port, Some((tunnelled.peer, number as u16)))
    }
}
