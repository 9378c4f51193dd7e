//! The limits that a node knows, and the order in which changes of them hold.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use ratelimiter_api::{Key, LimitEntry};

use super::counter::{CounterCell, LocalCounter};
use crate::shared::LimitChange;

/// Deletions that are remembered, the newest: a store that comes back with an older state is given
/// them.
const MAX_DELETED: usize = 10_000;

/// Every key with a limit, each with the version of its last change.
///
/// Changes arrive in three ways: as the answer to a change made through this node, as the changes
/// since a version, and as the list of all limits at a version. They may arrive in any order; for
/// each key the change with the highest version holds.
#[derive(Debug, Default)]
pub(crate) struct LimitTable {
    held: BTreeMap<Key, VersionedCounter>,
    deleted: BTreeMap<Key, u64>,
    /// Version up to which every change is known; none before the first list.
    listed: Option<u64>,
    /// The newest version of any change.
    newest: u64,
    /// The life of the store's state that the versions belong to; empty before the first answer.
    life: String,
}

#[derive(Debug)]
struct VersionedCounter {
    version: u64,
    counter: Arc<CounterCell>,
}

impl LimitTable {
    /// Holds these limits until the first list.
    pub(crate) fn assume(&mut self, entries: &[LimitEntry]) {
        for entry in entries {
            self.apply(LimitChange::set(0, entry.clone()));
        }
    }

    /// Whether all limits were ever read.
    pub(crate) fn are_known(&self) -> bool {
        self.listed.is_some()
    }

    /// The newest version of any change.
    pub(crate) fn version(&self) -> u64 {
        self.newest
    }

    /// The version of a limit's last change; zero for a key without a limit.
    pub(crate) fn version_of(&self, key: &Key) -> u64 {
        self.held.get(key).map_or(0, |held| held.version)
    }

    /// The version up to which every change is known.
    pub(crate) fn listed(&self) -> Option<u64> {
        self.listed
    }

    /// The life of the store's state that the versions belong to; empty before the first answer.
    pub(crate) fn life(&self) -> &str {
        &self.life
    }

    /// The store's state has this life.
    pub(crate) fn set_life(&mut self, life: &str) {
        if self.life != life {
            life.clone_into(&mut self.life);
        }
    }

    /// One change.
    pub(crate) fn change(&mut self, change: LimitChange) {
        self.newest = self.newest.max(change.version);
        self.apply(change);
    }

    /// All changes after the listed version, up to `version`.
    pub(crate) fn catch_up(&mut self, version: u64, changes: Vec<LimitChange>) {
        changes.into_iter().for_each(|change| self.apply(change));
        self.listed = self.listed.max(Some(version));
        self.newest = self.newest.max(version);
    }

    /// All limits at `version`, each with the version of its last change. Changes after it hold.
    pub(crate) fn replace(&mut self, version: u64, changes: Vec<LimitChange>) {
        let listed: HashSet<Key> = changes.iter().map(|change| change.key.clone()).collect();
        self.held.retain(|key, held| {
            let keep = held.version > version || listed.contains(key);
            if !keep {
                held.counter.lock().delete();
            }
            keep
        });
        self.catch_up(version, changes);
    }

    fn apply(&mut self, change: LimitChange) {
        let LimitChange {
            key,
            version,
            entry,
        } = change;
        let known = self
            .held
            .get(&key)
            .map(|held| held.version)
            .max(self.deleted.get(&key).copied());
        if known.is_some_and(|known| known > version) {
            return;
        }
        match entry {
            Some(entry) => {
                self.deleted.remove(&key);
                if let Some(held) = self.held.get_mut(&key) {
                    held.version = version;
                    held.counter.lock().change(entry);
                } else {
                    self.held.insert(
                        key,
                        VersionedCounter {
                            version,
                            counter: Arc::new(CounterCell::new(LocalCounter::new(entry))),
                        },
                    );
                }
            }
            None => {
                if let Some(held) = self.held.remove(&key) {
                    held.counter.lock().delete();
                }
                self.note_deleted(key, version);
            }
        }
    }

    fn note_deleted(&mut self, key: Key, version: u64) {
        self.deleted.insert(key, version);
        if self.deleted.len() > MAX_DELETED {
            let mut versions: Vec<_> = self.deleted.values().copied().collect();
            let middle = versions.len() / 2;
            let (_, median, _) = versions.select_nth_unstable(middle);
            let median = *median;
            self.deleted.retain(|_, version| *version > median);
        }
    }

    /// The counter of a key.
    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<CounterCell>> {
        self.held.get(key).map(|held| &held.counter)
    }

    /// The counters of keys after `after`, by key.
    pub(crate) fn counters(&self, after: Option<&Key>) -> impl Iterator<Item = &Arc<CounterCell>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.held
            .range::<Key, _>((from, Bound::Unbounded))
            .map(|(_, held)| &held.counter)
    }

    /// Every limit and remembered deletion as the change that made it.
    pub(crate) fn changes(&self) -> Vec<LimitChange> {
        let held = self.held.values().map(|held| {
            let entry = held.counter.lock().entry.clone();
            LimitChange::set(held.version, entry)
        });
        let deleted = self.deleted.iter();
        let deleted = deleted.map(|(key, version)| LimitChange::deleted(*version, key.clone()));
        held.chain(deleted).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
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

    fn set(version: u64, key: &str, epoch: u64) -> LimitChange {
        LimitChange::set(version, entry(key, epoch))
    }

    fn deleted(version: u64, key: &str) -> LimitChange {
        LimitChange::deleted(version, Key::new(key).unwrap())
    }

    fn epoch(limits: &LimitTable, key: &str) -> Option<u64> {
        limits
            .get(&Key::new(key).unwrap())
            .map(|c| c.lock().entry.epoch)
    }

    #[test]
    fn stale_list_does_not_undo_a_change() {
        let mut limits = LimitTable::default();
        limits.replace(4, vec![set(1, "a", 1), set(2, "c", 2)]);
        limits.change(set(5, "b", 5));
        limits.change(set(6, "a", 6));
        limits.change(deleted(7, "c"));
        limits.replace(4, vec![set(1, "a", 1), set(2, "c", 2)]);
        assert_eq!(
            (
                epoch(&limits, "a"),
                epoch(&limits, "b"),
                epoch(&limits, "c")
            ),
            (Some(6), Some(5), None)
        );
        assert_eq!(
            (limits.listed(), limits.version()),
            (Some(4), 7),
            "changes of others are still to be read"
        );
        limits.catch_up(8, vec![set(6, "a", 6), deleted(8, "b")]);
        assert_eq!((epoch(&limits, "b"), limits.listed()), (None, Some(8)));
    }

    #[test]
    fn an_old_answer_changes_nothing() {
        let mut limits = LimitTable::default();
        limits.replace(7, vec![set(7, "a", 7)]);
        limits.change(set(5, "a", 5));
        limits.change(deleted(6, "a"));
        assert_eq!(epoch(&limits, "a"), Some(7));
    }

    #[test]
    fn deletions_are_remembered_within_a_bound() {
        let mut limits = LimitTable::default();
        for version in 0..3 * MAX_DELETED as u64 {
            limits.change(deleted(version, &format!("k{version}")));
        }
        let newest = 3 * MAX_DELETED as u64 - 1;
        let changes = limits.changes();
        assert!(changes.len() <= MAX_DELETED, "{}", changes.len());
        assert!(changes.contains(&deleted(newest, &format!("k{newest}"))));
    }
}
