//! Every command that README.md shows is run.
//!
//! The rule: in a fenced block that opens with "```console", a line that begins with "$ " is a command; a line that
//! ends with a backslash goes on in the next. All of them run in order, in one shell, as root, in the repository, with
//! the built programs in PATH, and each must succeed. Other lines are output and are not compared. The host they run
//! on is this:
//!
//! ```text
//!   10.0.0.1 ── veth0  host  eth0 192.0.2.1/24 ── underlay ── 192.0.2.2 (Linux, VXLAN, VNI 100) ── 10.0.0.2
//!   10.0.1.1 ── veth1
//! ```
//!
//! `/run/vtep` and `/etc/vtep` are empty directories of its own, and `workload` is the namespace of the workload behind
//! veth0. Commands that begin with `make` or `cargo build` are not run here but must name what exists: the script that
//! runs this test has built the programs and runs the demo itself.

use std::fs;

use vtep_tests::process::Process;
use vtep_tests::wait::SOON;
use vtep_tests::{LinuxVtep, Segment, Underlay, programs};

/// The commands of a document's console blocks.
fn commands(text: &str) -> Vec<String> {
    let (mut commands, mut inside, mut going_on) = (Vec::<String>::new(), false, false);
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside && line.trim_end() == "```console";
            continue;
        }
        let command = line.strip_prefix("$ ");
        if !inside || (command.is_none() && !going_on) {
            continue;
        }
        let words = command.unwrap_or(line).trim_end();
        let (words, more) = words.strip_suffix('\\').map_or((words, false), |words| (words, true));
        match commands.last_mut().filter(|_| going_on) {
            Some(last) => last.push_str(words),
            None => commands.push(words.to_owned()),
        }
        going_on = more;
    }
    commands
}

#[test]
fn console_blocks_are_understood() {
    let text = "# x\n```console\n$ one\noutput\n$ two \\\n  three\n```\n$ no\n```sh\n$ no\n```\n```console\n$ four\n```\n";
    assert_eq!(commands(text), ["one", "two   three", "four"]);
}

#[test]
fn every_command_in_the_readme_is_run() {
    let repository = programs::repository();
    let text = fs::read_to_string(repository.join("README.md")).expect("README.md");
    let makefile = fs::read_to_string(repository.join("Makefile")).unwrap();
    let commands = commands(&text);
    assert!(!commands.is_empty(), "README.md shows no command");
    let mut script = String::from("set -eu\nmount -t tmpfs none /run/vtep\nmount -t tmpfs none /etc/vtep\n");
    script += "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n";
    for command in &commands {
        if let Some(target) = command.strip_prefix("make ") {
            let target = target.split_whitespace().next().unwrap();
            assert!(
                makefile.contains(&format!("\n{target}:")),
                "`{command}`: the Makefile has no such target"
            );
        } else if !command.starts_with("cargo build") {
            script += &format!("printf '%s\\n' {}\n{command}\n", quoted(command));
        }
    }

    let underlay = Underlay::new();
    let (host, peer) = (underlay.node(1), underlay.node(2));
    host.namespace.ip("link set up0 down");
    host.namespace.ip("link set up0 name eth0");
    host.namespace.ip("link set eth0 up");
    let workload = host.workload("veth0", "10.0.0.1");
    let _second = host.workload("veth1", "10.0.1.1");
    let distant = peer.workload("b1", "10.0.0.2");
    let _far = LinuxVtep::start(&peer, &[Segment::vxlan(100).access(&distant).remote(&host)]);
    for directory in ["/run/vtep", "/etc/vtep"] {
        fs::create_dir_all(directory).unwrap();
    }
    let path = format!("{}:{}", programs::directory().display(), std::env::var("PATH").unwrap());
    let script =
        script.replace("ip netns exec workload ", &format!("ip netns exec {} ", workload.namespace.name()));
    let mut command = host.namespace.command("bash");
    command.arg("-c").arg(script).current_dir(repository).env("PATH", path);
    let finished = Process::start(&mut command).wait(SOON * 3);
    assert!(finished.success(), "{finished}");
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
