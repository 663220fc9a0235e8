//! The host's own traffic on the uplink, and what a daemon leaves behind however it ends.
//!
//! ```text
//!   a1 ── node 1 (vtepd) ── underlay ── node 2 (Linux vxlan + bridge, and a host) ── b1
//! ```

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use vtep_tests::daemon::xdp_programs;
use vtep_tests::ping::every_answer;
use vtep_tests::process::{Finished, Process};
use vtep_tests::traffic::Transfer;
use vtep_tests::wait::{SOON, uninterrupted};
use vtep_tests::{Daemon, Pair, Variant};

in_every_variant!(the_host_is_untouched_before_and_after_a_crash);

/// Ping, ARP and TCP between the hosts themselves.
fn hosts_talk(net: &Pair) {
    for (from, to) in [(&net.a, &net.b), (&net.b, &net.a)] {
        from.namespace.ip("neigh flush dev up0");
        every_answer(&from.namespace, to.address, 5);
        Transfer { bytes: 1 << 20, write_size: 64 << 10 }.run(from, to);
    }
}

fn the_host_is_untouched_before_and_after_a_crash(variant: Variant) {
    let net = Pair::beside_linux();
    hosts_talk(&net);
    let mut daemon = Daemon::start(&net.a, variant, &[net.near()]);
    net.a1.reaches(&net.b1);
    hosts_talk(&net);

    // An established connection survives; the next start needs no time to pass and no cleaning.
    for _ in 0..3 {
        daemon.kill9();
        hosts_talk(&net);
        daemon.launch();
        daemon.wait_for_ports();
        daemon.wait_for_remotes();
        net.a1.reaches(&net.b1);
        net.a1.ping(net.b1.address, 5);
    }
    hosts_talk(&net);
}

/// Tunnel packets that are not for a configured local address belong to the host.
#[test]
fn tunnel_ports_of_other_addresses_stay_with_the_host() {
    let net = Pair::beside_linux();
    net.a.namespace.ip("addr add 192.0.2.101/24 dev up0");
    let _daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.near()]);
    let own = net.a.namespace.within(|| UdpSocket::bind("192.0.2.101:4789")).expect("bind a socket");
    own.set_read_timeout(Some(SOON)).expect("set a timeout");
    let peer = net.b.namespace.within(|| UdpSocket::bind("192.0.2.2:0")).expect("bind a socket");
    let mut buffer = [0; 100];
    peer.send_to(b"for the host", "192.0.2.101:4789").expect("send");
    let (length, from) = uninterrupted(|| own.recv_from(&mut buffer)).expect("the host's datagram");
    assert_eq!((&buffer[..length], from.ip()), (&b"for the host"[..], net.b.address.into()));

    // So do other ports of the local address.
    let other = net.a.namespace.within(|| UdpSocket::bind("192.0.2.1:4790")).expect("bind a socket");
    other.set_read_timeout(Some(SOON)).expect("set a timeout");
    peer.send_to(b"for the host too", "192.0.2.1:4790").expect("send");
    assert_eq!(uninterrupted(|| other.recv(&mut buffer)).expect("the host's datagram"), 16);
}

#[test]
fn sigterm_leaves_nothing_behind() {
    let net = Pair::beside_linux();
    let state =
        || ["-4 addr show up0", "-4 route show table all", "rule show"].map(|what| net.a.namespace.ip(what));
    let before = state();
    let mut daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.near()]);
    net.a1.reaches(&net.b1);
    assert_eq!(xdp_programs(&net.a.namespace).len(), 2);
    // Asserts that the program, the socket and the XDP programs are gone.
    daemon.stop();
    assert_eq!(state(), before);
    hosts_talk(&net);
    daemon.launch();
    daemon.wait_for_ports();
    daemon.wait_for_remotes();
    net.a1.reaches(&net.b1);
}

#[test]
fn a_second_daemon_on_the_same_socket_is_refused() {
    let net = Pair::beside_linux();
    let daemon = Daemon::start(&net.a, Variant::ONE_WORKER, &[net.near()]);
    let refusal = daemon.refusal();
    assert_eq!(refusal.code, Some(1), "{refusal}");
    assert!(refusal.stderr.contains(&daemon.socket().display().to_string()), "{refusal}");
    assert!(daemon.ctl("status").success(), "the first one's socket is gone");
    net.a1.reaches(&net.b1);
}

#[test]
fn readiness_is_notified() {
    let net = Pair::beside_linux();
    let daemon = Daemon::prepare(&net.a, &Variant::ONE_WORKER.config(&net.a, &[net.near()]));
    let path = daemon.config_path().with_file_name("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("bind a socket");
    socket.set_read_timeout(Some(SOON)).expect("set a timeout");
    let mut process = Process::start(daemon.command().env("NOTIFY_SOCKET", &path));
    let mut buffer = [0; 200];
    let length = uninterrupted(|| socket.recv(&mut buffer));
    let length = length.unwrap_or_else(|error| panic!("{error}: {}", process.stderr()));
    let message = String::from_utf8_lossy(&buffer[..length]);
    assert!(message.lines().any(|line| line == "READY=1"), "{message}");
    assert!(daemon.ctl("status").success(), "ready, but it does not answer");
    let mut statuses = std::iter::from_fn(|| {
        let length = uninterrupted(|| socket.recv(&mut buffer)).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    });
    let wanted = "STATUS=2 of 2 ports up, 1 of 1 remotes reachable";
    assert!(statuses.any(|status| status == wanted), "{}", process.stderr());
    process.signal(rustix::process::Signal::INT);
    let finished = process.wait(SOON);
    assert!(finished.success(), "SIGINT: {finished}");
}

/// An idle daemon sleeps.
#[test]
fn an_idle_daemon_uses_little_of_a_processor() {
    let net = Pair::beside_linux();
    let daemon = Daemon::start(&net.a, Variant::TWO_WORKERS, &[net.near()]);
    let ticks = || -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", daemon.id())).expect("the process");
        let after_name = text.rsplit(") ").next().expect("fields");
        after_name.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
    };
    let before = ticks();
    std::thread::sleep(Duration::from_secs(3));
    // 100 ticks are a second: 3 s of 2 workers that spin would be 600.
    let used = ticks() - before;
    assert!(used < 30, "{used} ticks of 300");
    let version = Finished::of(Command::new(vtep_tests::programs::vtepd()).arg("--version")).output();
    assert!(version.starts_with("vtepd "), "{version}");
}
