//! The control socket and vtep-ctl: requests that cannot be granted, clients that do not behave, and an independent
//! client of the same protocol.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use vtep_tests::process::{Finished, Process};
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, Pair, UdpStream, Underlay, Variant, programs};

/// ```text
///   a1 ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge) ── b1
/// ```
fn daemon(net: &Pair) -> Daemon<'_> {
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.near()]);
    net.a1.reaches(&net.b1);
    daemon
}

/// Requests, their exit codes and what is said about them.
const REFUSED: &[(&str, i32, &str)] = &[
    ("port add a1 vni 100", 1, "port a1 exists already"),
    ("port add x vni 999", 1, "VNI 999 is not configured"),
    (
        "port add toolongadevicename vni 100",
        1,
        "\"toolongadevicename\" cannot be the name of a network device",
    ),
    ("port del nobody", 1, "there is no port nobody"),
    ("port show nobody", 1, "there is no port \"nobody\""),
    ("port add x", 2, "what the port faces is missing"),
    ("port add x vni 100 queues many", 2, "queues \"many\" is not understood"),
    ("port add x vni 100 ring-size 1000", 1, "a ring of port x cannot have 1000 descriptors"),
    ("vni add 100 local 192.0.2.1", 1, "VNI 100 exists already"),
    ("vni add 16777216 local 192.0.2.1", 2, "vni \"16777216\" is not understood"),
    (
        "vni add 200 local 224.0.0.1",
        1,
        "VNI 200 cannot have the local address 224.0.0.1: it is a multicast group",
    ),
    ("vni add 200 local nowhere", 2, "local \"nowhere\" is not understood"),
    ("vni add 200", 2, "our underlay address is missing"),
    ("vni del 200", 1, "there is no VNI 200"),
    ("vni del 100", 1, "VNI 100 has ports: a1"),
    ("remote add 192.0.2.1 vni 100", 1, "remote 192.0.2.1 is the local address of VNI 100"),
    ("remote add 192.0.2.2 vni 100", 1, "remote 192.0.2.2 of VNI 100 exists already"),
    ("remote add 192.0.2.3 vni 999", 1, "VNI 999 is not configured"),
    ("remote del 192.0.2.9 vni 100", 1, "there is no remote 192.0.2.9 of VNI 100"),
    (
        "fdb add 00:00:5e:00:52:02 vni 100 dev a1",
        1,
        "00:00:5e:00:52:02 is where every switch takes BFD packets (RFC 8971)",
    ),
    ("fdb add 01:00:00:00:00:01 vni 100 dev a1", 1, "01:00:00:00:00:01 is a multicast address"),
    (
        "fdb add 02:00:00:00:00:01 vni 100 dev nobody",
        1,
        "FDB entry 02:00:00:00:00:01 points to port nobody, which does not exist",
    ),
    (
        "fdb add 02:00:00:00:00:01 vni 100 dst 192.0.2.9",
        1,
        "FDB entry 02:00:00:00:00:01 points to 192.0.2.9, which is no remote of VNI 100",
    ),
    ("fdb add 02:00:00:00:00:01 vni 100", 2, "none of dev, dst and group is given"),
    ("fdb get 02:00:00:00:00:99 vni 100", 1, "no forwarding entry for 02:00:00:00:00:99 in VNI 100"),
    ("fdb del 02:00:00:00:00:99 vni 100", 1, "there is no FDB entry 02:00:00:00:00:99 of VNI 100"),
    ("fdb flush vni 999", 1, "there is no VNI 999"),
    ("neigh add 10.0.0.9 lladdr ff:ff:ff:ff:ff:ff vni 100", 1, "ff:ff:ff:ff:ff:ff is a multicast address"),
    ("neigh del 10.0.0.99 vni 100", 1, "there is no neighbour 10.0.0.99 of VNI 100"),
    ("frobnicate", 2, "unrecognized subcommand 'frobnicate'"),
    ("port frobnicate", 2, "\"frobnicate\" is not understood after port"),
    ("--frobnicate", 2, "unexpected argument '--frobnicate' found"),
];

#[test]
fn requests_that_cannot_be_granted_are_refused() {
    let net = Pair::beside_linux();
    let daemon = daemon(&net);
    let before = [daemon.show("port show"), daemon.show("vni show"), daemon.show("remote show")];
    let before = before.map(|list| list.as_array().unwrap().len());
    for (line, code, words) in REFUSED {
        let finished = daemon.ctl(line);
        let remedy = if *code == 1 { "\n  help: " } else { "sage: " };
        finished.assert_fails(*code, &[&format!("error: {words}\n"), remedy]);
        assert_eq!(finished.stdout, "", "words on standard output: {finished}");
    }
    let after = [daemon.show("port show"), daemon.show("vni show"), daemon.show("remote show")];
    assert_eq!(after.map(|list| list.as_array().unwrap().len()), before);
    net.a1.ping(net.b1.address, 5);
}

#[test]
fn without_a_daemon_the_client_says_so() {
    let underlay = Underlay::new();
    let node = underlay.node(1);
    let daemon = Daemon::prepare(&node, "");
    let socket = daemon.socket().display().to_string();
    let words = format!("error: vtepd is not running: nobody listens on {socket}\n  help: ");
    daemon.ctl("status").assert_fails(1, &[&words]);
}

/// Verbs may be left out or called otherwise, as with iproute2; data goes to standard output.
#[test]
fn commands_read_as_those_of_iproute2() {
    let net = Pair::beside_linux();
    let daemon = daemon(&net);
    for nouns in ["port", "vni", "remote", "fdb", "neigh", "stats", "drops"] {
        let shown = daemon.ctl(&format!("--json {nouns} show"));
        assert!(shown.success() && shown.stderr.is_empty(), "{shown}");
        for line in [format!("{nouns} list"), format!("{nouns} ls"), nouns.to_owned()] {
            let same = daemon.ctl(&format!("--json {line}"));
            assert!(same.success() && same.stderr.is_empty(), "{same}");
            assert!(daemon.ctl(&line).success(), "{line}");
        }
    }
    for line in ["-j status", "status -j", "--json --pretty status", "status -p -j"] {
        let json: serde_json::Value = serde_json::from_str(&daemon.ctl(line).output()).unwrap();
        assert_eq!(json["ports"], 2, "{line}");
    }
    let fdb = daemon.ctl("fdb").output();
    assert!(fdb.contains(&net.a1.mac) && fdb.contains("192.0.2.2"), "{fdb}");
    let port = daemon.ctl("port").output();
    assert!(port.contains("a1") && port.contains("up0") && port.contains("native"), "{port}");
    daemon.change("fdb add 02:00:00:00:00:77 vni 100 dst 192.0.2.2");
    daemon.change("fdb delete 02:00:00:00:00:77 vni 100");
    let by_environment =
        Finished::of(Command::new(programs::vtep_ctl()).arg("status").env("VTEP_SOCKET", daemon.socket()));
    assert!(by_environment.success(), "{by_environment}");
}

#[test]
fn numbers_can_be_watched() {
    let net = Pair::beside_linux();
    let daemon = daemon(&net);
    let mut command = Command::new(programs::vtep_ctl());
    let mut watch =
        Process::start(command.arg("--socket").arg(daemon.socket()).args(["--watch=0.1", "--json", "stats"]));
    let seen = || watch.stdout().matches("\"balance\"").count();
    vtep_tests::wait_until("three readings", SOON, || seen() >= 3);
    // Not SIGINT, which whoever runs the tests in the background has them ignore.
    watch.signal(rustix::process::Signal::TERM);
    let _ = watch.wait(SOON);
}

/// Bytes that are no calls, calls that are too long, and clients that leave in the middle.
#[test]
fn rubbish_on_the_socket_harms_nobody() {
    let net = Pair::beside_linux();
    let mut daemon = daemon(&net);
    let id = daemon.id();
    let stream = UdpStream::start(&net.a1, &net.b1, Duration::from_millis(2));
    let deep = "[".repeat(100_000);
    let long = format!("{{\"method\":\"{}\"}}", "x".repeat(4 << 20));
    let messages: Vec<Vec<u8>> = vec![
        vec![0],
        vec![0; 10_000],
        vec![0xff; 100_000],
        b"GET / HTTP/1.1\r\n\r\n\0".to_vec(),
        b"{}\0".to_vec(),
        b"null\0".to_vec(),
        b"{\"method\":5}\0".to_vec(),
        b"{\"method\":\"org.vtep.control.Status\",\"parameters\":7}\0".to_vec(),
        b"{\"method\":\"org.vtep.control.Nothing\",\"parameters\":{}}\0".to_vec(),
        b"{\"method\":\"org.vtep.control.ShowFdb\",\"parameters\":{\"vni\":-1}}\0".to_vec(),
        b"{\"method\":\"org.vtep.control.ShowFdb\",\"parameters\":{\"vni\":1e300}}\0".to_vec(),
        b"{\"method\":\"org.vtep.control.Status\"".to_vec(),
        format!("{{\"method\":\"a.b\",\"parameters\":{deep}\0").into_bytes(),
        format!("{long}\0").into_bytes(),
        long.into_bytes(),
    ];
    for message in messages.iter().cycle().take(10 * messages.len()) {
        let mut client = UnixStream::connect(daemon.socket()).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        client.set_write_timeout(Some(SOON)).unwrap();
        // The daemon may hang up before all is written.
        let _ = client.write_all(message);
        let _ = client.read(&mut [0; 4096]);
    }
    // Many at once, none of which reads what it asked for.
    let mut clients = Vec::new();
    for _ in 0..500 {
        let Ok(mut client) = UnixStream::connect(daemon.socket()) else { break };
        client.set_nonblocking(true).unwrap();
        for _ in 0..100 {
            let _ =
                client.write(b"{\"method\":\"org.vtep.control.ShowDrops\",\"parameters\":{\"all\":true}}\0");
        }
        clients.push(client);
    }
    drop(clients);
    vtep_tests::wait_until("the daemon answers", SOON, || daemon.ctl("status").success());
    stream.wait_for_more(20);
    stream.stop().assert_complete();
    assert!(daemon.is_running() && daemon.id() == id);
}

/// A Varlink client that shares no code with ours calls every method that the interface describes.
#[test]
fn an_independent_client_can_call_every_method() {
    let net = Pair::beside_linux();
    let daemon = daemon(&net);
    let spare = net.a.workload("spare", "10.0.0.3");
    // What tests/setup has made.
    let mut command = Command::new(programs::repository().join("target/tools/venv/bin/python"));
    command.arg(programs::repository().join("tests/varlink-client.py"));
    command.arg(daemon.socket()).arg(&spare.name);
    let finished = Finished::of(&mut command);
    assert!(finished.success(), "{finished}");
}
