//! Answers as tables for people. What is no data goes to standard error.

mod group;
mod liveness;
mod port;
mod stats;
mod vni;

use api::{Encapsulation, PortState, RemoteState};

use crate::answer::Answer;
use crate::columns::{Cell, Columns, Paint, Tone};
use crate::moving::Moving;

/// What to print.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Printed {
    /// For standard output.
    pub(crate) data: String,
    /// For standard error.
    pub(crate) words: String,
}

impl Printed {
    /// A table, or a remark that it would be empty.
    fn table(columns: &Columns, nothing: &str, paint: Paint) -> Self {
        if columns.is_empty() {
            Self { data: String::new(), words: format!("{nothing}\n") }
        } else {
            Self { data: columns.render(paint), words: String::new() }
        }
    }
}

/// An answer for people.
pub(crate) fn answer(answer: &Answer, moving: &mut Moving, paint: Paint) -> Printed {
    let data = match answer {
        Answer::Status(reply) => status(reply, moving, paint),
        Answer::Ports { ports, alone: true } => {
            ports.iter().map(|port| port_alone(port, moving, paint)).collect()
        }
        Answer::Ports { ports, alone: false } => return port_table(ports, moving, paint),
        Answer::Vnis(vnis) => return vni::table(vnis, paint),
        Answer::Remotes(remotes) => return remote_table(remotes, paint),
        Answer::Groups(groups) => return group::table(groups, paint),
        Answer::Fdb(entries) => return fdb_table(entries.iter(), paint),
        Answer::FdbEntry(entry) => return fdb_table(std::iter::once(entry), paint),
        Answer::Neighbours(neighbours) => return neighbour_table(neighbours, paint),
        Answer::Mdb(entries) => return mdb_table(entries, paint),
        Answer::Stats(reply) => stats::stats(reply, moving, paint),
        Answer::Drops(drops) => return drop_table(drops, moving, paint),
        Answer::Flushed(reply) => format!("{} removed\n", counted(reply.flushed, "entry", "entries")),
        Answer::Replaced(reply) => format!(
            "{} added, {} changed, {} removed, {} unchanged\n",
            reply.added, reply.changed, reply.removed, reply.unchanged
        ),
        Answer::Reloaded(reply) => reloaded(reply, paint),
        Answer::Done => String::new(),
    };
    Printed { data, words: String::new() }
}

/// Lines of a name and a value each.
fn lines(pairs: &[(&str, String)], paint: Paint) -> String {
    let wide = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| {
        format!("{}{}  {value}\n", paint.text(name, Tone::Heading), " ".repeat(wide - name.len()))
    };
    pairs.iter().map(line).collect()
}

fn degraded(sentences: &[String], paint: Paint) -> String {
    sentences
        .iter()
        .map(|sentence| format!("{} {sentence}\n", paint.text("degraded:", Tone::Doubtful)))
        .collect()
}

fn status(reply: &api::StatusReply, moving: &mut Moving, paint: Paint) -> String {
    let of = |part: u64, whole: u64, what: &str| format!("{whole} ({part} {what})");
    let mut pairs = vec![
        ("version", reply.version.clone()),
        ("process", format!("{}, for {}", reply.pid, duration(reply.uptime))),
        ("socket", reply.socket.clone()),
        ("config", reply.config.clone().unwrap_or_else(|| "none".to_owned())),
        ("workers", reply.workers.to_string()),
        ("ports", of(reply.ports_up, reply.ports, "up")),
        ("vnis", reply.vnis.to_string()),
        ("remotes", of(reply.remotes_reachable, reply.remotes, "reachable")),
        ("fdb", moving.count("fdb".into(), reply.fdb_entries)),
        ("neighbours", moving.count("neighbours".into(), reply.neighbours)),
        ("frames", balance(&reply.balance, moving)),
        ("chunks", chunks(&reply.chunks)),
    ];
    pairs.extend(jumbo(&reply.jumbo_chunks));
    lines(&pairs, paint) + &degraded(&reply.degraded, paint)
}

fn balance(balance: &api::Balance, moving: &mut Moving) -> String {
    let fields = [
        ("rx", balance.rx),
        ("copies", balance.copies),
        ("tx", balance.tx),
        ("dropped", balance.dropped),
        ("taken", balance.taken),
        ("in flight", balance.in_flight),
    ];
    let text =
        fields.map(|(name, value)| format!("{name} {}", moving.count(format!("balance {name}"), value)));
    text.join("  ")
}

fn chunks(chunks: &api::Chunks) -> String {
    format!("free {}  rings {}  flight {}  total {}", chunks.free, chunks.rings, chunks.flight, chunks.total)
}

/// The line about jumbo memory, where there is some.
fn jumbo(of: &api::Chunks) -> Option<(&'static str, String)> {
    (of.total != 0).then(|| ("jumbo", chunks(of)))
}

fn port_state(state: PortState) -> Cell {
    Cell::toned(&state, if state == PortState::Up { Tone::Good } else { Tone::Bad })
}

fn mode(port: &api::Port) -> String {
    port.mode.map(|mode| mode.to_string()).unwrap_or_default()
}

fn port_table(ports: &[api::Port], moving: &mut Moving, paint: Paint) -> Printed {
    const HEADS: &[&str] = &[
        "NAME",
        "DEVICE",
        "ROLE",
        ">VNI",
        "STATE",
        "MODE",
        "TRANSMIT",
        ">MTU",
        ">RX PACKETS",
        ">RX BYTES",
        ">TX PACKETS",
        ">TX BYTES",
        ">DROPPED",
        ">KERNEL DROPPED",
        ">TO KERNEL",
    ];
    let mut columns = Columns::new(HEADS);
    for port in ports {
        let mut count =
            |what: &str, value| -> Cell { moving.count(format!("{} {what}", port.ifname), value).into() };
        columns.row(vec![
            (&port.ifname).into(),
            (&port.device).into(),
            port.role.into(),
            port::vnis(port).into(),
            port_state(port.state),
            mode(port).into(),
            port.transmit.active.into(),
            optional(port.mtu),
            count("rx_packets", port.rx_packets),
            count("rx_bytes", port.rx_bytes),
            count("tx_packets", port.tx_packets),
            count("tx_bytes", port.tx_bytes),
            count("dropped", port.dropped),
            count("kernel_dropped", port.kernel_dropped),
            port.to_kernel.map_or_else(|| "".into(), |frames| count("to_kernel", frames)),
        ]);
    }
    let mut printed = Printed::table(&columns, "no ports", paint);
    for port in ports {
        let named: Vec<String> =
            port.degraded.iter().map(|sentence| format!("{}: {sentence}", port.ifname)).collect();
        printed.data += &degraded(&named, paint);
    }
    printed
}

/// The workload's namespace, and what was done there.
fn netns(port: &api::Port) -> String {
    let name = port.netns.as_deref().unwrap_or("unknown");
    port.netns_device
        .as_ref()
        .map_or_else(|| name.to_owned(), |device| format!("{name} (NAPI turned on at {device})"))
}

fn port_alone(port: &api::Port, moving: &mut Moving, paint: Paint) -> String {
    let mut count = |what: &str, value| moving.count(format!("{} {what}", port.ifname), value);
    let tone = if port.state == PortState::Up { Tone::Good } else { Tone::Bad };
    let transmit = &port.transmit;
    let mut path = format!("{} (configured {})", transmit.active, transmit.configured);
    path += &transmit.threshold.map_or_else(String::new, |frames| format!(", burst from {frames} frames on"));
    path += &transmit.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let mut pairs = vec![
        ("port", port.ifname.clone()),
        ("device", port.device.clone()),
        ("role", port::role(port)),
        ("state", paint.text(port.state.word(), tone)),
        ("mode", port.mode.map_or_else(|| "none".to_owned(), |mode| mode.to_string())),
        ("pages", port.pages.map_or_else(|| "none".to_owned(), |pages| pages.to_string())),
        ("address", port.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())),
        ("mtu", port.mtu.map_or_else(|| "unknown".to_owned(), |mtu| format!("{mtu} bytes"))),
        ("rings", format!("{} descriptors", port.ring_size)),
        ("transmit", path),
        ("netns", netns(port)),
        ("flood", flooding(port.flood, port.mcast_flood, port.bcast_flood)),
        ("isolated", on_off(port.isolated).to_owned()),
        ("leave", if port.fastleave { "at once" } else { "once nobody answers" }.to_owned()),
        ("storm", storm_limit(port.storm_limit)),
        (
            "rx",
            format!(
                "{} packets  {} bytes",
                count("rx_packets", port.rx_packets),
                count("rx_bytes", port.rx_bytes)
            ),
        ),
        (
            "tx",
            format!(
                "{} packets  {} bytes",
                count("tx_packets", port.tx_packets),
                count("tx_bytes", port.tx_bytes)
            ),
        ),
        ("dropped", count("dropped", port.dropped)),
        (
            "kernel",
            format!("{} packets dropped before receipt", count("kernel_dropped", port.kernel_dropped)),
        ),
    ];
    if let Some(frames) = port.to_kernel {
        pairs.push(("host", format!("{} packets left to it", count("to_kernel", frames))));
    }
    if let Some(held) = &port.guard {
        let unlearned = count("unlearned", port.unlearned);
        let limit = held.learn_limit.unwrap_or_default();
        pairs.push(("learned", format!("{} of {limit}, {unlearned} frames beyond", port.learned)));
        pairs.push(("guard", port::guard(held)));
    }
    if let Some(tags) = &port.tags {
        pairs.push(("tags", port::tags(tags)));
    }
    let queues = port::queue_table(port, moving, paint);
    lines(&pairs, paint) + &queues + &degraded(&port.degraded, paint)
}

fn wrapping(encap: Encapsulation, udp_port: Option<u16>, key: Option<&str>) -> String {
    match encap {
        Encapsulation::Vxlan => {
            udp_port.map_or_else(|| encap.to_string(), |port| format!("{encap} port {port}"))
        }
        Encapsulation::Gre => key.map_or_else(|| encap.to_string(), |key| format!("{encap} key {key}")),
        Encapsulation::Nvgre => encap.to_string(),
        Encapsulation::GreUdp => {
            let port = udp_port.map_or_else(String::new, |port| format!(" port {port}"));
            key.map_or_else(String::new, |key| format!("{encap}{port} key {key}"))
        }
    }
}

/// The kinds of frames that are flooded.
fn flooding(unicast: bool, multicast: bool, broadcast: bool) -> String {
    match (unicast, multicast, broadcast) {
        (true, true, true) => "all".to_owned(),
        (false, false, false) => "none".to_owned(),
        _ => {
            let kinds = [(unicast, "unicast"), (multicast, "multicast"), (broadcast, "broadcast")];
            kinds.iter().filter(|(on, _)| *on).map(|(_, kind)| *kind).collect::<Vec<_>>().join(",")
        }
    }
}

fn storm_limit(frames: u32) -> String {
    if frames == 0 { "none".to_owned() } else { format!("{frames}/s") }
}

fn on_off(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

fn remote_table(remotes: &[api::Remote], paint: Paint) -> Printed {
    const HEADS: &[&str] = &[
        ">VNI",
        "DST",
        "ENCAP",
        "CHECKSUM",
        "LOCAL",
        "STATE",
        "DEV",
        "LLADDR",
        "FLOOD",
        "STORM-LIMIT",
        ">LEARNED",
        ">MTU",
        "MTU OF",
        ">INNER MTU",
        "LIVENESS",
        ">RTT",
        ">LOSS",
        "LAST LOSS",
        "DEAD PATHS",
        "PATH MTU",
    ];
    let mut columns = Columns::new(HEADS);
    for remote in remotes {
        let tone = match remote.state {
            RemoteState::Reachable => Tone::Good,
            RemoteState::Unresolved => Tone::Doubtful,
            RemoteState::NoRoute => Tone::Bad,
        };
        let mut cells: Vec<Cell> = vec![
            remote.vni.into(),
            remote.dst.into(),
            wrapping(remote.encap, remote.udp_port, remote.key.as_deref()).into(),
            remote.udp_checksum.map_or("-", on_off).into(),
            remote.local.into(),
            Cell::toned(&remote.state, tone),
            optional(remote.dev.as_ref()),
            optional(remote.lladdr),
            on_off(remote.flood).into(),
            storm_limit(remote.storm_limit).into(),
            format!("{}/{}", remote.learned, remote.learn_limit).into(),
            optional(remote.path_mtu.map(|path| path.mtu)),
            optional(remote.path_mtu.map(mtu_source)),
            optional(remote.path_mtu.and_then(|path| path.inner)),
        ];
        cells.extend(liveness::cells(remote.liveness.as_ref()));
        columns.row(cells);
    }
    let mut printed = Printed::table(&columns, "no remotes", paint);
    for remote in remotes {
        let named = remote.degraded.iter().map(|why| format!("{} in VNI {}: {why}", remote.dst, remote.vni));
        printed.data += &degraded(&named.collect::<Vec<String>>(), paint);
    }
    printed
}

/// How a path MTU is known, and since when if a router has told it.
fn mtu_source(path: api::PathMtu) -> String {
    match (path.router, path.age) {
        (Some(router), Some(age)) => format!("{} {router} {age}s ago", path.source),
        _ => path.source.to_string(),
    }
}

fn fdb_table<'a>(entries: impl Iterator<Item = &'a api::FdbEntry>, paint: Paint) -> Printed {
    const HEADS: &[&str] = &[
        ">VNI",
        "MAC",
        "DEV",
        "DST",
        "GROUP",
        "STATE",
        ">AGE",
        "OWNER",
        "FLAGS",
        ">VERSION",
        ">MOVES",
        ">LAST MOVE",
        "MOVED FROM",
    ];
    let mut columns = Columns::new(HEADS);
    for entry in entries {
        columns.row(vec![
            entry.vni.into(),
            entry.mac.into(),
            optional(entry.ifname.as_ref()),
            optional(entry.dst),
            optional(entry.group.as_ref()),
            entry.state.into(),
            format!("{}s", entry.age).into(),
            (&entry.owner).into(),
            entry.flags.join(",").into(),
            unless_zero(entry.version),
            unless_zero(entry.moves.into()),
            optional(entry.last_move.map(|ago| format!("{ago}s"))),
            optional(entry.moved_from.as_ref()),
        ]);
    }
    Printed::table(&columns, "no forwarding entries", paint)
}

fn neighbour_table(neighbours: &[api::Neighbour], paint: Paint) -> Printed {
    const HEADS: &[&str] = &[
        ">VNI",
        "DST",
        "LLADDR",
        "STATE",
        ">AGE",
        "OWNER",
        "FLAGS",
        ">VERSION",
        ">MOVES",
        ">LAST MOVE",
        "MOVED FROM",
    ];
    let mut columns = Columns::new(HEADS);
    for neighbour in neighbours {
        columns.row(vec![
            neighbour.vni.into(),
            neighbour.dst.into(),
            neighbour.lladdr.into(),
            neighbour.state.into(),
            format!("{}s", neighbour.age).into(),
            (&neighbour.owner).into(),
            neighbour.flags.join(",").into(),
            unless_zero(neighbour.version),
            unless_zero(neighbour.moves.into()),
            optional(neighbour.last_move.map(|ago| format!("{ago}s"))),
            optional(neighbour.moved_from.as_ref()),
        ]);
    }
    Printed::table(&columns, "no neighbours", paint)
}

fn mdb_table(entries: &[api::MdbEntry], paint: Paint) -> Printed {
    let mut columns = Columns::new(&[">VNI", "KIND", "GRP", "DEV", "DST", ">TIMER"]);
    for entry in entries {
        columns.row(vec![
            entry.vni.into(),
            entry.kind.into(),
            optional(entry.grp),
            optional(entry.ifname.as_ref()),
            optional(entry.dst),
            format!("{}s", entry.timer).into(),
        ]);
    }
    Printed::table(&columns, "no multicast listeners, routers or queriers", paint)
}

fn drop_table(drops: &[api::Drop], moving: &mut Moving, paint: Paint) -> Printed {
    let mut columns = Columns::new(&["PORT", "REASON", ">COUNT", "MEANING"]);
    for drop in drops {
        let port = drop.port.as_deref().unwrap_or_default();
        columns.row(vec![
            port.into(),
            (&drop.reason).into(),
            moving.count(format!("{port} {}", drop.reason), drop.count).into(),
            (&drop.help).into(),
        ]);
    }
    Printed::table(&columns, "no frames dropped", paint)
}

fn reloaded(reply: &api::ReloadReply, paint: Paint) -> String {
    let later = reply
        .restart
        .iter()
        .map(|key| format!("{} {key}\n", paint.text("takes effect at the next start:", Tone::Doubtful)));
    let made = format!("{} made\n", counted(reply.changes, "change", "changes"));
    std::iter::once(made).chain(later).collect()
}

fn optional<T: ToString>(value: Option<T>) -> Cell {
    value.map(|value| value.to_string()).unwrap_or_default().into()
}

/// A number that means nothing while it is zero.
fn unless_zero(number: u64) -> Cell {
    optional(Some(number).filter(|number| *number != 0))
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A few of many.
fn some_of<T: ToString>(all: &[T]) -> String {
    const SHOWN: usize = 4;
    let mut shown: Vec<String> = all.iter().take(SHOWN).map(ToString::to_string).collect();
    if all.len() > SHOWN {
        shown.push(format!("and {} more", all.len() - SHOWN));
    }
    shown.join(" ")
}

/// Seconds as people say them.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}
