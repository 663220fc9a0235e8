//! The desired state, as a file or a control request can say it. Plain data: no device has been looked at yet.

mod model;
pub use model::*;
