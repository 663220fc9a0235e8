//! Everything that an owner wrote, replaced in one step: found to be right as a whole first, and then made.

use api::{Refusal, ReplaceReply};
use forward::fdb::{Key, Kind};
use forward::ids::DomainId;
use wire::Mac;

use super::state::State;
use crate::config::{Change, FdbConfig, NeighbourConfig, Owned, Replacement};
use crate::plan::Difference;

impl State {
    /// Makes the forwarding entries of an owner those that it wants. Unchanged ones are not touched, and those that
    /// change go from the old to the new in a single write, so that frames to them always find their way.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub(super) fn replace_entries(
        &mut self,
        wanted: &Replacement<FdbConfig>,
    ) -> Result<ReplaceReply, Refusal> {
        let difference = self.config.difference(wanted)?;
        let set = difference.added.iter().chain(&difference.changed);
        let set = set.map(|entry| Change::SetFdb { entry: entry.clone(), replace: true });
        let removed = difference.removed.iter().map(|(vni, mac)| Change::RemoveFdb { vni: *vni, mac: *mac });
        let changes: Vec<Change> = set.chain(removed).collect();
        self.make_all(&changes)?;
        Ok(counts(&difference))
    }

    /// The same for neighbours, which are published as a whole.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub(super) fn replace_neighbour_entries(
        &mut self,
        wanted: &Replacement<NeighbourConfig>,
    ) -> Result<ReplaceReply, Refusal> {
        let difference = self.config.difference(wanted)?;
        let set = difference.added.iter().chain(&difference.changed);
        let set = set.map(|neighbour| Change::SetNeighbour { neighbour: neighbour.clone(), replace: true });
        let removed = difference
            .removed
            .iter()
            .map(|(vni, address)| Change::RemoveNeighbour { vni: *vni, address: *address });
        let changes: Vec<Change> = set.chain(removed).collect();
        self.make_all(&changes)?;
        Ok(counts(&difference))
    }

    /// Makes changes that are known to be right.
    fn make_all(&mut self, changes: &[Change]) -> Result<(), Refusal> {
        let made = changes.iter().try_for_each(|change| self.make(change));
        self.put_in_force();
        Ok(made?)
    }

    /// Forgets sticky entries that have aged out of the database: they are not to come back by themselves.
    pub(super) fn forget_aged(&mut self) {
        let aged: Vec<_> = self
            .sticky
            .iter()
            .filter(|(vni, mac)| self.domain_id(*vni).is_some_and(|domain| !self.is_present(domain, *mac)))
            .copied()
            .collect();
        for (vni, mac) in aged {
            tracing::info!(vni = vni.value(), %mac, "sticky entry aged out");
            self.config.fdb.remove(&(vni, mac));
            self.provenance.forget_fdb((vni, mac));
            self.uninstall(vni, mac);
        }
    }

    /// Forgets the moves of entries that are gone, were learned anew, or were written since. Those of a frozen entry say why
    /// it is frozen, though it was put where it is anew.
    pub(super) fn forget_moves(&mut self) {
        let Self { provenance, ids, fdb, moves, .. } = self;
        provenance.retain_moved(|(vni, mac)| {
            let domain = ids.domains.index(&vni).and_then(|index| u16::try_from(index).ok());
            domain.is_some_and(|domain| {
                let key = Key::new(DomainId(domain), mac);
                fdb.lookup(&fdb.probe(key)).is_some_and(|entry| {
                    let is_frozen = entry.kind == Kind::Sticky && moves.is_frozen((DomainId(domain), mac));
                    entry.moves > 0 || is_frozen
                })
            })
        });
    }

    fn is_present(&self, domain: DomainId, mac: Mac) -> bool {
        let key = Key::new(domain, mac);
        self.fdb.lookup(&self.fdb.probe(key)).is_some()
    }
}

fn counts<T: Owned>(difference: &Difference<T>) -> ReplaceReply {
    ReplaceReply {
        added: difference.added.len() as u64,
        changed: difference.changed.len() as u64,
        removed: difference.removed.len() as u64,
        unchanged: difference.unchanged as u64,
    }
}
