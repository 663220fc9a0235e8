//! What is told of groups of remotes, and of how remotes are asked whether they are there.

use std::path::Path;

use dataplane::config;

use super::{with, words_of};

#[test]
fn groups_name_remotes_of_their_vni() {
    let text = with(
        r#"
[[group]]
vni = 100
name = "a b"
members = ["192.0.2.2", { remote = "192.0.2.2", weight = 0 }, "192.0.2.9"]
[[group]]
vni = 7
name = "lost"
members = ["192.0.2.2"]
[[group]]
vni = 100
name = "odd"
members = [5, { weight = 2 }, { remote = "192.0.2.2", weigth = 2 }]
[[fdb]]
vni = 100
mac = "02:00:00:00:00:01"
group = "none"
[[fdb]]
vni = 100
mac = "02:00:00:00:00:02"
group = "a b"
port = "w"
"#,
    );
    assert_eq!(
        words_of(&text),
        [
            "\"a b\" cannot be the name of a group | use 1 to 63 letters, digits and . _ - : @",
            "192.0.2.2 is in group a b twice | keep one of the two, with the sum of their weights",
            "192.0.2.2 cannot have the weight 0 in group a b | use a number from 1 to 256",
            "192.0.2.9 is in group a b, but is no remote of VNI 100 | add remote 192.0.2.9 to VNI 100 first, or leave it out",
            "VNI 7 is not configured | configure VNI 7 first, or name one that is there: 100",
            "`members` holds 5; each element must be an IP address, or a table such as { remote = \"192.0.2.2\", weight = 2, backup = true } | write the remote's address in quotes",
            "`members` holds { weight = 2 }; each element must be an IP address, or a table such as { remote = \"192.0.2.2\", weight = 2, backup = true } | add `remote`, the address of a remote of the VNI",
            "unknown key `weigth` in `members` | did you mean `weight`?",
            "FDB entry 02:00:00:00:00:01 points to group none, which VNI 100 does not have | add group none to VNI 100 first, or name one of its groups",
            "FDB entry 02:00:00:00:00:02 of VNI 100 points to a group and to something else | keep one of `port`, `remote` and `group`",
        ]
    );
}

#[test]
fn liveness_has_bounds() {
    let text = with(
        r#"
[[remote]]
vni = 100
address = "192.0.2.3"
liveness = { interval = "10ms", multiplier = 0, recovery = 2000, paths = 65 }
[[remote]]
vni = 100
address = "192.0.2.4"
liveness = { intervall = "1s" }
[[remote]]
vni = 100
address = "192.0.2.5"
liveness = "on"
[[remote]]
vni = 100
address = "192.0.2.6"
liveness = { interval = 300 }
[[remote]]
vni = 100
address = "192.0.2.7"
liveness = { multiplier = 300 }
"#,
    );
    let table = "true, false, or a table such as { interval = \"300ms\", multiplier = 3 }";
    assert_eq!(
        words_of(&text),
        [
            "remote 192.0.2.3 of VNI 100 cannot be asked every 10 ms whether it is there | use an interval from 50ms to \
             1m, such as 300ms",
            "remote 192.0.2.3 of VNI 100 cannot be lost before a packet is: its multiplier is 0 | use a multiplier from 1 \
             to 255, such as 3",
            "remote 192.0.2.3 of VNI 100 would have to answer 2000 times before it is used again | use a recovery from 0 \
             to 1000, such as 10",
            "remote 192.0.2.3 of VNI 100 cannot be asked on 65 paths | use a number from 1 to 64, such as 8",
            "unknown key `intervall` in `liveness` | did you mean `interval`?",
            &format!(
                "`liveness` is \"on\"; it must be {table} | `liveness` is whether it is asked by BFD whether it is there, \
                 and how; without it as the VNI says"
            ),
            "`interval` in `liveness` is 300; it must be whole milliseconds, as a string such as \"300ms\" or \"1s\" | `liveness` is \
             whether it is asked by BFD whether it is there, and how; without it as the VNI says",
            "`multiplier` in `liveness` is 300; it must be an integer from 1 to 255 | `liveness` is whether it is asked by \
             BFD whether it is there, and how; without it as the VNI says",
        ]
    );
}

#[test]
fn what_goes_takes_its_dependents_along() {
    let text = with(
        r#"
[[remote]]
vni = 100
address = "192.0.2.3"
[[group]]
vni = 100
name = "pair"
members = ["192.0.2.2", "192.0.2.3"]
[[fdb]]
vni = 100
mac = "02:00:00:00:00:01"
group = "pair"
"#,
    );
    let (mut config, warnings) = config::parse(Path::new("t.toml"), &text).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    let (vni, address) = (wire::Vni::new(100).unwrap(), "192.0.2.3".parse().unwrap());
    config.apply(&config::Change::RemoveRemote { vni, address }).unwrap();
    let group = config.groups.get(&(vni, "pair".to_owned())).unwrap();
    assert_eq!((group.members.len(), config.fdb.len()), (1, 1));
    config.apply(&config::Change::RemoveGroup { vni, name: "pair".to_owned() }).unwrap();
    assert!(config.groups.is_empty() && config.fdb.is_empty());
    let refusal = config.apply(&config::Change::RemoveGroup { vni, name: "pair".to_owned() }).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "there is no group pair of VNI 100; `vtep-ctl group show` tells what there is"
    );
}
