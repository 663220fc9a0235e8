//! Multicast: groups go where workloads' kernels have joined them, and a VNI floods to an underlay group that Linux vxlan
//! devices are members of.
//!
//! ```text
//!   a1 … a4 ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b5
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use vtep_tests::capture::{Capture, Witnesses};
use vtep_tests::frames::{self, BROADCAST, RawSocket, octets};
use vtep_tests::multicast;
use vtep_tests::trouble::Trouble;
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, LinuxVtep, Node, Segment, Underlay, Variant, Workload, wait_until};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

/// A datagram from a workload to a group.
fn data(from: &Workload, group: Ipv4Addr, port: u16) -> Vec<u8> {
    frames::udp(
        (octets(&from.mac), multicast::group_mac(group)),
        (from.address, group),
        (40_000, port),
        b"to all of you",
    )
}

/// A general query, or one about a group, that leaves hosts a second to answer.
fn query(from: &Workload, group: Option<Ipv4Addr>) -> Vec<u8> {
    let to = group.unwrap_or(ALL_HOSTS);
    multicast::igmp(octets(&from.mac), (from.address, to), 0x11, 10, group.unwrap_or(Ipv4Addr::UNSPECIFIED))
}

/// What `vtep-ctl mdb` says, a word for each entry.
fn known(daemon: &Daemon<'_>) -> Vec<String> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    let entries = daemon.list("mdb show vni 100");
    entries.iter().map(|entry| ["kind", "grp", "ifname"].map(|key| text(&entry[key])).join(" ")).collect()
}

/// A membership of the group by a workload's kernel, which leaves it when the value goes.
fn join(workload: &Workload) -> UdpSocket {
    workload.namespace.within(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5002)).expect("bind a UDP socket");
        socket.join_multicast_v4(&GROUP, &workload.address).expect("join a group");
        socket
    })
}

/// Waits until the group goes to its listeners alone, which it does once hosts have had the time to answer a query: then a
/// bystander hears the mark and not what was before it.
fn until_it_counts(socket: &mut RawSocket, sender: &Workload, bystander: &Capture) {
    let mut round = 6000;
    wait_until("the group goes to its listeners alone", SOON, || {
        round += 2;
        let (before, mark) = (format!("udp dst port {round}"), format!("udp dst port {}", round + 1));
        socket.send(&data(sender, GROUP, round));
        socket.send(&frames::datagram(sender, BROADCAST, round + 1));
        bystander.wait_for(&mark, 1);
        bystander.count(&before) == 0
    });
}

#[test]
fn groups_go_where_workloads_have_joined_them() {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node(1), underlay.node(2));
    let near = [1, 2, 3, 4].map(|number| a.workload(&format!("a{number}"), &format!("10.0.0.{number}")));
    let far = b.workload("b5", "10.0.0.5");
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).remote(&a).access(&far)]);
    let segment = near.iter().fold(Segment::vxlan(100).remote(&b), Segment::access);
    let daemon = Daemon::start(&a, Variant::ONE_WORKER, &[segment]);
    let [sender, listener, bystander, router] = &near;
    let witnesses = Witnesses::at(&[listener, bystander, router, &far]);
    let mut socket = RawSocket::of(sender);
    let mut questions = RawSocket::of(router);

    // Nobody asks, and so everybody gets it.
    socket.repeat(&data(sender, GROUP, 5001), 10);
    witnesses.expect("without a querier", "udp dst port 5001", &[10; 4]);

    let membership = join(listener);
    questions.send(&query(router, None));
    for expected in [&format!("group {GROUP} a2"), "router - a4", "querier 10.0.0.4 a4"] {
        wait_until(expected, SOON, || known(&daemon).iter().any(|entry| entry == expected));
    }
    until_it_counts(&mut socket, sender, witnesses.of(1));
    socket.repeat(&data(sender, GROUP, 5002), 10);
    socket.repeat(&data(sender, Ipv4Addr::new(239, 1, 2, 4), 5003), 10);
    socket.repeat(&data(sender, Ipv4Addr::new(224, 0, 0, 251), 5004), 10);
    witnesses.expect("a group that nobody has joined", "udp dst port 5003", &[10; 4]);
    witnesses.expect("a link-local group", "udp dst port 5004", &[10; 4]);
    witnesses.expect("the listener, the router and the peer", "udp dst port 5002", &[10, 0, 10, 10]);

    // Who leaves is asked whether others are there, and nobody answers.
    drop(membership);
    wait_until("the listener is forgotten", SOON, || {
        questions.send(&query(router, Some(GROUP)));
        !known(&daemon).iter().any(|entry| entry.starts_with("group"))
    });
    daemon.assert_balanced();
}

/// The address that says which uplink a group is joined on may come after the daemon.
#[test]
fn a_group_is_joined_once_the_local_address_is_there() {
    let underlay = Underlay::new();
    let a = underlay.node(1);
    a.namespace.ip("addr del 192.0.2.1/24 dev up0");
    let segment = Segment::vxlan(100).key("mcast_group = \"239.1.1.1\"");
    let daemon = Daemon::start(&a, Variant::ONE_WORKER, &[segment]);
    assert!(!daemon.log().contains("multicast group joined"));
    a.namespace.ip("addr add 192.0.2.1/24 dev up0");
    wait_until("the group is joined", SOON, || daemon.log().contains("multicast group joined"));
}

/// As with `fastleave` of Linux's bridge: who leaves is believed at once where only one host can be, and asked after elsewhere.
#[test]
fn a_port_with_fast_leave_is_left_without_a_question() {
    let underlay = Underlay::new();
    let a = underlay.node(1);
    let near = [1, 2, 3, 4, 5].map(|number| a.workload(&format!("a{number}"), &format!("10.0.0.{number}")));
    let segment = near.iter().fold(Segment::vxlan(100), Segment::access);
    let daemon = Daemon::start(&a, Variant::ONE_WORKER, &[segment]);
    let [sender, fast, slow, router, bystander] = &near;
    daemon.change("port set a2 fastleave on");
    assert_eq!([daemon.port("a2"), daemon.port("a3")].map(|port| port["fastleave"] == true), [true, false]);
    let witnesses = Witnesses::at(&[fast, slow, router, bystander]);
    let mut socket = RawSocket::of(sender);
    let memberships = [join(fast), join(slow)];
    RawSocket::of(router).send(&multicast::general_query(octets(&router.mac), router.address, 10));
    let is_member = |port: &str| known(&daemon).contains(&format!("group {GROUP} {port}"));
    wait_until("both are known", SOON, || is_member("a2") && is_member("a3"));
    until_it_counts(&mut socket, sender, witnesses.of(3));
    socket.repeat(&data(sender, GROUP, 5001), 10);
    witnesses.expect("both listeners and the router", "udp dst port 5001", &[10, 10, 10, 0]);

    drop(memberships);
    // A version 3 report behind an IPv4 header of 24 bytes, whose first record changes to include nobody.
    for workload in [fast, slow] {
        let left = format!("ip proto 2 and src host {} and ip[24] = 0x22 and ip[32] = 3", workload.address);
        witnesses.of(2).wait_for(&left, 1);
    }
    wait_until("the one is forgotten", SOON, || !is_member("a2"));
    assert!(is_member("a3"), "nobody has asked yet");
    socket.repeat(&data(sender, GROUP, 5003), 10);
    witnesses.expect("the other and the router", "udp dst port 5003", &[0, 10, 10, 0]);
    daemon.assert_balanced();
}

/// A remote that does not answer is withdrawn where it is named alone. The group reaches it all the same, as it reaches whoever
/// has joined, and so do frames to its workloads, which are nowhere learned to be: so they cross by the group, both ways, as
/// long as only the way from peer to peer is broken.
#[test]
fn a_withdrawn_peer_is_reached_by_the_underlay_group() {
    let underlay = Underlay::new();
    let nodes = [1, 2, 3].map(|number| underlay.node(number));
    let workloads = [1, 2, 3].map(|n| nodes[n - 1].workload(&format!("w{n}"), &format!("10.0.0.{n}")));
    let daemons: Vec<Daemon<'_>> = nodes
        .iter()
        .zip(&workloads)
        .map(|(node, workload)| {
            let others = nodes.iter().filter(|other| other.number != node.number);
            let segment = others.fold(Segment::vxlan(100).access(workload), Segment::remote);
            let segment = segment.key("mcast_group = \"239.1.1.1\"");
            let liveness = "liveness = { interval = \"100ms\", multiplier = 30 }";
            Daemon::start(node, Variant::ONE_WORKER, &[segment.key(liveness)])
        })
        .collect();
    let state = |at: usize, remote: &Node| {
        let remotes = daemons[at].list("remote show vni 100");
        let found = remotes.into_iter().find(|shown| shown["dst"] == remote.address.to_string());
        found.expect("a remote")["liveness"]["state"].clone()
    };
    let patient = 2 * SOON;
    wait_until("all know each other", patient, || {
        (0..3).all(|at| {
            nodes.iter().filter(|node| node.number as usize != at + 1).all(|node| state(at, node) == "up")
        })
    });
    let [w1, w2, w3] = &workloads;
    [w2, w3].iter().for_each(|other| w1.reaches(other));
    assert!(daemons[0].entry(100, &w2.mac).is_some());

    let cut = Trouble::from_node(&underlay, &nodes[1], "ip daddr 192.0.2.1");
    wait_until("both have withdrawn each other", SOON, || {
        state(0, &nodes[1]) == "down" && state(1, &nodes[0]) == "down"
    });
    wait_until("what was learned there is forgotten", SOON, || daemons[0].entry(100, &w2.mac).is_none());
    let witnesses = Witnesses::at(&[w1, w2, w3]);
    for (from, port, expected) in [(w1, 5001, [0, 10, 10]), (w2, 5002, [10, 0, 10]), (w3, 5003, [10, 10, 0])]
    {
        RawSocket::of(from).repeat(&frames::datagram(from, BROADCAST, port), 10);
        witnesses.expect("once to each", &format!("udp dst port {port}"), &expected);
    }
    assert!(daemons[0].entry(100, &w2.mac).is_none(), "nothing is learned from a withdrawn remote");
    w1.ping(w2.address, 10);
    w2.ping(w1.address, 10);
    w1.ping(w3.address, 10);
    assert!(daemons[0].entry(100, &w2.mac).is_none());
    assert_eq!(daemons[0].drops("VXLAN_NO_REMOTE"), 0, "no black hole");

    drop(cut);
    wait_until("both use each other again", patient, || {
        state(0, &nodes[1]) == "up" && state(1, &nodes[0]) == "up"
    });
    w1.ping(w2.address, 5);
    let dst = daemons[0].entry(100, &w2.mac).map(|entry| entry["dst"].clone());
    assert_eq!(dst, Some("192.0.2.2".into()), "it is learned again");
}

#[test]
fn groups_of_ipv6_are_known_from_reports_of_mld() {
    let underlay = Underlay::new();
    let a = underlay.node(1);
    let listener = a.workload("a1", "10.0.0.1");
    let daemon = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).access(&listener)]);
    let group: Ipv6Addr = "ff1e::1234".parse().unwrap();
    let _membership = listener.namespace.within(|| {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 5001)).expect("bind a UDP socket");
        socket.join_multicast_v6(&group, 0).expect("join a group");
        socket
    });
    wait_until("the report has been heard", SOON, || known(&daemon) == [format!("group {group} a1")]);
    daemon.change("vni replace 100 local 192.0.2.1 mcast-snooping off");
    wait_until("it is forgotten where nobody snoops", SOON, || known(&daemon).is_empty());
}

/// Linux vxlan devices on two nodes that flood to a group, and vtepd on a third. All of them learn from what they get.
fn over_an_underlay_group(group: IpAddr) {
    let underlay = Underlay::new();
    let nodes = [1, 2, 3].map(|number| underlay.node_with_ipv6(number));
    let workloads: Vec<Workload> = nodes
        .iter()
        .map(|node| node.workload(&format!("w{}", node.number), &format!("10.0.0.{}", node.number)))
        .collect();
    for (node, workload) in nodes.iter().zip(&workloads).skip(1) {
        linux_member(node, workload, group);
    }
    let segment = Segment::vxlan(100).access(&workloads[0]).key(&format!("mcast_group = \"{group}\""));
    let [a, b, c] = &nodes;
    let segment = if group.is_ipv4() { segment.remote(b).remote(c) } else { segment.remote6(b).remote6(c) };
    let daemon = Daemon::start(a, Variant::ONE_WORKER, &[segment]);
    let memberships = a.namespace.ip("maddr show dev up0");
    assert!(memberships.split_whitespace().any(|word| word == group.to_string()), "{memberships}");

    let capture = Capture::start(&underlay.namespace, &a.underlay_device);
    let witnesses = Witnesses::at(&[&workloads[1], &workloads[2]]);
    let mut socket = RawSocket::of(&workloads[0]);
    socket.repeat(&frames::datagram(&workloads[0], BROADCAST, 5001), 10);
    witnesses.expect("one copy for each member", "udp dst port 5001", &[10, 10]);
    for workload in &workloads[1..] {
        workload.reaches(&workloads[0]);
        workloads[0].ping(workload.address, 5);
    }
    // Each frame crossed the underlay once, to the group's Ethernet address; known unicast to its one peer.
    let mac = multicast::any_group_mac(group).map(|byte| format!("{byte:02x}")).join(":");
    let flooded = format!("dst host {group} and ether dst {mac} and udp dst port 4789");
    capture.wait_for(&flooded, 10);
    let captured = capture.stop();
    let broadcasts = captured.decoded("vxlan && udp.dstport == 5001", &["eth.dst"]);
    assert_eq!(broadcasts.len(), 10, "{broadcasts:?}");
    let family = if group.is_ipv4() { "ip" } else { "ipv6" };
    let unicast = format!("vxlan && icmp && {family}.dst == {group}");
    assert_eq!(captured.decoded(&unicast, &["frame.number"]), Vec::<String>::new());
    // Whoever sends to the group without being a remote is refused.
    daemon.change(&format!(
        "remote del {} vni 100",
        if group.is_ipv4() { IpAddr::from(c.address) } else { c.address6().into() }
    ));
    let before = daemon.drops("PEER_UNKNOWN");
    RawSocket::of(&workloads[2]).repeat(&frames::datagram(&workloads[2], BROADCAST, 5002), 10);
    wait_until("a stranger is refused", SOON, || daemon.drops("PEER_UNKNOWN") >= before + 10);
    daemon.assert_balanced();
}

/// A Linux vxlan device that is a member of the group, in a bridge with the workload's.
fn linux_member(node: &Node, workload: &Workload, group: IpAddr) {
    let local = if group.is_ipv4() { node.address.to_string() } else { node.address6().to_string() };
    let Node { namespace, .. } = node;
    namespace.ip("link add br100 type bridge mcast_snooping 0");
    namespace.ip(&format!(
        "link add vx100 type vxlan id 100 dstport 4789 ttl 64 local {local} group {group} dev up0"
    ));
    for device in ["vx100", &workload.name] {
        namespace.ip(&format!("link set {device} master br100 up"));
    }
    namespace.ip("link set br100 mtu 1500 up");
}

#[test]
fn an_ipv4_group_floods_to_linux_and_hears_it() {
    over_an_underlay_group([239, 1, 1, 1].into());
}

#[test]
fn an_ipv6_group_floods_to_linux_and_hears_it() {
    over_an_underlay_group("ff05::100".parse().unwrap());
}

/// Two ports of one VNI are the two ends of one wire: every flooded frame would come back for ever.
#[test]
fn a_loop_is_found_and_ended() {
    let underlay = Underlay::new();
    let (a, b) = (underlay.node(1), underlay.node(2));
    let (near, far) = (a.workload("a1", "10.0.0.1"), b.workload("b1", "10.0.0.2"));
    let _far = LinuxVtep::start(&b, &[Segment::vxlan(100).remote(&a).access(&far)]);
    let daemon = Daemon::start(&a, Variant::ONE_WORKER, &[Segment::vxlan(100).remote(&b).access(&near)]);
    near.reaches(&far);
    // What anybody else floods would loop as well, and its source be frozen at any of the places.
    for namespace in [&a.namespace, &b.namespace, &near.namespace, &far.namespace] {
        let _ =
            namespace.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
    }
    a.namespace.ip("link add l1 type veth peer name l2");
    for end in ["l1", "l2"] {
        a.namespace.ip(&format!("link set {end} up"));
        daemon.change(&format!("port add {end} vni 100"));
    }
    daemon.wait_for_ports();
    RawSocket::of(&near).send(&frames::datagram(&near, BROADCAST, 5001));
    wait_until("the loop is found", SOON, || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("is frozen") && line.contains(&near.mac));
        line.is_some_and(|line| line.contains("a1") && (line.contains("l1") || line.contains("l2")))
    });
    let entry = daemon.entry(100, &near.mac).expect("an entry");
    assert_eq!((&entry["ifname"], &entry["flags"][0]), (&"a1".into(), &"frozen".into()));
    // The answers' source is frozen in its turn, where it was before the loop.
    RawSocket::of(&far).send(&frames::datagram(&far, BROADCAST, 5002));
    wait_until("the far address is frozen", SOON, || {
        let entry = daemon.entry(100, &far.mac);
        entry.is_some_and(|entry| entry["flags"][0] == "frozen" && entry["dst"] == "192.0.2.2")
    });
    near.reaches(&far);
    assert!(daemon.drops("VXLAN_ENTRY_EXISTS") > 0);
    near.ping(far.address, 5);
    daemon.assert_balanced();
}
