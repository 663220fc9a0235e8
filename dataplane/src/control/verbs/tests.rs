//! Requests against an operator in memory: what arrives there, and what is refused on the way.

use api::{Refusal, RefusalKind, Request};
use forward::entropy::SourcePorts;
use forward::marking::{DontFragment, EcnMode, Marking, Octet};
use forward::tables::InnerTags;
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::{Mac, Vni};

use super::ledger::{Ledger, VERSION, sample};
use super::{Listed, Page, carry_out};
use crate::config::{
    EncapsulationConfig, FdbDestination, FloodConfig, GreKey, LivenessConfig, LivenessWish, LocalAddresses,
    ModeWish, MssClamp, PortRole, TransmitWish, TunnelConfig, XdpMode,
};

fn ask(ledger: &mut Ledger, method: &str, parameters: Value) -> Result<Value, Refusal> {
    carry_out(Request::decode(method, Some(parameters)).unwrap(), ledger)
}

fn refused(ledger: &mut Ledger, method: &str, parameters: Value) -> (RefusalKind, String, String, String) {
    let refusal = ask(ledger, method, parameters).unwrap_err();
    (refusal.kind, refusal.argument.unwrap_or_default(), refusal.what, refusal.remedy)
}

fn vni(number: u32) -> Vni {
    Vni::new(number).unwrap()
}

#[test]
fn every_argument_of_a_port_arrives() {
    let mut ledger = sample();
    let request = json!({ "name": "west", "device": "veth-west", "role": "access", "vni": 200, "mode": "native",
        "require": "generic", "queues": 3, "ring_size": 512, "transmit": "ring", "netns": "blue" });
    ask(&mut ledger, "AddPort", request).unwrap();
    let port = ledger.config.ports.get("west").unwrap();
    assert_eq!(port.device, "veth-west");
    assert_eq!(port.role, PortRole::Access { vni: vni(200) });
    assert_eq!(port.mode, ModeWish::Only(XdpMode::Native));
    assert_eq!(port.require, Some(XdpMode::Generic));
    assert_eq!((port.queues, port.ring_size, port.transmit), (Some(3), 512, TransmitWish::Ring));
    assert_eq!(port.namespace.as_deref(), Some("blue"));
    let request = json!({ "name": "west", "flood": false, "isolated": true, "storm_limit": 7 });
    ask(&mut ledger, "SetPort", request).unwrap();
    let request = json!({ "name": "west", "bcast_flood": false, "mcast_flood": true, "fastleave": true });
    ask(&mut ledger, "SetPort", request).unwrap();
    let policy = ledger.config.ports.get("west").unwrap().policy;
    assert_eq!(policy.flood, FloodConfig { unicast: false, multicast: true, broadcast: false });
    assert_eq!((policy.isolated, policy.fastleave, policy.storm_limit), (true, true, 7));
    let (kind, argument, ..) =
        refused(&mut ledger, "SetPort", json!({ "name": "uplink0", "isolated": true }));
    assert_eq!((kind, argument.as_str()), (RefusalKind::InvalidArgument, "isolated"));
    ask(&mut ledger, "RemovePort", json!({ "name": "west" })).unwrap();
    ask(&mut ledger, "AddPort", json!({ "name": "west", "role": "uplink" })).unwrap();
    assert_eq!(ledger.config.ports.get("west").unwrap().device, "west");
}

#[test]
fn every_argument_of_a_vni_and_a_remote_arrives() {
    let mut ledger = sample();
    let request = json!({ "vni": 300, "local": ["192.0.2.1"], "udp_port": 8472, "learning": false, "ageing": 60,
        "arp_proxy": false, "nd_proxy": false, "ttl": "9", "tos": "inherit", "df": "unset",
        "ecn": "reset", "udp_checksum": true, "further_udp_ports": [4789], "port_range": { "low": 1000, "high": 1999 },
        "reserved_bits": "0x8000000000000000", "inner_tags": "drop", "bcast_flood": false, "move_limit": 0,
        "mss_clamp": "1300", "mcast_snooping": false, "mcast_group": "239.1.1.1" });
    ask(&mut ledger, "SetVni", request).unwrap();
    let domain = ledger.config.vnis.get(&vni(300)).unwrap();
    assert_eq!(domain.encapsulation, EncapsulationConfig::Vxlan { port: 8472 });
    assert_eq!((domain.learning, domain.ageing, domain.move_limit), (false, 60, 0));
    let marking =
        Marking { tos: Octet::Inherited, ttl: Octet::Fixed(9), df: DontFragment::Unset, ecn: EcnMode::Reset };
    assert_eq!(domain.marking, marking);
    let tunnel = TunnelConfig {
        further_ports: vec![4789],
        source_ports: SourcePorts::new(1000, 1999).unwrap(),
        reserved_bits: 1 << 63,
        ..TunnelConfig::default()
    };
    assert_eq!((&domain.tunnel, domain.inner_tags), (&tunnel, InnerTags::Dropped));
    assert_eq!((domain.arp_proxy, domain.nd_proxy, domain.flood.broadcast), (false, false, false));
    assert_eq!((domain.udp_checksum, domain.mss_clamp), (Some(true), MssClamp::Bytes(1300)));
    assert_eq!((domain.mcast_snooping, domain.mcast_group), (false, Some([239, 1, 1, 1].into())));
    assert_eq!(ask(&mut ledger, "ShowMdb", json!({})).unwrap()["entries"][0]["kind"], "querier");
    let again = json!({ "vni": 300, "local": ["192.0.2.1"] });
    assert_eq!(refused(&mut ledger, "SetVni", again).0, RefusalKind::AlreadyExists);
    let again = json!({ "vni": 300, "local": ["2001:db8::1", "192.0.2.1"], "replace": true, "key": "none" });
    ask(&mut ledger, "SetVni", again).unwrap();
    let domain = ledger.config.vnis.get(&vni(300)).unwrap();
    let both = LocalAddresses::Both("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    assert_eq!((domain.local, domain.udp_checksum), (both, None));
    assert_eq!(domain.encapsulation, EncapsulationConfig::Gre { key: GreKey::Absent });
    assert!(domain.learning);

    let request = json!({ "dst": "192.0.2.9", "vni": 300, "encap": "gre", "key": "4294967295", "flood": false, "storm_limit": 5 });
    ask(&mut ledger, "SetRemote", request).unwrap();
    let remote = ledger.config.remotes.get(&(vni(300), "192.0.2.9".parse().unwrap())).unwrap();
    assert_eq!(remote.encapsulation, Some(EncapsulationConfig::Gre { key: GreKey::Number(u32::MAX) }));
    assert!(!remote.flood);
    assert_eq!(remote.storm_limit, 5);
    let asked =
        json!({ "on": true, "interval": 100, "multiplier": 5, "recovery": 0, "paths": 2, "path_mtu": false });
    let request = json!({ "dst": "192.0.2.9", "vni": 300, "replace": true, "liveness": asked });
    ask(&mut ledger, "SetRemote", request).unwrap();
    let remote = ledger.config.remotes.get(&(vni(300), "192.0.2.9".parse().unwrap())).unwrap();
    let expected = LivenessConfig { interval: 100, multiplier: 5, recovery: 0, paths: 2, path_mtu: false };
    assert_eq!(remote.liveness, Some(LivenessWish::On(expected)));
    ask(&mut ledger, "RemoveRemote", json!({ "dst": "192.0.2.9", "vni": 300 })).unwrap();
    ask(&mut ledger, "RemoveVni", json!({ "vni": 300 })).unwrap();
    assert!(ledger.config.vnis.get(&vni(300)).is_none());
}

#[test]
fn entries_come_and_go() {
    let mut ledger = sample();
    let mac = "02:00:00:00:00:07";
    ask(&mut ledger, "SetFdb", json!({ "mac": mac, "vni": 100, "dev": "east" })).unwrap();
    let entry = ask(&mut ledger, "GetFdb", json!({ "mac": mac, "vni": 100 })).unwrap();
    assert_eq!(entry["entry"]["ifname"], "east");
    assert_eq!(entry["entry"]["state"], "permanent");
    let shown = ask(&mut ledger, "ShowFdb", json!({ "dev": "east", "kind": "dynamic" })).unwrap();
    assert_eq!(shown["entries"].as_array().unwrap().len(), 1);
    let request = json!({ "dst": "192.0.2.2", "mac": "02:00:00:00:00:02", "vni": 100 });
    assert_eq!(ask(&mut ledger, "ShowFdb", request).unwrap()["entries"][0]["dst"], "192.0.2.2");
    assert_eq!(ask(&mut ledger, "FlushFdb", json!({})).unwrap(), json!({ "flushed": 1 }));
    assert_eq!(
        ask(&mut ledger, "FlushFdb", json!({ "kind": "static", "vni": 100 })).unwrap(),
        json!({ "flushed": 2 })
    );
    let (kind, _, what, _) = refused(&mut ledger, "GetFdb", json!({ "mac": mac, "vni": 100 }));
    assert_eq!(
        (kind, what.as_str()),
        (RefusalKind::NotFound, "no forwarding entry for 02:00:00:00:00:07 in VNI 100")
    );

    ask(&mut ledger, "SetNeighbour", json!({ "dst": "10.0.0.2", "lladdr": mac, "vni": 100 })).unwrap();
    let shown = ask(&mut ledger, "ShowNeighbours", json!({ "vni": 100 })).unwrap();
    assert_eq!(shown["neighbours"].as_array().unwrap().len(), 2);
    assert_eq!(ask(&mut ledger, "FlushNeighbours", json!({ "vni": 200 })).unwrap(), json!({ "flushed": 0 }));
    assert_eq!(ask(&mut ledger, "FlushNeighbours", json!({})).unwrap(), json!({ "flushed": 1 }));
    let written = json!({ "owner": "control", "vni": 100 });
    assert_eq!(ask(&mut ledger, "FlushNeighbours", written).unwrap(), json!({ "flushed": 1 }));
    let request = json!({ "dst": "2001:db8::2", "lladdr": mac, "vni": 100, "router": true });
    ask(&mut ledger, "SetNeighbour", request).unwrap();
    let shown = ask(&mut ledger, "ShowNeighbours", json!({ "vni": 100 })).unwrap();
    assert_eq!(shown["neighbours"][0]["flags"], json!(["router"]));
    ask(&mut ledger, "RemoveNeighbour", json!({ "dst": "2001:DB8::2", "vni": 100 })).unwrap();
    assert!(ledger.config.neighbours.is_empty());
}

#[test]
fn only_the_expected_entry_is_removed() {
    let mut ledger = sample();
    let mac = "02:00:00:00:00:02";
    let stale = json!({ "mac": mac, "vni": 100, "version": VERSION - 1 });
    let (kind, _, what, remedy) = refused(&mut ledger, "RemoveFdb", stale);
    assert_eq!(kind, RefusalKind::StaleVersion);
    let said = format!("FDB entry {mac} of VNI 100 has version {VERSION}, not {}", VERSION - 1);
    assert!(what.starts_with(&said) && remedy.contains("look at it again"), "{what}; {remedy}");
    let foreign = json!({ "mac": mac, "vni": 100, "owner": "evpn", "version": VERSION });
    let (kind, _, what, _) = refused(&mut ledger, "RemoveFdb", foreign);
    assert_eq!(kind, RefusalKind::OwnedByAnother);
    assert_eq!(what, format!("FDB entry {mac} of VNI 100 belongs to control, not to evpn"));
    let gone = json!({ "mac": "02:00:00:00:00:77", "vni": 100, "version": 1 });
    assert_eq!(refused(&mut ledger, "RemoveFdb", gone).0, RefusalKind::NotFound);
    let right = json!({ "mac": mac, "vni": 100, "owner": "control", "version": VERSION });
    ask(&mut ledger, "RemoveFdb", right).unwrap();
    assert!(ledger.config.fdb.is_empty());

    ask(
        &mut ledger,
        "SetNeighbour",
        json!({ "dst": "10.0.0.2", "lladdr": mac, "vni": 100, "owner": "evpn" }),
    )
    .unwrap();
    let stale = json!({ "dst": "10.0.0.2", "vni": 100, "version": VERSION + 1 });
    assert_eq!(refused(&mut ledger, "RemoveNeighbour", stale).0, RefusalKind::StaleVersion);
    let foreign = json!({ "dst": "10.0.0.2", "vni": 100, "owner": "control" });
    assert_eq!(refused(&mut ledger, "RemoveNeighbour", foreign).0, RefusalKind::OwnedByAnother);
    ask(&mut ledger, "RemoveNeighbour", json!({ "dst": "10.0.0.2", "vni": 100, "version": VERSION }))
        .unwrap();
}

#[test]
fn a_replacement_is_made_as_a_whole_or_not_at_all() {
    let mut ledger = sample();
    let item =
        |last: u8, dev: &str| json!({ "mac": format!("02:00:00:00:00:{last:02x}"), "vni": 100, "dev": dev });
    let replace = |entries: Value| json!({ "owner": "evpn", "entries": entries });
    let counts = |added, changed, removed, unchanged| json!({ "added": added, "changed": changed, "removed": removed, "unchanged": unchanged });
    let first = replace(json!([item(0x10, "east"), item(0x11, "east"), item(0x12, "east")]));
    assert_eq!(ask(&mut ledger, "ReplaceFdb", first.clone()), Ok(counts(3, 0, 0, 0)));
    assert_eq!(ask(&mut ledger, "ReplaceFdb", first), Ok(counts(0, 0, 0, 3)));
    let mut elsewhere = item(0x11, "east");
    elsewhere["kind"] = json!("sticky");
    let second = replace(json!([item(0x10, "east"), elsewhere, item(0x13, "east")]));
    assert_eq!(ask(&mut ledger, "ReplaceFdb", second), Ok(counts(1, 1, 1, 1)));
    assert_eq!(ledger.config.fdb.len(), 4, "those of other owners stay");
    let before = ledger.config.clone();
    for (entries, kind) in [
        (json!([item(0x20, "east"), item(0x20, "east")]), RefusalKind::InvalidArgument),
        (json!([item(0x20, "east"), item(0x21, "nowhere")]), RefusalKind::NotFound),
        (json!([item(0x20, "east"), item(0x02, "east")]), RefusalKind::OwnedByAnother),
    ] {
        assert_eq!(refused(&mut ledger, "ReplaceFdb", replace(entries)).0, kind);
        assert_eq!(ledger.config, before);
    }
    let outside = json!({ "owner": "evpn", "vni": 200, "entries": [item(0x20, "east")] });
    assert_eq!(refused(&mut ledger, "ReplaceFdb", outside).0, RefusalKind::InvalidArgument);
    let nameless = json!({ "owner": "configuration", "entries": [] });
    assert_eq!(refused(&mut ledger, "ReplaceFdb", nameless).1, "owner");
    let none = json!({ "owner": "evpn", "vni": 200, "entries": [] });
    assert_eq!(ask(&mut ledger, "ReplaceFdb", none), Ok(counts(0, 0, 0, 0)), "another VNI's stay");
    assert_eq!(ask(&mut ledger, "ReplaceFdb", replace(json!([]))), Ok(counts(0, 0, 3, 0)));
}

/// Method, parameters, the argument at fault, what is wrong, the remedy.
const WRONG: &[(&str, &str, &str, &str, &str)] = &[
    (
        "RemoveVni",
        r#"{"vni":16777216}"#,
        "vni",
        "vni 16777216 is out of range",
        "a whole number from 0 to 16777215",
    ),
    ("RemoveVni", r#"{"vni":-1}"#, "vni", "vni -1 is out of range", "from 0 to 16777215"),
    (
        "SetVni",
        r#"{"vni":1,"local": ["192.0.2.300"]}"#,
        "local",
        r#"local "192.0.2.300" is not an IP address"#,
        "192.0.2.1",
    ),
    (
        "SetVni",
        r#"{"vni":1,"local": ["192.0.2.1"],"ttl":"0"}"#,
        "ttl",
        r#"ttl "0" is neither"#,
        "from 1 to 255",
    ),
    (
        "SetVni",
        r#"{"vni":1,"local": ["192.0.2.1"],"ageing":-5}"#,
        "ageing",
        "ageing -5 is out of range",
        "from 0 to",
    ),
    (
        "SetVni",
        r#"{"vni":1,"local": ["192.0.2.1"],"udp_port":0}"#,
        "udp_port",
        "udp_port 0 is out",
        "from 1 to 65535",
    ),
    (
        "SetVni",
        r#"{"vni":1,"local": ["192.0.2.1"],"key":"x"}"#,
        "key",
        r#"key "x" is not a GRE key"#,
        "vni, none, or a",
    ),
    (
        "SetVni",
        r#"{"vni":1,"local": ["192.0.2.1"],"encap":"vxlan","key":"1"}"#,
        "key",
        "VXLAN has no key",
        "use encap gre",
    ),
    (
        "SetVni",
        r#"{"vni":1,"local": ["192.0.2.1"],"encap":"gre","udp_port":1}"#,
        "udp_port",
        "GRE has no ports",
        "vxlan",
    ),
    (
        "SetRemote",
        r#"{"vni":1,"dst":"fe80::1%eth0"}"#,
        "dst",
        "is not an IP address",
        "write an address such as",
    ),
    ("AddPort", r#"{"name":"a","role":"access"}"#, "vni", "an access port belongs to a VNI", "give the VNI"),
    (
        "AddPort",
        r#"{"name":"a","role":"uplink","vni":1}"#,
        "vni",
        "belongs to no VNI, but 1",
        "leave the VNI out",
    ),
    (
        "AddPort",
        r#"{"name":"a","role":"uplink","queues":0}"#,
        "queues",
        "queues 0 is out of range",
        "from 1 to",
    ),
    (
        "AddPort",
        r#"{"name":"a","role":"uplink","ring_size":-1}"#,
        "ring_size",
        "ring_size -1 is out",
        "from 1 to",
    ),
    (
        "SetFdb",
        r#"{"mac":"2:0:0:0:0:1","vni":100,"dev":"east"}"#,
        "mac",
        "is not a MAC address",
        "six hexadecimal",
    ),
    (
        "SetFdb",
        r#"{"mac":"02:00:00:00:00:01","vni":100}"#,
        "dev",
        "neither a port (dev) nor",
        "dev PORT, dst ADDRESS or group NAME",
    ),
    (
        "SetFdb",
        r#"{"mac":"02:00:00:00:00:01","vni":100,"dev":"a","dst":"::1"}"#,
        "dst",
        "both a port",
        "only one of",
    ),
    ("ShowFdb", r#"{"dev":"east","dst":"192.0.2.2"}"#, "dst", "both a port", "only one of"),
    ("ShowFdb", r#"{"dev":""}"#, "dev", "the port's name is empty", "give a name"),
    (
        "ShowFdb",
        r#"{"cursor":"a b"}"#,
        "cursor",
        r#""a b" is no cursor of this listing"#,
        "`next` of the page before",
    ),
    ("ShowVnis", r#"{"cursor":"x"}"#, "cursor", r#""x" is no cursor"#, "leave it out"),
    (
        "SetNeighbour",
        r#"{"dst":"2001:db8::1/64","lladdr":"02:00:00:00:00:01","vni":100}"#,
        "dst",
        "is not an IP address",
        "without a prefix length",
    ),
    (
        "SetNeighbour",
        r#"{"dst":"10.0.0.1","lladdr":"","vni":100}"#,
        "lladdr",
        r#"lladdr "" is not"#,
        "six hexadecimal",
    ),
];

#[test]
fn a_wrong_argument_is_named_with_its_value_and_a_remedy() {
    let mut ledger = sample();
    let before = ledger.config.clone();
    for (method, parameters, argument, what, remedy) in WRONG {
        let refusal = refused(&mut ledger, method, serde_json::from_str(parameters).unwrap());
        assert_eq!(
            (refusal.0, refusal.1.as_str()),
            (RefusalKind::InvalidArgument, *argument),
            "{method} {parameters}"
        );
        assert!(refusal.2.contains(what), "{method} {parameters}: {}", refusal.2);
        assert!(refusal.3.contains(remedy), "{method} {parameters}: {}", refusal.3);
    }
    assert_eq!(ledger.config, before);
}

#[test]
fn what_does_not_exist_is_said_to_be_missing_rather_than_empty() {
    let mut ledger = sample();
    for (method, parameters, what) in [
        ("ShowPorts", json!({ "name": "north" }), "there is no port \"north\""),
        ("ShowVnis", json!({ "vni": 999 }), "there is no VNI 999"),
        ("ShowRemotes", json!({ "vni": 999 }), "there is no VNI 999"),
        ("ShowFdb", json!({ "vni": 999 }), "there is no VNI 999"),
        ("ShowFdb", json!({ "dev": "north" }), "there is no port \"north\""),
        ("FlushFdb", json!({ "dev": "north" }), "there is no port \"north\""),
        ("GetFdb", json!({ "mac": "02:00:00:00:00:01", "vni": 999 }), "there is no VNI 999"),
        ("ShowNeighbours", json!({ "vni": 999 }), "there is no VNI 999"),
        ("FlushNeighbours", json!({ "vni": 999 }), "there is no VNI 999"),
        ("ShowStats", json!({ "port": "north" }), "there is no port \"north\""),
        ("ShowDrops", json!({ "port": "north" }), "there is no port \"north\""),
    ] {
        let (kind, _, said, remedy) = refused(&mut ledger, method, parameters);
        assert_eq!((kind, said.as_str()), (RefusalKind::NotFound, what), "{method}");
        assert!(remedy.contains("vtep-ctl"), "{remedy}");
    }
}

#[test]
fn what_the_configuration_refuses_keeps_its_kind() {
    let mut ledger = sample();
    assert_eq!(refused(&mut ledger, "RemoveVni", json!({ "vni": 100 })).0, RefusalKind::InUse);
    assert_eq!(refused(&mut ledger, "RemovePort", json!({ "name": "north" })).0, RefusalKind::NotFound);
    let again = json!({ "name": "east", "role": "access", "vni": 100 });
    assert_eq!(refused(&mut ledger, "AddPort", again).0, RefusalKind::AlreadyExists);
}

/// All pages of a listing.
fn pages(ledger: &mut Ledger, mut meanwhile: impl FnMut(&mut Ledger)) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let request = json!({ "cursor": cursor });
        let reply = ask(ledger, "ShowFdb", request).unwrap();
        let macs = reply["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["mac"].as_str().unwrap().to_owned());
        pages.push(macs.collect());
        match reply["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return pages,
        }
        meanwhile(ledger);
    }
}

#[test]
fn a_large_listing_comes_in_pages_that_changes_do_not_upset() {
    let mut ledger = sample();
    let place = FdbDestination::Port("east".into());
    ledger.learned = (0..20_000)
        .map(|number| ((vni(100), Mac::from_u64(0x0200_1000_0000 + number)), place.clone()))
        .collect();
    let mut gone = 0;
    let seen = pages(&mut ledger, |ledger| {
        // Takes away what was shown and adds what would have been: later pages must not shift.
        ledger.learned.remove(&(vni(100), Mac::from_u64(0x0200_1000_0000 + gone)));
        ledger.learned.insert((vni(100), Mac::from_u64(0x0200_0000_0010 + gone)), place.clone());
        gone += 1;
    });
    let page = <api::FdbEntry as Listed>::PAGE;
    assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [page, page, 20_001 - 2 * page]);
    let all = seen.concat();
    assert!(all.is_sorted() && all.iter().collect::<std::collections::BTreeSet<_>>().len() == all.len());
    // A listing that fills its last page to the brim has no empty one after it.
    ledger.config.fdb = Vec::new().into();
    ledger.learned =
        (0..2 * page as u64).map(|number| ((vni(100), Mac::from_u64(number)), place.clone())).collect();
    assert_eq!(pages(&mut ledger, |_| ()).iter().map(Vec::len).collect::<Vec<_>>(), [page, page]);
}

proptest! {
    #[test]
    fn a_page_is_the_first_of_what_follows_the_cursor(
        offered in proptest::collection::vec(0_u32..100_000, 0..12_000),
        after in proptest::option::of(0_u32..100_000),
    ) {
        let neighbour = |number: u32| api::Neighbour {
            dst: std::net::Ipv4Addr::from(number).into(),
            lladdr: Mac::ZERO,
            vni: 7,
            state: api::EntryState::Permanent,
            flags: Vec::new(),
            age: 0,
            owner: String::new(),
            version: 1,
            moves: 0,
            last_move: None,
            moved_from: None,
        };
        let cursor = after.map(|after| format!("7 {}", std::net::Ipv4Addr::from(after)));
        let mut page = Page::from_cursor(cursor.as_deref()).unwrap();
        for number in &offered {
            page.offer(neighbour(*number));
        }
        let (entries, next) = page.finish();
        let expected: std::collections::BTreeSet<u32> =
            offered.into_iter().filter(|number| after.is_none_or(|after| *number > after)).collect();
        let limit = <api::Neighbour as Listed>::PAGE;
        let first: Vec<_> = expected.iter().take(limit).map(|number| neighbour(*number)).collect();
        prop_assert_eq!(next.is_some(), expected.len() > limit);
        prop_assert_eq!(next, first.last().filter(|_| expected.len() > limit).map(|last| format!("7 {}", last.dst)));
        prop_assert_eq!(entries, first);
    }

    #[test]
    fn no_request_ends_the_daemon(
        method in proptest::sample::select(Request::METHODS),
        numbers in proptest::collection::vec(any::<i64>(), 4),
        texts in proptest::collection::vec(".{0,20}", 6),
        present in any::<u32>(),
    ) {
        let fields = ["vni", "udp_port", "ageing", "queues", "ring_size"];
        let words = ["local", "key", "dst", "mac", "lladdr", "name", "device", "dev", "cursor", "port"];
        let mut parameters = json!({ "role": "access" });
        for (index, field) in fields.iter().enumerate().filter(|(index, _)| present >> index & 1 == 1) {
            parameters[*field] = json!(numbers[index % numbers.len()]);
        }
        for (index, word) in words.iter().enumerate().filter(|(index, _)| present >> (index + 8) & 1 == 1) {
            let text = &texts[index % texts.len()];
            parameters[*word] = if *word == "local" { json!([text]) } else { json!(text) };
        }
        if let Ok(request) = Request::decode(method, Some(parameters)) {
            let _ = carry_out(request, &mut sample());
        }
    }
}
