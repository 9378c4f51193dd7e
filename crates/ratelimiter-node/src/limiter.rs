use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ratelimiter_api::{
    CheckResponse, Counters, CountingMode, DecidedBy, Key, Limit, LimitEntry, NodeId, StoreFailurePolicy,
};

use crate::admissions::Admission;
use crate::clock::StoreClock;
use crate::counter::Counter;
use crate::counting::{self, Decision, Undecided};
use crate::limits::Limits;
use crate::shared::{Members, Question, SharedStore, SharedWindow, Span};

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
    limits: Mutex<Limits>,
}

/// Why a check has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Nobody set a limit for the key.
    #[error("key {0:?} has no limit: set one with POST /limit")]
    NoLimit(String),
    /// The node has not read any limits yet, so that it cannot know whether there is one.
    #[error("the limit of key {0:?} is not known yet: this node has not reached the store since it started")]
    NotKnownYet(String),
}

/// Admissions of one counter on their way to the store.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) key: Key,
    pub(crate) epoch: u64,
    pub(crate) span: Span,
    pub(crate) admissions: Vec<Admission>,
}

/// A counter whose window is to be read.
#[derive(Debug)]
pub(crate) struct Watched {
    key: Key,
    epoch: u64,
    pub(crate) span: Span,
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
            limits: Mutex::default(),
        }
    }

    /// This life of the node.
    pub(crate) fn boot(&self) -> &str {
        &self.boot
    }

    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// The limits and their counters. Held for as long as it takes to look or to count, never across an `await`.
    pub(crate) fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// May this happen now? Answers, with the limit in force, within the store timeout whatever the store does.
    ///
    /// # Errors
    /// When the key has no limit, or the node cannot know yet.
    pub async fn check(&self, key: &Key, cost: u32) -> Result<(CheckResponse, Limit), CheckError> {
        let now_us = self.clock.now_us();
        let asks_the_store = |counter: &Counter| counter.entry.counting != CountingMode::Cached;
        let (entry, span) =
            self.with_counter(key, |c| (c.entry.clone(), asks_the_store(c).then(|| c.span(now_us))))?;
        let first = self.sequence.fetch_add(cost.into(), Ordering::Relaxed);
        let decision = match span {
            None => self.decide_locally(key, cost, first)?,
            Some(span) => match self.ask_store(&entry, &span, cost, first).await {
                Ok(decision) => {
                    self.remember(&entry, &decision, first, cost);
                    decision
                }
                Err(why) => {
                    tracing::debug!(%key, %why, "the store did not decide");
                    if matches!(why, Undecided::Forgot) {
                        self.unconfirm(&entry);
                    }
                    self.decide_without_store(&entry, cost, first)?
                }
            },
        };
        Ok((self.respond(entry.limit, &decision), entry.limit))
    }

    fn with_counter<T>(&self, key: &Key, act: impl FnOnce(&mut Counter) -> T) -> Result<T, CheckError> {
        let mut limits = self.limits();
        if let Some(counter) = limits.get_mut(key) {
            return Ok(act(counter));
        }
        let key = key.to_string();
        Err(if limits.are_known() { CheckError::NoLimit(key) } else { CheckError::NotKnownYet(key) })
    }

    async fn ask_store(
        &self,
        entry: &LimitEntry,
        span: &Span,
        cost: u32,
        first_sequence: u64,
    ) -> Result<Decision, Undecided> {
        let question = Question { limit: entry.limit, span, cost, members: &self.members, first_sequence };
        if entry.counting == CountingMode::ReadThenWrite {
            counting::read_then_write(&self.store, &question, self.store_timeout).await
        } else {
            counting::atomic(&self.store, &question, self.store_timeout).await
        }
    }

    /// The store has decided, and holds the admissions if there are any. Those of a counter that was reset meanwhile are
    /// nobody's any more.
    fn remember(&self, entry: &LimitEntry, decision: &Decision, first: u64, cost: u32) {
        if decision.allowed
            && let Some(counter) = self.limits().of_epoch(&entry.key, entry.epoch)
        {
            counter.add_synced(counting::admissions(decision.now_us, first, cost));
        }
    }

    fn unconfirm(&self, entry: &LimitEntry) {
        if let Some(counter) = self.limits().of_epoch(&entry.key, entry.epoch) {
            counter.unconfirm();
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
        self.with_counter(&entry.key, |counter| {
            let known = counter.decide(cost, now_us);
            let before = known.count - if known.allowed { cost.into() } else { 0 };
            if allowed {
                counter.add_unsynced(counting::admissions(now_us, first, cost));
            }
            let count = before + if allowed { cost.into() } else { 0 };
            Decision { allowed, count, by: DecidedBy::Policy, ..known }
        })
    }

    /// Decides and remembers under one lock, so that two checks never take the same last admission.
    fn decide_locally(&self, key: &Key, cost: u32, first: u64) -> Result<Decision, CheckError> {
        let now_us = self.clock.now_us();
        self.with_counter(key, |counter| {
            let decision = counter.decide(cost, now_us);
            if decision.allowed {
                counter.add_unsynced(counting::admissions(now_us, first, cost));
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
    pub(crate) fn entries(&self) -> Vec<LimitEntry> {
        let mut entries: Vec<_> = self.limits().counters().map(|c| c.entry.clone()).collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        entries
    }

    /// This node's admissions in each key's window before `at_us`, or before now, by key.
    pub(crate) fn counters(&self, at_us: Option<u64>) -> Counters {
        let at_us = at_us.unwrap_or_else(|| self.clock.now_us());
        let mut counters: Vec<_> = self.limits().counters().map(|c| c.report(at_us)).collect();
        counters.sort_by(|a, b| a.key.cmp(&b.key));
        let (node, boot) = (self.node.clone(), self.boot.clone());
        Counters { node, boot, started_at_us: self.started_us, at_us, counters }
    }

    /// Forgets what left its window, and returns what the store has yet to hear of: at most `most` admissions.
    pub(crate) fn send(&self, most: usize) -> Vec<Batch> {
        let now_us = self.clock.now_us();
        let mut room = most;
        let mut batches = Vec::new();
        for counter in self.limits().counters_mut() {
            let (span, admissions) = counter.send(now_us, room);
            if !admissions.is_empty() {
                room -= admissions.len();
                let LimitEntry { key, epoch, .. } = &counter.entry;
                batches.push(Batch { key: key.clone(), epoch: *epoch, span, admissions });
            }
        }
        batches
    }

    /// The store holds these, and has forgotten what it had confirmed before of those for which `forgot` is true.
    pub(crate) fn confirm(&self, batches: &[Batch], forgot: &[bool]) {
        let mut limits = self.limits();
        let mut lost = 0;
        for (batch, forgot) in batches.iter().zip(forgot) {
            if let Some(counter) = limits.of_epoch(&batch.key, batch.epoch) {
                if *forgot {
                    counter.unconfirm();
                    lost += 1;
                }
                counter.confirm(&batch.admissions);
            }
        }
        drop(limits);
        warn_of_loss(lost);
    }

    /// The windows to ask the store about.
    pub(crate) fn windows(&self) -> Vec<Watched> {
        let now_us = self.clock.now_us();
        let watched = |counter: &Counter| {
            let LimitEntry { key, epoch, .. } = &counter.entry;
            Watched { key: key.clone(), epoch: *epoch, span: counter.span(now_us) }
        };
        self.limits().counters().map(watched).collect()
    }

    /// What the store answered about the windows, in the same order.
    pub(crate) fn refresh(&self, watched: &[Watched], answers: Vec<SharedWindow>) {
        let mut limits = self.limits();
        let mut lost = 0;
        for (Watched { key, epoch, span }, shared) in watched.iter().zip(answers) {
            if let Some(counter) = limits.of_epoch(key, *epoch) {
                lost += usize::from(!counter.refresh(span, shared));
            }
        }
        drop(limits);
        warn_of_loss(lost);
    }
}

fn warn_of_loss(keys: usize) {
    if keys > 0 {
        tracing::warn!(keys, "the store lost admissions that it had confirmed; telling it again");
    }
}

/// A name for this life of the process. The hasher's keys come from the system's random source.
fn boot_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:012x}", RandomState::new().hash_one(std::process::id()) >> 16)
}
