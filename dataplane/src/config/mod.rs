//! The desired state, as a file or a control request can say it. Plain data: no device has been looked at yet.
//!
//! `tables` declares every key of the file; `syntax`, `reader`, `lower` and `places` lead from a text to the model with
//! every fault in its place, `render` leads back. What may be wrong with a model, wherever it comes from, is known to
//! [`crate::plan`] alone.

mod change;
mod encapsulation;
mod entry;
mod faults;
mod group;
mod guard;
mod items;
mod liveness;
mod load;
mod local;
mod lower;
mod marking;
mod model;
mod mss;
pub mod owner;
mod parse;
mod places;
mod reader;
mod render;
mod schema;
mod source;
mod syntax;
mod tables;
mod trunk;
mod tunnel;
mod value;

pub use change::{Change, Replacement};
pub use encapsulation::{EncapsulationConfig, GreKey};
pub use entry::{FdbConfig, FdbDestination, FdbKind};
pub use faults::{Faults, FileFault};
pub use group::{GroupConfig, GroupMember};
pub use guard::{BindingConfig, GuardConfig, GuardTuning};
pub use items::{InVni, Items, Keyed, Owned};
pub use liveness::{LivenessConfig, LivenessWish};
pub use load::{Origin, load_with_warnings};
pub use local::{LocalAddresses, Unpaired};
pub use model::*;
pub use mss::MssClamp;
pub use parse::parse;
pub use render::render;
pub use schema::{KeySchema, Presence, TableSchema};
pub use source::Position;
pub use tables::schema;
pub use trunk::{TrunkConfig, TrunkTuning, TrunkVlan};
pub use tunnel::TunnelConfig;
