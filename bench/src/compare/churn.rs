//! Frames lost to changes of the forwarding database: load at a steady rate, with and without a control plane that
//! rewrites entries as fast as it is told to.
//!
//! The control plane is a client of the daemon's socket. It owns a thousand entries and has all of them moved to the
//! other of two places by one `ReplaceFdb` call after the other, as an EVPN speaker does when a host moves; the daemon's
//! replies say how many entries changed. The entries are none of the load's, so that every frame of the load has one
//! right way all the time.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wire::Mac;

use super::case::Case;
use super::contestant::vtepd;
use super::fault::Fault;
use super::load::{Load, entries, sink, traffic};
use super::progress::Progress;
use super::results::{Settings, Trial};
use super::stage::{ACCESS, FAR, Stage, VNI};
use crate::pktgen::Hosts;

/// Changes per second that there should be; a little more is asked for, so that a late reply does not make it less.
pub const CHANGES: f64 = 100_000.0;
/// Entries of one request.
const BATCH: u32 = 1000;
/// Interleaved rounds.
const ROUNDS: usize = 3;

/// What was found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Churned {
    /// Frames per second offered.
    pub rate: f64,
    /// One after the other.
    pub rounds: Vec<ChurnRound>,
}

/// The same load twice.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ChurnRound {
    /// Nothing changes.
    pub still: Trial,
    /// Entries change all the time.
    pub changing: Trial,
    /// Entries per second that did, by the daemon's replies.
    pub changes: f64,
}

/// Measures at this rate, in frames per second, in the base case.
///
/// # Errors
/// [`Fault::Generator`], [`Fault::Interrupted`], [`Fault::Contestant`] when the daemon refuses a change.
pub fn measure(rate: f64, settings: &Settings, progress: &mut Progress) -> Result<Churned, Fault> {
    progress.visit("frames lost to changes of the forwarding database");
    let case = Case::BASE;
    let stage = Stage::new();
    let sink = sink(&stage, case.direction)?;
    let running = vtepd::Vtepd::start(&stage, &case, &entries(&case), "auto");
    let load = Load::new(&stage, sink, case.direction, &traffic(&case))?;
    load.warm_up(progress)?;
    let time = Duration::from_secs_f64(settings.maximum_seconds);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let still = load.trial(Some(rate), time, progress)?;
        let control = ControlPlane::start(&running.socket(), CHANGES * 1.02)?;
        let changing = load.trial(Some(rate), time, progress);
        let changes = control.stop()?;
        rounds.push(ChurnRound { still, changing: changing?, changes });
    }
    Ok(Churned { rate, rounds })
}

/// A client that changes entries at a rate until it is stopped.
struct ControlPlane {
    stop: Arc<AtomicBool>,
    changed: Arc<AtomicU64>,
    begin: Instant,
    thread: JoinHandle<Result<(), Fault>>,
}

impl ControlPlane {
    /// Writes the entries, and then goes on changing them in a thread of its own.
    fn start(socket: &Path, rate: f64) -> Result<Self, Fault> {
        let mut client = Client::connect(socket)?;
        let calls = [call("dst", &FAR.to_string()), call("dev", ACCESS)];
        client.replace(&calls[0])?;
        let (stop, changed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ends, counts, begin) = (Arc::clone(&stop), Arc::clone(&changed), Instant::now());
        let thread = std::thread::spawn(move || {
            for call in calls.iter().cycle().skip(1) {
                // What is due, and no more: a late request is followed by the next at once.
                let due = Duration::from_secs_f64(counts.load(Ordering::Relaxed) as f64 / rate);
                sleep(due.saturating_sub(begin.elapsed()));
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                counts.fetch_add(client.replace(call)?, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Self { stop, changed, begin, thread })
    }

    /// Ends it; says how many entries changed per second.
    fn stop(self) -> Result<f64, Fault> {
        let rate = self.changed.load(Ordering::Relaxed) as f64 / self.begin.elapsed().as_secs_f64();
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        ended.map(|()| rate)
    }
}

/// A connection to the daemon.
struct Client {
    stream: BufReader<UnixStream>,
    reply: Vec<u8>,
}

impl Client {
    fn connect(socket: &Path) -> Result<Self, Fault> {
        let stream = UnixStream::connect(socket).map_err(|error| Fault::file(socket, error))?;
        Ok(Self { stream: BufReader::new(stream), reply: Vec::new() })
    }

    /// Makes a call; says how many entries it wrote.
    fn replace(&mut self, call: &[u8]) -> Result<u64, Fault> {
        let refused = |why: String| Fault::Contestant { who: "vtepd", step: "ReplaceFdb".to_owned(), why };
        self.stream.get_mut().write_all(call).map_err(|error| refused(error.to_string()))?;
        self.reply.clear();
        self.stream.read_until(0, &mut self.reply).map_err(|error| refused(error.to_string()))?;
        let text = self.reply.strip_suffix(&[0]).unwrap_or(&self.reply);
        let answer: Value = serde_json::from_slice(text).map_err(|error| refused(error.to_string()))?;
        let count = |key: &str| answer["parameters"][key].as_u64();
        match (count("added"), count("changed")) {
            (Some(added), Some(changed)) => Ok(added + changed),
            _ => Err(refused(answer.to_string())),
        }
    }
}

/// The bytes of a call that puts all entries to a place, given as the key and value of a JSON object.
fn call(place: &str, name: &str) -> Vec<u8> {
    let hosts = Hosts {
        first_mac: Mac([0x02, 0xcc, 0, 0, 0, 0]),
        first_address: [10, 200, 0, 0].into(),
        count: BATCH,
    };
    let entry = |number| {
        let mut entry = json!({ "mac": hosts.mac(number).to_string(), "vni": VNI });
        entry[place] = name.into();
        entry
    };
    let entries: Vec<Value> = (0..BATCH).map(entry).collect();
    let parameters = json!({ "owner": "bench", "vni": VNI, "entries": entries });
    let call = json!({ "method": "org.vtep.control.ReplaceFdb", "parameters": parameters });
    (call.to_string() + "\0").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_every_entry_once_with_its_place() {
        let bytes = call("dst", "192.0.2.2");
        let call: Value = serde_json::from_slice(bytes.strip_suffix(&[0]).unwrap()).unwrap();
        let entries = call["parameters"]["entries"].as_array().unwrap();
        assert_eq!(entries.len(), BATCH as usize);
        assert!(entries.iter().all(|entry| entry["dst"] == "192.0.2.2" && entry["vni"] == VNI));
        let macs: std::collections::HashSet<_> =
            entries.iter().map(|entry| entry["mac"].to_string()).collect();
        assert_eq!(macs.len(), BATCH as usize);
    }
}
