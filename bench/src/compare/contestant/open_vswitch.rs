//! Open vSwitch's userspace datapath: afxdp ports, one polling thread.
//!
//! Debian's build has AF_XDP (it links libxdp), so the peer is the strong one. Forwarding is by MAC learning
//! (`NORMAL`), with the entries written before.

use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vtep_tests::ovs_vtep::PortKind;
use vtep_tests::{Finished, OvsVtep};

use super::{Entries, Running, segment};
use crate::compare::case::{Case, Direction, Tunnel};
use crate::compare::fault::Fault;
use crate::compare::memory::Memory;
use crate::compare::placement::SWITCH_CPU;
use crate::compare::stage::{ACCESS, FAR, FAR_MAC, NEAR_MAC, Stage, UPLINK, VNI, text};

/// Requests on their way to the daemon at a time.
const WINDOW: usize = 64;

/// A switch on the stage's node.
pub(super) struct OpenVswitch {
    switch: OvsVtep,
}

impl OpenVswitch {
    /// Starts it and writes its forwarding entries and the tunnel's next hop.
    pub(super) fn start(stage: &Stage, case: &Case, entries: &Entries) -> Result<Self, Fault> {
        let ports = PortKind::Afxdp { cpu: SWITCH_CPU };
        let switch = OvsVtep::with_ports(&stage.node, &[segment(stage, case)], ports);
        for bridge in ["br-phy".to_owned(), format!("br-{VNI}")] {
            switch.configure(&format!("set bridge {bridge} other_config:mac-table-size=300000"));
        }
        // Tunnel packets come to the uplink's address, which is the bridge's where OVS terminates tunnels.
        switch.configure(&format!("set bridge br-phy other_config:hwaddr={}", text(NEAR_MAC)));
        let this = Self { switch };
        let next_hop = text(FAR_MAC);
        let port = match entries.direction {
            Direction::Encap => tunnel_port(case),
            Direction::Decap => ACCESS.to_owned(),
        };
        let bridge = format!("br-{VNI}");
        let requests = [
            ("tnl/neigh/set", vec!["br-phy".to_owned(), Ipv4Addr::to_string(&FAR), next_hop.clone()]),
            ("fdb/add", vec!["br-phy".to_owned(), UPLINK.to_owned(), "0".to_owned(), next_hop]),
        ]
        .into_iter()
        .chain(
            entries
                .macs
                .iter()
                .map(|mac| ("fdb/add", vec![bridge.clone(), port.clone(), "0".to_owned(), text(*mac)])),
        );
        ask(&this.switch.control(), requests).map_err(|why| Fault::Contestant {
            who: "Open vSwitch",
            step: "fdb/add".to_owned(),
            why,
        })?;
        Ok(this)
    }

    /// The mode of its ports, out of the datapath's own words.
    fn modes(&self) -> String {
        let mut command = Command::new("ovs-appctl");
        command.arg("--target").arg(self.switch.control()).arg("dpctl/show");
        let text = Finished::of(&mut command).output();
        let ports = text.lines().filter(|line| line.contains("afxdp"));
        ports.map(str::trim).collect::<Vec<_>>().join("; ")
    }
}

/// The harness's name for the tunnel to its only remote.
fn tunnel_port(case: &Case) -> String {
    match case.tunnel {
        Tunnel::Vxlan => format!("vxlan{VNI}-1"),
        Tunnel::Gre => format!("gre{VNI}-1"),
    }
}

/// Sends commands to a daemon's control socket (JSON-RPC, as `ovs-appctl` does, which would take a process for each).
fn ask(socket: &Path, requests: impl Iterator<Item = (&'static str, Vec<String>)>) -> Result<(), String> {
    let stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|error| error.to_string())?;
    let mut answers = serde_json::Deserializer::from_reader(&stream).into_iter::<Value>();
    let mut answer = || match answers.next() {
        Some(Ok(answer)) if answer["error"].is_null() => Ok(()),
        Some(Ok(answer)) => Err(answer["error"].to_string()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the daemon closed the connection".to_owned()),
    };
    let mut waiting = 0;
    for (method, params) in requests {
        let request = json!({"id": 0, "method": method, "params": params}).to_string();
        (&stream).write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        waiting += 1;
        if waiting == WINDOW {
            answer()?;
            waiting -= 1;
        }
    }
    for _ in 0..waiting {
        answer()?;
    }
    Ok(())
}

impl Running for OpenVswitch {
    fn mode(&self) -> String {
        self.modes()
    }

    fn memory(&self) -> Option<Memory> {
        Memory::of(self.switch.id())
    }
}
