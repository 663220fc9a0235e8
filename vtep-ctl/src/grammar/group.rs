//! Commands about groups of remotes, whose members are written as `ip nexthop` writes those of its groups.

use std::net::IpAddr;

use api::Request;

use super::{NOTHING, VNI};
use crate::words::{Given, Shape, Usage};

const MEMBERS: &str = "IP[,WEIGHT][/IP[,WEIGHT]]";

pub(super) const SET: Shape = Shape {
    positional: &["NAME"],
    keywords: &[VNI, ("members", MEMBERS), ("backups", MEMBERS), ("flood", "on|off")],
    ..NOTHING
};
pub(super) const SET_TAIL: &str =
    "NAME vni N members IP[,WEIGHT][/IP[,WEIGHT]] [backups IP[,WEIGHT][/IP[,WEIGHT]]] [flood on|off]";

/// The request to add or change a group.
pub(super) fn set(given: &Given, replace: bool) -> Result<Request, Usage> {
    let (primary, backups) = (members(given, "members", false)?, members(given, "backups", true)?);
    if primary.is_empty() && backups.is_empty() {
        return Err(Usage::new("the group's remotes are missing", format!("members {MEMBERS}")));
    }
    Ok(Request::SetGroup(api::SetGroup {
        name: given.required("NAME")?,
        vni: given.required_vni()?,
        members: [primary, backups].concat(),
        flood: given.switch("flood")?,
        replace: replace.then_some(true),
    }))
}

fn members(given: &Given, keyword: &str, backup: bool) -> Result<Vec<api::GroupMemberItem>, Usage> {
    let all = |text: &str| text.split('/').map(|text| member(text, backup)).collect();
    let expected = "addresses, each with a weight from 1 to 256 if it is not 1: 192.0.2.2,2/192.0.2.3";
    Ok(given.checked(keyword, all, || expected.to_owned())?.unwrap_or_default())
}

fn member(text: &str, backup: bool) -> Option<api::GroupMemberItem> {
    let (address, weight) =
        text.split_once(',').map_or((text, None), |(address, weight)| (address, Some(weight)));
    let weight = match weight {
        Some(weight) => Some(weight.parse::<i64>().ok().filter(|weight| (1..=256).contains(weight))?),
        None => None,
    };
    let dst = address.parse::<IpAddr>().ok()?.to_string();
    Some(api::GroupMemberItem { dst, weight, backup: backup.then_some(true) })
}
