//! The state as an [`Operator`]: what each request of the control protocol does.

use api::{Refusal, RefusalKind, RefusedChange, ReloadReply, ReplaceReply, StatsReply, StatusReply};
use wire::Vni;

use super::change::Reloaded;
use super::state::State;
use super::verbs::{FdbFilter, Listed, NeighbourFilter, Operator, Page};
use crate::config::{Change, FdbConfig, NeighbourConfig, Replacement};
use crate::plan::{self, NeedsRestart};

impl Operator for State {
    fn apply(&mut self, change: Change) -> Result<(), Refusal> {
        let outcome = self.change(&change);
        if outcome.is_ok() {
            tracing::debug!(?change, "changed by request");
            self.put_in_force();
        }
        outcome
    }

    fn replace_fdb(&mut self, wanted: &Replacement<FdbConfig>) -> Result<ReplaceReply, Refusal> {
        self.replace_entries(wanted)
    }

    fn replace_neighbours(&mut self, wanted: &Replacement<NeighbourConfig>) -> Result<ReplaceReply, Refusal> {
        self.replace_neighbour_entries(wanted)
    }

    fn reload(&mut self) -> Result<ReloadReply, Refusal> {
        self.reload_file()
    }

    fn status(&mut self) -> StatusReply {
        self.status_view()
    }

    fn ports(&mut self, name: Option<&str>, page: &mut Page<api::Port>) {
        offer(page, self.ports_view(name));
    }

    fn vnis(&mut self, vni: Option<Vni>, page: &mut Page<api::Vni>) {
        offer(page, self.vnis_view(vni));
    }

    fn remotes(&mut self, vni: Option<Vni>, page: &mut Page<api::Remote>) {
        offer(page, self.remotes_view(vni));
    }

    fn groups(&mut self, vni: Option<Vni>, page: &mut Page<api::Group>) {
        offer(page, self.groups_view(vni));
    }

    fn fdb(&mut self, filter: &FdbFilter, page: &mut Page<api::FdbEntry>) {
        self.fdb_view(filter, page);
    }

    fn fdb_flush(&mut self, filter: &FdbFilter) -> u64 {
        self.flush_entries(filter)
    }

    fn neighbours(&mut self, filter: &NeighbourFilter, page: &mut Page<api::Neighbour>) {
        offer(page, self.neighbours_view(filter));
    }

    fn neighbours_flush(&mut self, filter: &NeighbourFilter) -> u64 {
        self.flush_neighbours(filter)
    }

    fn mdb(&mut self, vni: Option<Vni>, page: &mut Page<api::MdbEntry>) {
        offer(page, self.mdb_view(vni));
    }

    fn stats(&mut self, port: Option<&str>, buckets: bool) -> StatsReply {
        self.stats_view(port, buckets)
    }

    fn stats_flush(&mut self) {
        self.flush_measurements();
    }

    fn drops(&mut self, port: Option<&str>, all: bool, page: &mut Page<api::Drop>) {
        offer(page, self.drops_view(port, all));
    }
}

fn offer<T: Listed>(page: &mut Page<T>, items: Vec<T>) {
    for item in items {
        page.offer(item);
    }
}

impl State {
    /// Reads the file again and applies the difference.
    ///
    /// # Errors
    /// [`Refusal`] if there is no file or it has faults.
    pub(super) fn reload_file(&mut self) -> Result<ReloadReply, Refusal> {
        let Some(path) = &self.origin.file else {
            let what = "the daemon was started without a configuration file";
            return Err(Refusal::new(RefusalKind::Unavailable, what, "start it with `vtepd --config FILE`"));
        };
        let (new, warnings) = self.origin.load().map_err(|faults| {
            let remedy = format!("mend the file; `vtepd --check --config {}` tells the same", path.display());
            Refusal::new(RefusalKind::InvalidConfiguration, faults.to_string(), remedy)
        })?;
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let Reloaded { changes, restart, refused } = self.reload(new);
        for refusal in &refused {
            tracing::warn!(what = refusal.what, remedy = refusal.remedy, "a change of the file was not made");
        }
        for NeedsRestart { key, old, new } in &restart {
            tracing::warn!(key, running = old, file = new, "takes effect at the next start");
        }
        tracing::info!(changes, refused = refused.len(), "configuration reloaded");
        Ok(ReloadReply {
            changes: changes as u64,
            restart: restart.into_iter().map(|needs| needs.key.to_owned()).collect(),
            refused: refused
                .into_iter()
                .map(|plan::Refusal { what, remedy, .. }| RefusedChange { what, remedy })
                .collect(),
        })
    }
}
