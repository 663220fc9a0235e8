//! Word to the service manager that started the daemon, in sd_notify(3)'s protocol.
//!
//! Stands at the beginning, at a reload and at the end of the daemon's life; knows nothing of frames or tables. Without a
//! service manager every call does nothing.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long a service manager may leave its socket full.
const SEND_WITHIN: Duration = Duration::from_secs(1);

/// The service manager could not be told.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot tell the service manager {message:?} at NOTIFY_SOCKET={address:?}: {source}; unset it to run without one"
)]
pub struct Error {
    message: String,
    address: OsString,
    source: io::Error,
}

/// The service manager, if there is one.
#[derive(Debug, Clone)]
pub struct Supervisor {
    address: Option<OsString>,
}

impl Supervisor {
    /// The one that `NOTIFY_SOCKET` names; none when it is unset or empty.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { address: std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) }
    }

    /// The one that listens at `address`: a path, or `@` and a name in the abstract namespace (unix(7)).
    #[must_use]
    pub fn at(address: impl Into<OsString>) -> Self {
        Self { address: Some(address.into()) }
    }

    /// Whether anybody is told.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.address.is_some()
    }

    /// Start-up, or a reload, is complete.
    ///
    /// # Errors
    /// The socket cannot be reached or stays full for a second; likewise below.
    pub fn ready(&self) -> Result<(), Error> {
        self.send("READY=1")
    }

    /// The configuration is being read again; [`ready`](Self::ready) ends it.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn reloading(&self) -> Result<(), Error> {
        // The time tells this reload from earlier ones (systemd.service(5), Type=notify-reload).
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"))
    }

    /// The daemon is about to end.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn stopping(&self) -> Result<(), Error> {
        self.send("STOPPING=1")
    }

    /// One line for `systemctl status`.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn status(&self, text: &str) -> Result<(), Error> {
        // A line break would start another assignment.
        self.send(&format!("STATUS={}", text.replace('\n', " ")))
    }

    fn send(&self, message: &str) -> Result<(), Error> {
        let Some(address) = &self.address else { return Ok(()) };
        let deliver = || {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(SEND_WITHIN))?;
            socket.connect_addr(&socket_address(address.as_bytes())?)?;
            socket.send(message.as_bytes())
        };
        match deliver() {
            Ok(_) => Ok(()),
            Err(source) => Err(Error { message: message.into(), address: address.clone(), source }),
        }
    }
}

fn socket_address(text: &[u8]) -> io::Result<SocketAddr> {
    match text {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(text)),
        _ => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path from the root nor @ and a name"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn tells_its_life(manager: &UnixDatagram, supervisor: &Supervisor) {
        supervisor.ready().unwrap();
        assert_eq!(receive(manager), "READY=1");
        let microseconds = |message: &str| -> u64 {
            message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap()
        };
        supervisor.reloading().unwrap();
        let first = microseconds(&receive(manager));
        supervisor.reloading().unwrap();
        let second = microseconds(&receive(manager));
        assert!(first < second && second - first < 60_000_000);
        supervisor.status("3 ports\nup").unwrap();
        assert_eq!(receive(manager), "STATUS=3 ports up");
        supervisor.stopping().unwrap();
        assert_eq!(receive(manager), "STOPPING=1");
    }

    #[test]
    fn at_a_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        tells_its_life(&manager, &Supervisor::at(&path));
    }

    #[test]
    fn at_an_abstract_name() {
        let name = format!("vtepd-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        tells_its_life(&manager, &Supervisor::at(format!("@{name}")));
    }

    #[test]
    fn without_a_service_manager_nothing_is_said() {
        let supervisor = Supervisor { address: None };
        assert!(supervisor.ready().is_ok() && supervisor.stopping().is_ok());
    }

    #[test]
    fn what_cannot_be_reached_is_named() {
        let error = Supervisor::at("/nonexistent/notify").ready().unwrap_err().to_string();
        let expected = "cannot tell the service manager \"READY=1\" at NOTIFY_SOCKET=\"/nonexistent/notify\": \
                        No such file or directory (os error 2); unset it to run without one";
        assert_eq!(error, expected);
        let error = Supervisor::at("vsock:2:1").ready().unwrap_err().to_string();
        assert!(error.contains("neither a path from the root nor @ and a name"), "{error}");
    }

    #[test]
    fn a_manager_that_does_not_read_does_not_hold_us_up_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::at(&path);
        let refusal = (0..10_000).find_map(|_| supervisor.ready().err());
        assert!(refusal.is_some_and(|error| error.source.kind() == io::ErrorKind::WouldBlock));
    }
}
