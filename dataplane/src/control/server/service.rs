//! One message to one reply: Varlink's own questions are answered by the `varlink` crate, ours by the verbs.
//!
//! Of that crate, messages and introspection are used. Its server is not: it owns threads and blocking sockets, and
//! its interfaces cannot borrow the state they work on.

use std::io::BufRead;

use api::message::{self, Call, Reply};
use api::{InvalidRequest, Refusal, RefusalKind, Request};
use varlink::{CallTrait, ConnectionHandler, Interface, VarlinkService};

use crate::control::verbs::{self, Operator};

/// Largest reply, in bytes. The pages are made so that none comes near.
const MAX_REPLY: usize = 16 << 20;

/// Answers messages.
pub(super) struct Service {
    introspection: VarlinkService,
}

/// The interface as introspection sees it; calls of its methods never get here.
struct Description;

impl Interface for Description {
    fn get_description(&self) -> &'static str {
        api::DESCRIPTION
    }

    fn get_name(&self) -> &'static str {
        api::INTERFACE
    }

    fn call_upgraded(&self, _: &mut varlink::Call<'_>, _: &mut dyn BufRead) -> varlink::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn call(&self, call: &mut varlink::Call<'_>) -> varlink::Result<()> {
        let method = call.request.map(|request| request.method.to_string());
        call.reply_method_not_found(method.unwrap_or_default())
    }
}

impl Service {
    pub(super) fn new() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self { introspection: VarlinkService::new("vtep", "vtepd", version, "", vec![Box::new(Description)]) }
    }

    /// The bytes of the reply to a message, or `None` if it wants none.
    ///
    /// # Errors
    /// When the message is no Varlink call: nothing sensible can be answered, and the connection is to be closed.
    pub(super) fn answer(
        &self,
        message: &[u8],
        may_write: bool,
        operator: &mut dyn Operator,
    ) -> Result<Option<Vec<u8>>, String> {
        let call = message::parse_call(message)?;
        let ours = call.method.strip_prefix(api::INTERFACE).and_then(|rest| rest.strip_prefix('.'));
        let bytes = if call.upgrade == Some(true) {
            let method = serde_json::json!({ "method": call.method });
            message::reply_bytes(&Reply::error("org.varlink.service.MethodNotImplemented", Some(method)))?
        } else if let Some(name) = ours {
            let name = name.to_owned();
            within_bound(message::reply_bytes(&obey(&name, &call, may_write, operator))?)?
        } else {
            self.introspect(message)?
        };
        Ok((call.oneway != Some(true)).then_some(bytes))
    }

    /// Answers calls of `org.varlink.service`, and of interfaces that do not exist.
    fn introspect(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let stream = [message, &[0]].concat();
        let mut reply = Vec::new();
        match self.introspection.handle(&mut stream.as_slice(), &mut reply, None) {
            Ok(_) => Ok(reply),
            Err(_) => {
                let parameters = serde_json::json!({ "parameter": "parameters" });
                message::reply_bytes(&Reply::error("org.varlink.service.InvalidParameter", Some(parameters)))
            }
        }
    }
}

/// Carries out a call of our interface.
fn obey(name: &str, call: &Call<'_>, may_write: bool, operator: &mut dyn Operator) -> Reply {
    let request = match Request::decode(name, call.parameters.clone()) {
        Ok(request) => request,
        Err(InvalidRequest::UnknownMethod) => {
            let method = serde_json::json!({ "method": call.method });
            return Reply::error("org.varlink.service.MethodNotFound", Some(method));
        }
        Err(InvalidRequest::Parameter { name: argument, what }) => {
            let remedy = format!("see method {name} of the interface {}", api::INTERFACE);
            return refuse(&Refusal::argument(argument, what, remedy));
        }
    };
    if verbs::is_write(&request) && !may_write {
        let what = format!("{name} changes something, and this user may only read");
        let remedy =
            "become root or the daemon's user, or a member of the socket's group: `usermod -aG GROUP USER`";
        return refuse(&Refusal::new(RefusalKind::PermissionDenied, what, remedy));
    }
    match verbs::carry_out(request, operator) {
        Ok(parameters) => Reply::parameters(Some(parameters)),
        Err(refusal) => refuse(&refusal),
    }
}

fn refuse(refusal: &Refusal) -> Reply {
    Reply::error(refusal.error_name(), Some(refusal.parameters()))
}

/// The reply, or a refusal in its place should it be larger than anything a client expects.
fn within_bound(reply: Vec<u8>) -> Result<Vec<u8>, String> {
    if reply.len() <= MAX_REPLY {
        return Ok(reply);
    }
    let what = format!("the reply would have {} bytes, and {MAX_REPLY} is the most", reply.len());
    message::reply_bytes(&refuse(&Refusal::new(RefusalKind::LimitReached, what, "ask for less at a time")))
}
