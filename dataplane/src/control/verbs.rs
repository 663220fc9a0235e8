//! What can be asked of the daemon: requests of the control protocol, checked argument by argument, become calls of
//! an [`Operator`].
//!
//! It stands on the control thread between the socket and the state. It knows what a request means and nothing of
//! sockets, devices or workers.

mod arguments;
pub mod configured;
mod entries;
mod groups;
pub mod guard;
#[cfg(test)]
pub(crate) mod ledger;
mod liveness;
mod outer;
mod page;
#[cfg(test)]
mod tests;
pub mod trunk;

use api::{Method, Refusal, RefusalKind, ReloadReply, ReplaceReply, Request, StatsReply, StatusReply};
use serde_json::Value;
use wire::Vni;

pub use entries::{FdbFilter, NeighbourFilter};
pub use page::{Listed, Page};

use crate::config::{
    Change, FdbConfig, NeighbourConfig, PortConfig, PortTuning, RemoteConfig, Replacement, VniConfig,
};
use crate::plan;

/// Who carries requests out. All calls come from the control thread, one at a time; none may wait.
pub trait Operator {
    /// Makes one change of the desired state and of the running switch, or none at all.
    ///
    /// # Errors
    /// When the change is refused by what is configured, or by the host.
    fn apply(&mut self, change: Change) -> Result<(), Refusal>;

    /// Makes the forwarding entries of an owner exactly those that it wants, in one step.
    ///
    /// # Errors
    /// When one of them is refused; nothing has changed then.
    fn replace_fdb(&mut self, wanted: &Replacement<FdbConfig>) -> Result<ReplaceReply, Refusal>;

    /// The same for neighbours.
    ///
    /// # Errors
    /// As [`Operator::replace_fdb`].
    fn replace_neighbours(&mut self, wanted: &Replacement<NeighbourConfig>) -> Result<ReplaceReply, Refusal>;

    /// Reads the configuration file again and applies the difference.
    ///
    /// # Errors
    /// When the file has faults, or the host refuses a change.
    fn reload(&mut self) -> Result<ReloadReply, Refusal>;

    /// The daemon as a whole.
    fn status(&mut self) -> StatusReply;

    /// Offers ports to the page, all or the one of this name, in any order.
    fn ports(&mut self, name: Option<&str>, page: &mut Page<api::Port>);

    /// Offers VNIs to the page, all or this one, in any order.
    fn vnis(&mut self, vni: Option<Vni>, page: &mut Page<api::Vni>);

    /// Offers remotes to the page, all or those of one VNI, in any order.
    fn remotes(&mut self, vni: Option<Vni>, page: &mut Page<api::Remote>);

    /// Offers groups to the page, all or those of one VNI, in any order.
    fn groups(&mut self, vni: Option<Vni>, page: &mut Page<api::Group>);

    /// Offers forwarding entries to the page that satisfy the filter, in any order. Where there can be many, ask
    /// [`Page::wants`] before an entry is made up.
    fn fdb(&mut self, filter: &FdbFilter, page: &mut Page<api::FdbEntry>);

    /// Removes forwarding entries that satisfy the filter, and returns how many.
    fn fdb_flush(&mut self, filter: &FdbFilter) -> u64;

    /// Offers neighbours to the page that satisfy the filter, in any order.
    fn neighbours(&mut self, filter: &NeighbourFilter, page: &mut Page<api::Neighbour>);

    /// Removes neighbours that satisfy the filter, and returns how many.
    fn neighbours_flush(&mut self, filter: &NeighbourFilter) -> u64;

    /// Offers multicast listeners, routers and queriers to the page, of all VNIs or one, in any order.
    fn mdb(&mut self, vni: Option<Vni>, page: &mut Page<api::MdbEntry>);

    /// Counters of the workers and ports, or of one port, which exists; with `buckets` distributions are told in full.
    fn stats(&mut self, port: Option<&str>, buckets: bool) -> StatsReply;

    /// Forgets what was measured so far; counters stay.
    fn stats_flush(&mut self);

    /// Offers drop counters to the page, of all ports or one, which exists, in any order; counters at zero only if
    /// `all` says so.
    fn drops(&mut self, port: Option<&str>, all: bool, page: &mut Page<api::Drop>);
}

/// Whether a request changes anything.
#[must_use]
pub const fn is_write(request: &Request) -> bool {
    match request {
        Request::Status(_)
        | Request::ShowPorts(_)
        | Request::ShowVnis(_)
        | Request::ShowRemotes(_)
        | Request::ShowGroups(_)
        | Request::ShowFdb(_)
        | Request::GetFdb(_)
        | Request::ShowNeighbours(_)
        | Request::ShowMdb(_)
        | Request::ShowStats(_)
        | Request::ShowDrops(_) => false,
        Request::AddPort(_)
        | Request::GuardPort(_)
        | Request::RemovePort(_)
        | Request::SetPort(_)
        | Request::SetVni(_)
        | Request::RemoveVni(_)
        | Request::SetRemote(_)
        | Request::RemoveRemote(_)
        | Request::SetGroup(_)
        | Request::RemoveGroup(_)
        | Request::SetFdb(_)
        | Request::RemoveFdb(_)
        | Request::ReplaceFdb(_)
        | Request::FlushFdb(_)
        | Request::SetNeighbour(_)
        | Request::RemoveNeighbour(_)
        | Request::ReplaceNeighbours(_)
        | Request::FlushNeighbours(_)
        | Request::FlushStats(_)
        | Request::Reload(_) => true,
    }
}

/// Carries out a request and returns the parameters of its reply.
///
/// # Errors
/// When an argument is wrong, or the operator refuses.
pub fn carry_out(request: Request, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    match request {
        Request::Status(_) => reply::<api::Status>(&operator.status()),
        Request::ShowPorts(request) => show_ports(request, operator),
        Request::AddPort(request) => change(operator, Change::AddPort(port_config(request)?)),
        Request::SetPort(request) => set_port(request, operator),
        Request::GuardPort(request) => {
            let tuning = guard::tuning(&request.guard)?;
            change(operator, Change::GuardPort { name: request.name, tuning })
        }
        Request::RemovePort(request) => change(operator, Change::RemovePort(request.name)),
        Request::ShowVnis(request) => show_vnis(&request, operator),
        Request::SetVni(request) => {
            let replace = request.replace.unwrap_or(false);
            change(operator, Change::SetVni { vni: vni_config(&request)?, replace })
        }
        Request::RemoveVni(request) => change(operator, Change::RemoveVni(arguments::vni(request.vni)?)),
        Request::ShowRemotes(request) => show_remotes(&request, operator),
        Request::SetRemote(request) => {
            let replace = request.replace.unwrap_or(false);
            change(operator, Change::SetRemote { remote: remote_config(&request)?, replace })
        }
        Request::RemoveRemote(request) => {
            let (address, vni) = (arguments::address("dst", &request.dst)?, arguments::vni(request.vni)?);
            change(operator, Change::RemoveRemote { vni, address })
        }
        Request::ShowGroups(request) => groups::show_groups(&request, operator),
        Request::SetGroup(request) => groups::set_group(&request, operator),
        Request::RemoveGroup(request) => groups::remove_group(request, operator),
        Request::ShowFdb(request) => entries::show_fdb(request, operator),
        Request::SetFdb(request) => entries::set_fdb(request, operator),
        Request::GetFdb(request) => entries::fdb_entry(&request, operator),
        Request::RemoveFdb(request) => entries::remove_fdb(&request, operator),
        Request::ReplaceFdb(request) => entries::replace_fdb(request, operator),
        Request::FlushFdb(request) => entries::flush_fdb(request, operator),
        Request::ShowNeighbours(request) => entries::show_neighbours(request, operator),
        Request::SetNeighbour(request) => entries::set_neighbour(&request, operator),
        Request::RemoveNeighbour(request) => entries::remove_neighbour(&request, operator),
        Request::ReplaceNeighbours(request) => entries::replace_neighbours(&request, operator),
        Request::FlushNeighbours(request) => entries::flush_neighbours(&request, operator),
        Request::ShowMdb(request) => entries::show_mdb(&request, operator),
        Request::ShowStats(request) => {
            known_port(operator, "port", request.port.as_deref())?;
            let buckets = request.buckets.unwrap_or(false);
            reply::<api::ShowStats>(&operator.stats(request.port.as_deref(), buckets))
        }
        Request::FlushStats(_) => {
            operator.stats_flush();
            reply::<api::FlushStats>(&api::Empty {})
        }
        Request::ShowDrops(request) => show_drops(&request, operator),
        Request::Reload(_) => reply::<api::Reload>(&operator.reload()?),
    }
}

/// The parameters of a method's reply. The type parameter ties the value to the method it answers.
fn reply<M: Method>(value: &M::Reply) -> Result<Value, Refusal> {
    // None of the reply types has a key that is not text, the one thing that JSON could not say.
    serde_json::to_value(value).map_err(|error| {
        Refusal::new(RefusalKind::Unavailable, error.to_string(), "report this as a fault of vtepd")
    })
}

fn change(operator: &mut dyn Operator, change: Change) -> Result<Value, Refusal> {
    operator.apply(change)?;
    Ok(Value::Object(serde_json::Map::new()))
}

fn show_ports(request: api::ShowPorts, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let mut page = Page::from_cursor(request.cursor.as_deref())?;
    operator.ports(request.name.as_deref(), &mut page);
    let (ports, next) = page.finish();
    match request.name {
        Some(name) if ports.is_empty() => Err(port_unknown(&name)),
        _ => reply::<api::ShowPorts>(&api::PortPage { ports, next }),
    }
}

fn show_vnis(request: &api::ShowVnis, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let vni = request.vni.map(arguments::vni).transpose()?;
    let mut page = Page::from_cursor(request.cursor.as_deref())?;
    operator.vnis(vni, &mut page);
    let (vnis, next) = page.finish();
    match vni {
        Some(vni) if vnis.is_empty() => Err(vni_unknown(vni)),
        _ => reply::<api::ShowVnis>(&api::VniPage { vnis, next }),
    }
}

fn show_remotes(request: &api::ShowRemotes, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let vni = known_vni(operator, request.vni)?;
    let mut page = Page::from_cursor(request.cursor.as_deref())?;
    operator.remotes(vni, &mut page);
    let (remotes, next) = page.finish();
    reply::<api::ShowRemotes>(&api::RemotePage { remotes, next })
}

fn show_drops(request: &api::ShowDrops, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    known_port(operator, "port", request.port.as_deref())?;
    let mut page = Page::from_cursor(request.cursor.as_deref())?;
    operator.drops(request.port.as_deref(), request.all.unwrap_or(false), &mut page);
    let (drops, next) = page.finish();
    reply::<api::ShowDrops>(&api::DropPage { drops, next })
}

fn port_config(request: api::AddPort) -> Result<PortConfig, Refusal> {
    let role = trunk::role(&request)?;
    let device = request.device.unwrap_or_else(|| request.name.clone());
    let mut port = PortConfig::new(request.name, device, role);
    port.mode = request.mode.map_or(port.mode, arguments::mode);
    port.require = request.require.map(arguments::xdp_mode);
    port.queues = request.queues.map(|count| arguments::whole("queues", count, 1..=u32::MAX)).transpose()?;
    if let Some(size) = request.ring_size {
        port.ring_size = arguments::whole("ring_size", size, 1..=u32::MAX)?;
    }
    if let Some(held) = &request.guard {
        port.guard = guard::tuning(held)?.of(&port.guard);
    }
    port.transmit = request.transmit.map_or(port.transmit, arguments::transmit);
    port.namespace = request.netns;
    let api::AddPort { flood, mcast_flood, bcast_flood, isolated, fastleave, .. } = request;
    let switches = [flood, mcast_flood, bcast_flood, isolated, fastleave];
    port.policy = port_tuning(switches, request.storm_limit)?.of(port.policy);
    Ok(port)
}

/// What a request says about flooding from and to a port.
fn port_tuning(
    [unicast, multicast, broadcast, isolated, fastleave]: [Option<bool>; 5],
    storm_limit: Option<i64>,
) -> Result<PortTuning, Refusal> {
    let limit = |limit| arguments::whole("storm_limit", limit, 0..=u32::MAX);
    let storm_limit = storm_limit.map(limit).transpose()?;
    Ok(PortTuning {
        unicast,
        multicast,
        broadcast,
        isolated,
        fastleave,
        storm_limit,
        ..PortTuning::default()
    })
}

fn set_port(request: api::SetPort, operator: &mut dyn Operator) -> Result<Value, Refusal> {
    let api::SetPort {
        name,
        flood,
        mcast_flood,
        bcast_flood,
        isolated,
        fastleave,
        storm_limit,
        vlans,
        native,
    } = request;
    let trunk = trunk::tuning(vlans.as_deref(), native)?;
    let tuning = port_tuning([flood, mcast_flood, bcast_flood, isolated, fastleave], storm_limit)?;
    let tuning = PortTuning { trunk, ..tuning };
    change(operator, Change::TunePort { name, tuning })
}

fn vni_config(request: &api::SetVni) -> Result<VniConfig, Refusal> {
    let local = arguments::locals(&request.local)?;
    let mut config = VniConfig::new(arguments::vni(request.vni)?, local);
    let wrapping = arguments::encapsulation(request.encap, request.udp_port, request.key.as_deref())?;
    config.encapsulation = wrapping.unwrap_or(config.encapsulation);
    config.learning = request.learning.unwrap_or(config.learning);
    config.arp_proxy = request.arp_proxy.unwrap_or(config.arp_proxy);
    config.nd_proxy = request.nd_proxy.unwrap_or(config.nd_proxy);
    if let Some(seconds) = request.ageing {
        config.ageing = arguments::whole("ageing", seconds, 0..=u32::MAX)?;
    }
    config.marking = outer::marking(request)?;
    config.tunnel = outer::tunnel(request)?;
    config.inner_tags = request.inner_tags.map_or(config.inner_tags, outer::tags);
    if let Some(clamp) = &request.mss_clamp {
        config.mss_clamp = arguments::mss_clamp(clamp)?;
    }
    config.udp_checksum = request.udp_checksum;
    if let Some(limit) = request.move_limit {
        config.move_limit = arguments::whole("move_limit", limit, 0..=VniConfig::MOST_MOVES)?;
    }
    config.mcast_snooping = request.mcast_snooping.unwrap_or(config.mcast_snooping);
    config.mcast_group =
        request.mcast_group.as_deref().map(|group| arguments::address("mcast_group", group)).transpose()?;
    config.flood.unicast = request.flood.unwrap_or(true);
    config.flood.multicast = request.mcast_flood.unwrap_or(true);
    config.flood.broadcast = request.bcast_flood.unwrap_or(true);
    if let Some(item) = &request.liveness {
        config.liveness = liveness::liveness(item)?;
    }
    config.learn_limit = arguments::limit(request.learn_limit, config.learn_limit)?;
    Ok(config)
}

fn remote_config(request: &api::SetRemote) -> Result<RemoteConfig, Refusal> {
    let address = arguments::address("dst", &request.dst)?;
    let mut config = RemoteConfig::new(arguments::vni(request.vni)?, address);
    config.encapsulation = arguments::encapsulation(request.encap, request.udp_port, request.key.as_deref())?;
    config.flood = request.flood.unwrap_or(config.flood);
    config.udp_checksum = request.udp_checksum;
    if let Some(limit) = request.storm_limit {
        config.storm_limit = arguments::whole("storm_limit", limit, 0..=u32::MAX)?;
    }
    config.liveness = request.liveness.as_ref().map(liveness::liveness).transpose()?;
    config.learn_limit = arguments::limit(request.learn_limit, config.learn_limit)?;
    Ok(config)
}

/// The VNI that a request narrows itself to; one that does not exist is refused rather than shown to be empty.
fn known_vni(operator: &mut dyn Operator, vni: Option<i64>) -> Result<Option<Vni>, Refusal> {
    let Some(vni) = vni.map(arguments::vni).transpose()? else { return Ok(None) };
    let mut page = Page::from_cursor(None)?;
    operator.vnis(Some(vni), &mut page);
    if page.finish().0.is_empty() { Err(vni_unknown(vni)) } else { Ok(Some(vni)) }
}

/// The same for a port.
fn known_port(operator: &mut dyn Operator, argument: &str, name: Option<&str>) -> Result<(), Refusal> {
    let Some(name) = name else { return Ok(()) };
    if name.is_empty() {
        return Err(Refusal::argument(argument, "the port's name is empty", "give a name, or leave it out"));
    }
    let mut page = Page::from_cursor(None)?;
    operator.ports(Some(name), &mut page);
    if page.finish().0.is_empty() { Err(port_unknown(name)) } else { Ok(()) }
}

fn port_unknown(name: &str) -> Refusal {
    let what = format!("there is no port {name:?}");
    Refusal::new(RefusalKind::NotFound, what, "`vtep-ctl port show` lists the ports there are")
}

fn vni_unknown(vni: Vni) -> Refusal {
    let what = format!("there is no VNI {vni}");
    Refusal::new(RefusalKind::NotFound, what, "`vtep-ctl vni show` lists the VNIs there are")
}

impl From<plan::Refusal> for Refusal {
    fn from(refusal: plan::Refusal) -> Self {
        let kind = match refusal.kind {
            plan::RefusalKind::NotFound => RefusalKind::NotFound,
            plan::RefusalKind::AlreadyExists => RefusalKind::AlreadyExists,
            plan::RefusalKind::Invalid => RefusalKind::InvalidArgument,
            plan::RefusalKind::InUse => RefusalKind::InUse,
            plan::RefusalKind::OwnedByAnother => RefusalKind::OwnedByAnother,
            plan::RefusalKind::LimitReached => RefusalKind::LimitReached,
        };
        let argument =
            (kind == RefusalKind::InvalidArgument).then(|| refusal.key.unwrap_or_default().to_owned());
        Self { kind, argument, what: refusal.what, remedy: refusal.remedy }
    }
}
