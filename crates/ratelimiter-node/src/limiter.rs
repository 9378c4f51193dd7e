mod active;
mod changes;
mod leased;
mod syncing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use ratelimiter_api::{
    CheckResponse, Counters, CountingMode, Key, Limit, LimitEntry, NodeId, StoreFailurePolicy,
};

use crate::clock::StoreClock;
use crate::counter::{Before, Counter, CounterCell};
use crate::counting::{self, Groups, Leases, Undecided};
use crate::decision::{Check, Decision};
use crate::limits::Limits;
use crate::memory::Memory;
use crate::shared::{Members, Question, SharedStore};
use active::Active;
pub(crate) use changes::MAX_LIMITS_AT_ONCE;

/// Time after which a client that was denied by the failure policy, with quota left, may try again.
const POLICY_RETRY_US: u64 = 1_000_000;

/// Decides checks from every limit, this node's own admissions and, as of the last sync, the shared
/// counts of the keys in use.
#[derive(Debug)]
pub struct Limiter {
    node: NodeId,
    boot: String,
    members: Members,
    started_us: u64,
    sequence: AtomicU64,
    /// Admissions that the store had confirmed and lost.
    lost: AtomicU64,
    store_timeout: Duration,
    clock: Arc<StoreClock>,
    store: Arc<SharedStore>,
    limits: RwLock<Limits>,
    active: Active,
    memory: Arc<Memory>,
    groups: Arc<Groups>,
    leases: Arc<Leases>,
}

/// The reason why a check has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A key without a limit.
    #[error("key {0:?} has no limit: set one with POST /limit")]
    NoLimit(String),
    /// A key whose limit, if there is one, this node has not read yet.
    #[error(
        "the limit of key {0:?} is not known yet: this node has not reached the store since it \
         started"
    )]
    NotKnownYet(String),
    /// A check that no window has room for.
    #[error("cost is {cost}, above the limit of {limit} for key {key:?}: it can never be allowed")]
    NeverFits {
        /// The key.
        key: String,
        /// Cost of the check, admissions.
        cost: u32,
        /// The limit in force, admissions.
        limit: u32,
    },
}

/// A counting mode in which the store decides.
#[derive(Clone, Copy, Debug)]
enum StoreMode {
    Atomic,
    ReadThenWrite,
}

impl Limiter {
    pub(crate) fn new(
        node: NodeId,
        store_timeout: Duration,
        clock: Arc<StoreClock>,
        store: Arc<SharedStore>,
    ) -> Self {
        let boot = boot_id();
        let members = Members::new(&node, &boot);
        let memory = Arc::<Memory>::default();
        let groups = Groups::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            members.clone(),
            Arc::clone(&memory),
            store_timeout,
        );
        let leases = Leases::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            members.clone(),
            store_timeout,
            Arc::clone(&memory),
        );
        Self {
            members,
            node,
            boot,
            started_us: clock.now_us(),
            sequence: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            store_timeout,
            clock,
            store,
            limits: RwLock::default(),
            active: Active::default(),
            memory,
            groups: Arc::new(groups),
            leases: Arc::new(leases),
        }
    }

    /// This life of the node.
    pub(crate) fn boot(&self) -> &str {
        &self.boot
    }

    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// The grants of leased keys.
    pub(crate) fn leases(&self) -> &Arc<Leases> {
        &self.leases
    }

    /// The limits and their counters. Held for as long as it takes to look, never across an
    /// `await`.
    pub(crate) fn limits(&self) -> RwLockReadGuard<'_, Limits> {
        self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limits, to be changed. Held for as long as the change takes, never across an `await`.
    pub(crate) fn limits_mut(&self) -> RwLockWriteGuard<'_, Limits> {
        self.limits.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides one check. Answers, with the limit in force, within the store timeout whatever the
    /// store does.
    ///
    /// # Errors
    /// When the key has no limit, or the node cannot know yet, or the cost is above the limit.
    pub async fn check(&self, key: &Key, cost: u32) -> Result<(CheckResponse, Limit), CheckError> {
        let check = Check {
            cost,
            first_sequence: self.sequence.fetch_add(cost.into(), Ordering::Relaxed),
        };
        let started = Instant::now();
        let mut decided = self.decide(key, check, self.store_timeout).await?;
        if decided.is_none() {
            // Another node reset the counter, and the new one is known now. The caller waits once
            // for both answers.
            let left = self.store_timeout.saturating_sub(started.elapsed());
            decided = self.decide(key, check, left).await?;
        }
        let decision = match decided {
            Some(decision) => decision,
            None => {
                let cell = self.cell(key)?;
                self.decide_without_store(&cell, check)
            }
        };
        let limit = decision.limit;
        if !decision.allowed && cost > limit.admissions() {
            let key = key.to_string();
            return Err(CheckError::NeverFits {
                key,
                cost,
                limit: limit.admissions(),
            });
        }
        Ok((self.respond(&decision), limit))
    }

    /// Decides by the key's mode, waiting at most `left` for the store. None when the counter
    /// turned out to be another, and the check has to be repeated.
    async fn decide(
        &self,
        key: &Key,
        check: Check,
        left: Duration,
    ) -> Result<Option<Decision>, CheckError> {
        let cell = self.cell(key)?;
        let now_us = self.clock.now_us();
        let (entry, before) = {
            let mut counter = cell.lock();
            let before = counter.touch(now_us);
            if counter.entry.counting == CountingMode::Cached && before == Before::Warm {
                return Ok(Some(self.decide_locked(&mut counter, now_us, check)));
            }
            (counter.entry.clone(), before)
        };
        if before == Before::Idle {
            self.active.wake(key, &cell);
        }
        Ok(match entry.counting {
            CountingMode::Cached => {
                // On the heap, as few checks need it: otherwise the future of every check has room
                // for it.
                Box::pin(self.read_window(&cell, &entry, left)).await;
                Some(self.decide_locally(&cell, check))
            }
            CountingMode::Atomic => {
                self.decide_in_store(&cell, &entry, check, left, StoreMode::Atomic)
                    .await
            }
            CountingMode::Leased => self.decide_by_lease(&cell, &entry, check, left).await,
            CountingMode::ReadThenWrite => {
                self.decide_in_store(&cell, &entry, check, left, StoreMode::ReadThenWrite)
                    .await
            }
        })
    }

    fn cell(&self, key: &Key) -> Result<Arc<CounterCell>, CheckError> {
        let limits = self.limits();
        if let Some(cell) = limits.get(key) {
            return Ok(Arc::clone(cell));
        }
        let key = key.to_string();
        Err(if limits.are_known() {
            CheckError::NoLimit(key)
        } else {
            CheckError::NotKnownYet(key)
        })
    }

    /// The epoch of a key's counter, if it has a limit.
    fn epoch(&self, key: &Key) -> Option<u64> {
        self.limits().get(key).map(|cell| cell.lock().entry.epoch)
    }

    /// Reads the shared count of a key that was not checked lately: the check does not decide
    /// without the others' admissions. Without an answer in time the node's own have to do.
    async fn read_window(&self, cell: &CounterCell, entry: &LimitEntry, left: Duration) {
        let span = cell.lock().span(self.clock.now_us());
        let Some(turn) = self.store.circuits.of(&span.set).turn(Instant::now()) else {
            return;
        };
        let window = self.store.window(&span, &self.members, left).await;
        turn.report(
            window
                .as_ref()
                .map_or_else(|error| !error.is_transient(), |_| true),
            Instant::now(),
        );
        match window {
            Ok(window) => {
                cell.lock().refresh(&span, window);
            }
            Err(error) => {
                tracing::debug!(key = %entry.key, %error, "the shared count is not known")
            }
        }
    }

    /// Lets the store decide, and the failure policy when the store does not.
    async fn decide_in_store(
        &self,
        cell: &Arc<CounterCell>,
        entry: &LimitEntry,
        check: Check,
        left: Duration,
        mode: StoreMode,
    ) -> Option<Decision> {
        match self.ask_store(cell, entry, check, left, mode).await {
            Ok(decision) => Some(decision),
            Err(Undecided::Changed(change)) => {
                self.limits_mut().change(*change);
                None
            }
            Err(why) => {
                tracing::debug!(key = %entry.key, %why, "the store did not decide");
                if matches!(why, Undecided::Forgot) {
                    of_epoch(cell, entry.epoch, Counter::doubt);
                }
                Some(self.decide_without_store(cell, check))
            }
        }
    }

    async fn ask_store(
        &self,
        cell: &Arc<CounterCell>,
        entry: &LimitEntry,
        check: Check,
        left: Duration,
        mode: StoreMode,
    ) -> Result<Decision, Undecided> {
        if !self.clock.is_read() {
            return Err(Undecided::NoClock);
        }
        // The key is the hash tag of the entries that are asked about.
        let circuit = self.store.circuits.of(entry.key.as_str());
        let turn = circuit.turn(Instant::now()).ok_or(Undecided::Suspended)?;
        let decision = match mode {
            StoreMode::Atomic => self.groups.decide(cell, check, left).await,
            StoreMode::ReadThenWrite => {
                Box::pin(self.read_then_write(cell, entry, check, left)).await
            }
        };
        turn.report(
            decision
                .as_ref()
                .map_or_else(Undecided::is_answer, |_| true),
            Instant::now(),
        );
        decision
    }

    async fn read_then_write(
        &self,
        cell: &CounterCell,
        entry: &LimitEntry,
        check: Check,
        left: Duration,
    ) -> Result<Decision, Undecided> {
        let span = cell.lock().span(self.clock.now_us());
        let question = Question {
            entry,
            span: &span,
            check,
            members: &self.members,
        };
        let decision = counting::read_then_write(&self.store, &question, left).await?;
        if decision.allowed && self.memory.has_room(check.cost) {
            let admissions = check.admissions(decision.now_us);
            of_epoch(cell, entry.epoch, |counter| counter.add_synced(admissions));
        }
        Ok(decision)
    }

    fn decide_without_store(&self, cell: &CounterCell, check: Check) -> Decision {
        let policy = cell.lock().entry.on_store_failure;
        let allowed = match policy {
            StoreFailurePolicy::Local => return self.decide_locally(cell, check),
            StoreFailurePolicy::Allow => true,
            StoreFailurePolicy::Deny => false,
        };
        let now_us = self.clock.now_us();
        let mut counter = cell.lock();
        let known = counter.decide(check.cost, now_us);
        if allowed && self.memory.has_room(check.cost) {
            counter.add_unsynced(check.admissions(now_us));
        }
        known.by_policy(allowed, check.cost, POLICY_RETRY_US)
    }

    /// Decides and remembers under one lock, so that two checks never take the same last admission.
    /// A node without room to remember an admission does not admit it.
    fn decide_locally(&self, cell: &CounterCell, check: Check) -> Decision {
        let now_us = self.clock.now_us();
        self.decide_locked(&mut cell.lock(), now_us, check)
    }

    fn decide_locked(&self, counter: &mut Counter, now_us: u64, check: Check) -> Decision {
        let decision = counter.decide(check.cost, now_us);
        if !decision.allowed {
            return decision;
        }
        if !self.memory.has_room(check.cost) {
            return decision.by_policy(false, check.cost, POLICY_RETRY_US);
        }
        counter.add_unsynced(check.admissions(now_us));
        decision
    }

    fn respond(&self, decision: &Decision) -> CheckResponse {
        let count = u32::try_from(decision.count).unwrap_or(u32::MAX);
        let limit = decision.limit.admissions();
        CheckResponse {
            allowed: decision.allowed,
            limit,
            remaining: limit.saturating_sub(count),
            reset_ms: decision
                .frees_us
                .saturating_sub(decision.now_us)
                .div_ceil(1000),
            node: self.node.clone(),
            decided_by: decision.by,
        }
    }

    /// The selected limits, by key.
    pub(crate) fn entries(&self, select: &Select) -> Vec<LimitEntry> {
        self.select(select)
            .iter()
            .map(|cell| cell.lock().entry.clone())
            .collect()
    }

    /// This node's admissions in the window of each selected key before `at_us`, or before now, by
    /// key.
    pub(crate) fn counters(&self, select: &Select, at_us: Option<u64>) -> Counters {
        let at_us = at_us.unwrap_or_else(|| self.clock.now_us());
        let report = |cell: &Arc<CounterCell>| {
            let (mut counter, entry) = {
                let counter = cell.lock();
                (counter.report(at_us), counter.entry.clone())
            };
            self.add_grants(&mut counter, &entry, at_us);
            counter
        };
        let counters = self.select(select).iter().map(report).collect();
        let (node, boot) = (self.node.clone(), self.boot.clone());
        Counters {
            node,
            boot,
            started_at_us: self.started_us,
            at_us,
            counters,
        }
    }

    fn select(&self, select: &Select) -> Vec<Arc<CounterCell>> {
        match select {
            Select::Keys(keys) => {
                let keys: BTreeSet<&Key> = keys.iter().collect();
                let limits = self.limits();
                keys.into_iter()
                    .filter_map(|key| limits.get(key))
                    .map(Arc::clone)
                    .collect()
            }
            Select::Page { after, most } => self
                .limits()
                .counters(after.as_ref())
                .take(*most)
                .map(Arc::clone)
                .collect(),
            Select::Active { after, most, also } => {
                let mut cells: BTreeMap<Key, _> = self
                    .active
                    .page(after.as_ref(), *most)
                    .into_iter()
                    .collect();
                let limits = self.limits();
                let also = also
                    .iter()
                    .filter_map(|key| Some((key.clone(), Arc::clone(limits.get(key)?))));
                cells.extend(also);
                cells.into_values().collect()
            }
        }
    }

    /// Jumps of the store's clock so far.
    pub(crate) fn clock_jumps(&self) -> u64 {
        self.clock.jumps()
    }
}

/// A choice of keys with limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Select {
    /// These keys.
    Keys(Vec<Key>),
    /// At most `most`, by key, after a key.
    Page { after: Option<Key>, most: usize },
    /// At most `most` of the keys in use after a key: checked within their window, or with
    /// admissions left. And these others.
    Active {
        after: Option<Key>,
        most: usize,
        also: Vec<Key>,
    },
}

/// Acts on a counter unless it was reset since.
fn of_epoch<T>(cell: &CounterCell, epoch: u64, act: impl FnOnce(&mut Counter) -> T) -> Option<T> {
    let mut counter = cell.lock();
    (counter.entry.epoch == epoch).then(|| act(&mut counter))
}

/// A name for this life of the process. The hasher's keys come from the system's random source.
fn boot_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!(
        "{:012x}",
        RandomState::new().hash_one(std::process::id()) >> 16
    )
}
