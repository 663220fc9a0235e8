//! Groups of remotes as a table: a row for each member.

use api::MemberState;

use super::{Printed, on_off};
use crate::columns::{Cell, Columns, Paint, Tone};

pub(super) fn table(groups: &[api::Group], paint: Paint) -> Printed {
    const HEADS: &[&str] = &[">VNI", "NAME", "FLOOD", "DST", ">WEIGHT", "STATE", ">BUCKETS"];
    let mut columns = Columns::new(HEADS);
    for group in groups {
        for member in &group.members {
            let tone = match member.state {
                MemberState::Active => Tone::Good,
                MemberState::Standby => Tone::Doubtful,
                MemberState::Down => Tone::Bad,
            };
            let weight = match (member.backup, member.weight) {
                (false, weight) => weight.to_string(),
                (true, 1) => "backup".to_owned(),
                (true, weight) => format!("backup {weight}"),
            };
            columns.row(vec![
                group.vni.into(),
                (&group.name).into(),
                on_off(group.flood).into(),
                member.dst.into(),
                weight.into(),
                Cell::toned(&member.state, tone),
                member.buckets.into(),
            ]);
        }
    }
    Printed::table(&columns, "no groups", paint)
}
