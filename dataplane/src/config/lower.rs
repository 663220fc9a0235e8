//! From rows to the model: what the keys of a row mean together.

mod group;
mod port;

use std::net::IpAddr;

use toml::de::DeTable;
use wire::Vni;

use super::encapsulation::{EncapsulationConfig, GreKey};
use super::entry::{FdbConfig, FdbDestination};
use super::items::Items;
use super::items::Keyed;
use super::marking;
use super::model::{
    Config, Daemon, FloodConfig, NeighbourConfig, RemoteConfig, UmemConfig, VniConfig, WorkerConfig,
};
use super::places::{Nameless, Place, Places};
use super::reader::Reader;
use super::schema::{Defaulted, Record, Row, Slot};
use super::source::Span;
use super::tables::{
    DaemonRow, FdbRow, GroupRow, NeighbourRow, PortRow, RemoteRow, UmemRow, VniRow, WorkerRow,
};
use super::tunnel;
use super::value::Wrapping;
use crate::plan::Subject;

/// The rows of a file by table.
pub(super) struct Rows<'t> {
    daemon: Vec<Row<'t>>,
    umem: Vec<Row<'t>>,
    workers: Vec<Row<'t>>,
    ports: Vec<Row<'t>>,
    vnis: Vec<Row<'t>>,
    remotes: Vec<Row<'t>>,
    groups: Vec<Row<'t>>,
    fdb: Vec<Row<'t>>,
    neighbours: Vec<Row<'t>>,
}

impl<'t> Rows<'t> {
    /// All rows; those in which one of the bytes of `torn` lies are marked.
    pub(super) fn of(tree: &'t DeTable<'t>, torn: &[usize], reader: &mut Reader<'_>) -> Self {
        let mut rows = Self {
            daemon: reader.rows::<DaemonRow>(tree),
            umem: reader.rows::<UmemRow>(tree),
            workers: reader.rows::<WorkerRow>(tree),
            ports: reader.rows::<PortRow>(tree),
            vnis: reader.rows::<VniRow>(tree),
            remotes: reader.rows::<RemoteRow>(tree),
            groups: reader.rows::<GroupRow>(tree),
            fdb: reader.rows::<FdbRow>(tree),
            neighbours: reader.rows::<NeighbourRow>(tree),
        };
        let mut all: Vec<&mut Row<'t>> = [
            &mut rows.daemon,
            &mut rows.umem,
            &mut rows.workers,
            &mut rows.ports,
            &mut rows.vnis,
            &mut rows.remotes,
            &mut rows.groups,
            &mut rows.fdb,
            &mut rows.neighbours,
        ]
        .into_iter()
        .flatten()
        .collect();
        all.sort_by_key(|row| row.header.start);
        for at in torn {
            let after = all.partition_point(|row| row.header.start <= *at);
            if let Some(row) = after.checked_sub(1).and_then(|index| all.get_mut(index)) {
                row.torn = true;
            }
        }
        rows
    }
}

/// The configuration as far as it is made.
pub(super) struct Lowering<'r, 's> {
    pub(super) config: Config,
    pub(super) places: Places,
    reader: &'r mut Reader<'s>,
}

/// What a row says of its outer headers.
struct Wish<'w> {
    wrapping: Option<Wrapping>,
    udp_port: Option<u16>,
    udp_port_at: Option<&'w Span>,
    key: Option<GreKey>,
    key_at: Option<&'w Span>,
}

impl<'r, 's> Lowering<'r, 's> {
    /// Nothing yet. `lost_table`: the file has a table of which nothing is known.
    pub(super) fn new(reader: &'r mut Reader<'s>, lost_table: bool) -> Self {
        let nameless =
            Nameless { ports: lost_table, vnis: lost_table, remotes: lost_table, groups: lost_table };
        Self { config: Config::default(), places: Places::with_nameless(nameless), reader }
    }

    pub(super) fn lower(&mut self, rows: &Rows<'_>) {
        rows.daemon.iter().for_each(|row| self.daemon(row));
        rows.umem.iter().for_each(|row| self.umem(row));
        rows.workers.iter().for_each(|row| self.worker(row));
        rows.ports.iter().for_each(|row| self.port(row));
        rows.vnis.iter().for_each(|row| self.vni(row));
        rows.remotes.iter().for_each(|row| self.remote(row));
        rows.groups.iter().for_each(|row| self.group(row));
        rows.fdb.iter().for_each(|row| self.fdb(row));
        rows.neighbours.iter().for_each(|row| self.neighbour(row));
    }

    /// Remembers where a thing is; of two of one identity the second is a fault.
    fn place<R: Record>(&mut self, subject: &Subject, row: &Row<'_>, record: &R) -> bool {
        let place = Place { header: row.header.clone(), keys: record.spans(), torn: row.torn };
        self.place_at(subject, place)
    }

    fn place_at(&mut self, subject: &Subject, place: Place) -> bool {
        let header = place.header.clone();
        let first = match self.places.insert(subject.clone(), place) {
            Ok(()) => return true,
            Err(first) => self.reader.source.position(first.header.start).line,
        };
        let what = format!("{subject} is configured twice");
        self.reader.fault(&header, what, format!("remove one of the two; the first is on line {first}"));
        false
    }

    /// Puts a thing with its place into the configuration.
    fn add<T: Keyed, R: Record>(
        &mut self,
        items: fn(&mut Config) -> &mut Items<T>,
        item: T,
        subject: &Subject,
        row: &Row<'_>,
        record: &R,
    ) {
        if self.place(subject, row, record) {
            items(&mut self.config).insert(item);
        }
    }

    fn daemon(&mut self, row: &Row<'_>) {
        let record = DaemonRow::read(row, self.reader);
        self.place(&Subject::Daemon, row, &record);
        self.config.daemon = Daemon {
            socket: record.socket.value,
            socket_group: record.socket_group.value,
            log: record.log.value,
            log_target: record.log_target.value,
        };
    }

    fn umem(&mut self, row: &Row<'_>) {
        let record = UmemRow::read(row, self.reader);
        self.place(&Subject::Umem, row, &record);
        if record.chunks.is_malformed() {
            self.places.insert_malformed(Subject::Umem, "chunks");
        }
        self.config.umem = UmemConfig {
            chunks: record.chunks.value,
            chunk_size: record.chunk_size.value,
            jumbo_chunks: record.jumbo_chunks.value,
        };
    }

    fn worker(&mut self, row: &Row<'_>) {
        let record = WorkerRow::read(row, self.reader);
        self.place(&Subject::Worker(self.config.workers.len()), row, &record);
        self.config.workers.push(WorkerConfig { cpu: record.cpu.value, busy: record.busy.value });
    }

    fn vni(&mut self, row: &Row<'_>) {
        let record = VniRow::read(row, self.reader);
        let Some(id) = record.id.value else {
            self.places.nameless.vnis = true;
            return;
        };
        let subject = Subject::Vni(id);
        let wish = Wish {
            wrapping: Some(record.encapsulation.value).filter(|_| !record.encapsulation.is_malformed()),
            udp_port: record.udp_port.value.as_ref().map(|ports| ports.first),
            udp_port_at: record.udp_port.span(),
            key: Some(record.key.value),
            key_at: record.key.span(),
        };
        let encapsulation = self.encapsulation(&subject, row, &wish).unwrap_or(EncapsulationConfig::VXLAN);
        let Some(local) = record.local.value else {
            self.places.insert_unread(subject);
            return;
        };
        if !self.place(&subject, row, &record) {
            return;
        }
        self.config.vnis.insert(VniConfig {
            vni: id,
            local,
            encapsulation,
            learning: record.learning.value,
            ageing: record.ageing.value.0,
            arp_proxy: record.arp_proxy.value,
            nd_proxy: record.nd_proxy.value,
            marking: marking::of_row(&record),
            udp_checksum: record.udp_checksum.value,
            mcast_snooping: record.mcast_snooping.value,
            mcast_group: record.mcast_group.value,
            move_limit: record.move_limit.value,
            flood: flood(&record.flood, &record.mcast_flood, &record.bcast_flood),
            liveness: record.liveness.value,
            tunnel: tunnel::of_row(&record),
            inner_tags: record.inner_tags.value,
            mss_clamp: record.mss_clamp.value,
            learn_limit: record.learn_limit.value,
        });
        for remote in record.remotes.value {
            self.plain_remote(id, remote.value, remote.span, row.torn);
        }
    }

    /// A remote out of a VNI's `remotes`.
    fn plain_remote(&mut self, vni: Vni, address: IpAddr, at: Span, torn: bool) {
        if self.place_at(&Subject::Remote(vni, address), Place { header: at, keys: Vec::new(), torn }) {
            self.config.remotes.insert(RemoteConfig::new(vni, address));
        }
    }

    /// The encapsulation that a row's keys make together; `None` if they do not say or are at odds.
    fn encapsulation(
        &mut self,
        subject: &Subject,
        row: &Row<'_>,
        wish: &Wish<'_>,
    ) -> Option<EncapsulationConfig> {
        let key = wish.key.unwrap_or_default();
        match (wish.wrapping, wish.udp_port_at, wish.key_at) {
            (Some(Wrapping::Vxlan), _, None) => {
                let port = wish.udp_port.unwrap_or(EncapsulationConfig::UDP_PORT);
                Some(EncapsulationConfig::Vxlan { port })
            }
            (Some(Wrapping::Gre), None, _) => Some(EncapsulationConfig::Gre { key }),
            (Some(Wrapping::Nvgre), None, None) => Some(EncapsulationConfig::Nvgre),
            (Some(Wrapping::GreUdp), _, _) => {
                let port = wish.udp_port.unwrap_or(EncapsulationConfig::GRE_UDP_PORT);
                Some(EncapsulationConfig::GreUdp { port, key })
            }
            // A line that could not be read may have said what would set this right.
            _ if row.torn => None,
            (Some(Wrapping::Vxlan), _, Some(at)) => {
                let what = format!("`key` is of GRE, but {subject} is VXLAN");
                self.reader.fault(at, what, "remove `key`, or set encapsulation = \"gre\"");
                None
            }
            (Some(Wrapping::Gre), Some(at), _) => {
                let what = format!("`udp_port` is of VXLAN and GRE in UDP, but {subject} is GRE");
                let remedy = "remove `udp_port`, or set encapsulation = \"vxlan\" or \"greudp\"";
                self.reader.fault(at, what, remedy);
                None
            }
            (Some(Wrapping::Nvgre), Some(at), _) | (Some(Wrapping::Nvgre), None, Some(at)) => {
                let what = format!("{subject} is NVGRE, which has neither a UDP port nor a key but its VNI");
                self.reader.fault(at, what, "remove `udp_port` and `key`, or use another encapsulation");
                None
            }
            (None, _, _) => None,
        }
    }

    fn remote(&mut self, row: &Row<'_>) {
        let record = RemoteRow::read(row, self.reader);
        let (Some(vni), Some(address)) = (record.vni.value, record.address.value) else {
            self.places.nameless.remotes = true;
            return;
        };
        let subject = Subject::Remote(vni, address);
        let implied = match (record.udp_port.span(), record.key.span()) {
            (Some(_), None) => Some(Wrapping::Vxlan),
            (None, Some(_)) => Some(Wrapping::Gre),
            _ => None,
        };
        let wish = Wish {
            wrapping: record.encapsulation.value.or(implied).filter(|_| !record.encapsulation.is_malformed()),
            udp_port: record.udp_port.value,
            udp_port_at: record.udp_port.span(),
            key: record.key.value,
            key_at: record.key.span(),
        };
        if let (None, Some(at), Some(_)) = (wish.wrapping, wish.udp_port_at, wish.key_at)
            && !record.encapsulation.is_malformed()
        {
            let what = format!("{subject} has a `udp_port` of VXLAN and a `key` of GRE");
            self.reader.fault(at, what, "keep one of the two");
        }
        let encapsulation = self.encapsulation(&subject, row, &wish);
        let (flood, storm_limit) = (record.flood.value, record.storm_limit.value);
        let (udp_checksum, liveness) = (record.udp_checksum.value, record.liveness.value);
        let learn_limit = record.learn_limit.value;
        let remote = RemoteConfig {
            vni,
            address,
            encapsulation,
            flood,
            udp_checksum,
            storm_limit,
            liveness,
            learn_limit,
        };
        self.add(|config| &mut config.remotes, remote, &subject, row, &record);
    }

    fn fdb(&mut self, row: &Row<'_>) {
        let record = FdbRow::read(row, self.reader);
        let (Some(vni), Some(mac)) = (record.vni.value, record.mac.value) else { return };
        let subject = Subject::Fdb(vni, mac);
        let Some(destination) = self.destination(&subject, row, &record) else { return };
        if record.owner.is_malformed() {
            self.places.insert_malformed(subject.clone(), "owner");
        }
        let (kind, owner) = (record.kind.value, record.owner.value.clone());
        let entry = FdbConfig { vni, mac, destination, kind, owner };
        self.add(|config| &mut config.fdb, entry, &subject, row, &record);
    }

    fn destination(&mut self, subject: &Subject, row: &Row<'_>, record: &FdbRow) -> Option<FdbDestination> {
        let FdbRow { port, remote, group, .. } = record;
        if port.is_malformed() || remote.is_malformed() || group.is_malformed() {
            return None;
        }
        match (&port.value, remote.value, &group.value) {
            (Some(port), None, None) => Some(FdbDestination::Port(port.clone())),
            (None, Some(remote), None) => Some(FdbDestination::Remote(remote)),
            (None, None, Some(group)) => Some(FdbDestination::Group(group.clone())),
            (None, None, None) => {
                if !row.torn {
                    let what = format!("{subject} points nowhere");
                    let remedy = "add port = \"NAME\", remote = \"ADDRESS\" or group = \"NAME\"";
                    self.reader.fault(&row.header, what, remedy);
                }
                None
            }
            (Some(_), Some(_), None) => {
                let at = remote.span().unwrap_or(&row.header);
                let what = format!("{subject} points to a port and to a remote");
                self.reader.fault(at, what, "keep one of `port` and `remote`");
                None
            }
            (_, _, Some(_)) => {
                let at = group.span().unwrap_or(&row.header);
                let what = format!("{subject} points to a group and to something else");
                self.reader.fault(at, what, "keep one of `port`, `remote` and `group`");
                None
            }
        }
    }

    fn neighbour(&mut self, row: &Row<'_>) {
        let record = NeighbourRow::read(row, self.reader);
        let (Some(vni), Some(address), Some(mac)) =
            (record.vni.value, record.address.value, record.mac.value)
        else {
            return;
        };
        let (router, owner) = (record.router.value, record.owner.value.clone());
        let neighbour = NeighbourConfig { vni, address, mac, router, owner };
        self.add(|config| &mut config.neighbours, neighbour, &Subject::Neighbour(vni, address), row, &record);
    }
}

fn flood(unicast: &Defaulted<bool>, multicast: &Defaulted<bool>, broadcast: &Defaulted<bool>) -> FloodConfig {
    FloodConfig { unicast: unicast.value, multicast: multicast.value, broadcast: broadcast.value }
}
