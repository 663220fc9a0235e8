//! The control socket: a Unix listener and its connections, driven by the control thread's poll.
//!
//! It stands between clients and the verbs. It knows sockets, messages and who may do what, and nothing of what a
//! request does. Everything a peer can make it hold or do is bounded: connections, bytes of an unfinished request,
//! bytes of replies not read, requests carried out before others get their turn. No byte sequence ends the daemon:
//! what is no Varlink closes the connection it came in on, and what is wrong Varlink is answered with an error.
//!
//! Who may do what: whoever can open the socket may read. Changing something takes user id 0, the daemon's user id or
//! membership in the socket's group. While the socket's mode keeps others out (0660, as it is made), opening it
//! already took the group, so that every peer may write; the check matters once an administrator opens it further.

mod connection;
mod listener;
mod service;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Interest, Registry, Token};

use self::connection::{Connection, Progress};
pub use self::listener::BindError;
use self::listener::Listener;
use self::service::Service;
use super::verbs::Operator;
use crate::config::Daemon;

/// Connections at a time. A further one takes the place of the one that has been silent for longest.
pub const MAX_CONNECTIONS: usize = 64;
/// How long a peer may leave replies unread, or a request unfinished, before it is dropped.
pub const STALL: Duration = Duration::from_secs(10);

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// The control socket and its connections.
pub struct Server {
    listener: Listener,
    service: Service,
    connections: Vec<Option<Connection>>,
    registry: Registry,
    /// Our tokens: the first is the listener's.
    tokens: Range<usize>,
    /// Set when there may be connections to accept that no event will tell of.
    accept_again: bool,
}

impl Server {
    /// Tokens that the server takes: the listener's and one per connection.
    pub const TOKENS: usize = 1 + MAX_CONNECTIONS;

    /// Creates the socket with mode 0660 and the configured group, in a directory that is made if it is missing. A
    /// socket that a dead daemon left behind is removed. Events come by way of `registry` with [`Server::TOKENS`]
    /// tokens from `first` on.
    ///
    /// # Errors
    /// When a live daemon has the socket, something else is in its place, the group is unknown, or the host refuses.
    pub fn bind(daemon: &Daemon, registry: &Registry, first: usize) -> Result<Self, BindError> {
        let mut listener = Listener::bind(&daemon.socket, daemon.socket_group.as_deref())?;
        let host = |source| BindError::Host { action: "follow", path: daemon.socket.clone(), source };
        listener.socket().register(registry, Token(first), Interest::READABLE).map_err(host)?;
        Ok(Self {
            listener,
            service: Service::new(),
            connections: (0..MAX_CONNECTIONS).map(|_| None).collect(),
            registry: registry.try_clone().map_err(host)?,
            tokens: first..first + Self::TOKENS,
            accept_again: false,
        })
    }

    /// Whether an event of this token is for us.
    #[must_use]
    pub fn owns(&self, token: Token) -> bool {
        self.tokens.contains(&token.0)
    }

    /// Goes on with whatever became ready. Carries out a bounded number of requests; what is left over raises another
    /// event.
    pub fn ready(&mut self, token: Token, operator: &mut dyn Operator) {
        match token.0.checked_sub(self.tokens.start) {
            Some(0) => self.accept(),
            Some(number) => self.serve(number - 1, operator),
            None => {}
        }
    }

    /// Drops connections whose peers have stalled, and accepts again after the host ran short. To be called about
    /// once a second.
    pub fn expire(&mut self, now: Instant) {
        for number in 0..self.connections.len() {
            let stalled =
                self.connections[number].as_ref().is_some_and(|connection| connection.has_stalled(now));
            if stalled {
                tracing::warn!(
                    seconds = STALL.as_secs(),
                    "control connection dropped: its peer reads or writes nothing"
                );
                self.close(number);
            }
        }
        if self.accept_again {
            self.accept();
        }
    }

    /// Connections at present.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.iter().flatten().count()
    }

    fn accept(&mut self) {
        self.accept_again = false;
        // Bounded, so that a flood of connections does not keep everything else waiting.
        for _ in 0..MAX_CONNECTIONS {
            match self.listener.accept() {
                Ok(Some(connection)) => self.admit(connection),
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "control connection not accepted");
                    break;
                }
            }
        }
        // The poll tells of new connections only, and there may be older ones.
        self.accept_again = true;
    }

    fn admit(&mut self, mut connection: Connection) {
        let number = self.free_place();
        match connection.stream().register(&self.registry, self.token(number), BOTH) {
            Ok(()) => self.connections[number] = Some(connection),
            Err(error) => tracing::warn!(%error, "control connection not registered"),
        }
    }

    const fn token(&self, number: usize) -> Token {
        Token(self.tokens.start + 1 + number)
    }

    /// A free place, made by closing the connection that has been silent for longest if need be.
    fn free_place(&mut self) -> usize {
        if let Some(free) = self.connections.iter().position(Option::is_none) {
            return free;
        }
        let silent = |connection: &Option<Connection>| connection.as_ref().map(Connection::last_progress);
        let number =
            (0..self.connections.len()).min_by_key(|&number| silent(&self.connections[number])).unwrap_or(0);
        tracing::warn!(bound = MAX_CONNECTIONS, "control connection closed to make room for another");
        self.close(number);
        number
    }

    fn serve(&mut self, number: usize, operator: &mut dyn Operator) {
        let Some(Some(connection)) = self.connections.get_mut(number) else { return };
        match connection.serve(&self.service, operator) {
            Progress::Waiting => {}
            Progress::Unfinished => self.wake(number),
            Progress::Closed => self.close(number),
        }
    }

    /// Asks for another event of a connection that has been served for long enough. Modifying the registration makes
    /// the kernel look anew, and it finds the connection writable or readable.
    fn wake(&mut self, number: usize) {
        let token = self.token(number);
        let Some(connection) = &mut self.connections[number] else { return };
        if let Err(error) = connection.stream().reregister(&self.registry, token, BOTH) {
            tracing::warn!(%error, "control connection closed: it could not be woken");
            self.close(number);
        }
    }

    fn close(&mut self, number: usize) {
        if let Some(mut connection) = self.connections[number].take() {
            // Closing the descriptor takes it out of the poll as well.
            let _ = connection.stream().deregister(&self.registry);
        }
    }
}
