//! Second stage: remember where the source address is. Sees the source's key, the forwarding database, and where the
//! frame came from.

use crate::fdb::{Fdb, Learned, Limits, Probe};
use crate::ids::DomainId;
use crate::link::{Event, Place};
use crate::verdict::DropReason;

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lesson {
    /// The database knows the address to be here, or will when the next frame comes.
    Known,
    /// The address came from elsewhere before; control is to hear of it.
    Moved(Event),
    /// There is no room for the address. The frame is forwarded all the same.
    Unlearned,
}

/// Learns that the probe's key is at `place`. `limits` are those of this place and domain; `ageing` is any domain's ageing
/// time in seconds.
///
/// # Errors
/// `VXLAN_ENTRY_EXISTS` if the address is bound to another place: whoever uses it here is not whom it belongs to, and
/// nothing of the frame may be believed.
pub fn learn(
    fdb: &Fdb,
    probe: &Probe,
    place: Place,
    now: u32,
    limits: Limits,
    ageing: impl Fn(DomainId) -> u32,
) -> Result<Lesson, DropReason> {
    let domain = probe.key().domain();
    let mut learned = fdb.learn(probe, place, now, Some(limits), &ageing);
    // Where it is the domain that is full and not the place, who has most makes room.
    if learned == Learned::Limited
        && fdb.learned_at(place) < limits.place
        && fdb.make_room(domain, place, now)
    {
        learned = fdb.learn(probe, place, now, Some(limits), &ageing);
    }
    match learned {
        Learned::Known | Learned::Refreshed | Learned::New | Learned::Deferred => Ok(Lesson::Known),
        Learned::Moved { from } => {
            let mac = probe.key().mac();
            Ok(Lesson::Moved(Event::Moved { domain, mac, from, to: place }))
        }
        Learned::Full | Learned::Limited => Ok(Lesson::Unlearned),
        Learned::Bound => Err(DropReason::VxlanEntryExists),
    }
}
