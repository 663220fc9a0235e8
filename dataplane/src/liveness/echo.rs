//! Echo packets of one session: on which underlay paths they come back, and how long they take.
//!
//! Every path is a source port of the outer header, by which the underlay chooses among equal routes. A packet that does
//! not come back may be lost in either direction.

use std::time::Duration;

/// How many of the last echoes of a path its loss is told of.
const WINDOW: u32 = 32;

/// Echoes in sequence that must be lost on a path before it counts as dead.
const DEAD: u32 = 3;

/// The least time that an echo is waited for.
const PATIENCE: Duration = Duration::from_millis(250);
/// And the most.
const MOST_PATIENCE: Duration = Duration::from_secs(2);

/// What is known of one path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PathRecord {
    /// Echoes sent that came back or are lost.
    pub sent: u64,
    /// Echoes lost.
    pub lost: u64,
    /// The last of them, newest in the lowest bit: 1 is lost.
    recent: u32,
    /// Lost in sequence, up to now.
    in_sequence: u32,
    /// Round trip of the last that came back.
    pub round_trip: Option<Duration>,
}

impl PathRecord {
    /// Of the last echoes, how many in a hundred were lost.
    #[must_use]
    pub fn recent_loss(&self) -> u32 {
        let known = u32::try_from(self.sent).unwrap_or(WINDOW).min(WINDOW);
        (self.recent.count_ones() * 100).checked_div(known).unwrap_or(0)
    }

    /// Whether nothing comes back any more.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.in_sequence >= DEAD
    }

    fn ended(&mut self, lost: bool) {
        self.sent += 1;
        self.lost += u64::from(lost);
        self.recent = self.recent << 1 | u32::from(lost);
        self.in_sequence = if lost { self.in_sequence + 1 } else { 0 };
    }
}

/// An echo under way.
#[derive(Clone, Copy, Debug)]
struct Pending {
    sequence: u32,
    path: usize,
    sent: Duration,
}

/// The paths of one session.
#[derive(Clone, Debug)]
pub struct Paths {
    records: Vec<PathRecord>,
    pending: Vec<Pending>,
    sequence: u32,
    turn: usize,
    smoothed: Option<Duration>,
    last_loss: Option<Duration>,
    /// Echoes that ended lost in sequence, on whatever paths.
    lost_in_sequence: u32,
}

/// What a path has come to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathChange {
    /// Nothing comes back on it any more.
    Died(usize),
    /// Something has come back again.
    Revived(usize),
}

impl Paths {
    /// This many paths, at least one.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            records: vec![PathRecord::default(); count.max(1)],
            pending: Vec::new(),
            sequence: 0,
            turn: 0,
            smoothed: None,
            last_loss: None,
            lost_in_sequence: 0,
        }
    }

    /// What is known of each.
    #[must_use]
    pub fn records(&self) -> &[PathRecord] {
        &self.records
    }

    /// The usual round trip.
    #[must_use]
    pub const fn round_trip(&self) -> Option<Duration> {
        self.smoothed
    }

    /// When an echo was last lost.
    #[must_use]
    pub const fn last_loss(&self) -> Option<Duration> {
        self.last_loss
    }

    /// How many echoes in sequence are lost by now, on whatever paths: with one dead path among others never two.
    #[must_use]
    pub const fn lost_in_sequence(&self) -> u32 {
        self.lost_in_sequence
    }

    /// How long an answer is waited for.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.smoothed.map_or(PATIENCE, |usual| usual * 4).clamp(PATIENCE, MOST_PATIENCE)
    }

    /// The next number of an echo packet, whatever it is for.
    pub const fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// The path whose turn it is.
    pub const fn next_path(&mut self) -> usize {
        let path = self.turn;
        self.turn = (self.turn + 1) % self.records.len();
        path
    }

    /// A path that answers, for what is not to depend on the path: the next one, if it does.
    #[must_use]
    pub fn living_path(&self) -> usize {
        let all = self.records.len();
        let from_next = (0..all).map(|step| (self.turn + step) % all);
        let living =
            from_next.into_iter().find(|path| self.records.get(*path).is_some_and(|it| !it.is_dead()));
        living.unwrap_or(self.turn)
    }

    /// An echo has been sent.
    pub fn sent(&mut self, sequence: u32, path: usize, now: Duration) {
        self.pending.push(Pending { sequence, path, sent: now });
    }

    /// An echo has come back after `round_trip`; says what that changes.
    pub fn returned(&mut self, sequence: u32, round_trip: Duration) -> Option<PathChange> {
        let at = self.pending.iter().position(|pending| pending.sequence == sequence)?;
        let Pending { path, .. } = self.pending.swap_remove(at);
        self.lost_in_sequence = 0;
        // As TCP smooths it (RFC 6298 section 2).
        self.smoothed = Some(self.smoothed.map_or(round_trip, |usual| (usual * 7 + round_trip) / 8));
        let record = self.records.get_mut(path)?;
        let was_dead = record.is_dead();
        record.ended(false);
        record.round_trip = Some(round_trip);
        was_dead.then_some(PathChange::Revived(path))
    }

    /// When [`Paths::expire`] has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let patience = self.patience();
        self.pending.iter().map(|pending| pending.sent + patience).min()
    }

    /// Gives up what has been waited for long enough; says what that changes.
    pub fn expire(&mut self, now: Duration) -> Vec<PathChange> {
        let Self { records, pending, .. } = self;
        let patience = self.smoothed.map_or(PATIENCE, |usual| usual * 4).clamp(PATIENCE, MOST_PATIENCE);
        let mut changes = Vec::new();
        let (last_loss, lost_in_sequence) = (&mut self.last_loss, &mut self.lost_in_sequence);
        pending.retain(|it| {
            let over = now >= it.sent + patience;
            if over && let Some(record) = records.get_mut(it.path) {
                *last_loss = Some(now);
                *lost_in_sequence += 1;
                let was_dead = record.is_dead();
                record.ended(true);
                if record.is_dead() && !was_dead {
                    changes.push(PathChange::Died(it.path));
                }
            }
            !over
        });
        changes
    }

    /// Forgets what is under way: the session is down, and what it loses is not the paths'.
    pub fn reset(&mut self) {
        self.pending.clear();
        self.lost_in_sequence = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_path_that_loses_everything_is_named_and_the_others_are_not() {
        let mut paths = Paths::new(4);
        let mut changes = Vec::new();
        for round in 0..40_u64 {
            let now = ms(round * 300);
            changes.extend(paths.expire(now));
            let (path, sequence) = (paths.next_path(), paths.next_sequence());
            paths.sent(sequence, path, now);
            if path != 2 || round >= 30 {
                changes.extend(paths.returned(sequence, ms(2)));
            }
        }
        assert_eq!(changes, [PathChange::Died(2), PathChange::Revived(2)]);
        let records = paths.records();
        assert_eq!((records[2].lost, records[0].lost), (7, 0));
        assert_eq!((records[0].sent, records[0].recent_loss()), (10, 0));
        assert!(records[2].recent_loss() > 60, "{records:?}");
        assert_eq!((paths.round_trip(), paths.last_loss().is_some()), (Some(ms(2)), true));
    }

    #[test]
    fn an_answer_that_is_late_repeated_or_nobody_s_counts_for_nothing() {
        let mut paths = Paths::new(1);
        let sequence = paths.next_sequence();
        paths.sent(sequence, 0, ms(0));
        assert_eq!(paths.due(), Some(PATIENCE));
        assert_eq!(paths.expire(PATIENCE), []);
        assert_eq!(paths.returned(sequence, ms(1)), None);
        assert_eq!(paths.returned(77, ms(1)), None);
        assert_eq!((paths.records()[0].sent, paths.records()[0].lost), (1, 1));
        assert_eq!(paths.due(), None);
    }

    #[test]
    fn what_is_not_to_depend_on_the_path_avoids_dead_ones() {
        let mut paths = Paths::new(2);
        for round in 0..3 {
            let sequence = paths.next_sequence();
            paths.sent(sequence, 0, ms(round));
        }
        assert_eq!(paths.living_path(), 0);
        assert_eq!(paths.expire(ms(1000)), [PathChange::Died(0)]);
        assert_eq!(paths.living_path(), 1);
    }
}
