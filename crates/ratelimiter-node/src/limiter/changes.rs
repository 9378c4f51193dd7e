use ratelimiter_api::{Key, LimitEntry};
use ratelimiter_store::StoreError;

use super::Limiter;
use crate::shared::{LimitChange, LimitCommand, LimitsState, StoreRefresh};

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
        let (version, kept) = self.change(&LimitCommand::Set(entries)).await?;
        let change = |entry: &LimitEntry| LimitChange::set(version, entry.clone());
        self.spread(kept.iter().map(change).collect()).await?;
        Ok(kept)
    }

    /// Removes a limit. Returns the entry as it was, if there was one.
    pub(crate) async fn delete_limit(&self, key: &Key) -> Result<Option<LimitEntry>, StoreError> {
        let (version, deleted) = self.change(&LimitCommand::Delete(key)).await?;
        let deleted = deleted.into_iter().next();
        if let Some(old) = &deleted {
            self.replace_counter(old, None, version).await?;
        }
        Ok(deleted)
    }

    /// Begins a new counter. Returns the entry with its new epoch, if there is a limit.
    pub(crate) async fn reset_counter(&self, key: &Key) -> Result<Option<LimitEntry>, StoreError> {
        let (version, kept) = self.change(&LimitCommand::Reset(key)).await?;
        if let [entry, old, ..] = kept.as_slice() {
            self.replace_counter(old, Some(entry), version).await?;
        }
        Ok(kept.into_iter().next())
    }

    /// Changes limits in the store. One that has lost its state changes none: it is given the
    /// limits first, since otherwise the nodes would take the changed limit for the only one.
    async fn change(
        &self,
        command: &LimitCommand<'_>,
    ) -> Result<(u64, Vec<LimitEntry>), StoreError> {
        loop {
            let store = &self.context.store;
            if let Some(done) = store.change_limits(&self.known(), command).await? {
                return Ok(done);
            }
            self.restore_limits().await?;
        }
    }

    /// Copies changes of the store to where its parts need them, and to this node.
    async fn spread(&self, changes: Vec<LimitChange>) -> Result<(), StoreError> {
        self.context.store.copy_limits(&changes, false).await?;
        let mut limits = self.limits_mut();
        changes.into_iter().for_each(|change| limits.change(change));
        Ok(())
    }

    /// Ends a counter of this node and drops its entries in the store.
    async fn replace_counter(
        &self,
        old: &LimitEntry,
        entry: Option<&LimitEntry>,
        version: u64,
    ) -> Result<(), StoreError> {
        let change = LimitChange {
            key: old.key.clone(),
            version,
            entry: entry.cloned(),
        };
        self.spread(vec![change]).await?;
        self.leases
            .replaced(&old.key, entry.map(|entry| entry.epoch));
        self.context.store.drop_counter(old).await;
        Ok(())
    }

    /// The state of the limits that this node knows.
    pub(crate) fn known(&self) -> LimitsState {
        let limits = self.limits();
        LimitsState {
            version: limits.version(),
            life: limits.life().to_owned(),
        }
    }

    /// Gives a store that lost its state the limits and deletions that this node remembers.
    async fn restore_limits(&self) -> Result<(), StoreError> {
        let changes = self.limits().changes();
        let life = self
            .context
            .store
            .restore_limits(&self.known(), &changes)
            .await?;
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
        known: &LimitsState,
        answer: &StoreRefresh,
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
            self.context.store.seed_limits(&self.known(), seeds).await?;
        }
        match listed {
            Some(listed) if !lost && listed >= answer.floor => {
                let changes = self.context.store.changes_since(listed).await?;
                self.limits_mut().catch_up(answer.version, changes);
            }
            _ => {
                let (version, changes) = self.context.store.limits().await?;
                self.limits_mut().replace(version, changes);
            }
        }
        if known.life.is_empty() {
            self.limits_mut().set_life(&answer.life);
        }
        Ok(true)
    }
}
