//! The commands that change ports.

use api::{PortRole, Request};

use super::{NOTHING, VNI};
use crate::words::{Given, Shape, Usage};

const BIND: (&str, &str) = ("bind", "none|MAC[,IP...][/MAC[,IP...]...]");
const TRUSTED: (&str, &str) = ("trusted", "on|off");
const LOCKED: (&str, &str) = ("locked", "on|off");
pub(super) const LEARN_LIMIT: (&str, &str) = ("learn-limit", "N");
const VLANS: (&str, &str) = ("vlans", "VLAN,VNI[/VLAN,VNI...]");
const NATIVE: (&str, &str) = ("native", "VLAN|0");

pub(super) const ADD: Shape = Shape {
    positional: &["NAME"],
    keywords: &[
        ("dev", "DEVICE"),
        VNI,
        VLANS,
        NATIVE,
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
        ("fastleave", "on|off"),
        ("storm-limit", "N"),
        TRUSTED,
        LOCKED,
        BIND,
        LEARN_LIMIT,
    ],
    flags: &["uplink"],
    ..NOTHING
};
pub(super) const ADD_TAIL: &str = "NAME [dev DEVICE] (vni N | vlans VLAN,VNI[/VLAN,VNI...] [native VLAN] | uplink) \
    [mode auto|zerocopy|native|generic] \
    [require zerocopy|native|generic] [queues N] [ring-size N] [transmit auto|ring|burst] \
    [netns NAME|PATH] \
    [flood on|off] [mcast-flood on|off] [bcast-flood on|off] [isolated on|off] [fastleave on|off] \
    [storm-limit N] [trusted on|off] [locked on|off] [bind none|MAC[,IP...][/MAC[,IP...]...]] [learn-limit N]";
pub(super) const SET: Shape = Shape {
    positional: &["NAME"],
    keywords: &[
        ("flood", "on|off"),
        ("mcast-flood", "on|off"),
        ("bcast-flood", "on|off"),
        ("isolated", "on|off"),
        ("fastleave", "on|off"),
        ("storm-limit", "N"),
        VLANS,
        NATIVE,
    ],
    ..NOTHING
};
pub(super) const SET_TAIL: &str = "NAME [flood on|off] [mcast-flood on|off] [bcast-flood on|off] \
    [isolated on|off] [fastleave on|off] [storm-limit N] \
    [vlans VLAN,VNI[/VLAN,VNI...]] [native VLAN|0]";
pub(super) const GUARD: Shape =
    Shape { positional: &["NAME"], keywords: &[TRUSTED, LOCKED, BIND, LEARN_LIMIT], ..NOTHING };
pub(super) const GUARD_TAIL: &str =
    "NAME [trusted on|off] [locked on|off] [bind none|MAC[,IP...][/MAC[,IP...]...]] [learn-limit N]";

pub(super) fn add(given: &Given) -> Result<Request, Usage> {
    let (vni, vlans) = (given.vni()?, vlans(given)?);
    let expected = "vni N | vlans VLAN,VNI[/VLAN,VNI...] | uplink";
    let role = match (vni.is_some(), vlans.is_some(), given.has("uplink")) {
        (true, false, false) => PortRole::Access,
        (false, true, false) => PortRole::Trunk,
        (false, false, true) => PortRole::Uplink,
        (true, false, true) => return Err(Usage::new("both vni and uplink are given", expected)),
        (true, true, _) => return Err(Usage::new("both vni and vlans are given", expected)),
        (false, true, true) => return Err(Usage::new("both vlans and uplink are given", expected)),
        (false, false, false) => return Err(Usage::new("what the port faces is missing", expected)),
    };
    Ok(Request::AddPort(api::AddPort {
        name: given.required("NAME")?,
        device: given.text("dev"),
        role,
        vni,
        vlans,
        native: native(given)?,
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
        fastleave: given.switch("fastleave")?,
        storm_limit: given.number("storm-limit", u32::MAX.into())?,
        guard: Some(held(given)?).filter(|guard| *guard != api::Guard::default()),
    }))
}

pub(super) fn set(given: &Given) -> Result<Request, Usage> {
    some_change(given, &SET)?;
    Ok(Request::SetPort(api::SetPort {
        name: given.required("NAME")?,
        flood: given.switch("flood")?,
        mcast_flood: given.switch("mcast-flood")?,
        bcast_flood: given.switch("bcast-flood")?,
        isolated: given.switch("isolated")?,
        fastleave: given.switch("fastleave")?,
        storm_limit: given.number("storm-limit", u32::MAX.into())?,
        vlans: vlans(given)?,
        native: native(given)?,
    }))
}

/// That there is anything to change.
fn some_change(given: &Given, shape: &Shape) -> Result<(), Usage> {
    if given.says_something(shape) {
        Ok(())
    } else {
        Err(Usage::new("nothing to change is given", shape.expected()))
    }
}

/// The VLANs of a trunk; an empty word says that there are none.
fn vlans(given: &Given) -> Result<Option<Vec<api::TrunkVlan>>, Usage> {
    let rows = |text: &str| text.split('/').filter(|_| !text.is_empty()).map(vlan).collect();
    given.checked(VLANS.0, rows, || "VLANs from 1 to 4094, each with its VNI: 10,100/20,200".to_owned())
}

fn vlan(text: &str) -> Option<api::TrunkVlan> {
    let (vlan, vni) = text.split_once(',')?;
    let (vlan, vni) = (vlan.parse::<i64>().ok()?, vni.parse::<i64>().ok()?);
    let is_possible = (1..=4094).contains(&vlan) && (0..1 << 24).contains(&vni);
    is_possible.then_some(api::TrunkVlan { vlan, vni })
}

fn native(given: &Given) -> Result<Option<i64>, Usage> {
    given.number(NATIVE.0, 4094)
}

pub(super) fn guard(given: &Given) -> Result<Request, Usage> {
    some_change(given, &GUARD)?;
    Ok(Request::GuardPort(api::GuardPort { name: given.required("NAME")?, guard: held(given)? }))
}

pub(super) fn learn_limit(given: &Given) -> Result<Option<i64>, Usage> {
    given.number("learn-limit", u32::MAX.into())
}

fn held(given: &Given) -> Result<api::Guard, Usage> {
    Ok(api::Guard {
        trusted: given.switch("trusted")?,
        locked: given.switch("locked")?,
        bind: given.bindings("bind")?,
        learn_limit: learn_limit(given)?,
    })
}
