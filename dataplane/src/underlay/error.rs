//! What can go wrong between us and the kernel's routing tables.

use rustix::io::Errno;

/// A request to the kernel failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel, or the socket, said no.
    #[error("cannot {operation}: {errno}{}{}", Clause(detail), Clause(remedy(*errno)))]
    Refused {
        /// What was asked for, as an infinitive clause.
        operation: String,
        /// Why not.
        #[source]
        errno: Errno,
        /// The kernel's own words (extended acknowledgement), or empty.
        detail: String,
    },
    /// No answer came in time.
    #[error(
        "cannot {operation}: the kernel has not answered for {seconds} s; look for a hung task in its log"
    )]
    Silent {
        /// What was asked for.
        operation: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The answer could not be decoded.
    #[error(
        "cannot {operation}: the kernel's answer makes no sense ({reason}); please report the kernel's version"
    )]
    Malformed {
        /// What was asked for.
        operation: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A table changed during each of several attempts to read it.
    #[error("cannot {operation}: it changed during each of {attempts} attempts; it will be read again")]
    Interrupted {
        /// What was asked for.
        operation: String,
        /// How often it was tried.
        attempts: u32,
    },
}

impl Error {
    /// The system call behind `operation` failed.
    pub(super) fn io(operation: impl Into<String>, error: &std::io::Error) -> Self {
        let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
        Self::Refused { operation: operation.into(), errno, detail: String::new() }
    }

    /// The kernel's error number, if it gave one.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused { errno, .. } => Some(*errno),
            Self::Silent { .. } | Self::Malformed { .. } | Self::Interrupted { .. } => None,
        }
    }
}

/// What to do about an error number that has one usual cause.
const fn remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::PERM | Errno::ACCESS => "run as root or with CAP_NET_ADMIN in this network namespace",
        Errno::NODEV | Errno::NXIO => "the device is gone; see `ip link`",
        Errno::NETDOWN => "the device is down; see `ip link`",
        Errno::NOBUFS => {
            "the kernel's neighbour table is full; raise net.ipv4.neigh.default.gc_thresh3 (ipv6 likewise)"
        }
        Errno::MFILE | Errno::NFILE => "raise the limit of open files (`ulimit -n`)",
        _ => "",
    }
}

/// Text after a separator, or nothing.
struct Clause<T>(T);

impl<T: AsRef<str>> std::fmt::Display for Clause<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.as_ref();
        if text.is_empty() { Ok(()) } else { write!(out, "; {text}") }
    }
}
