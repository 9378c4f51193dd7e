use std::collections::HashMap;

use ratelimiter_api::{Key, LimitEntry, layout};
use ratelimiter_store::StoreError;
use redis::{FromRedisValue, Script, ScriptInvocation};

use super::{BACKGROUND_DEADLINE, SharedStore};

/// The scripts about limits, sent by their hashes like the one of the checks.
#[derive(Debug)]
pub(crate) struct LimitScripts {
    set: Script,
    reset: Script,
    delete: Script,
    restore: Script,
}

impl LimitScripts {
    pub(crate) fn new() -> Self {
        Self {
            set: Script::new(concat!(include_str!("limits.lua"), include_str!("set_limit.lua"))),
            reset: Script::new(concat!(include_str!("limits.lua"), include_str!("reset_counter.lua"))),
            delete: Script::new(concat!(include_str!("limits.lua"), include_str!("delete_limit.lua"))),
            restore: Script::new(concat!(include_str!("limits.lua"), include_str!("restore_limits.lua"))),
        }
    }
}

/// What can be done to a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LimitChange<'a> {
    /// Sets it, with the epoch that the store says.
    Set(&'a LimitEntry),
    /// Begins a new counter.
    Reset(&'a Key),
    /// Removes it.
    Delete(&'a Key),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// With this version of the limits it is done. Carries the limit as it is now, or as it was when deleted; nothing where
    /// there was none.
    Done(u64, Option<LimitEntry>),
    /// The store has lost its state: it has to be given the limits that the node remembers before one is changed.
    Forgot,
}

impl SharedStore {
    /// Every limit, and a version of the limits that is not newer than they are. What another program wrote there and is
    /// no limit is left out.
    pub(crate) async fn limits(&self) -> Result<(u64, Vec<LimitEntry>), StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(layout::LIMITS_VERSION).cmd("HGETALL").arg(layout::LIMITS);
        let (version, entries): (Option<u64>, HashMap<String, String>) =
            self.reads.pipeline(&pipeline, BACKGROUND_DEADLINE).await?;
        let entries = entries.values().filter_map(|text| serde_json::from_str(text).ok()).collect();
        Ok((version.unwrap_or(0), entries))
    }

    /// Changes one limit for all nodes.
    pub(crate) async fn change_limit(
        &self,
        known_version: u64,
        change: LimitChange<'_>,
    ) -> Result<Changed, StoreError> {
        let scripts = &self.limit_scripts;
        let (script, key) = match change {
            LimitChange::Set(entry) => (&scripts.set, &entry.key),
            LimitChange::Reset(key) => (&scripts.reset, key),
            LimitChange::Delete(key) => (&scripts.delete, key),
        };
        let mut call = script.prepare_invoke();
        call.arg(known_version).arg(key.as_str());
        if let LimitChange::Set(entry) = change {
            call.arg(json(entry));
        }
        let done: Option<(u64, String)> = self.call(&mut call).await?;
        Ok(done.map_or(Changed::Forgot, |(version, text)| {
            Changed::Done(version, serde_json::from_str(&text).ok())
        }))
    }

    /// Tells a store that lost its state what this node remembers.
    pub(crate) async fn restore_limits(
        &self,
        known_version: u64,
        entries: &[LimitEntry],
    ) -> Result<(), StoreError> {
        let mut call = self.limit_scripts.restore.prepare_invoke();
        call.arg(known_version);
        for entry in entries {
            call.arg(entry.key.as_str()).arg(json(entry));
        }
        self.call(&mut call).await
    }

    async fn call<T: FromRedisValue>(&self, call: &mut ScriptInvocation<'_>) -> Result<T, StoreError> {
        call.key(layout::LIMITS).key(layout::LIMITS_VERSION);
        let result = self
            .membership
            .run(BACKGROUND_DEADLINE, async |mut connection| call.invoke_async(&mut connection).await);
        self.written(result.await)
    }
}

fn json(entry: &LimitEntry) -> String {
    serde_json::to_string(entry).expect("an entry has string keys only")
}
