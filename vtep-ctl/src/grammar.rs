//! The commands: one table of objects and verbs, each with its words and the request that it makes.

use api::{EntryKind, PortRole, Request};

use crate::words::{Given, Shape, Usage};

/// One verb of one object.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) object: &'static str,
    pub(crate) verb: &'static str,
    /// What follows the verb, for people.
    pub(crate) tail: &'static str,
    shape: Shape,
    build: fn(&Given) -> Result<Request, Usage>,
}

impl Form {
    /// The whole command, for people.
    pub(crate) fn usage(&self) -> String {
        [self.object, self.verb, self.tail]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[cfg(test)]
impl Form {
    /// Words that are understood and that the usage line does not tell of.
    pub(crate) fn missing_from_usage(&self) -> Vec<&'static str> {
        let keywords = self.shape.keywords.iter().map(|(keyword, _)| *keyword);
        let words: Vec<&str> = self.tail.split([' ', '[', ']', '(', ')']).collect();
        keywords.chain(self.shape.flags.iter().copied()).filter(|word| !words.contains(word)).collect()
    }
}

const VNI: (&str, &str) = ("vni", "N");
const NOTHING: Shape = Shape { positional: &[], optional: false, keywords: &[], flags: &[] };
const WITHIN_VNI: Shape = Shape { keywords: &[VNI], ..NOTHING };
const NAMED: Shape = Shape { positional: &["NAME"], ..NOTHING };
const NUMBERED: Shape = Shape { positional: &["vni"], ..NOTHING };
const MAC_IN_VNI: Shape = Shape { positional: &["MAC"], keywords: &[VNI], ..NOTHING };
const IP_IN_VNI: Shape = Shape { positional: &["IP"], keywords: &[VNI], ..NOTHING };
const OF_PORT: Shape = Shape { keywords: &[("port", "NAME")], ..NOTHING };

const PORT_ADD: Shape = Shape {
    positional: &["NAME"],
    keywords: &[
        ("dev", "DEVICE"),
        VNI,
        ("mode", "auto|zerocopy|native|generic"),
        ("require", "zerocopy|native|generic"),
        ("queues", "N"),
        ("ring-size", "N"),
        ("transmit", "auto|ring|burst"),
    ],
    flags: &["uplink"],
    ..NOTHING
};
const PORT_ADD_TAIL: &str = "NAME [dev DEVICE] (vni N | uplink) [mode auto|zerocopy|native|generic] \
    [require zerocopy|native|generic] [queues N] [ring-size N] [transmit auto|ring|burst]";

const VNI_SET: Shape = Shape {
    positional: &["vni"],
    keywords: &[
        ("local", "IP"),
        ("encap", "vxlan|gre"),
        ("udp-port", "P"),
        ("key", "vni|none|NUMBER"),
        ("learning", "on|off"),
        ("ageing", "SECONDS"),
        ("arp-proxy", "on|off"),
        ("nd-proxy", "on|off"),
        ("ttl", "N"),
    ],
    ..NOTHING
};
const VNI_SET_TAIL: &str = "N local IP [encap vxlan|gre] [udp-port P] [key vni|none|NUMBER] [learning on|off] \
    [ageing SECONDS] [arp-proxy on|off] [nd-proxy on|off] [ttl N]";

const REMOTE_SET: Shape = Shape {
    positional: &["IP"],
    keywords: &[
        VNI,
        ("encap", "vxlan|gre"),
        ("udp-port", "P"),
        ("key", "vni|none|NUMBER"),
        ("flood", "on|off"),
    ],
    ..NOTHING
};
const REMOTE_SET_TAIL: &str = "IP vni N [encap vxlan|gre] [udp-port P] [key vni|none|NUMBER] [flood on|off]";

const FDB_SHOW: Shape = Shape {
    keywords: &[VNI, ("dev", "PORT"), ("dst", "IP"), ("mac", "MAC")],
    flags: &["dynamic", "static"],
    ..NOTHING
};
const FDB_FLUSH: Shape =
    Shape { keywords: &[VNI, ("dev", "PORT"), ("dst", "IP")], flags: &["dynamic", "static"], ..NOTHING };
const FDB_SET: Shape =
    Shape { positional: &["MAC"], keywords: &[VNI, ("dev", "PORT"), ("dst", "IP")], ..NOTHING };
const FDB_SET_TAIL: &str = "MAC vni N (dev PORT | dst IP)";
const NEIGH_SET: Shape =
    Shape { positional: &["IP"], keywords: &[("lladdr", "MAC"), VNI], flags: &["router"], ..NOTHING };
const NEIGH_SET_TAIL: &str = "IP lladdr MAC vni N [router]";

const fn form(
    object: &'static str,
    verb: &'static str,
    tail: &'static str,
    shape: Shape,
    build: fn(&Given) -> Result<Request, Usage>,
) -> Form {
    Form { object, verb, tail, shape, build }
}

/// Every command. An object's first verb is meant when none is given.
pub(crate) const FORMS: &[Form] = &[
    form("status", "show", "", NOTHING, |_| Ok(Request::Status(api::Status {}))),
    form("port", "show", "[NAME]", Shape { optional: true, ..NAMED }, |given| {
        Ok(Request::ShowPorts(api::ShowPorts { name: given.text("NAME"), cursor: None }))
    }),
    form("port", "add", PORT_ADD_TAIL, PORT_ADD, port_add),
    form("port", "del", "NAME", NAMED, |given| {
        Ok(Request::RemovePort(api::RemovePort { name: given.required("NAME")? }))
    }),
    form("vni", "show", "[N]", Shape { optional: true, ..NUMBERED }, |given| {
        Ok(Request::ShowVnis(api::ShowVnis { vni: given.vni()?, cursor: None }))
    }),
    form("vni", "add", VNI_SET_TAIL, VNI_SET, |given| vni_set(given, false)),
    form("vni", "replace", VNI_SET_TAIL, VNI_SET, |given| vni_set(given, true)),
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
    form("fdb", "show", "[vni N] [dev PORT] [dst IP] [mac MAC] [dynamic | static]", FDB_SHOW, |given| {
        Ok(Request::ShowFdb(api::ShowFdb {
            vni: given.vni()?,
            dev: given.text("dev"),
            dst: given.address("dst")?,
            mac: given.mac("mac")?,
            kind: kind(given)?,
            cursor: None,
        }))
    }),
    form("fdb", "add", FDB_SET_TAIL, FDB_SET, |given| fdb_set(given, false)),
    form("fdb", "replace", FDB_SET_TAIL, FDB_SET, |given| fdb_set(given, true)),
    form("fdb", "get", "MAC vni N", MAC_IN_VNI, |given| {
        Ok(Request::GetFdb(api::GetFdb { mac: mac(given)?, vni: given.required_vni()? }))
    }),
    form("fdb", "del", "MAC vni N", MAC_IN_VNI, |given| {
        Ok(Request::RemoveFdb(api::RemoveFdb { mac: mac(given)?, vni: given.required_vni()? }))
    }),
    form("fdb", "flush", "[vni N] [dev PORT] [dst IP] [dynamic | static]", FDB_FLUSH, |given| {
        Ok(Request::FlushFdb(api::FlushFdb {
            vni: given.vni()?,
            dev: given.text("dev"),
            dst: given.address("dst")?,
            kind: kind(given)?,
        }))
    }),
    form("neigh", "show", "[vni N]", WITHIN_VNI, |given| {
        Ok(Request::ShowNeighbours(api::ShowNeighbours { vni: given.vni()?, cursor: None }))
    }),
    form("neigh", "add", NEIGH_SET_TAIL, NEIGH_SET, |given| neigh_set(given, false)),
    form("neigh", "replace", NEIGH_SET_TAIL, NEIGH_SET, |given| neigh_set(given, true)),
    form("neigh", "del", "IP vni N", IP_IN_VNI, |given| {
        Ok(Request::RemoveNeighbour(api::RemoveNeighbour {
            dst: address(given)?,
            vni: given.required_vni()?,
        }))
    }),
    form("neigh", "flush", "[vni N]", WITHIN_VNI, |given| {
        Ok(Request::FlushNeighbours(api::FlushNeighbours { vni: given.vni()? }))
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
    let mut fitting = all.iter().filter(|form| form.verb.starts_with(verb));
    let exact = all.iter().find(|form| form.verb == verb);
    if let Some(form) = exact.or_else(|| fitting.next().filter(|_| fitting.next().is_none())) {
        return Ok((form, rest));
    }
    // `fdb vni 100` leaves `show` out; a word that is neither verb nor keyword is taken for a mistyped verb.
    let show = &all[0].shape;
    if show.keywords.iter().any(|(keyword, _)| keyword == first) || show.flags.contains(&first.as_str()) {
        return Ok((all[0], words));
    }
    let verbs: Vec<&str> = all.iter().map(|form| form.verb).filter(|verb| !verb.is_empty()).collect();
    let expected = if verbs.is_empty() { "nothing more".to_owned() } else { verbs.join(" | ") };
    let usage = Usage::new(format!("{first:?} is not understood after {object}"), expected);
    Err(Usage { usage: all.iter().map(|form| form.usage()).collect(), ..usage })
}

fn mac(given: &Given) -> Result<String, Usage> {
    given.mac("MAC")?.map_or_else(|| given.required("MAC"), Ok)
}

fn address(given: &Given) -> Result<String, Usage> {
    given.address("IP")?.map_or_else(|| given.required("IP"), Ok)
}

fn kind(given: &Given) -> Result<Option<EntryKind>, Usage> {
    match (given.has("dynamic"), given.has("static")) {
        (true, true) => Err(Usage::new("both dynamic and static are given", "one of them, or neither")),
        (true, false) => Ok(Some(EntryKind::Dynamic)),
        (false, true) => Ok(Some(EntryKind::Static)),
        (false, false) => Ok(None),
    }
}

fn port_add(given: &Given) -> Result<Request, Usage> {
    let vni = given.vni()?;
    let role = match (vni.is_some(), given.has("uplink")) {
        (true, false) => PortRole::Access,
        (false, true) => PortRole::Uplink,
        (true, true) => return Err(Usage::new("both vni and uplink are given", "vni N | uplink")),
        (false, false) => return Err(Usage::new("what the port faces is missing", "vni N | uplink")),
    };
    Ok(Request::AddPort(api::AddPort {
        name: given.required("NAME")?,
        device: given.text("dev"),
        role,
        vni,
        mode: given.word("mode")?,
        require: given.word("require")?,
        queues: given.number("queues", u32::MAX.into())?,
        ring_size: given.number("ring-size", u32::MAX.into())?,
        transmit: given.word("transmit")?,
    }))
}

fn vni_set(given: &Given, replace: bool) -> Result<Request, Usage> {
    Ok(Request::SetVni(api::SetVni {
        vni: given.required_vni()?,
        local: given
            .address("local")?
            .ok_or_else(|| Usage::new("our underlay address is missing", "local IP"))?,
        encap: given.word("encap")?,
        udp_port: given.number("udp-port", u16::MAX.into())?,
        key: given.key()?,
        learning: given.switch("learning")?,
        ageing: given.number("ageing", u32::MAX.into())?,
        arp_proxy: given.switch("arp-proxy")?,
        nd_proxy: given.switch("nd-proxy")?,
        ttl: given.number("ttl", u8::MAX.into())?,
        replace: replace.then_some(true),
    }))
}

fn remote_set(given: &Given, replace: bool) -> Result<Request, Usage> {
    Ok(Request::SetRemote(api::SetRemote {
        dst: address(given)?,
        vni: given.required_vni()?,
        encap: given.word("encap")?,
        udp_port: given.number("udp-port", u16::MAX.into())?,
        key: given.key()?,
        flood: given.switch("flood")?,
        replace: replace.then_some(true),
    }))
}

fn fdb_set(given: &Given, replace: bool) -> Result<Request, Usage> {
    let (dev, dst) = (given.text("dev"), given.address("dst")?);
    if dev.is_some() == dst.is_some() {
        let what = if dev.is_some() { "both dev and dst are given" } else { "neither dev nor dst is given" };
        return Err(Usage::new(what, "dev PORT | dst IP"));
    }
    let (mac, vni) = (mac(given)?, given.required_vni()?);
    Ok(Request::SetFdb(api::SetFdb { mac, vni, dev, dst, replace: replace.then_some(true) }))
}

fn neigh_set(given: &Given, replace: bool) -> Result<Request, Usage> {
    let lladdr =
        given.mac("lladdr")?.ok_or_else(|| Usage::new("the Ethernet address is missing", "lladdr MAC"))?;
    let (dst, vni) = (address(given)?, given.required_vni()?);
    let (router, replace) = (given.has("router").then_some(true), replace.then_some(true));
    Ok(Request::SetNeighbour(api::SetNeighbour { dst, lladdr, vni, router, replace }))
}
