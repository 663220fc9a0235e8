//! The value of a forwarding entry: all of it in one word, so that one load reads and one compare-exchange changes it.

use crate::ids::{GroupId, PortId, RemoteId};
use crate::limits::{MAX_GROUPS, MAX_PORTS, MAX_REMOTES};
use crate::link::Place;

/// Where an entry comes from, and with that who may change it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Learned from a frame: moves, ages, and gives way to the others.
    Dynamic = 0,
    /// Set by the operator: neither moves nor ages.
    Static = 1,
    /// Set by a control plane: neither moves nor ages.
    External = 2,
    /// Keeps its place, but ages as a learned one does.
    Sticky = 3,
}

impl Kind {
    /// Whether the entry is forgotten when no frame has refreshed it for the ageing time.
    #[inline]
    #[must_use]
    pub const fn ages(self) -> bool {
        matches!(self, Self::Dynamic | Self::Sticky)
    }
}

/// What the database knows about a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where frames to it go.
    pub place: Place,
    /// Where it comes from.
    pub kind: Kind,
    /// How often it moved since it was learned or set; stops at 15.
    pub moves: u8,
    /// When a frame from it was last seen (for kinds that age) or when it was set: monotonic seconds modulo 2²⁴.
    pub seen: u32,
}

impl Entry {
    /// Seconds since it was last seen, at most 2²³ - 1 (97 days). Zero if `now` is before that.
    #[inline]
    #[must_use]
    pub const fn age(&self, now: u32) -> u32 {
        age(self.seen, now)
    }

    /// Whether it is to be forgotten. An ageing time of zero seconds keeps it for ever.
    #[inline]
    #[must_use]
    pub const fn is_expired(&self, now: u32, ageing: u32) -> bool {
        self.kind.ages() && ageing != 0 && self.age(now) >= ageing
    }
}

/// Where and when a frame was seen: the part of a value word that learning compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sighting(u64);

impl Sighting {
    /// At `place` at `now`, in monotonic seconds.
    #[inline]
    #[must_use]
    pub const fn new(place: Place, now: u32) -> Self {
        Self(place_bits(place) | ((now & SECONDS) as u64) << SEEN_SHIFT)
    }

    /// Where.
    #[inline]
    #[must_use]
    pub const fn place(self) -> Place {
        Value(self.0).place()
    }

    /// Whether it was at this place.
    #[inline]
    #[must_use]
    pub const fn is_at(self, place: Place) -> bool {
        const PLACE: u64 = (1 << SEEN_SHIFT) - 1;
        self.0 & PLACE == place_bits(place)
    }
}

const SECONDS: u32 = (1 << 24) - 1;

/// `now - seen` in arithmetic modulo 2²⁴. The half of the circle ahead of `now` is the future: another worker's clock
/// reading may be a moment newer than ours.
#[inline]
const fn age(seen: u32, now: u32) -> u32 {
    let elapsed = now.wrapping_sub(seen) & SECONDS;
    if elapsed > SECONDS / 2 { 0 } else { elapsed }
}

/// The value word.
///
/// ```text
///  63     62..59  58..56  55..48  47..24         23..22       21..0
/// ├ frozen ┼ moves ┼ kind ─┼ tag ──┼ last seen, s ─┼ place kind ┼ place index ┤
/// ```
///
/// `frozen` is set once a writer has begun to remove or relocate the entry: readers still use the value, but no
/// compare-exchange on it succeeds any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value(pub(super) u64);

const INDEX_BITS: u32 = 22;
const INDEX: u64 = (1 << INDEX_BITS) - 1;
const PLACE_PORT: u64 = 0;
const PLACE_REMOTE: u64 = 1;
const PLACE_GROUP: u64 = 2;
const SEEN_SHIFT: u32 = 24;
const TAG_SHIFT: u32 = 48;
const KIND_SHIFT: u32 = 56;
const MOVES_SHIFT: u32 = 59;
const MOST_MOVES: u64 = 15;

const _: () = assert!(MAX_REMOTES <= 1 << INDEX_BITS && MAX_PORTS <= 1 << INDEX_BITS);
const _: () = assert!(MAX_GROUPS <= 1 << INDEX_BITS);

impl Value {
    /// The bit that ends all changes; see [`Value`].
    pub(super) const FROZEN: u64 = 1 << 63;

    #[inline]
    pub(super) const fn new(place: Place, kind: Kind, now: u32, tag: u8) -> Self {
        Self(
            place_bits(place)
                | ((now & SECONDS) as u64) << SEEN_SHIFT
                | (tag as u64) << TAG_SHIFT
                | (kind as u64) << KIND_SHIFT,
        )
    }

    #[inline]
    pub(super) const fn place(self) -> Place {
        let index = (self.0 & INDEX) as u32;
        match self.0 >> INDEX_BITS & 3 {
            PLACE_REMOTE => Place::Remote(RemoteId(index)),
            PLACE_GROUP => Place::Group(GroupId(index as u16)),
            _ => Place::Port(PortId(index as u16)),
        }
    }

    #[inline]
    pub(super) const fn kind(self) -> Kind {
        match self.0 >> KIND_SHIFT & 7 {
            0 => Kind::Dynamic,
            1 => Kind::Static,
            2 => Kind::External,
            _ => Kind::Sticky,
        }
    }

    #[inline]
    pub(super) const fn seen(self) -> u32 {
        (self.0 >> SEEN_SHIFT) as u32 & SECONDS
    }

    #[inline]
    pub(super) const fn tag(self) -> u8 {
        (self.0 >> TAG_SHIFT) as u8
    }

    #[inline]
    pub(super) const fn is_frozen(self) -> bool {
        self.0 & Self::FROZEN != 0
    }

    #[inline]
    pub(super) const fn age(self, now: u32) -> u32 {
        age(self.seen(), now)
    }

    /// See [`Entry::is_expired`].
    pub(super) const fn is_expired(self, now: u32, ageing: u32) -> bool {
        self.entry().is_expired(now, ageing)
    }

    /// Whether a frame from `place` at `now` would change nothing.
    #[inline]
    pub(super) const fn is_current(self, sighting: Sighting) -> bool {
        const KEPT: u64 = (1 << TAG_SHIFT) - 1;
        self.0 & KEPT == sighting.0
    }

    /// Whether it was written for where a frame comes from and does not age, so that nothing is to be learned.
    #[inline]
    pub(super) const fn is_written(self, sighting: Sighting) -> bool {
        const PLACE: u64 = (1 << SEEN_SHIFT) - 1;
        (self.0 ^ sighting.0) & PLACE == 0 && !self.kind().ages()
    }

    /// The same entry, seen at `now`.
    #[inline]
    pub(super) const fn refreshed(self, now: u32) -> Self {
        Self(self.0 & !((SECONDS as u64) << SEEN_SHIFT) | ((now & SECONDS) as u64) << SEEN_SHIFT)
    }

    /// The same entry, seen elsewhere at `now`.
    pub(super) const fn moved(self, place: Place, now: u32) -> Self {
        let moves = self.0 >> MOVES_SHIFT & MOST_MOVES;
        let step = if moves < MOST_MOVES { 1 << MOVES_SHIFT } else { 0 };
        let unplaced = self.0 & !((1 << SEEN_SHIFT) - 1);
        Self((unplaced | place_bits(place)) + step).refreshed(now)
    }

    /// What replaces the entry, with its count of moves.
    pub(super) const fn heir(self, new: Self) -> Self {
        const MOVES: u64 = MOST_MOVES << MOVES_SHIFT;
        Self(new.0 & !MOVES | self.0 & MOVES)
    }

    /// The same entry with changes forbidden.
    pub(super) const fn frozen(self) -> Self {
        Self(self.0 | Self::FROZEN)
    }

    /// The same entry with changes allowed: what a copy of a frozen one starts with.
    pub(super) const fn thawed(self) -> Self {
        Self(self.0 & !Self::FROZEN)
    }

    #[inline]
    pub(super) const fn entry(self) -> Entry {
        Entry {
            place: self.place(),
            kind: self.kind(),
            moves: (self.0 >> MOVES_SHIFT & MOST_MOVES) as u8,
            seen: self.seen(),
        }
    }
}

#[inline]
const fn place_bits(place: Place) -> u64 {
    match place {
        Place::Port(port) => PLACE_PORT << INDEX_BITS | port.0 as u64,
        Place::Remote(remote) => {
            debug_assert!(remote.0 as u64 <= INDEX, "remote index beyond its field");
            PLACE_REMOTE << INDEX_BITS | remote.0 as u64 & INDEX
        }
        Place::Group(group) => PLACE_GROUP << INDEX_BITS | group.0 as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [Place; 6] = [
        Place::Port(PortId(0)),
        Place::Port(PortId(u16::MAX)),
        Place::Remote(RemoteId(0)),
        Place::Remote(RemoteId(INDEX as u32)),
        Place::Group(GroupId(0)),
        Place::Group(GroupId(u16::MAX)),
    ];

    #[test]
    fn fields_do_not_overlap() {
        for place in PLACES {
            for kind in [Kind::Dynamic, Kind::Static, Kind::External, Kind::Sticky] {
                for (seen, tag) in [(0, 0), (SECONDS, 0xff), (12_345, 0x5a)] {
                    let value = Value::new(place, kind, seen, tag);
                    assert_eq!(value.entry(), Entry { place, kind, moves: 0, seen });
                    assert_eq!((value.tag(), value.is_frozen()), (tag, false));
                    let frozen = Value(value.0 | Value::FROZEN);
                    assert_eq!((frozen.entry(), frozen.tag()), (value.entry(), tag));
                    assert!(frozen.is_frozen());
                    assert_eq!(frozen.thawed(), value);
                }
            }
        }
    }

    #[test]
    fn a_move_changes_place_time_and_count_alone() {
        for from in PLACES {
            for to in PLACES {
                let mut value = Value::new(from, Kind::Dynamic, 7, 0xff);
                for moves in 1..20 {
                    value = value.moved(to, 8);
                    let entry = Entry { place: to, kind: Kind::Dynamic, moves: moves.min(15), seen: 8 };
                    assert_eq!((value.entry(), value.tag(), value.is_frozen()), (entry, 0xff, false));
                }
            }
        }
    }

    #[test]
    fn age_survives_the_wrap_and_a_clock_that_is_behind() {
        let value = |seen| Value::new(PLACES[0], Kind::Dynamic, seen, 0);
        assert_eq!(value(SECONDS).age(SECONDS + 11), 11);
        assert_eq!(value(100).age(99), 0);
        assert_eq!(value(0).age(SECONDS), 0);
        assert!(value(SECONDS - 9).is_expired(SECONDS + 1, 10));
        assert!(!value(SECONDS - 8).is_expired(SECONDS + 1, 10));
        assert!(!value(0).is_expired(1_000_000, 0));
        assert!(!Value::new(PLACES[0], Kind::Static, 0, 0).is_expired(1_000_000, 10));
    }
}
