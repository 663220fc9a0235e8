//! Typed errors: what the daemon answers instead of a reply.

use std::fmt;

use serde_json::{Value, json};

/// Declares the kinds of refusal: variant, its Varlink error name, documentation.
macro_rules! kinds {
    ($($variant:ident $doc:literal,)*) => {
        /// Why a request is refused. Each is an error of the interface.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum RefusalKind {
            $(#[doc = $doc] $variant,)*
        }

        impl RefusalKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The error's name within the interface.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),* }
            }
        }
    };
}

kinds! {
    NotFound "What the request names does not exist.",
    AlreadyExists "What the request adds exists already.",
    InvalidArgument "An argument is missing, malformed, out of range or at odds with another.",
    InUse "What the request removes is needed by something else.",
    StaleVersion "The entry has changed since the version that the request names.",
    OwnedByAnother "The entry belongs to another owner.",
    Unavailable "The host refuses: no such device, queue taken, mode not obtainable.",
    LimitReached "A bound of the daemon is reached.",
    InvalidConfiguration "The configuration file has faults, one line each.",
    PermissionDenied "The caller may read only.",
}

/// A refused request: what is wrong and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Why.
    pub kind: RefusalKind,
    /// The argument at fault; present with [`RefusalKind::InvalidArgument`] alone.
    pub argument: Option<String>,
    /// What is wrong, as one sentence without a full stop, naming the thing and the value.
    pub what: String,
    /// What the caller can do about it, in the same form.
    pub remedy: String,
}

impl Refusal {
    /// A refusal of any kind that needs no argument's name.
    #[must_use]
    pub fn new(kind: RefusalKind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, argument: None, what: what.into(), remedy: remedy.into() }
    }

    /// A [`RefusalKind::InvalidArgument`].
    #[must_use]
    pub fn argument(argument: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { argument: Some(argument.into()), ..Self::new(RefusalKind::InvalidArgument, what, remedy) }
    }

    /// The Varlink error's full name.
    #[must_use]
    pub fn error_name(&self) -> String {
        format!("{}.{}", crate::INTERFACE, self.kind.name())
    }

    /// The Varlink error's parameters.
    #[must_use]
    pub fn parameters(&self) -> Value {
        let mut parameters = json!({ "what": self.what, "remedy": self.remedy });
        if self.kind == RefusalKind::InvalidArgument {
            parameters["argument"] = json!(self.argument.as_deref().unwrap_or_default());
        }
        parameters
    }

    /// The refusal that a Varlink error means; `None` for errors of other interfaces and unknown ones.
    #[must_use]
    pub fn from_error(name: &str, parameters: Option<&Value>) -> Option<Self> {
        let name = name.strip_prefix(crate::INTERFACE)?.strip_prefix('.')?;
        let kind = *RefusalKind::ALL.iter().find(|kind| kind.name() == name)?;
        let text = |key: &str| parameters?.get(key)?.as_str().map(str::to_owned);
        Some(Self {
            kind,
            argument: text("argument"),
            what: text("what").unwrap_or_else(|| name.to_owned()),
            remedy: text("remedy").unwrap_or_default(),
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

impl std::error::Error for Refusal {}
