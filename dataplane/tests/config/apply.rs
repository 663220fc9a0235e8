//! Single changes of the desired state: what each makes, what goes with it, and what is refused with which words.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::config::{
    Change, Config, EncapsulationConfig, FdbConfig, FdbDestination, GreKey, NeighbourConfig, PortConfig,
    PortRole, RemoteConfig, TunnelConfig, VniConfig,
};
use dataplane::plan::{NeedsRestart, RefusalKind, diff, restarts, validate};
use wire::{Mac, Vni};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn vni(value: u32) -> Vni {
    Vni::new(value).unwrap()
}

fn access(name: &str, value: u32) -> PortConfig {
    PortConfig::new(name, name, PortRole::Access { vni: vni(value) })
}

fn fdb(value: u32, destination: FdbDestination) -> FdbConfig {
    FdbConfig::new(vni(value), MAC, destination)
}

fn neighbour(value: u32) -> NeighbourConfig {
    NeighbourConfig::new(vni(value), HOST, MAC)
}

fn gre(value: u32, key: GreKey) -> VniConfig {
    VniConfig { encapsulation: EncapsulationConfig::Gre { key }, ..VniConfig::new(vni(value), LOCAL) }
}

fn set_vni(vni: VniConfig) -> Change {
    Change::SetVni { vni, replace: false }
}

fn set_remote(value: u32, address: IpAddr) -> Change {
    Change::SetRemote { remote: RemoteConfig::new(vni(value), address), replace: false }
}

fn set_fdb(value: u32, destination: FdbDestination) -> Change {
    Change::SetFdb { entry: fdb(value, destination), replace: false }
}

/// VNI 100 with an uplink, a workload, a remote, an entry and a neighbour.
fn settled() -> Config {
    let mut config = Config::default();
    let changes = [
        Change::AddPort(PortConfig::new("up", "up", PortRole::Uplink)),
        set_vni(VniConfig::new(vni(100), LOCAL)),
        Change::AddPort(access("w", 100)),
        set_remote(100, PEER),
        set_fdb(100, FdbDestination::Port("w".to_owned())),
        Change::SetNeighbour { neighbour: neighbour(100), replace: false },
    ];
    for change in &changes {
        config.apply(change).unwrap();
    }
    assert_eq!(validate(&config), []);
    config
}

/// Asserts that a change is refused, as what and with which words, and that nothing has changed.
#[track_caller]
fn refused(config: &Config, change: &Change, kind: RefusalKind, words: &str) {
    let mut after = config.clone();
    let refusal = after.apply(change).unwrap_err();
    assert_eq!((refusal.kind, refusal.to_string().as_str()), (kind, words));
    assert_eq!(after, *config, "a refused change changes nothing");
}

#[test]
fn what_exists_is_replaced_only_on_request() {
    let mut config = settled();
    let exists = RefusalKind::AlreadyExists;
    refused(
        &config,
        &Change::AddPort(access("w", 100)),
        exists,
        "port w exists already; remove it first, or choose another name",
    );
    refused(
        &config,
        &set_vni(VniConfig::new(vni(100), LOCAL)),
        exists,
        "VNI 100 exists already; use replace to change it",
    );
    refused(
        &config,
        &set_remote(100, PEER),
        exists,
        "remote 192.0.2.2 of VNI 100 exists already; use replace to change it",
    );
    refused(
        &config,
        &set_fdb(100, FdbDestination::Remote(PEER)),
        exists,
        "FDB entry 02:00:00:00:00:01 of VNI 100 exists already; use replace to change it",
    );
    refused(
        &config,
        &Change::SetNeighbour { neighbour: neighbour(100), replace: false },
        exists,
        "neighbour 10.0.0.1 of VNI 100 exists already; use replace to change it",
    );
    let entry = fdb(100, FdbDestination::Remote(PEER));
    config.apply(&Change::SetFdb { entry: entry.clone(), replace: true }).unwrap();
    assert_eq!(config.fdb.iter().collect::<Vec<_>>(), [&entry]);
    let slow = VniConfig { ageing: 3600, ..VniConfig::new(vni(100), LOCAL) };
    config.apply(&Change::SetVni { vni: slow.clone(), replace: true }).unwrap();
    assert_eq!(config.vnis.get(&vni(100)), Some(&slow));
}

#[test]
fn what_is_not_there_cannot_be_removed() {
    let config = Config::default();
    let removals = [
        (Change::RemovePort("w".to_owned()), "there is no port w; `vtep-ctl port show` tells what there is"),
        (Change::RemoveVni(vni(1)), "there is no VNI 1; `vtep-ctl vni show` tells what there is"),
        (
            Change::RemoveRemote { vni: vni(1), address: PEER },
            "there is no remote 192.0.2.2 of VNI 1; `vtep-ctl remote show` tells what there is",
        ),
        (
            Change::RemoveFdb { vni: vni(1), mac: MAC },
            "there is no FDB entry 02:00:00:00:00:01 of VNI 1; `vtep-ctl fdb show` tells what there is",
        ),
        (
            Change::RemoveNeighbour { vni: vni(1), address: HOST },
            "there is no neighbour 10.0.0.1 of VNI 1; `vtep-ctl neigh show` tells what there is",
        ),
    ];
    for (change, words) in &removals {
        refused(&config, change, RefusalKind::NotFound, words);
    }
}

#[test]
fn what_depends_on_a_vni_needs_it() {
    let config = settled();
    let words = "VNI 7 is not configured; configure VNI 7 first, or name one that is there: 100";
    for change in [
        Change::AddPort(access("x", 7)),
        set_remote(7, PEER),
        set_fdb(7, FdbDestination::Remote(PEER)),
        Change::SetNeighbour { neighbour: neighbour(7), replace: false },
    ] {
        refused(&config, &change, RefusalKind::NotFound, words);
    }
}

#[test]
fn a_vni_with_ports_stays() {
    let mut config = settled();
    let words =
        "VNI 100 has ports: w; remove its ports first, take it from its trunks, or put them into another VNI";
    refused(&config, &Change::RemoveVni(vni(100)), RefusalKind::InUse, words);
    for index in 0..7 {
        config.apply(&Change::AddPort(access(&format!("x{index}"), 100))).unwrap();
    }
    let words = "VNI 100 has ports: w, x0, x1, x2, x3 and 3 more; remove its ports first, take it from its trunks, or put them into another VNI";
    refused(&config, &Change::RemoveVni(vni(100)), RefusalKind::InUse, words);
}

#[test]
fn what_hangs_on_a_thing_goes_with_it() {
    let mut config = settled();
    config.apply(&Change::RemovePort("w".to_owned())).unwrap();
    assert!(config.fdb.is_empty(), "static entries go with their port");
    config.apply(&set_fdb(100, FdbDestination::Remote(PEER))).unwrap();
    config.apply(&Change::RemoveRemote { vni: vni(100), address: PEER }).unwrap();
    assert!(config.fdb.is_empty(), "static entries go with their remote");
    config.apply(&set_remote(100, PEER)).unwrap();
    config.apply(&set_vni(VniConfig::new(vni(101), LOCAL))).unwrap();
    config.apply(&set_remote(101, PEER)).unwrap();
    config.apply(&Change::RemoveVni(vni(100))).unwrap();
    assert_eq!(
        (config.remotes.len(), config.neighbours.len(), config.vnis.len()),
        (1, 0, 1),
        "the others stay"
    );
    assert_eq!(validate(&config), []);
}

#[test]
fn a_device_has_one_port() {
    let twin = PortConfig::new("x", "w", PortRole::Access { vni: vni(100) });
    let words = "device w of port x is taken by port w; use another device, or remove port w";
    refused(&settled(), &Change::AddPort(twin), RefusalKind::InUse, words);
}

#[test]
fn a_vni_does_not_take_over_another_s_tunnels() {
    let mut config = settled();
    config.apply(&set_vni(gre(1, GreKey::Vni))).unwrap();
    config.apply(&set_remote(1, PEER)).unwrap();
    config.apply(&set_vni(gre(2, GreKey::Number(1)))).unwrap();
    let words =
        "VNIs 1 and 2 both use GRE key 1 between 192.0.2.1 and 192.0.2.2; give one of them another key";
    refused(&config, &set_remote(2, PEER), RefusalKind::Invalid, words);
    config.apply(&Change::SetVni { vni: gre(2, GreKey::Vni), replace: true }).unwrap();
    config.apply(&set_remote(2, PEER)).unwrap();
    let back = Change::SetVni { vni: gre(2, GreKey::Number(1)), replace: true };
    refused(&config, &back, RefusalKind::Invalid, words);
    let moved = VniConfig { local: PEER.into(), ..gre(2, GreKey::Vni) };
    refused(
        &config,
        &Change::SetVni { vni: moved, replace: true },
        RefusalKind::Invalid,
        "remote 192.0.2.2 is the local address of VNI 2; remove it: a switch is no peer of its own",
    );
}

#[test]
fn tunnels_are_checked_again_when_their_ports_or_group_change() {
    let mut config = settled();
    let in_udp = |value, port, further: &[u16]| {
        let encapsulation = EncapsulationConfig::GreUdp { port, key: GreKey::Absent };
        let tunnel = TunnelConfig { further_ports: further.to_vec(), ..TunnelConfig::default() };
        VniConfig { encapsulation, tunnel, ..VniConfig::new(vni(value), LOCAL) }
    };
    config.apply(&set_vni(in_udp(1, 4754, &[4756]))).unwrap();
    config.apply(&set_remote(1, PEER)).unwrap();
    config.apply(&set_vni(in_udp(2, 4755, &[4756]))).unwrap();
    let words = "VNIs 1 and 2 both use one GRE key in UDP to port 4756 between 192.0.2.1 and 192.0.2.2; give one of them \
                 another key or UDP port";
    refused(&config, &set_remote(2, PEER), RefusalKind::Invalid, words);
    config.apply(&Change::SetVni { vni: in_udp(2, 4755, &[]), replace: true }).unwrap();
    config.apply(&set_remote(2, PEER)).unwrap();
    let back = Change::SetVni { vni: in_udp(2, 4755, &[4756]), replace: true };
    refused(&config, &back, RefusalKind::Invalid, words);

    let group = Some(IpAddr::from([239, 1, 1, 1]));
    let grouped = |value| VniConfig { mcast_group: group, ..gre(value, GreKey::Number(7)) };
    config.apply(&set_vni(grouped(3))).unwrap();
    let words =
        "VNIs 3 and 4 both use GRE key 7 between 192.0.2.1 and 239.1.1.1; give one of them another key";
    refused(&config, &set_vni(grouped(4)), RefusalKind::Invalid, words);
    config.apply(&set_vni(VniConfig { mcast_group: None, ..grouped(4) })).unwrap();
    let replaced = Change::SetVni { vni: grouped(4), replace: true };
    refused(&config, &replaced, RefusalKind::Invalid, words);
}

#[test]
fn a_port_that_the_memory_does_not_hold_is_refused() {
    let mut config = settled();
    config.umem.chunks = 256;
    // 192 chunks for rings: the two ports there are, and one more.
    config.apply(&Change::AddPort(access("x", 100))).unwrap();
    refused(
        &config,
        &Change::AddPort(access("y", 100)),
        RefusalKind::LimitReached,
        "4 queues need 64 chunks each, 256 in all; 192 of 256 chunks are for rings; set `umem.chunks` to 512 and \
         restart, or lower `queues` of the ports",
    );
}

#[test]
fn limits_hold() {
    let mut config = settled();
    config.umem.chunks = 1 << 20;
    for index in config.ports.len()..1024 {
        config.apply(&Change::AddPort(access(&format!("p{index}"), 100))).unwrap();
    }
    refused(
        &config,
        &Change::AddPort(access("more", 100)),
        RefusalKind::LimitReached,
        "1025 ports are configured, 1024 are possible; remove some, or run a second daemon in another network namespace",
    );
    for value in 1..=4094 {
        config.vnis.insert(VniConfig::new(vni(value + 100), LOCAL));
    }
    assert_eq!(config.vnis.len(), 4095);
    refused(
        &config,
        &set_vni(VniConfig::new(vni(1), LOCAL)),
        RefusalKind::LimitReached,
        "4096 VNIs are configured, 4095 are possible; remove some",
    );
    for value in 0..65_535 {
        config.remotes.insert(RemoteConfig::new(vni(101), Ipv4Addr::from_bits(0x0a00_0000 + value).into()));
    }
    assert_eq!(config.remotes.len(), 65_536);
    refused(
        &config,
        &set_remote(102, PEER),
        RefusalKind::LimitReached,
        "65537 remotes are configured, 65536 are possible; remove some; a peer counts once in each VNI",
    );
}

#[test]
fn udp_ports_are_counted_once_each() {
    let mut config = settled();
    let on = |value: u32, port: u16| VniConfig {
        encapsulation: EncapsulationConfig::Vxlan { port },
        ..VniConfig::new(vni(value), LOCAL)
    };
    for value in 1..8 {
        config.apply(&set_vni(on(value, 5000 + u16::try_from(value).unwrap()))).unwrap();
    }
    let words = "UDP port 6000 is one too many: an uplink takes tunnels on 8 different UDP ports, and there are 4789, 5001, \
                 5002, 5003, 5004 and 3 more; use one of these ports";
    refused(&config, &set_vni(on(8, 6000)), RefusalKind::LimitReached, words);
    let wish = Some(EncapsulationConfig::Vxlan { port: 6000 });
    let remote = RemoteConfig { encapsulation: wish, ..RemoteConfig::new(vni(100), PEER) };
    refused(&config, &Change::SetRemote { remote, replace: true }, RefusalKind::LimitReached, words);
    config.apply(&set_vni(on(8, 5007))).unwrap();
    config.apply(&Change::RemoveVni(vni(8))).unwrap();
    config.apply(&Change::SetVni { vni: on(7, 6000), replace: true }).unwrap();
}

#[test]
fn a_difference_touches_only_what_differs() {
    let old = settled();
    let mut new = old.clone();
    assert_eq!(diff(&old, &new), []);
    let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));
    let remote = RemoteConfig::new(vni(100), other);
    new.apply(&Change::SetRemote { remote: remote.clone(), replace: false }).unwrap();
    assert_eq!(diff(&old, &new), [Change::SetRemote { remote: remote.clone(), replace: true }]);
    assert_eq!(diff(&new, &old), [Change::RemoveRemote { vni: vni(100), address: other }]);
}

#[test]
fn a_changed_port_comes_back_with_its_entries() {
    let old = settled();
    let mut new = old.clone();
    let larger = PortConfig { ring_size: 4096, ..access("w", 100) };
    new.ports.insert(larger.clone());
    assert_eq!(restarts(&old, &new), []);
    assert_eq!(
        diff(&old, &new),
        [
            Change::RemovePort("w".to_owned()),
            Change::AddPort(larger),
            Change::SetFdb { entry: fdb(100, FdbDestination::Port("w".to_owned())), replace: true },
        ]
    );
}

#[test]
fn keys_that_two_vnis_swap_are_taken_apart_first() {
    let mut old = settled();
    for (value, key) in [(1, 7), (2, 8)] {
        old.apply(&set_vni(gre(value, GreKey::Number(key)))).unwrap();
        old.apply(&set_remote(value, PEER)).unwrap();
    }
    let mut new = old.clone();
    for (value, key) in [(1, 8), (2, 7)] {
        new.vnis.insert(gre(value, GreKey::Number(key)));
    }
    assert_eq!(validate(&new), []);
    let changes = diff(&old, &new);
    for change in &changes {
        old.apply(change).unwrap();
    }
    assert_eq!(old, new);
    let remotes = changes.iter().filter(|change| matches!(change, Change::RemoveRemote { .. })).count();
    assert_eq!(remotes, 2, "only the two: {changes:?}");
}

#[test]
fn what_needs_a_restart_is_named_and_holds_up_nothing_else() {
    let old = settled();
    let mut new = old.clone();
    new.umem.chunks = 32_768;
    new.umem.jumbo_chunks = 0;
    new.daemon.log = "debug".to_owned();
    new.apply(&Change::AddPort(PortConfig { queues: Some(40), ..access("x", 100) })).unwrap();
    assert_eq!(diff(&old, &new), [Change::AddPort(PortConfig { queues: Some(40), ..access("x", 100) })]);
    let needs = |key, old: &str, new: &str| NeedsRestart { key, old: old.to_owned(), new: new.to_owned() };
    assert_eq!(
        restarts(&old, &new),
        [
            needs("daemon.log", "\"info\"", "\"debug\""),
            needs("umem.chunks", "16384", "32768"),
            needs("umem.jumbo_chunks", "1024", "0")
        ]
    );
}
