//! Whatever a peer writes to the control socket, cut wherever the kernel may cut it.
#![no_main]

use api::message::{Inbox, parse_call};
use libfuzzer_sys::fuzz_target;

/// Small, so that the limit is met often.
const LIMIT: usize = 512;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, stream) = input;
    let mut inbox = Inbox::new(LIMIT);
    for bytes in stream.chunks(usize::from(piece) + 1) {
        inbox.push(bytes);
        loop {
            let Ok(message) = inbox.pop() else { return };
            let Some(message) = message else { break };
            assert!(message.len() <= LIMIT);
            if let Ok(call) = parse_call(message) {
                let name = call.method.strip_prefix("org.vtep.control.").unwrap_or(&call.method);
                let _ = api::Request::decode(name, call.parameters.clone());
            }
        }
    }
});
