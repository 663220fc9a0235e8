//! Where frames go in and out: a device, by the name of its network namespace and its own.

use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Error;

/// Where iproute2 keeps named namespaces.
const DIRECTORY: &str = "/run/netns";

/// A network device. In text `NAMESPACE/DEVICE`, or `DEVICE` for one in the caller's own namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// Name of the network namespace, as `ip netns` lists it; `None` for that of the caller.
    pub namespace: Option<String>,
    /// Name of the device.
    pub name: String,
}

impl Device {
    /// A device in a named network namespace.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), name: name.to_owned() }
    }

    /// A device in the caller's network namespace.
    #[must_use]
    pub fn here(name: &str) -> Self {
        Self { namespace: None, name: name.to_owned() }
    }

    /// Moves the calling thread into the device's namespace.
    pub(super) fn enter(&self) -> Result<(), Error> {
        let Some(name) = &self.namespace else { return Ok(()) };
        let failed =
            |operation| move |source: io::Error| Error::Namespace { name: name.clone(), operation, source };
        let path: PathBuf = Path::new(DIRECTORY).join(name);
        let file = File::open(path).map_err(failed("opening it"))?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| failed("entering it")(errno.into()))
    }

    /// The device's index; the calling thread must be in its namespace.
    pub(super) fn index(&self) -> Result<u32, Error> {
        socket(AddressFamily::INET, SocketType::DGRAM, None)
            .and_then(|any| netdevice::name_to_index(&any, &self.name))
            .map_err(|errno| self.refuses("looking it up", io::Error::from(errno).to_string()))
    }

    /// Runs `work` on a thread in the device's namespace.
    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| self.enter().and_then(|()| work()));
            inside.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
        })
    }

    pub(super) fn refuses(&self, operation: &'static str, reason: String) -> Error {
        Error::Device { device: self.to_string(), operation, reason }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(out, "{namespace}/{}", self.name),
            None => out.write_str(&self.name),
        }
    }
}

impl FromStr for Device {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text
            .split_once('/')
            .map_or_else(|| Self::here(text), |(namespace, name)| Self::new(namespace, name)))
    }
}
