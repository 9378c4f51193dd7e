use ratelimiter_api::{Key, LimitEntry};
use ratelimiter_store::StoreError;

use super::Limiter;
use crate::shared::{Change, Changed, KnownLimits, Refresh};

/// Limits that one change may set.
pub(crate) const MAX_LIMITS_AT_ONCE: usize = 1000;

/// Changes of limits. Each is made in the store first, and holds on this node when the future
/// completes.
impl Limiter {
    /// Holds these limits until the store is reached.
    pub(crate) fn assume(&self, entries: &[LimitEntry]) {
        self.limits_mut().assume(entries);
    }

    /// Sets at most [`MAX_LIMITS_AT_ONCE`] limits, with the epochs that the store assigns. Returns
    /// the entries as the store keeps them.
    pub(crate) async fn set_limits(
        &self,
        entries: &[LimitEntry],
    ) -> Result<Vec<LimitEntry>, StoreError> {
        loop {
            let changed = self.store.set_limits(&self.known(), entries).await?;
            if let Some((version, kept)) = self.done(changed).await? {
                let change = |entry: &LimitEntry| Change {
                    key: entry.key.clone(),
                    version,
                    entry: Some(entry.clone()),
                };
                let changes: Vec<_> = kept.iter().map(change).collect();
                self.store.copy_limits(&changes, false).await?;
                let mut limits = self.limits_mut();
                changes.into_iter().for_each(|change| limits.change(change));
                return Ok(kept);
            }
        }
    }

    /// Removes a limit. Returns the entry as it was, if there was one.
    pub(crate) async fn delete_limit(&self, key: &Key) -> Result<Option<LimitEntry>, StoreError> {
        loop {
            let changed = self.store.delete_limit(&self.known(), key).await?;
            if let Some((version, deleted)) = self.done(changed).await? {
                if let Some(old) = deleted.first() {
                    let change = Change {
                        key: key.clone(),
                        version,
                        entry: None,
                    };
                    self.store
                        .copy_limits(std::slice::from_ref(&change), false)
                        .await?;
                    self.limits_mut().change(change);
                    self.leases.replaced(key, None);
                    self.store.drop_counter(old).await;
                }
                return Ok(deleted.into_iter().next());
            }
        }
    }

    /// Begins a new counter. Returns the entry with its new epoch, if there is a limit.
    pub(crate) async fn reset_counter(&self, key: &Key) -> Result<Option<LimitEntry>, StoreError> {
        loop {
            let changed = self.store.reset_counter(&self.known(), key).await?;
            if let Some((version, kept)) = self.done(changed).await? {
                if let [entry, old, ..] = kept.as_slice() {
                    let change = Change {
                        key: key.clone(),
                        version,
                        entry: Some(entry.clone()),
                    };
                    self.store
                        .copy_limits(std::slice::from_ref(&change), false)
                        .await?;
                    self.limits_mut().change(change);
                    self.leases.replaced(key, Some(entry.epoch));
                    self.store.drop_counter(old).await;
                }
                return Ok(kept.into_iter().next());
            }
        }
    }

    /// The result of a change that the store made. A store that has lost its state makes none: it
    /// is given the limits first, since otherwise the nodes would take the changed limit for the
    /// only one, and the change is to be repeated.
    async fn done(&self, changed: Changed) -> Result<Option<(u64, Vec<LimitEntry>)>, StoreError> {
        match changed {
            Changed::Done(version, entries) => Ok(Some((version, entries))),
            Changed::Forgot => self.restore_limits().await.map(|()| None),
        }
    }

    /// The state of the limits that this node knows.
    pub(crate) fn known(&self) -> KnownLimits {
        let limits = self.limits();
        KnownLimits {
            version: limits.version(),
            life: limits.life().to_owned(),
            boot: self.boot.clone(),
        }
    }

    /// Gives a store that lost its state the limits and deletions that this node remembers.
    async fn restore_limits(&self) -> Result<(), StoreError> {
        let changes = self.limits().changes();
        let life = self.store.restore_limits(&self.known(), &changes).await?;
        self.limits_mut().set_life(&life);
        Ok(())
    }

    /// Takes over the changes that the store has beyond those known here. `known` is the state
    /// before the store was asked, `seeds` are limits to be added where the store has none. True
    /// when any limit changed.
    ///
    /// A store that is behind, or has another life, has lost its state, and every node gives it all
    /// that it remembers before it reads: so no node's deletion is undone by a node that did not
    /// know of it, whoever comes first.
    pub(crate) async fn follow(
        &self,
        known: &KnownLimits,
        answer: &Refresh,
        seeds: &[LimitEntry],
    ) -> Result<bool, StoreError> {
        let other_life = !known.life.is_empty() && answer.life != known.life;
        let lost = answer.version < known.version || other_life;
        if lost {
            self.restore_limits().await?;
            self.doubt();
        }
        let listed = self.limits().listed();
        if !lost && listed == Some(answer.version) {
            return Ok(false);
        }
        if !seeds.is_empty() {
            self.store.seed_limits(&self.known(), seeds).await?;
        }
        match listed {
            Some(listed) if !lost && listed >= answer.floor => {
                let changes = self.store.changes_since(listed).await?;
                self.limits_mut().catch_up(answer.version, changes);
            }
            _ => {
                let (version, changes) = self.store.limits().await?;
                self.limits_mut().replace(version, changes);
            }
        }
        if known.life.is_empty() {
            self.limits_mut().set_life(&answer.life);
        }
        Ok(true)
    }
}
