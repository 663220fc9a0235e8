//! Which remote of a group each of its buckets leads to. Flows are hashed into buckets, so a bucket that moves is flows
//! that move: when a remote is lost only its own buckets do, and when it comes back it gets those that it had.
//!
//! A bucket has a home, which is shared out by weight among all members but the backups, and a holder, which is the home
//! while that can be used. Buckets whose home cannot be used are lent to the others in proportion to their weights.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use forward::limits::GROUP_BUCKETS;

use crate::config::GroupMember;

/// How far a member can be relied upon, best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Standing {
    /// There is a way to it, and nothing says that it does not answer.
    Good,
    /// There is a route to it; whether it answers is being found out.
    Unproven,
    /// Nothing can be sent to it, or it does not answer.
    Down,
}

type Holders = [Option<IpAddr>; GROUP_BUCKETS];
type Shares = BTreeMap<IpAddr, usize>;

/// The buckets of one group.
#[derive(Clone, Debug)]
pub(super) struct Buckets {
    members: Vec<GroupMember>,
    homes: Box<Holders>,
    holders: Box<Holders>,
    active: BTreeSet<IpAddr>,
}

impl Default for Buckets {
    fn default() -> Self {
        let nobody = || Box::new([None; GROUP_BUCKETS]);
        Self { members: Vec::new(), homes: nobody(), holders: nobody(), active: BTreeSet::new() }
    }
}

impl Buckets {
    /// Where each bucket leads; all lead nowhere while no member can be used.
    pub(super) fn holders(&self) -> &[Option<IpAddr>] {
        &self.holders[..]
    }

    /// Buckets that lead to a member.
    pub(super) fn held_by(&self, member: IpAddr) -> usize {
        self.holders.iter().filter(|holder| **holder == Some(member)).count()
    }

    /// Whether frames may go to a member at present.
    pub(super) fn is_active(&self, member: IpAddr) -> bool {
        self.active.contains(&member)
    }

    /// Takes up what the members are and how they stand; says how many buckets moved.
    pub(super) fn follow(&mut self, members: &[GroupMember], standing: impl Fn(IpAddr) -> Standing) -> usize {
        let active = active(members, standing);
        if self.members == members && self.active == active {
            return 0;
        }
        let before = self.holders.clone();
        if self.members != members {
            let keen = keen(&self.members, members);
            self.members = members.to_vec();
            let homes = shares(members.iter().filter(|member| !member.backup));
            retain(&mut self.homes, |home| homes.contains_key(&home));
            fill(&mut self.homes, &homes);
            level(&mut self.homes, &homes, &keen, |_, _| true);
        }
        let fresh: BTreeSet<IpAddr> = active.difference(&self.active).copied().collect();
        self.active = active;
        self.lend(&fresh);
        self.holders.iter().zip(before.iter()).filter(|(now, before)| now != before).count()
    }

    /// Makes holders of those who are active; `fresh` are those that were not before.
    fn lend(&mut self, fresh: &BTreeSet<IpAddr>) {
        let Self { members, homes, holders, active } = self;
        for (holder, home) in holders.iter_mut().zip(homes.iter()) {
            if home.is_some_and(|home| active.contains(&home)) {
                *holder = *home;
            }
        }
        retain(holders, |holder| active.contains(&holder));
        let shares = shares(members.iter().filter(|member| active.contains(&member.remote)));
        fill(holders, &shares);
        // Whoever comes back has a share in what is lent, too; nobody else's flows move.
        level(holders, &shares, fresh, |bucket, holder| homes.get(bucket) != Some(&Some(holder)));
    }
}

/// Who is to get homes of others when the members change: those that are new, or everybody if a weight is another one.
/// Otherwise nobody's share changes but for rounding, which is not worth a flow.
fn keen(before: &[GroupMember], now: &[GroupMember]) -> BTreeSet<IpAddr> {
    let same = |member: &GroupMember| before.iter().find(|other| other.remote == member.remote);
    let reweighed = now.iter().any(|member| same(member).is_some_and(|other| other != member));
    now.iter().filter(|member| reweighed || same(member).is_none()).map(|member| member.remote).collect()
}

/// The members that are to be used: the best that there are, and backups rather than what may not answer.
fn active(members: &[GroupMember], standing: impl Fn(IpAddr) -> Standing) -> BTreeSet<IpAddr> {
    let rank = |member: &GroupMember| Some(standing(member.remote)).filter(|it| *it != Standing::Down);
    let ranked: Vec<((Standing, bool), IpAddr)> =
        members.iter().filter_map(|member| Some(((rank(member)?, member.backup), member.remote))).collect();
    let best = ranked.iter().map(|(rank, _)| *rank).min();
    ranked.iter().filter(|(rank, _)| Some(*rank) == best).map(|(_, remote)| *remote).collect()
}

/// All buckets shared out by weight. What does not divide evenly goes to the largest remainders.
fn shares<'m>(members: impl Iterator<Item = &'m GroupMember>) -> Shares {
    let weights: BTreeMap<IpAddr, usize> =
        members.map(|member| (member.remote, usize::from(member.weight))).collect();
    let sum = weights.values().sum::<usize>().max(1);
    let mut shares: Shares =
        weights.iter().map(|(member, weight)| (*member, GROUP_BUCKETS * weight / sum)).collect();
    let mut remainders: Vec<(usize, IpAddr)> =
        weights.iter().map(|(member, weight)| (GROUP_BUCKETS * weight % sum, *member)).collect();
    remainders.sort_by_key(|(remainder, member)| (usize::MAX - remainder, *member));
    let left = GROUP_BUCKETS - shares.values().sum::<usize>();
    for (_, member) in remainders.iter().take(left) {
        shares.entry(*member).and_modify(|share| *share += 1);
    }
    shares
}

/// Makes buckets free whose holder is not to stay.
fn retain(holders: &mut Holders, stays: impl Fn(IpAddr) -> bool) {
    for holder in holders {
        *holder = holder.filter(|holder| stays(*holder));
    }
}

/// What each lacks of its share.
fn lacks(holders: &Holders, shares: &Shares) -> BTreeMap<IpAddr, usize> {
    let held = |member| holders.iter().filter(|holder| **holder == Some(member)).count();
    shares.iter().map(|(member, share)| (*member, share.saturating_sub(held(*member)))).collect()
}

/// Who lacks most, if anybody lacks anything; that is counted as given.
fn neediest(lacks: &mut BTreeMap<IpAddr, usize>) -> Option<IpAddr> {
    let (member, lack) =
        lacks.iter_mut().max_by_key(|(member, lack)| (**lack, std::cmp::Reverse(**member)))?;
    *lack = lack.checked_sub(1)?;
    Some(*member)
}

/// Gives free buckets to those who lack most.
fn fill(holders: &mut Holders, shares: &Shares) {
    let mut lacks = lacks(holders, shares);
    for holder in holders.iter_mut().filter(|holder| holder.is_none()) {
        *holder = neediest(&mut lacks);
    }
}

/// Gives buckets of those who have more than their share to those of `to` who lack some.
fn level(
    holders: &mut Holders,
    shares: &Shares,
    to: &BTreeSet<IpAddr>,
    may_go: impl Fn(usize, IpAddr) -> bool,
) {
    let mut lacks = lacks(holders, shares);
    lacks.retain(|member, _| to.contains(member));
    let mut surplus: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for holder in holders.iter().flatten() {
        *surplus.entry(*holder).or_default() += 1;
    }
    for (member, held) in &mut surplus {
        *held = held.saturating_sub(shares.get(member).copied().unwrap_or_default());
    }
    for (bucket, holder) in holders.iter_mut().enumerate() {
        let Some(member) = *holder else { continue };
        let Some(left) = surplus.get_mut(&member).filter(|left| **left > 0 && may_go(bucket, member)) else {
            continue;
        };
        let Some(next) = neediest(&mut lacks) else { return };
        *holder = Some(next);
        *left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn address(number: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, number).into()
    }

    fn members(weights: &[(u16, bool)]) -> Vec<GroupMember> {
        let member = |(number, (weight, backup))| GroupMember { remote: address(number), weight, backup };
        (1_u8..).zip(weights.iter().copied()).map(member).collect()
    }

    fn held(buckets: &Buckets) -> Vec<usize> {
        buckets.members.iter().map(|member| buckets.held_by(member.remote)).collect()
    }

    #[test]
    fn buckets_are_shared_by_weight_and_only_those_of_the_lost_move() {
        let members = members(&[(1, false), (2, false), (1, false), (1, true)]);
        let mut buckets = Buckets::default();
        assert_eq!(buckets.follow(&members, |_| Standing::Good), GROUP_BUCKETS);
        assert_eq!(held(&buckets), [64, 128, 64, 0]);
        let whole = buckets.holders.clone();
        let lost =
            |number| move |remote| if remote == address(number) { Standing::Down } else { Standing::Good };
        assert_eq!(buckets.follow(&members, lost(2)), 128);
        assert_eq!(held(&buckets), [128, 0, 128, 0]);
        assert_eq!(buckets.follow(&members, |_| Standing::Good), 128);
        assert_eq!(buckets.holders, whole, "each bucket is where it was");
        assert_eq!(buckets.follow(&members, |_| Standing::Good), 0);
    }

    #[test]
    fn backups_are_used_while_nothing_better_is_there() {
        let members = members(&[(3, false), (1, true)]);
        let mut buckets = Buckets::default();
        let first = |standing| move |remote| if remote == address(1) { standing } else { Standing::Good };
        buckets.follow(&members, first(Standing::Unproven));
        assert_eq!(held(&buckets), [0, 256], "a backup that answers before what may not");
        buckets.follow(&members, first(Standing::Good));
        assert_eq!(held(&buckets), [256, 0]);
        buckets.follow(&members, first(Standing::Down));
        assert_eq!((held(&buckets), buckets.is_active(address(2))), (vec![0, 256], true));
        buckets.follow(&members, |_| Standing::Unproven);
        assert_eq!(held(&buckets), [256, 0], "nobody is known to answer");
        buckets.follow(&members, |_| Standing::Down);
        assert!(buckets.holders().iter().all(Option::is_none));
    }

    proptest! {
        /// Whatever comes and goes: no bucket leads to a member that cannot be used, and no bucket moves but from the lost
        /// and to the returned.
        #[test]
        fn flows_move_as_little_as_they_can(
            weights in vec((1_u16..=256, Just(false)), 1..8),
            losses in vec(any::<u8>(), 1..20),
        ) {
            let members = members(&weights);
            let mut buckets = Buckets::default();
            buckets.follow(&members, |_| Standing::Good);
            let whole = buckets.holders.clone();
            for mask in losses {
                let up = |remote: IpAddr| members.iter().position(|it| it.remote == remote).is_some_and(|at| mask >> at & 1 == 1);
                let (before, old) = (buckets.holders.clone(), buckets.active.clone());
                let moved = buckets.follow(&members, |remote| if up(remote) { Standing::Good } else { Standing::Down });
                let mut seen = 0;
                for (was, is) in before.iter().zip(buckets.holders.iter()) {
                    prop_assert!(is.is_none_or(&up));
                    if was != is {
                        seen += 1;
                        let from_lost = was.is_none_or(|was| !up(was));
                        let to_fresh = is.is_some_and(|is| !old.contains(&is));
                        prop_assert!(from_lost || to_fresh, "{was:?} -> {is:?}");
                    }
                }
                prop_assert_eq!(moved, seen);
                // Who stays keeps what is his own.
                for member in members.iter().filter(|member| up(member.remote)) {
                    let own = buckets.homes.iter().filter(|home| **home == Some(member.remote)).count();
                    prop_assert!(buckets.held_by(member.remote) >= own, "{member:?}");
                }
            }
            buckets.follow(&members, |_| Standing::Good);
            prop_assert_eq!(buckets.holders, whole);
        }

        /// What the lost held is shared by weight, but for rounding.
        #[test]
        fn what_is_lent_is_shared_by_weight(
            weights in vec((1_u16..=256, Just(false)), 1..8),
            mask in any::<u8>(),
        ) {
            let members = members(&weights);
            let up = |remote: IpAddr| members.iter().position(|it| it.remote == remote).is_some_and(|at| mask >> at & 1 == 1);
            let mut buckets = Buckets::default();
            buckets.follow(&members, |_| Standing::Good);
            buckets.follow(&members, |remote| if up(remote) { Standing::Good } else { Standing::Down });
            let shares = shares(members.iter().filter(|member| up(member.remote)));
            for (member, share) in shares {
                prop_assert!(buckets.held_by(member).abs_diff(share) <= 1, "{member}: {share}");
            }
        }

        /// A member that is added takes its share and nothing else moves; one that is removed gives up its own.
        #[test]
        fn a_change_of_members_moves_what_it_must(weights in vec((1_u16..=256, Just(false)), 2..8)) {
            let all = members(&weights);
            let fewer = &all[..all.len() - 1];
            let last = all[all.len() - 1].remote;
            let mut buckets = Buckets::default();
            buckets.follow(fewer, |_| Standing::Good);
            let before = buckets.holders.clone();
            buckets.follow(&all, |_| Standing::Good);
            for (was, is) in before.iter().zip(buckets.holders.iter()) {
                prop_assert!(was == is || *is == Some(last));
            }
            prop_assert_eq!(buckets.held_by(last), shares(all.iter())[&last]);
            let held = buckets.held_by(last);
            prop_assert_eq!(buckets.follow(fewer, |_| Standing::Good), held);
        }
    }
}
