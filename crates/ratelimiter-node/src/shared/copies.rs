use std::sync::LazyLock;

use ratelimiter_api::LimitEntry;
use ratelimiter_api::layout::{self, LimitCopy};
use ratelimiter_store::StoreError;
use redis::{Script, cmd};

use super::limits::{LimitChange, json};
use super::store::{BACKGROUND_DEADLINE, SharedStore};

static COPY_LIMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../limiter/leased/begin.lua"),
        include_str!("copy_limit.lua")
    ))
});

/// The entries beside a key's admissions that follow its limit.
impl SharedStore {
    /// Puts the copies of changed limits in their places, so that the next check of any node goes
    /// by them. Does nothing where one store has both. With the time of the last loss of the
    /// store's state when this node made the changes a moment ago: only then is a counter that is
    /// not there a new one.
    pub(crate) async fn copy_limits(
        &self,
        changes: &[LimitChange],
        made: Option<u64>,
    ) -> Result<(), StoreError> {
        if !self.copies_limits() {
            return Ok(());
        }
        let copies: Vec<_> = changes
            .iter()
            .map(|change| LimitCopy::of(&change.key))
            .collect();
        let places: Vec<_> = copies.iter().map(|copy| copy.limits.as_str()).collect();
        let copied = self.membership.scatter(
            &places,
            BACKGROUND_DEADLINE,
            async |mut connection, places| {
                for &place in &places {
                    let (change, copy) = (&changes[place], &copies[place]);
                    let mut call = COPY_LIMIT.prepare_invoke();
                    call.key(&copy.limits)
                        .key(&copy.changed)
                        .key(&copy.deleted)
                        .key(&copy.version);
                    call.arg(change.key.as_str())
                        .arg(change.version)
                        .arg(change.entry.as_ref().map_or_else(String::new, json))
                        .arg(made.map_or_else(String::new, |lost_us| lost_us.to_string()));
                    call.invoke_async::<()>(&mut connection).await?;
                }
                Ok(vec![(); places.len()])
            },
        );
        copied.await.into_iter().collect()
    }

    /// Drops the entries of a counter that is not the current one any more. What is left of them
    /// expires later.
    pub(crate) async fn drop_counter(&self, old: &LimitEntry) {
        let entries = layout::counter(&old.key, old.epoch);
        let mut command = cmd("UNLINK");
        command.arg(&entries);
        let dropped = self
            .membership
            .at(&entries[0])
            .query::<u64>(&command, BACKGROUND_DEADLINE)
            .await;
        if let Err(error) = dropped {
            tracing::debug!(key = %old.key, %error, "an old counter stays until it expires");
        }
    }
}
