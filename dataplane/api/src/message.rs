//! Messages on the socket: JSON texts that each end in a NUL byte (varlink.org, "Method Call").
//!
//! Parsing and writing of one message is the `varlink` crate's. Cutting the stream is ours: its state machines keep
//! whatever a peer sends without bound and look through all of it again for every byte that comes in.

use varlink::sansio::protocol;
pub use varlink::{Reply, Request as Call};

/// Messages as they come in: bytes go in, whole messages come out, and neither more than `limit` bytes of an
/// unfinished message nor time beyond the order of its length is ever spent.
#[derive(Debug)]
pub struct Inbox {
    buffer: Vec<u8>,
    /// Where the first message not yet taken begins.
    start: usize,
    /// Up to where there is known to be no NUL.
    searched: usize,
    limit: usize,
}

/// A message is longer than the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong {
    /// The limit, in bytes without the NUL.
    pub limit: usize,
}

impl std::fmt::Display for TooLong {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "a message is longer than {} bytes", self.limit)
    }
}

impl std::error::Error for TooLong {}

impl Inbox {
    /// Beyond this much, memory is given back once it is unused.
    const KEEP: usize = 64 << 10;

    /// An empty inbox for messages of at most `limit` bytes, the NUL not counted.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, searched: 0, limit }
    }

    /// Takes in bytes. The caller bounds how many: call [`Inbox::pop`] until it is empty before the next.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(Self::KEEP);
        } else {
            self.buffer.drain(..self.start);
        }
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, without its NUL; `None` when there is none yet.
    ///
    /// # Errors
    /// When a message, finished or not, exceeds the limit. What follows it cannot be told apart any more.
    pub fn pop(&mut self) -> Result<Option<&[u8]>, TooLong> {
        let from = self.searched;
        let end = self.buffer[from..].iter().position(|&byte| byte == 0).map(|offset| from + offset);
        let (begin, stop) = (self.start, end.unwrap_or(self.buffer.len()));
        self.searched = stop;
        if stop - begin > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        if end.is_none() {
            return Ok(None);
        }
        self.start = stop + 1;
        self.searched = self.start;
        Ok(Some(&self.buffer[begin..stop]))
    }

    /// Whether an unfinished message is waiting for its end.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.start < self.buffer.len()
    }
}

/// A method call from the bytes of one message.
///
/// # Errors
/// When the message is no Varlink method call; the sentence says why. Nothing can be answered to it, because nothing
/// says whether an answer is wanted.
pub fn parse_call(message: &[u8]) -> Result<Call<'static>, String> {
    protocol::parse_request(message).map_err(describe)
}

/// A reply from the bytes of one message.
///
/// # Errors
/// When the message is no Varlink reply; the sentence says why.
pub fn parse_reply(message: &[u8]) -> Result<Reply, String> {
    protocol::parse_reply(message).map_err(describe)
}

/// The bytes of a method call, NUL included.
///
/// # Errors
/// When a parameter has no form in JSON; none of ours is of that kind.
pub fn call_bytes(call: &Call<'_>) -> Result<Vec<u8>, String> {
    protocol::serialize_request(call).map_err(describe)
}

/// The bytes of a reply, NUL included.
///
/// # Errors
/// As [`call_bytes`].
pub fn reply_bytes(reply: &Reply) -> Result<Vec<u8>, String> {
    protocol::serialize_reply(reply).map_err(describe)
}

/// The innermost reason; the outer ones only tell a place in the `varlink` crate.
fn describe(error: varlink::Error) -> String {
    error.1.map_or_else(|| error.0.to_string(), |source| source.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn limit_holds_for_finished_and_unfinished_messages() {
        let mut inbox = Inbox::new(4);
        inbox.push(b"abcd\0ab");
        assert_eq!(inbox.pop(), Ok(Some(&b"abcd"[..])));
        assert_eq!(inbox.pop(), Ok(None));
        inbox.push(b"cd");
        assert_eq!(inbox.pop(), Ok(None));
        inbox.push(b"e");
        assert_eq!(inbox.pop(), Err(TooLong { limit: 4 }));
        let mut inbox = Inbox::new(4);
        inbox.push(b"abcde\0");
        assert_eq!(inbox.pop(), Err(TooLong { limit: 4 }));
    }

    #[test]
    fn memory_of_a_large_message_is_given_back() {
        let mut inbox = Inbox::new(1 << 20);
        inbox.push(&vec![b'x'; 1 << 20]);
        inbox.push(b"\0");
        assert_eq!(inbox.pop().map(|message| message.map(<[u8]>::len)), Ok(Some(1 << 20)));
        inbox.push(b"y");
        assert!(inbox.buffer.capacity() <= Inbox::KEEP);
        assert!(inbox.is_partial());
    }

    #[test]
    fn what_is_no_call_is_told_why() {
        assert!(parse_call(b"").is_err());
        assert_eq!(parse_call(b"{}"), Err("missing field `method` at line 1 column 2".to_owned()));
        let deep = format!("{{\"method\":\"a.b\",\"parameters\":{}", "[".repeat(100_000));
        assert!(parse_call(deep.as_bytes()).unwrap_err().contains("recursion limit"));
    }

    proptest! {
        #[test]
        fn any_cut_of_a_stream_yields_its_messages(
            messages in vec(vec(1_u8..=255, 0..40), 0..20),
            cuts in vec(1_usize..30, 1..50),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|message| [message.as_slice(), &[0]].concat()).collect();
            let mut inbox = Inbox::new(40);
            let (mut rest, mut seen) = (stream.as_slice(), Vec::new());
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                inbox.push(now);
                while let Some(message) = inbox.pop().unwrap() {
                    seen.push(message.to_vec());
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert!(!inbox.is_partial());
            prop_assert_eq!(seen, messages);
        }

        #[test]
        fn no_bytes_end_the_decoder(pieces in vec(vec(any::<u8>(), 0..200), 0..8), limit in 0_usize..300) {
            let mut inbox = Inbox::new(limit);
            'stream: for piece in &pieces {
                inbox.push(piece);
                loop {
                    match inbox.pop() {
                        Ok(Some(message)) => {
                            prop_assert!(message.len() <= limit);
                            if let Ok(call) = parse_call(message) {
                                let _ = crate::Request::decode(&call.method, call.parameters);
                            }
                        }
                        Ok(None) => break,
                        Err(TooLong { .. }) => break 'stream,
                    }
                }
            }
        }
    }
}
