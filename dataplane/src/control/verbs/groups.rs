//! Requests about groups of remotes.

use api::Refusal;
use serde_json::Value;

use super::{Operator, Page, arguments, change, known_vni, reply};
use crate::config::{Change, GroupConfig, GroupMember};

pub(super) fn show_groups(request: &api::ShowGroups, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let vni = known_vni(operator, request.vni)?;
    let mut page = Page::from_cursor(request.cursor.as_deref())?;
    operator.groups(vni, &mut page);
    let (groups, next) = page.finish();
    reply::<api::ShowGroups>(&api::GroupPage { groups, next })
}

pub(super) fn set_group(request: &api::SetGroup, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let group = GroupConfig {
        vni: arguments::vni(request.vni)?,
        name: request.name.clone(),
        members: request.members.iter().map(member).collect::<Result<_, _>>()?,
        flood: request.flood.unwrap_or(false),
    };
    change(operator, Change::SetGroup { group, replace: request.replace.unwrap_or(false) })
}

fn member(item: &api::GroupMemberItem) -> Result<GroupMember, Refusal> {
    let mut member = GroupMember::new(arguments::address("dst", &item.dst)?);
    if let Some(weight) = item.weight {
        member.weight = arguments::whole("weight", weight, 1..=256)?;
    }
    member.backup = item.backup.unwrap_or(false);
    Ok(member)
}

pub(super) fn remove_group(request: api::RemoveGroup, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let vni = arguments::vni(request.vni)?;
    change(operator, Change::RemoveGroup { vni, name: request.name })
}
