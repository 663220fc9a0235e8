//! What a file may say: the machinery that makes a reader, a writer and a description out of one declaration of tables
//! and keys. The declaration itself is in `tables`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::Reader;
use super::source::Span;
use super::value::Value;

/// A table of the file.
#[derive(Clone, Debug)]
pub struct TableSchema {
    /// Its name.
    pub name: &'static str,
    /// Whether it may come several times, as `[[name]]`.
    pub many: bool,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys.
    pub keys: Vec<KeySchema>,
}

impl TableSchema {
    /// The header as a file has it.
    #[must_use]
    pub fn header(&self) -> String {
        let name = self.name;
        if self.many { format!("[[{name}]]") } else { format!("[{name}]") }
    }
}

/// A key of a table.
#[derive(Clone, Debug)]
pub struct KeySchema {
    /// Its name.
    pub name: &'static str,
    /// What its value is for.
    pub doc: &'static str,
    /// What its value looks like, with an article.
    pub expected: &'static str,
    /// Whether it must be there.
    pub presence: Presence,
}

/// Whether a key must be there.
#[derive(Clone, PartialEq, Debug)]
pub enum Presence {
    /// It must.
    Required,
    /// It need not, and then there is no value.
    Optional,
    /// It need not, and then this is its value.
    Default(toml::Value),
}

/// One table as it is in the file.
pub(super) struct Row<'a> {
    pub(super) keys: &'a DeTable<'a>,
    /// Its header.
    pub(super) header: Span,
    /// Whether lines of it could not be read, so that what is not there may have been.
    pub(super) torn: bool,
}

/// A value in a row. The types of slots differ in what they make of a key that is not there.
pub(super) trait Slot: Sized {
    /// The type of the value.
    type Value: Value;
    /// What stands in for a value that is not there.
    type Default;
    /// Whether the key must be there.
    const REQUIRED: bool;

    fn presence(default: Self::Default) -> Presence;
    /// From what was read; the span is there if the key is.
    fn filled(value: Option<Self::Value>, span: Option<Span>, default: Self::Default) -> Self;
    /// Where the value is written.
    fn span(&self) -> Option<&Span>;
    /// What a file must say, `None` if nothing.
    fn write(&self, default: Self::Default) -> Option<toml::Value>;
}

/// A key that must be there. Its value is `None` when the file is faulty.
pub(super) struct Required<T> {
    pub(super) value: Option<T>,
    span: Option<Span>,
}

/// A key without a default.
pub(super) struct Optional<T> {
    pub(super) value: Option<T>,
    span: Option<Span>,
}

/// A key with a default.
pub(super) struct Defaulted<T> {
    pub(super) value: T,
    span: Option<Span>,
    malformed: bool,
}

impl<T> From<T> for Required<T> {
    fn from(value: T) -> Self {
        Self { value: Some(value), span: None }
    }
}

impl<T> From<Option<T>> for Optional<T> {
    fn from(value: Option<T>) -> Self {
        Self { value, span: None }
    }
}

impl<T> From<T> for Defaulted<T> {
    fn from(value: T) -> Self {
        Self { value, span: None, malformed: false }
    }
}

impl<T> Optional<T> {
    /// Whether the file has the key with a value that is not as expected.
    pub(super) const fn is_malformed(&self) -> bool {
        self.span.is_some() && self.value.is_none()
    }
}

impl<T> Defaulted<T> {
    /// Whether the file has the key with a value that is not as expected.
    pub(super) const fn is_malformed(&self) -> bool {
        self.malformed
    }
}

impl<T: Value> Slot for Required<T> {
    type Value = T;
    type Default = ();
    const REQUIRED: bool = true;

    fn presence((): ()) -> Presence {
        Presence::Required
    }

    fn filled(value: Option<T>, span: Option<Span>, (): ()) -> Self {
        Self { value, span }
    }

    fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    fn write(&self, (): ()) -> Option<toml::Value> {
        self.value.as_ref().map(Value::write)
    }
}

impl<T: Value> Slot for Optional<T> {
    type Value = T;
    type Default = ();
    const REQUIRED: bool = false;

    fn presence((): ()) -> Presence {
        Presence::Optional
    }

    fn filled(value: Option<T>, span: Option<Span>, (): ()) -> Self {
        Self { value, span }
    }

    fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    fn write(&self, (): ()) -> Option<toml::Value> {
        self.value.as_ref().map(Value::write)
    }
}

impl<T: Value> Slot for Defaulted<T> {
    type Value = T;
    type Default = T;
    const REQUIRED: bool = false;

    fn presence(default: T) -> Presence {
        Presence::Default(default.write())
    }

    fn filled(value: Option<T>, span: Option<Span>, default: T) -> Self {
        let malformed = span.is_some() && value.is_none();
        Self { value: value.unwrap_or(default), span, malformed }
    }

    fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    fn write(&self, default: T) -> Option<toml::Value> {
        (self.value != default).then(|| self.value.write())
    }
}

/// Where the keys of a row have their values.
pub(super) type KeySpans = Vec<(&'static str, Span)>;

/// A row with its values read.
pub(super) trait Record: Sized {
    /// The name of its table.
    const NAME: &'static str;
    /// Whether the table may come several times.
    const MANY: bool;
    /// The names of its keys.
    const KEYS: &'static [&'static str];

    fn schema() -> TableSchema;
    fn read(row: &Row<'_>, reader: &mut Reader<'_>) -> Self;
    fn spans(&self) -> KeySpans;
    fn write(&self) -> Vec<(&'static str, toml::Value)>;
}

/// Reads one key of a row.
pub(super) fn read_slot<S: Slot>(
    row: &Row<'_>,
    name: &'static str,
    doc: &'static str,
    default: S::Default,
    reader: &mut Reader<'_>,
) -> S {
    let written: Option<&Spanned<DeValue<'_>>> = row.keys.get(name);
    let mut wrong = Vec::new();
    let value = written.and_then(|value| S::Value::read(value, &mut wrong));
    for mistake in wrong {
        reader.mistake(name, doc, mistake);
    }
    if S::REQUIRED && written.is_none() && !row.torn {
        reader.missing_key(row, name, S::Value::EXPECTED, doc);
    }
    S::filled(value, written.map(Spanned::span), default)
}

/// Declares tables: `one` or `many`, name, record, and each key with its documentation, slot and default.
macro_rules! tables {
    ($(
        $(#[doc = $doc:literal])+
        $count:ident $name:literal $Record:ident {
            $( $(#[doc = $key_doc:literal])+ $key:ident: $Slot:ty $(= $default:expr)?; )+
        }
    )+) => {
        $(
            $(#[doc = $doc])+
            pub(super) struct $Record {
                $( $(#[doc = $key_doc])+ pub(super) $key: $Slot, )+
            }

            impl Record for $Record {
                const NAME: &'static str = $name;
                const MANY: bool = tables!(@many $count);
                const KEYS: &'static [&'static str] = &[$(stringify!($key)),+];

                fn schema() -> TableSchema {
                    TableSchema {
                        name: Self::NAME,
                        many: Self::MANY,
                        doc: concat!($($doc),+).trim_ascii_start(),
                        keys: vec![$(KeySchema {
                            name: stringify!($key),
                            doc: concat!($($key_doc),+).trim_ascii_start(),
                            expected: <<$Slot as Slot>::Value as Value>::EXPECTED,
                            presence: <$Slot as Slot>::presence(tables!(@default $($default)?)),
                        }),+],
                    }
                }

                fn read(row: &Row<'_>, reader: &mut Reader<'_>) -> Self {
                    reader.refuse_unknown::<Self>(row);
                    Self {
                        $($key: read_slot(
                            row,
                            stringify!($key),
                            concat!($($key_doc),+).trim_ascii_start(),
                            tables!(@default $($default)?),
                            reader,
                        ),)+
                    }
                }

                fn spans(&self) -> KeySpans {
                    let spans = [$((stringify!($key), self.$key.span())),+];
                    spans.into_iter().filter_map(|(key, span)| Some((key, span?.clone()))).collect()
                }

                fn write(&self) -> Vec<(&'static str, toml::Value)> {
                    let values = [$((stringify!($key), self.$key.write(tables!(@default $($default)?)))),+];
                    values.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
                }
            }
        )+

        /// Every table and key that a file may have.
        #[must_use]
        pub fn schema() -> Vec<TableSchema> {
            vec![$($Record::schema()),+]
        }
    };
    (@many one) => { false };
    (@many many) => { true };
    (@default $default:expr) => { $default };
    (@default) => { () };
}
pub(super) use tables;
