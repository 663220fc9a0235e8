//! Frames of several chunks have tags too.

use vtep_tests::traffic::Transfer;
use vtep_tests::wait::SOON;
use vtep_tests::{LinuxVtep, Variant, wait_until};

use super::Net;
use crate::jumbo::{ECHO, UNDERLAY, WORKLOADS, pings};
use crate::mtu::path_mtu;

/// From a VLAN through the tunnel and back, from VLAN to access port, and untagged as the native VLAN.
///
/// ```text
///   v10 ── VLAN 10 ┐ host ── t1 ┐
///   host, untagged ┘            ├ node 1 (vtepd) ── 9000 ── node 2 (Linux vxlan + bridge) ── b1
///                          a1 ──┘
/// ```
#[test]
fn packets_of_8950_bytes_pass_a_trunk() {
    let net = Net::new();
    let far = LinuxVtep::start(&net.b, &net.far());
    net.a.set_mtu(UNDERLAY);
    net.b.set_mtu(UNDERLAY);
    far.set_mtu(100, WORKLOADS);
    net.b1.set_mtu(&net.b, WORKLOADS);
    net.a1.set_mtu(&net.a, WORKLOADS);
    net.host.set_mtu(&net.a, &[&net.v10], WORKLOADS);
    let daemon = net.vtepd(Variant::ONE_WORKER, 0);
    net.v10.reaches(&net.b1);
    wait_until("the path is wide", SOON, || path_mtu(&daemon)["inner"] == WORKLOADS);
    let whole = format!("-M do -s {ECHO}");
    for (from, to) in [(&net.v10, &net.b1), (&net.b1, &net.v10), (&net.v10, &net.a1), (&net.a1, &net.v10)] {
        pings(from, &whole, to);
    }
    Transfer::FULL.run(&net.v10, &net.b1);
    Transfer::FULL.run(&net.b1, &net.v10);
    daemon.change("port set t1 native 10");
    net.host.untagged.reaches(&net.b1);
    pings(&net.host.untagged, &whole, &net.b1);
    pings(&net.b1, &whole, &net.host.untagged);
    daemon.assert_balanced();
}
