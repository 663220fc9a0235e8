//! One connection of a client: its unfinished request, its unread replies, and what its peer may do.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

use api::message::Inbox;
use mio::net::UnixStream;

use super::STALL;
use super::service::Service;
use crate::control::verbs::Operator;

/// Bytes read at a time. Small, so that looking for messages in them is cheap.
const READ: usize = 16 << 10;
/// Requests carried out, or pieces read, before other connections get their turn.
const TURNS: usize = 32;

/// How far serving a connection got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// The next event goes on.
    Waiting,
    /// There is more to do at once, but others have waited for long enough.
    Unfinished,
    /// The connection is of no further use.
    Closed,
}

/// What one step came to.
enum Turn {
    Done,
    Wait,
    End,
}

/// One connection.
pub(super) struct Connection {
    stream: UnixStream,
    /// Whether the peer may change something.
    may_write: bool,
    inbox: Inbox,
    /// Replies, and how much of them the kernel has taken.
    outbox: Vec<u8>,
    sent: usize,
    last_progress: Instant,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, may_write: bool) -> Self {
        Self {
            stream,
            may_write,
            inbox: Inbox::new(api::MAX_REQUEST),
            outbox: Vec::new(),
            sent: 0,
            last_progress: Instant::now(),
        }
    }

    pub(super) fn stream(&mut self) -> &mut UnixStream {
        &mut self.stream
    }

    /// When bytes last went one way or the other.
    pub(super) const fn last_progress(&self) -> Instant {
        self.last_progress
    }

    /// Whether the peer has owed us something for too long: the rest of a request, or room for replies. A client that
    /// merely has nothing to ask may stay.
    pub(super) fn has_stalled(&self, now: Instant) -> bool {
        let owes = self.inbox.is_partial() || self.sent < self.outbox.len();
        owes && now.saturating_duration_since(self.last_progress) >= STALL
    }

    /// Writes what can be written, carries out what has come in, reads on; until the kernel says to wait, or its
    /// turns are used up. A request is carried out only once the replies before it are gone, so that there is never
    /// more than one reply to keep.
    pub(super) fn serve(&mut self, service: &Service, operator: &mut dyn Operator) -> Progress {
        for _ in 0..TURNS {
            match self.turn(service, operator) {
                Ok(Turn::Done) => {}
                Ok(Turn::Wait) => return Progress::Waiting,
                Ok(Turn::End) => return Progress::Closed,
                Err(reason) => {
                    tracing::debug!(%reason, "control connection closed");
                    return Progress::Closed;
                }
            }
        }
        Progress::Unfinished
    }

    /// One step of that.
    fn turn(&mut self, service: &Service, operator: &mut dyn Operator) -> Result<Turn, String> {
        if !self.flush().map_err(|error| error.to_string())? {
            return Ok(Turn::Wait);
        }
        if let Some(message) = self.inbox.pop().map_err(|too_long| too_long.to_string())? {
            if let Some(reply) = service.answer(message, self.may_write, operator)? {
                self.outbox = reply;
            }
            return Ok(Turn::Done);
        }
        self.fill().map_err(|error| error.to_string())
    }

    /// Hands the kernel what it takes; `false` when it takes no more.
    fn flush(&mut self) -> io::Result<bool> {
        while self.sent < self.outbox.len() {
            match self.stream.write(&self.outbox[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    self.sent += taken;
                    self.last_progress = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outbox = Vec::new();
        self.sent = 0;
        Ok(true)
    }

    /// Reads a piece.
    fn fill(&mut self) -> io::Result<Turn> {
        let mut piece = [0; READ];
        loop {
            match self.stream.read(&mut piece) {
                // Every request before the end has been carried out, and its reply is on its way.
                Ok(0) => return Ok(Turn::End),
                Ok(length) => {
                    self.inbox.push(&piece[..length]);
                    self.last_progress = Instant::now();
                    return Ok(Turn::Done);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Turn::Wait),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
