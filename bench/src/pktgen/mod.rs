//! A load generator, a sink and a latency probe, which need no NIC: BPF on both ends.
//!
//! ```text
//!   Generator, one CPU                                                              Sink
//!   BPF_PROG_RUN on live frames ── device ══ peer: the switch under test … ══ device: XDP counts and drops
//!     writes headers, keeps time                                               probes: now - intended time
//! ```
//!
//! The generator makes frames in the kernel, some millions a second, and redirects them to a device so that the device's
//! peer receives them; the switch sees them as it would see a wire's. Many flows and many MAC addresses take turns by a
//! fixed rule, so that a switch's tables can be filled beforehand. The sink knows the generator's frames by their last
//! bytes, with whatever tunnel headers before them.
//!
//! Latency is measured by an open loop: probes are due at times that do not depend on how the switch does, each carries
//! the time when it was due, and that time is where its latency begins, however late it could be sent.

mod device;
mod error;
mod generator;
mod headers;
mod histogram;
mod pace;
mod probe;
mod program;
mod sink;
mod traffic;

pub use device::Device;
pub use error::Error;
pub use generator::{Generator, Sent};
pub use pace::ProbeConfig;
pub use probe::{Latency, Probe};
pub use sink::{Amount, Filter, Sink};
pub use traffic::{Encapsulation, Hosts, IMIX, Outer, Size, Traffic};
