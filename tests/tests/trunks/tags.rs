//! Tags that a workload leaves to its device are not in its frames: where vtepd can, it has them written there, and where it
//! cannot, it says so, and what arrives untagged is not taken for a VLAN that nobody named.

use vtep_tests::config_text::vni;
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, Namespace, Segment, Variant, wait_until};

use super::{BOTH, Net};

/// The features by which a device leaves tags beside frames that it sends.
fn left(namespace: &Namespace, device: &str) -> [bool; 2] {
    let features = namespace.run(&format!("ethtool -k {device}"));
    ["tx-vlan-offload: on", "tx-vlan-stag-hw-insert: on"].map(|feature| features.contains(feature))
}

#[test]
fn tags_are_seen_where_the_namespace_is_known() {
    let net = Net::new();
    net.linux();
    let host = &net.host.untagged.namespace;
    assert_eq!(left(host, "eth0"), [true; 2], "the kernel's default");
    let daemon = net.vtepd(Variant::ONE_WORKER, 0);
    let seen = |name: &str| daemon.port(name)["tags"]["seen"] == true;
    wait_until("tags are seen", SOON, || seen("t1"));
    assert_eq!(left(host, "eth0"), [false; 2]);
    net.v10.reaches(&net.b1);
    // At a device that comes back as well.
    net.a.namespace.ip("link set t1 down");
    let _ = host.run("ethtool -K eth0 txvlan on tx-vlan-stag-hw-insert on");
    net.a.namespace.ip("link set t1 up");
    wait_until("tags are seen again", SOON, || left(host, "eth0") == [false; 2]);
    net.v10.reaches(&net.b1);
    // Service tags are not a trunk's: without a native VLAN they are dropped, and none is taken for another.
    let s10 = net.host.service_vlan(10, "s10", "10.0.0.7");
    s10.does_not_reach(net.b1.address);
    daemon.change("port set t1 native 20");
    s10.does_not_reach(net.b2.address);
    // An access port's tags are carried or dropped, so they are to be seen too.
    let a1 = net.a1.namespace.name();
    daemon.change("port del a1");
    daemon.change(&format!("port add a1 vni 100 netns {a1}"));
    wait_until("tags of an access port are seen", SOON, || seen("a1"));
    assert_eq!(left(&net.a1.namespace, "eth0"), [false; 2]);
    assert!(daemon.ctl("port show a1").output().contains("tags      seen"));
    assert!(daemon.port("up0")["tags"].is_null());
}

#[test]
fn tags_that_may_be_hidden_are_told_and_go_nowhere() {
    let net = Net::new();
    net.linux();
    let variant = Variant::ONE_WORKER;
    let first = Segment::vxlan(100).access(&net.a1).remote(&net.b);
    let second = vni(&net.a, &Segment::vxlan(200).remote(&net.b));
    let trunk = variant.port("t1", &vtep_tests::trunk::key(BOTH));
    let daemon = Daemon::with_config(&net.a, &(variant.config(&net.a, &[first]) + &second + &trunk));
    daemon.wait_for_ports();
    let port = daemon.port("t1");
    assert_eq!(port["tags"]["seen"], false, "{port}");
    let reason = port["tags"]["reason"].to_string();
    for part in ["the other end of t1", "`namespace`", "ethtool -K DEVICE txvlan off"] {
        assert!(reason.contains(part), "{part:?} is not in {reason}");
    }
    assert!(daemon.ctl("port show t1").output().contains("perhaps hidden: the other end of t1"));
    let warnings = |log: &str| log.lines().filter(|line| line.contains("VLAN tags may be hidden")).count();
    assert_eq!(warnings(&daemon.log()), 1, "of the trunk alone, and once");
    // The tag is beside the frame: nobody named a VLAN for that.
    net.v10.does_not_reach(net.b1.address);
    wait_until("it is counted", SOON, || daemon.drops("VLAN_NOT_ALLOWED") > 0);
    let host = &net.host.untagged.namespace;
    assert_eq!(left(host, "eth0"), [true; 2], "nobody's namespace is touched");
    let _ = host.run("ethtool -K eth0 txvlan off");
    net.v10.reaches(&net.b1);
    // A wrong name is told as well.
    daemon.change("port del t1");
    daemon.change("port add t1 vlans 10,100 netns vtep-no-such-namespace");
    let port = daemon.port("t1");
    assert!(port["tags"]["reason"].to_string().contains("cannot be opened"), "{port}");
    assert_eq!(warnings(&daemon.log()), 2);
}

#[test]
fn tags_are_seen_from_an_end_in_our_own_namespace() {
    let net = Net::new();
    net.linux();
    let daemon = net.vtepd(Variant::ONE_WORKER, 0);
    net.a.namespace.ip("link add in0 type veth peer name in1");
    net.a.namespace.ip("link set in0 up");
    net.a.namespace.ip("link set in1 up");
    assert_eq!(left(&net.a.namespace, "in1"), [true; 2]);
    daemon.change("port add in0 vlans 30,100");
    assert_eq!(daemon.port("in0")["tags"]["seen"], true);
    assert_eq!(left(&net.a.namespace, "in1"), [false; 2]);
    assert_eq!(left(&net.a.namespace, "in0"), [true; 2], "our own end writes no tags by the kernel");
    // A device that is no veth says by itself whether it takes tags out.
    net.a.namespace.ip("tuntap add tap0 mode tap");
    net.a.namespace.ip("link set tap0 up");
    daemon.change("port add tap0 vlans 40,100");
    assert_eq!(daemon.port("tap0")["tags"]["seen"], true, "{}", daemon.port("tap0"));
}
