//! Remotes that are asked whether they are there: lost and found again, over bad and broken paths, and with another
//! implementation of BFD at the other end.
//!
//! ```text
//!   a1 ── node 1 (vtepd) ── underlay, where packets get lost ── node 2 (vtepd or Open vSwitch) ── b1
//! ```

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use vtep_tests::filter::Tunnel;
use vtep_tests::frames::{self, Arp, RawSocket};
use vtep_tests::traffic::Transfer;
use vtep_tests::trouble::Trouble;
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, Daemon, OvsVtep, Pair, Segment, Variant, wait_until};

/// Patient enough for a busy machine: a remote is lost after three seconds.
const FAST: &str = "liveness = { interval = \"100ms\", multiplier = 30 }";
/// Where no remote may be lost, however busy the machine: after ten.
const PATIENT: &str = "liveness = { interval = \"100ms\", multiplier = 100 }";

/// Both daemons with these words for liveness.
fn daemons<'n>(net: &'n Pair, variant: Variant, segment: &Segment, words: &str) -> [Daemon<'n>; 2] {
    let segment = segment.clone().key(words);
    [(&net.a, &net.a1, &net.b), (&net.b, &net.b1, &net.a)].map(|(node, workload, other)| {
        Daemon::start(node, variant, &[segment.clone().access(workload).remote(other)])
    })
}

fn liveness(daemon: &Daemon<'_>) -> Value {
    daemon.list("remote show")[0]["liveness"].clone()
}

fn is(daemon: &Daemon<'_>, state: &str) -> bool {
    liveness(daemon)["state"] == state
}

in_every_variant!(a_silent_remote_is_withdrawn_and_comes_back);

fn a_silent_remote_is_withdrawn_and_comes_back(variant: Variant) {
    let net = Pair::with_ipv6();
    let [near, far] = daemons(&net, variant, &Segment::vxlan(100), FAST);
    wait_until("both know each other", SOON, || is(&near, "up") && is(&far, "up"));
    net.a1.reaches(&net.b1);
    assert_eq!(near.entry(100, &net.b1.mac).unwrap()["dst"], net.b.address.to_string());
    assert_eq!(near.list("fdb show vni 100").len(), 2, "no switch's own address is learned");

    let cut = Trouble::from_node(&net.underlay, &net.b, "");
    wait_until("node 2 is withdrawn", SOON, || is(&near, "down"));
    wait_until("node 2 hears that it is not heard", SOON, || is(&far, "down"));
    assert_eq!(near.entry(100, &net.b1.mac), None, "what was learned behind it is forgotten");
    let before = near.drops("VXLAN_NO_REMOTE");
    net.a1.does_not_reach(net.b1.address);
    wait_until("nothing is sent to it any more", SOON, || near.drops("VXLAN_NO_REMOTE") > before);
    let table = near.ctl("remote show").output();
    assert!(table.contains("nothing came within the detection time"), "{table}");

    drop(cut);
    wait_until("both are used again", SOON, || is(&near, "up") && is(&far, "up"));
    net.a1.reaches(&net.b1);
    net.a1.ping(net.b1.address, 20);
    let shown = liveness(&near);
    assert!(shown["rtt_us"].as_u64().is_some(), "{shown}");
    assert!(near.drops("BFD") > 0 && near.drops("BFD_INVALID") == 0);
    // Healthy BFD is no loss.
    assert!(near.show("status")["balance"]["taken"].as_u64() > Some(0));
}

#[test]
fn a_remote_over_gre_is_asked_as_well() {
    let net = Pair::with_ipv6();
    let [near, far] = daemons(&net, Variant::ONE_WORKER, &Segment::gre(100), FAST);
    wait_until("both know each other", SOON, || is(&near, "up") && is(&far, "up"));
    net.a1.reaches(&net.b1);
    near.change(&format!("remote replace {} vni 100 liveness off", net.b.address));
    wait_until("node 2 is told that it is no fault", SOON, || is(&far, "init"));
    assert_eq!(liveness(&near), Value::Null);
    net.b1.ping(net.a1.address, 3);
}

/// A workload that claims one address after the other makes much to tell; what keeps remotes in use has a way of its own.
#[test]
fn a_flood_of_neighbours_takes_no_remote_away() {
    let net = Pair::with_ipv6();
    let [near, far] = daemons(&net, Variant::ONE_WORKER, &Segment::vxlan(100), PATIENT);
    wait_until("both know each other", SOON, || is(&near, "up") && is(&far, "up"));
    net.a1.reaches(&net.b1);
    let mut socket = RawSocket::of(&net.a1);
    let mut number = 0_u32;
    // For longer than a remote may be silent: at most a quarter is taken off an interval.
    let heard = near.drops("BFD");
    wait_until("more is said than is told, and goes on", SOON, || {
        for _ in 0..4096 {
            number += 1;
            let [_, a, b, c] = number.to_be_bytes();
            let sender = Arp { sender_mac: [2, 1, 0, a, b, c], ..Arp::request(&net.a1, net.b1.address) };
            socket.send(&Arp { sender: Ipv4Addr::new(11, a, b, c), ..sender }.frame());
        }
        near.calls("lost_events") > 0 && near.drops("BFD") > heard + 150
    });
    for daemon in [&near, &far] {
        assert!(is(daemon, "up") && !daemon.log().contains("withdrawn"), "{}", liveness(daemon));
    }
    net.a1.reaches(&net.b1);
}

/// The end of a remote, or of its VNI, is no fault of the other side's.
#[test]
fn a_removed_remote_is_told_that_it_is_no_fault() {
    let net = Pair::with_ipv6();
    let [near, far] = daemons(&net, Variant::TWO_WORKERS, &Segment::vxlan(100), PATIENT);
    wait_until("both know each other", SOON, || is(&near, "up") && is(&far, "up"));
    near.change(&format!("remote del {} vni 100", net.b.address));
    wait_until("node 2 hears of the remote's end", SOON, || {
        assert!(!is(&far, "down"), "it takes the end for a loss");
        is(&far, "init")
    });
    near.change(&format!("remote add {} vni 100", net.b.address));
    wait_until("both know each other again", SOON, || is(&near, "up") && is(&far, "up"));
    near.change("port del a1");
    near.change("vni del 100");
    wait_until("node 2 hears of the VNI's end", SOON, || {
        assert!(!is(&far, "down"), "it takes the end for a loss");
        is(&far, "init")
    });
}

#[test]
fn a_remote_over_ipv6_is_asked_as_well() {
    let net = Pair::with_ipv6();
    let segment = Segment::vxlan(100).key(FAST);
    let near = segment.clone().access(&net.a1).remote6(&net.b);
    let near = Daemon::start(&net.a, Variant::ONE_WORKER, &[near]);
    let far = Daemon::start(&net.b, Variant::ONE_WORKER, &[segment.access(&net.b1).remote6(&net.a)]);
    wait_until("both know each other", SOON, || is(&near, "up") && is(&far, "up"));
    wait_until("the path MTU is known", SOON, || liveness(&near)["mtu"] == 1600);
    net.a1.reaches(&net.b1);
    let cut = Trouble::from_node(&net.underlay, &net.b, "");
    wait_until("node 2 is withdrawn", SOON, || is(&near, "down"));
    drop(cut);
    wait_until("it is used again", SOON, || is(&near, "up"));
}

/// Two packets in five are lost: a session may come up over that now and then, the remote is not used for it.
#[test]
fn a_remote_that_answers_now_and_then_stays_withdrawn() {
    let net = Pair::with_ipv6();
    let words = "liveness = { interval = \"50ms\", multiplier = 20, recovery = 100 }";
    let [near, far] = daemons(&net, Variant::ONE_WORKER, &Segment::vxlan(100), words);
    wait_until("both know each other", SOON, || is(&near, "up") && is(&far, "up"));
    let cut = Trouble::from_node(&net.underlay, &net.b, "");
    wait_until("node 2 is withdrawn", SOON, || is(&near, "down"));
    let bad = Trouble::from_node(&net.underlay, &net.a, "numgen random mod 100 < 40");
    drop(cut);
    let heard = near.drops("BFD");
    let since = liveness(&near)["since"].as_u64().unwrap();
    wait_until("much has been heard", SOON, || {
        let shown = liveness(&near);
        assert_eq!(
            (&shown["state"], shown["since"].as_u64() >= Some(since)),
            (&json!("down"), true),
            "{shown}"
        );
        near.drops("BFD") > heard + 30
    });
    drop(bad);
    wait_until("it is used again once nothing is lost", SOON, || is(&near, "up"));
}

#[test]
fn a_dead_path_of_the_underlay_is_named_while_the_remote_stays_up() {
    let net = Pair::with_ipv6();
    let words = "liveness = { interval = \"50ms\", multiplier = 200 }";
    let [near, far] = daemons(&net, Variant::ONE_WORKER, &Segment::vxlan(100), words);
    wait_until("both know each other", SOON, || is(&near, "up") && is(&far, "up"));
    let paths = |shown: &Value| shown["paths"].as_array().unwrap().clone();
    wait_until("every path has been tried", SOON, || {
        paths(&liveness(&near)).iter().all(|path| path["sent"].as_u64() > Some(0))
    });
    let dead = paths(&liveness(&near))[3]["source_port"].as_u64().unwrap();
    let _trouble = Trouble::from_node(&net.underlay, &net.a, &format!("udp sport {dead}"));
    wait_until("the path, and no other, is known to be dead", SOON, || {
        let shown = liveness(&near);
        let of_dead: Vec<_> = paths(&shown).into_iter().filter(|path| path["dead"] == true).collect();
        assert_eq!(shown["state"], "up", "{shown}");
        of_dead.len() == 1 && of_dead[0]["source_port"] == dead
    });
    let table = near.ctl("remote show").output();
    assert!(table.contains("DEAD PATHS") && table.contains(&dead.to_string()), "{table}");
}

#[test]
fn a_black_hole_is_named_and_measured() {
    let net = Pair::with_ipv6();
    let hole = Trouble::among(&net.underlay, &[&net.a, &net.b], "ip length > 1450");
    let words = "liveness = { interval = \"50ms\", multiplier = 200 }";
    let [near, far] = daemons(&net, Variant::ONE_WORKER, &Segment::vxlan(100), words);
    wait_until("both know each other", SOON, || is(&near, "up") && is(&far, "up"));
    wait_until("the path MTU and the hole are known", SOON, || {
        let shown = liveness(&near);
        shown["mtu"] == 1450 && shown["black_hole"].is_u64()
    });
    let table = near.ctl("remote show").output();
    assert!(table.contains("1450, black hole above for"), "{table}");
    let path = || near.list("remote show")[0]["path_mtu"].clone();
    wait_until("what is larger is refused", SOON, || path()["inner"] == 1400);
    assert_eq!((&path()["mtu"], &path()["source"]), (&json!(1450), &json!("probe")));
    // A workload's TCP would hang without being told.
    Transfer::FULL.run(&net.a1, &net.b1);

    let wire = net.wire();
    drop(hole);
    wait_until("the hole is gone", SOON, || {
        let shown = liveness(&near);
        shown["mtu"] == 1600 && shown["black_hole"].is_null() && path()["source"] == "link"
    });
    // The largest packets carried the mark that forbids to fragment them, as an independent decoder sees them.
    wire.wait_for("ip[2:2] = 1600", 1);
    let large = wire.stop().decoded("ip.len == 1600", &["ip.flags.df", "frame.len"]);
    let whole = |line: &String| line.starts_with(['1', 'T']) && line.ends_with("1614");
    assert!(!large.is_empty() && large.iter().all(whole), "{large:?}");
}

/// RFC 8971 as Open vSwitch has it, with the Ethernet address that IANA gave to it.
#[test]
fn open_vswitch_s_bfd_is_answered() {
    let net = Pair::with_ipv6();
    let ovs = OvsVtep::start(&net.b, &[Segment::vxlan(100).access(&net.b1).remote(&net.a)]);
    OvsVtep::complete_checksums(&net.b1);
    ovs.configure(
        "set interface vxlan100-1 bfd:enable=true bfd:min_rx=300 bfd:min_tx=300 bfd:mult=20 \
         bfd:bfd_local_dst_mac=00:00:5e:00:52:02 bfd:bfd_remote_dst_mac=00:00:5e:00:52:02 \
         bfd:bfd_src_ip=127.0.0.1 bfd:bfd_dst_ip=127.0.0.1",
    );
    let segment = Segment::vxlan(100).access(&net.a1).remote(&net.b);
    let near = segment.key("liveness = { multiplier = 20 }");
    let near = Daemon::start(&net.a, Variant::ONE_WORKER, &[near]);
    let state = |words: &str| ovs.configure(&format!("get interface vxlan100-1 bfd_status:{words}"));
    wait_until("node 1 takes node 2 to be up", SOON, || is(&near, "up"));
    wait_until("Open vSwitch takes node 1 to be up", SOON, || state("state").trim() == "up");
    assert!(near.drops("BFD") > 0);
    net.a1.reaches(&net.b1);

    let wire = net.wire();
    wire.wait_for(&Tunnel::vxlan(100).to("00:00:5e:00:52:02"), 6);
    let decoded =
        wire.stop().decoded("bfd && ip.src == 192.0.2.1", &["bfd.sta", "bfd.version", "udp.dstport"]);
    assert!(
        !decoded.is_empty() && decoded.iter().all(|line| line.starts_with("0x03\t1\t4789,3784")),
        "{decoded:?}"
    );

    let cut = Trouble::from_node(&net.underlay, &net.b, "");
    wait_until("node 2 is withdrawn", SOON, || is(&near, "down"));
    drop(cut);
    wait_until("both agree again", SOON, || is(&near, "up") && state("state").trim() == "up");
}

#[test]
fn a_workload_cannot_speak_for_its_switch() {
    let net = Pair::with_ipv6();
    let [near, far] = daemons(&net, Variant::ONE_WORKER, &Segment::vxlan(100), FAST);
    wait_until("both know each other", SOON, || is(&near, "up") && is(&far, "up"));
    let wire = Capture::received(&net.b1);
    let frame = frames::datagram(&net.a1, [0, 0, 0x5e, 0, 0x52, 2], 3784);
    RawSocket::of(&net.a1).repeat(&frame, 20);
    wait_until("they are dropped", SOON, || near.drops("BFD_INVALID") == 20);
    near.wait_for_refusal("BFD_INVALID", "a1");
    assert_eq!(far.drops("BFD_INVALID"), 0);
    net.a1.reaches(&net.b1);
    assert_eq!(wire.stop().count("ether dst 00:00:5e:00:52:02"), 0);
}
