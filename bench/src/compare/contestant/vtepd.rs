//! vtepd with one worker, from the release build.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use vtep_tests::{Daemon, Variant};

use super::{Entries, Running, segment};
use crate::compare::case::{Case, Direction};
use crate::compare::memory::Memory;
use crate::compare::placement::SWITCH_CPU;
use crate::compare::stage::{ACCESS, FAR, Stage, UPLINK, VNI, text};

/// Descriptors of each ring, where they are not to be the daemon's default.
static RING_SIZE: OnceLock<u32> = OnceLock::new();

/// From now on its rings have so many descriptors, and its frame memory four times as many chunks as the rings of both ports
/// can hold received frames.
pub fn use_ring_size(descriptors: u32) {
    let _ = RING_SIZE.set(descriptors);
}

/// A daemon on the stage's node.
pub(in crate::compare) struct Vtepd<'a> {
    daemon: Daemon<'a>,
}

impl<'a> Vtepd<'a> {
    /// Starts it; `transmit` is the setting of both ports.
    pub(in crate::compare) fn start(
        stage: &'a Stage,
        case: &Case,
        entries: &Entries,
        transmit: &'static str,
    ) -> Self {
        let daemon = Daemon::ready(&stage.node, &config(stage, case, entries, transmit));
        Self { daemon }
    }

    /// Its control socket.
    pub(in crate::compare) fn socket(&self) -> PathBuf {
        self.daemon.socket()
    }
}

/// The configuration: defaults, but for the worker's CPU, the static entries, and rings if they were asked for.
pub(in crate::compare) fn config(
    stage: &Stage,
    case: &Case,
    entries: &Entries,
    transmit: &'static str,
) -> String {
    let variant = Variant { workers: 1, transmit };
    let mut out = format!("[[worker]]\ncpu = {SWITCH_CPU}\n\n");
    let mut ring = String::new();
    if let Some(size) = RING_SIZE.get() {
        let _ = writeln!(out, "[umem]\nchunks = {}\n", size * 8);
        let _ = write!(ring, "\nring_size = {size}");
    }
    out += &variant.port(UPLINK, &format!("role = \"uplink\"{ring}"));
    out += &variant.port(ACCESS, &format!("vni = {VNI}{ring}"));
    out += &vtep_tests::config_text::vni(&stage.node, &segment(stage, case));
    let place = match entries.direction {
        Direction::Encap => format!("remote = \"{FAR}\""),
        Direction::Decap => format!("port = \"{ACCESS}\""),
    };
    for mac in &entries.macs {
        let _ = writeln!(out, "[[fdb]]\nvni = {VNI}\nmac = \"{}\"\n{place}\n", text(*mac));
    }
    out
}

impl Running for Vtepd<'_> {
    fn mode(&self) -> String {
        let ports = self.daemon.list("port show");
        let word = |value: &serde_json::Value| value.as_str().unwrap_or("unknown").to_owned();
        let port = |port: &serde_json::Value| {
            let (name, mode, transmit) = (word(&port["ifname"]), word(&port["mode"]), &port["transmit"]);
            let reason = transmit["reason"].as_str().map(|reason| format!(" ({reason})"));
            format!("{name}: {mode}, transmit {}{}", word(&transmit["active"]), reason.unwrap_or_default())
        };
        ports.iter().map(port).collect::<Vec<_>>().join("; ")
    }

    fn memory(&self) -> Option<Memory> {
        Memory::of(self.daemon.id())
    }

    fn drops(&self) -> Vec<(String, u64)> {
        let drops = self.daemon.list("drops show all");
        let counted = |drop: &serde_json::Value| {
            let reason = format!("{} {}", drop["ifname"].as_str()?, drop["reason"].as_str()?);
            Some((reason, drop["count"].as_u64().filter(|count| *count != 0)?))
        };
        drops.iter().filter_map(counted).collect()
    }
}
