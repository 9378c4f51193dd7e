use std::collections::BTreeMap;
use std::sync::LazyLock;

use ratelimiter_api::{Key, LimitEntry, layout};
use ratelimiter_store::StoreError;
use redis::{FromRedisValue, Script, ScriptInvocation};

use super::store::{BACKGROUND_DEADLINE, SharedStore};

/// Limits in one call of a script: enough to be quick, few enough not to hold up the store.
const CALL_MOST: usize = 1000;

/// A script about limits, with the head that all of them share.
macro_rules! limit_script {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(
                include_str!("../clock.lua"),
                include_str!("../limiter/leased/begin.lua"),
                include_str!("limits.lua"),
                include_str!($file)
            ))
        });
    };
}

limit_script!(SET_LIMITS, "set_limits.lua");
limit_script!(RESET_COUNTER, "reset_counter.lua");
limit_script!(DELETE_LIMIT, "delete_limit.lua");
limit_script!(RESTORE_LIMITS, "restore_limits.lua");
limit_script!(SEED_LIMITS, "seed_limits.lua");

/// A change of one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitChange {
    pub(crate) key: Key,
    /// Version of the limits that the change made.
    pub(crate) version: u64,
    /// The limit after the change; none when it was deleted.
    pub(crate) entry: Option<LimitEntry>,
}

impl LimitChange {
    /// A limit that was set at a version.
    pub(crate) fn set(version: u64, entry: LimitEntry) -> Self {
        Self {
            key: entry.key.clone(),
            version,
            entry: Some(entry),
        }
    }

    /// A limit that was deleted at a version.
    pub(crate) fn deleted(version: u64, key: Key) -> Self {
        Self {
            key,
            version,
            entry: None,
        }
    }
}

/// The state of the limits that a node knows.
#[derive(Clone, Debug)]
pub(crate) struct LimitsState {
    pub(crate) version: u64,
    pub(crate) life: String,
    /// Now on the common clock, once it was read.
    pub(crate) now_us: Option<u64>,
}

/// A change of limits that the store made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangedLimits {
    /// Version of the limits after the change.
    pub(crate) version: u64,
    /// The entries as the script of the change lists them.
    pub(crate) entries: Vec<Option<LimitEntry>>,
    /// When the last loss of the store's state was noticed, microseconds on the common clock; zero
    /// for never.
    pub(crate) lost_us: u64,
}

/// A change of limits for all nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LimitCommand<'a> {
    /// Set these, at most [`CALL_MOST`]; the store assigns the epochs.
    Set(&'a [LimitEntry]),
    /// Begin a new counter, and drop the admissions of the old one.
    Reset(&'a Key),
    /// Remove the limit and its admissions.
    Delete(&'a Key),
}

/// The version of the limits, the versions of their last changes, and their entries.
type LimitParts = (Option<u64>, BTreeMap<String, u64>, BTreeMap<String, String>);

/// All limits that were read, unless their hash was lost before it was read: a node that took that
/// for deletions would forget its own admissions. Other programs' entries that are no limits are
/// left out.
fn listing((version, versions, entries): LimitParts) -> Option<(u64, Vec<LimitChange>)> {
    if version.is_some() && !entries.contains_key(layout::PART) {
        return None;
    }
    let change = |text: &String| {
        let entry: LimitEntry = serde_json::from_str(text).ok()?;
        let version = versions.get(entry.key.as_str()).copied().unwrap_or(0);
        Some(LimitChange::set(version, entry))
    };
    Some((
        version.unwrap_or(0),
        entries.values().filter_map(change).collect(),
    ))
}

impl SharedStore {
    /// Every limit with the version of its last change, and a version of the limits that is not
    /// newer than they are. Nothing when the store has just lost its limits: the next refresh finds
    /// them torn.
    pub(crate) async fn limits(&self) -> Result<Option<(u64, Vec<LimitChange>)>, StoreError> {
        let mut pipeline = redis::pipe();
        // The versions first: a limit may be newer than the version beside it, but never older.
        pipeline
            .get(layout::LIMITS_VERSION)
            .zrange_withscores(layout::LIMITS_CHANGED, 0, -1)
            .hgetall(layout::LIMITS);
        Ok(listing(self.read(layout::LIMITS, &pipeline).await?))
    }

    /// The changes after `version`. Complete only while the store remembers every deletion since
    /// then.
    pub(crate) async fn changes_since(&self, version: u64) -> Result<Vec<LimitChange>, StoreError> {
        let after = format!("({version}");
        let mut pipeline = redis::pipe();
        for set in [layout::LIMITS_CHANGED, layout::LIMITS_DELETED] {
            pipeline.zrangebyscore_withscores(set, &after, "+inf");
        }
        type Scored = Vec<(String, u64)>;
        let (changed, deleted): (Scored, Scored) = self.read(layout::LIMITS, &pipeline).await?;
        let mut changes = Vec::new();
        for some in changed.chunks(CALL_MOST) {
            let keys: Vec<_> = some.iter().map(|(key, _)| key.as_str()).collect();
            let entries = self.entries(&keys).await?;
            for ((_, version), entry) in some.iter().zip(entries) {
                // A limit that is gone meanwhile has a deletion with a higher version.
                changes.extend(entry.map(|entry| LimitChange::set(*version, entry)));
            }
        }
        let deletion = |(key, version): (String, u64)| {
            Some(LimitChange::deleted(version, Key::new(key).ok()?))
        };
        changes.extend(deleted.into_iter().filter_map(deletion));
        Ok(changes)
    }

    /// The limits of these keys; none for a key without one.
    pub(super) async fn entries(
        &self,
        keys: &[&str],
    ) -> Result<Vec<Option<LimitEntry>>, StoreError> {
        let mut read = redis::pipe();
        read.hmget(layout::LIMITS, keys);
        let (texts,): (Vec<Option<String>>,) = self.read(layout::LIMITS, &read).await?;
        let entry = |text: Option<String>| serde_json::from_str(&text?).ok();
        Ok(texts.into_iter().map(entry).collect())
    }

    /// Changes limits. Nothing when the store has lost its state, and needs the limits that the
    /// node remembers first.
    pub(crate) async fn change_limits(
        &self,
        known: &LimitsState,
        command: &LimitCommand<'_>,
    ) -> Result<Option<ChangedLimits>, StoreError> {
        let mut call;
        match *command {
            LimitCommand::Set(entries) => {
                call = self.prepare(&SET_LIMITS, known);
                for entry in entries {
                    call.arg(entry.key.as_str()).arg(json(entry));
                }
            }
            LimitCommand::Reset(key) => {
                call = self.prepare(&RESET_COUNTER, known);
                call.arg(key.as_str());
            }
            LimitCommand::Delete(key) => {
                call = self.prepare(&DELETE_LIMIT, known);
                call.arg(key.as_str());
            }
        }
        let done: Option<(u64, Vec<String>, u64)> = self.call(&mut call).await?;
        let entry = |text: &String| serde_json::from_str(text).ok();
        Ok(done.map(|(version, texts, lost_us)| ChangedLimits {
            version,
            entries: texts.iter().map(entry).collect(),
            lost_us,
        }))
    }

    /// Gives the store the limits and deletions that this node remembers; for each key the newest
    /// change holds. Returns the life of the store's state.
    pub(crate) async fn restore_limits(
        &self,
        known: &LimitsState,
        changes: &[LimitChange],
    ) -> Result<String, StoreError> {
        let mut life = known.life.clone();
        // One call without limits begins a life where there is nothing to restore.
        let calls = changes
            .chunks(CALL_MOST)
            .chain(changes.is_empty().then_some(changes));
        for some in calls {
            let mut call = self.prepare(&RESTORE_LIMITS, known);
            for LimitChange {
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
        known: &LimitsState,
        entries: &[LimitEntry],
    ) -> Result<(), StoreError> {
        for some in entries.chunks(CALL_MOST) {
            let mut call = self.prepare(&SEED_LIMITS, known);
            for entry in some {
                call.arg(entry.key.as_str()).arg(json(entry));
            }
            self.call::<()>(&mut call).await?;
        }
        Ok(())
    }

    /// A call of a script, with the arguments that all of them share. The boot names the life that
    /// the call may begin.
    fn prepare<'a>(&self, script: &'a Script, known: &LimitsState) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        call.arg(known.version).arg(&known.life);
        call.arg(self.names.boot());
        call.arg(known.now_us.map_or_else(String::new, |now| now.to_string()));
        call.arg(&self.new_store);
        call.arg(if self.copies_limits() { "" } else { "ledgers" });
        call
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
            layout::CLOCK,
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

pub(super) fn json(entry: &LimitEntry) -> String {
    serde_json::to_string(entry).expect("an entry has string keys only")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The store may evict the hash between a refresh and the listing.
    #[test]
    fn lost_hash_lists_no_deletions() {
        let versions = BTreeMap::from([("k".to_owned(), 3)]);
        let part = BTreeMap::from([(layout::PART.to_owned(), "life".to_owned())]);
        let lost = BTreeMap::new();
        assert_eq!(listing((Some(3), versions.clone(), lost.clone())), None);
        assert_eq!(listing((Some(3), versions, part)), Some((3, Vec::new())));
        assert_eq!(
            listing((None, BTreeMap::new(), lost)),
            Some((0, Vec::new())),
            "a store without any limits"
        );
    }
}
