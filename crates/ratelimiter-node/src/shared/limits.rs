use std::collections::HashMap;

use ratelimiter_api::{Key, LimitEntry, layout};
use ratelimiter_store::StoreError;
use redis::{FromRedisValue, Script, ScriptInvocation, cmd};

use super::{BACKGROUND_DEADLINE, SharedStore};

impl SharedStore {
    /// Every limit. What another program wrote there and is no limit is left out.
    pub(crate) async fn limits(&self) -> Result<Vec<LimitEntry>, StoreError> {
        let entries: HashMap<String, String> =
            self.reads.query(cmd("HGETALL").arg(layout::LIMITS), BACKGROUND_DEADLINE).await?;
        Ok(entries.values().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    /// Sets a limit for all nodes and returns it with its counter's epoch.
    pub(crate) async fn set_limit(&self, entry: &LimitEntry) -> Result<LimitEntry, StoreError> {
        let script = Script::new(include_str!("set_limit.lua"));
        let mut call = limits_script(&script);
        call.arg(entry.key.as_str()).arg(json(entry));
        let kept: String = self.change(&call).await?;
        Ok(serde_json::from_str(&kept).unwrap_or_else(|_| entry.clone()))
    }

    /// Begins a new counter; nothing when there is no such limit.
    pub(crate) async fn reset_counter(&self, key: &Key) -> Result<Option<LimitEntry>, StoreError> {
        let script = Script::new(include_str!("reset_counter.lua"));
        let mut call = limits_script(&script);
        call.arg(key.as_str());
        let kept: Option<String> = self.change(&call).await?;
        Ok(kept.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Removes a limit; false when there was none.
    pub(crate) async fn delete_limit(&self, key: &Key) -> Result<bool, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        pipeline.cmd("HDEL").arg(layout::LIMITS).arg(key.as_str());
        pipeline.cmd("INCR").arg(layout::LIMITS_VERSION).ignore();
        let (removed,): (u64,) =
            self.written(self.membership.pipeline(&pipeline, BACKGROUND_DEADLINE).await)?;
        Ok(removed > 0)
    }

    /// Tells a store that lost its state what this node remembers.
    pub(crate) async fn restore_limits(
        &self,
        version: u64,
        entries: &[LimitEntry],
    ) -> Result<(), StoreError> {
        let script = Script::new(include_str!("restore_limits.lua"));
        let mut call = limits_script(&script);
        call.arg(version);
        for entry in entries {
            call.arg(entry.key.as_str()).arg(json(entry));
        }
        self.change(&call).await
    }

    async fn change<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        let result = self
            .membership
            .run(BACKGROUND_DEADLINE, async |mut connection| call.invoke_async(&mut connection).await);
        self.written(result.await)
    }
}

fn limits_script(script: &Script) -> ScriptInvocation<'_> {
    let mut call = script.key(layout::LIMITS);
    call.key(layout::LIMITS_VERSION);
    call
}

fn json(entry: &LimitEntry) -> String {
    serde_json::to_string(entry).expect("an entry has string keys only")
}
