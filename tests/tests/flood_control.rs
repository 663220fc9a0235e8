//! Flood control: what is flooded to whom is the same as behind a Linux bridge with the same settings, and a storm is no
//! harm to others.
//!
//! ```text
//!   a1 … a4 ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b1 … b4
//! ```

use std::process::Command;
use std::time::Duration;

use vtep_tests::capture::Witnesses;
use vtep_tests::frames::{self, BROADCAST, RawSocket, octets};
use vtep_tests::process::Process;
use vtep_tests::wait::SOON;
use vtep_tests::{
    Alone, Daemon, LinuxVtep, Node, Segment, UdpStream, Underlay, Variant, Workload, programs, wait_until,
};

in_every_variant!(a_storm_costs_known_unicast_nothing, a_storm_at_line_rate_costs_known_unicast_nothing);

const UNKNOWN: [u8; 6] = [2, 9, 9, 9, 9, 9];
const GROUP: [u8; 6] = [0x01, 0x00, 0x5e, 0x01, 0x02, 0x03];

struct Net {
    a: Node,
    b: Node,
    near: [Workload; 4],
    far: [Workload; 4],
    _underlay: Underlay,
}

impl Net {
    fn new() -> Self {
        let underlay = Underlay::new();
        let (a, b) = (underlay.node(1), underlay.node(2));
        let near = [1, 2, 3, 4].map(|number| a.workload(&format!("a{number}"), &format!("10.0.0.{number}")));
        let far = [5, 6, 7, 8].map(|number| b.workload(&format!("b{number}"), &format!("10.0.0.{number}")));
        Self { a, b, near, far, _underlay: underlay }
    }

    fn segment(workloads: &[Workload], remote: &Node) -> Segment {
        workloads.iter().fold(Segment::vxlan(100).remote(remote), Segment::access)
    }

    fn vtepd(&self) -> Daemon<'_> {
        Daemon::start(&self.a, Variant::ONE_WORKER, &[Self::segment(&self.near, &self.b)])
    }

    fn linux(&self) -> LinuxVtep<'_> {
        LinuxVtep::start(&self.b, &[Self::segment(&self.far, &self.a)])
    }

    /// Sets the same on a port of vtepd and on the port at the same place of the Linux bridge, in the words that both have.
    fn set(&self, daemon: &Daemon<'_>, port: usize, words: &str) {
        daemon.change(&format!("port set {} {}", self.near[port].name, words.replace('_', "-")));
        self.b.namespace.bridge(&format!("link set dev {} {words}", self.far[port].name));
    }

    /// Sends ten frames of each kind from the first workload of each side, and expects each kind at the workloads of
    /// either side alike: near senders reach `own` on their side and `other` across, and the reverse.
    fn expect(&self, own: [[usize; 4]; 3], other: [[usize; 4]; 3]) {
        let all: Vec<&Workload> = self.near.iter().chain(&self.far).collect();
        let witnesses = Witnesses::at(&all);
        for (side, sender) in [&self.near[0], &self.far[0]].into_iter().enumerate() {
            let mut socket = RawSocket::of(sender);
            let port = |kind: usize| 5001 + u16::try_from(side * 10 + kind).expect("a small number");
            for (kind, to) in [UNKNOWN, GROUP, BROADCAST].into_iter().enumerate() {
                socket.repeat(&frames::datagram(sender, to, port(kind)), 10);
            }
            // Known unicast comes last, and reaches its one receiver whatever is not flooded to it.
            let receivers = [3, 7].map(|index: usize| all[index]);
            for receiver in receivers {
                socket.send(&frames::datagram(sender, octets(&receiver.mac), port(9)));
            }
            witnesses.expect(
                "known unicast",
                &format!("udp dst port {}", port(9)),
                &[0, 0, 0, 1, 0, 0, 0, 1],
            );
            for kind in 0..3 {
                let (own, other) = (own[kind], other[kind]);
                let expected = if side == 0 { [own, other].concat() } else { [other, own].concat() };
                let what = format!("kind {kind} from {}", sender.name);
                witnesses.expect(&what, &format!("udp dst port {}", port(kind)), &expected);
            }
        }
    }

    /// Everybody's address becomes known to both switches.
    fn meet(&self) {
        for workload in self.near[1..].iter().chain(&self.far) {
            self.near[0].reaches(workload);
        }
        self.near.iter().for_each(|workload| workload.reaches(&self.far[0]));
    }
}

#[test]
fn kinds_are_flooded_as_behind_a_linux_bridge() {
    let net = Net::new();
    let (_far, near) = (net.linux(), net.vtepd());
    net.meet();
    net.expect([[0, 10, 10, 10]; 3], [[10; 4]; 3]);
    net.set(&near, 1, "flood off");
    net.set(&near, 2, "mcast_flood off");
    net.set(&near, 3, "bcast_flood off");
    net.expect(
        [[0, 0, 10, 10], [0, 10, 0, 10], [0, 10, 10, 0]],
        [[10, 0, 10, 10], [10, 10, 0, 10], [10, 10, 10, 0]],
    );
    let port = &near.list("port show")[1];
    assert_eq!(
        (&port["ifname"], &port["flood"], &port["mcast_flood"]),
        (&"a2".into(), &false.into(), &true.into())
    );
    near.assert_balanced();
}

#[test]
fn isolated_ports_hear_what_they_do_behind_a_linux_bridge() {
    let net = Net::new();
    let (_far, near) = (net.linux(), net.vtepd());
    net.meet();
    net.set(&near, 0, "isolated on");
    net.set(&near, 1, "isolated on");
    net.expect([[0, 0, 10, 10]; 3], [[10; 4]; 3]);
    // Known unicast between two of them goes nowhere, on either side.
    let witnesses = Witnesses::at(&[&net.near[1], &net.far[1], &net.near[2], &net.far[2]]);
    for side in [&net.near, &net.far] {
        let mut socket = RawSocket::of(&side[0]);
        for receiver in [1, 2] {
            socket.send(&frames::datagram(&side[0], octets(&side[receiver].mac), 5099));
        }
    }
    witnesses.expect("unicast from an isolated port", "udp dst port 5099", &[0, 0, 1, 1]);
    // And what a2's kernel asks a1's meanwhile, to see whether a1 is still there.
    assert!(near.drops("ISOLATED") >= 1);
}

#[test]
fn a_domain_floods_what_its_switches_say() {
    let net = Net::new();
    let (_far, near) = (net.linux(), net.vtepd());
    net.meet();
    near.change("vni replace 100 local 192.0.2.1 flood off mcast-flood off");
    net.near[0].reaches(&net.far[0]);
    let witnesses = Witnesses::at(&[&net.near[1], &net.far[1]]);
    let mut socket = RawSocket::of(&net.near[0]);
    for (to, port) in [(UNKNOWN, 5001), (GROUP, 5002), (BROADCAST, 5003)] {
        socket.repeat(&frames::datagram(&net.near[0], to, port), 10);
    }
    witnesses.expect("broadcast", "udp dst port 5003", &[10, 10]);
    witnesses.expect("unknown unicast and multicast", "udp dst port 5001 or udp dst port 5002", &[0, 0]);
    assert!(near.drops("FLOOD_OFF") >= 20);
}

/// Broadcasts of a workload from a generator that runs in the kernel on one CPU: so many a second, or as many as it can.
fn storm(sender: &Workload, rate: Option<&str>) -> Process {
    let mut generate = Command::new(programs::pktgen());
    generate.args(["generate", &format!("{}/eth0", sender.namespace.name()), "--json"]);
    generate.args(["--cpu", "1", "--source-mac", &sender.mac, "--destination-mac", "ff:ff:ff:ff:ff:ff"]);
    Process::start(generate.args(rate.into_iter().flat_map(|rate| ["--rate", rate])))
}

/// One workload's broadcasts come in at fifty times the limit; what others say to each other meanwhile all arrives.
fn a_storm_costs_known_unicast_nothing(variant: Variant) {
    // The generator takes a good part of a CPU.
    let _alone = Alone::on_the_machine();
    let net = Net::new();
    let _far = net.linux();
    let near = Daemon::start(&net.a, variant, &[Net::segment(&net.near[..2], &net.b)]);
    net.near[1].reaches(&net.far[1]);
    near.change("port set a1 storm-limit 1000");
    let stream = UdpStream::start(&net.near[1], &net.far[1], Duration::from_millis(1));
    let storm = storm(&net.near[0], Some("50k"));
    wait_until("many more frames than the limit came", SOON, || near.drops("STORM_LIMIT") > 20_000);
    stream.wait_for_more(500);
    drop(storm);
    stream.stop().assert_complete();
    near.assert_balanced();
    near.wait_for_refusal("STORM_LIMIT", "a1");
}

/// Frames that the kernel has dropped on any CPU because too many waited between two devices (`netdev_max_backlog`).
fn kernel_backlog_drops(node: &Node) -> u64 {
    let text = node.namespace.run("cat /proc/net/softnet_stat");
    let second =
        |line: &str| line.split_whitespace().nth(1).and_then(|word| u64::from_str_radix(word, 16).ok());
    text.lines().map(|line| second(line).unwrap_or_else(|| panic!("{text}"))).sum()
}

/// As many broadcasts as a CPU can make, some twenty times what a port floods by default, and then without any limit, when
/// they are more than a worker takes. Either way nothing is lost of what others say to each other: what is too much stays in
/// the storm's own receive ring, each port's ring has its turn in every round of the worker, and copies leave room for known
/// unicast on the way to another worker. Behind vtepd copies and known unicast share the kernel's queues on the way to the
/// receiver, which the CPU that the generator leaves does not always empty in time: what those dropped may be missing.
///
/// With bursts to veths there is one more such queue, of 256 frames at the device's other end, which nobody counts by what was
/// in it; the generator has the CPU that empties it for itself for milliseconds. There it is asserted that traffic goes on and
/// that every frame is accounted for, and no more.
fn a_storm_at_line_rate_costs_known_unicast_nothing(variant: Variant) {
    // The generator takes a CPU, and leaves others' traffic no more of it than this.
    let _alone = Alone::on_the_machine();
    let net = Net::new();
    let _far = net.linux();
    let near = Daemon::start(&net.a, variant, &[Net::segment(&net.near[..2], &net.b)]);
    net.near[1].reaches(&net.far[1]);
    let surplus =
        || ["STORM_LIMIT", "RX_RING_FULL", "RX_DROPPED"].iter().map(|reason| near.drops(reason)).sum::<u64>();
    for change in [None, Some("port set a1 storm-limit 0")] {
        change.iter().for_each(|change| near.change(change));
        let streams = UdpStream::both_ways(&net.near[1], &net.far[1], Duration::from_millis(1));
        let (before, dropped) = (surplus(), kernel_backlog_drops(&net.b));
        let storm = storm(&net.near[0], None);
        wait_until("a million frames more than are flooded came", 3 * SOON, || {
            surplus() > before + 1_000_000
        });
        streams.iter().for_each(|stream| stream.wait_for_more(500));
        drop(storm);
        let reports = streams.map(UdpStream::stop);
        if variant.transmit != "burst" {
            let dropped = kernel_backlog_drops(&net.b) - dropped;
            for report in reports {
                assert_eq!((report.repeated, report.reordered), (0, 0), "{report:?}");
                assert!(report.sent - report.received <= dropped, "{report:?}, and {dropped} by the kernel");
            }
        }
    }
    near.assert_balanced();
}

/// An address that two workloads use in turn stays where it was first, and the other's frames are dropped.
#[test]
fn an_address_that_moves_too_often_is_frozen() {
    let net = Net::new();
    let (_far, near) = (net.linux(), net.vtepd());
    net.meet();
    let mac = "02:00:00:00:0c:01";
    let senders = [&net.near[0], &net.near[1]];
    let place = || near.entry(100, mac).map(|entry| entry["ifname"].as_str().unwrap_or_default().to_owned());
    // It appears at a1, then moves five times.
    for turn in 0..6 {
        let sender = senders[turn % 2];
        let frame =
            frames::udp((octets(mac), BROADCAST), (sender.address, sender.address), (1, 5001), b"mine");
        RawSocket::of(sender).send(&frame);
        let expected = if turn == 5 { "a1" } else { &sender.name };
        wait_until("the address is there", SOON, || place().as_deref() == Some(expected));
    }
    wait_until("the address is frozen", SOON, || {
        near.entry(100, mac).is_some_and(|entry| entry["flags"][0] == "frozen" && entry["ifname"] == "a1")
    });
    let witnesses = Witnesses::at(&[&net.near[2], &net.far[0]]);
    for (sender, port) in [(senders[1], 5002), (senders[0], 5003)] {
        let frame =
            frames::udp((octets(mac), BROADCAST), (sender.address, sender.address), (1, port), b"mine");
        RawSocket::of(sender).repeat(&frame, 10);
    }
    witnesses.expect("from where it was first", "udp dst port 5003", &[10, 10]);
    witnesses.expect("from elsewhere", "udp dst port 5002", &[0, 0]);
    assert!(near.drops("VXLAN_ENTRY_EXISTS") >= 10);
    assert!(near.log().contains("moves too often and is frozen"), "{}", near.log());
    // It tells of its moves for as long as it is frozen, and is a learned entry as any other.
    let frozen = || near.entry(100, mac).expect("the frozen entry");
    let version = frozen()["version"].clone();
    wait_until("the control thread has looked after its entries", SOON, || {
        frozen()["last_move"].as_u64().is_none_or(|ago| ago > 2)
    });
    let entry = frozen();
    assert_eq!(
        (&entry["moves"], &entry["moved_from"], &entry["version"], &entry["kind"]),
        (&5.into(), &"a2".into(), &version, &"dynamic".into()),
        "{entry}"
    );
    assert!(near.list("fdb show vni 100 dynamic").contains(&frozen()));
    // Who has mended the loop need not wait.
    near.change("fdb flush vni 100 dev a1");
    let frame =
        frames::udp((octets(mac), BROADCAST), (senders[1].address, senders[1].address), (1, 5004), b"mine");
    RawSocket::of(senders[1]).send(&frame);
    wait_until("the address is at a2", SOON, || place().as_deref() == Some("a2"));
}
