//! The commands: one table of objects and verbs, each with its words and the request that it makes.

use api::{EntryKind, Request};

use crate::words::{Given, Shape, Usage};

mod form;
mod group;
mod liveness;
mod port;
mod vni;

pub(crate) use form::Form;
use form::form;

const VNI: (&str, &str) = ("vni", "N");
const NOTHING: Shape = Shape { positional: &[], optional: false, keywords: &[], flags: &[] };
const WITHIN_VNI: Shape = Shape { keywords: &[VNI], ..NOTHING };
const NAMED: Shape = Shape { positional: &["NAME"], ..NOTHING };
const NUMBERED: Shape = Shape { positional: &["vni"], ..NOTHING };
const MAC_IN_VNI: Shape = Shape { positional: &["MAC"], keywords: &[VNI], ..NOTHING };
const NAME_IN_VNI: Shape = Shape { positional: &["NAME"], keywords: &[VNI], ..NOTHING };
const IP_IN_VNI: Shape = Shape { positional: &["IP"], keywords: &[VNI], ..NOTHING };
const OF_PORT: Shape = Shape { keywords: &[("port", "NAME")], ..NOTHING };

const REMOTE_SET: Shape = Shape {
    positional: &["IP"],
    keywords: &[
        VNI,
        ("encap", "vxlan|gre|nvgre|greudp"),
        ("udp-port", "P"),
        ("key", "vni|none|NUMBER"),
        ("flood", "on|off"),
        ("udp-checksum", "on|off"),
        ("storm-limit", "N"),
        liveness::ON,
        liveness::INTERVAL,
        liveness::MULTIPLIER,
        liveness::RECOVERY,
        liveness::PATHS,
        liveness::PATH_MTU,
        port::LEARN_LIMIT,
    ],
    ..NOTHING
};
const REMOTE_SET_TAIL: &str = "IP vni N [encap vxlan|gre|nvgre|greudp] [udp-port P] [key vni|none|NUMBER] [flood on|off] \
    [udp-checksum on|off] [storm-limit N] [liveness on|off] [interval MS] [multiplier N] [recovery N] \
    [paths N] [path-mtu on|off] [learn-limit N]";

const OWNER: (&str, &str) = ("owner", "NAME");
const VERSION: (&str, &str) = ("version", "N");
const KINDS: &[&str] = &["dynamic", "static", "external", "sticky"];
const WRITTEN_KINDS: &[&str] = &["static", "external", "sticky"];
const FDB_SHOW: Shape = Shape {
    keywords: &[VNI, ("dev", "PORT"), ("dst", "IP"), ("mac", "MAC"), OWNER],
    flags: KINDS,
    ..NOTHING
};
const FDB_SHOW_TAIL: &str =
    "[vni N] [dev PORT] [dst IP] [mac MAC] [owner NAME] [dynamic | static | external | sticky]";
const FDB_FLUSH: Shape =
    Shape { keywords: &[VNI, ("dev", "PORT"), ("dst", "IP"), OWNER], flags: KINDS, ..NOTHING };
const FDB_FLUSH_TAIL: &str =
    "[vni N] [dev PORT] [dst IP] [owner NAME] [dynamic | static | external | sticky]";
const FDB_SET: Shape = Shape {
    positional: &["MAC"],
    keywords: &[VNI, ("dev", "PORT"), ("dst", "IP"), ("group", "NAME"), OWNER],
    flags: WRITTEN_KINDS,
    ..NOTHING
};
const FDB_SET_TAIL: &str =
    "MAC vni N (dev PORT | dst IP | group NAME) [owner NAME] [static | external | sticky]";
const FDB_DEL: Shape = Shape { positional: &["MAC"], keywords: &[VNI, OWNER, VERSION], ..NOTHING };
const NEIGH_SHOW: Shape = Shape { keywords: &[VNI, OWNER], ..NOTHING };
const NEIGH_SET: Shape =
    Shape { positional: &["IP"], keywords: &[("lladdr", "MAC"), VNI, OWNER], flags: &["router"], ..NOTHING };
const NEIGH_SET_TAIL: &str = "IP lladdr MAC vni N [router] [owner NAME]";
const NEIGH_DEL: Shape = Shape { positional: &["IP"], keywords: &[VNI, OWNER, VERSION], ..NOTHING };
/// A replacement of all that an owner wrote. What there is to be is read from standard input, one line each.
const REPLACE_TAIL: &str = "NAME [vni N] < LINES";

/// Every command. An object's first verb is meant when none is given.
pub(crate) const FORMS: &[Form] = &[
    form("status", "show", "", NOTHING, |_| Ok(Request::Status(api::Status {}))),
    form("port", "show", "[NAME]", Shape { optional: true, ..NAMED }, |given| {
        Ok(Request::ShowPorts(api::ShowPorts { name: given.text("NAME"), cursor: None }))
    }),
    form("port", "add", port::ADD_TAIL, port::ADD, port::add),
    form("port", "set", port::SET_TAIL, port::SET, port::set),
    form("port", "guard", port::GUARD_TAIL, port::GUARD, port::guard),
    form("port", "del", "NAME", NAMED, |given| {
        Ok(Request::RemovePort(api::RemovePort { name: given.required("NAME")? }))
    }),
    form("vni", "show", "[N]", Shape { optional: true, ..NUMBERED }, |given| {
        Ok(Request::ShowVnis(api::ShowVnis { vni: given.vni()?, cursor: None }))
    }),
    form("vni", "add", vni::SET_TAIL, vni::SET, |given| vni::set(given, false)),
    form("vni", "replace", vni::SET_TAIL, vni::SET, |given| vni::set(given, true)),
    form("vni", "del", "N", NUMBERED, |given| {
        Ok(Request::RemoveVni(api::RemoveVni { vni: given.required_vni()? }))
    }),
    form("remote", "show", "[vni N]", WITHIN_VNI, |given| {
        Ok(Request::ShowRemotes(api::ShowRemotes { vni: given.vni()?, cursor: None }))
    }),
    form("remote", "add", REMOTE_SET_TAIL, REMOTE_SET, |given| remote_set(given, false)),
    form("remote", "replace", REMOTE_SET_TAIL, REMOTE_SET, |given| remote_set(given, true)),
    form("remote", "del", "IP vni N", IP_IN_VNI, |given| {
        Ok(Request::RemoveRemote(api::RemoveRemote { dst: address(given)?, vni: given.required_vni()? }))
    }),
    form("group", "show", "[vni N]", WITHIN_VNI, |given| {
        Ok(Request::ShowGroups(api::ShowGroups { vni: given.vni()?, cursor: None }))
    }),
    form("group", "add", group::SET_TAIL, group::SET, |given| group::set(given, false)),
    form("group", "replace", group::SET_TAIL, group::SET, |given| group::set(given, true)),
    form("group", "del", "NAME vni N", NAME_IN_VNI, |given| {
        Ok(Request::RemoveGroup(api::RemoveGroup {
            name: given.required("NAME")?,
            vni: given.required_vni()?,
        }))
    }),
    form("fdb", "show", FDB_SHOW_TAIL, FDB_SHOW, |given| {
        Ok(Request::ShowFdb(api::ShowFdb {
            vni: given.vni()?,
            dev: given.text("dev"),
            dst: given.address("dst")?,
            mac: given.mac("mac")?,
            kind: kind(given)?,
            owner: given.text("owner"),
            cursor: None,
        }))
    }),
    form("fdb", "add", FDB_SET_TAIL, FDB_SET, |given| fdb_set(given, false)),
    form("fdb", "replace", FDB_SET_TAIL, FDB_SET, |given| fdb_set(given, true)),
    form("fdb", "replace owner", REPLACE_TAIL, NAME_IN_VNI, |given| {
        let (owner, vni) = (given.required("NAME")?, given.vni()?);
        Ok(Request::ReplaceFdb(api::ReplaceFdb { owner, vni, entries: Vec::new() }))
    }),
    form("fdb", "get", "MAC vni N", MAC_IN_VNI, |given| {
        Ok(Request::GetFdb(api::GetFdb { mac: mac(given)?, vni: given.required_vni()? }))
    }),
    form("fdb", "del", "MAC vni N [owner NAME] [version N]", FDB_DEL, |given| {
        Ok(Request::RemoveFdb(api::RemoveFdb {
            mac: mac(given)?,
            vni: given.required_vni()?,
            owner: given.text("owner"),
            version: version(given)?,
        }))
    }),
    form("fdb", "flush", FDB_FLUSH_TAIL, FDB_FLUSH, |given| {
        Ok(Request::FlushFdb(api::FlushFdb {
            vni: given.vni()?,
            dev: given.text("dev"),
            dst: given.address("dst")?,
            kind: kind(given)?,
            owner: given.text("owner"),
        }))
    }),
    form("neigh", "show", "[vni N] [owner NAME]", NEIGH_SHOW, |given| {
        let (vni, owner) = (given.vni()?, given.text("owner"));
        Ok(Request::ShowNeighbours(api::ShowNeighbours { vni, owner, cursor: None }))
    }),
    form("neigh", "add", NEIGH_SET_TAIL, NEIGH_SET, |given| neigh_set(given, false)),
    form("neigh", "replace", NEIGH_SET_TAIL, NEIGH_SET, |given| neigh_set(given, true)),
    form("neigh", "replace owner", REPLACE_TAIL, NAME_IN_VNI, |given| {
        let (owner, vni) = (given.required("NAME")?, given.vni()?);
        Ok(Request::ReplaceNeighbours(api::ReplaceNeighbours { owner, vni, neighbours: Vec::new() }))
    }),
    form("neigh", "del", "IP vni N [owner NAME] [version N]", NEIGH_DEL, |given| {
        Ok(Request::RemoveNeighbour(api::RemoveNeighbour {
            dst: address(given)?,
            vni: given.required_vni()?,
            owner: given.text("owner"),
            version: version(given)?,
        }))
    }),
    form("neigh", "flush", "[vni N] [owner NAME]", NEIGH_SHOW, |given| {
        Ok(Request::FlushNeighbours(api::FlushNeighbours { vni: given.vni()?, owner: given.text("owner") }))
    }),
    form("mdb", "show", "[vni N]", WITHIN_VNI, |given| {
        Ok(Request::ShowMdb(api::ShowMdb { vni: given.vni()?, cursor: None }))
    }),
    form("stats", "show", "[port NAME] [buckets]", Shape { flags: &["buckets"], ..OF_PORT }, |given| {
        let buckets = given.has("buckets").then_some(true);
        Ok(Request::ShowStats(api::ShowStats { port: given.text("port"), buckets }))
    }),
    form("stats", "flush", "", NOTHING, |_| Ok(Request::FlushStats(api::FlushStats {}))),
    form("drops", "show", "[port NAME] [all]", Shape { flags: &["all"], ..OF_PORT }, |given| {
        let all = given.has("all").then_some(true);
        Ok(Request::ShowDrops(api::ShowDrops { port: given.text("port"), all, cursor: None }))
    }),
    form("reload", "", "", NOTHING, |_| Ok(Request::Reload(api::Reload {}))),
];

/// A forwarding entry as a line of a replacement has it: as `fdb add`, but for the owner.
pub(crate) fn fdb_line(words: &[String]) -> Result<api::FdbItem, Usage> {
    const SHAPE: Shape = Shape {
        positional: &["MAC"],
        keywords: &[VNI, ("dev", "PORT"), ("dst", "IP"), ("group", "NAME")],
        flags: WRITTEN_KINDS,
        ..NOTHING
    };
    let usage = "MAC vni N (dev PORT | dst IP | group NAME) [static | external | sticky]";
    line(&SHAPE, words, usage, fdb_item)
}

/// A neighbour as a line of a replacement has it: as `neigh add`, but for the owner.
pub(crate) fn neigh_line(words: &[String]) -> Result<api::NeighbourItem, Usage> {
    const SHAPE: Shape =
        Shape { positional: &["IP"], keywords: &[("lladdr", "MAC"), VNI], flags: &["router"], ..NOTHING };
    line(&SHAPE, words, "IP lladdr MAC vni N [router]", neigh_item)
}

fn line<T>(
    shape: &Shape,
    words: &[String],
    usage: &str,
    build: fn(&Given) -> Result<T, Usage>,
) -> Result<T, Usage> {
    let item = Given::collect(shape, words).and_then(|given| build(&given));
    item.map_err(|error| Usage { usage: vec![format!("a line is {usage}")], ..error })
}

/// What is to be known of an object's commands and tables beside their words.
pub(crate) fn notes(object: &str) -> &'static str {
    match object {
        "port" => "del removes the port's forwarding entries too, whoever wrote them; the log says how many of whom.",
        "vni" => "replace sets every word that is not given to its default.",
        "remote" => {
            "replace sets every word that is not given to its default.
del takes the remote out of groups and removes its forwarding entries, whoever wrote them; the log says how many of whom.
LIVENESS is init while the remote has never answered: frames are sent to it. It is up once it answers; when it does not
any more it is down, until enough packets have come, and nothing is sent to it."
        }
        "group" => {
            "replace sets every word that is not given to its default.
del removes the group's forwarding entries too, whoever wrote them; the log says how many of whom."
        }
        "fdb" => {
            "dynamic entries are the learned ones, also those that are frozen for having moved too often.
flush removes dynamic entries, unless a kind or an owner is given; frozen ones may move again then.
VERSION of a learned entry that has not moved tells where it is: the same for all entries of that port or remote."
        }
        "neigh" => "flush removes learned neighbours, unless an owner is given.",
        _ => "",
    }
}

/// The forms of an object.
pub(crate) fn forms(object: &str) -> impl Iterator<Item = &'static Form> {
    FORMS.iter().filter(move |form| form.object == object)
}

/// The request that an object and the words after it mean.
pub(crate) fn parse(object: &str, words: &[String]) -> Result<Request, Usage> {
    let (form, rest) = choose(object, words)?;
    let request = Given::collect(&form.shape, rest).and_then(|given| (form.build)(&given));
    request.map_err(|usage| Usage { usage: vec![form.usage()], ..usage })
}

/// The form that the first word names, and the words after it.
fn choose<'a>(object: &str, words: &'a [String]) -> Result<(&'static Form, &'a [String]), Usage> {
    let all: Vec<&'static Form> = forms(object).collect();
    let Some((first, rest)) = words.split_first() else { return Ok((all[0], words)) };
    let verb = match first.as_str() {
        "list" | "ls" => "show",
        "delete" => "del",
        other => other,
    };
    let mut fitting = all.iter().filter(|form| form.verb.starts_with(verb) && !form.verb.contains(' '));
    let exact = all.iter().find(|form| form.verb == verb);
    if let Some(form) = exact.or_else(|| fitting.next().filter(|_| fitting.next().is_none())) {
        // Some verbs are of two words.
        let longer = rest.split_first().and_then(|(second, rest)| {
            let longer =
                all.iter().find(|longer| longer.verb.split_once(' ') == Some((form.verb, second)))?;
            Some((*longer, rest))
        });
        return Ok(longer.unwrap_or((form, rest)));
    }
    // `fdb vni 100` leaves `show` out; a word that is neither verb nor keyword is taken for a mistyped verb.
    let show = &all[0].shape;
    if show.keywords.iter().any(|(keyword, _)| keyword == first) || show.flags.contains(&first.as_str()) {
        return Ok((all[0], words));
    }
    let verbs: Vec<&str> =
        all.iter().map(|form| form.verb).filter(|verb| !verb.is_empty() && !verb.contains(' ')).collect();
    let expected = if verbs.is_empty() { "nothing more".to_owned() } else { verbs.join(" | ") };
    let usage = Usage::new(format!("{first:?} is not understood after {object}"), expected);
    Err(Usage { usage: vec![format!("vtep-ctl {object} --help")], ..usage })
}

fn mac(given: &Given) -> Result<String, Usage> {
    given.mac("MAC")?.map_or_else(|| given.required("MAC"), Ok)
}

fn address(given: &Given) -> Result<String, Usage> {
    given.address("IP")?.map_or_else(|| given.required("IP"), Ok)
}

fn kind(given: &Given) -> Result<Option<EntryKind>, Usage> {
    let mut kinds = EntryKind::ALL.iter().filter(|kind| given.has(kind.word()));
    match (kinds.next(), kinds.next()) {
        (Some(one), Some(other)) => {
            Err(Usage::new(format!("both {one} and {other} are given"), "one of them, or neither"))
        }
        (kind, _) => Ok(kind.copied()),
    }
}

fn version(given: &Given) -> Result<Option<i64>, Usage> {
    given.number("version", i64::MAX.unsigned_abs())
}

fn remote_set(given: &Given, replace: bool) -> Result<Request, Usage> {
    Ok(Request::SetRemote(api::SetRemote {
        dst: address(given)?,
        vni: given.required_vni()?,
        encap: given.word("encap")?,
        udp_port: given.number("udp-port", u16::MAX.into())?,
        key: given.key()?,
        flood: given.switch("flood")?,
        udp_checksum: given.switch("udp-checksum")?,
        storm_limit: given.number("storm-limit", u32::MAX.into())?,
        liveness: liveness::item(given)?,
        learn_limit: port::learn_limit(given)?,
        replace: replace.then_some(true),
    }))
}

fn fdb_set(given: &Given, replace: bool) -> Result<Request, Usage> {
    let api::FdbItem { mac, vni, dev, dst, group, kind } = fdb_item(given)?;
    let (owner, replace) = (given.text("owner"), replace.then_some(true));
    Ok(Request::SetFdb(api::SetFdb { mac, vni, dev, dst, group, kind, owner, replace }))
}

fn fdb_item(given: &Given) -> Result<api::FdbItem, Usage> {
    let (dev, dst, group) = (given.text("dev"), given.address("dst")?, given.text("group"));
    let what = match (&dev, &dst, &group) {
        (Some(_), None, None) | (None, Some(_), None) | (None, None, Some(_)) => None,
        (None, None, None) => Some("none of dev, dst and group is given"),
        (Some(_), Some(_), None) => Some("both dev and dst are given"),
        (_, _, Some(_)) => Some("both group and another place are given"),
    };
    if let Some(what) = what {
        return Err(Usage::new(what, "dev PORT | dst IP | group NAME"));
    }
    Ok(api::FdbItem { mac: mac(given)?, vni: given.required_vni()?, dev, dst, group, kind: kind(given)? })
}

fn neigh_item(given: &Given) -> Result<api::NeighbourItem, Usage> {
    let lladdr =
        given.mac("lladdr")?.ok_or_else(|| Usage::new("the Ethernet address is missing", "lladdr MAC"))?;
    let router = given.has("router").then_some(true);
    Ok(api::NeighbourItem { dst: address(given)?, lladdr, vni: given.required_vni()?, router })
}

fn neigh_set(given: &Given, replace: bool) -> Result<Request, Usage> {
    let api::NeighbourItem { dst, lladdr, vni, router } = neigh_item(given)?;
    let (owner, replace) = (given.text("owner"), replace.then_some(true));
    Ok(Request::SetNeighbour(api::SetNeighbour { dst, lladdr, vni, router, owner, replace }))
}
