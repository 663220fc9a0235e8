//! What the host refuses: each refusal names what is missing and what to do, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use vtep_tests::daemon::xdp_programs;
use vtep_tests::process::Process;
use vtep_tests::wait::SOON;
use vtep_tests::{Daemon, Node, Segment, Underlay, Variant, programs};

fn config(node: &Node) -> String {
    Variant::ONE_WORKER.config(node, &[Segment::vxlan(100)])
}

/// Root without one of the capabilities is as good as anybody.
#[test]
fn a_start_without_privilege_is_refused() {
    let underlay = Underlay::new();
    let node = underlay.node(1);
    for bounding in ["-all", "-bpf,-sys_admin", "-net_admin,-sys_admin"] {
        let daemon = Daemon::prepare(&node, &config(&node));
        let mut command = node.namespace.command("setpriv");
        command.arg(format!("--bounding-set={bounding}")).arg("--inh-caps=-all");
        command.arg(programs::vtepd()).arg("--config").arg(daemon.config_path());
        let finished = Process::start(&mut command).wait(SOON);
        finished.assert_fails(1, &["CAP_NET_ADMIN", "CAP_BPF"]);
        assert!(!daemon.socket().exists(), "a socket is left after {bounding}");
        assert_eq!(xdp_programs(&node.namespace), Vec::<String>::new());
    }
}

/// A directory that does not exist, or is a file.
#[test]
fn a_socket_that_cannot_be_made_is_refused() {
    let underlay = Underlay::new();
    let node = underlay.node(1);
    let daemon = Daemon::prepare(&node, &config(&node));
    for path in ["/proc/vtep/vtep.sock", "/etc/passwd/vtep.sock"] {
        let mut command = daemon.command();
        let finished = Process::start(command.args(["--socket", path])).wait(SOON);
        finished.assert_fails(1, &[path]);
    }
}

/// The socket lets its group in and nobody else.
#[test]
fn the_socket_is_closed_to_others() {
    let underlay = Underlay::new();
    let node = underlay.node(1);
    let daemon = Daemon::with_config(&node, &config(&node));
    let mode = fs::metadata(daemon.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    // The directory is open, so that it is the socket that refuses.
    let directory = daemon.socket().parent().unwrap().to_owned();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = node.namespace.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(programs::vtep_ctl());
    let finished = vtep_tests::Finished::of(command.arg("--socket").arg(daemon.socket()).arg("status"));
    finished.assert_fails(1, &[&daemon.socket().display().to_string(), "no permission"]);
}

/// Somebody else's XDP program is never replaced.
#[test]
fn a_foreign_xdp_program_stays() {
    let underlay = Underlay::new();
    let node = underlay.node(1);
    let a1 = node.workload("a1", "10.0.0.1");
    let directory = tempfile::tempdir().unwrap();
    let (source, object) = (directory.path().join("pass.c"), directory.path().join("pass.o"));
    let text = "__attribute__((section(\"xdp\"), used)) int pass(void *context) { return 2; }\n";
    fs::write(&source, format!("{text}char _license[] __attribute__((section(\"license\"))) = \"GPL\";\n"))
        .unwrap();
    let mut clang = std::process::Command::new("clang");
    clang.args(["-O2", "-g", "-target", "bpf", "-c"]).arg(&source).arg("-o").arg(&object);
    let _ = vtep_tests::Finished::of(&mut clang).output();
    node.namespace.ip(&format!("link set a1 xdp obj {} sec xdp", object.display()));
    let foreign = node.namespace.ip("link show a1");

    let daemon =
        Daemon::with_config(&node, &Variant::ONE_WORKER.config(&node, &[Segment::vxlan(100).access(&a1)]));
    let port = &daemon.list("port show a1")[0];
    assert_eq!(port["state"], "DOWN", "{port}");
    assert!(port["degraded"].to_string().contains("XDP program"), "{port}");
    assert_eq!(node.namespace.ip("link show a1"), foreign);

    node.namespace.ip("link set a1 xdp off");
    daemon.wait_for_ports();
}
