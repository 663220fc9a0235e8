//! What the daemon answers about forwarding entries and neighbours: what they say, who wrote them, and when.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use wire::Mac;

#[cfg(test)]
use crate::reply::Fields;
use crate::reply::replies;
use crate::text;
use crate::word::{EntryKind, EntryState};

replies! {
    /// A forwarding entry: behind a port, a remote or a group of remotes.
    #[derive(Eq)]
    FdbEntry {
        /// The address.
        #[serde(with = "text::plain")]
        mac: Mac,
        /// The VNI, below 2^24.
        vni: u32,
        /// The port it is behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        ifname: Option<String>,
        /// The remote it is behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        dst: Option<IpAddr>,
        /// The group of remotes it is behind.
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// Of which kind it is.
        kind: EntryKind,
        /// Whether it stays or ages.
        state: EntryState,
        /// Further properties, as `bridge fdb` names them: `extern_learn`, `sticky`; `frozen` of a learned one that has moved
        /// too often, and `withdrawn` where its remote does not answer.
        flags: Vec<String>,
        /// Seconds since a frame from it was seen, or since it was written if it does not age.
        age: u32,
        /// Who wrote it: `learned`, `configuration` (the file), `control` (a request without a name) or another name.
        owner: String,
        /// Grows with every change of the entry and is never given twice; of a learned one that has not moved, a
        /// smaller number that says where it is.
        version: u64,
        /// How often it moved to another port or remote.
        moves: u32,
        /// Seconds since it last moved.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_move: Option<u32>,
        /// The port or remote that it was behind before.
        #[serde(skip_serializing_if = "Option::is_none")]
        moved_from: Option<String>,
    }

    /// A page of forwarding entries.
    #[derive(Eq)]
    FdbPage {
        /// By VNI and address.
        entries: Vec<FdbEntry>,
        /// The cursor of the next page.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }

    /// One forwarding entry.
    #[derive(Eq)]
    FdbEntryReply {
        /// The entry.
        entry: FdbEntry,
    }

    /// How much a flush removed.
    #[derive(Copy, Eq)]
    FlushReply {
        /// Entries removed.
        flushed: u64,
    }

    /// What a replacement did.
    #[derive(Copy, Eq, Default)]
    ReplaceReply {
        /// Entries that were not there.
        added: u64,
        /// Entries that said something else.
        changed: u64,
        /// Entries that were not in the list.
        removed: u64,
        /// Entries that stand as they did.
        unchanged: u64,
    }

    /// A neighbour that ARP requests and neighbour solicitations of workloads are answered with.
    #[derive(Eq)]
    Neighbour {
        /// The workload's protocol address.
        dst: IpAddr,
        /// Its Ethernet address.
        #[serde(with = "text::plain")]
        lladdr: Mac,
        /// The VNI, below 2^24.
        vni: u32,
        /// Written or learned.
        state: EntryState,
        /// `router`: advertisements say that it is one. `anycast`: others may have the address too.
        flags: Vec<String>,
        /// Seconds since it was last seen, or since it was written.
        age: u32,
        /// Who wrote it, as in [`FdbEntry`].
        owner: String,
        /// As in [`FdbEntry`].
        version: u64,
        /// How often it came to have another Ethernet address.
        moves: u32,
        /// Seconds since that last happened.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_move: Option<u32>,
        /// The Ethernet address that it had before.
        #[serde(skip_serializing_if = "Option::is_none")]
        moved_from: Option<String>,
    }

    /// A page of neighbours.
    #[derive(Eq)]
    NeighbourPage {
        /// By VNI and address.
        neighbours: Vec<Neighbour>,
        /// The cursor of the next page.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }
}
