//! The kernel's routing decisions.

use std::collections::BTreeSet;

use dataplane::underlay::{NoRoute, Route};

use crate::follow::{Follower, ip};
use crate::namespace::{Namespace, Pair};

/// A pair with a second wire, `up1`, 10.0.1.0/24 and fd00:1::/64 alike.
fn two_wires() -> Pair {
    let pair = Pair::new();
    pair.near.ip(&format!("link add up1 type veth peer name up1 netns {}", pair.far.name()));
    pair.configure("up1", "10.0.1", "fd00:1:");
    pair
}

fn running(follower: &mut Follower, name: &str) -> u32 {
    follower.until("the device runs", |view| view.link(name).is_some_and(|link| link.running));
    follower.link(name).ifindex
}

fn refusal(follower: &mut Follower, local: &str, remote: &str) -> (NoRoute, String) {
    let refusal = follower.route(local, remote).unwrap_err();
    let text = refusal.to_string();
    (refusal, text)
}

#[test]
fn a_remote_on_the_link_needs_no_gateway() {
    let pair = Pair::new();
    let mut follower = Follower::new(pair.near.underlay());
    let ifindex = running(&mut follower, "up0");
    let expected = Route { ifindex, gateway: None, mtu: None };
    assert_eq!(follower.route("10.0.0.1", "10.0.0.2"), Ok(expected));
    assert_eq!(follower.route("fd00::1", "fd00::2"), Ok(expected));
    assert_eq!(expected.next_hop(ip("10.0.0.2")), ip("10.0.0.2"));
}

#[test]
fn a_remote_behind_a_gateway() {
    let pair = Pair::new();
    pair.near.ip("route add 10.1.0.0/16 via 10.0.0.2 mtu 1400");
    pair.near.ip("-6 route add fd01::/64 via fe80::99 dev up0 mtu 1410");
    pair.near.ip("route add 10.2.0.0/16 via inet6 fe80::99 dev up0");
    let mut follower = Follower::new(pair.near.underlay());
    let ifindex = running(&mut follower, "up0");
    let route = follower.route("10.0.0.1", "10.1.2.3").unwrap();
    assert_eq!(route, Route { ifindex, gateway: Some(ip("10.0.0.2")), mtu: Some(1400) });
    assert_eq!(route.next_hop(ip("10.1.2.3")), ip("10.0.0.2"));
    let route = follower.route("fd00::1", "fd01::3").unwrap();
    assert_eq!(route, Route { ifindex, gateway: Some(ip("fe80::99")), mtu: Some(1410) });
    // An IPv4 prefix by an IPv6 router.
    let route = follower.route("10.0.0.1", "10.2.2.3").unwrap();
    assert_eq!(route, Route { ifindex, gateway: Some(ip("fe80::99")), mtu: None });
}

#[test]
fn a_replaced_route_changes_the_answer() {
    let pair = two_wires();
    pair.near.ip("route add 10.1.0.0/16 via 10.0.0.2");
    pair.near.ip("-6 route add fd01::/64 via fd00::2");
    let mut follower = Follower::new(pair.near.underlay());
    let (first, second) = (running(&mut follower, "up0"), running(&mut follower, "up1"));
    assert_eq!(follower.route("10.0.0.1", "10.1.2.3").unwrap().ifindex, first);
    assert_eq!(follower.route("fd00::1", "fd01::3").unwrap().ifindex, first);

    follower.forget_changes();
    pair.near.ip("route replace 10.1.0.0/16 via 10.0.1.2");
    follower.until_seen("the change is reported", |_, seen| seen.routes.any());
    assert!(follower.seen().routes.concern(ip("10.0.0.1"), ip("10.1.2.3")));
    assert!(!follower.seen().routes.concern(ip("10.0.0.1"), ip("10.2.2.3")));
    let route = follower.route("10.0.0.1", "10.1.2.3").unwrap();
    assert_eq!((route.ifindex, route.gateway), (second, Some(ip("10.0.1.2"))));

    follower.forget_changes();
    pair.near.ip("-6 route replace fd01::/64 via fd00:1::2");
    follower
        .until_seen("the change is reported", |_, seen| seen.routes.concern(ip("fd00::1"), ip("fd01::3")));
    let route = follower.route("fd00::1", "fd01::3").unwrap();
    assert_eq!((route.ifindex, route.gateway), (second, Some(ip("fd00:1::2"))));

    follower.forget_changes();
    pair.near.ip("route del 10.1.0.0/16");
    follower
        .until_seen("the change is reported", |_, seen| seen.routes.concern(ip("10.0.0.1"), ip("10.1.2.3")));
    let (refusal, _) = refusal(&mut follower, "10.0.0.1", "10.1.2.3");
    assert_eq!(refusal, NoRoute::Missing { remote: ip("10.1.2.3") });
}

#[test]
fn a_rule_and_a_nexthop_object_change_the_answer() {
    let pair = two_wires();
    pair.near.ip("nexthop add id 1 via 10.0.0.2 dev up0");
    pair.near.ip("route add 10.1.0.0/16 nhid 1");
    pair.near.ip("route add 10.1.0.0/16 via 10.0.1.2 table 100");
    let mut follower = Follower::new(pair.near.underlay());
    let (first, second) = (running(&mut follower, "up0"), running(&mut follower, "up1"));
    assert_eq!(follower.route("10.0.0.1", "10.1.2.3").unwrap().ifindex, first);

    follower.forget_changes();
    pair.near.ip("rule add from 10.0.1.1 table 100");
    follower
        .until_seen("the rule is reported", |_, seen| seen.routes.concern(ip("10.0.1.1"), ip("10.1.2.3")));
    assert_eq!(follower.route("10.0.1.1", "10.1.2.3").unwrap().ifindex, second);
    assert_eq!(follower.route("10.0.0.1", "10.1.2.3").unwrap().ifindex, first);

    follower.forget_changes();
    // Without the notification of each route that names it.
    pair.near.set("ipv4/nexthop_compat_mode", 0);
    pair.near.ip("nexthop replace id 1 via 10.0.1.2 dev up1");
    follower.until_seen("it is reported", |_, seen| seen.routes.concern(ip("10.0.0.1"), ip("10.1.2.3")));
    assert_eq!(follower.route("10.0.0.1", "10.1.2.3").unwrap().ifindex, second);
}

#[test]
fn multipath_gives_one_of_its_paths_and_always_the_same() {
    let pair = two_wires();
    // An address of neither wire: the kernel prefers the path whose device has the source address.
    pair.near.ip("address add 10.255.0.1/32 dev lo");
    pair.near.ip("route add 10.1.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.1.2");
    let mut follower = Follower::new(pair.near.underlay());
    running(&mut follower, "up0");
    running(&mut follower, "up1");
    let mut gateways = BTreeSet::new();
    for host in 0..64 {
        let remote = format!("10.1.0.{host}");
        let route = follower.route("10.255.0.1", &remote).unwrap();
        assert_eq!(follower.route("10.255.0.1", &remote), Ok(route));
        gateways.insert(route.gateway.unwrap());
    }
    assert_eq!(gateways, [ip("10.0.0.2"), ip("10.0.1.2")].into());
}

#[test]
fn a_route_that_rejects_says_how() {
    let pair = Pair::new();
    for (kind, number) in [("blackhole", 1), ("unreachable", 2), ("prohibit", 3), ("throw", 4)] {
        pair.near.ip(&format!("route add {kind} 10.{number}.0.0/16"));
        pair.near.ip(&format!("-6 route add {kind} fd0{number}::/64"));
    }
    let mut follower = Follower::new(pair.near.underlay());
    running(&mut follower, "up0");
    let cases = [
        (1, "is a blackhole"),
        (2, "says unreachable"),
        (3, "says prohibited"),
        (4, "there is no route"),
        (5, "there is no route"),
    ];
    for (number, words) in cases {
        let (four, six) = (format!("10.{number}.0.9"), format!("fd0{number}::9"));
        for (local, remote) in [("10.0.0.1", four), ("fd00::1", six)] {
            let (_, text) = refusal(&mut follower, local, &remote);
            assert!(text.contains(words) && text.contains(&remote), "{remote}: {text}");
            assert!(text.contains(&format!("`ip route get {remote}`")), "{text}");
        }
    }
    let (refusal, _) = refusal(&mut follower, "10.0.0.1", "10.1.0.9");
    assert_eq!(refusal, NoRoute::Blackhole { remote: ip("10.1.0.9") });
}

#[test]
fn what_is_no_remote_is_refused() {
    let pair = Pair::new();
    pair.near.ip("link set lo up");
    pair.near.ip("route add 10.8.0.0/16 dev lo");
    let mut follower = Follower::new(pair.near.underlay());
    running(&mut follower, "up0");
    let cases = [
        ("10.0.0.1", "10.0.0.1", "10.0.0.1 is an address of this host itself"),
        ("fd00::1", "fd00::1", "fd00::1 is an address of this host itself"),
        ("10.0.0.1", "127.0.0.1", "127.0.0.1 is an address of this host itself"),
        ("10.0.0.1", "10.0.0.255", "10.0.0.255 is not a unicast address here"),
        ("10.0.0.1", "10.8.0.1", "the route to 10.8.0.1 leads into the loopback lo"),
        ("10.0.0.1", "fd00::2", "10.0.0.1 and fd00::2 are of different address families"),
        (
            "10.0.0.9",
            "10.0.0.2",
            "10.0.0.9 is not an address of this host; add it with `ip address add 10.0.0.9",
        ),
        ("fd00::9", "fd00::2", "fd00::9 is not an address of this host"),
    ];
    for (local, remote, words) in cases {
        let (_, text) = refusal(&mut follower, local, remote);
        assert!(text.starts_with(words), "{local} to {remote}: {text}");
    }
}

#[test]
fn an_address_that_only_a_route_makes_ours_is_local() {
    let pair = Pair::new();
    pair.near.ip("link set lo up");
    pair.near.ip("route add local 10.77.0.0/24 dev lo");
    let mut follower = Follower::new(pair.near.underlay());
    let ifindex = running(&mut follower, "up0");
    assert_eq!(follower.route("10.77.0.5", "10.0.0.2").unwrap().ifindex, ifindex);
    follower.forget_changes();
    pair.near.ip("route del local 10.77.0.0/24 dev lo");
    follower.until_seen("it is reported", |_, seen| seen.routes.concern(ip("10.77.0.5"), ip("10.0.0.2")));
    assert!(matches!(follower.route("10.77.0.5", "10.0.0.2"), Err(NoRoute::NotLocal { .. })));
}

#[test]
fn an_address_that_goes_takes_the_routes_that_prefer_it() {
    let pair = Pair::new();
    pair.near.ip("address add 10.0.0.7/32 dev up0");
    pair.near.ip("route add 10.1.0.0/16 via 10.0.0.2 src 10.0.0.7");
    let mut follower = Follower::new(pair.near.underlay());
    running(&mut follower, "up0");
    assert!(follower.route("10.0.0.1", "10.1.2.3").is_ok());
    follower.forget_changes();
    pair.near.ip("address del 10.0.0.7/32 dev up0");
    follower.until_seen("it is reported", |_, seen| seen.routes.concern(ip("10.0.0.1"), ip("10.1.2.3")));
    assert!(matches!(follower.route("10.0.0.1", "10.1.2.3"), Err(NoRoute::Missing { .. })));
}

#[test]
fn a_link_local_remote_is_on_the_link_of_the_local_address() {
    let pair = two_wires();
    let mut follower = Follower::new(pair.near.underlay());
    let (first, second) = (running(&mut follower, "up0"), running(&mut follower, "up1"));
    for (local, ifindex) in [("fd00::1", first), ("fd00:1::1", second)] {
        let expected = Route { ifindex, gateway: None, mtu: None };
        assert_eq!(follower.route(local, "fe80::2"), Ok(expected));
    }
}

#[test]
fn a_link_that_is_down_or_cut_gives_no_route_until_it_is_back() {
    let pair = Pair::new();
    let mut follower = Follower::new(pair.near.underlay());
    let ifindex = running(&mut follower, "up0");
    assert_eq!(follower.route("10.0.0.1", "10.0.0.2").unwrap().ifindex, ifindex);

    follower.forget_changes();
    pair.far.ip("link set up0 down");
    follower.until_seen("routes may differ", |view, seen| {
        seen.routes.any() && view.link("up0").is_some_and(|link| !link.running)
    });
    let (_, text) = refusal(&mut follower, "10.0.0.1", "10.0.0.2");
    assert!(text.contains("leaves by up0, which has no carrier"), "{text}");

    follower.forget_changes();
    pair.near.ip("link set up0 down");
    follower.until_seen("routes may differ", |view, seen| {
        seen.routes.any() && view.link("up0").is_some_and(|link| !link.up)
    });
    let (_, text) = refusal(&mut follower, "10.0.0.1", "10.0.0.2");
    assert!(text.contains("10.0.0.2"), "{text}");

    follower.forget_changes();
    pair.near.ip("link set up0 up");
    pair.far.ip("link set up0 up");
    follower.until_seen("the way is back", |view, seen| {
        seen.routes.concern(ip("10.0.0.1"), ip("10.0.0.2"))
            && view.route(ip("10.0.0.1"), ip("10.0.0.2")).is_ok()
    });
}

#[test]
fn a_namespace_without_devices_has_no_route() {
    let namespace = Namespace::new();
    let mut follower = Follower::new(namespace.underlay());
    let (_, text) = refusal(&mut follower, "10.0.0.1", "10.0.0.2");
    assert!(text.contains("not an address of this host"), "{text}");
}
