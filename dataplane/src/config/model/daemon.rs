//! What concerns the daemon as a whole: its socket and log, frame memory and workers.

use std::path::PathBuf;

/// Where the daemon listens and what it logs. Changes need a restart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Daemon {
    /// The control socket, `/run/vtep/vtep.sock` by default.
    pub socket: PathBuf,
    /// Group that may use the socket (mode 0660); the daemon's own by default.
    pub socket_group: Option<String>,
    /// Log filter as `RUST_LOG` has it, `info` by default.
    pub log: String,
    /// Where log lines go.
    pub log_target: LogTarget,
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            socket: "/run/vtep/vtep.sock".into(),
            socket_group: None,
            log: "info".into(),
            log_target: LogTarget::Auto,
        }
    }
}

/// Where log lines go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogTarget {
    /// journald when systemd started us (`JOURNAL_STREAM` is set), standard error otherwise.
    #[default]
    Auto,
    /// Standard error.
    Stderr,
    /// journald.
    Journald,
}

/// Frame memory. Changes need a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UmemConfig {
    /// Chunks in the shared UMEM, a power of two.
    pub chunks: u32,
    /// Bytes of a chunk: 2048 or 4096.
    pub chunk_size: u32,
    /// Chunks of jumbo memory, for frames that take several of the others, for each worker; 0 for no such frames.
    pub jumbo_chunks: u32,
}

impl Default for UmemConfig {
    fn default() -> Self {
        Self { chunks: 16_384, chunk_size: 2048, jumbo_chunks: 1024 }
    }
}

/// One worker thread. Changes need a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WorkerConfig {
    /// The CPU that the thread is pinned to.
    pub cpu: Option<u32>,
    /// What it does when there is nothing to do.
    pub busy: Busy,
}

/// What an idle worker does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Busy {
    /// Spins for a while, then sleeps in poll(2) until a frame comes.
    #[default]
    Adaptive,
    /// Spins for ever.
    Always,
}
