//! Fourth stage: where a frame goes. Sees headers, the forwarding database, and where the frame came from.

use wire::Mac;

use crate::fdb::{Fdb, Probe, Sighting};
use crate::link::Place;
use crate::verdict::{DropReason, Verdict};

/// The way of a frame that was seen as `sighting` says. It is written in place, because a value returned in a register
/// would be packed and unpacked.
///
/// Known unicast goes to exactly one receiver: never back to where it came from, and never from the overlay into the
/// overlay (split horizon: every VTEP has a tunnel to every other, so the sender's reached it already).
#[inline(always)]
pub fn lookup(fdb: &Fdb, probe: &Probe, sighting: Sighting, verdict: &mut Verdict) {
    let destination = probe.key().mac();
    if destination.is_multicast() {
        *verdict =
            if is_link_local(destination) { Verdict::Drop(DropReason::LinkLocal) } else { Verdict::Flood };
        return;
    }
    let Some(place) = fdb.place(probe) else {
        *verdict = Verdict::Flood;
        return;
    };
    match (sighting.place(), place) {
        (_, Place::Port(_)) if sighting.is_at(place) => *verdict = Verdict::Drop(DropReason::SameIngress),
        (_, Place::Port(egress)) => *verdict = Verdict::Forward(egress),
        (Place::Port(_), Place::Remote(remote)) => *verdict = Verdict::Encapsulate(remote),
        (Place::Port(_), Place::Group(group)) => *verdict = Verdict::Spread(group),
        (_, Place::Remote(_) | Place::Group(_)) => *verdict = Verdict::Drop(DropReason::SplitHorizon),
    }
}

/// Addresses that no bridge forwards (IEEE 802.1Q table 8-1): pause frames, link aggregation, LLDP and the like. Not
/// the spanning tree's (…:00), which keeps loops through us detectable.
const fn is_link_local(mac: Mac) -> bool {
    matches!(mac.0, [0x01, 0x80, 0xc2, 0x00, 0x00, 0x01..=0x0f])
}
