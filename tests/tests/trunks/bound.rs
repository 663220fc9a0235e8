//! Whom a trunk is bound to, it is bound to in each of its VLANs.

use std::net::Ipv4Addr;

use serde_json::json;
use vtep_tests::frames::{self, RawSocket, octets};
use vtep_tests::wait::SOON;
use vtep_tests::{Capture, UdpStream, Variant, wait_until};

use super::{Net, OFTEN};

in_every_variant!(a_bound_trunk_forges_nothing_in_any_vlan);

fn a_bound_trunk_forges_nothing_in_any_vlan(variant: Variant) {
    const COUNT: usize = 20;
    let net = Net::new();
    net.linux();
    let daemon = net.vtepd(variant, 0);
    let bound = [&net.v10, &net.v20].map(|workload| format!("{},{}", workload.mac, workload.address));
    daemon.change(&format!("port guard t1 bind {}", bound.join("/")));
    net.assert_isolated();
    let stream = UdpStream::start(&net.v20, &net.b2, OFTEN);
    let seen = [&net.a1, &net.b1, &net.b2].map(Capture::received);
    let mut expected = daemon.drops("SPOOFED_SOURCE");
    // In VLAN 10 the address of a1, which is in its VNI, and in both a stranger's Ethernet and IPv4 addresses.
    let stranger = [2, 0, 0, 0, 0x66, 2];
    for (from, mac, address) in [
        (&net.v10, octets(&net.a1.mac), net.a1.address),
        (&net.v10, stranger, net.v10.address),
        (&net.v10, octets(&net.v10.mac), net.a1.address),
        (&net.v20, stranger, net.v20.address),
        (&net.v20, octets(&net.v20.mac), net.b2.address),
    ] {
        let to = (address, Ipv4Addr::BROADCAST);
        RawSocket::of(from)
            .repeat(&frames::udp((mac, frames::BROADCAST), to, (5000, 5020), b"forged"), COUNT);
        expected += COUNT as u64;
        wait_until("all are refused", SOON, || daemon.drops("SPOOFED_SOURCE") >= expected);
        stream.wait_for_more(2);
    }
    let entry = daemon.entry(100, &net.a1.mac).unwrap();
    assert_eq!((&entry["ifname"], &entry["moves"]), (&json!("a1"), &json!(0)), "a1's address was taken over");
    // Nor do others claim what the trunk is bound to, in the VNI where it is used.
    let to = (net.a1.address, Ipv4Addr::BROADCAST);
    let claim = frames::udp((octets(&net.v10.mac), frames::BROADCAST), to, (5000, 5020), b"forged");
    RawSocket::of(&net.a1).repeat(&claim, COUNT);
    expected += COUNT as u64;
    wait_until("the claim is refused", SOON, || daemon.drops("SPOOFED_SOURCE") >= expected);
    for seen in seen {
        assert_eq!(seen.stop().count("udp dst port 5020"), 0, "a forged frame came through");
    }
    stream.stop().assert_complete();
    net.assert_isolated();
}
