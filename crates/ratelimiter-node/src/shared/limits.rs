use std::collections::HashMap;

use ratelimiter_api::{Key, LimitEntry, layout};
use ratelimiter_store::StoreError;
use redis::{FromRedisValue, Script, ScriptInvocation};

use super::store::{BACKGROUND_DEADLINE, SharedStore};

/// Limits in one call of a script: enough to be quick, few enough not to hold up the store.
const CALL_MOST: usize = 1000;

/// A change of one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: Key,
    /// Version of the limits that the change made.
    pub(crate) version: u64,
    /// The limit after the change; none when it was deleted.
    pub(crate) entry: Option<LimitEntry>,
}

/// The state of the limits that a node knows, and the name under which it may begin a new one.
#[derive(Clone, Debug)]
pub(crate) struct KnownLimits {
    pub(crate) version: u64,
    pub(crate) life: String,
    pub(crate) boot: String,
}

/// The result of a change of limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// The version of the limits after the change, and the limits after it, or before it when one
    /// was deleted. No limits where there was none.
    Done(u64, Vec<LimitEntry>),
    /// The store has lost its state: it needs the limits that the node remembers before one is
    /// changed.
    Forgot,
}

impl SharedStore {
    /// Every limit with the version of its last change, and a version of the limits that is not
    /// newer than they are. Other programs' entries that are no limits are left out.
    pub(crate) async fn limits(&self) -> Result<(u64, Vec<Change>), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(layout::LIMITS_VERSION);
        // The versions first: a limit may be newer than the version beside it, but never older.
        pipeline
            .cmd("ZRANGE")
            .arg(layout::LIMITS_CHANGED)
            .arg(0)
            .arg(-1)
            .arg("WITHSCORES");
        pipeline.cmd("HGETALL").arg(layout::LIMITS);
        type Answer = (Option<u64>, HashMap<String, u64>, HashMap<String, String>);
        let (version, versions, entries): Answer = self
            .reads
            .at(layout::LIMITS)
            .run_idempotent(BACKGROUND_DEADLINE, async |mut connection| {
                pipeline.query_async(&mut connection).await
            })
            .await?;
        let change = |text: &String| {
            let entry: LimitEntry = serde_json::from_str(text).ok()?;
            let version = versions.get(entry.key.as_str()).copied().unwrap_or(0);
            Some(Change {
                key: entry.key.clone(),
                version,
                entry: Some(entry),
            })
        };
        Ok((
            version.unwrap_or(0),
            entries.values().filter_map(change).collect(),
        ))
    }

    /// The changes after `version`. Complete only while the store remembers every deletion since
    /// then.
    pub(crate) async fn changes_since(&self, version: u64) -> Result<Vec<Change>, StoreError> {
        let after = format!("({version}");
        let mut pipeline = redis::pipe();
        for set in [layout::LIMITS_CHANGED, layout::LIMITS_DELETED] {
            pipeline
                .cmd("ZRANGEBYSCORE")
                .arg(set)
                .arg(&after)
                .arg("+inf")
                .arg("WITHSCORES");
        }
        type Scored = Vec<(String, u64)>;
        let (changed, deleted): (Scored, Scored) = self
            .reads
            .at(layout::LIMITS)
            .run_idempotent(BACKGROUND_DEADLINE, async |mut connection| {
                pipeline.query_async(&mut connection).await
            })
            .await?;
        let mut changes = Vec::new();
        for some in changed.chunks(CALL_MOST) {
            let mut read = redis::cmd("HMGET");
            read.arg(layout::LIMITS)
                .arg(some.iter().map(|(key, _)| key).collect::<Vec<_>>());
            let texts: Vec<Option<String>> = self
                .reads
                .at(layout::LIMITS)
                .run_idempotent(BACKGROUND_DEADLINE, async |mut connection| {
                    read.query_async(&mut connection).await
                })
                .await?;
            for ((_, version), text) in some.iter().zip(texts) {
                let entry = text.and_then(|text| serde_json::from_str::<LimitEntry>(&text).ok());
                // A limit that is gone meanwhile has a deletion with a higher version.
                changes.extend(entry.map(|entry| Change {
                    key: entry.key.clone(),
                    version: *version,
                    entry: Some(entry),
                }));
            }
        }
        let deletion = |(key, version): (String, u64)| {
            Some(Change {
                key: Key::new(key).ok()?,
                version,
                entry: None,
            })
        };
        changes.extend(deleted.into_iter().filter_map(deletion));
        Ok(changes)
    }

    /// Sets limits for all nodes, at most [`CALL_MOST`]; the store assigns the epochs.
    pub(crate) async fn set_limits(
        &self,
        known: &KnownLimits,
        entries: &[LimitEntry],
    ) -> Result<Changed, StoreError> {
        let mut call = prepare(&self.scripts.set_limits, known);
        for entry in entries {
            call.arg(entry.key.as_str()).arg(json(entry));
        }
        self.change(&mut call).await
    }

    /// Begins a new counter for all nodes, and drops the admissions of the old one.
    pub(crate) async fn reset_counter(
        &self,
        known: &KnownLimits,
        key: &Key,
    ) -> Result<Changed, StoreError> {
        let mut call = prepare(&self.scripts.reset_counter, known);
        self.change(call.arg(key.as_str())).await
    }

    /// Removes a limit and its admissions for all nodes.
    pub(crate) async fn delete_limit(
        &self,
        known: &KnownLimits,
        key: &Key,
    ) -> Result<Changed, StoreError> {
        let mut call = prepare(&self.scripts.delete_limit, known);
        self.change(call.arg(key.as_str())).await
    }

    /// Gives the store the limits and deletions that this node remembers; for each key the newest
    /// change holds. Returns the life of the store's state.
    pub(crate) async fn restore_limits(
        &self,
        known: &KnownLimits,
        changes: &[Change],
    ) -> Result<String, StoreError> {
        let mut life = known.life.clone();
        // One call without limits begins a life where there is nothing to restore.
        let calls = changes
            .chunks(CALL_MOST)
            .chain(changes.is_empty().then_some(changes));
        for some in calls {
            let mut call = prepare(&self.scripts.restore_limits, known);
            for Change {
                key,
                version,
                entry,
            } in some
            {
                call.arg(key.as_str())
                    .arg(version)
                    .arg(entry.as_ref().map_or_else(String::new, json));
            }
            life = self.call(&mut call).await?;
        }
        Ok(life)
    }

    /// Adds the limits for which the store has none.
    pub(crate) async fn seed_limits(
        &self,
        known: &KnownLimits,
        entries: &[LimitEntry],
    ) -> Result<(), StoreError> {
        for some in entries.chunks(CALL_MOST) {
            let mut call = prepare(&self.scripts.seed_limits, known);
            for entry in some {
                call.arg(entry.key.as_str()).arg(json(entry));
            }
            self.call::<()>(&mut call).await?;
        }
        Ok(())
    }

    async fn change(&self, call: &mut ScriptInvocation<'_>) -> Result<Changed, StoreError> {
        let done: Option<(u64, Vec<String>)> = self.call(call).await?;
        Ok(done.map_or(Changed::Forgot, |(version, texts)| {
            Changed::Done(
                version,
                texts
                    .iter()
                    .filter_map(|text| serde_json::from_str(text).ok())
                    .collect(),
            )
        }))
    }

    async fn call<T: FromRedisValue>(
        &self,
        call: &mut ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        for key in [
            layout::LIMITS,
            layout::LIMITS_VERSION,
            layout::LIMITS_CHANGED,
            layout::LIMITS_DELETED,
            layout::LIMITS_STATE,
            layout::LOSS,
        ] {
            call.key(key);
        }
        let call = &*call;
        let result = self
            .membership
            .at(layout::LIMITS)
            .run(BACKGROUND_DEADLINE, async |mut connection| {
                call.invoke_async(&mut connection).await
            });
        self.written(result.await)
    }
}

fn prepare<'a>(script: &'a Script, known: &KnownLimits) -> ScriptInvocation<'a> {
    let mut call = script.prepare_invoke();
    call.arg(known.version).arg(&known.life).arg(&known.boot);
    call
}

pub(super) fn json(entry: &LimitEntry) -> String {
    serde_json::to_string(entry).expect("an entry has string keys only")
}
