//! Groups of remotes.

use super::{Lowering, Place, Record, Row};
use crate::config::group::GroupConfig;
use crate::config::tables::GroupRow;
use crate::plan::Subject;

impl Lowering<'_, '_> {
    pub(super) fn group(&mut self, row: &Row<'_>) {
        let record = GroupRow::read(row, self.reader);
        let (Some(vni), Some(name)) = (record.vni.value, record.name.value.clone()) else {
            self.places.nameless.groups = true;
            return;
        };
        let subject = Subject::Group(vni, name.clone());
        let keys = record.spans();
        let Some(members) = record.members.value else {
            self.places.insert_unread(subject);
            return;
        };
        let members = members.into_iter().map(|placed| placed.value).collect();
        let place = Place { header: row.header.clone(), keys, torn: row.torn };
        if self.place_at(&subject, place) {
            self.config.groups.insert(GroupConfig { vni, name, members, flood: record.flood.value });
        }
    }
}
