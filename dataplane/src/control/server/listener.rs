//! The listening socket in the file system: made with the right mode and owner, taken over from the dead only, and
//! removed at the end.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use mio::net::UnixListener;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use rustix::fs::{FlockOperation, Mode, flock};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{geteuid, umask};

use super::connection::Connection;

/// Who may open the socket: its owner and its group.
const MODE: u32 = 0o660;

/// Why the control socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A live daemon has it.
    #[error("{path} belongs to a vtepd that is running; stop that one or choose another --socket", path = path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is in its place.
    #[error("{path} exists and is not a socket; remove it or choose another --socket", path = path.display())]
    NotSocket {
        /// The socket.
        path: PathBuf,
    },
    /// The name service does not know the group.
    #[error(
        "there is no group {group:?} for the control socket; create it (`groupadd --system {group}`) or change socket_group"
    )]
    UnknownGroup {
        /// The group.
        group: String,
    },
    /// The host refuses.
    #[error("cannot {action} {path}: {source}{remedy}", path = path.display(), remedy = remedy(source))]
    Host {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
}

/// What helps against a refusal of the host, where that is known.
fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::PermissionDenied => {
            "; start vtepd as root, or give it a --socket in a directory that it may write to"
        }
        ErrorKind::ReadOnlyFilesystem => "; choose a --socket on a file system that can be written to",
        _ => "",
    }
}

/// The listening socket. Removed from the file system when dropped.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Held for as long as the socket is ours: a lock vanishes with its process, a socket does not.
    lock: Lock,
}

impl Listener {
    pub(super) fn bind(path: &Path, group: Option<&str>) -> Result<Self, BindError> {
        let host = |action| move |source| BindError::Host { action, path: path.to_owned(), source };
        let group = group.map(group_id).transpose()?;
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory).map_err(host("make the directory of"))?;
        }
        let lock = Lock::take(path)?;
        remove_dead(path)?;
        // For everybody else it must not exist before its group and mode are right.
        let mask = umask(Mode::RWXG | Mode::RWXO);
        let socket = UnixListener::bind(path);
        umask(mask);
        let listener = Self { socket: socket.map_err(host("bind"))?, path: path.to_owned(), lock };
        if let Some(group) = group {
            chown(path, None, Some(group)).map_err(host("change the group of"))?;
        }
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(host("change the mode of"))?;
        Ok(listener)
    }

    pub(super) const fn socket(&mut self) -> &mut UnixListener {
        &mut self.socket
    }

    /// The next connection, or `None` when nobody waits.
    pub(super) fn accept(&self) -> io::Result<Option<Connection>> {
        loop {
            match self.socket.accept() {
                Ok((stream, _)) => {
                    let may_write = self.may_write(&stream)?;
                    return Ok(Some(Connection::new(stream, may_write)));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                // The peer gave up, or a signal came: neither is about the socket.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the peer of a connection may change something.
    fn may_write(&self, stream: &mio::net::UnixStream) -> io::Result<bool> {
        let (peer, ours) = (socket_peercred(stream)?, geteuid());
        let socket = fs::metadata(&self.path)?;
        let (user, group, socket_group) = (peer.uid.as_raw(), peer.gid.as_raw(), socket.gid());
        // Asked last, as the name service may have to ask others in turn: of a socket that is as we made it, of nobody.
        Ok(may_write(user, group, ours.as_raw(), socket.mode(), socket_group)
            || is_member(user, group, socket_group))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The lock still stands, so that what is there is ours or somebody's who does not respect it.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.lock.path);
    }
}

/// Whether a peer may change something, from its user and primary group, our user, and the socket's mode and group.
const fn may_write(user: u32, group: u32, ours: u32, mode: u32, socket_group: u32) -> bool {
    let closed_to_others = mode & 0o002 == 0;
    user == 0 || user == ours || group == socket_group || closed_to_others
}

/// Whether the name service knows a user, whose primary group is `primary`, as a member of a group.
fn is_member(user: u32, primary: u32, group: u32) -> bool {
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(user)) else { return false };
    let Ok(name) = CString::new(user.name) else { return false };
    getgrouplist(&name, Gid::from_raw(primary)).is_ok_and(|groups| groups.contains(&Gid::from_raw(group)))
}

/// Removes the socket of a daemon that is no more. The lock is ours, so that no vtepd listens; but another program might.
fn remove_dead(path: &Path) -> Result<(), BindError> {
    let host = |action| move |source| BindError::Host { action, path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(host("examine")(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotSocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(host("remove"))
        }
        Err(error) => Err(host("examine")(error)),
    }
}

/// An exclusive lock beside the socket.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(socket: &Path) -> Result<Self, BindError> {
        let mut name = socket.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let host = |source| BindError::Host { action: "lock", path: path.clone(), source };
        loop {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
            let file = file.map_err(host)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(BindError::InUse { path: socket.to_owned() });
                }
                Err(errno) => return Err(host(errno.into())),
            }
            // The one before us may have removed the file between our opening and locking it.
            let ours = file.metadata().map_err(host)?.ino();
            if fs::metadata(&path).is_ok_and(|found| found.ino() == ours) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

/// The number of a group given by name or number.
fn group_id(group: &str) -> Result<u32, BindError> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    match Group::from_name(group) {
        Ok(Some(found)) => Ok(found.gid.as_raw()),
        Ok(None) | Err(_) => Err(BindError::UnknownGroup { group: group.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_takes_a_user_or_the_group() {
        const DAEMON: u32 = 990;
        const GROUP: u32 = 980;
        // As it is made, opening it is proof enough: the group may be a supplementary one.
        assert!(may_write(1000, 1000, DAEMON, 0o140_660, GROUP));
        // Opened to everybody, everybody may read.
        assert!(!may_write(1000, 1000, DAEMON, 0o140_666, GROUP));
        assert!(may_write(0, 0, DAEMON, 0o140_666, GROUP));
        assert!(may_write(DAEMON, 1000, DAEMON, 0o140_666, GROUP));
        assert!(may_write(1000, GROUP, DAEMON, 0o140_666, GROUP));
    }

    #[test]
    fn members_are_those_whom_the_name_service_names() {
        let ours = geteuid().as_raw();
        let Ok(Some(user)) = User::from_uid(Uid::from_raw(ours)) else { return };
        let primary = user.gid.as_raw();
        let name = CString::new(user.name).unwrap();
        for group in getgrouplist(&name, user.gid).unwrap() {
            assert!(is_member(ours, primary, group.as_raw()), "{group}");
        }
        assert!(!is_member(ours, primary, u32::MAX - 7));
        assert!(!is_member(u32::MAX - 7, primary, primary), "there is no such user");
    }

    #[test]
    fn a_refusal_names_the_file_the_reason_and_the_remedy() {
        let path = PathBuf::from("/run/vtep/vtep.sock");
        let refused =
            |kind| BindError::Host { action: "lock", path: path.clone(), source: io::Error::from(kind) };
        assert_eq!(
            refused(ErrorKind::PermissionDenied).to_string(),
            "cannot lock /run/vtep/vtep.sock: permission denied; start vtepd as root, or give it a --socket in a \
             directory that it may write to"
        );
        assert_eq!(
            refused(ErrorKind::OutOfMemory).to_string(),
            "cannot lock /run/vtep/vtep.sock: out of memory"
        );
    }
}
