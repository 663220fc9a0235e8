//! What the other end of a veth leaves to the device: that VLAN tags are in the frame and checksums finished, or why they
//! may not be.

use std::path::Path;

use xsk::{PeerError, TagsError, Wish, see_tags};

use crate::lab::{Namespace, veth};

/// Whether a device leaves tags of 802.1Q and of 802.1ad beside frames that it sends, and checksums unfinished.
fn leaves(namespace: &Namespace, device: &str) -> [bool; 4] {
    let features = namespace.run(&["ethtool", "-k", device]);
    ["tx-vlan-offload", "tx-vlan-stag-hw-insert", "tx-checksum-ip-generic", "tx-checksum-sctp"]
        .map(|feature| features.contains(&format!("{feature}: on")))
}

#[test]
fn the_other_end_leaves_nothing_to_the_device_where_it_can_be_told() {
    let (here, there) = (Namespace::new(), Namespace::new());
    veth(&here, "near", &there, "far", 1);
    let named = format!("/run/netns/{}", there.name);
    here.within(|| {
        let ifindex = here.ifindex("near");
        let unknown = see_tags(ifindex, None).unwrap_err();
        assert!(
            matches!(unknown, TagsError::Peer(PeerError::Unknown { wish: Wish::Whole, .. })),
            "{unknown}"
        );
        for part in ["the other end of near", "`namespace`", "`ethtool -K DEVICE txvlan off"] {
            assert!(unknown.to_string().contains(part), "{unknown}");
        }
        assert_eq!(leaves(&there, "far"), [true; 4], "nothing was changed");
        let wrong = see_tags(ifindex, Some(Path::new("/proc/self/ns/net"))).unwrap_err();
        assert!(wrong.to_string().contains("the other end of near is not in"), "{wrong}");
        let missing = see_tags(ifindex, Some(Path::new("/run/netns/no-such-namespace"))).unwrap_err();
        assert!(missing.to_string().contains("cannot be opened"), "{missing}");
        let none = see_tags(ifindex, Some(Path::new("/proc/self/exe"))).unwrap_err();
        assert!(none.to_string().contains("cannot be entered"), "{none}");
        for _ in 0..2 {
            see_tags(ifindex, Some(Path::new(&named))).unwrap();
            assert_eq!(leaves(&there, "far"), [false; 4]);
        }
        assert_eq!(leaves(&here, "near"), [true; 4], "our own end is left alone");
    });
}

/// Indices are of a namespace: here a pair has the very ones that the first has across namespaces.
#[test]
fn another_pair_with_the_same_indices_is_left_alone() {
    let (here, there, beyond) = (Namespace::new(), Namespace::new(), Namespace::new());
    let add = |index: &str, peer_index: &str, near: &str, other: &Namespace, far: &str| {
        let words = ["ip", "link", "add", "name", near, "index", index, "type", "veth", "peer", "name", far];
        here.run(&[&words[..], &["index", peer_index, "netns", &other.name]].concat());
    };
    add("100", "200", "near", &there, "far");
    add("200", "100", "stranger", &beyond, "its-end");
    here.within(|| {
        assert!(see_tags(100, None).is_err());
        let beyond = format!("/run/netns/{}", beyond.name);
        assert!(see_tags(100, Some(Path::new(&beyond))).is_err());
        assert!(see_tags(100, Some(Path::new("/proc/thread-self/ns/net"))).is_err());
    });
    for (namespace, device) in [(&here, "stranger"), (&beyond, "its-end"), (&there, "far"), (&here, "near")] {
        assert_eq!(leaves(namespace, device), [true; 4], "{device}");
    }
}

#[test]
fn an_end_in_our_own_namespace_leaves_nothing_to_the_device() {
    let here = Namespace::new();
    veth(&here, "near", &here, "far", 1);
    here.within(|| see_tags(here.ifindex("near"), None).unwrap());
    assert_eq!((leaves(&here, "near"), leaves(&here, "far")), ([true; 4], [false; 4]));
}

#[test]
fn other_devices_tell_whether_they_take_tags_out() {
    let here = Namespace::new();
    here.run(&["ip", "link", "add", "plain", "type", "bridge"]);
    here.within(|| {
        see_tags(here.ifindex("plain"), None).unwrap();
        let gone = see_tags(4000, None).unwrap_err();
        assert!(gone.to_string().contains("cannot be read"), "{gone}");
    });
}

#[test]
fn of_a_device_that_is_gone_it_is_said() {
    let error = see_tags(999_999, None).unwrap_err();
    assert!(error.is_of_no_device(), "{error}");
}
