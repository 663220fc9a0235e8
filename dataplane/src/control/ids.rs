//! Names to indices. An index is given to something else only after [`Registry::reclaim`], which the control thread
//! calls when every worker has let go of the tables that held it.

use std::collections::{BTreeMap, BTreeSet};

/// The indices of one kind of thing.
#[derive(Debug)]
pub(super) struct Registry<K> {
    by_key: BTreeMap<K, u32>,
    by_index: BTreeMap<u32, K>,
    retired: BTreeSet<u32>,
    first: u32,
    limit: u32,
}

/// All indices are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all {0} places are taken")]
pub(super) struct Exhausted(pub(super) u32);

impl<K: Ord + Clone> Registry<K> {
    /// Indices `first..limit`.
    #[must_use]
    pub(super) const fn new(first: u32, limit: u32) -> Self {
        Self { by_key: BTreeMap::new(), by_index: BTreeMap::new(), retired: BTreeSet::new(), first, limit }
    }

    /// The index of `key`, a new one if it has none: the lowest that is free.
    ///
    /// # Errors
    /// [`Exhausted`] when none is free.
    pub(super) fn claim(&mut self, key: &K) -> Result<u32, Exhausted> {
        if let Some(index) = self.by_key.get(key) {
            return Ok(*index);
        }
        let index = (self.first..self.limit)
            .find(|index| !self.by_index.contains_key(index) && !self.retired.contains(index))
            .ok_or(Exhausted(self.limit - self.first))?;
        self.by_key.insert(key.clone(), index);
        self.by_index.insert(index, key.clone());
        Ok(index)
    }

    /// The index of `key`.
    pub(super) fn index(&self, key: &K) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    /// What an index stands for.
    #[must_use]
    pub(super) fn key(&self, index: u32) -> Option<&K> {
        self.by_index.get(&index)
    }

    /// Retires every key that `keep` refuses; their indices stay out of use until [`Registry::reclaim`].
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) -> Vec<u32> {
        let gone: Vec<(u32, K)> = self
            .by_index
            .iter()
            .filter(|(_, key)| !keep(key))
            .map(|(index, key)| (*index, key.clone()))
            .collect();
        for (index, key) in &gone {
            self.by_index.remove(index);
            self.by_key.remove(key);
            self.retired.insert(*index);
        }
        gone.into_iter().map(|(index, _)| index).collect()
    }

    /// Makes retired indices free: nobody holds tables with them any more.
    pub(super) fn reclaim(&mut self) {
        self.retired.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_index_is_not_given_away_before_it_is_reclaimed() {
        let mut registry = Registry::new(1, 4);
        assert_eq!(registry.claim(&"a"), Ok(1));
        assert_eq!(registry.claim(&"b"), Ok(2));
        assert_eq!(registry.claim(&"a"), Ok(1));
        assert_eq!(registry.retain(|key| *key != "a"), vec![1]);
        assert_eq!(registry.claim(&"c"), Ok(3));
        assert_eq!(registry.claim(&"d"), Err(Exhausted(3)));
        registry.reclaim();
        assert_eq!(registry.claim(&"d"), Ok(1));
        assert_eq!(registry.key(1), Some(&"d"));
        assert_eq!(registry.index(&"a"), None);
    }
}
