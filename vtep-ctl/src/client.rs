//! The connection to the daemon.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::message::{Call, Inbox, Reply, call_bytes, parse_reply};
use api::{Method, Refusal};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest reply that is believed, in bytes; the daemon's own bound is a quarter of it.
const MAX_REPLY: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody listens.
    Absent { path: PathBuf },
    /// We may not open the socket.
    Denied { path: PathBuf, group: Option<String> },
    /// The host refuses something else.
    Host { path: PathBuf, source: io::Error },
    /// The daemon does not answer.
    Silent { path: PathBuf },
    /// The connection ended instead of an answer.
    Ended { path: PathBuf },
    /// The request is longer than the daemon takes.
    TooLong { bytes: usize },
    /// The daemon refuses.
    Refused(Refusal),
    /// The other side does not speak as we do.
    Foreign { what: String },
}

impl Failure {
    /// What is wrong.
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Absent { path } => format!("vtepd is not running: nobody listens on {}", path.display()),
            Self::Denied { path, .. } => format!("no permission to open {}", path.display()),
            Self::Host { path, source } => format!("cannot use {}: {source}", path.display()),
            Self::Silent { path } => {
                format!("vtepd on {} has not answered within {} seconds", path.display(), PATIENCE.as_secs())
            }
            Self::Ended { path } => {
                format!("vtepd on {} closed the connection without an answer", path.display())
            }
            Self::TooLong { bytes } => {
                format!("the request has {bytes} bytes, and vtepd takes {} at most", api::MAX_REQUEST)
            }
            Self::Refused(refusal) => refusal.what.clone(),
            Self::Foreign { what } => what.clone(),
        }
    }

    /// What can be done about it.
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Absent { .. } => {
                "`systemctl status vtepd` tells why; if its socket is elsewhere, name it with --socket PATH \
                or VTEP_SOCKET"
                    .to_owned()
            }
            Self::Denied { group: Some(group), .. } => {
                format!(
                    "use sudo, or become a member of the group {group}: `usermod -aG {group} USER`, then log in again"
                )
            }
            Self::Denied { group: None, .. } => {
                "use sudo, or join the group that the socket belongs to".to_owned()
            }
            Self::Host { .. } => "name the daemon's socket with --socket PATH or VTEP_SOCKET".to_owned(),
            Self::Silent { .. } | Self::Ended { .. } => {
                "`systemctl status vtepd` and its log tell what it is doing".to_owned()
            }
            Self::TooLong { .. } => {
                "replace one VNI at a time (`vni N`), or give what is new with `fdb add` and `neigh add`"
                    .to_owned()
            }
            Self::Refused(refusal) => refusal.remedy.clone(),
            Self::Foreign { .. } => "use the vtep-ctl that came with this vtepd".to_owned(),
        }
    }
}

/// A connection to the daemon.
pub(crate) struct Client {
    stream: UnixStream,
    path: PathBuf,
    inbox: Inbox,
}

impl Client {
    /// Connects to the socket at `path`.
    pub(crate) fn connect(path: &Path) -> Result<Self, Failure> {
        let stream = UnixStream::connect(path).map_err(|source| why_not(path, source))?;
        let patient =
            stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        patient.map_err(|source| Failure::Host { path: path.to_owned(), source })?;
        Ok(Self { stream, path: path.to_owned(), inbox: Inbox::new(MAX_REPLY) })
    }

    /// Calls a method and waits for its reply.
    pub(crate) fn call<M: Method>(&mut self, request: &M) -> Result<M::Reply, Failure> {
        let foreign = |what: String| Failure::Foreign { what };
        let parameters = serde_json::to_value(request).map_err(|error| foreign(error.to_string()))?;
        let call = Call::create(format!("{}.{}", api::INTERFACE, M::NAME), Some(parameters));
        let bytes = call_bytes(&call).map_err(foreign)?;
        // The NUL that ends a message does not count.
        if bytes.len() > api::MAX_REQUEST + 1 {
            return Err(Failure::TooLong { bytes: bytes.len() - 1 });
        }
        self.stream.write_all(&bytes).map_err(|source| self.lost(source))?;
        let reply = self.receive()?;
        let parameters = reply.parameters;
        if let Some(name) = reply.error {
            return Err(match Refusal::from_error(&name, parameters.as_ref()) {
                Some(refusal) => Failure::Refused(refusal),
                None => foreign(format!("vtepd answers {} with {name}", M::NAME)),
            });
        }
        let parameters = parameters.unwrap_or_else(|| serde_json::json!({}));
        serde_json::from_value(parameters).map_err(|error| {
            foreign(format!("vtepd answers {} with something else than its reply: {error}", M::NAME))
        })
    }

    fn receive(&mut self) -> Result<Reply, Failure> {
        let mut piece = vec![0; 64 << 10];
        loop {
            let message = self.inbox.pop().map_err(|error| Failure::Foreign { what: error.to_string() })?;
            if let Some(message) = message {
                return parse_reply(message).map_err(|error| Failure::Foreign {
                    what: format!("what listens on {} does not speak Varlink: {error}", self.path.display()),
                });
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(Failure::Ended { path: self.path.clone() }),
                Ok(length) => self.inbox.push(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn lost(&self, source: io::Error) -> Failure {
        let path = self.path.clone();
        match source.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Failure::Silent { path },
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Failure::Ended { path },
            _ => Failure::Host { path, source },
        }
    }
}

fn why_not(path: &Path, source: io::Error) -> Failure {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::Absent { path },
        ErrorKind::PermissionDenied => {
            let owner = std::fs::metadata(&path).ok().map(|found| nix::unistd::Gid::from_raw(found.gid()));
            let group = owner.map(|gid| match nix::unistd::Group::from_gid(gid) {
                Ok(Some(group)) => group.name,
                _ => gid.to_string(),
            });
            Failure::Denied { path, group }
        }
        _ => Failure::Host { path, source },
    }
}
