//! Checks of the daemon's own settings and its workers.

use std::collections::HashMap;

use forward::limits::MAX_WORKERS;

use super::fault::{Fault, RefusalKind, Subject};
use crate::config::{Daemon, WorkerConfig};
use crate::logging;

/// Bytes of a Unix socket's path, its final zero included (`sun_path`, unix(7)).
const SOCKET_PATH_BYTES: usize = 108;

pub(super) fn check(daemon: &Daemon, faults: &mut Vec<Fault>) {
    let socket = daemon.socket.as_os_str();
    let shown = daemon.socket.display();
    if !daemon.socket.is_absolute() {
        faults.push(Fault::invalid(
            Subject::Daemon,
            "socket",
            format!("the control socket \"{shown}\" is not an absolute path"),
            "write the whole path, such as /run/vtep/vtep.sock",
        ));
    } else if socket.len() >= SOCKET_PATH_BYTES || socket.as_encoded_bytes().contains(&0) {
        faults.push(Fault::invalid(
            Subject::Daemon,
            "socket",
            format!("the control socket's path has {} bytes, or a zero byte in it", socket.len()),
            format!("choose a path of at most {} bytes without zero bytes", SOCKET_PATH_BYTES - 1),
        ));
    }
    if daemon.socket_group.as_ref().is_some_and(String::is_empty) {
        faults.push(Fault::invalid(
            Subject::Daemon,
            "socket_group",
            "the group of the control socket has no name",
            "name a group, or leave the key out for the daemon's own group",
        ));
    }
    if let Err(logging::Error::Filter { reason, .. }) = logging::check(&daemon.log) {
        faults.push(Fault::invalid(
            Subject::Daemon,
            "log",
            format!("the log filter \"{}\" is malformed: {reason}", daemon.log),
            "write a level (error, warn, info, debug, trace, off) or directives such as info,dataplane::control=debug",
        ));
    }
}

pub(super) fn check_workers(workers: &[WorkerConfig], faults: &mut Vec<Fault>) {
    if workers.len() > MAX_WORKERS {
        faults.push(Fault::error(
            RefusalKind::LimitReached,
            Subject::Worker(MAX_WORKERS),
            format!("{} workers are configured, {MAX_WORKERS} are possible", workers.len()),
            "remove some; one worker per CPU is the most that is of use",
        ));
    }
    let mut first_on = HashMap::new();
    for (index, worker) in workers.iter().enumerate() {
        let Some(cpu) = worker.cpu else { continue };
        if let Some(first) = first_on.get(&cpu) {
            let fault = Fault::invalid(
                Subject::Worker(index),
                "cpu",
                format!("workers {first} and {index} are both pinned to CPU {cpu}"),
                "give each worker a CPU of its own, or remove one of the two",
            );
            faults.push(fault.with(Subject::Worker(*first)));
        } else {
            first_on.insert(cpu, index);
        }
    }
}
