//! Next hops: resolving them through the kernel, and keeping them fresh without its seeing traffic.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use dataplane::underlay::{Neighbour, Underlay};
use wire::Mac;

use crate::follow::{Follower, ip};
use crate::namespace::{Namespace, Pair};

const FAMILIES: [(&str, &str); 2] = [("ipv4", "10.0.0.2"), ("ipv6", "fd00::2")];

fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

fn follow(pair: &Pair) -> (Follower, u32) {
    let mut follower = Follower::new(pair.near.underlay());
    follower.until("the link runs", |view| view.link("up0").is_some_and(|link| link.running));
    let ifindex = follower.link("up0").ifindex;
    (follower, ifindex)
}

/// Waits until the neighbour is this one, asking for it meanwhile.
fn until_resolved(follower: &mut Follower, ifindex: u32, address: IpAddr, expected: Mac) {
    follower.until(&format!("{address} is {expected}"), |view| {
        view.keep_fresh([(ifindex, address)]).unwrap();
        view.neighbour(ifindex, address) == Neighbour::Resolved(expected)
    });
}

/// What the kernel's own tool calls the entry's state.
fn state(namespace: &Namespace, address: IpAddr) -> String {
    let entry = namespace.ip(&format!("neighbour show {address} dev up0"));
    entry.split_whitespace().next_back().unwrap_or_default().to_owned()
}

/// Makes the kernel doubt and give up quickly.
fn hurry(namespace: &Namespace, family: &str) {
    let directory = format!("{family}/neigh/up0");
    namespace.set(&format!("{directory}/base_reachable_time_ms"), 500);
    namespace.set(&format!("{directory}/delay_first_probe_time"), 1);
    namespace.set(&format!("{directory}/retrans_time_ms"), 100);
}

#[test]
fn a_peer_that_answers_is_resolved_on_request_only() {
    let pair = Pair::new();
    pair.far.ip("link set up0 address 02:00:00:00:00:02");
    let (mut follower, ifindex) = follow(&pair);
    for (_, address) in FAMILIES {
        let address = ip(address);
        assert_eq!(follower.underlay.neighbour(ifindex, address), Neighbour::Unresolved);
        follower.forget_changes();
        follower.underlay.resolve(ifindex, address).unwrap();
        follower.until_seen("it is resolved and reported", |view, seen| {
            seen.neighbours
                && view.neighbour(ifindex, address) == Neighbour::Resolved(mac("02:00:00:00:00:02"))
        });
    }
}

#[test]
fn a_gateway_by_its_link_local_address_is_resolved() {
    let pair = Pair::new();
    pair.far.ip("link set up0 address 02:00:00:00:00:02");
    pair.far.ip("address add fe80::99/64 dev up0 nodad");
    pair.near.ip("-6 route add fd01::/64 via fe80::99 dev up0");
    let (mut follower, ifindex) = follow(&pair);
    let route = follower.route("fd00::1", "fd01::5").unwrap();
    assert_eq!(route.ifindex, ifindex);
    until_resolved(&mut follower, ifindex, route.next_hop(ip("fd01::5")), mac("02:00:00:00:00:02"));
}

#[test]
fn what_the_kernel_knew_before_is_known_at_once() {
    let pair = Pair::new();
    pair.near.ip("neighbour add 10.0.0.9 lladdr 02:00:00:00:00:09 dev up0 nud permanent");
    pair.near.ip("neighbour add fd00::9 lladdr 02:00:00:00:00:19 dev up0 nud stale");
    pair.near.ip("neighbour add proxy 10.0.0.8 dev up0");
    let (follower, ifindex) = follow(&pair);
    let neighbour = |address| follower.underlay.neighbour(ifindex, ip(address));
    assert_eq!(neighbour("10.0.0.9"), Neighbour::Resolved(mac("02:00:00:00:00:09")));
    assert_eq!(neighbour("fd00::9"), Neighbour::Resolved(mac("02:00:00:00:00:19")));
    assert_eq!(neighbour("10.0.0.8"), Neighbour::Unresolved);
    assert_eq!(follower.underlay.neighbour(ifindex + 1, ip("10.0.0.9")), Neighbour::Unresolved);
}

#[test]
fn a_peer_that_announces_a_new_address_is_seen_at_once() {
    let pair = Pair::new();
    pair.far.ip("link set up0 address 02:00:00:00:00:02");
    pair.far.set("ipv4/conf/up0/arp_notify", 1);
    pair.far.set("ipv6/conf/up0/ndisc_notify", 1);
    let (mut follower, ifindex) = follow(&pair);
    for (_, address) in FAMILIES {
        until_resolved(&mut follower, ifindex, ip(address), mac("02:00:00:00:00:02"));
    }
    follower.forget_changes();
    let began = Instant::now();
    pair.far.ip("link set up0 address 02:00:00:00:00:22");
    let expected = Neighbour::Resolved(mac("02:00:00:00:00:22"));
    follower.until_seen("the new addresses", |view, seen| {
        seen.neighbours
            && FAMILIES.iter().all(|(_, address)| view.neighbour(ifindex, ip(address)) == expected)
    });
    let took = began.elapsed();
    // The kernel would not doubt what it knows for another fifteen seconds.
    assert!(took < Duration::from_secs(10), "took {took:?}");
}

#[test]
fn a_peer_that_changes_its_address_in_silence_is_found_again() {
    let pair = Pair::new();
    pair.far.ip("link set up0 address 02:00:00:00:00:02");
    let (mut follower, ifindex) = follow(&pair);
    for (family, address) in FAMILIES {
        hurry(&pair.near, family);
        until_resolved(&mut follower, ifindex, ip(address), mac("02:00:00:00:00:02"));
    }
    pair.far.ip("link set up0 address 02:00:00:00:00:22");
    for (_, address) in FAMILIES {
        until_resolved(&mut follower, ifindex, ip(address), mac("02:00:00:00:00:22"));
    }
}

#[test]
fn a_stale_neighbour_in_use_is_verified_and_another_is_not() {
    let pair = Pair::new();
    pair.far.ip("address add 10.0.0.3/24 dev up0");
    pair.far.ip("address add fd00::3/64 dev up0 nodad");
    pair.far.ip("link set up0 address 02:00:00:00:00:02");
    let (mut follower, ifindex) = follow(&pair);
    for ((family, used), idle) in FAMILIES.into_iter().zip(["10.0.0.3", "fd00::3"]) {
        let (used, idle) = (ip(used), ip(idle));
        hurry(&pair.near, family);
        for address in [used, idle] {
            until_resolved(&mut follower, ifindex, address, mac("02:00:00:00:00:02"));
        }
        for address in [used, idle] {
            pair.near.ip(&format!("neighbour change {address} dev up0 nud stale"));
            assert_eq!(state(&pair.near, address), "STALE");
        }
        follower.until("the used one is verified", |view| {
            view.keep_fresh([(ifindex, used)]).unwrap();
            state(&pair.near, used) == "REACHABLE"
        });
        assert_eq!(state(&pair.near, idle), "STALE");
        let resolved = Neighbour::Resolved(mac("02:00:00:00:00:02"));
        assert_eq!(follower.underlay.neighbour(ifindex, used), resolved);
    }
}

#[test]
fn a_forgotten_neighbour_in_use_is_resolved_anew() {
    let pair = Pair::new();
    pair.far.ip("link set up0 address 02:00:00:00:00:02");
    let (mut follower, ifindex) = follow(&pair);
    for (_, address) in FAMILIES {
        let address = ip(address);
        until_resolved(&mut follower, ifindex, address, mac("02:00:00:00:00:02"));
        follower.forget_changes();
        pair.near.ip(&format!("neighbour del {address} dev up0"));
        follower.until_seen("its loss is reported", |view, seen| {
            seen.neighbours
                && view.neighbour(ifindex, address) != Neighbour::Resolved(mac("02:00:00:00:00:02"))
        });
        until_resolved(&mut follower, ifindex, address, mac("02:00:00:00:00:02"));
    }
}

#[test]
fn a_silent_neighbour_fails_and_is_found_when_it_speaks() {
    let pair = Pair::new();
    pair.far.ip("link set up0 address 02:00:00:00:00:02");
    let (mut follower, ifindex) = follow(&pair);
    for ((family, _), (address, length)) in FAMILIES.into_iter().zip([("10.0.0.44", 24), ("fd00::44", 64)]) {
        hurry(&pair.near, family);
        follower.underlay.resolve(ifindex, ip(address)).unwrap();
        follower.until_seen("it fails and is reported", |view, seen| {
            seen.neighbours && view.neighbour(ifindex, ip(address)) == Neighbour::Failed
        });
        pair.far.ip(&format!(
            "address add {address}/{length} dev up0 {}",
            if length == 64 { "nodad" } else { "" }
        ));
        until_resolved(&mut follower, ifindex, ip(address), mac("02:00:00:00:00:02"));
    }
}

#[test]
fn an_entry_made_by_hand_is_left_alone() {
    let pair = Pair::new();
    let (mut follower, ifindex) = follow(&pair);
    for address in ["10.0.0.77", "fd00::77"].map(ip) {
        // Not drained in between: the view does not know yet, so that the kernel has to be asked.
        pair.near.ip(&format!("neighbour add {address} lladdr 02:00:00:00:00:77 dev up0 nud permanent"));
        assert_eq!(follower.underlay.neighbour(ifindex, address), Neighbour::Unresolved);
        follower.underlay.resolve(ifindex, address).unwrap();
        assert_eq!(state(&pair.near, address), "PERMANENT");
        until_resolved(&mut follower, ifindex, address, mac("02:00:00:00:00:77"));
        assert_eq!(state(&pair.near, address), "PERMANENT");
    }
}

#[test]
fn one_neighbour_is_asked_for_once_a_second() {
    let pair = Pair::new();
    let (mut follower, ifindex) = follow(&pair);
    let address = ip("10.0.0.44");
    let asked = Instant::now();
    follower.underlay.resolve(ifindex, address).unwrap();
    follower.until("it is being resolved", |_| state(&pair.near, address) == "INCOMPLETE");
    pair.near.ip(&format!("neighbour del {address} dev up0"));
    // It is back only when the kernel is asked once more.
    follower.until("it is asked for again", |view: &mut Underlay| {
        view.resolve(ifindex, address).unwrap();
        state(&pair.near, address) == "INCOMPLETE"
    });
    assert!(asked.elapsed() >= Duration::from_secs(1), "after {:?}", asked.elapsed());
}

#[test]
fn neighbours_go_with_their_device() {
    let pair = Pair::new();
    pair.far.ip("link set up0 address 02:00:00:00:00:02");
    let (mut follower, ifindex) = follow(&pair);
    until_resolved(&mut follower, ifindex, ip("10.0.0.2"), mac("02:00:00:00:00:02"));
    follower.forget_changes();
    pair.near.ip("link del up0");
    follower.until_seen("they are gone", |view, seen| {
        seen.neighbours && view.neighbour(ifindex, ip("10.0.0.2")) == Neighbour::Unresolved
    });
    let error = follower.underlay.resolve(ifindex, ip("10.0.0.3")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot resolve 10.0.0.3 on a vanished device: No such device (os error 19); Unknown device ifindex; the device is gone; see `ip link`"
    );
    // The refusal of one does not keep the others from being asked for.
    assert!(follower.underlay.keep_fresh([(ifindex, ip("10.0.0.4")), (ifindex, ip("10.0.0.5"))]).is_err());
}
