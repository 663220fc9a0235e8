//! Trunk ports: each VLAN is a VNI, and nothing comes from one into another, whatever is changed while frames pass. Far sides
//! are Linux, with a bridge for each VNI, and Open vSwitch, with one bridge for all VLANs.
//!
//! ```text
//!   v10 ┐
//!   v20 ┼ eth0 of a host ── t1 ┐
//!   t1  ┘ (untagged)           ├ node 1 (vtepd) ── underlay ── node 2 (Linux, OVS or vtepd) ── b1 in VNI 100, b2 in VNI 200
//!                      a1 ─────┘
//! ```

mod bound;
mod jumbo;
mod tags;

use std::time::Duration;

use serde_json::json;
use vtep_tests::capture::Witnesses;
use vtep_tests::config_text::vni;
use vtep_tests::frames::{self, BROADCAST, RawSocket};
use vtep_tests::traffic::Transfer;
use vtep_tests::wait::SOON;
use vtep_tests::{
    Capture, Daemon, LinuxVtep, Node, OvsVtep, Segment, TrunkHost, UdpStream, Underlay, Variant, Workload,
    wait_until,
};

in_every_variant!(vlans_are_their_vnis_and_nothing_else);

struct Net {
    _underlay: Underlay,
    a: Node,
    b: Node,
    host: TrunkHost,
    v10: Workload,
    v20: Workload,
    a1: Workload,
    b1: Workload,
    b2: Workload,
}

/// The VLANs of `t1` in most tests.
const BOTH: &[(u16, u32)] = &[(10, 100), (20, 200)];
/// Often enough that the loss of a moment shows.
const OFTEN: Duration = Duration::from_millis(1);

impl Net {
    fn new() -> Self {
        let underlay = Underlay::new();
        let (a, b) = (underlay.node(1), underlay.node(2));
        let host = TrunkHost::new(&a, "t1", "10.0.0.9");
        let (v10, v20) = (host.vlan(10, "v10", "10.0.0.1"), host.vlan(20, "v20", "10.0.0.3"));
        let a1 = a.workload("a1", "10.0.0.5");
        let (b1, b2) = (b.workload("b1", "10.0.0.2"), b.workload("b2", "10.0.0.4"));
        Self { _underlay: underlay, a, b, host, v10, v20, a1, b1, b2 }
    }

    /// Node 1 with this trunk.
    fn config(&self, variant: Variant, vlans: &[(u16, u32)], native: u16) -> String {
        let first = Segment::vxlan(100).access(&self.a1).remote(&self.b);
        let second = vni(&self.a, &Segment::vxlan(200).remote(&self.b));
        variant.config(&self.a, &[first]) + &second + &self.host.port(variant, vlans, native)
    }

    fn vtepd(&self, variant: Variant, native: u16) -> Daemon<'_> {
        Daemon::ready(&self.a, &self.config(variant, BOTH, native))
    }

    fn far(&self) -> [Segment; 2] {
        let first = Segment::vxlan(100).access(&self.b1).remote(&self.a);
        [first, Segment::vxlan(200).access(&self.b2).remote(&self.a)]
    }

    fn linux(&self) {
        let _ = LinuxVtep::start(&self.b, &self.far());
    }

    /// Open vSwitch on node 2, which has one bridge for all VLANs: VLAN 1000 is VNI 100, VLAN 2000 is VNI 200. `ways` are the
    /// ports that lead to node 1.
    fn open_vswitch(&self, ways: &str) -> OvsVtep {
        for workload in [&self.b1, &self.b2] {
            OvsVtep::complete_checksums(workload);
        }
        let switch = OvsVtep::start(&self.b, &[]);
        let _ = switch.configure(&format!(
            "add-br lan -- set bridge lan datapath_type=netdev -- add-port lan b1 tag=1000 -- add-port lan b2 tag=2000 {ways}"
        ));
        switch
    }

    /// Each VLAN reaches those of its VNI and no others, in either direction.
    fn assert_isolated(&self) {
        self.v10.reaches(&self.b1);
        self.v20.reaches(&self.b2);
        self.a1.reaches(&self.v10);
        self.v10.ping(self.b1.address, 5);
        self.b2.ping(self.v20.address, 5);
        for (from, to) in
            [(&self.v10, &self.b2), (&self.v20, &self.b1), (&self.v10, &self.v20), (&self.b2, &self.a1)]
        {
            from.does_not_reach(to.address);
        }
    }
}

fn vlans_are_their_vnis_and_nothing_else(variant: Variant) {
    let net = Net::new();
    net.linux();
    let daemon = net.vtepd(variant, 0);
    net.assert_isolated();
    let at_trunk = |vni: u32, workload: &Workload| {
        let entry = daemon.entry(vni, &workload.mac);
        entry.is_some_and(|entry| entry["ifname"] == "t1")
    };
    assert!(at_trunk(100, &net.v10) && at_trunk(200, &net.v20));
    assert!(!at_trunk(200, &net.v10) && !at_trunk(100, &net.v20));
    // Whole segments and odd ones, whose checksums are left to the device behind the tag.
    Transfer::FULL.run(&net.v10, &net.b1);
    Transfer::FULL.run(&net.b1, &net.v10);
    Transfer::SMALL.run(&net.v20, &net.b2);
    Transfer::FULL.run(&net.a1, &net.v10);
    // Floods reach each receiver once, and none in another VLAN.
    let witnesses = Witnesses::at(&[&net.v10, &net.v20, &net.a1, &net.b1, &net.b2]);
    for (sender, port, expected) in [
        (&net.v10, 5001, [0, 0, 10, 10, 0]),
        (&net.v20, 5002, [0, 0, 0, 0, 10]),
        (&net.a1, 5003, [10, 0, 0, 10, 0]),
        (&net.b1, 5004, [10, 0, 10, 0, 0]),
        (&net.b2, 5005, [0, 10, 0, 0, 0]),
    ] {
        RawSocket::of(sender).repeat(&frames::datagram(sender, BROADCAST, port), 10);
        witnesses.expect(
            &format!("broadcasts from {}", sender.name),
            &format!("udp dst port {port}"),
            &expected,
        );
    }
    // Without a native VLAN there is nobody for untagged frames, nor for those of other VLANs.
    let before = daemon.drops("VLAN_NOT_ALLOWED");
    net.host.untagged.does_not_reach(net.b1.address);
    wait_until("they are counted", SOON, || daemon.drops("VLAN_NOT_ALLOWED") > before);
    daemon.wait_for_refusal("VLAN_NOT_ALLOWED", "t1");
    let port = daemon.port("t1");
    assert_eq!(port["vlans"], json!([{ "vlan": 10, "vni": 100 }, { "vlan": 20, "vni": 200 }]), "{port}");
    assert_eq!((&port["role"], &port["native"]), (&json!("trunk"), &json!(null)), "{port}");
}

/// As `vxlan_bridge_1q` of the kernel's selftests toggles the PVID: untagged traffic goes where the native VLAN says, and the
/// traffic of other VLANs does not notice.
#[test]
fn the_native_vlan_is_toggled_while_frames_pass() {
    let net = Net::new();
    net.linux();
    let daemon = net.vtepd(Variant::TWO_WORKERS, 0);
    net.v10.reaches(&net.b1);
    net.v20.reaches(&net.b2);
    let streams = UdpStream::both_ways(&net.v10, &net.b1, OFTEN);
    let untagged = &net.host.untagged;
    untagged.does_not_reach(net.b2.address);
    for _ in 0..3 {
        daemon.change("port set t1 native 20");
        assert_eq!(daemon.port("t1")["native"], 20);
        untagged.reaches(&net.b2);
        untagged.does_not_reach(net.b1.address);
        // What is for VLAN 20 leaves without a tag now, so the VLAN device does not get it.
        net.v20.does_not_reach(net.b2.address);
        daemon.change("port set t1 native 0");
        untagged.does_not_reach(net.b2.address);
        net.v20.reaches(&net.b2);
    }
    for stream in streams {
        stream.wait_for_more(10);
        stream.stop().assert_complete();
    }
    daemon.change("port set t1 native 10");
    untagged.reaches(&net.b1);
    untagged.reaches(&net.a1);
    untagged.does_not_reach(net.b2.address);
    daemon.ctl("port set t1 native 30").assert_fails(1, &["native VLAN 30 of port t1", "10, 20"]);
    daemon.ctl("port set a1 native 10").assert_fails(1, &["port a1 is no trunk"]);
}

/// A VLAN goes and comes, and becomes another one; the others do not notice, and nothing of what was known behind it stays.
#[test]
fn vlans_change_while_frames_pass() {
    let net = Net::new();
    net.linux();
    let daemon = net.vtepd(Variant::TWO_WORKERS, 0);
    net.v10.reaches(&net.b1);
    let streams = UdpStream::both_ways(&net.v10, &net.b1, OFTEN);
    let fixed = "02:00:00:00:77:01";
    let behind = || {
        let entries = daemon.list("fdb show vni 200 dev t1");
        entries.iter().filter_map(|entry| entry["mac"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        net.v20.reaches(&net.b2);
        daemon.change(&format!("fdb add {fixed} vni 200 dev t1"));
        assert!(behind().contains(&net.v20.mac) && behind().contains(&fixed.to_owned()));
        daemon.change("port set t1 vlans 10,100");
        assert_eq!(behind(), Vec::<String>::new());
        net.v20.does_not_reach(net.b2.address);
        assert_eq!(behind(), Vec::<String>::new());
        daemon.change("port set t1 vlans 10,100/20,200");
    }
    // Another VLAN is another place, though the VNI stays; what was written stays.
    net.v20.reaches(&net.b2);
    daemon.change(&format!("fdb add {fixed} vni 200 dev t1"));
    daemon.change("port set t1 vlans 10,100/21,200");
    assert_eq!(behind(), [fixed]);
    let v21 = net.host.vlan(21, "v21", "10.0.0.6");
    v21.reaches(&net.b2);
    net.v20.does_not_reach(net.b2.address);
    for stream in streams {
        stream.wait_for_more(10);
        stream.stop().assert_complete();
    }
    daemon
        .ctl("port set t1 vlans 10,100/10,200")
        .assert_fails(1, &["VLAN 10 of port t1", "keep one of the two"]);
    daemon.ctl("port set t1 vlans 10,7").assert_fails(1, &["VNI 7 is not configured"]);
    daemon.ctl("vni del 200").assert_fails(1, &["VNI 200 has ports: t1"]);
    daemon.ctl("fdb add 02:00:00:00:77:02 vni 300 dev t1").assert_fails(1, &["VNI 300"]);
    // Live, as a whole.
    daemon.change("port del t1");
    net.v10.does_not_reach(net.b1.address);
    let namespace = net.host.untagged.namespace.name();
    daemon.change(&format!("port add t1 vlans 10,100/20,200 native 20 netns {namespace}"));
    net.v10.reaches(&net.b1);
    net.host.untagged.reaches(&net.b2);
}

/// A switch whose tunnels are ports of VLANs as workloads are.
#[test]
fn a_bridge_with_tunnels_for_its_vlans_understands_each() {
    let net = Net::new();
    let tunnel = |vlan: u16, vni: u32| {
        let words =
            format!("type=vxlan options:local_ip={} options:remote_ip={}", net.b.address, net.a.address);
        format!("-- add-port lan vx{vni} tag={vlan} -- set interface vx{vni} {words} options:key={vni} ")
    };
    let _far = net.open_vswitch(&(tunnel(1000, 100) + &tunnel(2000, 200)));
    let daemon = net.vtepd(Variant::ONE_WORKER, 0);
    net.assert_isolated();
    Transfer::FULL.run(&net.v10, &net.b1);
    Transfer::FULL.run(&net.b2, &net.v20);
    daemon.change("port set t1 native 20");
    net.host.untagged.reaches(&net.b2);
}

/// Another switch at the other end of a trunk: what the one calls native the other does, and neither minds priorities.
#[test]
fn a_switch_behind_a_trunk_understands_every_tag() {
    let net = Net::new();
    let namespace = net.b.namespace.name();
    net.a.namespace.ip(&format!("link add s1 type veth peer name s1 netns {namespace}"));
    net.a.namespace.ip("link set s1 up");
    net.b.namespace.ip("link set s1 up");
    let switch = net.open_vswitch("-- add-port lan s1 trunks=1000,2000 vlan_mode=trunk");
    // No remotes: the trunk is the only way.
    let variant = Variant::ONE_WORKER;
    let second = vni(&net.a, &Segment::vxlan(200));
    let config = variant.config(&net.a, &[Segment::vxlan(100).access(&net.a1)]) + &second;
    let config = config + &net.host.port(variant, BOTH, 0);
    let trunk = [(1000, 100), (2000, 200)];
    let s1 = format!("{}\nnamespace = \"{namespace}\"", vtep_tests::trunk::key(&trunk));
    let daemon = Daemon::with_config(&net.a, &(config + &variant.port("s1", &s1)));
    daemon.wait_for_ports();
    net.assert_isolated();
    Transfer::FULL.run(&net.a1, &net.b1);
    Transfer::FULL.run(&net.b2, &net.v20);
    let _ = switch.configure("set port s1 vlan_mode=native-untagged tag=2000");
    daemon.change("port set s1 native 2000");
    net.assert_isolated();
    let _ = switch.configure("set port s1 vlan_mode=native-tagged");
    daemon.change("port set s1 native 0");
    net.assert_isolated();
    // One that is untagged at one end alone reaches nobody, and no other VLAN either.
    daemon.change("port set s1 native 1000");
    net.a1.does_not_reach(net.b1.address);
    net.a1.does_not_reach(net.b2.address);
    net.v20.reaches(&net.b2);
}

/// Trunks at both ends, each with its own VLANs; a reload and an end without warning.
#[test]
fn trunks_meet_reload_and_come_back() {
    let net = Net::new();
    let other = TrunkHost::new(&net.b, "t2", "10.0.0.19");
    let (w7, w8) = (other.vlan(7, "w7", "10.0.0.11"), other.vlan(8, "w8", "10.0.0.13"));
    let variant = Variant::ONE_WORKER;
    let config = variant.config(&net.b, &net.far()) + &other.port(variant, &[(7, 100), (8, 200)], 0);
    let _far = Daemon::with_config(&net.b, &config);
    let mut near = net.vtepd(variant, 0);
    net.v10.reaches(&w7);
    net.v20.reaches(&w8);
    net.v10.reaches(&net.b1);
    net.v20.does_not_reach(w7.address);
    net.v10.does_not_reach(w8.address);
    // An inner tag is carried from trunk to trunk.
    let at_w7 = Capture::received(&w7);
    let plain = frames::datagram(&net.v10, frames::octets(&w7.mac), 5010);
    let tagged = [&plain[..12], &[0x81, 0, 0, 5], &plain[12..]].concat();
    RawSocket::of(&net.v10).repeat(&tagged, 10);
    at_w7.wait_for("vlan 5 and udp dst port 5010", 10);
    // SIGHUP: what differs is changed in place.
    let streams = UdpStream::both_ways(&net.v10, &w7, OFTEN);
    near.rewrite(&net.config(variant, &[(10, 100)], 10));
    near.hang_up();
    wait_until("VLAN 20 is gone", SOON, || near.port("t1")["vlans"] == json!([{ "vlan": 10, "vni": 100 }]));
    assert_eq!(near.port("t1")["native"], 10);
    net.v20.does_not_reach(w8.address);
    near.rewrite(&net.config(variant, BOTH, 0));
    near.hang_up();
    net.v20.reaches(&w8);
    let [out, _back] = streams;
    out.wait_for_more(10);
    let _ = out.stop();
    near.kill9();
    near.launch();
    net.v10.reaches(&w7);
    net.v20.reaches(&w8);
    net.v10.does_not_reach(w8.address);
}
