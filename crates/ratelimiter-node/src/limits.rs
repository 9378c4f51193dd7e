//! The limits a node knows, and how it takes over changes that reach it in any order.

use std::collections::HashMap;

use ratelimiter_api::{Key, LimitEntry};

use crate::counter::Counter;

/// Every key with a limit, and which version of the limits that is.
///
/// Changes arrive by two ways: as the answer to a change made through this node, and as the list of all limits read
/// when the version grew. A list may have been read before the change and arrive after it, so that each carries the
/// version it stands for, and the older never replaces the newer.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    counters: HashMap<Key, Counter>,
    /// The version of the last list; none before the first.
    listed: Option<u64>,
    /// The newest version heard of.
    newest: u64,
}

impl Limits {
    /// Whether there was ever a list to know limits from.
    pub(crate) fn are_known(&self) -> bool {
        self.listed.is_some()
    }

    /// The newest version heard of.
    pub(crate) fn version(&self) -> u64 {
        self.newest
    }

    /// Whether the store's limits at `version` are the ones known here.
    pub(crate) fn are_listed_at(&self, version: u64) -> bool {
        self.listed == Some(version)
    }

    /// These are all limits there are. A counter goes on where the limit changed, and begins anew where it was reset.
    pub(crate) fn replace(&mut self, version: u64, entries: Vec<LimitEntry>) {
        if version < self.newest {
            return;
        }
        let mut old = std::mem::take(&mut self.counters);
        for entry in entries {
            let counter = Counter::continued(old.remove(&entry.key), entry);
            self.counters.insert(counter.entry.key.clone(), counter);
        }
        self.listed = Some(version);
        self.newest = version;
    }

    /// With this version, this limit was set or its counter was reset.
    pub(crate) fn put(&mut self, version: u64, entry: LimitEntry) {
        if self.is_news(version) {
            let old = self.counters.remove(&entry.key);
            self.counters.insert(entry.key.clone(), Counter::continued(old, entry));
        }
    }

    /// With this version, this limit was gone.
    pub(crate) fn remove(&mut self, version: u64, key: &Key) {
        if self.is_news(version) {
            self.counters.remove(key);
        }
    }

    fn is_news(&mut self, version: u64) -> bool {
        self.newest = self.newest.max(version);
        self.listed.is_none_or(|listed| version > listed)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Counter> {
        self.counters.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut Counter> {
        self.counters.get_mut(key)
    }

    /// The counter of a key, unless it was reset since.
    pub(crate) fn of_epoch(&mut self, key: &Key, epoch: u64) -> Option<&mut Counter> {
        self.get_mut(key).filter(|counter| counter.entry.epoch == epoch)
    }

    pub(crate) fn counters(&self) -> impl Iterator<Item = &Counter> {
        self.counters.values()
    }

    pub(crate) fn counters_mut(&mut self) -> impl Iterator<Item = &mut Counter> {
        self.counters.values_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.counters.len()
    }
}

#[cfg(test)]
mod tests {
    use ratelimiter_api::{CountingMode, Limit, StoreFailurePolicy};

    use super::*;

    fn entry(key: &str, epoch: u64) -> LimitEntry {
        LimitEntry {
            key: Key::new(key).unwrap(),
            limit: Limit::new(10, 60).unwrap(),
            counting: CountingMode::Cached,
            on_store_failure: StoreFailurePolicy::Local,
            epoch,
        }
    }

    fn epoch(limits: &Limits, key: &str) -> Option<u64> {
        limits.get(&Key::new(key).unwrap()).map(|c| c.entry.epoch)
    }

    #[test]
    fn a_list_read_before_a_change_does_not_undo_it() {
        let mut limits = Limits::default();
        limits.replace(4, vec![entry("a", 1)]);
        limits.put(5, entry("b", 5));
        limits.put(6, entry("a", 6));
        limits.replace(4, vec![entry("a", 1)]);
        assert_eq!((epoch(&limits, "a"), epoch(&limits, "b")), (Some(6), Some(5)));
        assert!(!limits.are_listed_at(6), "what others changed meanwhile is still to be read");
        limits.replace(6, vec![entry("a", 6)]);
        assert_eq!(epoch(&limits, "b"), None);
        assert!(limits.are_listed_at(6));
    }

    #[test]
    fn the_answer_to_a_change_that_is_already_listed_changes_nothing() {
        let mut limits = Limits::default();
        limits.replace(7, vec![entry("a", 7)]);
        limits.put(5, entry("a", 5));
        limits.remove(6, &Key::new("a").unwrap());
        assert_eq!(epoch(&limits, "a"), Some(7));
    }
}
