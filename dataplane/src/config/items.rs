//! Collections of configured things, each at most once: keyed, always in the order of their keys. A lookup, an
//! insertion and a removal cost the logarithm of the size, so that entries can come by the hundred thousand.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use wire::{Mac, Vni};

/// A thing with an identity.
pub trait Keyed {
    /// The identity.
    type Key: Ord + Clone;

    /// This thing's identity.
    fn key(&self) -> Self::Key;
}

/// A thing that belongs to a VNI, with the VNI leading its key.
pub trait InVni: Keyed {
    /// The least and the greatest key within a VNI.
    fn bounds(vni: Vni) -> RangeInclusive<Self::Key>;
}

/// A thing that somebody wrote.
pub trait Owned: InVni {
    /// Who wrote it; see [`super::owner`].
    fn owner(&self) -> &str;

    /// The VNI it is in.
    fn vni(&self) -> Vni;
}

/// Things of one kind, by key.
pub struct Items<T: Keyed>(BTreeMap<T::Key, T>);

impl<T: Keyed> Items<T> {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All, in the order of their keys.
    pub fn iter(&self) -> btree_map::Values<'_, T::Key, T> {
        self.0.values()
    }

    /// The one with this key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&T>
    where
        T::Key: Borrow<Q>,
    {
        self.0.get(key)
    }

    /// Whether there is one with this key.
    pub fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        T::Key: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// Puts one in and returns what had its key before.
    pub fn insert(&mut self, item: T) -> Option<T> {
        self.0.insert(item.key(), item)
    }

    /// Takes one out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<T>
    where
        T::Key: Borrow<Q>,
    {
        self.0.remove(key)
    }
}

impl<T: InVni> Items<T> {
    /// Those of one VNI, in the order of their keys.
    pub fn in_vni(&self, vni: Vni) -> impl Iterator<Item = &T> {
        self.0.range(T::bounds(vni)).map(|(_, item)| item)
    }

    /// Takes out those of one VNI for which `unwanted` holds.
    pub fn remove_in_vni(&mut self, vni: Vni, mut unwanted: impl FnMut(&T) -> bool) {
        let keys: Vec<T::Key> = self
            .0
            .range(T::bounds(vni))
            .filter(|(_, item)| unwanted(item))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &keys {
            self.0.remove(key);
        }
    }
}

impl<T: Keyed> Default for Items<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Keyed + Clone> Clone for Items<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Keyed + PartialEq> PartialEq for Items<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Keyed + Eq> Eq for Items<T> {}

impl<T: Keyed + fmt::Debug> fmt::Debug for Items<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Keyed> FromIterator<T> for Items<T> {
    /// Of several with one key, the last stays.
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().map(|item| (item.key(), item)).collect())
    }
}

impl<T: Keyed> From<Vec<T>> for Items<T> {
    /// Of several with one key, the last stays.
    fn from(items: Vec<T>) -> Self {
        items.into_iter().collect()
    }
}

impl<T: Keyed> Extend<T> for Items<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        self.0.extend(items.into_iter().map(|item| (item.key(), item)));
    }
}

impl<'a, T: Keyed> IntoIterator for &'a Items<T> {
    type Item = &'a T;
    type IntoIter = btree_map::Values<'a, T::Key, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Keyed> IntoIterator for Items<T> {
    type Item = T;
    type IntoIter = btree_map::IntoValues<T::Key, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_values()
    }
}

/// The least and the greatest IP address in the order of [`IpAddr`].
pub(super) const ADDRESSES: (IpAddr, IpAddr) =
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)));
/// The least and the greatest Ethernet address.
pub(super) const MACS: (Mac, Mac) = (Mac::ZERO, Mac::BROADCAST);
