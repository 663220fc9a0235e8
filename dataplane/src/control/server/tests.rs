//! The server over real sockets, with a poll loop in a thread as the daemon has it.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use api::message::{Inbox, Reply, parse_reply};
use mio::{Events, Poll, Waker};
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::{Mac, Vni};

use super::{BindError, MAX_CONNECTIONS, STALL, Server};
use crate::config::{Daemon, FdbDestination};
use crate::control::verbs::ledger::{Ledger, sample};

const PATIENCE: Duration = Duration::from_secs(30);
const WAKE: usize = 0;
const FIRST: usize = 5;

/// A server that runs until it is dropped.
struct Running {
    directory: tempfile::TempDir,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
    /// Connections after each turn of the loop.
    connections: Arc<AtomicUsize>,
    /// Seconds that the loop pretends to be ahead of time.
    ahead: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Ledger>>,
}

impl Running {
    fn start(mut ledger: Ledger) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), mio::Token(WAKE)).unwrap());
        let mut server =
            Server::bind(&daemon(&directory.path().join("sock")), poll.registry(), FIRST).unwrap();
        let (stop, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let ahead = Arc::new(AtomicUsize::new(0));
        let (stopped, count, seconds) = (stop.clone(), connections.clone(), ahead.clone());
        let thread = std::thread::spawn(move || {
            let mut events = Events::with_capacity(16);
            while !stopped.load(Ordering::Acquire) {
                poll.poll(&mut events, Some(Duration::from_millis(20))).unwrap();
                for event in &events {
                    if server.owns(event.token()) {
                        server.ready(event.token(), &mut ledger);
                    }
                }
                server.expire(Instant::now() + Duration::from_secs(seconds.load(Ordering::Acquire) as u64));
                count.store(server.connections(), Ordering::Release);
            }
            ledger
        });
        Self { directory, waker, stop, connections, ahead, thread: Some(thread) }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("sock")
    }

    fn client(&self) -> Client {
        Client::connect(&self.path())
    }

    fn stop(&mut self) -> Option<Ledger> {
        self.stop.store(true, Ordering::Release);
        self.waker.wake().unwrap();
        self.thread.take().map(|thread| thread.join().unwrap())
    }

    fn wait_for_connections(&self, wanted: usize) {
        let start = Instant::now();
        while self.connections.load(Ordering::Acquire) != wanted {
            assert!(start.elapsed() < PATIENCE, "{} connections", self.connections.load(Ordering::Acquire));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn daemon(path: &Path) -> Daemon {
    Daemon { socket: path.to_owned(), ..Daemon::default() }
}

struct Client {
    stream: UnixStream,
    inbox: Inbox,
}

impl Client {
    fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, inbox: Inbox::new(64 << 20) }
    }

    fn send(&mut self, call: &Value) {
        let mut bytes = serde_json::to_vec(call).unwrap();
        bytes.push(0);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next reply; `None` when the connection is closed.
    fn receive(&mut self) -> Option<Reply> {
        let mut piece = [0; 4096];
        loop {
            if let Some(message) = self.inbox.pop().unwrap() {
                return Some(parse_reply(message).unwrap());
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(length) => self.inbox.push(&piece[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "calls read better with json!() in them")]
    fn ask(&mut self, method: &str, parameters: Value) -> Reply {
        self.send(&json!({ "method": method, "parameters": parameters }));
        self.receive().unwrap()
    }

    fn status(&mut self) -> Value {
        self.ask("org.vtep.control.Status", json!({})).parameters.unwrap()
    }
}

#[test]
fn introspection_tells_the_interface() {
    let server = Running::start(sample());
    let mut client = server.client();
    let info = client.ask("org.varlink.service.GetInfo", json!({})).parameters.unwrap();
    assert_eq!(info["interfaces"], json!(["org.varlink.service", "org.vtep.control"]));
    assert_eq!(info["product"], "vtepd");
    let asked = json!({ "interface": "org.vtep.control" });
    let description = client.ask("org.varlink.service.GetInterfaceDescription", asked).parameters.unwrap();
    assert_eq!(description["description"], api::DESCRIPTION);
    for (method, parameters, error) in [
        ("org.varlink.service.GetInterfaceDescription", json!({ "interface": "a.b" }), "InvalidParameter"),
        ("org.varlink.service.GetInterfaceDescription", json!({ "interface": 7 }), "InvalidParameter"),
        ("org.varlink.service.Nonsense", json!({}), "MethodNotFound"),
        ("org.vtep.control.Nonsense", json!({}), "MethodNotFound"),
        ("org.example.Nonsense", json!({}), "InterfaceNotFound"),
        ("Nonsense", json!({}), "InterfaceNotFound"),
    ] {
        assert_eq!(
            client.ask(method, parameters).error.unwrap(),
            format!("org.varlink.service.{error}"),
            "{method}"
        );
    }
    client.send(&json!({ "method": "org.vtep.control.Status", "upgrade": true }));
    assert_eq!(client.receive().unwrap().error.unwrap(), "org.varlink.service.MethodNotImplemented");
    assert_eq!(client.status()["ports"], 2);
}

#[test]
fn requests_are_answered_in_order_however_they_are_cut() {
    let mut server = Running::start(sample());
    let mut client = server.client();
    let add = |number: u8| {
        let entry = json!({ "mac": Mac([2, 0, 0, 0, 1, number]).to_string(), "vni": 100, "dev": "east" });
        format!("{}\0", json!({ "method": "org.vtep.control.SetFdb", "parameters": entry }))
    };
    let requests: String = (0..200).map(add).collect();
    for piece in requests.as_bytes().chunks(77) {
        client.stream.write_all(piece).unwrap();
    }
    // The client's end may come before the daemon has carried out the first.
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    for _ in 0..200 {
        let reply = client.receive().unwrap();
        assert_eq!((reply.error, reply.parameters), (None, Some(json!({}))));
    }
    assert!(client.receive().is_none());
    assert_eq!(server.stop().unwrap().config.fdb.len(), 201);
}

#[test]
fn oneway_is_carried_out_and_not_answered() {
    let server = Running::start(sample());
    let mut client = server.client();
    client.send(
        &json!({ "method": "org.vtep.control.RemovePort", "parameters": { "name": "east" }, "oneway": true }),
    );
    client.send(&json!({ "method": "org.varlink.service.GetInfo", "oneway": true }));
    assert_eq!(client.status()["ports"], 1);
}

#[test]
fn refusals_are_typed_and_the_connection_goes_on() {
    let server = Running::start(sample());
    let mut client = server.client();
    let reply = client.ask("org.vtep.control.RemovePort", json!({ "name": "north" }));
    assert_eq!(reply.error.unwrap(), "org.vtep.control.NotFound");
    let reply = client.ask("org.vtep.control.RemovePort", json!({ "nam": "north" }));
    assert_eq!(reply.error.unwrap(), "org.vtep.control.InvalidArgument");
    let parameters = reply.parameters.unwrap();
    assert_eq!(parameters["argument"], "nam");
    assert_eq!(parameters["remedy"], "see method RemovePort of the interface org.vtep.control");
    assert_eq!(client.status()["ports"], 2);
}

#[test]
fn what_is_no_varlink_closes_that_connection_only() {
    let server = Running::start(sample());
    let mut bystander = server.client();
    assert_eq!(bystander.status()["ports"], 2);
    let long = vec![b'x'; api::MAX_REQUEST + 1];
    let deep = [b"{\"method\":\"a.b\",\"parameters\":".to_vec(), vec![b'['; 200_000], vec![0]].concat();
    for garbage in [
        &b"\0"[..],
        b"GET / HTTP/1.1\r\n\r\n\0",
        b"{}\0",
        b"[]\0",
        b"{\"method\":7}\0",
        b"\xff\xfe\0",
        &long,
        &deep,
    ] {
        let mut client = server.client();
        // The end may come while we still write.
        let _ = client.stream.write_all(garbage);
        assert!(client.receive().is_none(), "{:?}", &garbage[..garbage.len().min(20)]);
    }
    assert_eq!(bystander.status()["ports"], 2);
    server.wait_for_connections(1);
}

#[test]
fn largest_request_is_read_and_a_larger_one_is_not() {
    let server = Running::start(sample());
    let mut client = server.client();
    let frame =
        json!({ "method": "org.vtep.control.ShowFdb", "parameters": { "dev": "" } }).to_string().len();
    let name = "x".repeat(api::MAX_REQUEST - frame);
    let reply = client.ask("org.vtep.control.ShowFdb", json!({ "dev": name }));
    assert_eq!(reply.error.unwrap(), "org.vtep.control.NotFound");
    let _ = client.stream.write_all(&vec![b'{'; api::MAX_REQUEST + 1]);
    assert!(client.receive().is_none());
}

/// A ledger whose forwarding entries fill several pages.
fn large() -> Ledger {
    let mut ledger = sample();
    let (vni, place) = (Vni::new(100).unwrap(), FdbDestination::Port("east".into()));
    ledger.learned =
        (0..100_000).map(|number| ((vni, Mac::from_u64(0x0200_1000_0000 + number)), place.clone())).collect();
    ledger
}

#[test]
fn no_page_outgrows_its_bound_and_all_pages_come() {
    let server = Running::start(large());
    let mut client = server.client();
    let (mut entries, mut cursor) = (0, Value::Null);
    loop {
        let reply = client.ask("org.vtep.control.ShowFdb", json!({ "cursor": cursor })).parameters.unwrap();
        assert!(reply.to_string().len() < 2 << 20);
        entries += reply["entries"].as_array().unwrap().len();
        cursor = reply["next"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(entries, 100_001);
}

#[test]
fn a_peer_that_does_not_read_is_dropped_and_the_others_are_served() {
    let server = Running::start(large());
    let mut greedy = server.client();
    let request = format!("{}\0", json!({ "method": "org.vtep.control.ShowFdb" }));
    // Replies pile up until the daemon stops carrying out, then requests until it stops reading, then we would block.
    greedy.stream.set_nonblocking(true).unwrap();
    while greedy.stream.write(request.as_bytes()).is_ok() {}
    let mut other = server.client();
    assert_eq!(other.status()["fdb_entries"], 100_001);
    server.wait_for_connections(2);
    server.ahead.store(STALL.as_secs() as usize, Ordering::Release);
    server.wait_for_connections(1);
    assert_eq!(other.status()["fdb_entries"], 100_001);
    // Half a request is owed to us as well; nothing at all is not.
    other.stream.write_all(b"{").unwrap();
    server.wait_for_connections(0);
    server.ahead.store(0, Ordering::Release);
    assert_eq!(server.client().status()["fdb_entries"], 100_001);
}

#[test]
fn a_further_connection_takes_the_place_of_the_most_silent() {
    let server = Running::start(sample());
    let mut clients: Vec<Client> = (0..MAX_CONNECTIONS).map(|_| server.client()).collect();
    for client in &mut clients {
        assert_eq!(client.status()["ports"], 2);
    }
    // The first spoke first; now it is the second that has been silent for longest.
    assert_eq!(clients[0].status()["ports"], 2);
    assert_eq!(server.client().status()["ports"], 2);
    assert!(clients[1].receive().is_none());
    assert_eq!(clients[0].status()["ports"], 2);
    drop(clients);
    server.wait_for_connections(0);
}

#[test]
fn mode_and_group_are_as_configured() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/directory/sock");
    let poll = Poll::new().unwrap();
    let configured = Daemon { socket_group: Some("daemon".into()), ..daemon(&path) };
    let server = Server::bind(&configured, poll.registry(), FIRST).unwrap();
    let found = std::fs::metadata(&path).unwrap();
    let group = nix::unistd::Group::from_name("daemon").unwrap().unwrap().gid.as_raw();
    assert_eq!((found.permissions().mode() & 0o7777, found.gid()), (0o660, group));
    drop(server);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    let configured = Daemon { socket_group: Some("no-such-group".into()), ..daemon(&path) };
    let error = Server::bind(&configured, poll.registry(), FIRST).err().unwrap().to_string();
    assert!(error.starts_with(r#"there is no group "no-such-group" for the control socket"#), "{error}");
}

#[test]
fn a_live_socket_is_refused_and_a_dead_one_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    let poll = Poll::new().unwrap();
    let bind = || Server::bind(&daemon(&path), poll.registry(), FIRST);
    let first = bind().unwrap();
    let error = bind().err().unwrap();
    assert!(matches!(error, BindError::InUse { .. }));
    assert!(error.to_string().contains("belongs to a vtepd that is running"), "{error}");
    assert!(path.exists());
    drop(first);
    assert!(!path.exists());

    // Another program listens without our lock.
    let stranger = UnixListener::bind(&path).unwrap();
    assert!(matches!(bind().err(), Some(BindError::InUse { .. })));
    // It dies and leaves the socket behind.
    drop(stranger);
    assert!(path.exists());
    drop(bind().unwrap());

    std::fs::write(&path, "precious").unwrap();
    let error = bind().err().unwrap().to_string();
    assert!(error.contains("exists and is not a socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_end_the_server(
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                Just(b"{\"method\":\"org.vtep.control.Status\"}\0".to_vec()),
                Just(b"{\"method\":\"org.vtep.control.ShowPorts\",\"parameters\":{\"name\":\"east\"".to_vec()),
                Just(b"}}\0".to_vec()),
            ],
            0..12,
        ),
    ) {
        let server = Running::start(sample());
        let mut client = server.client();
        for piece in &pieces {
            let _ = client.stream.write_all(piece);
        }
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
        while client.receive().is_some() {}
        prop_assert_eq!(&server.client().status()["ports"], &json!(2));
    }
}
