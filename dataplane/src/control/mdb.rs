//! Who listens to which multicast group, as the workers hear it (RFC 4541): memberships, the ports of multicast routers,
//! and the queriers, without which nobody can be known to listen. All of it ages by the querier's own rules.

use std::collections::BTreeMap;
use std::net::IpAddr;

use forward::ids::PortId;
use forward::link::Place;
use forward::tables::Listeners;
use wire::Vni;

use super::shares::largest_first;

/// Seconds that a membership lasts without a report (RFC 3376 section 8.4, with its default values).
const MEMBERSHIP: u32 = 260;
/// Seconds that a querier and the port of a router last without a word (RFC 3376 section 8.5).
const QUERIER: u32 = 255;
/// Queries that a querier sends about one group before it takes it that nobody listens (RFC 3376 section 8.9).
const LAST_MEMBER_QUERIES: u32 = 2;
/// Groups of one VNI that are known at most. One host can join as many; what it has too many of is flooded, or, where
/// others listen to it too, does not go there until it is heard again.
const GROUPS_PER_VNI: usize = 4096;
/// How many of them are forgotten at once when there are more: a look at all is then one in so many new ones.
const AT_ONCE: usize = 128;

/// A router that asks who listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Querier {
    /// Its address.
    pub(super) address: IpAddr,
    /// Where it is.
    pub(super) place: Place,
    /// The second from which on hosts have had the time to answer it.
    valid_from: u32,
    /// The second up to which it is one.
    pub(super) until: u32,
}

/// A port behind which somebody listens to a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Member {
    /// When it was last said.
    seen: u32,
    /// The second up to which it is taken to be so.
    pub(super) until: u32,
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Mdb {
    members: BTreeMap<(Vni, IpAddr), BTreeMap<PortId, Member>>,
    /// By VNI, and whether it speaks MLD.
    queriers: BTreeMap<(Vni, bool), Querier>,
    routers: BTreeMap<(Vni, PortId), u32>,
    /// Memberships that were forgotten for want of room since that was last told, by VNI, and whose the first of them was.
    crowded_out: BTreeMap<Vni, (u64, PortId)>,
    /// The last look at the clock, for what begins to count by the passing of time alone.
    last: u32,
}

impl Mdb {
    /// A host behind a port says that it listens. Whether that changes who gets what.
    pub(super) fn joined(&mut self, (vni, group): (Vni, IpAddr), port: PortId, now: u32) -> bool {
        let is_known = self.members.contains_key(&(vni, group));
        if !is_known && self.members.range(within(vni)).count() >= GROUPS_PER_VNI {
            self.make_room(vni);
        }
        let member = Member { seen: now, until: now + MEMBERSHIP };
        self.members.entry((vni, group)).or_default().insert(port, member).is_none()
    }

    /// Forgets some groups of a VNI: again and again the port with most memberships loses one, until so many groups are left
    /// without any. So whoever joins more than there is room for makes it himself.
    ///
    /// First go those of groups that nobody else listens to, the oldest of them: these are flooded then. Of the others the
    /// port gets nothing until it is heard again, so all ports lose the same ones.
    fn make_room(&mut self, vni: Vni) {
        let mut held: BTreeMap<PortId, Vec<(bool, u32, IpAddr)>> = BTreeMap::new();
        for (&(_, group), ports) in self.members.range(within(vni)) {
            let is_shared = ports.len() > 1;
            for (port, member) in ports {
                let seen = if is_shared { 0 } else { member.seen };
                held.entry(*port).or_default().push((is_shared, seen, group));
            }
        }
        // What goes first is at the end, from where it is taken.
        held.values_mut().for_each(|held| held.sort_unstable_by(|one, other| other.cmp(one)));
        let mut freed = 0;
        for (port, (.., group)) in largest_first(held) {
            let key = (vni, group);
            self.left(key, port, true);
            self.crowded_out.entry(vni).or_insert((0, port)).0 += 1;
            freed += usize::from(!self.members.contains_key(&key));
            if freed == AT_ONCE {
                break;
            }
        }
    }

    /// What was forgotten for want of room since this was last asked: in which VNI, how many memberships, and behind which
    /// port there were most.
    pub(super) fn take_crowded_out(&mut self) -> impl Iterator<Item = (Vni, u64, PortId)> + use<> {
        let crowded_out = std::mem::take(&mut self.crowded_out);
        crowded_out.into_iter().map(|(vni, (count, port))| (vni, count, port))
    }

    /// A host behind a port listens no longer. If it `is_last`, that is so of the port, and whether that changes who gets what
    /// is told; otherwise others there may listen: the querier will ask, and nobody will answer.
    pub(super) fn left(&mut self, key: (Vni, IpAddr), port: PortId, is_last: bool) -> bool {
        let Some(ports) = self.members.get_mut(&key).filter(|_| is_last) else { return false };
        let was_there = ports.remove(&port).is_some();
        if ports.is_empty() {
            self.members.remove(&key);
        }
        was_there
    }

    /// A router at `place` asks who listens, to all groups or to one, and gives hosts so many seconds to answer. Whether
    /// that changes who gets what.
    pub(super) fn query(
        &mut self,
        vni: Vni,
        from: IpAddr,
        group: Option<IpAddr>,
        seconds: u32,
        place: Place,
        now: u32,
    ) -> bool {
        if let Some(group) = group {
            let until = now + LAST_MEMBER_QUERIES * seconds.max(1) + 1;
            let members = self.members.get_mut(&(vni, group)).into_iter().flat_map(BTreeMap::values_mut);
            // What was said in this very second may have been the answer.
            for member in members.filter(|member| member.seen < now) {
                member.until = member.until.min(until);
            }
        }
        // A query from nobody is a switch's, which wants no frames (RFC 4541 section 2.1.1).
        let is_router = !from.is_unspecified();
        let mut changed = is_router && self.router(vni, place, now);
        let querier = Querier { address: from, place, valid_from: now + seconds + 1, until: now + QUERIER };
        let known = self.queriers.entry((vni, from.is_ipv6())).or_insert_with(|| {
            changed = true;
            querier
        });
        *known = Querier { valid_from: known.valid_from, ..querier };
        changed
    }

    /// There is a multicast router at `place`. Whether that is new, and so changes who gets what.
    pub(super) fn router(&mut self, vni: Vni, place: Place, now: u32) -> bool {
        let Place::Port(port) = place else { return false };
        self.routers.insert((vni, port), now + QUERIER).is_none()
    }

    /// Forgets what is over, and what is of no VNI that `snoops`. Whether that, or what begins to count, changes who gets
    /// what.
    pub(super) fn age(&mut self, now: u32, snoops: impl Fn(Vni) -> bool) -> bool {
        let last = std::mem::replace(&mut self.last, now);
        let begun = self.queriers.values().any(|querier| (last + 1..=now).contains(&querier.valid_from));
        let before = self.len();
        self.retain(|vni, _, until| until >= now && snoops(vni));
        begun || self.len() != before
    }

    /// Forgets all that `unwanted` says of a place in a VNI, as these go.
    pub(super) fn forget(&mut self, unwanted: impl Fn(Vni, Place) -> bool) {
        self.retain(|vni, place, _| !unwanted(vni, place));
    }

    fn len(&self) -> usize {
        self.members.values().map(BTreeMap::len).sum::<usize>() + self.queriers.len() + self.routers.len()
    }

    fn retain(&mut self, keep: impl Fn(Vni, Place, u32) -> bool) {
        self.members.retain(|(vni, _), ports| {
            ports.retain(|port, member| keep(*vni, Place::Port(*port), member.until));
            !ports.is_empty()
        });
        self.queriers.retain(|(vni, _), querier| keep(*vni, querier.place, querier.until));
        self.routers.retain(|(vni, port), until| keep(*vni, Place::Port(*port), *until));
    }

    /// What the pipeline is to know of one VNI.
    pub(super) fn listeners(&self, vni: Vni, now: u32) -> Listeners {
        let has_querier = |is_ipv6: bool| {
            self.queriers.get(&(vni, is_ipv6)).is_some_and(|querier| querier.valid_from <= now)
        };
        Listeners {
            has_igmp_querier: has_querier(false),
            has_mld_querier: has_querier(true),
            routers: self.routers().filter(|(of, ..)| *of == vni).map(|(_, port, _)| port).collect(),
            groups: self
                .members
                .range(within(vni))
                .map(|((_, group), ports)| (*group, ports.keys().copied().collect()))
                .collect(),
        }
    }

    /// Who listens, by VNI, group and port.
    pub(super) fn members(&self) -> impl Iterator<Item = (Vni, IpAddr, PortId, Member)> {
        self.members.iter().flat_map(|(&(vni, group), ports)| {
            ports.iter().map(move |(port, member)| (vni, group, *port, *member))
        })
    }

    /// Who asks, by VNI and family.
    pub(super) fn queriers(&self) -> impl Iterator<Item = (Vni, Querier)> {
        self.queriers.iter().map(|(&(vni, _), querier)| (vni, *querier))
    }

    /// Ports of routers, by VNI, and up to which second they are such.
    pub(super) fn routers(&self) -> impl Iterator<Item = (Vni, PortId, u32)> {
        self.routers.iter().map(|(&(vni, port), until)| (vni, port, *until))
    }
}

/// The keys of one VNI's groups.
fn within(vni: Vni) -> std::ops::RangeInclusive<(Vni, IpAddr)> {
    let (least, most) = (IpAddr::from([0; 4]), IpAddr::from([0xff_u8; 16]));
    (vni, least)..=(vni, most)
}

#[cfg(test)]
mod tests {
    use forward::ids::RemoteId;

    use super::*;

    const A: PortId = PortId(1);
    const B: PortId = PortId(2);
    const OVERLAY: Place = Place::Remote(RemoteId(7));

    fn vni() -> Vni {
        Vni::new(7).unwrap()
    }

    fn group(last: u8) -> (Vni, IpAddr) {
        (vni(), IpAddr::from([239, 0, 0, last]))
    }

    /// A general query.
    fn asked(mdb: &mut Mdb, now: u32) -> bool {
        mdb.query(vni(), [10, 0, 0, 1].into(), None, 10, OVERLAY, now)
    }

    #[test]
    fn a_querier_counts_once_hosts_could_answer() {
        let mut mdb = Mdb::default();
        assert!(mdb.joined(group(1), A, 90));
        assert!(!mdb.joined(group(1), A, 91), "nothing new");
        assert!(asked(&mut mdb, 100));
        assert!(!asked(&mut mdb, 105));
        assert!(!mdb.listeners(vni(), 110).has_igmp_querier);
        assert!(!mdb.age(110, |_| true));
        assert!(mdb.age(111, |_| true), "it begins to count");
        let listeners = mdb.listeners(vni(), 111);
        assert!(listeners.has_igmp_querier && !listeners.has_mld_querier);
        assert_eq!(listeners.groups, [(group(1).1, vec![A])]);
        assert!(mdb.age(91 + MEMBERSHIP + 1, |_| true));
        assert_eq!(mdb.members().count(), 0);
        assert_eq!(mdb.queriers().count(), 1);
        assert!(mdb.age(105 + QUERIER + 1, |_| true));
        assert_eq!(mdb.queriers().count(), 0);
    }

    #[test]
    fn who_left_is_forgotten_when_nobody_answers_the_querier() {
        let mut mdb = Mdb::default();
        mdb.joined(group(1), A, 100);
        mdb.joined(group(1), B, 100);
        assert!(!mdb.left(group(1), A, false));
        let ask =
            |mdb: &mut Mdb, now| mdb.query(vni(), [10, 0, 0, 1].into(), Some(group(1).1), 1, OVERLAY, now);
        ask(&mut mdb, 200);
        mdb.joined(group(1), B, 201);
        ask(&mut mdb, 201);
        mdb.age(202, |_| true);
        assert!(!mdb.age(203, |_| true));
        assert!(mdb.age(204, |_| true));
        assert_eq!(mdb.listeners(vni(), 204).groups, [(group(1).1, vec![B])], "B had answered");
    }

    #[test]
    fn the_last_who_listens_at_a_port_is_forgotten_at_once() {
        let mut mdb = Mdb::default();
        mdb.joined(group(1), A, 100);
        mdb.joined(group(1), B, 100);
        assert!(!mdb.left(group(2), A, true), "it never listened to that");
        assert!(mdb.left(group(1), A, true) && !mdb.left(group(1), A, true));
        assert_eq!(mdb.listeners(vni(), 100).groups, [(group(1).1, vec![B])]);
        assert!(mdb.left(group(1), B, true));
        assert_eq!(mdb.listeners(vni(), 100).groups, []);
    }

    #[test]
    fn routers_are_where_queries_come_from_unless_nobody_sent_them() {
        let mut mdb = Mdb::default();
        let nobody = IpAddr::from([0; 4]);
        assert!(mdb.query(vni(), nobody, None, 10, Place::Port(A), 1));
        assert_eq!(mdb.routers().count(), 0);
        assert!(mdb.query(vni(), [10, 0, 0, 1].into(), None, 10, Place::Port(B), 2));
        assert_eq!(mdb.listeners(vni(), 2).routers, [B]);
        assert!(!mdb.router(vni(), Place::Port(B), 3) && mdb.router(vni(), Place::Port(A), 3));
        mdb.forget(|_, place| place == Place::Port(B));
        assert_eq!(mdb.listeners(vni(), 2).routers, [A]);
        assert!(mdb.age(4, |_| false), "a VNI that snoops no longer");
        assert_eq!(mdb.len(), 0);
    }

    #[test]
    fn groups_are_bounded_and_whoever_joins_most_gives_way() {
        let group = |number: u32| (vni(), std::net::Ipv4Addr::from(0xef00_0000 + number).into());
        let mut mdb = Mdb::default();
        let (early, shared, late) = (group(1_000_000), group(5), group(1_000_001));
        assert!(mdb.joined(early, B, 1));
        for number in 0..3 * GROUPS_PER_VNI as u32 {
            assert!(mdb.joined(group(number), A, 2 + number / 1000));
            assert!(mdb.members.len() <= GROUPS_PER_VNI);
            if number == 5 {
                assert!(mdb.joined(shared, B, 2));
            }
        }
        assert!(mdb.joined(late, B, 20) && !mdb.joined(late, B, 21));
        let of = |mdb: &Mdb, port| mdb.members().filter(|(_, _, of, _)| *of == port).count();
        assert_eq!(of(&mdb, B), 3, "who has few of them keeps them");
        assert!(!mdb.members.contains_key(&group(0)), "the oldest of who has most are gone");
        assert!(mdb.members.contains_key(&group(3 * GROUPS_PER_VNI as u32 - 1)));
        let gone = 3 * GROUPS_PER_VNI as u64 - of(&mdb, A) as u64;
        assert_eq!(mdb.take_crowded_out().collect::<Vec<_>>(), [(vni(), gone, A)]);
        assert_eq!(mdb.take_crowded_out().count(), 0, "said once");
        let other = Vni::new(8).unwrap();
        assert!(mdb.joined((other, early.1), B, 1), "room of its own");
    }

    #[test]
    fn two_ports_that_join_the_same_groups_give_way_together() {
        let group = |number: u32| (vni(), std::net::Ipv4Addr::from(0xef00_0000 + number).into());
        let mut mdb = Mdb::default();
        let victim = PortId(3);
        assert!(mdb.joined(group(1_000_000), victim, 1));
        for number in 0..GROUPS_PER_VNI as u32 + 10 {
            assert!(mdb.joined(group(number), A, 2) && mdb.joined(group(number), B, 2));
        }
        assert!(mdb.members.len() <= GROUPS_PER_VNI && mdb.members.contains_key(&group(1_000_000)));
    }
}
