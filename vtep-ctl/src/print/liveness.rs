//! What is known of a remote by asking it, as the last columns of its row.

use api::{Liveness, LivenessState};

use super::{duration, optional};
use crate::columns::{Cell, Tone};

/// State and since when, round trip, loss, dead paths, path MTU.
pub(super) fn cells(liveness: Option<&Liveness>) -> [Cell; 6] {
    let Some(liveness) = liveness else { return [(); 6].map(|()| "".into()) };
    let tone = match liveness.state {
        LivenessState::Up => Tone::Good,
        LivenessState::Init => Tone::Doubtful,
        LivenessState::Down => Tone::Bad,
    };
    let mut state = format!("{} {}", liveness.state, duration(liveness.since));
    if let (LivenessState::Down, Some(reason)) = (liveness.state, &liveness.reason) {
        state += &format!(" ({reason})");
    }
    let (sent, lost) = liveness.paths.iter().fold((0, 0), |(sent, lost), path| {
        let window = path.sent.min(32);
        (sent + window, lost + window * u64::from(path.loss) / 100)
    });
    let percent = (lost * 100 + sent / 2).checked_div(sent);
    let dead: Vec<String> =
        liveness.paths.iter().filter(|path| path.dead).map(|path| path.source_port.to_string()).collect();
    let mtu = liveness.mtu.map(|mtu| mtu.to_string()).unwrap_or_default();
    let black_hole = liveness
        .black_hole
        .map(|since| format!(", black hole above for {}", duration(since)))
        .unwrap_or_default();
    [
        Cell::toned(&state, tone),
        optional(liveness.rtt_us.map(|rtt| format!("{rtt}µs"))),
        optional(percent.map(|percent| format!("{percent}%"))),
        optional(liveness.last_loss.map(|ago| format!("{} ago", duration(ago)))),
        Cell::toned(&dead.join(","), Tone::Bad),
        Cell::toned(
            &format!("{mtu}{black_hole}"),
            if black_hole.is_empty() { Tone::Plain } else { Tone::Bad },
        ),
    ]
}
