//! What a file is told that is no TOML, or not the TOML that it should be: the exact words, with places, all at once.

use std::fs;
use std::path::Path;

use dataplane::config::{self, Config};

use super::{faults_of, words_of};

#[test]
fn a_fault_shows_its_place_its_line_and_a_remedy() {
    let text = "[umem]\n\tchunks = 1000 # not a power\n";
    assert_eq!(
        faults_of(text),
        "t.toml:2:11: error: the UMEM cannot have 1000 chunks\n    2 |  chunks = 1000 # not a power\n      |           \
         ^^^^\n  help: use a power of two from 256 to 1048576, such as 1024\n"
    );
}

#[test]
fn every_fault_of_a_file_is_told_at_once_in_its_order() {
    let text = r#"
[umem]
chunks = "many"
[[port]]
name = "p"
vni = 7
ring_size = 3
[[vni]]
id = 1
local = 192.0.2.1
tll = 3
ttl = 0
[[fdb]]
vni = 2
mac = "ff:ff:ff:ff:ff:ff"
"#;
    let faults = config::parse(Path::new("t.toml"), text).unwrap_err();
    let lines: Vec<usize> = faults.iter().map(|fault| fault.position.unwrap().line).collect();
    assert_eq!(lines, [3, 6, 7, 10, 11, 13], "{faults}");
    let one_line_each: Vec<String> = faults.one_line_each().collect();
    assert_eq!(
        one_line_each[2],
        "t.toml:7:13: error: a ring of port p cannot have 3 descriptors; use a power of two from 64 to 16384, such as 64"
    );
}

#[test]
fn unknown_keys_are_refused_with_what_was_probably_meant() {
    assert_eq!(
        words_of("[umem]\nchunk_sise = 5\n[[vni]]\nid = 1\nlocal = \"192.0.2.1\"\nqueues = 1\nzzz = 1\n"),
        [
            "unknown key `chunk_sise` in [umem] | did you mean `chunk_size`?",
            "unknown key `queues` in [[vni]] | `queues` belongs into [[port]]",
            "unknown key `zzz` in [[vni]] | the keys of [[vni]] are `id`, `local`, `encapsulation`, `udp_port`, `key`, \
             `learning`, `ageing`, `arp_proxy`, `nd_proxy`, `tos`, `ttl`, `df`, `ecn`, `udp_checksum`, `flood`, \
             `mcast_flood`, `bcast_flood`, `mcast_snooping`, `mcast_group`, `move_limit`, `liveness`, `srcport`, `reserved_bits`, `gre_checksum`, `gre_sequence`, \
             `inner_tags`, `mss_clamp`, `learn_limit`, `remotes`",
        ]
    );
    assert_eq!(
        words_of("sockt = \"x\"\nsocket = \"x\"\n[vnis]\n[[zzz]]\n[qqq]"),
        [
            "unknown key `sockt` | did you mean `socket` in [daemon]?",
            "unknown key `socket` | `socket` belongs into [daemon]",
            "unknown table `vnis` | did you mean [[vni]]?",
            "unknown table `zzz` | the tables are [daemon], [umem], [[worker]], [[port]], [[vni]], [[remote]], [[group]], \
             [[fdb]], [[neighbour]]",
            "unknown table `qqq` | the tables are [daemon], [umem], [[worker]], [[port]], [[vni]], [[remote]], [[group]], \
             [[fdb]], [[neighbour]]",
        ]
    );
}

#[test]
fn tables_of_the_wrong_shape_are_refused_and_read_on() {
    assert_eq!(
        words_of("fdb = [3]\nremote = 5\n[[umem]]\nchunks = 3\n[vni]\nid = 1\nlocal = \"0.0.0.0\"\n"),
        [
            "`fdb` holds 3; it must hold tables | write [[fdb]] on a line of its own and the keys below it",
            "`remote` is 5; it must be a table | write [[remote]] on a line of its own and the keys below it",
            "[[umem]] with two pairs of brackets: there is only one | write [umem]",
            "the UMEM cannot have 3 chunks | use a power of two from 256 to 1048576, such as 256",
            "[vni] with one pair of brackets: there can be several | write [[vni]]",
            "VNI 1 cannot have the local address 0.0.0.0: it stands for no address at all | use the address of an \
             uplink that the peers send to",
        ]
    );
}

#[test]
fn malformed_values_say_what_is_expected() {
    let text = r#"
[daemon]
socket_group = 5
log_target = "jornald"
[[worker]]
cpu = -1
busy = true
[[port]]
name = 5
[[port]]
name = "p"
vni = "100"
queues = 1.5
mode = "zero-copy"
[[vni]]
id = 16777216
local = "192.0.2.1/24"
key = -1
learning = "off"
ageing = "1ms"
ttl = 300
remotes = ["192.0.2.9", 5, "192.0.2"]
[[fdb]]
vni = 1
mac = "02-00-00-00-00-01"
port = 7
[[neighbour]]
vni = 1
address = "10.0.0"
mac = "02:00:00:00:00"
"#;
    assert_eq!(
        words_of(text),
        [
            "`socket_group` is 5; it must be a string | `socket_group` is the group that may use the socket; without it \
             the daemon's own",
            "`log_target` is \"jornald\"; it must be one of \"auto\", \"stderr\", \"journald\" | did you mean \
             \"journald\"?",
            "`cpu` is -1; it must be an integer from 0 to 4294967295 | `cpu` is the CPU that the worker is pinned to; \
             without it the scheduler chooses",
            "`busy` is true; it must be one of \"adaptive\", \"always\" | `busy` is what the worker does when there is \
             nothing to do",
            "`name` is 5; it must be a string | `name` is the port's name in every table and message",
            "`vni` is \"100\"; it must be an integer from 0 to 16777215 | write 100 without quotes",
            "`queues` is 1.5; it must be an integer from 0 to 4294967295 | `queues` is how many of the device's queues \
             to serve; without it all",
            "`mode` is \"zero-copy\"; it must be one of \"auto\", \"zerocopy\", \"native\", \"generic\" | did you mean \
             \"zerocopy\"?",
            "`id` is 16777216; it must be an integer from 0 to 16777215 | `id` is the identifier",
            "`local` is \"192.0.2.1/24\"; it must be a string with an IP address | write \"192.0.2.1\" without a prefix \
             length",
            "`key` is -1; it must be \"vni\", \"none\" or an integer from 0 to 4294967295 | `key` is the key of GRE: \
             \"vni\", \"none\" or a number",
            "`learning` is \"off\"; it must be true or false | write false without quotes",
            "`ageing` is \"1ms\"; it must be whole seconds, as a string such as \"300s\" or \"5m\" or as an integer | \
             `ageing` is how long a learned entry stays that is not refreshed; 0 for ever",
            "`ttl` is 300; it must be \"inherit\" or an integer from 1 to 255 | `ttl` is the TTL of outer headers",
            "`remotes` holds 5; each element must be a string with an IP address | `remotes` is peers that need no \
             settings of their own: the short form of [[remote]]",
            "`remotes` holds \"192.0.2\"; each element must be a string with an IP address | `remotes` is peers that \
             need no settings of their own: the short form of [[remote]]",
            "`mac` is \"02-00-00-00-00-01\"; it must be a string with an Ethernet address such as \
             \"02:00:00:00:00:01\" | did you mean \"02:00:00:00:00:01\"?",
            "`port` is 7; it must be a string | `port` is the access port that it is behind",
            "`address` is \"10.0.0\"; it must be a string with an IP address | `address` is the workload's IPv4 or IPv6 address",
            "`mac` is \"02:00:00:00:00\"; it must be a string with an Ethernet address such as \"02:00:00:00:00:01\" | \
             `mac` is its Ethernet address",
        ]
    );
}

#[test]
fn missing_keys_say_what_they_are_for() {
    assert_eq!(
        words_of(
            "[[port]]\n[[port]]\nname = \"p\"\n[[vni]]\n[[fdb]]\nvni = 1\nmac = \"02:00:00:00:00:01\"\n"
        ),
        [
            "`name` is missing in [[port]] | add `name`, a string: the port's name in every table and message",
            "port p is neither an uplink nor in a VNI | add role = \"uplink\" if it faces the underlay, vni = NUMBER or \
             `vlans` if it faces workloads",
            "`id` is missing in [[vni]] | add `id`, an integer from 0 to 16777215: the identifier",
            "`local` is missing in [[vni]] | add `local`, a string with an IP address, or an array of one IPv4 and one \
             IPv6 address: our underlay address, or one of each family, where tunnel packets come to and from",
            "FDB entry 02:00:00:00:00:01 of VNI 1 points nowhere | add port = \"NAME\", remote = \"ADDRESS\" or group = \"NAME\"",
        ]
    );
}

#[test]
fn syntax_errors_are_told_in_plain_words_and_the_rest_is_read_on() {
    let text = r#"
[umem]
chunks =
chunk_size = 7
[[vni]]
id 5
id = 5
local = 192.0.2.1
learning = yes
[[vni]]
id = 6
id = 7
local = "192.0.2.1" ttl = 4
[[port]
name = "hidden"
vni = 9
[[fdb]]
vni = 5
mac = "02:00:00:00:00:01"
port = "hidden"
[[neighbour]]
vni = 77
address = "10.0.0.1"
mac = "02:00:00:00:00:01"
"#;
    let quotes = "put strings and addresses in quotes; numbers, true and false stand without";
    assert_eq!(
        words_of(text),
        [
            "the key has no value | write a value after the `=`",
            "a chunk cannot have 7 bytes | use 2048, or 4096 for frames above 1700 bytes",
            "a key needs a value | write KEY = VALUE",
            &format!("the value is no number | {quotes}"),
            &format!("`yes` is no value | {quotes}"),
            "key `id` is there twice | keep one of the two; each [[...]] begins with a header of its own",
            "something follows the value | write one key on a line",
            "the table's header is not closed | write [name] or [[name]]",
        ],
        "nothing is held against lines that were read for what others may have said"
    );
}

#[test]
fn a_table_that_comes_twice_is_pointed_to_its_brackets() {
    assert_eq!(
        words_of("[vni]\nid = 1\nlocal = \"192.0.2.1\"\n[vni]\nid = 2\n"),
        [
            "[vni] with one pair of brackets: there can be several | write [[vni]]",
            "table `vni` is there twice | join the two, or write [[...]] for what can come several times",
        ]
    );
}

#[test]
fn a_file_that_is_none_is_not_read_to_its_end() {
    let faults = words_of(&"root:x:0:0\n".repeat(1000));
    assert_eq!(faults.len(), 33);
    assert_eq!(
        faults[32],
        "too many errors; what follows is not read | mend these first; is it the right file?"
    );
}

#[test]
fn excerpts_of_strange_lines_stay_readable() {
    let faults = faults_of("[umem]\nx = \"\u{1b}[31m\"\n");
    assert!(!faults.contains('\u{1b}'), "{faults:?}");
    let accents = "\u{e9}".repeat(60);
    let words = words_of(&format!("[umem]\nchunks = \"{accents}\"\n"));
    assert!(words[0].starts_with(&format!("`chunks` is \"{}…; it must", &accents[..78])), "{words:?}");
    let long = format!("[umem]\nx = \"{}\"\n", "y".repeat(5000));
    assert!(faults_of(&long).lines().all(|line| line.len() < 200));
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let told = |path: &Path| config::load_with_warnings(path).unwrap_err().to_string();
    let missing = directory.path().join("missing.toml");
    assert_eq!(
        told(&missing),
        format!("{}: error: there is no such file\n  help: name the file with --config\n", missing.display())
    );
    assert_eq!(
        told(directory.path()),
        format!("{}: error: this is a directory\n  help: name a file in it\n", directory.path().display())
    );
    let latin = directory.path().join("latin.toml");
    fs::write(&latin, b"[umem]\n# caf\xe9\n").unwrap();
    assert_eq!(
        told(&latin),
        format!(
            "{}:2:6: error: byte 13 of the file is not UTF-8\n    2 | # caf\u{fffd}\n      |      ^\n  help: save the \
             file as UTF-8 text\n",
            latin.display()
        )
    );
    let below = latin.join("x");
    assert_eq!(
        told(&below),
        format!("{}: error: a part of the path is no directory\n  help: correct the path\n", below.display())
    );
}

#[test]
fn an_empty_file_is_the_default() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty.toml");
    fs::write(&path, "\u{feff}# nothing\r\n").unwrap();
    assert_eq!(config::load_with_warnings(&path).unwrap().0, Config::default());
}
