//! Requests carried out to the end: every page of a listing, and one value for each kind of answer.

use api::{Method, Request};
use serde_json::{Value, json};

use crate::client::{Client, Failure};

/// What the daemon answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Status(api::StatusReply),
    Ports {
        ports: Vec<api::Port>,
        alone: bool,
    },
    Vnis(Vec<api::Vni>),
    Remotes(Vec<api::Remote>),
    Groups(Vec<api::Group>),
    Fdb(Vec<api::FdbEntry>),
    FdbEntry(api::FdbEntry),
    Neighbours(Vec<api::Neighbour>),
    Mdb(Vec<api::MdbEntry>),
    Stats(api::StatsReply),
    Drops(Vec<api::Drop>),
    Flushed(api::FlushReply),
    Replaced(api::ReplaceReply),
    Reloaded(api::ReloadReply),
    /// It was done, and there is nothing to say.
    Done,
}

impl Answer {
    /// The answer for programs: a listing is an array, anything else an object; `None` when there is nothing to say.
    pub(crate) fn json(&self) -> Option<Value> {
        Some(match self {
            Self::Status(reply) => json!(reply),
            Self::Ports { ports, .. } => json!(ports),
            Self::Vnis(vnis) => json!(vnis),
            Self::Remotes(remotes) => json!(remotes),
            Self::Groups(groups) => json!(groups),
            Self::Fdb(entries) => json!(entries),
            Self::FdbEntry(entry) => json!(entry),
            Self::Neighbours(neighbours) => json!(neighbours),
            Self::Mdb(entries) => json!(entries),
            Self::Stats(reply) => json!(reply),
            Self::Drops(drops) => json!(drops),
            Self::Flushed(reply) => json!(reply),
            Self::Replaced(reply) => json!(reply),
            Self::Reloaded(reply) => json!(reply),
            Self::Done => return None,
        })
    }
}

/// Whether a request shows something and changes nothing.
pub(crate) const fn is_shown(request: &Request) -> bool {
    matches!(
        request,
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
            | Request::ShowDrops(_)
    )
}

/// Asks the daemon.
///
/// # Errors
/// When it cannot be reached or refuses.
pub(crate) fn ask(client: &mut Client, request: &Request) -> Result<Answer, Failure> {
    Ok(match request {
        Request::Status(request) => Answer::Status(client.call(request)?),
        Request::ShowPorts(request) => {
            Answer::Ports { ports: all(client, request)?, alone: request.name.is_some() }
        }
        Request::AddPort(request) => done(client, request)?,
        Request::SetPort(request) => done(client, request)?,
        Request::GuardPort(request) => done(client, request)?,
        Request::RemovePort(request) => done(client, request)?,
        Request::ShowVnis(request) => Answer::Vnis(all(client, request)?),
        Request::SetVni(request) => done(client, request)?,
        Request::RemoveVni(request) => done(client, request)?,
        Request::ShowRemotes(request) => Answer::Remotes(all(client, request)?),
        Request::SetRemote(request) => done(client, request)?,
        Request::RemoveRemote(request) => done(client, request)?,
        Request::ShowGroups(request) => Answer::Groups(all(client, request)?),
        Request::SetGroup(request) => done(client, request)?,
        Request::RemoveGroup(request) => done(client, request)?,
        Request::ShowFdb(request) => Answer::Fdb(all(client, request)?),
        Request::SetFdb(request) => done(client, request)?,
        Request::GetFdb(request) => Answer::FdbEntry(client.call(request)?.entry),
        Request::RemoveFdb(request) => done(client, request)?,
        Request::ReplaceFdb(request) => Answer::Replaced(client.call(request)?),
        Request::FlushFdb(request) => Answer::Flushed(client.call(request)?),
        Request::ShowNeighbours(request) => Answer::Neighbours(all(client, request)?),
        Request::SetNeighbour(request) => done(client, request)?,
        Request::RemoveNeighbour(request) => done(client, request)?,
        Request::ReplaceNeighbours(request) => Answer::Replaced(client.call(request)?),
        Request::FlushNeighbours(request) => Answer::Flushed(client.call(request)?),
        Request::ShowMdb(request) => Answer::Mdb(all(client, request)?),
        Request::ShowStats(request) => Answer::Stats(client.call(request)?),
        Request::FlushStats(request) => done(client, request)?,
        Request::ShowDrops(request) => Answer::Drops(all(client, request)?),
        Request::Reload(request) => Answer::Reloaded(client.call(request)?),
    })
}

fn done<M: Method<Reply = api::Empty>>(client: &mut Client, request: &M) -> Result<Answer, Failure> {
    client.call(request).map(|_| Answer::Done)
}

/// A method whose replies come in pages.
trait Paged: Method + Clone {
    type Entry;

    fn set_cursor(&mut self, cursor: String);
    fn split(reply: Self::Reply) -> (Vec<Self::Entry>, Option<String>);
}

macro_rules! paged {
    ($($method:ident, $entry:ident, $field:ident;)*) => {$(
        impl Paged for api::$method {
            type Entry = api::$entry;

            fn set_cursor(&mut self, cursor: String) {
                self.cursor = Some(cursor);
            }

            fn split(reply: Self::Reply) -> (Vec<Self::Entry>, Option<String>) {
                (reply.$field, reply.next)
            }
        }
    )*};
}

paged! {
    ShowPorts, Port, ports;
    ShowVnis, Vni, vnis;
    ShowRemotes, Remote, remotes;
    ShowGroups, Group, groups;
    ShowFdb, FdbEntry, entries;
    ShowNeighbours, Neighbour, neighbours;
    ShowMdb, MdbEntry, entries;
    ShowDrops, Drop, drops;
}

/// Every page of a listing.
fn all<M: Paged>(client: &mut Client, request: &M) -> Result<Vec<M::Entry>, Failure> {
    let mut request = request.clone();
    let mut entries = Vec::new();
    loop {
        let (page, next) = M::split(client.call(&request)?);
        entries.extend(page);
        match next {
            Some(cursor) => request.set_cursor(cursor),
            None => return Ok(entries),
        }
    }
}
