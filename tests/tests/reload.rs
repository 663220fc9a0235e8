//! SIGHUP and control requests: what changes is applied, what does not change loses nothing, and the file and the
//! requests can say the same.
//!
//! ```text
//!   a1, a2 ── node 1 (vtepd) ── underlay ── node 2 (vtepd) ── b1, b2
//! ```

use std::time::Duration;

use serde_json::{Map, Value, json};
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, Node, Segment, UdpStream, Underlay, Variant, Workload, wait_until};

in_every_variant!(a_reload_loses_nothing_of_what_stays);

struct Net {
    _underlay: Underlay,
    a: Node,
    b: Node,
    a1: Workload,
    a2: Workload,
    b1: Workload,
    b2: Workload,
}

impl Net {
    fn new() -> Self {
        let underlay = Underlay::new();
        let (a, b) = (underlay.node(1), underlay.node(2));
        let (a1, a2) = (a.workload("a1", "10.0.0.1"), a.workload("a2", "10.0.0.3"));
        let (b1, b2) = (b.workload("b1", "10.0.0.2"), b.workload("b2", "10.0.0.4"));
        Self { _underlay: underlay, a, b, a1, a2, b1, b2 }
    }

    fn first(&self) -> Segment {
        Segment::vxlan(100).access(&self.a1).remote(&self.b)
    }

    fn second(&self) -> Segment {
        Segment::gre(200).access(&self.a2).remote(&self.b)
    }

    fn far(&self, variant: Variant) -> Daemon<'_> {
        let first = Segment::vxlan(100).access(&self.b1).remote(&self.a);
        let second = Segment::gre(200).access(&self.b2).remote(&self.a);
        Daemon::start(&self.b, variant, &[first, second])
    }
}

fn a_reload_loses_nothing_of_what_stays(variant: Variant) {
    let net = Net::new();
    let _far = net.far(variant);
    let small = variant.config(&net.a, &[net.first()]);
    let large = variant.config(&net.a, &[net.first(), net.second()]);
    let near = Daemon::start(&net.a, variant, &[net.first()]);
    net.a1.reaches(&net.b1);
    let out = UdpStream::start(&net.a1, &net.b1, Duration::from_millis(1));
    let vnis = || near.list("vni show").len();
    for _ in 0..3 {
        near.rewrite(&large);
        near.hang_up();
        wait_until("VNI 200 is added", SOON, || vnis() == 2);
        net.a2.reaches(&net.b2);
        out.wait_for_more(50);
        near.rewrite(&small);
        near.hang_up();
        wait_until("VNI 200 is removed", SOON, || vnis() == 1);
        net.a2.does_not_reach(net.b2.address);
    }
    out.stop().assert_complete();
}

/// What one VNI's change must not do to another, and a change of the VNI itself takes effect.
#[test]
fn a_changed_key_takes_effect() {
    let net = Net::new();
    let _far = net.far(Variant::ONE_WORKER);
    let near = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.first()]);
    net.a1.reaches(&net.b1);
    let stream = UdpStream::start(&net.a1, &net.b1, Duration::from_millis(1));
    let changed =
        net.first().key("ageing = 17").key("ttl = 9").key("arp_proxy = false").key("nd_proxy = false");
    near.rewrite(&Variant::ONE_WORKER.config(&net.a, &[changed]));
    near.hang_up();
    wait_until("the VNI is changed", SOON, || {
        let vni = &near.list("vni show 100")[0];
        vni["ageing"] == 17 && vni["ttl"] == "9" && vni["arp_proxy"] == false && vni["nd_proxy"] == false
    });
    stream.wait_for_more(100);
    stream.stop().assert_complete();
}

/// Far more written entries than the database begins with are in it when the daemon says that it is ready, and when a
/// reload is answered: none of their frames is flooded meanwhile.
#[test]
fn many_written_entries_are_there_at_once() {
    let net = Net::new();
    let config = Variant::ONE_WORKER.config(&net.a, &[net.first()]);
    let with = |entries: u16| {
        let entry = |number: u16| {
            let [high, low] = number.to_be_bytes();
            format!("\n[[fdb]]\nvni = 100\nmac = \"02:dd:00:00:{high:02x}:{low:02x}\"\nport = \"a1\"\n")
        };
        (0..entries).map(entry).fold(config.clone(), |config, entry| config + &entry)
    };
    let near = Daemon::with_config(&net.a, &with(12_000));
    near.wait_for_ports();
    assert_eq!(near.list("fdb show static").len(), 12_000);
    near.rewrite(&with(30_000));
    near.change("reload");
    assert_eq!(near.list("fdb show static").len(), 30_000);
}

/// Hundreds of changes to everything else, while frames pass.
#[test]
fn requests_lose_nothing_of_what_stays() {
    let net = Net::new();
    let _far = net.far(Variant::TWO_WORKERS);
    let near = Daemon::start(&net.a, Variant::TWO_WORKERS, &[net.first()]);
    net.a1.reaches(&net.b1);
    let streams = UdpStream::both_ways(&net.a1, &net.b1, Duration::from_millis(1));
    for round in 0..20 {
        for line in [
            "vni add 200 local 192.0.2.1 encap gre",
            "remote add 192.0.2.2 vni 200",
            "port add a2 vni 200",
            "fdb add 02:00:00:00:00:99 vni 200 dst 192.0.2.2",
            "fdb replace 02:00:00:00:00:99 vni 200 dev a2",
            "neigh add 10.0.0.99 lladdr 02:00:00:00:00:99 vni 200",
            "vni replace 200 local 192.0.2.1 encap gre ttl 7",
            "fdb flush vni 200",
            "neigh flush vni 200",
            "reload",
            "port del a2",
            "vni del 200",
        ] {
            near.change(line);
        }
        assert_eq!(near.list("vni show").len(), 1, "round {round}");
    }
    for stream in streams {
        stream.stop().assert_complete();
    }
}

/// A file with faults changes nothing, and the log tells every fault.
#[test]
fn a_faulty_file_changes_nothing() {
    let net = Net::new();
    let _far = net.far(Variant::ONE_WORKER);
    let near = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.first()]);
    net.a1.reaches(&net.b1);
    let before = configured(&near);
    let stream = UdpStream::start(&net.a1, &net.b1, Duration::from_millis(1));
    near.rewrite("[[vni]]\nid = 16777216\n\n[[port]]\nname = \"a1\"\nvnni = 100\n");
    near.hang_up();
    wait_until("the log tells the faults", SOON, || {
        let log = near.log();
        log.contains("16777216") && log.contains("vnni")
    });
    stream.wait_for_more(50);
    stream.stop().assert_complete();
    assert_eq!(configured(&near), before);
}

/// One of everything that a file can say.
const FILE: &str = "[[port]]
name = \"up0\"
role = \"uplink\"

[[port]]
name = \"first\"
device = \"a1\"
vni = 100
mode = \"native\"
require = \"generic\"
queues = 1
ring_size = 512
transmit = \"ring\"
flood = false
isolated = true
storm_limit = 0

[[port]]
name = \"a2\"
vni = 200

[[vni]]
id = 100
local = \"192.0.2.1\"
udp_port = 8472
learning = false
ageing = \"90s\"
arp_proxy = false
nd_proxy = false
ttl = 3
move_limit = 9
mcast_flood = false
mcast_snooping = false
mcast_group = \"239.1.1.1\"
remotes = [\"192.0.2.2\"]

[[vni]]
id = 200
local = \"192.0.2.1\"
encapsulation = \"gre\"
key = 77

[[vni]]
id = 300
local = \"192.0.2.1\"
encapsulation = \"gre\"
key = \"none\"

[[remote]]
vni = 200
address = \"192.0.2.2\"
encapsulation = \"vxlan\"
udp_port = 4789
flood = false
storm_limit = 77

[[remote]]
vni = 200
address = \"192.0.2.7\"

[[fdb]]
vni = 100
mac = \"02:00:00:00:00:71\"
port = \"first\"

[[fdb]]
vni = 200
mac = \"02:00:00:00:00:72\"
remote = \"192.0.2.2\"

[[neighbour]]
vni = 200
address = \"10.0.0.72\"
mac = \"02:00:00:00:00:72\"
";

/// The same as requests.
const REQUESTS: [&str; 12] = [
    "vni add 100 local 192.0.2.1 udp-port 8472 learning off ageing 90 arp-proxy off nd-proxy off ttl 3 \
     move-limit 9 mcast-flood off mcast-snooping off mcast-group 239.1.1.1",
    "vni add 200 local 192.0.2.1 encap gre key 77",
    "vni add 300 local 192.0.2.1 encap gre key none",
    "port add up0 uplink",
    "port add first dev a1 vni 100 mode native require generic queues 1 ring-size 512 transmit ring \
     flood off isolated on storm-limit 0",
    "port add a2 vni 200",
    "remote add 192.0.2.2 vni 100",
    "remote add 192.0.2.2 vni 200 encap vxlan udp-port 4789 flood off storm-limit 77",
    "remote add 192.0.2.7 vni 200",
    "fdb add 02:00:00:00:00:71 vni 100 dev first",
    "fdb add 02:00:00:00:00:72 vni 200 dst 192.0.2.2",
    "neigh add 10.0.0.72 lladdr 02:00:00:00:00:72 vni 200",
];

/// Everything that the file can say, said by requests, gives the same state, and the reverse.
#[test]
fn the_file_and_requests_can_say_the_same() {
    let net = Net::new();
    let from_file = {
        let daemon = Daemon::with_config(&net.a, FILE);
        daemon.wait_for_ports();
        configured(&daemon)
    };
    let daemon = Daemon::with_config(&net.a, "");
    for request in REQUESTS {
        daemon.change(request);
    }
    daemon.wait_for_ports();
    assert_eq!(configured(&daemon), from_file);

    // The reverse: the file takes over what was requested, and takes it away again.
    daemon.rewrite(FILE);
    daemon.hang_up();
    wait_until("the file changes nothing", SOON, || configured(&daemon) == from_file);
    daemon.rewrite("");
    daemon.hang_up();
    wait_until("the empty file removes everything", SOON, || configured(&daemon) == nothing());
}

/// A change that a request stands in the way of is told, and made by a later reload once that is gone.
#[test]
fn what_a_reload_refuses_is_told_and_tried_again() {
    let net = Net::new();
    let config = Variant::ONE_WORKER.config(&net.a, &[net.first()]);
    let daemon = Daemon::ready(&net.a, &config);
    daemon.change("port add other dev a2 vni 100");
    daemon.rewrite(&(config + &Variant::ONE_WORKER.port("a2", "vni = 100")));
    let ports = || daemon.list("port show").iter().map(|port| port["ifname"].clone()).collect::<Vec<_>>();
    for _ in 0..2 {
        let refused = daemon.ctl("reload");
        assert!(!refused.success() && refused.stderr.contains("not changed: "), "{refused}");
        assert_eq!(ports(), ["a1", "other", "up0"]);
    }
    daemon.change("port del other");
    daemon.change("reload");
    assert_eq!(ports(), ["a1", "a2", "up0"]);
}

/// What a restart is needed for is told as long as the file says something else than what runs.
#[test]
fn a_reload_tells_what_differs_from_what_runs() {
    let net = Net::new();
    let config = Variant::ONE_WORKER.config(&net.a, &[net.first()]);
    let daemon = Daemon::ready(&net.a, &config);
    let restart = || daemon.show("reload")["restart"].clone();
    assert_eq!(restart(), json!([]));
    daemon.rewrite(&format!("{config}[umem]\nchunks = 32768\n"));
    daemon.hang_up();
    wait_until("the log tells it", SOON, || daemon.log().contains("umem.chunks"));
    assert_eq!((restart(), restart()), (json!(["umem.chunks"]), json!(["umem.chunks"])));
    daemon.rewrite(&config);
    assert_eq!(restart(), json!([]));
}

/// What is configured, without what runs or counts.
fn configured(daemon: &Daemon<'_>) -> Value {
    let keep = |what: &str, keys: &[&str]| -> Value {
        let entries = daemon.list(what);
        let reduce = |entry: &Value| {
            let kept: Map<String, Value> =
                keys.iter().filter_map(|key| Some(((*key).to_owned(), entry.get(*key)?.clone()))).collect();
            Value::Object(kept)
        };
        let mut reduced: Vec<Value> = entries.iter().map(reduce).collect();
        reduced.sort_by_key(ToString::to_string);
        Value::Array(reduced)
    };
    json!({
        "ports": keep("port show", &["ifname", "device", "role", "vni", "mode", "ring_size", "flood", "isolated", "storm_limit"]),
        "vnis": keep("vni show", &[
            "vni", "local", "encap", "udp_port", "key", "learning", "ageing", "arp_proxy", "nd_proxy", "ttl", "move_limit", "mcast_flood",
            "mcast_snooping", "mcast_group", "ports", "remotes",
        ]),
        "remotes": keep("remote show", &["dst", "vni", "encap", "udp_port", "key", "local", "flood", "storm_limit"]),
        "fdb": keep("fdb show static", &["mac", "vni", "ifname", "dst", "state"]),
        "neighbours": keep("neigh show", &["dst", "lladdr", "vni", "state"]),
    })
}

fn nothing() -> Value {
    json!({ "ports": [], "vnis": [], "remotes": [], "fdb": [], "neighbours": [] })
}
