//! Listings by the page: in order, bounded, without a copy of the whole.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use api::Refusal;
use wire::Mac;

/// Something that is listed: its place in the order, and how many make a page.
pub trait Listed {
    /// What it is ordered by and known by; no two have the same.
    type Key: Cursor;
    /// Entries of a page, such that its reply is about a mebibyte at most.
    const PAGE: usize;

    /// Its key.
    fn key(&self) -> Self::Key;
}

/// A key as the text that a client hands back for the next page.
pub trait Cursor: Ord + Clone {
    /// The text.
    fn to_text(&self) -> String;
    /// The key, if it is the text of one.
    fn from_text(text: &str) -> Option<Self>
    where
        Self: Sized;
}

impl Cursor for String {
    fn to_text(&self) -> String {
        self.clone()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Cursor for u32 {
    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl<A, B> Cursor for (A, B)
where
    A: Ord + Clone + Display + FromStr,
    B: Ord + Clone + Display + FromStr,
{
    fn to_text(&self) -> String {
        format!("{} {}", self.0, self.1)
    }

    fn from_text(text: &str) -> Option<Self> {
        // A port's name may contain a space; no second part does.
        let (first, second) = text.rsplit_once(' ')?;
        Some((first.parse().ok()?, second.parse().ok()?))
    }
}

/// Declares what is listed: type, key, page size, how to get the key.
macro_rules! listed {
    ($($name:ty, $key:ty, $page:literal, |$item:ident| $value:expr;)*) => {$(
        impl Listed for $name {
            type Key = $key;
            const PAGE: usize = $page;

            fn key(&self) -> $key {
                let $item = self;
                $value
            }
        }
    )*};
}

listed! {
    api::Port, String, 64, |port| port.ifname.clone();
    api::Vni, u32, 64, |vni| vni.vni;
    api::Remote, (u32, IpAddr), 512, |remote| (remote.vni, remote.dst);
    api::Group, (u32, String), 256, |group| (group.vni, group.name.clone());
    api::FdbEntry, (u32, Mac), 8192, |entry| (entry.vni, entry.mac);
    api::Neighbour, (u32, IpAddr), 8192, |neighbour| (neighbour.vni, neighbour.dst);
    api::MdbEntry, (u32, String), 8192, |entry| (entry.vni, entry.place());
    api::Drop, (String, String), 4096, |drop| (drop.port.clone().unwrap_or_default(), drop.reason.clone());
}

/// The first entries, in order, after a cursor: at most a page of them, however many are offered.
#[derive(Debug)]
pub struct Page<T: Listed> {
    after: Option<T::Key>,
    kept: BTreeMap<T::Key, T>,
    limit: usize,
    more: bool,
}

impl<T: Listed> Page<T> {
    /// An empty page that begins after a cursor, which an earlier page returned.
    ///
    /// # Errors
    /// When the cursor is not of this listing.
    pub fn from_cursor(cursor: Option<&str>) -> Result<Self, Refusal> {
        let after = match cursor {
            None => None,
            Some(text) => Some(T::Key::from_text(text).ok_or_else(|| {
                let what = format!("{text:?} is no cursor of this listing");
                Refusal::argument("cursor", what, "give `next` of the page before, or leave it out")
            })?),
        };
        Ok(Self { after, kept: BTreeMap::new(), limit: T::PAGE, more: false })
    }

    /// Whether an entry of this key belongs on the page, as far as is known by now.
    pub fn wants(&mut self, key: &T::Key) -> bool {
        if self.after.as_ref().is_some_and(|after| key <= after) {
            return false;
        }
        let beyond =
            self.kept.len() == self.limit && self.kept.last_key_value().is_some_and(|(last, _)| key > last);
        self.more |= beyond;
        !beyond
    }

    /// Takes an entry in if it belongs on the page. One of the same key gives way.
    pub fn offer(&mut self, entry: T) {
        let key = entry.key();
        if self.wants(&key) {
            self.kept.insert(key, entry);
            if self.kept.len() > self.limit {
                self.kept.pop_last();
                self.more = true;
            }
        }
    }

    /// The entries, and the cursor of the next page if there is one.
    #[must_use]
    pub fn finish(self) -> (Vec<T>, Option<String>) {
        let last = self.kept.last_key_value().map(|(key, _)| key.to_text());
        (self.kept.into_values().collect(), last.filter(|_| self.more))
    }
}
