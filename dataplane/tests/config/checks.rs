//! What is told of values that do not fit each other: the exact words, each with the place of the other side.

use std::path::Path;

use dataplane::config;

use super::{faults_of, warnings_of, with, words_of};

#[test]
fn keys_that_contradict_each_other_are_refused() {
    let text = with(
        r#"
[[port]]
name = "x"
role = "uplink"
vni = 100
[[vni]]
id = 5
local = "192.0.2.1"
key = 5
[[vni]]
id = 6
local = "192.0.2.1"
encapsulation = "gre"
udp_port = 4789
[[remote]]
vni = 5
address = "192.0.2.2"
key = 5
udp_port = 4789
[[fdb]]
vni = 100
mac = "02:00:00:00:00:01"
port = "w"
remote = "192.0.2.2"
"#,
    );
    assert_eq!(
        words_of(&text),
        [
            "port x is an uplink and cannot be in VNI 100 | remove `vni` for an uplink, or `role` for an access port",
            "`key` is of GRE, but VNI 5 is VXLAN | remove `key`, or set encapsulation = \"gre\"",
            "`udp_port` is of VXLAN and GRE in UDP, but VNI 6 is GRE | remove `udp_port`, or set encapsulation = \"vxlan\" or \
             \"greudp\"",
            "remote 192.0.2.2 of VNI 5 has a `udp_port` of VXLAN and a `key` of GRE | keep one of the two",
            "FDB entry 02:00:00:00:00:01 of VNI 100 points to a port and to a remote | keep one of `port` and `remote`",
        ]
    );
}

#[test]
fn packets_to_an_underlay_group_are_not_numbered() {
    let vni = |keys: &str| {
        with(&format!("[[vni]]\nid = 5\nlocal = \"192.0.2.1\"\nencapsulation = \"gre\"\n{keys}"))
    };
    let (group, sequence) = ("mcast_group = \"239.1.1.1\"\n", "gre_sequence = true\n");
    let fault = "VNI 5 cannot number its packets and flood to 239.1.1.1: a sequence is one peer's (RFC 2890 section 2.2), \
         and what goes to a group has no place in any | remove `gre_sequence`, or remove `mcast_group` so that each \
         remote gets its own copy";
    assert_eq!(words_of(&vni(&[group, sequence].concat())), [fault]);
    for alone in [group, sequence] {
        assert!(config::parse(Path::new("t.toml"), &vni(alone)).is_ok());
    }
}

#[test]
fn moves_that_are_waited_for_are_bounded() {
    let vni = |limit: &str| with(&format!("[[vni]]\nid = 5\nlocal = \"192.0.2.1\"\nmove_limit = {limit}\n"));
    let fault = "VNI 5 cannot wait for 1001 moves of an address | give a whole number from 1 to 1000, or 0 to freeze none";
    assert_eq!(words_of(&vni("1001")), [fault]);
    for right in ["0", "1000"] {
        assert!(config::parse(Path::new("t.toml"), &vni(right)).is_ok());
    }
}

#[test]
fn twice_the_same_is_refused_with_the_line_of_the_first() {
    let text = with(
        r#"
[[port]]
name = "w"
vni = 100
[[port]]
name = "other"
device = "w"
vni = 100
[[vni]]
id = 100
local = "192.0.2.1"
[[remote]]
vni = 100
address = "192.0.2.2"
[[worker]]
cpu = 1
[[worker]]
cpu = 1
"#,
    );
    assert_eq!(
        words_of(&text),
        [
            "device w of port w is taken by port other | use another device, or remove port other (port other is on \
             line 16)",
            "port w is configured twice | remove one of the two; the first is on line 5",
            "VNI 100 is configured twice | remove one of the two; the first is on line 8",
            "remote 192.0.2.2 of VNI 100 is configured twice | remove one of the two; the first is on line 11",
            "workers 0 and 1 are both pinned to CPU 1 | give each worker a CPU of its own, or remove one of the two \
             (worker 0 is on line 26)",
        ]
    );
}

#[test]
fn references_to_what_is_not_there_are_refused() {
    let text = with(
        r#"
[[port]]
name = "x"
vni = 101
[[remote]]
vni = 101
address = "192.0.2.9"
[[fdb]]
vni = 100
mac = "02:00:00:00:00:01"
port = "nope"
[[fdb]]
vni = 100
mac = "02:00:00:00:00:02"
remote = "192.0.2.3"
[[fdb]]
vni = 100
mac = "02:00:00:00:00:03"
port = "up"
[[vni]]
id = 200
local = "192.0.2.1"
[[fdb]]
vni = 200
mac = "02:00:00:00:00:04"
port = "w"
[[neighbour]]
vni = 101
address = "10.0.0.1"
mac = "02:00:00:00:00:04"
"#,
    );
    let missing = "VNI 101 is not configured | configure VNI 101 first, or name one that is there: 100, 200";
    assert_eq!(
        words_of(&text),
        [
            missing,
            missing,
            "FDB entry 02:00:00:00:00:01 points to port nope, which does not exist | add the port first, or name one of \
             the VNI's ports",
            "FDB entry 02:00:00:00:00:02 points to 192.0.2.3, which is no remote of VNI 100 | add remote 192.0.2.3 to \
             VNI 100 first, or name one of its remotes",
            "FDB entry 02:00:00:00:00:03 points to port up, which is an uplink | name the remote behind it instead \
             (port up is on line 2)",
            "FDB entry 02:00:00:00:00:04 of VNI 200 points to port w, which is in VNI 100 | name a port of VNI 200, or \
             put the entry into VNI 100 (port w is on line 5)",
            missing,
        ]
    );
    assert_eq!(
        words_of("[[port]]\nname = \"p\"\nvni = 3\n"),
        ["VNI 3 is not configured | configure VNI 3 first; there is none yet"]
    );
}

#[test]
fn addresses_that_cannot_be_are_refused() {
    let text = with(
        r#"
[[remote]]
vni = 100
address = "192.0.2.1"
[[remote]]
vni = 100
address = "239.0.0.1"
[[remote]]
vni = 100
address = "2001:db8::2"
[[remote]]
vni = 100
address = "255.255.255.255"
[[fdb]]
vni = 100
mac = "00:00:00:00:00:00"
port = "w"
[[fdb]]
vni = 100
mac = "33:33:00:00:00:01"
port = "w"
[[neighbour]]
vni = 100
address = "224.0.0.5"
mac = "ff:ff:ff:ff:ff:ff"
[[neighbour]]
vni = 100
address = "10.0.0.1"
mac = "02:00:00:00:00:01"
router = true
[[neighbour]]
vni = 100
address = "ff02::1"
mac = "02:00:00:00:00:01"
[[vni]]
id = 7
local = "127.0.0.1"
udp_port = 0
ttl = 0
tos = 187
"#,
    );
    let workload = "use the address of one workload, such as 02:00:00:00:00:01";
    assert_eq!(
        words_of(&text),
        [
            "remote 192.0.2.1 is the local address of VNI 100 | remove it: a switch is no peer of its own",
            "239.0.0.1 cannot be a remote: it is a multicast group | name each peer; frames are replicated to all of them",
            "remote 2001:db8::2 is IPv6, but VNI 100 has only the local address 192.0.2.1 | add ours of IPv6 to it, as in \
             local = [\"192.0.2.1\", \"2001:db8::1\"], or use an IPv4 address of the peer (VNI 100 is on line 8)",
            "255.255.255.255 cannot be a remote: it is the broadcast address | use the underlay address of the peer",
            &format!("00:00:00:00:00:00 is no address of a device | {workload}"),
            &format!("33:33:00:00:00:01 is a multicast address | {workload}"),
            "224.0.0.5 cannot be a neighbour: it is a multicast group | use the address of one workload",
            &format!("ff:ff:ff:ff:ff:ff is a multicast address | {workload}"),
            "10.0.0.1 is an IPv4 neighbour, and ARP does not tell routers from hosts | leave `router` out",
            "ff02::1 cannot be a neighbour: it is a multicast group | use the address of one workload",
            "VNI 7 cannot have the local address 127.0.0.1: it never leaves the host | use the address of an uplink that \
             the peers send to",
            "VNI 7 cannot use UDP port 0 | use 4789, or a number from 1 to 65535 that the peers agree on",
            "packets of VNI 7 with a TTL of 0 would not leave the host | use a number from 1 to 255, such as 64, or \"inherit\"",
            "the lower two bits of TOS 187 of VNI 7 are those of ECN, which each packet sets by itself | use 184 for DSCP \
             46, and `ecn` for how ECN is set",
        ]
    );
}

#[test]
fn an_underlay_of_both_families_is_checked_as_one() {
    let up = "[[port]]\nname = \"up\"\nrole = \"uplink\"\n";
    let vni = |id: u32, keys: &str| format!("[[vni]]\nid = {id}\n{keys}\n");
    let right = [
        up,
        &vni(1, "local = \"2001:db8::1\"\nremotes = [\"2001:db8::2\"]\nudp_checksum = false"),
        &vni(2, "local = [\"2001:db8::1\", \"192.0.2.1\"]\nremotes = [\"2001:db8::2\", \"192.0.2.2\"]"),
        &vni(3, "local = [\"192.0.2.1\"]\nencapsulation = \"gre\"\nremotes = [\"192.0.2.2\"]"),
    ];
    assert_eq!(warnings_of(&right.concat()), "");
    let wrong = [
        up,
        &vni(1, "local = \"2001:db8::1\"\nremotes = [\"192.0.2.2\", \"2001:db8::1\"]"),
        &vni(2, "local = [\"::ffff:192.0.2.1\", \"127.0.0.1\"]"),
        &vni(3, "local = \"192.0.2.1\"\nencapsulation = \"gre\"\nudp_checksum = true"),
        "[[remote]]\nvni = 3\naddress = \"192.0.2.2\"\nudp_checksum = false\n",
    ];
    let end = "use the address of an uplink that the peers send to";
    let mapped = "it is an IPv4 address written as an IPv6 one";
    let vxlan = "remove `udp_checksum`, or set encapsulation = \"vxlan\" or \"greudp\"";
    assert_eq!(
        words_of(&wrong.concat()),
        [
            "remote 192.0.2.2 is IPv4, but VNI 1 has only the local address 2001:db8::1 | add ours of IPv4 to it, as in \
             local = [\"2001:db8::1\", \"192.0.2.1\"], or use an IPv6 address of the peer (VNI 1 is on line 4)",
            "remote 2001:db8::1 is the local address of VNI 1 | remove it: a switch is no peer of its own",
            &format!("VNI 2 cannot have the local address 127.0.0.1: it never leaves the host | {end}"),
            &format!("VNI 2 cannot have the local address ::ffff:192.0.2.1: {mapped} | {end}"),
            &format!("`udp_checksum` is of VXLAN and GRE in UDP, but VNI 3 is GRE | {vxlan}"),
            &format!(
                "`udp_checksum` is of VXLAN and GRE in UDP, but remote 192.0.2.2 of VNI 3 is GRE | {vxlan}"
            ),
        ]
    );
}

#[test]
fn a_vni_has_at_most_one_local_address_of_each_family() {
    let expected = "it must be a string with an IP address, or an array of one IPv4 and one IPv6 address";
    let local = |value: &str| words_of(&format!("[[vni]]\nid = 1\nlocal = {value}\n"));
    let hint = "keep one address of each family; other addresses belong to other VNIs";
    for value in [r#"["192.0.2.1", "192.0.2.2"]"#, r#"["192.0.2.1", "2001:db8::1", "2001:db8::2"]"#, "[]"] {
        let found = local(value);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expected) && found[0].ends_with(hint), "{found:?}");
    }
    assert!(local("7")[0].contains(expected));
    let found = local(r#"["192.0.2.1/24"]"#);
    assert_eq!(
        found,
        [
            "`local` holds \"192.0.2.1/24\"; each element must be a string with an IP address | write \"192.0.2.1\" \
          without a prefix length"
        ]
    );
}

#[test]
fn two_vnis_that_look_the_same_on_the_wire_are_refused() {
    let vni = |id: u32, key: &str| {
        format!(
            "[[vni]]\nid = {id}\nlocal = \"192.0.2.1\"\nencapsulation = \"gre\"\n{key}\nremotes = [\"192.0.2.2\"]\n"
        )
    };
    let up = "[[port]]\nname = \"up\"\nrole = \"uplink\"\n";
    let text =
        [up, &vni(1, ""), &vni(2, "key = 1"), &vni(3, "key = \"none\""), &vni(4, "key = \"none\"")].concat();
    assert_eq!(
        words_of(&text),
        [
            "VNIs 1 and 2 both use GRE key 1 between 192.0.2.1 and 192.0.2.2 | give one of them another key (remote \
             192.0.2.2 of VNI 1 is on line 9)",
            "VNIs 3 and 4 both use GRE without a key between 192.0.2.1 and 192.0.2.2 | give one of them a key: without \
             one, a pair of addresses carries one VNI (remote 192.0.2.2 of VNI 3 is on line 21)",
        ]
    );
    let apart = [up, &vni(1, ""), &vni(2, ""), &vni(3, "key = 4"), &vni(4, "key = \"none\"")].concat();
    assert_eq!(warnings_of(&apart), "");
}

#[test]
fn two_vnis_that_share_one_of_several_tunnels_are_refused() {
    let vni = |id: u32, local: &str, keys: &str| {
        format!("[[vni]]\nid = {id}\nlocal = \"{local}\"\n{keys}\nremotes = [\"192.0.2.2\"]\n")
    };
    let text = |vnis: [String; 2]| format!("[[port]]\nname = \"up\"\nrole = \"uplink\"\n{}", vnis.concat());
    let in_udp = |ports: &str| format!("encapsulation = \"greudp\"\nkey = \"none\"\nudp_port = {ports}");
    let shared = "VNIs 1 and 2 both use one GRE key in UDP to port 4755 between 192.0.2.1 and 192.0.2.2 | give one of them \
                  another key or UDP port (remote 192.0.2.2 of VNI 1 is on line 10)";
    for [one, other] in [["[4754, 4755]", "4755"], ["4755", "[4754, 4755]"], ["[1, 4755]", "[2, 4755]"]] {
        let both = [vni(1, "192.0.2.1", &in_udp(one)), vni(2, "192.0.2.1", &in_udp(other))];
        assert_eq!(words_of(&text(both)), [shared]);
    }
    let apart = ["[4754, 4755]", "[4756, 4757]"].map(in_udp);
    assert_eq!(warnings_of(&text([vni(1, "192.0.2.1", &apart[0]), vni(2, "192.0.2.1", &apart[1])])), "");

    // Each has an address of its own, but the group is one, and so are the peers.
    let grouped = |group: u8, key: &str| {
        format!("encapsulation = \"gre\"\nkey = {key}\nmcast_group = \"239.1.1.{group}\"")
    };
    let both =
        |group, key| text([vni(1, "192.0.2.1", &grouped(1, "7")), vni(2, "192.0.2.3", &grouped(group, key))]);
    let shared = "VNIs 1 and 2 both use GRE key 7 between 239.1.1.1 and 192.0.2.2 | give one of them another key (remote \
                  192.0.2.2 of VNI 1 is on line 10)";
    assert_eq!(words_of(&both(1, "7")), [shared]);
    assert_eq!(warnings_of(&both(2, "7")), "");
    assert_eq!(warnings_of(&both(1, "8")), "");

    // No peer is shared, but members of the group could not tell our VNIs apart.
    let alone = text([vni(1, "192.0.2.1", &grouped(1, "7")), vni(2, "192.0.2.1", &grouped(1, "7"))]);
    let alone = alone.replacen("192.0.2.2", "192.0.2.9", 1);
    let shared = "VNIs 1 and 2 both use GRE key 7 between 192.0.2.1 and 239.1.1.1 | give one of them another key (VNI 1 is \
                  on line 4)";
    assert!(words_of(&alone).contains(&shared.to_owned()), "{:?}", words_of(&alone));
}

#[test]
fn ports_that_cannot_be_are_refused() {
    let text = with(
        r#"
[[port]]
name = "a b"
vni = 100
[[port]]
name = "long"
device = "sixteen-letters-"
vni = 100
[[port]]
name = "c"
vni = 100
mode = "native"
require = "zerocopy"
queues = 0
ring_size = 32768
[[port]]
name = "d"
vni = 100
mode = "zerocopy"
transmit = "burst"
[[port]]
name = "e"
vni = 100
namespace = "run/netns/blue"
"#,
    );
    assert_eq!(
        words_of(&text),
        [
            "\"a b\" cannot be the name of a port | use 1 to 63 letters, digits and . _ - : @",
            "\"sixteen-letters-\" cannot be the name of a network device | name the device as `ip link` shows it (1 to \
             15 bytes, no slash, colon or space)",
            "port c requires zerocopy but tries native only | remove `mode` or `require`, or let both say the same",
            "port c cannot serve 0 queues | use a number from 1 to 64, or leave it out to serve all that the device has",
            "a ring of port c cannot have 32768 descriptors | use a power of two from 64 to 16384, such as 16384",
            "port d is to be zero-copy and to transmit by burst, which copies | use transmit = \"auto\" or \"ring\"",
            "\"run/netns/blue\" cannot name a network namespace | use a name that `ip netns list` shows, or an absolute path \
             such as /proc/PID/ns/net",
        ]
    );
}

#[test]
fn a_log_filter_that_start_refuses_is_refused() {
    let remedy = "write a level (error, warn, info, debug, trace, off) or directives such as info,dataplane::control=debug";
    for (filter, reason) in [("inof", "\"inof\" is not a level"), ("", "it is empty")] {
        let what = format!("the log filter \"{filter}\" is malformed: {reason} | {remedy}");
        assert_eq!(words_of(&format!("[daemon]\nlog = \"{filter}\"\n")), [what]);
    }
}

#[test]
fn the_daemon_s_own_settings_are_checked() {
    let long = "x".repeat(200);
    let text = format!("[daemon]\nsocket = \"/{long}\"\nsocket_group = \"\"\nlog = \"info,=x=y\"\n");
    assert_eq!(
        words_of(&text),
        [
            "the control socket's path has 201 bytes, or a zero byte in it | choose a path of at most 107 bytes without \
             zero bytes",
            "the group of the control socket has no name | name a group, or leave the key out for the daemon's own group",
            "the log filter \"info,=x=y\" is malformed: invalid filter directive | write a level (error, warn, info, \
             debug, trace, off) or directives such as info,dataplane::control=debug",
        ]
    );
    assert_eq!(
        words_of(
            "[daemon]\nsocket = \"vtep.sock\"\n[umem]\nchunks = 4294967295\nchunk_size = 1024\njumbo_chunks = 63\n"
        ),
        [
            "the control socket \"vtep.sock\" is not an absolute path | write the whole path, such as /run/vtep/vtep.sock",
            "the UMEM cannot have 4294967295 chunks | use a power of two from 256 to 1048576, such as 1048576",
            "a chunk cannot have 1024 bytes | use 2048, or 4096 for frames above 1700 bytes",
            "a worker cannot have 63 jumbo chunks | use 64 to 4096, or 0 to do without frames that take several chunks",
        ]
    );
    let workers = "[[worker]]\n".repeat(65);
    assert_eq!(
        words_of(&workers),
        [
            "65 workers are configured, 64 are possible | remove some; one worker per CPU is the most that is of use"
        ]
    );
}

#[test]
fn remotes_without_an_uplink_are_warned_of() {
    let text = "[[vni]]\nid = 1\nlocal = \"192.0.2.1\"\nremotes = [\"192.0.2.2\"]\n";
    assert_eq!(
        warnings_of(text),
        "t.toml:4:12: warning: there are remotes but no uplink: frames to them go nowhere\n    4 | remotes = \
         [\"192.0.2.2\"]\n      |            ^^^^^^^^^^^\n  help: add a port with role = \"uplink\"\n"
    );
}

#[test]
fn what_a_port_is_held_against_is_checked() {
    let more = r#"
[[port]]
name = "x"
vni = 100
bind = [{ mac = "02:00:00:00:00:01", addresses = ["10.0.0.1", "fd00::1"] }, { mac = "02:00:00:00:00:01" }]
[[port]]
name = "y"
vni = 100
bind = [{ mac = "ff:ff:ff:ff:ff:ff" }, { mac = "02:00:00:00:00:02", addresses = ["224.0.0.1"] }]
[[port]]
name = "z"
role = "uplink"
trusted = true
learn_limit = 100
"#;
    assert_eq!(
        words_of(&with(more)),
        [
            "port x binds 02:00:00:00:00:01 twice | put all its addresses into one binding",
            "port y cannot be bound to ff:ff:ff:ff:ff:ff, which is no address of a workload | use one such as 02:00:00:00:00:01",
            "port y cannot be bound to 224.0.0.1: it is a multicast group | use the address of one workload",
            "port z is an uplink and cannot be trusted: that is for access ports | leave it out; from an uplink only the remotes of a VNI are believed",
            "port z is an uplink and cannot be limited in what it learns: that is for access ports | leave it out; [[vni]] \
             and [[remote]] have a `learn_limit` for what comes from peers",
        ]
    );
    for (wrong, what) in [
        (r#"bind = [{ mac = "02:00:00:00:00:01", adresses = [] }]"#, "unknown key `adresses` in `bind`"),
        (r#"bind = [{ mca = "02:00:00:00:00:01" }]"#, "a table such as { mac = "),
        (r#"bind = ["02:00:00:00:00:01"]"#, "a table such as { mac = "),
        (
            r#"bind = [{ mac = "02:00:00:00:00:01", addresses = "10.0.0.1" }]"#,
            "`addresses` in `bind` is \"10.0.0.1\"",
        ),
    ] {
        let text = with(&format!("[[port]]\nname = \"x\"\nvni = 100\n{wrong}\n"));
        let said = faults_of(&text);
        assert!(said.contains(what), "{said}");
    }
}
