use std::time::Duration;

use ratelimiter_api::{ChangedLimit, CountingMode, FormerGrants, Key, LimitEntry};
use ratelimiter_store::StoreError;
use tokio::time::{Instant, sleep, timeout};

use super::Limiter;
use super::leased::LEASE_ENDS;
use crate::shared::{ChangedLimits, LimitChange, LimitCommand, LimitsState, StoreRefresh};

/// How long a change waits for the common clock.
const CLOCK_DEADLINE: Duration = Duration::from_secs(2);
/// Time between two looks.
const CLOCK_POLL: Duration = Duration::from_millis(20);

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
    /// the entries as the store keeps them, once no grant of a stricter limit is out that was given
    /// before.
    pub(crate) async fn set_limits(
        &self,
        entries: &[LimitEntry],
    ) -> Result<Vec<ChangedLimit>, StoreError> {
        let done = self.change(&LimitCommand::Set(entries)).await?;
        let pairs: Vec<_> = done
            .entries
            .chunks_exact(2)
            .filter_map(|pair| Some((pair[0].clone()?, pair[1].clone())))
            .collect();
        let change = |(entry, _): &(LimitEntry, _)| LimitChange::set(done.version, entry.clone());
        let changes = pairs.iter().map(change).collect();
        self.spread(changes, done.lost_us).await?;
        let former = |(entry, old): &(LimitEntry, Option<LimitEntry>)| {
            old.clone().filter(|old| is_stricter(old, entry))
        };
        let waited: Vec<_> = pairs.iter().map(former).collect();
        let grants = self.former_grants(&waited).await;
        for (entry, old) in &pairs {
            if let Some(old) = old.as_ref().filter(|old| old.epoch != entry.epoch) {
                self.context.store.drop_counter(old).await;
            }
        }
        let changed = pairs.into_iter().zip(grants);
        Ok(changed
            .map(|((entry, _), former_grants)| ChangedLimit {
                entry,
                former_grants,
            })
            .collect())
    }

    /// Removes a limit. Returns the entry as it was, if there was one.
    pub(crate) async fn delete_limit(&self, key: &Key) -> Result<Option<LimitEntry>, StoreError> {
        let done = self.change(&LimitCommand::Delete(key)).await?;
        let deleted = done.entries.into_iter().next().flatten();
        if let Some(old) = &deleted {
            let change = LimitChange::deleted(done.version, key.clone());
            self.replace_counter(old, change, done.lost_us).await?;
        }
        Ok(deleted)
    }

    /// Begins a new counter. Returns the entry with its new epoch, if there is a limit.
    pub(crate) async fn reset_counter(
        &self,
        key: &Key,
    ) -> Result<Option<ChangedLimit>, StoreError> {
        let done = self.change(&LimitCommand::Reset(key)).await?;
        let [Some(entry), Some(old), ..] = done.entries.as_slice() else {
            return Ok(None);
        };
        let change = LimitChange::set(done.version, entry.clone());
        let former_grants = self.replace_counter(old, change, done.lost_us).await?;
        Ok(Some(ChangedLimit {
            entry: entry.clone(),
            former_grants,
        }))
    }

    /// Changes limits in the store. One that has lost its state changes none: it is given the
    /// limits first, since otherwise the nodes would take the changed limit for the only one.
    ///
    /// A change may begin a life of the store's state, and the time of a loss. So it waits until
    /// this node has the clock of the others.
    async fn change(&self, command: &LimitCommand<'_>) -> Result<ChangedLimits, StoreError> {
        let (store, clock) = (&self.context.store, &self.context.clock);
        let is_read = async {
            while !clock.is_read() {
                sleep(CLOCK_POLL).await;
            }
        };
        if timeout(CLOCK_DEADLINE, is_read).await.is_err() {
            return Err(StoreError::Deadline {
                url: store.checks.url().clone(),
                deadline: CLOCK_DEADLINE,
            });
        }
        loop {
            if let Some(done) = store.change_limits(&self.known(), command).await? {
                return Ok(done);
            }
            self.restore_limits().await?;
        }
    }

    /// Copies changes of the store to where its parts need them, and to this node.
    async fn spread(&self, changes: Vec<LimitChange>, lost_us: u64) -> Result<(), StoreError> {
        let copied = self.context.store.copy_limits(&changes, Some(lost_us));
        copied.await?;
        let mut limits = self.limits_mut();
        changes.into_iter().for_each(|change| limits.change(change));
        Ok(())
    }

    /// Ends a counter, once none of its grants is out, and drops its entries in the store.
    async fn replace_counter(
        &self,
        old: &LimitEntry,
        change: LimitChange,
        lost_us: u64,
    ) -> Result<Option<FormerGrants>, StoreError> {
        let epoch = change.entry.as_ref().map(|entry| entry.epoch);
        self.spread(vec![change], lost_us).await?;
        self.leases.replaced(&old.key, epoch);
        let leased = Some(old.clone()).filter(|old| old.counting == CountingMode::Leased);
        let grants = self.former_grants(&[leased]).await;
        self.context.store.drop_counter(old).await;
        Ok(grants.into_iter().next().flatten())
    }

    /// Waits until no grant of these limits is out that was given until now. Grants end by
    /// themselves, so that this takes no longer than a lease, whatever the store does meanwhile.
    async fn former_grants(&self, limits: &[Option<LimitEntry>]) -> Vec<Option<FormerGrants>> {
        let until = Instant::now() + LEASE_ENDS;
        let mut results = Vec::new();
        for limit in limits {
            results.push(match limit {
                Some(limit) => Some(self.leases.former(limit, until).await),
                None => None,
            });
        }
        results
    }

    /// The state of the limits that this node knows.
    pub(crate) fn known(&self) -> LimitsState {
        let limits = self.limits();
        LimitsState {
            version: limits.version(),
            life: limits.life().to_owned(),
            now_us: self.context.clock.read_us(),
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
        let lost = answer.version < known.version || other_life || answer.torn;
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
                let Some((version, changes)) = self.context.store.limits().await? else {
                    return Ok(false);
                };
                self.limits_mut().replace(version, changes);
            }
        }
        if known.life.is_empty() {
            self.limits_mut().set_life(&answer.life);
        }
        Ok(true)
    }
}

/// Whether grants of a limit as it was may admit more than it allows now.
fn is_stricter(old: &LimitEntry, new: &LimitEntry) -> bool {
    old.counting == CountingMode::Leased
        && (old.epoch != new.epoch
            || new.limit.admissions() < old.limit.admissions()
            || new.limit.window() > old.limit.window())
}
