//! What the program takes from a device and what it leaves.

use std::env;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use xsk::{Chunk, LinkMode, Role, Socket, Steering, UplinkRules};

use crate::lab::{Namespace, enter, veth, wait_for};
use crate::packets;
use crate::raw::Raw;
use crate::sockets::{assert_complete, config, load, open};

/// An uplink with a socket and these rules.
struct Uplink {
    steering: Steering,
    socket: Socket,
    free: Vec<Chunk>,
    _attachment: xsk::Attachment,
}

impl Uplink {
    fn new(ifindex: u32, rules: &UplinkRules, mode: LinkMode) -> Self {
        let (steering, mut free) = load();
        steering.set_rules(rules).unwrap();
        let attachment = steering.attach(5, ifindex, Role::Uplink, mode).unwrap();
        let mut socket = Socket::open(steering.umem(), &config(ifindex, 0)).unwrap();
        steering.set_socket(5, 0, socket.as_fd()).unwrap();
        socket.fill(&mut free, 256);
        Self { steering, socket, free, _attachment: attachment }
    }

    /// Whether the socket gets this frame, rather than the kernel: one of the two counters moves.
    fn takes(&mut self, far: &Raw, frame: &[u8]) -> bool {
        let before = self.steering.counters(5).unwrap();
        far.send(frame);
        let mut after = before;
        wait_for("a frame to be steered", || {
            after = self.steering.counters(5).unwrap();
            let all = |it: &xsk::SteeringCounters| it.to_socket + it.to_kernel + it.strangers;
            all(&after) > all(&before)
        });
        let taken = after.to_socket > before.to_socket;
        let mut batch = Vec::new();
        if taken {
            wait_for("the frame in the ring", || self.socket.receive(&mut batch, 64) > 0);
            let mut chunk = batch.pop().unwrap();
            assert_eq!(crate::sockets::read(&self.steering, &mut chunk)[..frame.len()], *frame);
            self.free.push(chunk);
        }
        self.socket.fill(&mut self.free, 256);
        assert!(batch.is_empty());
        taken
    }
}

fn rules() -> UplinkRules {
    UplinkRules {
        addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        udp_ports: vec![4789, 8472],
        gre: true,
        peers: None,
    }
}

#[test]
fn an_uplink_takes_tunnel_packets_to_our_addresses_and_nothing_else() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    let ours: Ipv4Addr = "192.0.2.1".parse().unwrap();
    let other: Ipv4Addr = "192.0.2.2".parse().unwrap();
    let (ours6, other6) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
    here.within(|| {
        for mode in [LinkMode::Native, LinkMode::Generic] {
            let mut uplink = Uplink::new(here.ifindex("near"), &rules(), mode);
            let taken = [
                ("VXLAN", packets::udp4(ours, 4789)),
                ("VXLAN on another port", packets::udp4(ours, 8472)),
                ("VXLAN over IPv6", packets::udp6(ours6, 4789)),
                ("GRE", packets::ipv4(ours, 47, &[], None, &packets::gre())),
                ("GRE over IPv6", packets::ipv6(ours6, 47, &packets::gre())),
                ("VXLAN with IPv4 options", packets::ipv4(ours, 17, &[1; 12], None, &packets::udp(4789))),
                ("VXLAN with all IPv4 options", packets::ipv4(ours, 17, &[1; 40], None, &packets::udp(4789))),
                ("a first fragment", packets::ipv4(ours, 17, &[], Some((0, true)), &packets::udp(4789))),
                ("a first fragment of GRE", packets::ipv4(ours, 47, &[], Some((0, true)), &packets::gre())),
                ("a first fragment over IPv6", packets::fragment6(ours6, 0, &packets::udp(4789))),
                (
                    "a UDP header and nothing more",
                    packets::ipv4(ours, 17, &[], None, &packets::udp(4789)[..8]),
                ),
            ];
            for (what, frame) in &taken {
                assert!(uplink.takes(&far, frame), "{what}, {mode}");
            }
            let mut short_header = packets::udp4(ours, 4789);
            short_header[14] = 0x44;
            let mut version = packets::udp4(ours, 4789);
            version[14] = 0x65;
            let left = [
                ("VXLAN to another address", packets::udp4(other, 4789)),
                ("VXLAN to another IPv6 address", packets::udp6(other6, 4789)),
                ("UDP to another port", packets::udp4(ours, 4790)),
                ("UDP to port 0", packets::udp4(ours, 0)),
                ("ssh", packets::tcp4(ours, 22)),
                ("TCP to the VXLAN port", packets::tcp4(ours, 4789)),
                ("ICMP", packets::ipv4(ours, 1, &[], None, &[8; 64])),
                ("ICMPv6", packets::ipv6(ours6, 58, &[135; 64])),
                ("ARP", [&[255; 6][..], &packets::NEAR, &[0x08, 0x06], &[0; 46]].concat()),
                ("GRE to another address", packets::ipv4(other, 47, &[], None, &packets::gre())),
                ("IPv4 in GRE", packets::ipv4(ours, 47, &[], None, &packets::gre_of(0x0800))),
                ("PPTP over IPv6", packets::ipv6(ours6, 47, &packets::gre_of(0x880b))),
                ("a later fragment", packets::ipv4(ours, 17, &[], Some((100, false)), &packets::udp(4789))),
                ("a later fragment over IPv6", packets::fragment6(ours6, 100, &packets::udp(4789))),
                ("half a fragment header", packets::fragment6(ours6, 0, &[])[..58].to_vec()),
                ("a first fragment to another port", packets::fragment6(ours6, 0, &packets::udp(53))),
                ("a tagged frame", packets::tagged(&packets::udp4(ours, 4789))),
                ("an extension header", packets::ipv6(ours6, 0, &[17, 0, 1, 4, 0, 0, 0, 0])),
                ("a cut UDP header", packets::ipv4(ours, 17, &[], None, &packets::udp(4789)[..7])),
                ("a cut GRE header", packets::ipv4(ours, 47, &[], None, &packets::gre()[..3])),
                ("a header that is too short", short_header),
                ("another version", version),
                ("nothing but an Ethernet header", packets::udp4(ours, 4789)[..14].to_vec()),
                ("half an IPv4 header", packets::udp4(ours, 4789)[..24].to_vec()),
                ("half an IPv6 header", packets::udp6(ours6, 4789)[..40].to_vec()),
            ];
            for (what, frame) in &left {
                assert!(!uplink.takes(&far, frame), "{what}, {mode}");
            }
        }
    });
}

#[test]
fn rules_change_live() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let nothing = UplinkRules::default();
        let mut uplink = Uplink::new(here.ifindex("near"), &nothing, LinkMode::Native);
        let vxlan = packets::udp4("192.0.2.1".parse().unwrap(), 4789);
        let gre = packets::ipv4("192.0.2.1".parse().unwrap(), 47, &[], None, &packets::gre());
        assert!(!uplink.takes(&far, &vxlan));
        uplink.steering.set_rules(&rules()).unwrap();
        assert!(uplink.takes(&far, &vxlan) && uplink.takes(&far, &gre));
        uplink.steering.set_rules(&UplinkRules { gre: false, ..rules() }).unwrap();
        assert!(uplink.takes(&far, &vxlan) && !uplink.takes(&far, &gre));
        uplink.steering.set_rules(&UplinkRules { udp_ports: vec![8472], ..rules() }).unwrap();
        assert!(!uplink.takes(&far, &vxlan) && uplink.takes(&far, &gre));
        let elsewhere = UplinkRules { addresses: vec!["192.0.2.7".parse().unwrap()], ..rules() };
        uplink.steering.set_rules(&elsewhere).unwrap();
        assert!(!uplink.takes(&far, &vxlan) && !uplink.takes(&far, &gre));
        let nine = UplinkRules { udp_ports: (1..10).collect(), ..rules() };
        assert!(matches!(uplink.steering.set_rules(&nine), Err(xsk::Error::Configuration(_))));
    });
}

#[test]
fn strangers_are_dropped_and_counted() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let near = Raw::open(here.ifindex("near"));
        // Frames come from 192.0.2.9 and 2001:db8::9.
        let of = |peers: &[&str]| UplinkRules {
            peers: Some(peers.iter().map(|peer| peer.parse().unwrap()).collect()),
            ..rules()
        };
        let mut uplink = Uplink::new(here.ifindex("near"), &of(&[]), LinkMode::Native);
        let vxlan = packets::udp4("192.0.2.1".parse().unwrap(), 4789);
        let vxlan6 = packets::udp6("2001:db8::1".parse().unwrap(), 4789);
        near.receive();
        assert!(!uplink.takes(&far, &vxlan) && !uplink.takes(&far, &vxlan6));
        assert_eq!(uplink.steering.counters(5).unwrap().strangers, 2);
        assert!(near.receive().iter().all(|frame| *frame != vxlan), "a stranger's packet came to the host");
        // Nobody but us is protected: what is not for us goes where it went.
        assert!(!uplink.takes(&far, &packets::udp4("192.0.2.7".parse().unwrap(), 4789)));
        assert_eq!(uplink.steering.counters(5).unwrap().strangers, 2);
        uplink.steering.set_rules(&of(&["192.0.2.9"])).unwrap();
        assert!(uplink.takes(&far, &vxlan) && !uplink.takes(&far, &vxlan6));
        uplink.steering.set_rules(&of(&["2001:db8::9"])).unwrap();
        assert!(!uplink.takes(&far, &vxlan) && uplink.takes(&far, &vxlan6));
        // More peers than the program has at hand, ours the last of them.
        let mut many: Vec<String> = (20..60).map(|host| format!("192.0.2.{host}")).collect();
        many.push("192.0.2.9".into());
        uplink.steering.set_rules(&of(&many.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
        assert!(uplink.takes(&far, &vxlan));
        many.pop();
        uplink.steering.set_rules(&of(&many.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
        assert!(!uplink.takes(&far, &vxlan));
        uplink.steering.set_rules(&rules()).unwrap();
        assert!(uplink.takes(&far, &vxlan) && uplink.takes(&far, &vxlan6));
    });
}

#[test]
fn many_addresses_are_ours_and_stop_being_so() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let far = there.within(|| Raw::open(there.ifindex("far")));
    here.within(|| {
        let address = |n: u8| Ipv4Addr::new(192, 0, 2, n);
        let set = |numbers: &[u8]| UplinkRules {
            addresses: numbers.iter().map(|n| address(*n).into()).collect(),
            ..rules()
        };
        let all: Vec<u8> = (100..120).collect();
        let mut uplink = Uplink::new(here.ifindex("near"), &set(&all), LinkMode::Native);
        let taken = |uplink: &mut Uplink| -> Vec<u8> {
            (98..122).filter(|n| uplink.takes(&far, &packets::udp4(address(*n), 4789))).collect()
        };
        assert_eq!(taken(&mut uplink), all);
        // Some of the first and some of the last, in another order.
        let fewer = [119, 101, 103, 110];
        uplink.steering.set_rules(&set(&fewer)).unwrap();
        assert_eq!(taken(&mut uplink), [101, 103, 110, 119]);
        uplink.steering.set_rules(&set(&[])).unwrap();
        assert_eq!(taken(&mut uplink), []);
    });
}

#[test]
fn without_a_socket_an_access_port_is_silent_and_an_uplink_belongs_to_the_kernel() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    here.run(&["ip", "addr", "add", "192.0.2.1/24", "dev", "near"]);
    there.run(&["ip", "addr", "add", "192.0.2.9/24", "dev", "far"]);
    here.within(|| {
        let (steering, mut free) = load();
        steering.set_rules(&rules()).unwrap();
        let near = Raw::open(here.ifindex("near"));
        let far = there.within(|| Raw::open(there.ifindex("far")));
        let access = steering.attach(0, here.ifindex("near"), Role::Access, LinkMode::Native).unwrap();
        near.receive();
        for n in 0..10 {
            far.send(&packets::numbered(n, 64));
        }
        wait_for("frames to be counted", || steering.counters(0).unwrap().no_socket >= 10);
        assert!(
            near.receive().iter().all(|frame| packets::number(frame).is_none()),
            "a frame leaked to the host"
        );
        drop(access);
        assert!(!here.has_program("near"));
        let _uplink = steering.attach(0, here.ifindex("near"), Role::Uplink, LinkMode::Native).unwrap();
        assert_eq!(steering.counters(0).unwrap().no_socket, 0, "counters begin anew");
        there.run(&["ping", "-c", "1", "-W", "5", "192.0.2.1"]);
        far.send(&packets::udp4("192.0.2.1".parse().unwrap(), 4789));
        wait_for("the frame to be counted", || steering.counters(0).unwrap().no_socket == 1);
        near.expect(1, |frame| frame.len() > 38 && frame[36..38] == 4789u16.to_be_bytes());
        // With one, and after its end.
        let mut socket = Socket::open(steering.umem(), &config(here.ifindex("near"), 0)).unwrap();
        steering.set_socket(0, 0, socket.as_fd()).unwrap();
        socket.fill(&mut free, 100);
        far.send(&packets::udp4("192.0.2.1".parse().unwrap(), 4789));
        wait_for("the frame in the ring", || socket.outstanding().receive == 1);
        there.run(&["ping", "-c", "1", "-W", "5", "192.0.2.1"]);
        free.extend(socket.close());
        assert_complete(&steering, &free);
        far.send(&packets::udp4("192.0.2.1".parse().unwrap(), 4789));
        wait_for("the frame to be counted", || steering.counters(0).unwrap().no_socket == 2);
    });
}

#[test]
fn somebody_elses_program_is_left_alone() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    here.within(|| {
        let (theirs, mut free) = load();
        let ifindex = here.ifindex("near");
        for first in [LinkMode::Native, LinkMode::Generic] {
            let attachment = theirs.attach(0, ifindex, Role::Access, first).unwrap();
            let (ours, _) = load();
            for second in [LinkMode::Native, LinkMode::Generic] {
                let error = ours.attach(0, ifindex, Role::Access, second).err().unwrap();
                assert!(matches!(error, xsk::Error::ProgramPresent { .. }), "{first} {second}: {error}");
                let text = error.to_string();
                assert!(text.contains("device near already has an XDP program (id "), "{text}");
                assert!(text.contains("`ip link set near xdp off`"), "{text}");
            }
            drop(attachment);
            assert!(!here.has_program("near"));
            let ours = ours.attach(0, ifindex, Role::Access, first).unwrap();
            assert!(here.has_program("near"));
            drop(ours);
        }
        // Nor is one that was attached without a link.
        here.attach_foreign_program("near");
        let error = theirs.attach(0, ifindex, Role::Access, LinkMode::Native).err().unwrap();
        assert!(matches!(error, xsk::Error::ProgramPresent { .. }), "{error}");
        assert!(here.has_program("near"));
        here.run(&["ip", "link", "set", "near", "xdp", "off"]);
        let (attachment, mut sockets) = open(&theirs, 0, ifindex, 1, &mut free);
        drop(attachment);
        free.extend(sockets.pop().unwrap().close());
        assert_complete(&theirs, &free);
    });
}

#[test]
fn a_killed_process_leaves_no_program_and_the_queue_free() {
    const CHILD: &str = "XSK_TEST_NAMESPACE";
    if let Ok(namespace) = env::var(CHILD) {
        enter(&namespace);
        let (steering, mut free) = load();
        let ifindex = env::var("XSK_TEST_IFINDEX").unwrap().parse().unwrap();
        let _port = open(&steering, 0, ifindex, 1, &mut free);
        loop {
            std::thread::park();
        }
    }
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let ifindex = here.ifindex("near");
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "steering::a_killed_process_leaves_no_program_and_the_queue_free", "--nocapture"])
        .env(CHILD, &here.name)
        .env("XSK_TEST_IFINDEX", ifindex.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the child to attach", || here.has_program("near"));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the program to go", || !here.has_program("near"));
    here.within(|| {
        let (steering, mut free) = load();
        let (_attachment, mut sockets) = open(&steering, 0, ifindex, 1, &mut free);
        free.extend(sockets.pop().unwrap().close());
        assert_complete(&steering, &free);
    });
}
