//! The desired state, as a file or a control request can say it. Plain data: no device has been looked at yet.

mod change;
mod items;
mod model;

pub use change::Change;
pub use items::{InVni, Items, Keyed};
pub use model::*;
