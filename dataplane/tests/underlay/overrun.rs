//! Lost notifications.

use std::collections::BTreeSet;
use std::fmt::Write;

use dataplane::underlay::{Neighbour, Underlay};

use crate::follow::{Follower, ip};
use crate::namespace::Namespace;

/// Everything that the view says, in an order.
fn contents(underlay: &Underlay) -> BTreeSet<String> {
    let links = underlay.links().map(|link| format!("{link:?}"));
    let addresses = underlay.addresses().map(|address| format!("{address:?}"));
    links.chain(addresses).collect()
}

#[test]
fn a_view_that_lost_notifications_is_read_anew_and_followed_on() {
    let namespace = Namespace::new();
    namespace.ip("link add kept type veth peer name other");
    namespace.ip("link set kept up");
    namespace.ip("link set other up");
    let underlay = namespace.enter(|| Underlay::open_with_receive_buffer(4096).unwrap());
    let mut follower = Follower::new(underlay);
    let ifindex = follower.link("kept").ifindex;

    let mut lines = String::new();
    for number in 0..100 {
        writeln!(lines, "link add a{number} type veth peer name b{number}").unwrap();
        writeln!(lines, "address add 10.0.{number}.1/24 dev a{number}").unwrap();
        writeln!(lines, "neighbour add 10.9.0.{number} lladdr 02:00:00:00:00:01 dev kept nud permanent")
            .unwrap();
    }
    writeln!(lines, "link set kept name renamed mtu 1300").unwrap();
    namespace.ip_batch(&lines);

    let changes = follower.underlay.drain().unwrap();
    assert!(changes.overrun, "{changes:?}");
    assert!(changes.links && changes.addresses && changes.neighbours);
    assert!(changes.routes.concern(ip("10.0.0.1"), ip("192.0.2.1")));
    assert_eq!(contents(&follower.underlay), contents(&namespace.underlay()));
    assert_eq!(follower.link("renamed").mtu, 1300);
    assert_eq!(follower.underlay.links().count(), 3 + 200);
    for number in 0..100 {
        let neighbour = follower.underlay.neighbour(ifindex, ip(&format!("10.9.0.{number}")));
        assert!(matches!(neighbour, Neighbour::Resolved(_)), "{number}: {neighbour:?}");
    }

    follower.forget_changes();
    namespace.ip("link set renamed mtu 1301");
    follower.until_seen("what comes after is followed", |view, seen| {
        seen.links && !seen.overrun && view.link("renamed").is_some_and(|link| link.mtu == 1301)
    });
}

#[test]
fn many_changes_fit_the_default_buffer() {
    let namespace = Namespace::new();
    namespace.ip("link add v0 type veth peer name v1");
    let mut follower = Follower::new(namespace.underlay());
    let mut lines = String::new();
    for mtu in 0..1000 {
        writeln!(lines, "link set v0 mtu {}", 1300 + mtu % 100).unwrap();
    }
    writeln!(lines, "link set v0 mtu 1234").unwrap();
    namespace.ip_batch(&lines);
    follower.until("the last", |view| view.link("v0").is_some_and(|link| link.mtu == 1234));
    assert!(!follower.seen().overrun);
}
