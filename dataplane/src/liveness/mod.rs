//! Liveness of peers: BFD sessions (RFC 5880) through the tunnels themselves (RFC 8971), and echo packets on several paths.
//!
//! All here is told the time and what comes, and says what is to be sent: no sockets, no clocks, no tables. Control makes
//! frames of it, which a worker sends as it sends any other, and hears of what comes through the workers' events.

mod echo;
mod mtu;
mod peer;
mod session;

pub use echo::{PathChange, PathRecord, Paths};
pub use mtu::{Found, Search};
pub use peer::{News, Payload, Peer, PeerConfig, Transmit, Verdict};
pub use session::{Diagnostic, Session, SessionConfig};
