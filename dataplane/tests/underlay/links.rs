//! Devices and local addresses.

use dataplane::underlay::{Address, Peer};

use crate::follow::{Follower, ip};
use crate::namespace::{Namespace, Pair};

#[test]
fn a_namespace_without_devices_has_a_loopback_that_is_down() {
    let namespace = Namespace::new();
    let mut follower = Follower::new(namespace.underlay());
    let names: Vec<_> = follower.underlay.links().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["lo"]);
    let link = follower.link("lo");
    assert!(link.loopback && !link.up && !link.running);
    assert_eq!((link.ifindex, link.kind.as_deref(), link.peer), (1, None, None));
    assert_eq!(follower.underlay.addresses().count(), 0);
    assert!(follower.underlay.link("up0").is_none());
    assert!(follower.underlay.link_by_index(2).is_none());
    follower.until("no change", |_| true);
    assert!(!follower.seen().any());
}

#[test]
fn the_first_look_has_what_is_there() {
    let pair = Pair::new();
    pair.near.ip("link add wide numrxqueues 4 numtxqueues 3 type veth peer name narrow");
    pair.near.ip("link add br0 type bridge");
    pair.near.ip("link set wide address 02:00:00:00:00:0a mtu 1400");
    let underlay = pair.near.underlay();

    let wide = underlay.link("wide").unwrap();
    assert_eq!((wide.rx_queues, wide.tx_queues, wide.mtu), (4, 3, 1400));
    assert_eq!(wide.mac.unwrap().to_string(), "02:00:00:00:00:0a");
    assert_eq!(wide.kind.as_deref(), Some("veth"));
    assert!(!wide.up && !wide.loopback);
    let narrow = underlay.link("narrow").unwrap();
    assert_eq!(wide.peer, Some(Peer { ifindex: narrow.ifindex, namespace: None }));
    assert_eq!(narrow.peer, Some(Peer { ifindex: wide.ifindex, namespace: None }));
    assert_eq!(underlay.link_by_index(wide.ifindex), Some(wide));
    assert_eq!(underlay.link("br0").unwrap().kind.as_deref(), Some("bridge"));

    let uplink = underlay.link("up0").unwrap();
    let far = pair.far.underlay();
    let peer = uplink.peer.unwrap();
    assert_eq!(peer.ifindex, far.link("up0").unwrap().ifindex);
    assert!(peer.namespace.is_some(), "it is in another namespace");

    let expected =
        Address { ifindex: uplink.ifindex, address: ip("10.0.0.1"), prefix_length: 24, tentative: false };
    assert_eq!(underlay.address(ip("10.0.0.1")), [expected]);
    let expected =
        Address { ifindex: uplink.ifindex, address: ip("fd00::1"), prefix_length: 64, tentative: false };
    assert_eq!(underlay.address(ip("fd00::1")), [expected]);
    assert_eq!(underlay.address(ip("10.0.0.2")), []);
}

#[test]
fn a_device_is_followed_from_its_making_to_its_end() {
    let namespace = Namespace::new();
    let mut follower = Follower::new(namespace.underlay());

    namespace.ip("link add v0 type veth peer name v1");
    follower.until("both ends are there", |view| view.link("v0").is_some() && view.link("v1").is_some());
    assert!(follower.seen().links);
    let ifindex = follower.link("v0").ifindex;

    namespace.ip("link set v0 up");
    follower.until("up without carrier", |view| view.link("v0").is_some_and(|link| link.up && !link.carrier));
    assert!(!follower.link("v0").running);
    namespace.ip("link set v1 up");
    follower.until("carrier", |view| view.link("v0").is_some_and(|link| link.carrier && link.running));

    namespace.ip("link set v0 mtu 1234");
    follower.until("the MTU", |view| view.link("v0").is_some_and(|link| link.mtu == 1234));
    namespace.ip("link set v0 address 02:00:00:00:00:bb");
    follower.until("the MAC", |view| {
        view.link("v0").and_then(|link| link.mac).is_some_and(|mac| mac.to_string() == "02:00:00:00:00:bb")
    });

    namespace.ip("link set v0 name fresh");
    follower.until("the new name", |view| view.link("fresh").is_some());
    assert!(follower.underlay.link("v0").is_none());
    assert_eq!(follower.link("fresh").ifindex, ifindex);

    namespace.ip("link set v1 down");
    follower.until("carrier lost", |view| view.link("fresh").is_some_and(|link| link.up && !link.running));
    namespace.ip("link set fresh down");
    follower.until("down", |view| view.link("fresh").is_some_and(|link| !link.up));

    namespace.ip("address add 10.9.0.1/24 dev fresh");
    follower.until("the address", |view| !view.address(ip("10.9.0.1")).is_empty());
    follower.forget_changes();
    namespace.ip("link del fresh");
    follower.until_seen("both ends are gone", |view, seen| {
        seen.links && view.link("fresh").is_none() && view.link("v1").is_none()
    });
    assert!(follower.underlay.link_by_index(ifindex).is_none());
    follower.until("its address is gone", |view| view.address(ip("10.9.0.1")).is_empty());
    assert!(follower.seen().addresses && follower.seen().routes.any());
}

#[test]
fn names_that_change_hands_lead_to_the_right_device() {
    let namespace = Namespace::new();
    namespace.ip("link add v0 type veth peer name v1");
    let mut follower = Follower::new(namespace.underlay());
    let (first, second) = (follower.link("v0").ifindex, follower.link("v1").ifindex);
    namespace.ip("link set v0 name spare");
    namespace.ip("link set v1 name v0");
    namespace.ip("link set spare name v1");
    follower.until("the names are swapped", |view| {
        let named = |name, ifindex| view.link(name).is_some_and(|link| link.ifindex == ifindex);
        named("v0", second) && named("v1", first)
    });
    assert!(follower.underlay.link("spare").is_none());
}

#[test]
fn a_bridge_port_that_leaves_its_bridge_stays_a_device() {
    let namespace = Namespace::new();
    namespace.ip("link add br0 type bridge");
    namespace.ip("link add v0 type veth peer name v1");
    namespace.ip("address add 10.9.0.1/24 dev v0");
    let mut follower = Follower::new(namespace.underlay());
    namespace.ip("link set v0 master br0");
    namespace.ip("link set v0 nomaster");
    // Notifications come in order: when this one is here, those of the bridge have been.
    namespace.ip("link set v1 mtu 1300");
    follower.until("the mark", |view| view.link("v1").is_some_and(|link| link.mtu == 1300));
    assert!(follower.underlay.link("v0").is_some());
    assert_eq!(follower.underlay.address(ip("10.9.0.1")).len(), 1);
}

#[test]
fn a_device_that_leaves_the_namespace_is_gone_and_comes_back() {
    let pair = Pair::new();
    let mut follower = Follower::new(pair.near.underlay());
    pair.near.ip(&format!("link set up0 netns {} name moved", pair.far.name()));
    follower.until("it is gone with its addresses", |view| {
        view.link("up0").is_none() && view.address(ip("10.0.0.1")).is_empty()
    });
    pair.far.ip(&format!("link set moved netns {} name up0", pair.near.name()));
    follower.until("it is back", |view| view.link("up0").is_some());
}

#[test]
fn addresses_are_followed() {
    let pair = Pair::new();
    let mut follower = Follower::new(pair.near.underlay());
    let ifindex = follower.link("up0").ifindex;

    pair.near.ip("address add 10.0.0.7/32 dev up0");
    pair.near.ip("address add 10.0.0.7/32 dev lo");
    follower.until("on two devices", |view| view.address(ip("10.0.0.7")).len() == 2);
    assert!(follower.seen().addresses);
    pair.near.ip("address del 10.0.0.7/32 dev lo");
    follower.until(
        "on one device",
        |view| matches!(view.address(ip("10.0.0.7")), [address] if address.ifindex == ifindex),
    );
    pair.near.ip("address del 10.0.0.7/32 dev up0");
    follower.until("nowhere", |view| view.address(ip("10.0.0.7")).is_empty());

    // The near end's address counts, not the far end's.
    pair.near.ip("address add 10.0.0.8 peer 10.0.0.88/32 dev up0");
    follower.until("point-to-point", |view| !view.address(ip("10.0.0.8")).is_empty());
    assert_eq!(follower.underlay.address(ip("10.0.0.88")), []);

    // Three seconds of it, so that both states are seen.
    pair.near.set("ipv6/conf/up0/dad_transmits", 3);
    pair.near.ip("address add fd00::7/64 dev up0");
    follower.until("tentative", |view| matches!(view.address(ip("fd00::7")), [address] if address.tentative));
    follower.forget_changes();
    follower.until_seen("usable", |view, seen| {
        seen.addresses && matches!(view.address(ip("fd00::7")), [address] if !address.tentative)
    });
}
