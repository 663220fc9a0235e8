//! Requests about forwarding entries and neighbours.

use std::net::IpAddr;

use api::{EntryKind, Refusal, RefusalKind};
use serde_json::Value;
use wire::{Mac, Vni};

use super::{Operator, Page, arguments, change, known_port, known_vni, reply};
use crate::config::{Change, Replacement, owner};

/// Which forwarding entries are meant: those that satisfy every condition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FdbFilter {
    /// Of this VNI.
    pub vni: Option<Vni>,
    /// Behind this port.
    pub port: Option<String>,
    /// Behind this remote.
    pub remote: Option<IpAddr>,
    /// With this address.
    pub mac: Option<Mac>,
    /// Of this kind.
    pub kind: Option<EntryKind>,
    /// Written by this owner.
    pub owner: Option<String>,
}

/// Which neighbours are meant: those that satisfy every condition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NeighbourFilter {
    /// Of this VNI.
    pub vni: Option<Vni>,
    /// With this address.
    pub address: Option<IpAddr>,
    /// Written by this owner.
    pub owner: Option<String>,
}

impl NeighbourFilter {
    /// Whether a neighbour satisfies it.
    #[must_use]
    pub fn admits(&self, neighbour: &api::Neighbour) -> bool {
        self.vni.is_none_or(|vni| vni.value() == neighbour.vni)
            && self.address.is_none_or(|address| address == neighbour.dst)
            && self.owner.as_ref().is_none_or(|owner| *owner == neighbour.owner)
    }
}

pub(super) fn show_fdb(request: api::ShowFdb, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let mut filter = fdb_filter(operator, request.vni, request.dev, request.dst.as_deref())?;
    (filter.kind, filter.owner) = (request.kind, request.owner);
    filter.mac = request.mac.as_deref().map(|text| arguments::mac("mac", text)).transpose()?;
    let mut page = Page::from_cursor(request.cursor.as_deref())?;
    operator.fdb(&filter, &mut page);
    let (entries, next) = page.finish();
    reply::<api::ShowFdb>(&api::FdbPage { entries, next })
}

pub(super) fn set_fdb(request: api::SetFdb, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let owner = writer(request.owner.as_deref())?.to_owned();
    let api::SetFdb { mac, vni, dev, dst, group, kind, .. } = request;
    let entry = arguments::entry(api::FdbItem { mac, vni, dev, dst, group, kind }, owner)?;
    change(operator, Change::SetFdb { entry, replace: request.replace.unwrap_or(false) })
}

pub(super) fn fdb_entry(request: &api::GetFdb, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let (mac, vni) = (arguments::mac("mac", &request.mac)?, arguments::vni(request.vni)?);
    known_vni(operator, Some(request.vni))?;
    let mut page = Page::from_cursor(None)?;
    operator.fdb(&FdbFilter { vni: Some(vni), mac: Some(mac), ..FdbFilter::default() }, &mut page);
    match page.finish().0.pop() {
        Some(entry) => reply::<api::GetFdb>(&api::FdbEntryReply { entry }),
        None => Err(Refusal::new(
            RefusalKind::NotFound,
            format!("no forwarding entry for {mac} in VNI {vni}"),
            format!("`vtep-ctl fdb show vni {vni}` lists those there are"),
        )),
    }
}

pub(super) fn remove_fdb(request: &api::RemoveFdb, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let (mac, vni) = (arguments::mac("mac", &request.mac)?, arguments::vni(request.vni)?);
    if request.owner.is_some() || request.version.is_some() {
        let mut page = Page::from_cursor(None)?;
        operator.fdb(&FdbFilter { vni: Some(vni), mac: Some(mac), ..FdbFilter::default() }, &mut page);
        // One that is not there is refused below.
        if let Some(entry) = page.finish().0.pop() {
            let said = format!("FDB entry {mac} of VNI {vni}");
            let expected = Expected { owner: request.owner.as_deref(), version: request.version };
            expected.check(&said, &entry.owner, entry.version)?;
        }
    }
    change(operator, Change::RemoveFdb { vni, mac })
}

pub(super) fn replace_fdb(request: api::ReplaceFdb, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let vni = known_vni(operator, request.vni)?;
    writer(Some(&request.owner))?;
    let items = request.entries.into_iter();
    let items = items.map(|item| arguments::entry(item, request.owner.clone())).collect::<Result<_, _>>()?;
    let wanted = Replacement { owner: request.owner, vni, items };
    reply::<api::ReplaceFdb>(&operator.replace_fdb(&wanted)?)
}

pub(super) fn flush_fdb(request: api::FlushFdb, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let mut filter = fdb_filter(operator, request.vni, request.dev, request.dst.as_deref())?;
    let learned = Some(EntryKind::Dynamic).filter(|_| request.owner.is_none());
    (filter.kind, filter.owner) = (request.kind.or(learned), request.owner);
    reply::<api::FlushFdb>(&api::FlushReply { flushed: operator.fdb_flush(&filter) })
}

pub(super) fn show_neighbours(
    request: api::ShowNeighbours,
    operator: &mut dyn Operator,
) -> Result<Value, Refusal> {
    let vni = known_vni(operator, request.vni)?;
    let mut page = Page::from_cursor(request.cursor.as_deref())?;
    operator.neighbours(&NeighbourFilter { vni, address: None, owner: request.owner }, &mut page);
    let (neighbours, next) = page.finish();
    reply::<api::ShowNeighbours>(&api::NeighbourPage { neighbours, next })
}

pub(super) fn set_neighbour(
    request: &api::SetNeighbour,
    operator: &mut dyn Operator,
) -> Result<Value, Refusal> {
    let owner = writer(request.owner.as_deref())?;
    let api::SetNeighbour { dst, lladdr, vni, router, .. } = request.clone();
    let neighbour = arguments::neighbour(&api::NeighbourItem { dst, lladdr, vni, router }, owner)?;
    change(operator, Change::SetNeighbour { neighbour, replace: request.replace.unwrap_or(false) })
}

pub(super) fn remove_neighbour(
    request: &api::RemoveNeighbour,
    operator: &mut dyn Operator,
) -> Result<Value, Refusal> {
    let (address, vni) = (arguments::address("dst", &request.dst)?, arguments::vni(request.vni)?);
    if request.owner.is_some() || request.version.is_some() {
        let filter = NeighbourFilter { vni: Some(vni), address: Some(address), owner: None };
        let mut page = Page::from_cursor(None)?;
        operator.neighbours(&filter, &mut page);
        if let Some(neighbour) = page.finish().0.pop() {
            let said = format!("neighbour {address} of VNI {vni}");
            let expected = Expected { owner: request.owner.as_deref(), version: request.version };
            expected.check(&said, &neighbour.owner, neighbour.version)?;
        }
    }
    change(operator, Change::RemoveNeighbour { vni, address })
}

pub(super) fn replace_neighbours(
    request: &api::ReplaceNeighbours,
    operator: &mut dyn Operator,
) -> Result<Value, Refusal> {
    let vni = known_vni(operator, request.vni)?;
    let owner = writer(Some(&request.owner))?;
    let items = request.neighbours.iter();
    let items = items.map(|item| arguments::neighbour(item, owner)).collect::<Result<_, _>>()?;
    let wanted = Replacement { owner: owner.to_owned(), vni, items };
    reply::<api::ReplaceNeighbours>(&operator.replace_neighbours(&wanted)?)
}

pub(super) fn show_mdb(request: &api::ShowMdb, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let vni = known_vni(operator, request.vni)?;
    let mut page = Page::from_cursor(request.cursor.as_deref())?;
    operator.mdb(vni, &mut page);
    let (entries, next) = page.finish();
    reply::<api::ShowMdb>(&api::MdbPage { entries, next })
}

pub(super) fn flush_neighbours(
    request: &api::FlushNeighbours,
    operator: &mut dyn Operator,
) -> Result<Value, Refusal> {
    let vni = known_vni(operator, request.vni)?;
    let owner = request.owner.clone().unwrap_or_else(|| owner::LEARNED.to_owned());
    let filter = NeighbourFilter { vni, address: None, owner: Some(owner) };
    reply::<api::FlushNeighbours>(&api::FlushReply { flushed: operator.neighbours_flush(&filter) })
}

/// In whose name a request writes: not in the file's, which wins back what is its own, nor that of what is learned.
fn writer(named: Option<&str>) -> Result<&str, Refusal> {
    match named.unwrap_or(owner::CONTROL) {
        reserved @ (owner::CONFIGURATION | owner::LEARNED) => {
            let of = if reserved == owner::LEARNED {
                "what is seen on the wire"
            } else {
                "the configuration file"
            };
            let what = format!("\"{reserved}\" is the owner of {of}");
            Err(Refusal::argument("owner", what, "choose another name for the owner"))
        }
        owner => Ok(owner),
    }
}

/// What whoever removes an entry takes it to be.
struct Expected<'a> {
    owner: Option<&'a str>,
    version: Option<i64>,
}

impl Expected<'_> {
    /// Refuses if the entry is something else by now.
    fn check(&self, entry: &str, owner: &str, version: u64) -> Result<(), Refusal> {
        if let Some(expected) = self.owner.filter(|expected| *expected != owner) {
            let what = format!("{entry} belongs to {owner}, not to {expected}");
            let remedy = "leave it alone, or name its owner";
            return Err(Refusal::new(RefusalKind::OwnedByAnother, what, remedy));
        }
        if let Some(expected) = self.version.filter(|expected| u64::try_from(*expected) != Ok(version)) {
            let what = format!("{entry} has version {version}, not {expected}: it has changed meanwhile");
            let remedy = "look at it again, and remove it by its present version if that is still meant";
            return Err(Refusal::new(RefusalKind::StaleVersion, what, remedy));
        }
        Ok(())
    }
}

fn fdb_filter(
    operator: &mut dyn Operator,
    vni: Option<i64>,
    port: Option<String>,
    remote: Option<&str>,
) -> Result<FdbFilter, Refusal> {
    if port.is_some() && remote.is_some() {
        return Err(arguments::both_places());
    }
    let vni = known_vni(operator, vni)?;
    known_port(operator, "dev", port.as_deref())?;
    let remote = remote.map(|text| arguments::address("dst", text)).transpose()?;
    Ok(FdbFilter { vni, port, remote, ..FdbFilter::default() })
}
