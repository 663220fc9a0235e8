//! The client as a program against the daemon's own server, over a real socket. What stands behind the server is an
//! operator in memory: this is about the protocol and the client, and no device is needed for it.
#![expect(clippy::unwrap_used, reason = "a test ends where something is amiss")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use api::{Refusal, RefusalKind};
use dataplane::{config, control, plan};
use ledger::{Ledger, sample};
use mio::{Events, Poll, Token, Waker};
use serde_json::{Value, json};
use wire::{Mac, Vni};

#[path = "../../dataplane/src/control/verbs/ledger.rs"]
mod ledger;

const CLIENT: &str = env!("CARGO_BIN_EXE_vtep-ctl");
const NOBODY: u32 = 65534;

/// A server on a socket of its own.
struct Daemon {
    directory: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    fn start(mut ledger: Ledger) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        let daemon = config::Daemon { socket: directory.path().join("sock"), ..config::Daemon::default() };
        let mut server = control::server::Server::bind(&daemon, poll.registry(), 1).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut events = Events::with_capacity(16);
            while !stopped.load(Ordering::Acquire) {
                poll.poll(&mut events, None).unwrap();
                for event in &events {
                    server.ready(event.token(), &mut ledger);
                    // So that there is something to watch.
                    ledger.frames += 10;
                }
            }
        });
        Self { directory, stop, waker, thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("sock")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(CLIENT);
        command.arg("--socket").arg(self.socket()).args(line.split_whitespace());
        command.env_remove("VTEP_SOCKET").env("TERM", "xterm");
        command
    }

    fn run(&self, line: &str) -> Finished {
        Finished::of(self.command(line))
    }

    /// The same with a text as standard input.
    fn run_with(&self, line: &str, input: &str) -> Finished {
        let mut command = self.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Finished::ended(child.wait_with_output().unwrap())
    }

    fn json(&self, line: &str) -> Value {
        let finished = self.run(&format!("-j {line}"));
        assert_eq!((finished.code, finished.words.as_str()), (0, ""), "{line}");
        serde_json::from_str(&finished.data).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake().unwrap();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
struct Finished {
    code: i32,
    data: String,
    words: String,
}

impl Finished {
    fn of(mut command: Command) -> Self {
        Self::ended(command.output().unwrap())
    }

    fn ended(output: Output) -> Self {
        let Output { status, stdout, stderr } = output;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code().unwrap_or(-1), data: text(stdout), words: text(stderr) }
    }

    fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!((self.code, self.data.as_str()), (code, ""), "{self:?}");
        for part in parts {
            assert!(self.words.contains(part), "{part:?} is not in {}", self.words);
        }
    }

    fn is_silent(&self) {
        assert_eq!((self.code, self.data.as_str(), self.words.as_str()), (0, "", ""));
    }
}

#[test]
fn every_command_reaches_the_daemon_and_comes_back() {
    let daemon = Daemon::start(sample());
    daemon.run("vni add 300 local 192.0.2.1 encap gre key none ttl 9").is_silent();
    daemon.run("vni replace 300 local 192.0.2.1 udp-port 8472 learning off").is_silent();
    let vni = &daemon.json("vni show 300")[0];
    assert_eq!(
        (&vni["udp_port"], &vni["learning"], &vni["ttl"]),
        (&json!(8472), &json!(false), &json!("64"))
    );
    daemon.run("vni replace 300 local 192.0.2.1,2001:db8::1 udp-checksum off").is_silent();
    let vni = &daemon.json("vni show 300")[0];
    assert_eq!((&vni["local"], &vni["udp_checksum"]), (&json!(["192.0.2.1", "2001:db8::1"]), &json!(false)));
    daemon.run("remote add 2001:db8::9 vni 300 udp-checksum on").is_silent();
    let remote = &daemon.json("remote show vni 300")[0];
    assert_eq!((&remote["local"], &remote["udp_checksum"]), (&json!("2001:db8::1"), &json!(true)));
    daemon.run("remote del 2001:db8::9 vni 300").is_silent();
    daemon.run("port add west dev veth-west vni 300 mode native queues 2").is_silent();
    assert_eq!(daemon.json("port show west")[0]["device"], "veth-west");
    daemon.run("remote add 192.0.2.9 vni 300 flood off").is_silent();
    daemon.run("remote replace 192.0.2.9 vni 300 encap gre key 5").is_silent();
    let remote = &daemon.json("remote show vni 300")[0];
    assert_eq!(
        (&remote["key"], &remote["flood"], &remote["state"]),
        (&json!("5"), &json!(true), &json!("reachable"))
    );
    daemon.run("fdb add 02:00:00:00:00:09 vni 300 dev west").is_silent();
    daemon.run("fdb replace 02:00:00:00:00:09 vni 300 dst 192.0.2.9").is_silent();
    let entry = daemon.json("fdb get 02:00:00:00:00:09 vni 300");
    assert_eq!((&entry["dst"], &entry["state"]), (&json!("192.0.2.9"), &json!("permanent")));
    assert_eq!(daemon.json("fdb show vni 300 static").as_array().unwrap().len(), 1);
    let version = ledger::VERSION;
    daemon.run(&format!("fdb del 02:00:00:00:00:09 vni 300 version {}", version - 1)).fails(
        1,
        &[&format!("FDB entry 02:00:00:00:00:09 of VNI 300 has version {version}, not {}", version - 1)],
    );
    daemon.run("neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 vni 300").is_silent();
    daemon.run("neigh replace 10.0.0.9 lladdr 02:00:00:00:00:0a vni 300").is_silent();
    assert_eq!(daemon.json("neigh vni 300")[0]["lladdr"], "02:00:00:00:00:0a");

    daemon.run("neigh add 2001:DB8::9 lladdr 02:00:00:00:00:09 vni 300 router").is_silent();
    let neighbour = &daemon.json("neigh vni 300")[1];
    assert_eq!((&neighbour["dst"], &neighbour["flags"]), (&json!("2001:db8::9"), &json!(["router"])));
    daemon.run("neigh del 2001:db8::9 vni 300").is_silent();
    daemon.run("neigh del 10.0.0.9 vni 300").is_silent();
    assert_eq!(daemon.json("neigh flush"), json!({ "flushed": 1 }));
    daemon.run("fdb del 02:00:00:00:00:09 vni 300").is_silent();
    assert_eq!(daemon.run("fdb flush").data, "1 entry removed\n");
    daemon.run("remote del 192.0.2.9 vni 300").is_silent();
    daemon.run("port del west").is_silent();
    daemon.run("vni del 300").is_silent();
    assert_eq!(daemon.json("vni").as_array().unwrap().len(), 2);
    let status = daemon.json("status");
    assert_eq!((&status["ports"], &status["vnis"], &status["remotes"]), (&json!(2), &json!(2), &json!(1)));
    let stats = daemon.json("stats show port east");
    assert_eq!(stats["ports"].as_array().unwrap().len(), 1);
    let balance = |name: &str| stats["balance"][name].as_u64().unwrap();
    let gone = balance("tx") + balance("dropped") + balance("taken");
    assert_eq!(balance("rx") + balance("copies"), gone + balance("in_flight"));
    let residence = |line: &str| daemon.json(line)["workers"][0]["residence"].clone();
    assert_eq!(residence("stats buckets")["buckets"][0]["value"], residence("stats")["p50"]);
    assert!(residence("stats").get("buckets").is_none());
    daemon.run("stats flush").is_silent();
    assert!(residence("stats")["count"].as_u64() < balance("rx").into());
    assert_eq!(daemon.json("drops show port east").as_array().unwrap().len(), 1);
    assert_eq!(daemon.json("drops all").as_array().unwrap().len(), 4);
    assert_eq!(daemon.json("reload"), json!({ "changes": 0, "restart": ["daemon.socket"], "refused": [] }));
}

#[test]
fn all_that_an_owner_wrote_is_replaced_by_lines() {
    let daemon = Daemon::start(sample());
    daemon.run("fdb add 02:00:00:00:00:09 vni 100 dev east owner evpn external").is_silent();
    let lines =
        "02:00:00:00:00:0a vni 100 dev east\n02:00:00:00:00:0b vni 100 dst 192.0.2.2 sticky # there\n";
    let replaced = daemon.run_with("fdb replace owner evpn", lines);
    assert_eq!(replaced.data, "2 added, 0 changed, 1 removed, 0 unchanged\n", "{replaced:?}");
    let shown = daemon.json("fdb show owner evpn");
    let macs: Vec<&str> =
        shown.as_array().unwrap().iter().map(|entry| entry["mac"].as_str().unwrap()).collect();
    assert_eq!(macs, ["02:00:00:00:00:0a", "02:00:00:00:00:0b"]);
    assert_eq!(shown[1]["kind"], "sticky");
    let twice = daemon.run_with("fdb replace owner evpn", &format!("{lines}{lines}"));
    twice.fails(1, &["FDB entry 02:00:00:00:00:0a of VNI 100 is in the list twice"]);
    let wrong = daemon.run_with("fdb replace owner evpn", "02:00:00:00:00:0a vni 100\n");
    wrong.fails(2, &["line 1 of standard input: none of dev, dst and group is given"]);
    let foreign = daemon.run_with("fdb replace owner evpn", "02:00:00:00:00:02 vni 100 dev east\n");
    foreign.fails(1, &["FDB entry 02:00:00:00:00:02 of VNI 100 belongs to control, not to evpn"]);
    assert_eq!(daemon.json("fdb show owner evpn"), shown, "nothing of a refused replacement is made");
    let replaced = daemon.run_with("neigh replace owner evpn", "10.0.0.7 lladdr 02:00:00:00:00:0a vni 100\n");
    assert_eq!(replaced.data, "1 added, 0 changed, 0 removed, 0 unchanged\n", "{replaced:?}");
    assert_eq!(daemon.json("fdb flush owner evpn"), json!({ "flushed": 2 }));
}

#[test]
fn tables_are_plain_where_no_terminal_is() {
    let daemon = Daemon::start(sample());
    let fdb = daemon.run("fdb");
    assert_eq!(
        fdb.data.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["VNI", "MAC", "DEV", "DST", "STATE", "AGE", "OWNER", "VERSION"]
    );
    for object in ["status", "port", "port show east", "vni", "remote", "fdb", "neigh", "stats", "drops"] {
        let finished = daemon.run(object);
        assert_eq!((finished.code, finished.words.as_str()), (0, ""), "{object}");
        assert!(
            finished.data.lines().count() > 1 && !finished.data.contains('\u{1b}'),
            "{object}: {}",
            finished.data
        );
    }
    let pretty = daemon.run("-p vni show 100").data;
    assert!(pretty.starts_with("[\n  {\n") && pretty.contains("    \"vni\": 100"), "{pretty}");
    daemon.run("fdb flush").data.clear();
    daemon.run("fdb flush static");
    let empty = daemon.run("fdb");
    assert_eq!((empty.code, empty.data.as_str(), empty.words.as_str()), (0, "", "no forwarding entries\n"));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let daemon = Daemon::start(sample());
    // script(1) gives the client a terminal.
    let on_terminal = |line: &str| {
        let line = format!("{CLIENT} --socket {} {line}", daemon.socket().display());
        let mut command = Command::new("script");
        command
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::null());
        command.env_remove("NO_COLOR");
        command
    };
    let coloured = Finished::of(on_terminal("port"));
    assert!(coloured.data.contains("\u{1b}[32mUP"), "{coloured:?}");
    let mut plain = on_terminal("port");
    plain.env("NO_COLOR", "1");
    let plain = Finished::of(plain);
    assert!(plain.data.contains("UP") && !plain.data.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn a_large_database_is_listed_whole() {
    let mut ledger = sample();
    let (vni, place) = (Vni::new(100).unwrap(), config::FdbDestination::Port("east".into()));
    ledger.learned =
        (0..100_000).map(|number| ((vni, Mac::from_u64(0x0200_1000_0000 + number)), place.clone())).collect();
    let daemon = Daemon::start(ledger);
    let entries = daemon.json("fdb show vni 100 dynamic");
    let macs: Vec<&str> =
        entries.as_array().unwrap().iter().map(|entry| entry["mac"].as_str().unwrap()).collect();
    assert_eq!(macs.len(), 100_000);
    assert!(macs.is_sorted());
    assert_eq!(daemon.run("fdb").data.lines().count(), 100_002);

    // Who has seen enough closes the pipe, and nobody complains.
    let mut child = daemon.command("fdb").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
}

/// Reads what a child prints until `enough` says so.
fn read_until(child: &mut Child, enough: impl Fn(&str) -> bool) -> String {
    let (start, mut text, mut piece) = (Instant::now(), String::new(), [0; 4096]);
    let stdout = child.stdout.as_mut().unwrap();
    while !enough(&text) {
        assert!(start.elapsed() < Duration::from_secs(30), "{text}");
        let length = stdout.read(&mut piece).unwrap();
        assert!(length > 0, "it ended: {text}");
        text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    text
}

#[test]
fn watching_repeats_with_rates_until_it_is_stopped() {
    let daemon = Daemon::start(sample());
    let mut child = daemon.command("--watch=0.1 stats").stdout(Stdio::piped()).spawn().unwrap();
    let text = read_until(&mut child, |text| text.matches("chunks").count() >= 3 && text.contains("/s)"));
    assert!(!text.contains('\u{1b}'), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut child = daemon.command("--watch=0.1 -j status").stdout(Stdio::piped()).spawn().unwrap();
    let text = read_until(&mut child, |text| text.lines().count() > 2);
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["ports"], 2);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_goes_wrong_is_said_with_a_remedy() {
    let mut ledger = sample();
    ledger.fault =
        Some(Refusal::new(RefusalKind::InvalidConfiguration, "vtepd.toml:3:1: unknown key", "mend the file"));
    let daemon = Daemon::start(ledger);
    daemon.run("port del north").fails(1, &["error: ", "north", "\n  help: "]);
    daemon.run("vni del 100").fails(1, &["VNI 100 has ports: east", "\n  help: remove its ports first"]);
    daemon
        .run("fdb get 02:00:00:00:00:77 vni 100")
        .fails(1, &["no forwarding entry for 02:00:00:00:00:77 in VNI 100"]);
    daemon.run("reload").fails(1, &["vtepd.toml:3:1: unknown key", "help: mend the file"]);
    daemon
        .run("fdb shwo")
        .fails(2, &["error: \"shwo\" is not understood after fdb", "expected: show | add", "usage: "]);
    daemon.run("bridge").fails(2, &["unrecognized subcommand 'bridge'"]);
    daemon.run("").fails(2, &["Usage: vtep-ctl"]);
    assert_eq!(daemon.run("--help").code, 0);
    assert!(daemon.run("--version").data.starts_with("vtep-ctl "));
}

#[test]
fn a_missing_daemon_and_a_missing_permission_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    let run = |path: &Path| {
        let mut command = Command::new(CLIENT);
        Finished::of(command_with(command.arg("status"), path))
    };
    let nobody = [
        "vtepd is not running: nobody listens on ",
        path.to_str().unwrap(),
        "systemctl status vtepd",
        "--socket",
    ];
    run(&path).fails(1, &nobody);
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    run(&path).fails(1, &nobody);

    let daemon = Daemon::start(sample());
    std::fs::set_permissions(daemon.directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    // Wherever the program was built, another user can run this copy.
    let copy = daemon.directory.path().join("vtep-ctl");
    std::fs::copy(CLIENT, &copy).unwrap();
    let as_nobody = |line: &str| {
        let mut command = Command::new(&copy);
        command.arg("--socket").arg(daemon.socket()).args(line.split_whitespace()).uid(NOBODY).gid(NOBODY);
        Finished::of(command)
    };
    as_nobody("status")
        .fails(1, &["no permission to open", "become a member of the group root", "usermod -aG root"]);
    // Opened to everybody, everybody may read, and only read.
    std::fs::set_permissions(daemon.socket(), PermissionsExt::from_mode(0o666)).unwrap();
    assert_eq!(as_nobody("status").code, 0);
    as_nobody("port del east")
        .fails(1, &["RemovePort changes something, and this user may only read", "become root"]);
    assert_eq!(daemon.json("port").as_array().unwrap().len(), 2);
    // Opening it with the group's help is enough, and so is the group itself.
    std::os::unix::fs::chown(daemon.socket(), None, Some(NOBODY)).unwrap();
    as_nobody("port del east").is_silent();
}

fn command_with(command: &mut Command, socket: &Path) -> Command {
    let mut with = Command::new(command.get_program());
    with.args(command.get_args()).env("VTEP_SOCKET", socket);
    with
}

#[test]
fn who_does_not_speak_the_protocol_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    for (answer, said) in [
        (&b""[..], "closed the connection without an answer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n\0", "does not speak Varlink"),
        (
            b"{\"error\":\"org.varlink.service.MethodNotFound\"}\0",
            "answers Status with org.varlink.service.MethodNotFound",
        ),
        (b"{\"parameters\":{\"version\":7}}\0", "answers Status with something else than its reply"),
    ] {
        let mut command = Command::new(CLIENT);
        command.arg("status").arg("--socket").arg(&path).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 256];
        assert!(stream.read(&mut request).unwrap() > 0);
        stream.write_all(answer).unwrap();
        drop(stream);
        let output = child.wait_with_output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains(said) && words.contains("\n  help: "), "{words}");
    }
}

#[test]
fn a_replacement_that_the_daemon_would_not_take_says_what_helps() {
    let daemon = Daemon::start(sample());
    let line = |n: u32| {
        let [_, b, c, d] = n.to_be_bytes();
        format!("02:00:00:{b:02x}:{c:02x}:{d:02x} vni 100 dst 192.0.2.2\n")
    };
    let lines: String = (0..20_000).map(line).collect();
    daemon.run_with("fdb replace owner evpn", &lines).fails(
        1,
        &[
            "the request has ",
            "bytes, and vtepd takes 1048576 at most",
            "replace one VNI at a time (`vni N`)",
        ],
    );
}
