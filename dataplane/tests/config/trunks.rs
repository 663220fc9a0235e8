//! Trunk ports: what is told of their VLANs, and how they change.

use std::net::IpAddr;
use std::path::Path;

use dataplane::config::{
    self, Change, Config, FdbConfig, FdbDestination, PortConfig, PortRole, PortTuning, TrunkConfig,
    TrunkTuning, TrunkVlan, VniConfig,
};
use dataplane::plan::{RefusalKind, diff};
use wire::{Mac, Vlan, Vni};

use super::{with, words_of};

fn vni(value: u32) -> Vni {
    Vni::new(value).unwrap()
}

fn vlan(value: u16) -> Vlan {
    Vlan::new(value).unwrap()
}

fn trunk(rows: &[(u16, u32)], native: Option<u16>) -> TrunkConfig {
    let rows = rows.iter().map(|&(number, of)| TrunkVlan { vlan: vlan(number), vni: vni(of) });
    TrunkConfig::new(rows.collect(), native.map(vlan))
}

/// VNIs 100, 200 and 300, a trunk with the first two, and an entry of each that points there.
fn sample() -> Config {
    let mut config = Config::default();
    let role = PortRole::Trunk(trunk(&[(10, 100), (20, 200)], Some(10)));
    let entry = |of| FdbConfig::new(vni(of), Mac([2, 0, 0, 0, 0, 1]), FdbDestination::Port("t".into()));
    for change in [100, 200, 300]
        .map(|of| Change::SetVni {
            vni: VniConfig::new(vni(of), IpAddr::from([192, 0, 2, 1])),
            replace: false,
        })
        .into_iter()
        .chain([Change::AddPort(PortConfig::new("t", "t", role))])
        .chain([100, 200].map(|of| Change::SetFdb { entry: entry(of), replace: false }))
    {
        config.apply(&change).unwrap();
    }
    config
}

fn tune(vlans: Option<&[(u16, u32)]>, native: Option<Option<u16>>) -> Change {
    let vlans = vlans.map(|rows| trunk(rows, None).vlans);
    let trunk = TrunkTuning { vlans, native: native.map(|native| native.map(vlan)) };
    Change::TunePort { name: "t".into(), tuning: PortTuning { trunk, ..PortTuning::default() } }
}

#[test]
fn a_trunk_is_read_and_written() {
    let text = with(
        "[[port]]\nname = \"t\"\nvlans = [{ vlan = 20, vni = 100 }, { vlan = 3, vni = 300 }]\nnative = 20\n\
         [[port]]\nname = \"u\"\nrole = \"trunk\"\nvlans = []\n[[vni]]\nid = 300\nlocal = \"192.0.2.1\"\n",
    );
    let (config, _) = config::parse(Path::new("t.toml"), &text).unwrap();
    let role = |name: &str| config.ports.get(name).unwrap().role.clone();
    assert_eq!(role("t"), PortRole::Trunk(trunk(&[(3, 300), (20, 100)], Some(20))));
    assert_eq!(role("u"), PortRole::Trunk(TrunkConfig::default()));
    let written = config::render(&config);
    assert!(written.contains("native = 20\n") && written.contains("vlans = []\n"), "{written}");
    assert_eq!(config::parse(Path::new("t.toml"), &written).unwrap().0, config);
}

#[test]
fn vlans_that_contradict_each_other_are_told_all_at_once() {
    let text = with(
        r#"
[[port]]
name = "t"
vlans = [{ vlan = 10, vni = 100 }, { vlan = 10, vni = 7 }, { vlan = 20, vni = 100 }]
native = 30
[[port]]
name = "u"
vlans = [{ vlan = 0, vni = 100 }, { vlan = 4095, vni = 100 }, 5, { vlan = 1 }, { vlan = 1, vni = 1, tag = 1 }]
[[port]]
name = "v"
vlans = []
native = 4095
"#,
    );
    let row = "`vlans` holds";
    let shape = "each element must be a table such as { vlan = 10, vni = 100 }";
    let number =
        "each element must be an integer from 1 to 4094 | `vlans` is which VLAN of a trunk is which VNI";
    assert_eq!(
        words_of(&text),
        [
            "VNI 7 is not configured | configure VNI 7 first, or name one that is there: 100".to_owned(),
            "VLAN 10 of port t is VNI 7 and VNI 100 | keep one of the two".to_owned(),
            "VNI 100 is VLAN 10 and VLAN 20 of port t | keep one of the two: a frame that leaves the trunk has one tag"
                .to_owned(),
            "the native VLAN 30 of port t is none of its VLANs | use one of its VLANs (10, 20), or add it to `vlans`"
                .to_owned(),
            format!("{row} 0; {number}"),
            format!("{row} 4095; {number}"),
            format!("{row} 5; {shape} | say which VNI the VLAN is"),
            format!("{row} {{ vlan = 1 }}; {shape} | both `vlan` and `vni` are needed"),
            "unknown key `tag` in `vlans` | its keys are `vlan`, `vni`".to_owned(),
            "`native` is 4095; it must be an integer from 1 to 4094, or 0 for none | `native` is the VLAN of a trunk's \
             untagged frames; 0 for none, which drops them"
                .to_owned(),
        ]
    );
}

#[test]
fn what_a_port_faces_is_said_once() {
    let port = |keys: &str| words_of(&with(&format!("[[port]]\nname = \"t\"\n{keys}\n")));
    let vlans = "vlans = [{ vlan = 10, vni = 100 }]";
    for (keys, expected) in [
        (
            format!("vni = 100\n{vlans}"),
            "port t is in VNI 100 and has VLANs | remove `vni` for a trunk, or `vlans` for an access port",
        ),
        (
            format!("role = \"uplink\"\n{vlans}"),
            "port t is an uplink and cannot have VLANs | remove `vlans` and `native` for an uplink, or `role` for a trunk",
        ),
        (
            "role = \"uplink\"\nnative = 10".to_owned(),
            "port t is an uplink and cannot have VLANs | remove `vlans` and `native` for an uplink, or `role` for a trunk",
        ),
        (
            format!("role = \"access\"\n{vlans}"),
            "port t is an access port and cannot have VLANs | remove `role` for a trunk, or use `vni` in the place of \
             `vlans`",
        ),
        (
            "vni = 100\nnative = 10".to_owned(),
            "port t is an access port and has no native VLAN | remove `native`, or use `vlans` in the place of `vni` for a \
             trunk",
        ),
        (
            "role = \"trunk\"\nvni = 100".to_owned(),
            "port t is a trunk and has no VLANs | add `vlans`, such as [{ vlan = 10, vni = 100 }], or remove `role` for an \
             access port",
        ),
        (
            "native = 10".to_owned(),
            "port t is neither an uplink nor in a VNI | add role = \"uplink\" if it faces the underlay, vni = NUMBER or \
             `vlans` if it faces workloads",
        ),
    ] {
        assert_eq!(port(&keys), [expected], "{keys}");
    }
}

#[test]
fn too_many_vlans_are_refused() {
    let mut config = sample();
    let rows: Vec<(u16, u32)> = (1..=1025).map(|number| (number, u32::from(number))).collect();
    for (_, of) in &rows {
        config.vnis.insert(VniConfig::new(vni(*of), IpAddr::from([192, 0, 2, 1])));
    }
    let refusal = config.apply(&tune(Some(&rows), Some(None))).unwrap_err();
    assert_eq!((refusal.kind, refusal.key), (RefusalKind::LimitReached, Some("vlans")));
    assert_eq!(refusal.what, "port t has 1025 VLANs, 1024 are possible");
    config.apply(&tune(Some(&rows[1..]), Some(None))).unwrap();
}

#[test]
fn a_vlan_that_leaves_takes_its_static_entries_with_it() {
    let mut config = sample();
    config.apply(&tune(None, Some(Some(20)))).unwrap();
    config.apply(&tune(Some(&[(11, 100), (20, 200)]), None)).unwrap();
    assert_eq!(config.fdb.len(), 2, "the VNI is still behind the port");
    config.apply(&tune(Some(&[(20, 200), (30, 300)]), None)).unwrap();
    let left: Vec<Vni> = config.fdb.iter().map(|entry| entry.vni).collect();
    assert_eq!(left, [vni(200)]);
    let refusal = config.apply(&tune(Some(&[(30, 300)]), None)).unwrap_err();
    assert_eq!((refusal.kind, refusal.key), (RefusalKind::Invalid, Some("native")));
    let refusal = config.apply(&Change::RemoveVni(vni(200))).unwrap_err();
    assert_eq!((refusal.kind, refusal.what.as_str()), (RefusalKind::InUse, "VNI 200 has ports: t"));
    config.apply(&Change::RemovePort("t".into())).unwrap();
    assert!(config.fdb.is_empty());
    let entry = FdbConfig::new(vni(300), Mac([2, 0, 0, 0, 0, 1]), FdbDestination::Port("t".into()));
    let refusal = sample().apply(&Change::SetFdb { entry, replace: false }).unwrap_err();
    let what = "FDB entry 02:00:00:00:00:01 points to port t, which has no VLAN for VNI 300";
    assert_eq!((refusal.kind, refusal.what.as_str()), (RefusalKind::Invalid, what));
}

#[test]
fn only_a_trunk_has_vlans() {
    let mut config = sample();
    config.apply(&Change::RemovePort("t".into())).unwrap();
    let access = PortConfig::new("t", "t", PortRole::Access { vni: vni(100) });
    config.apply(&Change::AddPort(access)).unwrap();
    for (change, key) in [(tune(Some(&[(1, 100)]), None), "vlans"), (tune(None, Some(Some(1))), "native")] {
        let refusal = config.apply(&change).unwrap_err();
        assert_eq!((refusal.kind, refusal.key), (RefusalKind::Invalid, Some(key)));
        assert_eq!(refusal.what, "port t is no trunk and has no VLANs");
    }
}

#[test]
fn a_trunk_changes_in_place_also_around_a_vni_that_goes() {
    let old = sample();
    let mut new = old.clone();
    new.apply(&tune(Some(&[(20, 200), (30, 300)]), Some(None))).unwrap();
    new.apply(&Change::RemoveVni(vni(100))).unwrap();
    let changes = diff(&old, &new);
    assert!(!changes.iter().any(|change| matches!(change, Change::RemovePort(_) | Change::AddPort(_))));
    let mut at = old.clone();
    for change in &changes {
        at.apply(change).unwrap();
    }
    assert_eq!(at, new);
    // A port that becomes a trunk is opened anew: it is another kind of port.
    let mut access = old.clone();
    access.apply(&Change::RemovePort("t".into())).unwrap();
    access.apply(&Change::AddPort(PortConfig::new("t", "t", PortRole::Access { vni: vni(100) }))).unwrap();
    let changes = diff(&access, &old);
    assert!(matches!(&changes[..], [Change::RemovePort(_), Change::AddPort(_), ..]), "{changes:?}");
}
