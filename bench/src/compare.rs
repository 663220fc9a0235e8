//! The comparison of vtepd with other switches: `make bench`.
//!
//! Each contestant is put into the same network, built afresh from namespaces, with the same static entries, and offered the
//! same frames; contestants take turns within a case. `bench/README.md` says what is measured and why so.
//!
//! ```text
//!   run ──▶ stage ──▶ contestant ──▶ load (pktgen) ──▶ search, latency ──▶ results ──▶ report: table, plots
//! ```

pub mod case;
pub mod churn;
pub mod contestant;
pub mod environment;
pub mod fault;
pub mod footprint;
pub mod load;
pub mod memory;
pub mod placement;
pub mod processor;
pub mod progress;
pub mod report;
pub mod results;
pub mod run;
pub mod search;
pub mod stage;
pub mod statistics;
pub mod targets;
pub mod tcp;
