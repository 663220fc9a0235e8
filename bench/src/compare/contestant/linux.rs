//! The kernel's own switch: a bridge with the access port and a vxlan device in it.

use std::fmt::Write;
use std::fs;

use vtep_tests::{Finished, LinuxVtep};

use super::{Entries, Running, segment};
use crate::compare::case::{Case, Direction};
use crate::compare::memory::Memory;
use crate::compare::stage::{ACCESS, FAR, Stage, UPLINK, VNI, text};

/// Bridge and vxlan device; they live as long as the namespace.
pub(super) struct Linux {
    version: String,
}

impl Linux {
    /// Makes the devices and fills both forwarding databases.
    pub(super) fn start(stage: &Stage, case: &Case, entries: &Entries) -> Self {
        let namespace = &stage.node.namespace;
        let _ = LinuxVtep::start(&stage.node, &[segment(stage, case)]);
        // A veth takes redirected frames only while its receiving end runs NAPI, which GRO makes it do.
        for device in [ACCESS, UPLINK] {
            let _ = namespace.run(&format!("ethtool -K {device} gro on"));
        }
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("fdb");
        fs::write(&path, batch(entries)).expect("write a batch of entries");
        let mut bridge = std::process::Command::new("bridge");
        bridge.args(["-n", namespace.name(), "-batch"]).arg(&path);
        let _ = Finished::of(&mut bridge).output();
        Self {
            version: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        }
    }
}

/// Commands of `bridge -batch`.
fn batch(entries: &Entries) -> String {
    let mut out = String::new();
    for mac in &entries.macs {
        let mac = text(*mac);
        let _ = match entries.direction {
            Direction::Encap => {
                writeln!(
                    out,
                    "fdb add {mac} dev vx{VNI} dst {FAR} self\nfdb add {mac} dev vx{VNI} master static"
                )
            }
            Direction::Decap => writeln!(out, "fdb add {mac} dev {ACCESS} master static"),
        };
    }
    out
}

/// Whether the kernel can make a GRE device that carries Ethernet.
pub(super) fn has_gre() -> bool {
    let namespace = vtep_tests::Namespace::new("gre");
    namespace.attempt("ip link add probe type gretap local 192.0.2.1 remote 192.0.2.2").success()
}

impl Running for Linux {
    fn mode(&self) -> String {
        format!("Linux {}, GRO on", self.version)
    }

    fn memory(&self) -> Option<Memory> {
        None
    }
}
