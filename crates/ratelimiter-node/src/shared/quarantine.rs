//! Entries of a wrong type, as another program or a hand may write them. One of them would fail
//! every command about it, and every sync with it. It is put aside, which makes it one more entry
//! that was lost, and named.

use std::sync::LazyLock;

use ratelimiter_api::LimitEntry;
use ratelimiter_api::layout::{self, LimitCopy};
use ratelimiter_store::StoreError;
use redis::Script;

use super::store::{BACKGROUND_DEADLINE, SharedStore};

static QUARANTINE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("quarantine.lua")));

/// The types of a counter's entries, in the order of [`layout::counter`].
const COUNTER_TYPES: [&str; 4] = ["zset", "hash", "zset", "zset"];

impl SharedStore {
    /// The entries that this node put aside, by name.
    pub(crate) fn quarantined(&self) -> Vec<String> {
        self.quarantined.lock().iter().cloned().collect()
    }

    /// Puts the entries aside that belong to all keys and have a wrong type.
    pub(crate) async fn quarantine_state(&self) -> Result<(), StoreError> {
        let mut entries = limit_entries(LimitCopy::originals());
        entries.push((layout::LIMITS_STATE.to_owned(), "hash"));
        entries.push((layout::NODES.to_owned(), "hash"));
        self.quarantine(entries).await
    }

    /// Puts the entries aside that belong to one key and have a wrong type.
    pub(crate) async fn quarantine_key(&self, entry: &LimitEntry) -> Result<(), StoreError> {
        let mut entries: Vec<_> = layout::counter(&entry.key, entry.epoch)
            .into_iter()
            .zip(COUNTER_TYPES)
            .collect();
        if self.copies_limits() {
            entries.extend(limit_entries(LimitCopy::of(&entry.key)));
        }
        self.quarantine(entries).await
    }

    async fn quarantine(&self, entries: Vec<(String, &str)>) -> Result<(), StoreError> {
        let mut call = QUARANTINE.prepare_invoke();
        for (name, kind) in &entries {
            call.key(name).arg(*kind);
        }
        let (place, call) = (entries[0].0.as_str(), &call);
        let moved: Vec<String> = self
            .membership
            .at(place)
            .run_idempotent(BACKGROUND_DEADLINE, async |mut connection| {
                call.invoke_async(&mut connection).await
            })
            .await?;
        for name in moved {
            if self.quarantined.lock().insert(name.clone()) {
                tracing::error!(%name, "an entry of the store has a wrong type: another program \
                    wrote it; it is kept as {name}:quarantined, and its content is treated as \
                    lost");
            }
        }
        Ok(())
    }
}

fn limit_entries(copy: LimitCopy) -> Vec<(String, &'static str)> {
    vec![
        (copy.limits, "hash"),
        (copy.changed, "zset"),
        (copy.deleted, "zset"),
        (copy.version, "number"),
        (copy.clock, "hash"),
    ]
}
