//! What is told of groups of remotes, and of how remotes are asked whether they are there.

use std::path::Path;

use dataplane::config::{self, Change, GroupConfig, RemoteConfig};
use dataplane::plan::diff;
use wire::Vni;

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
fn no_remote_is_flooded_to_twice_or_against_its_word() {
    let text = with(
        r#"
[[remote]]
vni = 100
address = "192.0.2.3"
[[remote]]
vni = 100
address = "192.0.2.4"
flood = false
[[group]]
vni = 100
name = "one"
members = ["192.0.2.2", "192.0.2.3"]
flood = true
[[group]]
vni = 100
name = "two"
members = ["192.0.2.4", "192.0.2.3", "192.0.2.2"]
flood = true
[[group]]
vni = 100
name = "three"
members = ["192.0.2.4", "192.0.2.3", "192.0.2.2"]
"#,
    );
    let unasked = "group two of VNI 100 has `flood`, but its remote 192.0.2.4 has `flood = false`: it would get flooded frames \
                   all the same | leave `flood` off in the group, or on in the remote";
    let twice = "groups one and two of VNI 100 both have remote 192.0.2.3 and `flood`: it would get flooded frames twice | \
                 leave `flood` off in one of them";
    let lines = ["(remote 192.0.2.4 of VNI 100 is on line 16)", "(group one of VNI 100 is on line 20)"];
    assert_eq!(words_of(&text), [format!("{unasked} {}", lines[0]), format!("{twice} {}", lines[1])]);

    let right = text.replacen("flood = true", "", 1).replacen("flood = false", "", 1);
    let (mut config, _) = config::parse(Path::new("t.toml"), &right).unwrap();
    let mut refused = |change: Change| config.apply(&change).unwrap_err().what;
    let vni = Vni::new(100).unwrap();
    let (one, four) = ((vni, "one".to_owned()), (vni, "192.0.2.4".parse().unwrap()));
    let (before, _) = config::parse(Path::new("t.toml"), &right).unwrap();
    let one = GroupConfig { flood: true, ..before.groups.get(&one).unwrap().clone() };
    let what = refused(Change::SetGroup { group: one, replace: true });
    assert_eq!(
        what,
        twice.replace("one and two", "two and one").replace("2.3", "2.2").split(" | ").next().unwrap()
    );
    let four = RemoteConfig { flood: false, ..before.remotes.get(&four).unwrap().clone() };
    let what = refused(Change::SetRemote { remote: four, replace: true });
    assert_eq!(what, unasked.split(" | ").next().unwrap());
    assert_eq!(config, before, "nothing has changed");
}

#[test]
fn groups_that_are_flooded_to_may_exchange_remotes_in_one_reload() {
    let text = |one: &str, two: &str| {
        let group = |name: &str, members: &str| {
            format!("[[group]]\nvni = 100\nname = \"{name}\"\nmembers = [\"{members}\"]\nflood = true\n")
        };
        let third = "[[remote]]\nvni = 100\naddress = \"192.0.2.3\"\n";
        with(&(third.to_owned() + &group("one", one) + &group("two", two)))
    };
    let before = text("192.0.2.2", "192.0.2.3");
    let exchanged = text("192.0.2.3", "192.0.2.2");
    let lost = text("192.0.2.2", "192.0.2.2")
        .replacen("flood = true", "", 1)
        .replace("2.3\"\n", "2.3\"\nflood = false\n");
    for after in [exchanged, lost] {
        let [(old, _), (new, _)] =
            [&before, &after].map(|text| config::parse(Path::new("t.toml"), text).unwrap());
        let mut at = old.clone();
        let changes = diff(&old, &new);
        for change in &changes {
            at.apply(change).unwrap();
        }
        assert_eq!(at, new);
        assert!(
            changes.iter().all(|change| matches!(change, Change::SetGroup { .. } | Change::SetRemote { .. }))
        );
    }
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
    let (vni, address) = (Vni::new(100).unwrap(), "192.0.2.3".parse().unwrap());
    config.apply(&Change::RemoveRemote { vni, address }).unwrap();
    let group = config.groups.get(&(vni, "pair".to_owned())).unwrap();
    assert_eq!((group.members.len(), config.fdb.len()), (1, 1));
    config.apply(&Change::RemoveGroup { vni, name: "pair".to_owned() }).unwrap();
    assert!(config.groups.is_empty() && config.fdb.is_empty());
    let refusal = config.apply(&Change::RemoveGroup { vni, name: "pair".to_owned() }).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "there is no group pair of VNI 100; `vtep-ctl group show` tells what there is"
    );
}
