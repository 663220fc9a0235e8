//! Command lines to requests, and answers to tables.

mod lines;
mod port;

use std::time::{Duration, Instant};

use api::{EntryKind, EntryState, Request};
use clap::Parser;
use clap::error::ErrorKind;
use serde_json::json;

use crate::answer::Answer;
use crate::cli::Arguments;
use crate::columns::Paint;
use crate::grammar::{self, FORMS};
use crate::moving::Moving;
use crate::print::{self, Printed};
use lines::LINES;

fn arguments(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(std::iter::once("vtep-ctl").chain(line.split_whitespace()))
}

fn request(line: &str) -> Request {
    arguments(line).unwrap().request().unwrap_or_else(|usage| panic!("{line}: {usage}"))
}

fn refused(line: &str) -> String {
    arguments(line).unwrap().request().err().unwrap_or_else(|| panic!("{line} is understood")).to_string()
}

#[test]
fn command_lines_mean_requests() {
    for (line, method, parameters) in LINES {
        let expected = Request::decode(method, Some(serde_json::from_str(parameters).unwrap())).unwrap();
        assert_eq!(request(line), expected, "{line}");
    }
    let tested = |form: &grammar::Form| {
        let words = format!("{} {}", form.object, form.verb);
        LINES.iter().any(|(line, ..)| format!("{line} ").starts_with(words.trim_end()))
            || LINES
                .iter()
                .any(|(line, ..)| line.replace("delete", "del").replace("list", "show").starts_with(&words))
    };
    for form in FORMS {
        assert!(tested(form) || form.verb == "show", "{} is not tested", form.usage());
    }
}

#[test]
fn flags_may_stand_before_and_after() {
    for line in
        ["--socket /s -j --watch=2.5 fdb show vni 100", "fdb --socket /s show vni 100 --json --watch=2.5"]
    {
        let arguments = arguments(line).unwrap();
        assert_eq!(arguments.socket.to_str(), Some("/s"), "{line}");
        assert_eq!((arguments.json, arguments.pretty), (true, false), "{line}");
        assert_eq!(arguments.watch, Some(Duration::from_millis(2500)), "{line}");
        assert_eq!(arguments.request().unwrap(), request("fdb vni 100"));
    }
    assert_eq!(arguments("fdb --watch").unwrap().watch, Some(Duration::from_secs(1)));
    assert_eq!(arguments("fdb --watch=0").unwrap_err().kind(), ErrorKind::ValueValidation);
    assert_eq!(arguments("nonsense").unwrap_err().kind(), ErrorKind::InvalidSubcommand);
    let refusal = refused("fdb flush --watch");
    assert!(refusal.starts_with("--watch is given with a command that changes something"), "{refusal}");
}

/// A wrong command line, what is said about it, what is said to be expected.
#[rustfmt::skip]
const WRONG: &[(&str, &str, &str)] = &[
    ("status now", r#""now" is not understood after status"#, "show"),
    ("port shwo", r#""shwo" is not understood after port"#, "show | add | set | guard | del"),
    ("port add", "NAME is missing", "NAME"),
    ("port add east", "what the port faces is missing", "vni N | vlans VLAN,VNI[/VLAN,VNI...] | uplink"),
    ("port add east vni 100 uplink", "both vni and uplink are given", "vni N | vlans"),
    ("port add east vni 100 vlans 10,100", "both vni and vlans are given", "vni N | vlans"),
    ("port add east uplink vlans 10,100", "both vlans and uplink are given", "vni N | vlans"),
    ("port add east vlans 10,100/20", r#"vlans "10,100/20" is not understood"#, "each with its VNI: 10,100/20,200"),
    ("port set east vlans 4095,100", r#"vlans "4095,100" is not understood"#, "VLANs from 1 to 4094"),
    ("port set east vlans 1,16777216", r#"vlans "1,16777216" is not understood"#, "VLANs from 1 to 4094"),
    ("port set east native 4095", r#"native "4095" is not understood"#, "a whole number from 0 to 4094"),
    ("port add east vni 100 mode fast", r#"mode "fast" is not understood"#, "auto | zerocopy | native | generic"),
    ("port add east vni 100 queues -1", r#"queues "-1" is not understood"#, "a whole number from 0 to 4294967295"),
    ("port add east vn 100", r#""vn" is not understood"#, "dev DEVICE | vni N | vlans VLAN,VNI[/VLAN,VNI...] | native VLAN|0 | mode auto|zerocopy|native|generic"),
    ("port add east vni", "vni lacks its value", "N"),
    ("port add east vni 1 vni 2", "vni is given twice", "one vni N"),
    ("vni add 16777216 local 192.0.2.1", r#"vni "16777216" is not understood"#, "a whole number from 0 to 16777215"),
    ("vni add 100", "our underlay address is missing", "local IP[,IP]"),
    ("vni add 100 local 192.0.2.1/24", r#"local "192.0.2.1/24" is not understood"#, "without a prefix length"),
    ("vni add 100 local 192.0.2.1 learning yes", r#"learning "yes" is not understood"#, "on | off"),
    ("vni add 100 local 192.0.2.1 key -1", r#"key "-1" is not understood"#, "vni | none | a number from 0 to 4294967295"),
    ("vni add 100 local 192.0.2.1 ttl 0", r#"ttl "0" is not understood"#, "inherit | a number from 1 to 255"),
    ("vni add 100 local 192.0.2.1 tos 256", r#"tos "256" is not understood"#, "inherit | a number from 0 to 255"),
    ("vni add 100 local 192.0.2.1 srcport 9-5", r#"srcport "9-5" is not understood"#, "the lower one first"),
    ("vni add 100 local 192.0.2.1 srcport 0-5", r#"srcport "0-5" is not understood"#, "from 1 to 65535"),
    ("vni add 100 local 192.0.2.1 udp-port 4789,0", r#"udp-port "4789,0" is not understood"#, "from 1 to 65535"),
    ("port guard east bind 02:00:00:00:00:01,nowhere", r#"bind "02:00:00:00:00:01,nowhere" is not understood"#, "MAC[,IP...]"),
    ("vni del", "vni is missing", "vni"),
    ("vni show 100 200", r#""200" is not understood"#, "nothing more"),
    ("remote add 192.0.2.2", "the VNI is missing", "vni N"),
    ("remote del nowhere vni 1", r#"IP "nowhere" is not understood"#, "an IP address such as 192.0.2.1"),
    ("group add pair vni 100", "the group's remotes are missing", "members IP[,WEIGHT][/IP[,WEIGHT]]"),
    ("group add pair vni 100 members 192.0.2.2,0", r#"members "192.0.2.2,0" is not understood"#, "192.0.2.2,2/192.0.2.3"),
    ("fdb add 02:00:00:00:00:01 vni 100 group a dev b", "both group and another place are given", "dev PORT | dst IP | group NAME"),
    ("fdb add 02:00:00:00:00:01 vni 100", "none of dev, dst and group is given", "dev PORT | dst IP"),
    ("fdb add 02:00:00:00:00:01 vni 100 dev a dst 192.0.2.2", "both dev and dst are given", "dev PORT | dst IP"),
    ("fdb add 02-00-00-00-00-01 vni 100 dev a", r#"MAC "02-00-00-00-00-01" is not understood"#, "six hexadecimal octets"),
    ("fdb show dynamic static", "both dynamic and static are given", "one of them, or neither"),
    ("fdb re 02:00:00:00:00:01", "none of dev, dst and group is given", "dev PORT | dst IP"),
    ("neigh add 10.0.0.1 vni 100", "the Ethernet address is missing", "lladdr MAC"),
    ("drops show every", r#""every" is not understood"#, "port NAME | all"),
    ("port set east", "nothing to change is given", "flood on|off | "),
    ("port guard east", "nothing to change is given", "trusted on|off | "),
    ("remote add 192.0.2.2 vni 1 multiplier 300", r#"multiplier "300" is not understood"#, "from 1 to 255"),
    ("remote add 192.0.2.2 vni 1 multiplier 0", r#"multiplier "0" is not understood"#, "from 1 to 255"),
    ("reload now", r#""now" is not understood after reload"#, "nothing more"),
];

#[test]
fn a_wrong_word_is_named_with_what_was_expected() {
    for (line, what, expected) in WRONG {
        let said = refused(line);
        let mut said = said.lines();
        assert!(said.next().unwrap().starts_with(what), "{line}: {}", refused(line));
        let second = said.next().unwrap();
        assert!(second.starts_with("  expected: ") && second.contains(expected), "{line}: {second}");
        let object = line.split(' ').next().unwrap();
        assert!(said.next().unwrap().starts_with(&format!("  usage: vtep-ctl {object}")), "{line}");
        let longest = refused(line).lines().skip(2).map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|longest| longest <= 100), "{}", refused(line));
    }
}

#[test]
fn usage_lines_name_every_word() {
    for form in FORMS {
        assert_eq!(form.missing_from_usage(), Vec::<&str>::new(), "{}", form.usage());
    }
    let help = arguments("port --help").unwrap_err();
    assert_eq!(help.kind(), ErrorKind::DisplayHelp);
    assert!(
        help.to_string().contains("vtep-ctl port add NAME [dev DEVICE] (vni N | vlans VLAN,VNI"),
        "{help}"
    );
}

fn printed(answer: &Answer) -> Printed {
    print::answer(answer, &mut Moving::default(), Paint(false))
}

fn entry(mac: u8, learned: bool) -> api::FdbEntry {
    api::FdbEntry {
        mac: api::Mac([2, 0, 0, 0, 0, mac]),
        vni: 100,
        ifname: learned.then(|| "east".to_owned()),
        dst: (!learned).then(|| "192.0.2.2".parse().unwrap()),
        group: None,
        kind: if learned { EntryKind::Dynamic } else { EntryKind::External },
        state: if learned { EntryState::Reachable } else { EntryState::Permanent },
        flags: if learned { Vec::new() } else { vec!["extern_learn".into()] },
        age: 12,
        owner: if learned { "learned" } else { "control" }.into(),
        version: if learned { 0 } else { 1234 },
        moves: u32::from(!learned),
        last_move: (!learned).then_some(7),
        moved_from: (!learned).then(|| "east".into()),
    }
}

#[test]
fn forwarding_entries_are_a_table_and_json_of_bridges_names() {
    let answer = Answer::Fdb(vec![entry(1, true), entry(2, false)]);
    let expected = "\
VNI  MAC                DEV   DST        STATE      AGE  OWNER    FLAGS         VERSION  MOVES  LAST MOVE  MOVED FROM
100  02:00:00:00:00:01  east  -          reachable  12s  learned  -                   -      -          -  -
100  02:00:00:00:00:02  -     192.0.2.2  permanent  12s  control  extern_learn     1234      1         7s  east
";
    assert_eq!(printed(&answer), Printed { data: expected.into(), words: String::new() });
    let expected = json!([
        { "mac": "02:00:00:00:00:01", "vni": 100, "ifname": "east", "kind": "dynamic", "state": "reachable", "flags": [],
          "age": 12, "owner": "learned", "version": 0, "moves": 0 },
        { "mac": "02:00:00:00:00:02", "vni": 100, "dst": "192.0.2.2", "kind": "external", "state": "permanent",
          "flags": ["extern_learn"], "age": 12, "owner": "control", "version": 1234, "moves": 1, "last_move": 7, "moved_from": "east" },
    ]);
    assert_eq!(answer.json(), Some(expected));
}

#[test]
fn what_is_known_of_a_remote_is_told_in_its_row() {
    let path = |source_port, loss, dead| api::LivenessPath {
        source_port,
        sent: 100,
        lost: 40,
        loss,
        dead,
        rtt_us: Some(90),
    };
    let remote = |dst: &str, liveness| api::Remote {
        dst: dst.parse().unwrap(),
        vni: 100,
        encap: api::Encapsulation::Vxlan,
        udp_port: Some(4789),
        key: None,
        local: "192.0.2.1".parse().unwrap(),
        state: api::RemoteState::Reachable,
        dev: None,
        lladdr: None,
        degraded: Vec::new(),
        flood: true,
        udp_checksum: None,
        storm_limit: 100_000,
        learned: 0,
        learn_limit: 65_536,
        liveness,
        path_mtu: None,
    };
    let liveness = api::Liveness {
        state: api::LivenessState::Up,
        since: 75,
        reason: None,
        interval: 300,
        multiplier: 3,
        rtt_us: Some(85),
        last_loss: Some(2),
        mtu: Some(1450),
        black_hole: Some(3700),
        paths: vec![path(50_001, 100, true), path(50_002, 0, false)],
    };
    let down = api::Liveness {
        state: api::LivenessState::Down,
        reason: Some("nothing came within the detection time".into()),
        paths: Vec::new(),
        rtt_us: None,
        last_loss: None,
        mtu: None,
        black_hole: None,
        ..liveness.clone()
    };
    let hindered = api::Remote {
        degraded: vec!["there is no route to 192.0.2.4; see `ip route get 192.0.2.4`".into()],
        ..remote("192.0.2.4", None)
    };
    let remotes = vec![remote("192.0.2.2", Some(liveness)), remote("192.0.2.3", Some(down)), hindered];
    let table = printed(&Answer::Remotes(remotes)).data;
    for part in [
        "up 1m 15s",
        "85µs",
        "50%",
        "2s ago",
        "50001",
        "1450, black hole above for 1h 1m",
        "down 1m 15s (nothing came within the detection time)",
        "\ndegraded: 192.0.2.4 in VNI 100: there is no route to 192.0.2.4; see `ip route get 192.0.2.4`\n",
    ] {
        assert!(table.contains(part), "{part:?} is not in\n{table}");
    }
}

#[test]
fn a_group_is_a_row_for_each_member() {
    let member = |dst: &str, backup, state, buckets| api::GroupMember {
        dst: dst.parse().unwrap(),
        weight: 1,
        backup,
        state,
        buckets,
    };
    let members = vec![
        member("192.0.2.2", false, api::MemberState::Active, 256),
        member("192.0.2.3", false, api::MemberState::Down, 0),
        member("192.0.2.4", true, api::MemberState::Standby, 0),
    ];
    let answer = Answer::Groups(vec![api::Group { name: "pair".into(), vni: 100, flood: false, members }]);
    let expected = "\
VNI  NAME  FLOOD  DST        WEIGHT  STATE    BUCKETS
100  pair  off    192.0.2.2       1  active       256
100  pair  off    192.0.2.3       1  down           0
100  pair  off    192.0.2.4  backup  standby        0
";
    assert_eq!(printed(&answer).data, expected);
}

#[test]
fn nothing_is_said_to_be_nothing_beside_the_data() {
    for (answer, words) in [
        (Answer::Fdb(Vec::new()), "no forwarding entries\n"),
        (Answer::Drops(Vec::new()), "no frames dropped\n"),
        (Answer::Vnis(Vec::new()), "no VNIs\n"),
    ] {
        assert_eq!(printed(&answer), Printed { data: String::new(), words: words.into() });
        assert_eq!(answer.json(), Some(json!([])));
    }
    assert_eq!(Answer::Done.json(), None);
    assert_eq!(printed(&Answer::Done), Printed::default());
    assert_eq!(printed(&Answer::Flushed(api::FlushReply { flushed: 1 })).data, "1 entry removed\n");
    let reply = api::ReloadReply { changes: 2, restart: vec!["umem.chunks".into()], refused: Vec::new() };
    assert_eq!(
        printed(&Answer::Reloaded(reply)).data,
        "2 changes made\ntakes effect at the next start: umem.chunks\n"
    );
}

#[test]
fn watching_shows_rates() {
    let (mut moving, start) = (Moving::default(), Instant::now());
    moving.begin(start);
    let mut before = port::port();
    print::answer(&Answer::Ports { ports: vec![before.clone()], alone: false }, &mut moving, Paint(false));
    before.rx_packets += 500;
    moving.begin(start + Duration::from_secs(2));
    let after =
        print::answer(&Answer::Ports { ports: vec![before], alone: false }, &mut moving, Paint(false)).data;
    assert!(after.contains(" 1500 (+250/s) "), "{after}");
}

fn stats(frames: u64) -> Answer {
    let residence = |value| api::Distribution {
        count: frames,
        mean: value,
        p50: value,
        p90: value,
        p99: value,
        p999: value,
        max: value,
        buckets: Some(vec![api::Bucket { value, count: frames }]),
    };
    let cost =
        api::Cost { rounds: 1, frames, receive: 10 * frames, transmit: 300 * frames, ..Default::default() };
    Answer::Stats(api::StatsReply {
        balance: api::Balance::default(),
        chunks: api::Chunks::default(),
        jumbo_chunks: api::Chunks { free: 1020, rings: 3, flight: 1, total: 1024 },
        workers: vec![api::WorkerStats {
            worker: 0,
            cpu: None,
            rx: frames,
            copies: 0,
            tx: frames,
            dropped: 0,
            taken: 0,
            in_flight: 0,
            handed_over: 0,
            lost_events: 0,
            failed_flushes: 0,
            bursts: 0,
            flushes: 7,
            burst: Some(api::BurstCosts { threshold: 16, ring_ns: 600, call_ns: 8000, frame_ns: 100 }),
            residence: residence(2500),
            batches: residence(1),
            cost,
        }],
        ports: Vec::new(),
        path_mtu: api::PathMtuCounts { accepted: 1, foreign: 2, ..Default::default() },
    })
}

#[test]
fn measurements_are_tables_of_what_there_was() {
    let text = printed(&stats(100)).data;
    for line in [
        "jumbo   free 1020  rings 3  flight 1  total 1024",
        "BURST COSTS  RING/FRAME  BURST/CALL  BURST/FRAME  BURST FROM FRAMES",
        "worker 0          600ns      8000ns        100ns                 16",
        "RESIDENCE  FRAMES    MEAN     P50     P90     P99   P99.9     MAX",
        "worker 0      100  2.50µs  2.50µs  2.50µs  2.50µs  2.50µs  2.50µs",
        "BATCH SIZE  BATCHES  MEAN  P50  P90  P99  P99.9  MAX",
        "worker 0        100     1    1    1    1      1    1",
        "COST NS/FRAME  OF FRAMES  RECEIVE  PARSE  DECIDE  DELIVER  TRANSMIT  REST  WHOLE",
        "worker 0             100       10      0       0        0       300     0    310",
        "PATH MTU TOLD  BELIEVED  UNREADABLE  FOREIGN  IMPLAUSIBLE  BELOW FLOOR",
        "by routers            1           0        2            0            0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
    let nothing = printed(&stats(0)).data;
    assert!(!nothing.contains("RESIDENCE") && !nothing.contains("COST NS/FRAME"), "{nothing}");
}

#[test]
fn watching_measurements_tells_those_of_each_interval() {
    let watched = arguments("stats --watch").unwrap().request().unwrap();
    assert_eq!(watched, request("stats buckets"));
    assert_eq!(arguments("-j stats --watch").unwrap().request().unwrap(), request("stats"));
    let (mut moving, start) = (Moving::default(), Instant::now());
    moving.begin(start);
    print::answer(&stats(100), &mut moving, Paint(false));
    moving.begin(start + Duration::from_secs(1));
    let text = print::answer(&stats(130), &mut moving, Paint(false)).data;
    assert!(text.lines().any(|line| line.starts_with("worker 0       30  2.50µs")), "{text}");
    assert!(text.contains("worker 0              30       10 "), "{text}");
}
