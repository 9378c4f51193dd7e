use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ratelimiter_api::{
    CheckResponse, Counters, CountingMode, DecidedBy, Key, KeyCounter, Limit, LimitEntry, MAX_LIMIT, NodeId,
    StoreFailurePolicy,
};

use crate::admissions::{Admission, AdmissionLog, RETENTION};
use crate::clock::{StoreClock, micros};
use crate::counting::{self, Decision, Undecided};
use crate::shared::{Members, ScriptArgs, SharedStore, SharedWindow, Span};

/// Decides checks. Knows every limit, this node's own admissions and, as of the last sync, everybody's.
#[derive(Debug)]
pub struct Limiter {
    node: NodeId,
    boot: String,
    members: Members,
    started_us: u64,
    sequence: AtomicU64,
    store_timeout: Duration,
    clock: Arc<StoreClock>,
    store: Arc<SharedStore>,
    keys: Mutex<HashMap<Key, KeyState>>,
}

/// Why a check has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Nobody set a limit for the key.
    #[error("key {0:?} has no limit: set one with POST /limit")]
    NoLimit(String),
}

#[derive(Debug)]
struct KeyState {
    entry: LimitEntry,
    log: AdmissionLog,
    others: Others,
    shared: Option<(u64, Instant)>,
}

/// What the other nodes admitted, as of the last sync.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Others {
    pub(crate) count: u64,
    pub(crate) oldest_us: Option<u64>,
    as_of_us: u64,
}

impl Others {
    const NONE: Self = Self { count: 0, oldest_us: None, as_of_us: 0 };

    /// The store's window less what it holds of this node's own.
    pub(crate) fn new(shared: SharedWindow, own: u64, as_of_us: u64) -> Self {
        Self { count: shared.count.saturating_sub(own), oldest_us: shared.oldest_us, as_of_us }
    }

    /// What is left of it: everything known had happened by the last sync, so a window later all of it is gone.
    pub(crate) fn at(&self, now_us: u64, limit: Limit) -> Self {
        if self.as_of_us + limit.window_us() > now_us { *self } else { Self::NONE }
    }
}

impl KeyState {
    fn new(entry: LimitEntry) -> Self {
        Self { entry, log: AdmissionLog::default(), others: Others::NONE, shared: None }
    }

    fn cached(&self, cost: u32, now_us: u64) -> Decision {
        counting::cached(self.entry.limit, &self.log, &self.others, cost, now_us)
    }
}

/// Admissions of one counter on their way to the store.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) key: Key,
    pub(crate) epoch: u64,
    pub(crate) span: Span,
    pub(crate) admissions: Vec<Admission>,
}

/// A window to be refreshed, and how much of it is known to be this node's own.
#[derive(Debug)]
pub(crate) struct Window {
    key: Key,
    epoch: u64,
    pub(crate) span: Span,
    own: u64,
}

impl Limiter {
    pub(crate) fn new(
        node: NodeId,
        store_timeout: Duration,
        clock: Arc<StoreClock>,
        store: Arc<SharedStore>,
    ) -> Self {
        let boot = boot_id();
        Self {
            members: Members::new(&node, &boot),
            node,
            boot,
            started_us: clock.now_us(),
            sequence: AtomicU64::new(0),
            store_timeout,
            clock,
            store,
            keys: Mutex::default(),
        }
    }

    /// This life of the node.
    pub(crate) fn boot(&self) -> &str {
        &self.boot
    }

    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Key, KeyState>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// May this happen now? Answers, with the limit in force, within the store timeout whatever the store does.
    ///
    /// # Errors
    /// When the key has no limit.
    pub async fn check(&self, key: &Key, cost: u32) -> Result<(CheckResponse, Limit), CheckError> {
        let entry = self.with_key(key, |state| state.entry.clone())?;
        let first = self.sequence.fetch_add(cost.into(), Ordering::Relaxed);
        let decision = match self.ask_store(&entry, cost, first).await {
            Some(Ok(decision)) => {
                self.remember(&entry, &decision, first, cost);
                decision
            }
            Some(Err(why)) => {
                tracing::debug!(%key, %why, "the store did not decide");
                self.decide_without_store(&entry, cost, first)?
            }
            None => self.decide_locally(key, cost, first)?,
        };
        Ok((self.respond(entry.limit, &decision), entry.limit))
    }

    fn with_key<T>(&self, key: &Key, act: impl FnOnce(&mut KeyState) -> T) -> Result<T, CheckError> {
        self.keys().get_mut(key).map(act).ok_or_else(|| CheckError::NoLimit(key.to_string()))
    }

    /// Nothing when the mode does not ask the store.
    async fn ask_store(
        &self,
        entry: &LimitEntry,
        cost: u32,
        first: u64,
    ) -> Option<Result<Decision, Undecided>> {
        let now_us = self.clock.now_us();
        Some(match entry.counting {
            CountingMode::Cached => return None,
            CountingMode::Atomic => {
                let deadline_us = now_us + micros(self.store_timeout);
                let args =
                    ScriptArgs { entry, cost, members: &self.members, first_sequence: first, deadline_us };
                counting::atomic(&self.store, args, self.store_timeout).await
            }
            CountingMode::ReadThenWrite => {
                let admissions = counting::admissions(now_us, first, cost);
                let (span, limit) = (Span::new(entry, now_us), entry.limit.admissions());
                counting::read_then_write(
                    &self.store,
                    &span,
                    limit,
                    &self.members,
                    &admissions,
                    self.store_timeout,
                )
                .await
            }
        })
    }

    /// The store has decided, and holds the admissions if there are any. Those of a counter that was reset meanwhile are
    /// nobody's any more.
    fn remember(&self, entry: &LimitEntry, decision: &Decision, first: u64, cost: u32) {
        if let Some(state) = self.keys().get_mut(&entry.key)
            && state.entry.epoch == entry.epoch
            && decision.allowed
        {
            for admission in counting::admissions(decision.now_us, first, cost) {
                state.log.add_synced(admission);
            }
        }
    }

    fn decide_without_store(
        &self,
        entry: &LimitEntry,
        cost: u32,
        first: u64,
    ) -> Result<Decision, CheckError> {
        let allowed = match entry.on_store_failure {
            StoreFailurePolicy::Local => return self.decide_locally(&entry.key, cost, first),
            StoreFailurePolicy::Allow => true,
            StoreFailurePolicy::Deny => false,
        };
        let now_us = self.clock.now_us();
        self.with_key(&entry.key, |state| {
            let known = state.cached(cost, now_us);
            if allowed {
                state.add_unsynced(now_us, first, cost);
            }
            Decision { allowed, by: DecidedBy::Policy, ..known }
        })
    }

    /// Decides and remembers under one lock, so that two checks never take the same last admission.
    fn decide_locally(&self, key: &Key, cost: u32, first: u64) -> Result<Decision, CheckError> {
        let now_us = self.clock.now_us();
        self.with_key(key, |state| {
            let decision = state.cached(cost, now_us);
            if decision.allowed {
                state.add_unsynced(now_us, first, cost);
            }
            decision
        })
    }

    fn respond(&self, limit: Limit, decision: &Decision) -> CheckResponse {
        let count = u32::try_from(decision.count).unwrap_or(u32::MAX);
        let frees_us = decision.oldest_us.unwrap_or(decision.now_us) + limit.window_us();
        CheckResponse {
            allowed: decision.allowed,
            limit: limit.admissions(),
            remaining: limit.admissions().saturating_sub(count),
            reset_ms: frees_us.saturating_sub(decision.now_us).div_ceil(1000),
            node: self.node.clone(),
            decided_by: decision.by,
        }
    }

    /// Every limit, by key.
    pub(crate) fn limits(&self) -> Vec<LimitEntry> {
        let mut limits: Vec<_> = self.keys().values().map(|s| s.entry.clone()).collect();
        limits.sort_by(|a, b| a.key.cmp(&b.key));
        limits
    }

    /// These are all limits there are. A counter goes on where the limit changed, and begins anew where it was reset.
    pub(crate) fn replace_limits(&self, entries: Vec<LimitEntry>) {
        let mut keys = self.keys();
        let mut old = std::mem::take(&mut *keys);
        for entry in entries {
            let state = old.remove(&entry.key);
            keys.insert(entry.key.clone(), continued(state, entry));
        }
    }

    /// This limit is new or has changed.
    pub(crate) fn put_limit(&self, entry: LimitEntry) {
        let mut keys = self.keys();
        let state = keys.remove(&entry.key);
        keys.insert(entry.key.clone(), continued(state, entry));
    }

    /// This limit is gone.
    pub(crate) fn remove_limit(&self, key: &Key) {
        self.keys().remove(key);
    }

    /// This node's admissions in each key's window before `at_us`, or before now.
    pub(crate) fn counters(&self, at_us: Option<u64>) -> Counters {
        let at_us = at_us.unwrap_or_else(|| self.clock.now_us());
        let keys = self.keys();
        let mut counters: Vec<_> = keys.values().map(|state| state.counter(at_us)).collect();
        counters.sort_by(|a, b| a.key.cmp(&b.key));
        let (node, boot) = (self.node.clone(), self.boot.clone());
        Counters { node, boot, started_at_us: self.started_us, at_us, counters }
    }

    /// Forgets what left its window, and returns what the store has yet to hear of.
    pub(crate) fn pending(&self, most: usize) -> Vec<Batch> {
        let now_us = self.clock.now_us();
        let mut batches = Vec::new();
        for state in self.keys().values_mut() {
            let span = Span::new(&state.entry, now_us);
            state.log.expire(span.start_us().saturating_sub(micros(RETENTION)));
            let admissions = state.log.pending(most);
            if !admissions.is_empty() {
                batches.push(Batch {
                    key: state.entry.key.clone(),
                    epoch: state.entry.epoch,
                    span,
                    admissions,
                });
            }
        }
        batches
    }

    /// The store holds this batch.
    pub(crate) fn confirm(&self, batch: &Batch) {
        if let Some(state) = self.keys().get_mut(&batch.key).filter(|s| s.entry.epoch == batch.epoch) {
            state.log.confirm(&batch.admissions);
        }
    }

    /// The windows to ask the store about, with what it is known to hold of this node.
    pub(crate) fn windows(&self) -> Vec<Window> {
        let now_us = self.clock.now_us();
        let window = |state: &KeyState| {
            let span = Span::new(&state.entry, now_us);
            let own = state.log.count_synced_after(span.start_us());
            Window { key: state.entry.key.clone(), epoch: state.entry.epoch, span, own }
        };
        self.keys().values().map(window).collect()
    }

    /// What the store answered about a window.
    pub(crate) fn refresh(&self, window: &Window, shared: SharedWindow) {
        let mut keys = self.keys();
        let Some(state) = keys.get_mut(&window.key).filter(|s| s.entry.epoch == window.epoch) else { return };
        state.others = Others::new(shared, window.own, window.span.now_us);
        state.shared = Some((shared.count, Instant::now()));
        if shared.count < window.own {
            tracing::warn!(key = %window.key, held = shared.count, confirmed = window.own, "the store lost admissions; telling it again");
            state.log.unconfirm();
        }
    }
}

/// Beyond this many, admissions that no limit bounds (failing open) are granted without being remembered.
const MAX_REMEMBERED: usize = MAX_LIMIT as usize;

fn continued(state: Option<KeyState>, entry: LimitEntry) -> KeyState {
    match state.filter(|s| s.entry.epoch == entry.epoch) {
        Some(state) => KeyState { entry, ..state },
        None => KeyState::new(entry),
    }
}

impl KeyState {
    fn add_unsynced(&mut self, now_us: u64, first: u64, cost: u32) {
        for admission in counting::admissions(now_us, first, cost) {
            if self.log.len() < MAX_REMEMBERED {
                self.log.add_unsynced(admission);
            }
        }
    }

    fn counter(&self, at_us: u64) -> KeyCounter {
        let LimitEntry { key, limit, counting, epoch, .. } = self.entry.clone();
        let start_us = at_us.saturating_sub(limit.window_us());
        KeyCounter {
            key,
            limit,
            counting,
            epoch,
            count: self.log.count(start_us, at_us),
            unsynced: self.log.count_unsynced(start_us, at_us),
            shared: self.shared.map(|(count, _)| count),
            shared_age_ms: self.shared.map(|(_, at)| micros(at.elapsed()) / 1000),
        }
    }
}

/// A name for this life of the process. The hasher's keys come from the system's random source.
fn boot_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:012x}", RandomState::new().hash_one(std::process::id()) >> 16)
}
