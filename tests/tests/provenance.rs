//! Who wrote an entry, when, and how often it moved; deletes that come too late; and everything that an owner wrote,
//! replaced in one step while frames pass.
//!
//! ```text
//!   a1, a2 ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b1
//! ```

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vtep_tests::process::Finished;
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, Trio, UdpStream, Variant, Workload, frames, programs, wait_until};

/// Replaces all that an owner wrote by lines.
fn replace(daemon: &Daemon<'_>, words: &str, lines: &str) -> Value {
    let file = daemon.socket().with_extension("lines");
    fs::write(&file, lines).unwrap();
    let mut command = Command::new(programs::vtep_ctl());
    command.arg("--json").arg("--socket").arg(daemon.socket()).args(words.split_whitespace());
    command.stdin(fs::File::open(&file).unwrap());
    serde_json::from_str(&Finished::of(&mut command).output()).unwrap()
}

#[test]
fn a_learned_entry_tells_how_it_moved() {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.segment()]);
    net.a1.reaches(&net.b1);
    // An address that nobody has, so that it moves only when it is told to.
    let mac = "02:00:00:00:77:01";
    let say = |from: &Workload| {
        let macs = (frames::octets(mac), frames::octets(&net.b1.mac));
        let addresses = (from.address, Ipv4Addr::new(10, 0, 0, 250));
        frames::RawSocket::of(from).send(&frames::udp(macs, addresses, (40_000, 4000), b"here I am"));
    };
    let entry = || daemon.entry(100, mac).unwrap();
    say(&net.a1);
    wait_until("the address is learned", SOON, || daemon.entry(100, mac).is_some());
    let first = entry();
    assert_eq!(
        (&first["owner"], &first["kind"], &first["ifname"]),
        (&json!("learned"), &json!("dynamic"), &json!("a1"))
    );
    assert_eq!(
        (&first["moves"], &first["last_move"], first["version"].as_u64() > Some(0)),
        (&json!(0), &Value::Null, true)
    );

    say(&net.a2);
    wait_until("the entry has moved", SOON, || entry()["moves"] != 0);
    wait_until("the move is told", SOON, || entry()["version"] != first["version"]);
    let moved = entry();
    assert_eq!(
        (&moved["moves"], &moved["moved_from"], &moved["ifname"]),
        (&json!(1), &json!("a1"), &json!("a2")),
        "{moved}"
    );
    assert!(moved["last_move"].is_u64(), "{moved}");
    let version = &moved["version"];
    assert!(version.as_u64() > first["version"].as_u64(), "{first} {moved}");
    let delete = |version: &Value| daemon.ctl(&format!("fdb del {mac} vni 100 version {version}"));
    let (stale, present) = (&first["version"], version);
    delete(stale).assert_fails(
        1,
        &[
            &format!("FDB entry {mac} of VNI 100 has version {present}, not {stale}"),
            "help: look at it again",
        ],
    );
    daemon.change(&format!("fdb del {mac} vni 100 version {version}"));

    // Learned elsewhere for the first time, it is not what it was at a1 either.
    say(&net.a2);
    wait_until("the address is learned again", SOON, || daemon.entry(100, mac).is_some());
    let again = entry();
    assert_eq!((&again["moves"], &again["ifname"]), (&json!(0), &json!("a2")), "{again}");
    delete(&first["version"]).assert_fails(1, &["it has changed meanwhile"]);
    daemon.change(&format!("fdb del {mac} vni 100 version {}", again["version"]));

    let seen =
        daemon.list("neigh show vni 100").into_iter().find(|entry| entry["dst"] == "10.0.0.1").unwrap();
    assert_eq!(
        (&seen["owner"], &seen["moves"], seen["version"].is_u64()),
        (&json!("learned"), &json!(0), true)
    );
    net.a1.ping(net.b1.address, 3);
}

#[test]
fn a_written_entry_tells_who_wrote_it() {
    let net = Trio::new();
    let fdb = "[[fdb]]\nvni = 100\nmac = \"02:00:00:00:00:01\"\nport = \"a1\"\nkind = \"external\"\n";
    let config = Variant::ONE_WORKER.config(&net.a, &[net.segment()]) + fdb;
    let daemon = Daemon::with_config(&net.a, &config);
    let entry = |mac: &str| daemon.entry(100, mac).unwrap_or_else(|| panic!("no {mac}"));
    wait_until("the entry of the file is there", SOON, || daemon.entry(100, "02:00:00:00:00:01").is_some());
    let first = entry("02:00:00:00:00:01");
    assert_eq!((&first["owner"], &first["flags"]), (&json!("configuration"), &json!(["extern_learn"])));

    daemon.change("fdb replace 02:00:00:00:00:01 vni 100 dev a2");
    let second = entry("02:00:00:00:00:01");
    assert_eq!(
        (&second["owner"], &second["kind"], &second["moved_from"]),
        (&json!("control"), &json!("static"), &json!("a1"))
    );
    assert!(second["version"].as_u64() > first["version"].as_u64(), "{first} {second}");
    let foreign = daemon.ctl("fdb del 02:00:00:00:00:01 vni 100 owner evpn");
    foreign.assert_fails(1, &["FDB entry 02:00:00:00:00:01 of VNI 100 belongs to control, not to evpn"]);
    let stale = daemon.ctl(&format!("fdb del 02:00:00:00:00:01 vni 100 version {}", first["version"]));
    stale.assert_fails(1, &["it has changed meanwhile"]);
    assert_eq!(entry("02:00:00:00:00:01"), second, "a refused delete has changed something");

    // The file wins back what it says differently from before, in its own name.
    daemon.rewrite(&config.replace("external", "sticky"));
    daemon.change("reload");
    let third = entry("02:00:00:00:00:01");
    assert_eq!((&third["owner"], &third["flags"]), (&json!("configuration"), &json!(["sticky"])));
    let table = daemon.ctl("fdb show vni 100").output();
    assert!(
        table.lines().next().is_some_and(|heads| heads.contains("VERSION  MOVES  LAST MOVE  MOVED FROM")),
        "{table}"
    );
}

#[test]
fn what_goes_with_a_group_or_a_remote_is_told() {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.segment()]);
    let remote = net.b.address;
    for change in [
        format!("group add pair vni 100 members {remote}"),
        "fdb add 02:00:00:00:00:01 vni 100 group pair owner ctrlX".to_owned(),
        format!("fdb add 02:00:00:00:00:02 vni 100 dst {remote} owner ctrlY"),
        format!("fdb add 02:00:00:00:00:03 vni 100 dst {remote} owner ctrlY"),
        "group del pair vni 100".to_owned(),
        format!("remote del {remote} vni 100"),
    ] {
        daemon.change(&change);
    }
    let told = |words: &[&str]| {
        let log = daemon.log();
        log.lines().any(|line| {
            line.contains("forwarding entries went") && words.iter().all(|word| line.contains(word))
        })
    };
    wait_until("the log tells what went", SOON, || {
        told(&["removed=\"group pair of VNI 100\"", "owner=\"ctrlX\"", "entries=1"])
            && told(&[&format!("removed=\"remote {remote} of VNI 100\""), "owner=\"ctrlY\"", "entries=2"])
    });
    assert!(daemon.list("fdb show owner ctrlY").is_empty());
}

#[test]
fn a_sticky_entry_keeps_its_place_until_it_has_aged_out() {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.segment().key("ageing = \"3s\"")]);
    net.a1.reaches(&net.b1);
    let silent = "02:00:00:00:00:0e";
    daemon.change(&format!("fdb replace {} vni 100 dev a1 sticky", net.a1.mac));
    daemon.change(&format!("fdb add {silent} vni 100 dev a2 sticky"));
    let stream = UdpStream::start(&net.a1, &net.b1, Duration::from_millis(2));
    // Nobody else can have the address while it is in use.
    let frame = frames::datagram(&net.a1, frames::octets(&net.b1.mac), 4000);
    let before = daemon.drops("VXLAN_ENTRY_EXISTS");
    frames::RawSocket::of(&net.a2).repeat(&frame, 50);
    wait_until("the impostor's frames are dropped", SOON, || {
        daemon.drops("VXLAN_ENTRY_EXISTS") >= before + 50
    });
    wait_until("the silent one ages out", SOON, || daemon.entry(100, silent).is_none());
    let kept = daemon.entry(100, &net.a1.mac).unwrap();
    assert_eq!((&kept["ifname"], &kept["kind"], &kept["moves"]), (&json!("a1"), &json!("sticky"), &json!(0)));
    stream.stop().assert_complete();
}

/// What was written outlives its device, which comes back as another one of the same name.
#[test]
fn a_sticky_entry_stays_written_while_its_device_is_gone() {
    let net = Trio::new();
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.segment()]);
    let silent = "02:00:00:00:00:0e";
    daemon.change(&format!("fdb add {silent} vni 100 dev a1 sticky"));
    net.a1.reaches(&net.b1);
    net.a1.namespace.ip("link del eth0");
    wait_until("what was learned at it is forgotten", SOON, || daemon.entry(100, &net.a1.mac).is_none());
    // What ages out says that entries have been looked through since.
    daemon.change("vni add 200 local 192.0.2.1 ageing 1");
    daemon.change(&format!("remote add {} vni 200", net.b.address));
    daemon.change(&format!("fdb add {silent} vni 200 dst {} sticky", net.b.address));
    wait_until("the other entry ages out", SOON, || daemon.entry(200, silent).is_none());
    net.a1.reconnect(&net.a);
    wait_until("the port is open again", SOON, || daemon.port("a1")["state"] == "UP");
    let kept = daemon.entry(100, silent).expect("the entry is still there");
    assert_eq!((&kept["ifname"], &kept["kind"]), (&json!("a1"), &json!("sticky")), "{kept}");
}

in_every_variant!(a_replacement_loses_no_frame_of_what_stays);

fn a_replacement_loses_no_frame_of_what_stays(variant: Variant) {
    let net = Trio::new();
    // Nothing is learned, so that the entry under test is the only way to b1 short of flooding, which a2 would see.
    let daemon = Daemon::start(&net.a, variant, &[net.segment().key("learning = false")]);
    let fixed = format!("{} vni 100 dst {}\n{} vni 100 dev a1\n", net.b1.mac, net.b.address, net.a1.mac);
    let replaced = replace(&daemon, "fdb replace owner plane", &fixed);
    assert_eq!(replaced, json!({ "added": 2, "changed": 0, "removed": 0, "unchanged": 0 }));
    daemon.change("fdb add 02:00:00:00:00:77 vni 100 dev a2 owner other");
    let version = daemon.entry(100, &net.b1.mac).unwrap()["version"].clone();
    net.a1.reaches(&net.b1);

    let seen = Capture::received(&net.a2);
    let stream = UdpStream::start(&net.a1, &net.b1, Duration::from_millis(1));
    for round in 0..20 {
        let lines = (0..100).map(|number| {
            let (mac, port) = (number + round % 2 * 50, if round % 3 == 0 { "a1" } else { "a2" });
            format!("02:00:00:00:01:{mac:02x} vni 100 dev {port}\n")
        });
        let _ = replace(
            &daemon,
            "fdb replace owner plane vni 100",
            &(fixed.clone() + &lines.collect::<String>()),
        );
        let shown = daemon.list("fdb show owner plane");
        assert_eq!(shown.len(), 102, "a reader sees all of a replacement or nothing");
        stream.wait_for_more(5);
    }
    stream.stop().assert_complete();
    let flooded = seen.stop().count(&format!("ether dst {} and udp", net.b1.mac));
    assert_eq!(flooded, 0, "frames were flooded for want of an entry");
    assert_eq!(
        daemon.entry(100, &net.b1.mac).unwrap()["version"],
        version,
        "what stays is not written again"
    );
    let replaced = replace(&daemon, "fdb replace owner plane", "");
    assert_eq!((&replaced["removed"], daemon.list("fdb show owner other").len()), (&json!(102), 1));
}
