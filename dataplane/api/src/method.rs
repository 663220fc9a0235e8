//! What a method is, how methods are declared, and how a call is decoded.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A method of the interface: its parameters are the type that implements this.
pub trait Method: Serialize + DeserializeOwned {
    /// Its name within the interface.
    const NAME: &'static str;
    /// What it answers.
    type Reply: Serialize + DeserializeOwned;
}

/// A method call that cannot be taken for one of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InvalidRequest {
    /// The interface has no such method.
    UnknownMethod,
    /// A parameter is missing, unknown or of the wrong type.
    Parameter {
        /// Its name, or `parameters` when it is not one alone.
        name: String,
        /// What is wrong with it.
        what: String,
    },
}

/// Declares the methods once: parameters, reply, and the enumeration of all of them with its decoder.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* } -> $reply:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $kind,)*
            }

            impl Method for $name {
                const NAME: &'static str = stringify!($name);
                type Reply = $reply;
            }

            #[cfg(test)]
            impl crate::reply::Fields for $name {
                const FIELDS: &[&str] = &[$(stringify!($field)),*];
            }
        )*

        /// A decoded method call.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Request {
            $(#[doc = concat!("[`", stringify!($name), "`].")] $name($name),)*
        }

        impl Request {
            /// The names of all methods.
            pub const METHODS: &[&str] = &[$($name::NAME),*];

            /// Decodes a call of the method `name` (without the interface's name).
            ///
            /// # Errors
            /// When there is no such method, or its parameters are not as the interface says.
            pub fn decode(name: &str, parameters: Option<serde_json::Value>) -> Result<Self, InvalidRequest> {
                match name {
                    $($name::NAME => decode_parameters(parameters).map(Self::$name),)*
                    _ => Err(InvalidRequest::UnknownMethod),
                }
            }
        }
    };
}

/// Parameters as one type; the error names the one that does not fit.
pub(crate) fn decode_parameters<T: DeserializeOwned>(parameters: Option<Value>) -> Result<T, InvalidRequest> {
    let parameters = parameters.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    if !parameters.is_object() {
        // A sequence would be taken for the fields in order.
        return Err(InvalidRequest::Parameter { name: "parameters".into(), what: "not an object".into() });
    }
    serde_path_to_error::deserialize(parameters).map_err(|error| {
        let what = error.inner().to_string();
        let path = error.path().to_string();
        // What is missing has no path; its name is in the sentence alone.
        let missing = what.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        let name = missing.unwrap_or(if path == "." { "parameters" } else { &path }).to_owned();
        InvalidRequest::Parameter { name, what }
    })
}

pub(crate) use methods;
