//! The commands that change ports.

use api::{PortRole, Request};

use super::{NOTHING, VNI};
use crate::words::{Given, Shape, Usage};

const BIND: (&str, &str) = ("bind", "MAC[,IP...][/MAC[,IP...]...]");
pub(super) const LEARN_LIMIT: (&str, &str) = ("learn-limit", "N");

pub(super) const ADD: Shape = Shape {
    positional: &["NAME"],
    keywords: &[
        ("dev", "DEVICE"),
        VNI,
        ("mode", "auto|zerocopy|native|generic"),
        ("require", "zerocopy|native|generic"),
        ("queues", "N"),
        ("ring-size", "N"),
        ("transmit", "auto|ring|burst"),
        ("netns", "NAME|PATH"),
        ("flood", "on|off"),
        ("mcast-flood", "on|off"),
        ("bcast-flood", "on|off"),
        ("isolated", "on|off"),
        ("storm-limit", "N"),
        BIND,
        LEARN_LIMIT,
    ],
    flags: &["uplink", "trusted", "locked"],
    ..NOTHING
};
pub(super) const ADD_TAIL: &str = "NAME [dev DEVICE] (vni N | uplink) [mode auto|zerocopy|native|generic] \
    [require zerocopy|native|generic] [queues N] [ring-size N] [transmit auto|ring|burst] \
    [netns NAME|PATH] \
    [flood on|off] [mcast-flood on|off] [bcast-flood on|off] [isolated on|off] [storm-limit N] \
    [trusted] [locked] [bind MAC[,IP...][/MAC[,IP...]...]] [learn-limit N]";
pub(super) const SET: Shape = Shape {
    positional: &["NAME"],
    keywords: &[
        ("flood", "on|off"),
        ("mcast-flood", "on|off"),
        ("bcast-flood", "on|off"),
        ("isolated", "on|off"),
        ("storm-limit", "N"),
    ],
    ..NOTHING
};
pub(super) const SET_TAIL: &str =
    "NAME [flood on|off] [mcast-flood on|off] [bcast-flood on|off] [isolated on|off] [storm-limit N]";
pub(super) const GUARD: Shape =
    Shape { positional: &["NAME"], keywords: &[BIND, LEARN_LIMIT], flags: &["trusted", "locked"], ..NOTHING };
pub(super) const GUARD_TAIL: &str =
    "NAME [trusted] [locked] [bind MAC[,IP...][/MAC[,IP...]...]] [learn-limit N]";

pub(super) fn add(given: &Given) -> Result<Request, Usage> {
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
        netns: given.text("netns"),
        flood: given.switch("flood")?,
        mcast_flood: given.switch("mcast-flood")?,
        bcast_flood: given.switch("bcast-flood")?,
        isolated: given.switch("isolated")?,
        storm_limit: given.number("storm-limit", u32::MAX.into())?,
        guard: Some(held(given)?).filter(|guard| *guard != api::Guard::default()),
    }))
}

pub(super) fn set(given: &Given) -> Result<Request, Usage> {
    Ok(Request::SetPort(api::SetPort {
        name: given.required("NAME")?,
        flood: given.switch("flood")?,
        mcast_flood: given.switch("mcast-flood")?,
        bcast_flood: given.switch("bcast-flood")?,
        isolated: given.switch("isolated")?,
        storm_limit: given.number("storm-limit", u32::MAX.into())?,
    }))
}

pub(super) fn guard(given: &Given) -> Result<Request, Usage> {
    Ok(Request::GuardPort(api::GuardPort { name: given.required("NAME")?, guard: held(given)? }))
}

pub(super) fn learn_limit(given: &Given) -> Result<Option<i64>, Usage> {
    given.number("learn-limit", u32::MAX.into())
}

fn held(given: &Given) -> Result<api::Guard, Usage> {
    Ok(api::Guard {
        trusted: given.has("trusted").then_some(true),
        locked: given.has("locked").then_some(true),
        bind: given.bindings("bind")?,
        learn_limit: learn_limit(given)?,
    })
}
